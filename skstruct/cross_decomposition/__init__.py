"""Canonical correlation and partial least squares: sparse, streaming, multiview."""

# SPDX-License-Identifier: BSD-3-Clause

from ._primal_dual import PrimalDualSparseCCA

__all__ = ["PrimalDualSparseCCA"]
