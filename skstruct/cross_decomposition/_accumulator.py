"""Standardised blocks of several views, and their moments by updates in float64."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dsyrk
from sklearn.utils import gen_batches

from ._views import block_rows, constant_columns

# Rows of a block of the joint cross-product: it should stay in the cache between
# centring and multiplication.
SYRK_ROWS = 1024


def as_dense(X, dtype=np.float64):
    """Rows of a view as a dense array of the given type, never the caller's own."""
    if sparse.issparse(X):
        return X.toarray().astype(dtype, copy=False)
    return np.array(X, dtype=dtype, order="C")


class ColumnMoments:
    """Number of rows, mean and centred sum of squares of each column.

    Batches are merged by the update of Chan, Golub and LeVeque, in float64, so that
    neither their order nor a large mean matters beyond rounding.
    """

    def __init__(self, n_features):
        self.n = 0
        self.mean = np.zeros(n_features)
        self.squares = np.zeros(n_features)

    def update(self, X):
        """Add the rows of an array, memmap or CSR matrix."""
        for rows in gen_batches(X.shape[0], block_rows(X.shape[1])):
            B = as_dense(X[rows])
            mean = B.mean(axis=0)
            B -= mean
            self._merge(len(B), mean, np.einsum("ij,ij->j", B, B))
        return self

    def _merge(self, m, mean, squares):
        n = self.n + m
        delta = mean - self.mean
        self.squares += squares + delta**2 * (self.n * m / n)
        self.mean += delta * (m / n)
        self.n = n


class JointMoments:
    """Number of rows, mean and centred cross-products of stacked views."""

    def __init__(self, n_features):
        self.n = 0
        self.mean = np.zeros(n_features)
        # Lower triangle, in the order that the rank-k update of BLAS fills in place.
        self.scatter = np.zeros((n_features, n_features), order="F")

    @property
    def squares(self):
        """Centred sum of squares of each column."""
        return np.diag(self.scatter).copy()

    def update(self, views):
        """Add rows, given as one array, memmap or CSR matrix per view."""
        n_rows, p = views[0].shape[0], len(self.mean)
        buffer = np.empty((min(SYRK_ROWS, n_rows), p))
        for rows in gen_batches(n_rows, SYRK_ROWS):
            B = buffer[: rows.stop - rows.start]
            stop = 0
            for X in views:
                part = X[rows]
                start, stop = stop, stop + X.shape[1]
                B[:, start:stop] = part.toarray() if sparse.issparse(part) else part
            self._add_block(B)
        return self

    def _add_block(self, B):
        m = len(B)
        mean = B.mean(axis=0)
        B -= mean
        n = self.n + m
        self.scatter = dsyrk(1.0, B.T, beta=1.0, c=self.scatter, lower=1, overwrite_c=1)
        if self.n:
            # The difference of the means as one more row.
            delta = (mean - self.mean) * np.sqrt(self.n * m / n)
            self.scatter = dsyrk(
                1.0, delta[:, None], beta=1.0, c=self.scatter, lower=1, overwrite_c=1
            )
        self.mean += (mean - self.mean) * (m / n)
        self.n = n

    def covariance(self, inverse_scale):
        """Covariance of the columns times `inverse_scale`, symmetric."""
        S = np.tril(self.scatter)
        S *= inverse_scale / (self.n - 1)
        S *= inverse_scale[:, None]
        diagonal = np.diag(S).copy()
        S += S.T
        np.fill_diagonal(S, diagonal)
        return S


def scale_of(moments, scale):
    """Scale of each column and which columns are constant.

    Returns
    -------
    std : ndarray of shape (p,)
        1 for a constant column, and for every column with ``scale=False``.
    inverse_scale : ndarray of shape (p,)
        ``1 / std``, but 0 for a constant column: it then stays out of everything.
    """
    n, squares = moments.n, moments.squares
    if not (np.isfinite(squares).all() and np.isfinite(moments.mean).all()):
        column = int(np.flatnonzero(~np.isfinite(squares + moments.mean))[0])
        raise ValueError(
            f"Column {column} of the views side by side has values too large for its "
            "variance in float64."
        )
    constant = constant_columns(np.sqrt(squares), moments.mean, n)
    std = np.ones(len(squares))
    if scale:
        std[~constant] = np.sqrt(squares[~constant] / (n - 1))
    return std, np.where(constant, 0.0, 1.0 / std)


