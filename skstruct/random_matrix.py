"""Random matrix theory: noise edges, thresholds, shrinkage."""

# SPDX-License-Identifier: BSD-3-Clause

from functools import lru_cache
from numbers import Integral, Real

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_scalar

__all__ = [
    "bbp_alignment",
    "estimate_rank",
    "marchenko_pastur_median",
    "optimal_hard_threshold",
    "screenot_threshold",
    "spike_inverse",
    "spike_shrink",
    "usvt_threshold",
]

# Quantile 0.99 of the Tracy-Widom law of real matrices.
_TRACY_WIDOM_99 = 2.0234


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
    sides = sorted(int(side) for side in shape)
    if len(sides) != 2 or sides[0] < 1:
        raise ValueError(f"shape={shape} must be two positive integers.")
    small, large = sides
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


def _spike_strength(y, beta):
    """theta of the normalised singular value y; 0 up to the edge 1 + sqrt(beta)."""
    # (y - edge)(y + edge), not y^2 - edge^2: no cancellation just above the edge.
    above = np.maximum(y - (1 + np.sqrt(beta)), 0) * (y + 1 + np.sqrt(beta))
    # t + sqrt(t^2 - 4 beta) with t = above + 2 sqrt(beta)
    t = above + 2 * np.sqrt(beta)
    root = np.sqrt(above * (above + 4 * np.sqrt(beta)))
    return np.where(above > 0, np.sqrt((t + root) / 2), 0.0)


def _noise_level(s, shape):
    """Noise standard deviation by the median of all singular values."""
    small, large = _aspect(shape)
    if s.size != small:
        raise ValueError(
            f"The median needs all {small} singular values, got {s.size}; give sigma "
            "to do without."
        )
    return float(np.median(s) / np.sqrt(large * marchenko_pastur_median(small / large)))


def _normalised(s, shape, sigma):
    """Check the arguments; return s, s / unit, beta, and the unit sigma sqrt(n)."""
    small, large = _aspect(shape)
    s = _singular_values(s, shape)
    if sigma is None:
        sigma = _noise_level(s, shape)
    else:
        check_scalar(sigma, "sigma", Real, min_val=0)
    unit = sigma * np.sqrt(large)
    # Without noise every nonzero value is a spike of infinite strength.
    y = s / unit if unit > 0 else np.where(s > 0, np.inf, 0.0)
    return s, y, small / large, unit


def spike_shrink(s, shape, *, sigma=None, loss="frobenius"):
    """Shrink singular values of a low-rank matrix seen in white noise.

    The rule is the asymptotically best one for its loss among all functions that act
    on singular values.

    Parameters
    ----------
    s : array-like of shape (n_values,)
        Singular values, in any order; all ``min(shape)`` of them when `sigma` is
        None.
    shape : tuple of two ints
        Shape of the matrix, in any order.
    sigma : float, default=None
        Standard deviation of the noise. None: estimated by the median singular
        value, which is right while the rank is below half of ``min(shape)``.
    loss : {"frobenius", "operator", "nuclear"}, default="frobenius"
        Norm of the error that is made small. "operator" undoes the inflation by
        noise and is the value of `spike_inverse`; the other two also pay for the
        turned singular vectors.

    Returns
    -------
    shrunk : ndarray of shape (n_values,)
        In the units of `s`; 0 up to the noise edge.

    Raises
    ------
    ValueError
        If `s` is not a vector of nonnegative numbers, is incomplete without `sigma`,
        or `loss` is unknown.

    References
    ----------
    Gavish, Donoho (2017), Optimal shrinkage of singular values, IEEE Transactions on
    Information Theory 63.

    Examples
    --------
    >>> from skstruct.random_matrix import spike_shrink
    >>> spike_shrink([30.0, 15.0], (100, 100), sigma=1.0).round(2)
    array([22.36,  0.  ])
    """
    s, y, beta, unit = _normalised(s, shape, sigma)
    if loss not in ("frobenius", "operator", "nuclear"):
        raise ValueError(f"loss={loss!r} must be 'frobenius', 'operator' or 'nuclear'.")
    return _shrink(s, y, beta, unit, loss)


