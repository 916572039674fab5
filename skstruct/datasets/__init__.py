"""Simulators with planted truth, packaged data and downloads."""

# SPDX-License-Identifier: BSD-3-Clause

from ._flags import make_noisy_flags
from ._impute import make_fairness_clusters, make_low_rank_with_missing

__all__ = [
    "make_fairness_clusters",
    "make_low_rank_with_missing",
    "make_noisy_flags",
]
