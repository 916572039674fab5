"""Simulators with planted truth, packaged data and downloads."""

# SPDX-License-Identifier: BSD-3-Clause

from ._causal import load_sachs, make_latent_lingam
from ._cities import load_world_cities
from ._factor_analysis import load_holzinger_swineford, make_factor_model
from ._flags import make_noisy_flags
from ._hyperspectral import fetch_jasper_ridge, make_hyperspectral_scene
from ._impute import make_fairness_clusters, make_low_rank_with_missing
from ._mixture import make_gaussian_stream
from ._nested_tensor import make_nested_tensor
from ._nutrimouse import load_nutrimouse
from ._relational import (
    fetch_kinship,
    fetch_nations,
    fetch_trade_flows,
    fetch_umls,
    load_family_trees,
    make_relational_communities,
)

__all__ = [
    "fetch_jasper_ridge",
    "fetch_kinship",
    "fetch_nations",
    "fetch_trade_flows",
    "fetch_umls",
    "load_family_trees",
    "load_holzinger_swineford",
    "load_nutrimouse",
    "load_sachs",
    "load_world_cities",
    "make_factor_model",
    "make_fairness_clusters",
    "make_gaussian_stream",
    "make_hyperspectral_scene",
    "make_latent_lingam",
    "make_low_rank_with_missing",
    "make_nested_tensor",
    "make_noisy_flags",
    "make_relational_communities",
]
