"""Factor structure and its estimation: thresholding, confirmatory, exploratory."""

# SPDX-License-Identifier: BSD-3-Clause

__all__: list[str] = []
