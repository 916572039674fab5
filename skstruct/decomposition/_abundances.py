"""Abundances for known endmembers."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils._param_validation import validate_params

from .._validation import FLOAT_DTYPES
from ._ss_nmf_holes import check_known, solve_rows_with_holes
from ._ss_nmf_kernels import solve_rows
from ._ss_nmf_solver import chunks_of


def _solve(X, M, simplex):
    X = check_array(
        X, accept_sparse="csr", dtype=list(FLOAT_DTYPES), ensure_all_finite="allow-nan"
    )
    if sparse.issparse(X) and np.isnan(X.data).any():
        check_known(X)
    M = check_array(M, dtype=np.float64, input_name="M")
    if X.shape[1] != M.shape[1]:
        raise ValueError(f"X has {X.shape[1]} bands, M has {M.shape[1]}.")
    G = M @ M.T
    A = np.zeros((X.shape[0], M.shape[0]), dtype=X.dtype)
    for rows in chunks_of(X):
        block = X[rows]
        if not sparse.issparse(block):
            # One unit in the last place of float32 would be visible in the gap.
            block = block.astype(np.float64, copy=False)
        C = np.ascontiguousarray(block @ M.T)
        solve_rows(G, C, simplex, A[rows])
        if not sparse.issparse(block) and np.isnan(C).any():
            solve_rows_with_holes(block, M, simplex, A[rows])
    return A


@validate_params(
    {"X": ["array-like", "sparse matrix"], "M": ["array-like"]},
    prefer_skip_nested_validation=True,
)
def nnls_abundances(X, M):
    """Non-negative least squares abundances of every pixel.

    Minimises ``||x - a M||^2`` over ``a >= 0`` for each row x of `X`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_pixels, n_bands)
        Spectra in rows. NaN is a missing value: the other bands of the pixel decide.
    M : array-like of shape (n_endmembers, n_bands)
        Endmembers.

    Returns
    -------
    A : ndarray of shape (n_pixels, n_endmembers)
        In the type of `X`. Exact up to rounding; for endmembers that are linearly
        dependent one of the solutions.

    Raises
    ------
    ValueError
        If the numbers of bands differ.

    Notes
    -----
    One product with `M`, then an active-set method on the K x K normal equations of
    each pixel: ``O(N (L K + K^3))``, independent of the number of bands after the
    product. A pixel with missing values has normal equations of its own, ``O(L K^2)``.

    References
    ----------
    Lawson, Hanson (1974), Solving least squares problems. Bro, De Jong (1997), A fast
    non-negativity-constrained least squares algorithm, Journal of Chemometrics 11.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.decomposition import nnls_abundances
    >>> M = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    >>> nnls_abundances([[2.0, 1.0, 3.0]], M).round(6)
    array([[2., 1.]])
    """
    return _solve(X, M, False)


@validate_params(
    {"X": ["array-like", "sparse matrix"], "M": ["array-like"]},
    prefer_skip_nested_validation=True,
)
def fcls(X, M):
    """Fully constrained least squares: abundances that sum to one.

    Minimises ``||x - a M||^2`` over ``a >= 0`` with ``sum a = 1`` for each row x of
    `X`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_pixels, n_bands)
        Spectra in rows, in the units of `M`. NaN is a missing value: the other bands
        of the pixel decide.
    M : array-like of shape (n_endmembers, n_bands)
        Endmembers.

    Returns
    -------
    A : ndarray of shape (n_pixels, n_endmembers)
        In the type of `X`; rows sum to one. Exact up to rounding.

    Raises
    ------
    ValueError
        If the numbers of bands differ.

    Notes
    -----
    The sum is a constraint of the quadratic program, not a heavily weighted
    additional band: no weight has to be chosen. Cost as :func:`nnls_abundances`.

    References
    ----------
    Heinz, Chang (2001), Fully constrained least squares linear spectral mixture
    analysis method for material quantification in hyperspectral imagery, IEEE TGRS
    39.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.decomposition import fcls
    >>> M = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    >>> fcls([[0.25, 0.75, 1.0], [9.0, 0.0, 9.0]], M).round(6)
    array([[0.25, 0.75],
           [1.  , 0.  ]])
    """
    return _solve(X, M, True)
