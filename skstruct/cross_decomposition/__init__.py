"""Canonical correlation and partial least squares: sparse, streaming, multiview."""

# SPDX-License-Identifier: BSD-3-Clause

__all__: list[str] = []
