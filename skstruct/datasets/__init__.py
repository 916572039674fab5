"""Simulators with planted truth, packaged data and downloads."""

# SPDX-License-Identifier: BSD-3-Clause

from ._causal import load_sachs, make_latent_lingam
from ._impute import make_fairness_clusters, make_low_rank_with_missing

__all__ = [
    "load_sachs",
    "make_fairness_clusters",
    "make_latent_lingam",
    "make_low_rank_with_missing",
]
