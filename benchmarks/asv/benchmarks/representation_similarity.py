"""Similarity of representations."""

import numpy as np

from skstruct.metrics import (
    cca_similarity,
    proportion_correlation_captured,
    pwcca,
    svcca,
    svcca_matrix,
)


def layers(n_samples, n_neurons, number):
    """Rectified mixtures of common signals, in single precision."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((n_samples, 30))
    return [
        np.maximum(
            signal @ rng.standard_normal((30, n_neurons))
            + rng.standard_normal((n_samples, n_neurons)),
            0,
        ).astype(np.float32)
        for _ in range(number)
    ]


class Pair:
    """Two layers by number of neurons."""

    params = [50, 500]
    param_names = ("n_neurons",)

    def setup(self, n_neurons):
        self.A, self.B = layers(5000, n_neurons, 2)
        self.reference = cca_similarity(self.A, self.B).correlations

    def time_svcca(self, n_neurons):
        svcca(self.A, self.B)

    def time_cca_similarity(self, n_neurons):
        cca_similarity(self.A, self.B)

    def time_pwcca(self, n_neurons):
        pwcca(self.A, self.B)

    def time_proportion_correlation_captured(self, n_neurons):
        Z1, Z2 = self.A[:, :5], self.B[:, :5]
        proportion_correlation_captured(Z1, Z2, self.reference)

    def peakmem_svcca(self, n_neurons):
        svcca(self.A, self.B)

    def track_svcca(self, n_neurons):
        return svcca(self.A, self.B).similarity


class Networks:
    """Two networks of eight layers."""

    params = [1, 2]
    param_names = ("n_jobs",)

    def setup(self, n_jobs):
        found = layers(2000, 100, 16)
        self.first, self.second = found[:8], found[8:]

    def time_matrix(self, n_jobs):
        svcca_matrix(self.first, self.second, n_jobs=n_jobs)
