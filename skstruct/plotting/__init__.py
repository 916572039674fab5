"""Displays: matplotlib is imported when a figure is drawn."""

# SPDX-License-Identifier: BSD-3-Clause

__all__: list[str] = []
