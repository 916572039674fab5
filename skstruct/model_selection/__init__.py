"""Splitters and rules for choosing a rank."""

# SPDX-License-Identifier: BSD-3-Clause

from ._rules import one_standard_error
from ._split import EntrywiseKFold, ImageBlockKFold

__all__ = ["EntrywiseKFold", "ImageBlockKFold", "one_standard_error"]
