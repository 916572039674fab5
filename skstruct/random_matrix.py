"""Random matrix theory: noise edges, thresholds, shrinkage."""

# SPDX-License-Identifier: BSD-3-Clause

from functools import lru_cache
from numbers import Real

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from sklearn.utils.validation import check_array, check_scalar

__all__ = [
    "marchenko_pastur_median",
    "optimal_hard_threshold",
    "screenot_threshold",
    "usvt_threshold",
]


def marchenko_pastur_median(beta):
    """Median of the Marchenko-Pastur law with unit noise variance.

    Parameters
    ----------
    beta : float in (0, 1]
        Aspect ratio, the smaller over the larger dimension of the matrix.

    Returns
    -------
    median : float
        Median of the squared singular values of white noise divided by the larger
        dimension, in the limit of large matrices.

    Raises
    ------
    ValueError
        If `beta` is outside (0, 1].

    References
    ----------
    Gavish, Donoho (2014), The optimal hard threshold for singular values is
    4/sqrt(3), IEEE Transactions on Information Theory 60.

    Examples
    --------
    >>> from skstruct.random_matrix import marchenko_pastur_median
    >>> round(marchenko_pastur_median(1.0), 4)
    0.6528
    """
    beta = float(beta)
    if not 0.0 < beta <= 1.0:
        raise ValueError(f"beta={beta} must be in (0, 1]: smaller over larger size.")
    return _marchenko_pastur_median(beta)


@lru_cache(maxsize=512)
def _marchenko_pastur_median(beta):
    # t = (1 + beta) + 2 sqrt(beta) sin(theta) turns the density, whose square roots
    # (and for beta = 1 a pole) sit at both ends, into a smooth function of theta.
    centre, half = 1.0 + beta, 2.0 * np.sqrt(beta)

    def density(theta):
        return (half * np.cos(theta)) ** 2 / (
            2 * np.pi * beta * (centre + half * np.sin(theta))
        )

    if beta == 1.0:
        # 0/0 at the left end; the ratio is (1 - sin theta) / pi.
        def density(theta):
            return (1.0 - np.sin(theta)) / np.pi

    def excess(theta):
        return quad(density, -np.pi / 2, theta, epsabs=1e-13, limit=200)[0] - 0.5

    theta = brentq(excess, -np.pi / 2, np.pi / 2, xtol=1e-14)
    return float(centre + half * np.sin(theta))


def _aspect(shape):
    small, large = sorted(int(side) for side in shape)
    if len(tuple(shape)) != 2 or small < 1:
        raise ValueError(f"shape={shape} must be two positive integers.")
    return small, large


def _singular_values(s, shape):
    s = check_array(s, ensure_2d=False, dtype=np.float64, input_name="s")
    if s.ndim != 1 or s.size == 0 or s.size > min(shape):
        raise ValueError(
            f"s must be a vector of at most min(shape)={min(shape)} singular values, "
            f"got shape {s.shape}."
        )
    if s.min() < 0:
        raise ValueError(f"s has the negative entry {s.min()}: not singular values.")
    return s


def optimal_hard_threshold(s, shape, sigma=None):
    """Gavish-Donoho threshold of singular values in white noise.

    Keeping the singular values above it has the smallest asymptotic mean squared
    error of all hard thresholds.

    Parameters
    ----------
    s : array-like of shape (min(shape),)
        All singular values, in any order. Not used when `sigma` is given.
    shape : tuple of two ints
        Shape of the matrix, in any order.
    sigma : float, default=None
        Standard deviation of the noise. None: estimated by the median singular
        value, which is right while the rank is below half of ``min(shape)``.

    Returns
    -------
    threshold : float
        In the units of `s`.

    Raises
    ------
    ValueError
        If `s` is not a vector of ``min(shape)`` nonnegative numbers or `sigma` is
        not positive.

    References
    ----------
    Gavish, Donoho (2014), The optimal hard threshold for singular values is
    4/sqrt(3), IEEE Transactions on Information Theory 60.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.random_matrix import optimal_hard_threshold
    >>> X = np.random.default_rng(0).standard_normal((200, 100))
    >>> X += 3 * np.outer(np.ones(200), np.ones(100)) / 10
    >>> s = np.linalg.svd(X, compute_uv=False)
    >>> int(np.sum(s > optimal_hard_threshold(s, X.shape)))
    1
    """
    small, large = _aspect(shape)
    beta = small / large
    factor = np.sqrt(
        2 * (beta + 1) + 8 * beta / ((beta + 1) + np.sqrt(beta**2 + 14 * beta + 1))
    )
    if sigma is not None:
        check_scalar(sigma, "sigma", Real, min_val=0, include_boundaries="neither")
        # The LARGER side: with the smaller one the threshold sinks into the noise.
        return float(factor * np.sqrt(large) * sigma)
    s = _singular_values(s, shape)
    if s.size != small:
        raise ValueError(
            f"The median needs all {small} singular values, got {s.size}; give sigma "
            "to do without."
        )
    return float(factor / np.sqrt(marchenko_pastur_median(beta)) * np.median(s))


