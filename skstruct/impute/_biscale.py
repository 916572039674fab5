# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import check_array

from ._base import as_entries


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "row_center": ["boolean"],
        "row_scale": ["boolean"],
        "col_center": ["boolean"],
        "col_scale": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def biscale(
    X,
    *,
    row_center=True,
    row_scale=True,
    col_center=True,
    col_scale=True,
    max_iter=100,
    tol=1e-9,
):
    """Centre and scale the rows and columns of an incomplete matrix together.

    Finds a, b, t, g so that the observed ``(x_ij - a_i - b_j) / (t_i g_j)`` have mean
    zero and mean square one in every row and column. The centres are additive in the
    original units: standardising rows and columns in turn gives something else.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        NaN is missing; in a sparse matrix what is not stored is missing.
    row_center, row_scale, col_center, col_scale : bool, default=True
        Which of the four are fitted; the others stay at 0 and 1.
    max_iter : int, default=100
        Largest number of sweeps.
    tol : float, default=1e-9
        Stop when no centre or scale changes by more than this, relative to the root
        mean square of the observed entries.

    Returns
    -------
    result : Bunch
        ``X`` (same form as the input), ``row_mean`` (n_samples,), ``col_mean``
        (n_features,), ``row_scale`` (n_samples,), ``col_scale`` (n_features,) and
        ``n_iter``. A line without observed entries has centre 0 and scale 1; so has
        the scale of a line whose centred entries are all zero.

    Raises
    ------
    ValueError
        If nothing is observed or an entry is infinite.

    References
    ----------
    Hastie, Mazumder, Lee, Zadeh (2015), Matrix completion and low-rank SVD via fast
    alternating least squares, JMLR 16.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.impute import biscale
    >>> X = np.random.default_rng(0).normal(5, 2, size=(30, 8))
    >>> X[0, 0] = np.nan
    >>> scaled = biscale(X).X
    >>> bool(np.abs(np.nanmean(scaled, axis=0)).max() < 1e-6)
    True
    """
    X = check_array(
        X,
        accept_sparse=("csr", "csc", "coo"),
        dtype=np.float64,
        ensure_all_finite="allow-nan",
    )
    if sparse.issparse(X):
        X = as_entries(X)
        i = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        j, x = X.indices, X.data
    else:
        i, j = np.nonzero(~np.isnan(X))
        x = X[i, j]
    if x.size == 0:
        raise ValueError(f"X of shape {X.shape} has no observed entry.")
    n, p = X.shape
    a, t, b, g = np.zeros(n), np.ones(n), np.zeros(p), np.ones(p)
    unit = np.sqrt(np.mean(x**2)) or 1.0
    change, sweep = np.inf, 0
    while sweep < max_iter and change > tol * unit:
        old = a, b, t, g
        if row_center:
            a = _weighted_mean(x - b[j], i, 1.0 / g[j], n)
        if col_center:
            b = _weighted_mean(x - a[i], j, 1.0 / t[i], p)
        if row_scale:
            t = _root_mean_square((x - a[i] - b[j]) / g[j], i, n)
        if col_scale:
            g = _root_mean_square((x - a[i] - b[j]) / t[i], j, p)
        change = max(np.abs(u - v).max() for u, v in zip(old, (a, b, t, g)))
        sweep += 1
    if change > tol * unit:
        warnings.warn(
            f"biscale stopped after max_iter={max_iter} sweeps with a change of "
            f"{change:.3g}, above tol={tol:.3g} times the data's root mean square "
            f"{unit:.3g}. Increase max_iter.",
            ConvergenceWarning,
            stacklevel=2,
        )
    values = (x - a[i] - b[j]) / (t[i] * g[j])
    if sparse.issparse(X):
        scaled = sparse.csr_array((values, X.indices, X.indptr), shape=X.shape)
    else:
        scaled = np.full(X.shape, np.nan)
        scaled[i, j] = values
    return Bunch(
        X=scaled, row_mean=a, col_mean=b, row_scale=t, col_scale=g, n_iter=sweep
    )


def _weighted_mean(values, index, weights, n):
    total = np.bincount(index, weights, minlength=n)
    mean = np.bincount(index, values * weights, minlength=n)
    return np.divide(mean, total, out=np.zeros(n), where=total > 0)


def _root_mean_square(values, index, n):
    count = np.bincount(index, minlength=n)
    square = np.bincount(index, values**2, minlength=n) / np.maximum(count, 1)
    return np.where(square > 0, np.sqrt(square), 1.0)
