"""Canonical correlation and partial least squares: sparse, streaming, multiview."""

# SPDX-License-Identifier: BSD-3-Clause

from ._sparse_cca import SparseCCA

__all__ = ["SparseCCA"]