def screenot_threshold(s, shape, k):
    """ScreeNOT threshold: optimal hard threshold in noise of unknown correlation.

    Parameters
    ----------
    s : array-like of shape (min(shape),)
        All singular values, in any order.
    shape : tuple of two ints
        Shape of the matrix, in any order.
    k : int
        Upper bound of the rank, ``2 k + 1 < min(shape)``.

    Returns
    -------
    threshold : float
        In the units of `s`.

    Raises
    ------
    ValueError
        If `k` is negative or too large, or `s` is incomplete.

    Notes
    -----
    The top k values are replaced by pseudo-noise that continues the following ones.
    The threshold is where the functional F of the paper, which increases from minus
    infinity at the largest noise value to -2 at infinity, equals -4. The values are
    divided by the largest one first, so that the result scales with the data.

    References
    ----------
    Donoho, Gavish, Romanov (2023), ScreeNOT: Exact MSE-optimal singular value
    thresholding in correlated noise, Annals of Statistics 51.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.random_matrix import screenot_threshold
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 100)) * np.linspace(0.5, 2, 100)
    >>> X += 40 * np.outer(np.ones(200), np.ones(100)) / np.sqrt(200 * 100)
    >>> s = np.linalg.svd(X, compute_uv=False)
    >>> int(np.sum(s > screenot_threshold(s, X.shape, k=10)))
    1
    """
    small, large = _aspect(shape)
    s = np.sort(_singular_values(s, shape))[::-1]
    if s.size != small:
        raise ValueError(f"All {small} singular values are needed, got {s.size}.")
    if k < 0 or 2 * k + 1 >= small:
        raise ValueError(
            f"k={k} must be nonnegative with 2 k + 1 < min(shape)={small}."
        )
    scale = s[k]
    if scale == 0.0:
        return 0.0
    f = s / scale
    if k > 0:
        step = (1 - (np.arange(k) / k) ** (2 / 3)) / (2 ** (2 / 3) - 1)
        f[:k] = f[k] + step * (f[k] - f[2 * k])
    gamma = small / large
    top = f.max()

    def excess(y):
        gap = (y - f) * (y + f)
        phi = np.mean(y / gap)
        dphi = -np.mean((y * y + f * f) / gap**2)
        other = gamma * phi + (1 - gamma) / y
        dother = gamma * dphi - (1 - gamma) / y**2
        return y * (dphi / phi + dother / other) + 4.0

    low = top * (1 + 1e-10)
    if excess(low) >= 0:
        # All noise values are equal to rounding: nothing separates above them.
        return float(scale * low)
    high = 2 * top
    while excess(high) < 0:
        high *= 2
    return float(scale * brentq(excess, low, high, xtol=1e-300, rtol=1e-13))


def usvt_threshold(shape, p_hat, *, rule="chatterjee", eta=0.01, noise_variance=None):
    """Universal thresholds for a zero-filled matrix with entries in [-1, 1].

    Parameters
    ----------
    shape : tuple of two ints
        Shape of the matrix, in any order.
    p_hat : float in (0, 1]
        Observed fraction of the entries.
    rule : {"chatterjee", "fairness"}, default="chatterjee"
        "chatterjee": ``(2 + eta) sqrt(max(shape) q)``, where q is `p_hat`, or
        ``p v + p (1 - p) (1 - v)`` with a known bound v = `noise_variance`.
        "fairness": ``(2 + eta) sqrt(max(shape) p (1 - p) v)``, 0 without missing
        entries.
    eta : float, default=0.01
        Any positive number; small, as in the papers.
    noise_variance : float in (0, 1], default=None
        Bound of the noise variance of an entry. None: 1, the bound that entries in
        [-1, 1] always satisfy.

    Returns
    -------
    threshold : float

    Raises
    ------
    ValueError
        If a parameter is outside its interval.

    References
    ----------
    Chatterjee (2015), Matrix estimation by universal singular value thresholding,
    Annals of Statistics 43. Zhang, Cen, Shah (2023), Matrix estimation for
    individual fairness, ICML.

    Examples
    --------
    >>> from skstruct.random_matrix import usvt_threshold
    >>> round(usvt_threshold((100, 50), 0.25, eta=0.01), 2)
    10.05
    """
    _, large = _aspect(shape)
    check_scalar(p_hat, "p_hat", Real, min_val=0, max_val=1, include_boundaries="right")
    check_scalar(eta, "eta", Real, min_val=0)
    if noise_variance is not None:
        check_scalar(
            noise_variance,
            "noise_variance",
            Real,
            min_val=0,
            max_val=1,
            include_boundaries="right",
        )
    v = 1.0 if noise_variance is None else noise_variance
    if rule == "chatterjee":
        q = p_hat * v + p_hat * (1 - p_hat) * (1 - v)
    elif rule == "fairness":
        q = p_hat * (1 - p_hat) * v
    else:
        raise ValueError(f"rule={rule!r} must be 'chatterjee' or 'fairness'.")
    return float((2 + eta) * np.sqrt(large * q))
