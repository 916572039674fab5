# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "separation": [Interval(Real, 0, None, closed="left")],
        "drift": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_gaussian_stream(
    n_samples=10_000,
    n_features=8,
    *,
    n_components=5,
    separation=3.0,
    drift=0.0,
    random_state=None,
):
    """Simulate a stream from a Gaussian mixture that may drift.

    Parameters
    ----------
    n_samples, n_features : int, default=10_000 and 8
        Shape of the stream.
    n_components : int, default=5
        Number of Gaussians, of unequal weights.
    separation : float, default=3.0
        Standard deviation of the centres; the clusters have standard deviations of
        about one per feature, with random correlations.
    drift : float, default=0.0
        Distance that every centre travels in its own direction from the first to the
        last row.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        ``X`` of shape (n_samples, n_features), ``labels``, and the truth: ``weights``,
        ``means`` at the first row, ``final_means`` at the last, ``covariances``.

    Examples
    --------
    >>> from skstruct.datasets import make_gaussian_stream
    >>> data = make_gaussian_stream(1000, random_state=0)
    >>> data.X.shape, data.means.shape
    ((1000, 8), (5, 8))
    """
    rng = check_random_state(random_state)
    K, D = n_components, n_features
    weights = rng.uniform(0.5, 1.5, size=K)
    weights /= weights.sum()
    means = separation * rng.standard_normal((K, D))
    factors = np.eye(D) + rng.standard_normal((K, D, D)) / (2.0 * np.sqrt(D))
    direction = rng.standard_normal((K, D))
    direction *= drift / np.linalg.norm(direction, axis=1, keepdims=True)
    labels = rng.choice(K, size=n_samples, p=weights)
    noise = rng.standard_normal((n_samples, D))
    X = means[labels] + np.einsum("nij,nj->ni", factors[labels], noise)
    X += np.linspace(0.0, 1.0, n_samples)[:, None] * direction[labels]
    return Bunch(
        X=X,
        labels=labels,
        weights=weights,
        means=means,
        final_means=means + direction,
        covariances=factors @ np.swapaxes(factors, 1, 2),
    )
