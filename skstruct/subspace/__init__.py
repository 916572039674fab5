"""Averages, distances and clusters of subspaces and flags."""

# SPDX-License-Identifier: BSD-3-Clause

from ._distances import flag_distance
from ._flag_kmeans import FlagKMeans
from ._flag_mean import FlagMean
from ._flag_median import FlagMedian
from ._motions import flag_to_se3, se3_to_flag
from ._subspace_mean import SubspaceMean

__all__ = [
    "FlagKMeans",
    "FlagMean",
    "FlagMedian",
    "SubspaceMean",
    "flag_distance",
    "flag_to_se3",
    "se3_to_flag",
]
