"""Simulators with planted truth, packaged data and downloads."""

# SPDX-License-Identifier: BSD-3-Clause

from ._factor_analysis import load_holzinger_swineford, make_factor_model
from ._impute import make_fairness_clusters, make_low_rank_with_missing

__all__ = [
    "load_holzinger_swineford",
    "make_factor_model",
    "make_fairness_clusters",
    "make_low_rank_with_missing",
]
