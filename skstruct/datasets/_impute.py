# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "rank": [Interval(Integral, 0, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "missing": [Interval(Real, 0, 1, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_low_rank_with_missing(
    n_samples=300,
    n_features=60,
    *,
    rank=5,
    noise=0.3,
    missing=0.5,
    random_state=None,
):
    """Simulate noisy observations of a part of a low-rank matrix.

    Parameters
    ----------
    n_samples, n_features : int, default=300 and 60
        Shape of the matrix.
    rank : int, default=5
        Rank of the truth, whose entries have variance one.
    noise : float, default=0.3
        Standard deviation of the noise of an observed entry.
    missing : float in [0, 1), default=0.5
        Probability that an entry is missing.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        ``X`` with NaN, ``truth`` (both of shape (n_samples, n_features)) and ``rank``.

    Examples
    --------
    >>> from skstruct.datasets import make_low_rank_with_missing
    >>> data = make_low_rank_with_missing(random_state=0)
    >>> data.X.shape, data.rank
    ((300, 60), 5)
    """
    rng = check_random_state(random_state)
    truth = rng.standard_normal((n_samples, rank))
    truth = truth @ rng.standard_normal((rank, n_features)) / np.sqrt(max(rank, 1))
    X = truth + noise * rng.standard_normal(truth.shape)
    X[rng.uniform(size=X.shape) < missing] = np.nan
    return Bunch(X=X, truth=truth, rank=rank)


@validate_params(
    {
        "observed": [Interval(Real, 0, 1, closed="right")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "cluster_size": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_fairness_clusters(
    *,
    observed=0.5,
    noise=0.1,
    n_clusters=10,
    cluster_size=100,
    n_features=50,
    random_state=None,
):
    """Simulate the people of the individual-fairness experiments.

    Cluster centres are uniform in (-1, 1), people are Gaussian around them with
    variances uniform in (0, 0.1) per feature, clipped to [-1, 1], and seen in part
    through noise.

    Parameters
    ----------
    observed : float in (0, 1], default=0.5
        Probability that an entry is observed.
    noise : float, default=0.1
        Standard deviation of the noise of an observed entry.
    n_clusters, cluster_size, n_features : int, default=10, 100 and 50
        Sizes of the published experiment.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        ``X`` with NaN, ``truth`` (both of shape (n_clusters * cluster_size,
        n_features)), ``labels`` of the clusters and their ``centers``.

    References
    ----------
    Zhang, Cen, Shah (2023), Matrix estimation for individual fairness, ICML.

    Examples
    --------
    >>> from skstruct.datasets import make_fairness_clusters
    >>> make_fairness_clusters(random_state=0).X.shape
    (1000, 50)
    """
    rng = check_random_state(random_state)
    centers = rng.uniform(-1, 1, size=(n_clusters, n_features))
    deviation = np.sqrt(rng.uniform(0, 0.1, size=(n_clusters, n_features)))
    labels = np.repeat(np.arange(n_clusters), cluster_size)
    truth = centers[labels] + deviation[labels] * rng.standard_normal(
        (labels.size, n_features)
    )
    truth = np.clip(truth, -1, 1)
    X = truth + noise * rng.standard_normal(truth.shape)
    X[rng.uniform(size=X.shape) >= observed] = np.nan
    return Bunch(X=X, truth=truth, labels=labels, centers=centers)
