"""Displays: matplotlib is imported when a figure is drawn."""

# SPDX-License-Identifier: BSD-3-Clause

from ._abundance_maps import AbundanceMapDisplay
from ._causal_graph import CausalGraphDisplay
from ._factor_graph import FactorGraphDisplay
from ._phase_diagram import PhaseDiagramDisplay
from ._rank_selection import RankSelectionDisplay
from ._relations import RankStabilityDisplay, RelationsDisplay

__all__ = [
    "AbundanceMapDisplay",
    "CausalGraphDisplay",
    "FactorGraphDisplay",
    "PhaseDiagramDisplay",
    "RankSelectionDisplay",
    "RankStabilityDisplay",
    "RelationsDisplay",
]
