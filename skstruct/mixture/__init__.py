"""Gaussian mixtures that learn from a stream."""

# SPDX-License-Identifier: BSD-3-Clause

from ._classifier import IncrementalGaussianMixtureClassifier
from ._incremental import IncrementalGaussianMixture
from ._minibatch import MiniBatchGaussianMixture
from ._regressor import IncrementalGaussianMixtureRegressor

__all__ = [
    "IncrementalGaussianMixture",
    "IncrementalGaussianMixtureClassifier",
    "IncrementalGaussianMixtureRegressor",
    "MiniBatchGaussianMixture",
]
