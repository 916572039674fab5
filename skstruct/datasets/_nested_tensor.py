# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from scipy.linalg import helmert
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "n_views": [Interval(Integral, 1, None, closed="left")],
        "beta_T": [Interval(Real, 0, None, closed="left")],
        "beta_M": [Interval(Real, 0, None, closed="left"), "array-like"],
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "view_weights": ["array-like", None],
        "view_noise": [Interval(Real, 0, None, closed="left"), "array-like"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_nested_tensor(
    n_samples=300,
    n_features=150,
    n_views=60,
    *,
    beta_T=1.0,
    beta_M=2.0,
    n_clusters=2,
    view_weights=None,
    view_noise=1.0,
    random_state=None,
):
    """Simulate clustered samples that are seen in several noisy views.

    ``M = signal + Z / sqrt(n_features + n_samples)`` is hidden; view k is ``beta_T
    z_k M`` plus white noise of standard deviation ``view_noise_k / sqrt(n_features +
    n_samples + n_views)``.

    Parameters
    ----------
    n_samples, n_features, n_views : int, default=300, 150 and 60
        Shape of the tensor.
    beta_T : float, default=1.0
        Signal-to-noise ratio of the views.
    beta_M : float or array-like of shape (n_clusters - 1,), default=2.0
        Singular values of the hidden signal for clusters of equal size. With two
        clusters, half the distance of their centres.
    n_clusters : int, default=2
        Number of clusters; their centres are the corners of a simplex around the
        origin, two opposite points for two. 1: no signal at all.
    view_weights : array-like of shape (n_views,), default=None
        Profile z of the views, scaled to unit length. None: a random direction.
    view_noise : float or array-like of shape (n_views,), default=1.0
        Noise of each view relative to the model's.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        ``X`` (n_samples, n_features, n_views), ``labels`` (n_samples,), ``signal``
        (n_samples, n_features), ``view_weights`` (n_views,) and ``rank`` of the
        signal.

    Raises
    ------
    ValueError
        If `beta_M`, `view_weights` or `view_noise` has the wrong length, or all view
        weights are zero.

    References
    ----------
    Seddik, Achab, Goulart, Debbah (2023), A nested matrix-tensor model for noisy
    multi-view clustering, arXiv:2305.19992.

    Examples
    --------
    >>> from skstruct.datasets import make_nested_tensor
    >>> data = make_nested_tensor(20, 10, 4, random_state=0)
    >>> data.X.shape, data.rank
    ((20, 10, 4), 1)
    """
    rng = check_random_state(random_state)
    rank = n_clusters - 1
    strength = np.asarray(beta_M, dtype=np.float64)
    if strength.ndim > 0 and strength.shape != (rank,):
        raise ValueError(
            f"beta_M must be a number or have n_clusters - 1={rank} entries, got shape "
            f"{strength.shape}."
        )
    if rank > n_features:
        raise ValueError(
            f"n_clusters={n_clusters} must be at most n_features + 1={n_features + 1}."
        )
    noise = np.asarray(view_noise, dtype=np.float64)
    if noise.ndim > 0 and noise.shape != (n_views,):
        raise ValueError(
            f"view_noise must be a number or have n_views={n_views} entries, got shape "
            f"{noise.shape}."
        )
    if view_weights is None:
        z = rng.standard_normal(n_views)
    else:
        z = np.asarray(view_weights, dtype=np.float64)
        if z.shape != (n_views,) or not z.any():
            raise ValueError(
                f"view_weights must have n_views={n_views} entries that are not all "
                f"zero, got {view_weights}."
            )
    z = z / np.linalg.norm(z)

    labels = rng.randint(n_clusters, size=n_samples)
    signal = np.zeros((n_samples, n_features))
    if rank > 0:
        # Orthogonal columns over the clusters, each orthogonal to the constant.
        corners = helmert(n_clusters).T * np.sqrt(n_clusters / n_samples)
        axes = np.linalg.qr(rng.standard_normal((n_features, rank)))[0]
        signal = (corners[labels] * strength) @ axes.T
    hidden = signal + rng.standard_normal(signal.shape) / np.sqrt(
        n_features + n_samples
    )
    X = rng.standard_normal((n_samples, n_features, n_views))
    X *= noise / np.sqrt(n_features + n_samples + n_views)
    X += beta_T * hidden[:, :, None] * z
    return Bunch(X=X, labels=labels, signal=signal, view_weights=z, rank=rank)
