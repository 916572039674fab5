"""Structured matrix decompositions."""

# SPDX-License-Identifier: BSD-3-Clause

from ._abundances import fcls, nnls_abundances
from ._affinity import spatial_affinity
from ._barycentric import BarycentricSubspaceAnalysis
from ._endmembers import spa, vca
from ._principal_subspace import PrincipalSubspaceAnalysis
from ._robust_flag_pca import RobustFlagPCA
from ._ss_nmf import StructuredSparseNMF
from ._unmix import unmix

__all__ = [
    "BarycentricSubspaceAnalysis",
    "PrincipalSubspaceAnalysis",
    "RobustFlagPCA",
    "StructuredSparseNMF",
    "fcls",
    "nnls_abundances",
    "spa",
    "spatial_affinity",
    "unmix",
    "vca",
]
