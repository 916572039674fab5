"""Who causes whom, with unmeasured common causes."""

# SPDX-License-Identifier: BSD-3-Clause

from ._accumulator import CumulantAccumulator
from ._cumulants import joint_cumulants
from ._lvlingam import CumulantLvLiNGAM
from ._pairwise import CumulantPairwise

__all__ = [
    "CumulantAccumulator",
    "CumulantLvLiNGAM",
    "CumulantPairwise",
    "joint_cumulants",
]
