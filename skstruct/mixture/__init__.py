"""Gaussian mixtures that learn from a stream."""

# SPDX-License-Identifier: BSD-3-Clause

from ._incremental import IncrementalGaussianMixture

__all__ = ["IncrementalGaussianMixture"]
