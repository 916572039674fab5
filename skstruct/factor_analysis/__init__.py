"""Factor structure and its estimation: thresholding, confirmatory, exploratory."""

# SPDX-License-Identifier: BSD-3-Clause

from ._cliques import correlation_threshold_path, independent_maximal_cliques
from ._confirmatory import ConfirmatoryFactorAnalysis
from ._exploratory import ExploratoryFactorAnalysis
from ._thresholding import CorrelationThresholding

__all__ = [
    "ConfirmatoryFactorAnalysis",
    "CorrelationThresholding",
    "ExploratoryFactorAnalysis",
    "correlation_threshold_path",
    "independent_maximal_cliques",
]
