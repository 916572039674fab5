"""Quality measures of structured models."""

# SPDX-License-Identifier: BSD-3-Clause

from ._factors import factor_match_score, structural_hamming_distance
from ._fairness import lipschitz_ratios
from ._representation_similarity import (
    cca_similarity,
    proportion_correlation_captured,
    pwcca,
    svcca,
    svcca_matrix,
)
from ._retrieval import mate_retrieval_score
from ._unmixing import match_endmembers, spectral_angle, unmixing_scores

__all__ = [
    "cca_similarity",
    "factor_match_score",
    "lipschitz_ratios",
    "match_endmembers",
    "mate_retrieval_score",
    "proportion_correlation_captured",
    "pwcca",
    "spectral_angle",
    "structural_hamming_distance",
    "svcca",
    "svcca_matrix",
    "unmixing_scores",
]
