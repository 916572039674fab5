# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from .._flags import check_flag_type


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "flag_type": [Integral, tuple, list],
        "noise": [Interval(Real, 0, None, closed="left")],
        "n_outliers": [Interval(Integral, 0, None, closed="left")],
        "outlier_noise": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_noisy_flags(
    n_samples=100,
    n_features=10,
    *,
    flag_type=(1, 3),
    noise=0.1,
    n_outliers=0,
    outlier_noise=1.0,
    random_state=None,
):
    """Simulate flags around a centre, some of them far from it.

    A flag is the orthonormalised sum of the frame of the centre and a matrix with
    uniform entries in (-noise / 2, noise / 2).

    Parameters
    ----------
    n_samples : int, default=100
        Number of flags, outliers included.
    n_features : int, default=10
        Dimension of the space.
    flag_type : tuple of int, default=(1, 3)
        Dimensions of the nested subspaces.
    noise : float, default=0.1
        Width of the noise of the inliers.
    n_outliers : int, default=0
        Number of outliers, the last samples.
    outlier_noise : float, default=1.0
        Width of the noise of the outliers.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        ``X`` (frames of shape (n_samples, n_features, n_k)), ``center`` (frame of
        shape (n_features, n_k)), ``flag_type`` and ``is_outlier``.

    References
    ----------
    Mankovich, Birdal (2023), Chordal averaging on flag manifolds and its
    applications, ICCV.

    Examples
    --------
    >>> from skstruct.datasets import make_noisy_flags
    >>> data = make_noisy_flags(n_outliers=5, random_state=0)
    >>> data.X.shape, int(data.is_outlier.sum())
    ((100, 10, 3), 5)
    """
    flag_type = check_flag_type(flag_type, limit=n_features, limit_text="n_features")
    if n_outliers > n_samples:
        raise ValueError(
            f"n_outliers={n_outliers} must be at most n_samples={n_samples}."
        )
    rng = check_random_state(random_state)
    shape = (n_features, flag_type[-1])
    center = np.linalg.qr(rng.uniform(-0.5, 0.5, size=shape))[0]
    is_outlier = np.arange(n_samples) >= n_samples - n_outliers
    width = np.where(is_outlier, outlier_noise, noise)[:, None, None]
    shift = width * rng.uniform(-0.5, 0.5, size=(n_samples, *shape))
    X = np.linalg.qr(center + shift)[0]
    return Bunch(X=X, center=center, flag_type=flag_type, is_outlier=is_outlier)
