"""Completion and denoising of low-rank matrices."""

# SPDX-License-Identifier: BSD-3-Clause

__all__: list[str] = []
