"""Displays: matplotlib is imported when a figure is drawn."""

# SPDX-License-Identifier: BSD-3-Clause

from ._phase_diagram import PhaseDiagramDisplay
from ._rank_selection import RankSelectionDisplay

__all__ = ["PhaseDiagramDisplay", "RankSelectionDisplay"]
