"""Structured matrix decompositions."""

# SPDX-License-Identifier: BSD-3-Clause

from ._barycentric import BarycentricSubspaceAnalysis

__all__ = ["BarycentricSubspaceAnalysis"]
