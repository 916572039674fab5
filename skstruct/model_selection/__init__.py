"""Splitters and rules for choosing a rank."""

# SPDX-License-Identifier: BSD-3-Clause

from ._rules import one_standard_error

__all__ = ["one_standard_error"]
