"""Displays: matplotlib is imported when a figure is drawn."""

# SPDX-License-Identifier: BSD-3-Clause

from ._causal_graph import CausalGraphDisplay
from ._rank_selection import RankSelectionDisplay

__all__ = ["CausalGraphDisplay", "RankSelectionDisplay"]
