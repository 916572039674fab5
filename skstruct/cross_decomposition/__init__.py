"""Canonical correlation and partial least squares: sparse, streaming, multiview."""

# SPDX-License-Identifier: BSD-3-Clause

from ._multiview_cca import MultiviewCCA
from ._stochastic_cca import StochasticCCA
from ._stochastic_pls import StochasticPLS

__all__ = ["MultiviewCCA", "StochasticCCA", "StochasticPLS"]
