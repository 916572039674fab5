"""Displays: matplotlib is imported when a figure is drawn."""

# SPDX-License-Identifier: BSD-3-Clause

from ._abundance_maps import AbundanceMapDisplay
from ._rank_selection import RankSelectionDisplay

__all__ = ["AbundanceMapDisplay", "RankSelectionDisplay"]
