"""Relational and multi-view tensors."""

# SPDX-License-Identifier: BSD-3-Clause

from ._nested_clustering import NestedTensorClustering
from ._nested_pca import NestedTensorPCA
from ._nested_theory import (
    nested_rank_one_theory,
    unfolding_theory,
    weighted_mean_theory,
)
from ._nonnegative_rescal import NonnegativeRESCAL
from ._rescal import RESCAL
from ._rescal_entries import cross_validate_entries
from ._rescal_rank import RESCALRankSelector

__all__ = [
    "RESCAL",
    "NestedTensorClustering",
    "NestedTensorPCA",
    "NonnegativeRESCAL",
    "RESCALRankSelector",
    "cross_validate_entries",
    "nested_rank_one_theory",
    "unfolding_theory",
    "weighted_mean_theory",
]
