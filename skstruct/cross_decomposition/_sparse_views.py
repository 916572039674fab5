"""A standardised view as the sparse solvers see it: products with few columns."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator
from sklearn.utils import assert_all_finite

from .._linalg import largest_triplets, leading_triplets
from .._validation import FLOAT_DTYPES
from ._sparse_kernels import standardize_columns
from ._views import column_standardization, constant_columns

# Up to this side the Gram matrix of rows or columns is formed and decomposed; beyond
# it a Lanczos iteration over the data is cheaper.
LARGEST_GRAM = 2000
# Products of four views are formed.
_LARGEST_NORM = 1e70


class StandardView:
    """Centred and scaled columns of one view, held as rows of a float64 copy.

    Constant columns are exactly zero. With many more rows than columns of both views
    the solvers get the compressed form of :func:`compress_rows`. An entry that is not
    finite is found on the way; `name` is what the error calls the view.
    """

    def __init__(self, X, *, scale, ddof, name="X"):
        n, p = X.shape
        if not (X.flags.c_contiguous and X.dtype in FLOAT_DTYPES):
            X = np.ascontiguousarray(X, dtype=np.float64)
        self.n_samples = n
        self.rows = np.empty((p, n))
        self.mean, root = np.empty(p), np.empty(p)
        standardize_columns(X, self.rows, self.mean, root, scale, ddof)
        constant = constant_columns(root, self.mean, n)
        self.scale = np.ones(p)
        if scale:
            self.scale[~constant] = root[~constant] / np.sqrt(n - ddof)
        extreme = np.flatnonzero(~((root > 1e-100) & (root < 1e100)))
        if extreme.size:
            assert_all_finite(X, input_name=name)
            self._again(X[:, extreme], extreme, scale=scale, ddof=ddof)
        if scale:
            self.largest_norm = np.sqrt(n - ddof) * (1 + 1e-10)
        else:
            self.largest_norm = root.max(initial=0.0) * (1 + 1e-10)

    def _again(self, X, which, **options):
        """Columns whose squares over- or underflow, and those of zeros."""
        mean, std, constant = column_standardization(X, **options)
        self.mean[which], self.scale[which] = mean, std
        self.rows[which] = np.where(constant, 0.0, (X - mean) / std).T

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
        """``X X'``, upper triangle."""
        return linalg.blas.dsyrk(1.0, self.rows.T)

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


def standard_view(X, *, scale, ddof, name="X"):
    """:class:`StandardView` or :class:`SparseView`, by the type of X."""
    if sparse.issparse(X):
        assert_all_finite(X, input_name=name)
        view = SparseView(X, scale=scale, ddof=ddof)
    else:
        view = StandardView(X, scale=scale, ddof=ddof, name=name)
    if not view.largest_norm <= _LARGEST_NORM:
        raise ValueError(
            f"{name} has a centred column of norm {view.largest_norm:.3g}; with "
            f"scale={scale} it must be at most {_LARGEST_NORM:g}, or products of the "
            "views overflow. Take scale=True or other units."
        )
    return view


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


def row_factor(view):
    """A matrix A with ``A A' = X X'`` and no more columns than rows."""
    n, p = view.shape
    if p <= n:
        return view.dense()
    G = view.gram()
    # Centred rows are dependent; a shift of the size of rounding makes G definite.
    G[np.diag_indices(n)] += 4 * n * np.finfo(float).eps * np.trace(G) + 1e-300
    return linalg.cholesky(G, check_finite=False).T


def row_factors(views):
    """:func:`row_factor` of all views, or None where that costs more than it saves."""
    if all(min(view.shape) <= LARGEST_GRAM for view in views):
        return [row_factor(view) for view in views]
    return None


def cross_starts(x, y, k, *, factors=None, middle=None):
    """Leading right singular vectors of ``X' M Y``, by sample vectors that give them.

    With ``A A' = X X'`` and an eigenvector w of ``A'M Y Y'M'A``, the vector
    ``Y'M'A w`` is a right singular vector: no root needs to be inverted, and with
    `factors` the columns are not read.

    Parameters
    ----------
    x, y : views
    k : int
    factors : pair of ndarrays, optional
        From :func:`row_factors`.
    middle : callable, optional
        ``middle(S)`` returns ``M S`` and ``middle(S, True)`` returns ``M'S``, for S
        of shape (n, m); the identity when None.

    Returns
    -------
    S : ndarray of shape (n, k)
        The singular vectors are ``V = Y'S``, of unit norm; zero beyond the rank.
    T : ndarray of shape (n, k)
        Their scores ``Y V``.
    """
    p, q = x.shape[1], y.shape[1]
    if factors is not None:
        A, B = factors
        left = A if middle is None else middle(A, True)
        # The vectors are only a start: half of the digits are enough.
        W, s, _ = leading_triplets(left.T @ B, k, floor=1e-8)
        samples = left @ W
        V = B.T @ samples
    else:

        def forward(v):
            t = y.scores(np.ravel(v))
            return x.correlate(t if middle is None else middle(t))

        def back(u):
            t = x.scores(np.ravel(u))
            return t if middle is None else middle(t, True)

        operator = LinearOperator(
            (p, q), matvec=forward, rmatvec=lambda u: y.correlate(back(u)),
            dtype=np.float64,
        )  # fmt: skip
        U, s, _ = largest_triplets(operator, k)
        samples = np.column_stack([back(u) for u in U.T])
        V = y.correlate(samples)
    size = np.linalg.norm(V, axis=0)
    # Directions of rounding noise would be different on every machine.
    kept = (s > 1e-12 * max(s.max(initial=0.0), 0.0)) & (size > 0)
    inverse = np.where(kept, 1.0 / np.where(kept, size, 1.0), 0.0)
    S, T = np.zeros((y.shape[0], k)), np.zeros((y.shape[0], k))
    S[:, : s.size] = samples * inverse
    if factors is not None:
        T[:, : s.size] = B @ (V * inverse)
    else:
        T[:, : s.size] = np.column_stack([y.scores(v) for v in (V * inverse).T])
    return S, T


def random_start(y, seed):
    """A random start in the form of :func:`cross_starts`."""
    samples = np.random.default_rng(seed).standard_normal(y.shape[0])
    v = y.correlate(samples)
    size = np.linalg.norm(v)
    inverse = 1.0 / size if size > 0 else 0.0
    return samples * inverse, y.scores(v * inverse)
