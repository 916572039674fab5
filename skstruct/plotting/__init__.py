"""Displays: matplotlib is imported when a figure is drawn."""

# SPDX-License-Identifier: BSD-3-Clause

from ._factor_graph import FactorGraphDisplay
from ._rank_selection import RankSelectionDisplay

__all__ = ["FactorGraphDisplay", "RankSelectionDisplay"]
