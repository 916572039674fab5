"""Quality measures of structured models."""

# SPDX-License-Identifier: BSD-3-Clause

from ._factors import factor_match_score, structural_hamming_distance
from ._fairness import lipschitz_ratios
from ._retrieval import mate_retrieval_score
from ._unmixing import match_endmembers, spectral_angle, unmixing_scores

__all__ = [
    "factor_match_score",
    "lipschitz_ratios",
    "match_endmembers",
    "mate_retrieval_score",
    "spectral_angle",
    "structural_hamming_distance",
    "unmixing_scores",
]
