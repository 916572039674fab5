"""Simulators with planted truth, packaged data and downloads."""

# SPDX-License-Identifier: BSD-3-Clause

__all__: list[str] = []
