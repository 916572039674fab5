"""Simulated flags."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skstruct.datasets import make_noisy_flags
from skstruct.subspace import flag_distance
from tests.reference.flags import averaging_design


def test_noisy_flags_are_the_published_design():
    data = make_noisy_flags(100, 10, noise=0.001, n_outliers=19, random_state=2)
    frames, center = averaging_design(100, [0.001] * 81 + [1.0] * 19, seed=2)
    assert_allclose(data.X, frames, atol=1e-14)
    assert_allclose(data.center, center, atol=1e-14)
    d = flag_distance(data.X, data.center, data.flag_type)[:, 0]
    assert d[~data.is_outlier].max() < 0.01 < d[data.is_outlier].min()


def test_messages():
    with pytest.raises(ValueError, match="n_outliers=5 must be at most n_samples=4"):
        make_noisy_flags(4, n_outliers=5)
    with pytest.raises(ValueError, match="must be at most n_features=2"):
        make_noisy_flags(4, 2, flag_type=(1, 3))
    assert np.all(make_noisy_flags(3, 3, flag_type=3).X.shape == (3, 3, 3))
