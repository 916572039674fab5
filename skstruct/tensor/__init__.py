"""Relational and multi-view tensors."""

# SPDX-License-Identifier: BSD-3-Clause

from ._nonnegative_rescal import NonnegativeRESCAL
from ._rescal import RESCAL
from ._rescal_entries import cross_validate_entries
from ._rescal_rank import RESCALRankSelector

__all__ = [
    "RESCAL",
    "NonnegativeRESCAL",
    "RESCALRankSelector",
    "cross_validate_entries",
]
