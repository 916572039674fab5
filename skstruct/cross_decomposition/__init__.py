"""Canonical correlation and partial least squares: sparse, streaming, multiview."""

# SPDX-License-Identifier: BSD-3-Clause

from ._multiview_cca import MultiviewCCA
from ._multiview_sparse_cca import MultiviewSparseCCA
from ._permutation import permutation_test
from ._primal_dual import PrimalDualSparseCCA
from ._sparse_cca import SparseCCA
from ._stochastic_cca import StochasticCCA
from ._stochastic_pls import StochasticPLS

__all__ = [
    "MultiviewCCA",
    "MultiviewSparseCCA",
    "PrimalDualSparseCCA",
    "SparseCCA",
    "StochasticCCA",
    "StochasticPLS",
    "permutation_test",
]
