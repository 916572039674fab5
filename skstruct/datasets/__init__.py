"""Simulators with planted truth, packaged data and downloads."""

# SPDX-License-Identifier: BSD-3-Clause

from ._cities import load_world_cities
from ._impute import make_fairness_clusters, make_low_rank_with_missing

__all__ = [
    "load_world_cities",
    "make_fairness_clusters",
    "make_low_rank_with_missing",
]