def _shrink(s, y, beta, unit, loss):
    """Shrunk values s, which are `y` in units of `unit`."""
    if unit == 0:
        return s.copy()
    theta = _spike_strength(y, beta)
    if loss == "operator":
        return unit * theta
    inside = theta > 0
    safe = np.where(inside, theta, 1.0)
    if loss == "frobenius":
        # sqrt(t^2 - 4 beta) / y, with sqrt(t^2 - 4 beta) = theta^2 - beta / theta^2
        shrunk = (safe**2 - beta / safe**2) / np.where(inside, y, 1.0)
    else:
        y = np.where(inside, y, 1.0)
        shrunk = (safe**2 - beta / safe**2) / y - np.sqrt(beta) / safe
    return unit * np.where(inside, np.maximum(shrunk, 0.0), 0.0)


def spike_inverse(s, shape, *, sigma=None):
    """Singular values that a low-rank matrix had before white noise was added.

    Parameters
    ----------
    s : array-like of shape (n_values,)
        Singular values, in any order; all ``min(shape)`` of them when `sigma` is
        None.
    shape : tuple of two ints
        Shape of the matrix, in any order.
    sigma : float, default=None
        Standard deviation of the noise. None: estimated by the median singular
        value, which is right while the rank is below half of ``min(shape)``.

    Returns
    -------
    strength : ndarray of shape (n_values,)
        In the units of `s`; 0 up to the noise edge, where nothing can be told.

    Raises
    ------
    ValueError
        If `s` is not a vector of nonnegative numbers, or is incomplete without
        `sigma`.

    References
    ----------
    Benaych-Georges, Nadakuditi (2012), The singular values and vectors of low rank
    perturbations of large rectangular random matrices, Journal of Multivariate
    Analysis 111.

    Examples
    --------
    >>> from skstruct.random_matrix import spike_inverse
    >>> spike_inverse([25.0, 15.0], (100, 100), sigma=1.0).round(2)
    array([20.,  0.])
    """
    s, y, beta, unit = _normalised(s, shape, sigma)
    return s.copy() if unit == 0 else unit * _spike_strength(y, beta)


def bbp_alignment(theta, shape):
    """Squared cosine between the singular vectors of signal and of signal plus noise.

    Parameters
    ----------
    theta : float or array-like
        Strength of the signal's singular value, in units of the noise's standard
        deviation times ``sqrt(max(shape))``.
    shape : tuple of two ints
        (rows, columns) of the matrix.

    Returns
    -------
    rows, columns : floats, or ndarrays of the shape of `theta`
        Squared cosines of the left vector (one entry per row) and of the right one;
        0 where theta is at or below the threshold ``(min / max) ** (1 / 4)``.

    Raises
    ------
    ValueError
        If `theta` has negative entries or NaN.

    References
    ----------
    Benaych-Georges, Nadakuditi (2012), The singular values and vectors of low rank
    perturbations of large rectangular random matrices, Journal of Multivariate
    Analysis 111.

    Examples
    --------
    >>> from skstruct.random_matrix import bbp_alignment
    >>> rows, columns = bbp_alignment(1.5, (100, 200))
    >>> round(rows, 3), round(columns, 3)
    (0.737, 0.624)
    """
    small, large = _aspect(shape)
    beta = small / large
    strength = np.asarray(theta, dtype=np.float64)
    if not np.all(strength >= 0):
        raise ValueError(f"theta={theta} must be nonnegative.")
    found = strength > beta**0.25
    # In 1 / theta^2, so that an infinite theta gives 1.
    with np.errstate(divide="ignore"):
        x = np.where(found, 1 / strength**2, 0.0)
    short_side = np.where(found, 1 - beta * x * (x + 1) / (1 + beta * x), 0.0)
    long_side = np.where(found, 1 - x * (1 + beta * x) / (1 + x), 0.0)
    pair = (short_side, long_side) if shape[0] <= shape[1] else (long_side, short_side)
    return tuple(float(side) for side in pair) if strength.ndim == 0 else pair


