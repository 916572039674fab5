"""Standardised blocks of several views, and their moments by updates in float64."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dger
from sklearn.utils import gen_batches

from ._views import block_rows, constant_columns

# Entries of a block that is read several times: 1 MB of float64.
CACHE_ENTRIES = 131_072
# Rows whose mean serves as a first centre.
CENTER_ROWS = 256


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


# Entries that are not finite show in the sums; who asked for these will tell.
@np.errstate(over="ignore", invalid="ignore")
def _center(X, mean=None, variances=None):
    """What to subtract from the columns of X before squares are summed, or None.

    Centring afterwards costs the digits by which squared means exceed variances, so
    that nothing needs to be subtracted (nor copied) where they hardly do. The mean of
    the rows so far, or of a first block, is near enough to the final one.
    """
    if mean is None:
        block = as_dense(X[:CENTER_ROWS])
        mean = block.mean(axis=0)
        variances = np.mean((block - mean) ** 2, axis=0)
    return mean if np.any(mean**2 > 4 * variances) else None


@np.errstate(over="ignore", invalid="ignore")
def add_products(products, views, centers):
    """Add ``X_i' X_j`` of rows minus given centres to arrays, in float64.

    Parameters
    ----------
    products : dict of (i, j) -> ndarray of shape (p_i, p_j)
        Changed in place.
    views : list of arrays, memmaps or CSR matrices
    centers : list of ndarrays of shape (p_i,) or None

    Returns
    -------
    sums : list of ndarrays of shape (p_i,)
    squares : list of ndarrays of shape (p_i,)
        Of the columns of views whose own product is not wanted; else zero.
    """
    n = views[0].shape[0]
    sums, squares = ([np.zeros(X.shape[1]) for X in views] for _ in range(2))
    as_they_are = [
        not sparse.issparse(X) and X.dtype == np.float64 and center is None
        for X, center in zip(views, centers)
    ]
    # Without a copy of the rows nothing has to be cut to fit in memory.
    size = n if all(as_they_are) else block_rows(sum(X.shape[1] for X in views))
    for rows in gen_batches(n, size):
        block = [
            np.asarray(X[rows]) if ready else _shifted(X[rows], center)
            for X, center, ready in zip(views, centers, as_they_are)
        ]
        for i, X in enumerate(block):
            if (i, i) in products:
                sums[i] += np.ones(len(X)) @ X
                continue
            # Both while a part of the rows is in the cache.
            for part in gen_batches(len(X), max(64, CACHE_ENTRIES // X.shape[1])):
                sums[i] += np.ones(len(X[part])) @ X[part]
                squares[i] += np.einsum("np,np->p", X[part], X[part])
        for (i, j), product in products.items():
            # numpy multiplies a matrix with itself in half the time.
            product += block[i].T @ block[j]
    return sums, squares


def _shifted(part, center):
    B = part.toarray() if sparse.issparse(part) else part
    if center is None:
        return B.astype(np.float64, copy=False)
    return np.subtract(B, center, dtype=np.float64)


class JointMoments:
    """Number of rows, mean and centred cross-products of stacked views."""

    def __init__(self, n_features):
        self.n = 0
        self.mean = np.zeros(n_features)
        self.scatter = np.zeros((n_features, n_features))

    @property
    def squares(self):
        """Centred sum of squares of each column."""
        return np.maximum(np.diag(self.scatter), 0.0)

    @np.errstate(over="ignore", invalid="ignore")
    def update(self, views):
        """Add rows, given as one array, memmap or CSR matrix per view."""
        stops = np.cumsum([X.shape[1] for X in views])
        cuts = [slice(stop - X.shape[1], stop) for X, stop in zip(views, stops)]
        if self.n:
            variances = self.squares / self.n
            centers = [
                _center(X, self.mean[c], variances[c]) for X, c in zip(views, cuts)
            ]
        else:
            centers = [_center(X) for X in views]
        lower = {
            (i, j): self.scatter[cuts[i], cuts[j]]
            for i in range(len(views))
            for j in range(i + 1)
        }
        m = views[0].shape[0]
        sums, _ = add_products(lower, views, centers)
        for (i, j), product in lower.items():
            if i != j:
                self.scatter[cuts[j], cuts[i]] = product.T
        shift = np.concatenate(sums) / m
        mean = shift + np.concatenate(
            [np.zeros(len(t)) if c is None else c for t, c in zip(sums, centers)]
        )
        n = self.n + m
        delta = mean - self.mean
        self._add_row(-m, shift)
        if self.n:
            # The difference of the means as one more row.
            self._add_row(self.n * m / n, delta)
        self.mean = self.mean + delta * (m / n)
        self.n = n
        return self

    def _add_row(self, weight, x):
        # The transpose is in the order that BLAS updates in place.
        dger(weight, x, x, a=self.scatter.T, overwrite_a=1)

    def covariance(self, inverse_scale):
        """Covariance of the columns times `inverse_scale`, symmetric."""
        S = self.scatter * (inverse_scale / (self.n - 1))
        S *= inverse_scale[:, None]
        return S


@np.errstate(over="ignore", invalid="ignore")
def cross_moments(X, Y):
    """Column moments of two views and their centred cross-product, in one pass.

    Returns
    -------
    moments : list of ColumnMoments
    C : ndarray of shape (p, q)
        ``X'Y`` of the centred views.
    """
    centers = [_center(X), _center(Y)]
    C = np.zeros((Y.shape[1], X.shape[1]))
    sums, squares = add_products({(1, 0): C}, [X, Y], centers)
    moments = []
    for t, total, center in zip(sums, squares, centers):
        found = ColumnMoments(len(t))
        found.n, found.mean = X.shape[0], t / X.shape[0]
        found.squares = np.maximum(total - t * found.mean, 0.0)
        if center is not None:
            found.mean = found.mean + center
        moments.append(found)
    dger(-1.0 / X.shape[0], *sums, a=C.T, overwrite_a=1)
    return moments, C.T


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


class CenteredRows:
    """Rows minus a mean, times an inverse scale, as a linear operator.

    Knows the two products that the solvers take; CSR rows are never filled in, and
    dense ones in float64 not copied.
    """

    def __init__(self, X, mean, inverse_scale, dtype):
        self.X = X.astype(dtype, copy=False)
        self.mean = mean.astype(dtype, copy=False)
        self.inverse_scale = inverse_scale.astype(dtype, copy=False)
        self.shape = X.shape
        self.dtype = np.dtype(dtype)

    def __getitem__(self, rows):
        return CenteredRows(self.X[rows], self.mean, self.inverse_scale, self.dtype)

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
    if isinstance(X, CenteredRows):
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
    return X.rmatmul(Z) if isinstance(X, CenteredRows) else X.T @ Z


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
            CenteredRows(X[rows], mean, inverse, self.dtype)
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
        """All rows in order, in blocks that stay in the cache, copied only if needed.

        Single precision has no digits to spare for a mean that is not subtracted.
        """
        width = sum(self.sizes)
        for rows in gen_batches(self.n_rows, max(64, CACHE_ENTRIES // width)):
            yield [
                CenteredRows(X[rows], mean, inverse, self.dtype)
                if sparse.issparse(X) or X.dtype == self.dtype == np.float64
                else self._dense(X[rows], mean, inverse)
                for X, mean, inverse in zip(self.views, self.means, self.inverse_scales)
            ]

    def products(self, weights, *, within=False):
        """``H[i][:, j] = X_i' X_j W_j / (n - 1)`` by one pass over the rows.

        Parameters
        ----------
        weights : list of ndarrays of shape (p_i, n_components)
        within : bool
            Whether only j = i is wanted.

        Returns
        -------
        H : list of float64 ndarrays of shape (p_i, n_views or 1, n_components)
        """
        M, K = len(weights), weights[0].shape[1]
        weights = [W.astype(self.dtype, copy=False) for W in weights]
        H = [np.zeros((p, K if within else M * K)) for p in self.sizes]
        for block in self.blocks():
            Z = [X @ W for X, W in zip(block, weights)]
            if not within:
                Z = [np.hstack(Z)] * M
            for Hi, X, Zi in zip(H, block, Z):
                Hi += rmatmul(X, Zi)
        return [(Hi / (self.n_rows - 1)).reshape(len(Hi), -1, K) for Hi in H]


def filled(A):
    """A centred sparse block as an array; a dense one as it is."""
    return A if isinstance(A, np.ndarray) else A @ np.eye(A.shape[1], dtype=A.dtype)
