"""Simulators with planted truth, packaged data and downloads."""

# SPDX-License-Identifier: BSD-3-Clause

from ._impute import make_fairness_clusters, make_low_rank_with_missing
from ._mixture import make_gaussian_stream
from ._nested_tensor import make_nested_tensor

__all__ = [
    "make_fairness_clusters",
    "make_gaussian_stream",
    "make_low_rank_with_missing",
    "make_nested_tensor",
]
