"""Relational and multi-view tensors."""

# SPDX-License-Identifier: BSD-3-Clause

from ._nested_clustering import NestedTensorClustering
from ._nested_pca import NestedTensorPCA
from ._nested_theory import (
    nested_rank_one_theory,
    unfolding_theory,
    weighted_mean_theory,
)

__all__ = [
    "NestedTensorClustering",
    "NestedTensorPCA",
    "nested_rank_one_theory",
    "unfolding_theory",
    "weighted_mean_theory",
]
