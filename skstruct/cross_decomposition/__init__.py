"""Canonical correlation and partial least squares: sparse, streaming, multiview."""

# SPDX-License-Identifier: BSD-3-Clause

from ._multiview_sparse_cca import MultiviewSparseCCA
from ._permutation import permutation_test
from ._primal_dual import PrimalDualSparseCCA
from ._sparse_cca import SparseCCA

__all__ = ["MultiviewSparseCCA", "PrimalDualSparseCCA", "SparseCCA", "permutation_test"]
