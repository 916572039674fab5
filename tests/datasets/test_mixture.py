"""The simulated Gaussian stream."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skstruct.datasets import make_gaussian_stream


def test_stream_has_the_planted_moments():
    data = make_gaussian_stream(60_000, 3, n_components=2, random_state=0)
    assert_allclose(np.bincount(data.labels) / 60_000, data.weights, atol=0.01)
    for k in range(2):
        part = data.X[data.labels == k]
        assert_allclose(part.mean(axis=0), data.means[k], atol=0.05)
        assert_allclose(np.cov(part.T), data.covariances[k], atol=0.08)
    assert_array_equal(data.means, data.final_means)


def test_drift_moves_every_centre_by_its_length():
    data = make_gaussian_stream(50_000, 4, n_components=2, drift=30.0, random_state=1)
    moved = np.linalg.norm(data.final_means - data.means, axis=1)
    assert_allclose(moved, 30.0)
    last = data.X[-2000:], data.labels[-2000:]
    for k in range(2):
        mean = last[0][last[1] == k].mean(axis=0)
        assert np.linalg.norm(mean - data.final_means[k]) < 1.0
    again = make_gaussian_stream(50_000, 4, n_components=2, drift=30.0, random_state=1)
    assert_array_equal(data.X, again.X)
    with pytest.raises(ValueError, match="'drift' parameter"):
        make_gaussian_stream(drift=-1.0)
