"""Factor structure and its estimation: thresholding, confirmatory, exploratory."""

# SPDX-License-Identifier: BSD-3-Clause

from ._cliques import correlation_threshold_path, independent_maximal_cliques
from ._confirmatory import ConfirmatoryFactorAnalysis

__all__ = [
    "ConfirmatoryFactorAnalysis",
    "correlation_threshold_path",
    "independent_maximal_cliques",
]
