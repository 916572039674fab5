"""Simulators with planted truth, packaged data and downloads."""

# SPDX-License-Identifier: BSD-3-Clause

from ._hyperspectral import fetch_jasper_ridge, make_hyperspectral_scene
from ._impute import make_fairness_clusters, make_low_rank_with_missing

__all__ = [
    "fetch_jasper_ridge",
    "make_fairness_clusters",
    "make_hyperspectral_scene",
    "make_low_rank_with_missing",
]
