"""Completion and denoising of low-rank matrices."""

# SPDX-License-Identifier: BSD-3-Clause

from ._biscale import biscale
from ._cv import SoftImputerCV, SVTImputerCV
from ._soft import SoftImputer, soft_impute_path
from ._svt import SVTImputer

__all__ = [
    "SVTImputer",
    "SVTImputerCV",
    "SoftImputer",
    "SoftImputerCV",
    "biscale",
    "soft_impute_path",
]