def _edge_margin(shape, eps):
    """Factor on the noise edge; eps=None: the Tracy-Widom level of one in a hundred."""
    if eps is not None:
        return 1 + eps
    root_n, root_p = np.sqrt(max(shape)), np.sqrt(min(shape))
    # Johnstone's scale of the largest eigenvalue, relative to the squared edge.
    scale = (1 / root_n + 1 / root_p) ** (1 / 3) / (root_n + root_p)
    return np.sqrt(1 + _TRACY_WIDOM_99 * scale)


def estimate_rank(
    X,
    *,
    sigma=None,
    eps=0.01,
    method="edge",
    n_permutations=20,
    random_state=None,
):
    """Count the singular values of a matrix that noise cannot explain.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_columns)
        Matrix, used as it is: centre it first where the mean is of no interest.
    sigma : float, default=None
        Standard deviation of white noise, for ``method="edge"``. None: estimated by
        the median singular value, which is right while the rank is below half of
        ``min(n_rows, n_columns)``.
    eps : float or None, default=0.01
        Relative margin above the noise edge ``sigma (sqrt(n) + sqrt(p))``. The
        default lets noise alone pass in some 5 % of matrices with 100 to 300 rows,
        and more rarely in larger ones. None: a margin for 1 % at every size, from
        the Tracy-Widom law.
    method : {"edge", "permutation"}, default="edge"
        "edge" supposes white Gaussian noise. "permutation" measures the edge on
        copies whose columns are centred and shuffled one by one, which keeps each
        column's own noise level and heavy tails; found components are taken out and
        the edge is measured again, until no further one is found.
    n_permutations : int, default=20
        Number of shuffled copies; the edge is the largest of their singular values.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling.

    Returns
    -------
    rank : int

    Raises
    ------
    ValueError
        If `X` is not a finite matrix or a parameter is out of range.

    References
    ----------
    Gavish, Donoho (2014), The optimal hard threshold for singular values is
    4/sqrt(3), IEEE Transactions on Information Theory 60. Buja, Eyuboglu (1992),
    Remarks on parallel analysis, Multivariate Behavioral Research 27.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.random_matrix import estimate_rank
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 100))
    >>> estimate_rank(signal + rng.standard_normal((200, 100)))
    3
    """
    X = check_array(X, dtype=np.float64, input_name="X")
    if eps is not None:
        check_scalar(eps, "eps", Real, min_val=0)
    if method not in ("edge", "permutation"):
        raise ValueError(f"method={method!r} must be 'edge' or 'permutation'.")
    margin = _edge_margin(X.shape, eps)
    if method == "edge":
        s = np.linalg.svd(X, compute_uv=False)
        if sigma is None:
            sigma = _noise_level(s, X.shape)
        else:
            check_scalar(sigma, "sigma", Real, min_val=0)
        edge = sigma * (np.sqrt(X.shape[0]) + np.sqrt(X.shape[1]))
        return int(np.sum(s > max(margin * edge, _rounding(s, X.shape))))

    check_scalar(n_permutations, "n_permutations", Integral, min_val=1)
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31))
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    rank = 0
    while rank < s.size:
        residual = (U[:, rank:] * s[rank:]) @ Vt[rank:]
        residual -= residual.mean(axis=0)
        edge = max(
            np.linalg.norm(rng.permuted(residual, axis=0), 2)
            for _ in range(n_permutations)
        )
        new = int(np.sum(s[rank:] > max(margin * edge, _rounding(s, X.shape))))
        if new == 0:
            break
        rank += new
    return rank


def _rounding(s, shape):
    """Singular values below this are rounding errors of the largest one."""
    return s.max() * max(shape) * np.finfo(np.float64).eps