class CenteredSparse:
    """CSR rows minus a mean, times an inverse scale, as a linear operator.

    Knows the two products that the streaming solver takes and never fills in.
    """

    def __init__(self, X, mean, inverse_scale, dtype):
        self.X = X.astype(dtype, copy=False)
        self.mean = mean.astype(dtype, copy=False)
        self.inverse_scale = inverse_scale.astype(dtype, copy=False)
        self.shape = X.shape
        self.dtype = np.dtype(dtype)

    def __getitem__(self, rows):
        return CenteredSparse(self.X[rows], self.mean, self.inverse_scale, self.dtype)

    def __len__(self):
        return self.shape[0]

    def __matmul__(self, W):
        W = (self.inverse_scale * W.T).T
        return self.X @ W - self.mean @ W

    def rmatmul(self, Z):
        """``X.T @ Z``."""
        product = self.X.T @ Z - np.multiply.outer(self.mean, Z.sum(axis=0))
        return (self.inverse_scale * product.T).T


def column_squares(X):
    """Sum of squares of each column of a dense or centred sparse block."""
    if isinstance(X, CenteredSparse):
        raw = X.X
        squares = np.asarray(raw.multiply(raw).sum(axis=0)).ravel()
        sums = np.asarray(raw.sum(axis=0)).ravel()
        centered = squares - X.mean * (2 * sums - len(X) * X.mean)
        return np.maximum(centered, 0) * X.inverse_scale**2
    return np.einsum("np,np->p", X, X)


def cut_rows(X, squares):
    """Copy of a block, filled in, in which no row has a larger sum of squares."""
    largest = np.finfo(X.dtype).max
    X = np.clip(filled(X), -largest, largest)
    # In units of the largest entry of a row no square overflows.
    size = np.abs(X).max(axis=1, keepdims=True, initial=0.0)
    X /= np.where(size > 0, size, 1.0)
    norm = np.sqrt(np.einsum("np,np->n", X, X))[:, None]
    length = np.minimum(size.astype(np.float64), np.sqrt(squares) / np.maximum(norm, 1))
    return X * length.astype(X.dtype)


def rmatmul(X, Z):
    """``X.T @ Z`` for a dense or centred sparse block."""
    return X.rmatmul(Z) if isinstance(X, CenteredSparse) else X.T @ Z


class StandardizedViews:
    """Blocks of rows of several views, standardised when they are read."""

    def __init__(self, views, means, inverse_scales, dtype):
        self.views = views
        self.means = [m.astype(dtype, copy=False) for m in means]
        self.inverse_scales = [s.astype(dtype, copy=False) for s in inverse_scales]
        self.dtype = np.dtype(dtype)
        self.n_rows = views[0].shape[0]
        self.sizes = [X.shape[1] for X in views]

    def block(self, rows):
        """One standardised block per view; `rows` is a slice or an index array."""
        return [
            CenteredSparse(X[rows], mean, inverse, self.dtype)
            if sparse.issparse(X)
            else self._dense(X[rows], mean, inverse)
            for X, mean, inverse in zip(self.views, self.means, self.inverse_scales)
        ]

    def dense(self, rows):
        """As :meth:`block`, with sparse views filled in."""
        return [
            self._dense(X[rows], mean, inverse)
            for X, mean, inverse in zip(self.views, self.means, self.inverse_scales)
        ]

    def _dense(self, part, mean, inverse):
        B = as_dense(part, self.dtype)
        B -= mean
        B *= inverse
        return B

    def blocks(self):
        """All rows in order, in blocks of bounded size."""
        for rows in gen_batches(self.n_rows, block_rows(sum(self.sizes))):
            yield self.block(rows)

    def products(self, weights):
        """``H[i][:, j] = X_i' X_j W_j / (n - 1)`` by one pass over the rows.

        Returns
        -------
        H : list of float64 ndarrays of shape (p_i, n_views, n_components)
        """
        K = weights[0].shape[1]
        weights = [W.astype(self.dtype, copy=False) for W in weights]
        H = [np.zeros((p, len(weights) * K)) for p in self.sizes]
        for block in self.blocks():
            Z = np.hstack([X @ W for X, W in zip(block, weights)])
            for Hi, X in zip(H, block):
                Hi += rmatmul(X, Z)
        return [(Hi / (self.n_rows - 1)).reshape(len(Hi), -1, K) for Hi in H]

    def cross_covariance(self):
        """Covariance of the first with the second view, (p_1, p_2), in float64."""
        C = np.zeros(self.sizes)
        for X, Y in self.blocks():
            if isinstance(X, CenteredSparse) or isinstance(Y, CenteredSparse):
                X, Y = (filled(A) for A in (X, Y))
            C += X.T @ Y
        C /= self.n_rows - 1
        return C


def filled(A):
    """A centred sparse block as an array; a dense one as it is."""
    return A if isinstance(A, np.ndarray) else A @ np.eye(A.shape[1], dtype=A.dtype)
