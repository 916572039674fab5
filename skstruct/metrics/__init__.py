"""Quality measures of structured models."""

# SPDX-License-Identifier: BSD-3-Clause

from ._factors import factor_match_score, structural_hamming_distance
from ._fairness import lipschitz_ratios

__all__ = ["factor_match_score", "lipschitz_ratios", "structural_hamming_distance"]
