"""Structured matrix decompositions."""

# SPDX-License-Identifier: BSD-3-Clause

from ._principal_subspace import PrincipalSubspaceAnalysis
from ._robust_flag_pca import RobustFlagPCA

__all__ = ["PrincipalSubspaceAnalysis", "RobustFlagPCA"]
