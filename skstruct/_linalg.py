"""Linear algebra that several families need."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, svds
from sklearn.utils.extmath import randomized_svd

# Up to this side a Gram matrix is decomposed in less time than Lanczos takes.
LARGEST_GRAM_SIDE = 1000
# From this side on Lanczos finds one eigenvector faster than LAPACK, also in noise.
_LANCZOS_SIDE = 150


def thin_svd(C):
    """SVD of a tall matrix (n, r) by QR, in float64.

    Returns
    -------
    U : ndarray of shape (n, r), s : ndarray of shape (r,), Wt : ndarray of shape (r, r)
    """
    if C.shape[1] == 0:
        return C, np.zeros(0), np.zeros((0, 0))
    Q, R = np.linalg.qr(C)
    small, s, Wt = np.linalg.svd(R, full_matrices=False)
    return Q @ small, s, Wt


def compress(A, B):
    """SVD of ``A @ B.T`` from tall factors: ``U, s, V`` with orthonormal columns."""
    if A.shape[1] == 0:
        return A, np.zeros(0), B
    Qa, Ra = np.linalg.qr(A)
    Qb, Rb = np.linalg.qr(B)
    left, s, right = np.linalg.svd(Ra @ Rb.T, full_matrices=False)
    return Qa @ left, s, Qb @ right.T


def whitening(S, *, cut=1e-10):
    """W of shape (p, r) with ``W' S W = I`` on the range of a covariance matrix S.

    Eigenvalues of the correlation matrix below the share `cut` of the largest count as
    zero; a variable without variance gets no weight.
    """
    # Variables of very different sizes are no reason to drop the small ones.
    size = np.sqrt(np.diag(S))
    unit = np.where(size > 0, size, 1.0)
    d, V = linalg.eigh(S / np.outer(unit, unit), check_finite=False)
    kept = d > cut * max(d[-1], 0.0)
    W = V[:, kept] / np.sqrt(d[kept]) / unit[:, None]
    W[size == 0] = 0.0
    return W


def largest_triplets(operator, k, *, tol=1e-6):
    """The k largest singular triplets, descending, of a matrix or operator.

    A dense LAPACK SVD where the matrix is small or a good part of the values is
    wanted, else implicitly restarted Lanczos from a fixed start vector, so that the
    result is reproducible. The values are exact to about ``tol**2``.

    Returns
    -------
    U : (n, k), s : (k,), V : (p, k)
    """
    n, p = operator.shape
    small = min(n, p)
    k = min(k, small)
    if k == 0:
        return np.zeros((n, 0)), np.zeros(0), np.zeros((p, 0))
    if (
        small <= 64
        or k > small // 3
        or (n * p <= 250_000 and not _is_operator(operator))
    ):
        dense = operator @ np.eye(p) if _is_operator(operator) else _dense(operator)
        U, s, Vt = linalg.svd(dense, full_matrices=False, check_finite=False)
        return U[:, :k], s[:k], Vt[:k].T
    v0 = np.random.default_rng(0).standard_normal(small)
    try:
        # Spectra with many equal leading values need more room than the default.
        U, s, Vt = svds(operator, k=k, v0=v0, tol=tol, ncv=min(small, 2 * k + 20))
    except ArpackNoConvergence:
        U, s, Vt = randomized_svd(operator, k, n_iter=30, random_state=0)
    order = np.argsort(s)[::-1]
    return U[:, order], s[order], Vt[order].T


def leading_triplets(M, k, *, floor=1e-4):
    """As :func:`largest_triplets`, for few triplets of a dense matrix.

    From the smaller Gram matrix, unless the k-th eigenvalue of it is below the share
    `floor` of the first: relative errors are at most about ``1e-16 / floor``.
    """
    wide = M.shape[0] <= M.shape[1]
    size = min(M.shape)
    if 0 < k <= size // 3 and size <= LARGEST_GRAM_SIDE:
        G = M @ M.T if wide else M.T @ M
        d, Q = _leading_eigenpairs(G, k, tol=1e-16 / floor)
        if d[0] > floor * d[-1]:
            s, Q = np.sqrt(d[::-1]), Q[:, ::-1]
            other = (M.T if wide else M) @ Q / s
            return (Q, s, other) if wide else (other, s, Q)
    return largest_triplets(M, k, tol=0)


def _leading_eigenpairs(G, k, tol):
    """The k largest, ascending, of a symmetric matrix."""
    size, total = len(G), np.trace(G)
    if k == 1 and size >= _LANCZOS_SIDE and total > 0:
        v0 = np.random.default_rng(0).standard_normal(size)
        try:
            # ARPACK takes tolerances as absolute where eigenvalues are small.
            d, Q = eigsh(G / total, k=1, which="LA", v0=v0, tol=tol)
            return d * total, Q
        except ArpackNoConvergence:
            pass  # LAPACK has no such case.
    return linalg.eigh(G, subset_by_index=(size - k, size - 1), check_finite=False)


def _is_operator(matrix):
    return isinstance(matrix, LinearOperator)


def _dense(matrix):
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix
