"""A standardised view as the sparse solvers see it: products with few columns."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator
from sklearn.utils import gen_batches

from .._linalg import largest_triplets
from ._views import column_standardization

# Up to this side the Gram matrix of rows or columns is formed and decomposed; beyond
# it a Lanczos iteration over the data is cheaper.
LARGEST_GRAM = 2000


class StandardView:
    """Centred and scaled columns of one view, held as rows of a float64 copy.

    Constant columns are exactly zero. With many more rows than columns of both views
    the solvers get the compressed form of :func:`compress_rows`.
    """

    def __init__(self, X, *, scale, ddof):
        self.mean, self.scale, constant = column_standardization(
            X, scale=scale, ddof=ddof
        )
        n, p = X.shape
        self.rows = np.empty((p, n))
        # Transposing block by block keeps both sides of the copy in cache.
        for columns in gen_batches(p, 64):
            block = self.rows[columns]
            block[:] = X[:, columns].T
            block -= self.mean[columns, None]
            block /= self.scale[columns, None]
        self.rows[constant] = 0.0
        self.n_samples = n
        self.largest_norm = _largest_norm(np.einsum("ij,ij->i", self.rows, self.rows))

    @property
    def shape(self):
        """Rows of the solver's problem and columns."""
        return self.rows.shape[1], self.rows.shape[0]

    def correlate(self, t):
        """``X't``."""
        return self.rows @ t

    def columns(self, which):
        """The columns `which`, as rows of a C-ordered array."""
        return self.rows[which]

    def scores(self, w):
        """``X w`` from the nonzero weights alone."""
        which = np.flatnonzero(w)
        if which.size > w.size // 2:
            return w @ self.rows
        return w[which] @ self.rows[which]

    def gram(self):
        """``X X'``."""
        return self.rows.T @ self.rows

    def dense(self):
        """X itself."""
        return self.rows.T

    def without(self, t):
        """The view with the scores t projected out of its columns."""
        other = object.__new__(StandardView)
        other.__dict__.update(self.__dict__)
        other.rows = self.rows - np.outer(self.rows @ t, t / (t @ t))
        return other


class SparseView:
    """The same for a sparse matrix: centring and scaling are implicit."""

    def __init__(self, X, *, scale, ddof):
        self.mean, self.scale, constant = column_standardization(
            X, scale=scale, ddof=ddof
        )
        X = X.astype(np.float64)
        self.n_samples = X.shape[0]
        inverse = np.where(constant, 0.0, 1.0 / self.scale)
        self.matrix = (X @ sparse.diags_array(inverse)).tocsc()
        self.transposed = self.matrix.T.tocsr()
        self.center = self.mean * inverse
        squares = np.asarray(self.matrix.multiply(self.matrix).sum(axis=0)).ravel()
        self.largest_norm = _largest_norm(squares - self.n_samples * self.center**2)

    @property
    def shape(self):
        """Rows and columns."""
        return self.matrix.shape

    def correlate(self, t):
        """``X't``."""
        return self.transposed @ t - np.multiply.outer(self.center, t.sum(axis=0))

    def columns(self, which):
        """The columns `which`, as rows of a C-ordered array."""
        block = self.transposed[which].toarray()
        return block - self.center[which, None]

    def scores(self, w):
        """``X w``."""
        return self.matrix @ w - self.center @ w

    def gram(self):
        """``X X'``, centred on both sides."""
        G = (self.matrix @ self.transposed).toarray()
        cross = self.matrix @ self.center
        return G - cross[:, None] - cross + self.center @ self.center

    def dense(self):
        """X itself, for few columns."""
        return self.columns(np.arange(self.shape[1])).T


class PermutedView:
    """A view with its rows in another order, without a copy."""

    def __init__(self, view, order):
        self._view, self._order = view, order
        self.n_samples, self.shape = view.n_samples, view.shape
        self.largest_norm = view.largest_norm

    def correlate(self, t):
        """``X't``."""
        back = np.empty_like(t)
        back[self._order] = t
        return self._view.correlate(back)

    def columns(self, which):
        """The columns `which`, as rows of a C-ordered array."""
        return self._view.columns(which)[:, self._order]

    def scores(self, w):
        """``X w``."""
        return self._view.scores(w)[self._order]


def _largest_norm(squares):
    # A little more than the largest norm: bounds made of it survive rounding.
    return np.sqrt(max(squares.max(initial=0.0), 0.0)) * (1 + 1e-10)


def standard_view(X, *, scale, ddof):
    """:class:`StandardView` or :class:`SparseView`, by the type of X."""
    View = SparseView if sparse.issparse(X) else StandardView
    return View(X, scale=scale, ddof=ddof)


def compress_rows(views):
    """Replace tall dense views by ones with as few rows and the same inner products.

    With far more rows than columns in all, everything the solvers compute depends on
    the Gram matrix of the stacked columns only, and a factor of it serves as data.

    Parameters
    ----------
    views : list of StandardView or SparseView

    Returns
    -------
    views : list
        Views that share a new set of rows; the old ones when nothing is gained.
    """
    n = views[0].shape[0]
    sizes = [view.shape[1] for view in views]
    total = sum(sizes)
    if n <= 2 * total or total > LARGEST_GRAM:
        return views
    if not all(isinstance(view, StandardView) for view in views):
        return views
    stacked = np.concatenate([view.rows for view in views])
    d, V = linalg.eigh(stacked @ stacked.T, check_finite=False)
    factor = V * np.sqrt(np.maximum(d, 0.0))
    short = []
    for view, stop in zip(views, np.cumsum(sizes)):
        small = object.__new__(StandardView)
        small.__dict__.update(view.__dict__)
        small.rows = np.ascontiguousarray(factor[stop - view.shape[1] : stop])
        small.rows[~view.rows.any(axis=1)] = 0.0
        short.append(small)
    return short


class Reduced:
    """``X = A Q'`` with orthonormal Q and no more columns of A than rows of X."""

    def __init__(self, view):
        n, p = view.shape
        self._view = view
        if p <= n:
            self.A, self._map = view.dense(), None
            return
        d, U = linalg.eigh(view.gram(), check_finite=False)
        kept = d > n * np.finfo(float).eps * max(d[-1], 0.0)
        s = np.sqrt(d[kept])
        self.A, self._map = U[:, kept] * s, U[:, kept] / s

    def permuted(self, order):
        """The same for a view with its rows in another order."""
        other = object.__new__(Reduced)
        other._view, other.A = self._view, self.A[order]
        other._map = self._map
        return other

    def weights(self, C):
        """``Q C``: coordinates of A as weights of the columns of X."""
        if self._map is None:
            return C
        return self._view.correlate(self._map @ C)


def cross_triplets(x, y, k, *, reduced=None, middle=None):
    """Leading singular triplets of ``X' M Y``, which is not formed unless small.

    Parameters
    ----------
    x, y : views
    k : int
    reduced : pair of Reduced, optional
        Made before, when the same views are decomposed again.
    middle : callable, optional
        ``middle(S)`` returns ``M S`` and ``middle(S, True)`` returns ``M'S``, for S
        of shape (n, m); the identity when None.

    Returns
    -------
    U : ndarray of shape (p, k), s : ndarray of shape (k,), V : ndarray of shape (q, k)
        Columns beyond the rank are zero.
    """
    p, q = x.shape[1], y.shape[1]
    if reduced is not None:
        rx, ry = reduced
        AY = ry.A if middle is None else middle(ry.A)
        left, s, right = largest_triplets(rx.A.T @ AY, k)
        U, V = rx.weights(left), ry.weights(right)
    else:

        def forward(v):
            t = y.scores(np.ravel(v))
            return x.correlate(t if middle is None else middle(t))

        def backward(u):
            t = x.scores(np.ravel(u))
            return y.correlate(t if middle is None else middle(t, True))

        U, s, V = largest_triplets(
            LinearOperator((p, q), matvec=forward, rmatvec=backward, dtype=np.float64),
            k,
        )
    missing = k - s.size
    U = np.pad(U, ((0, 0), (0, missing)))
    V = np.pad(V, ((0, 0), (0, missing)))
    s = np.pad(s, (0, missing))
    # Directions of rounding noise would be different on every machine.
    beyond = s <= 1e-12 * max(s[0], 0.0)
    U[:, beyond] = V[:, beyond] = 0.0
    return U, s, V


def reduce_pair(x, y):
    """Both views as :class:`Reduced`, or None where that costs more than it saves."""
    if all(min(view.shape) <= LARGEST_GRAM for view in (x, y)):
        return Reduced(x), Reduced(y)
    return None
