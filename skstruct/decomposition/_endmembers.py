"""Endmembers among the pixels: vertex component analysis, successive projection."""

# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from .._linalg import largest_triplets
from .._validation import FLOAT_DTYPES
from ._ss_nmf_solver import chunks_of

# A spectrum of zeros would make a dead component.
_FLOOR = 1e-6

# Up to this many bands their Gram matrix is the cheap way to the subspace.
_GRAM_BANDS = 1000


class PixelCloud:
    """Moments and leading subspaces of the pixels, shared by all random draws.

    X may be coordinates in a subspace; then `power` is the mean squared norm of the
    pixels themselves and `n_bands` their length.
    """

    def __init__(self, X, n_components, *, power=None, n_bands=None):
        self.X = X
        N, L = X.shape
        self.n_bands = n_bands or L
        if L <= _GRAM_BANDS and not sparse.issparse(X):
            gram, total = np.zeros((L, L)), np.zeros(L)
            for rows in chunks_of(X):
                gram += X[rows].T @ X[rows]
                total += X[rows].sum(axis=0)
            self.mean = total / N
            self.power = float(np.trace(gram)) / N
            values, vectors = np.linalg.eigh(gram / N)
            self.basis = vectors[:, ::-1][:, : min(n_components, N)]
            centred = gram / N - np.outer(self.mean, self.mean)
            values, vectors = np.linalg.eigh(centred)
            self.centred_basis = vectors[:, ::-1][:, :n_components]
            self.centred_power = float(values[::-1][:n_components].sum())
        else:
            self.mean = np.asarray(X.mean(axis=0), dtype=np.float64).ravel()
            _, s, V = largest_triplets(X.astype(np.float64), n_components)
            data = X.data if sparse.issparse(X) else X
            self.power = float(np.sum(np.square(data, dtype=np.float64))) / N
            self.basis = V
            # The subspace of the uncentred data holds the centred one up to one
            # direction; it is rotated to the leading centred directions.
            small = np.diag(s**2) / N
            m = V.T @ self.mean
            values, vectors = np.linalg.eigh(small - np.outer(m, m))
            self.centred_basis = V @ vectors[:, ::-1]
            self.centred_power = float(values.sum())
        if power is not None:
            self.power = power

    def signal_to_noise(self, K):
        """Estimated SNR in dB from the power inside and outside of the subspace."""
        L = self.n_bands
        inside = self.centred_power + self.mean @ self.mean
        noise = self.power - inside
        signal = inside - K / L * self.power
        if noise <= 1e-14 * self.power or L <= K:
            return np.inf
        return 10.0 * np.log10(max(signal, 1e-300) / noise)

    def points(self, K):
        """Coordinates (N, K) in which the endmembers are the vertices of a simplex,
        and a function that gives the denoised spectra of chosen pixels."""
        X = self.X
        if self.signal_to_noise(K) < 15.0 + 10.0 * np.log10(K):
            V = self.centred_basis[:, : K - 1].astype(X.dtype)
            Z = X @ V - (self.mean @ V).astype(X.dtype)
            top = np.sqrt(np.max(np.einsum("nk,nk->n", Z, Z), initial=0.0))
            Y = np.column_stack([Z, np.full(len(Z), max(top, 1e-30), dtype=X.dtype)])
            return Y, lambda chosen: Z[chosen] @ V.T + self.mean
        V = self.basis[:, :K].astype(X.dtype)
        Z = X @ V
        along = Z @ Z.mean(axis=0)
        # A pixel of (almost) zeros would be thrown to infinity.
        safe = np.maximum(along, 1e-3 * max(along.max(initial=0.0), 1e-30))
        Z /= safe[:, None]
        return Z, lambda chosen: (Z[chosen] * safe[chosen][:, None]) @ V.T


def vca_pixels(Y, rng):
    """Numbers of the pixels at the vertices of the cloud Y (N, K)."""
    K = Y.shape[1]
    chosen = np.zeros(K, dtype=np.intp)
    E = np.zeros((K, K))
    E[-1, 0] = 1.0
    for k in range(K):
        w = rng.standard_normal(K)
        Q, R = np.linalg.qr(E[:, : max(k, 1)])
        Q = Q[:, np.abs(np.diag(R)) > 1e-12]
        f = w - Q @ (Q.T @ w)
        f -= Q @ (Q.T @ f)
        size = np.linalg.norm(f)
        # Pixels that span less than K dimensions leave nothing to project on.
        f = f / size if size > 1e-12 else w / np.linalg.norm(w)
        chosen[k] = np.argmax(np.abs(Y @ f.astype(Y.dtype)))
        E[:, k] = Y[chosen[k]]
    return chosen


def check_enough(X, n_components):
    """Raise where fewer pixels or bands than endmembers are there."""
    limit = min(X.shape)
    if n_components > limit:
        raise ValueError(
            f"n_components={n_components} must be at most min(n_samples, n_features)="
            f"{limit} to pick endmembers among the pixels."
        )


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def vca(X, n_components, *, random_state=None):
    """Vertex component analysis: the purest pixels as endmembers.

    The pixels of a linear mixture fill a simplex whose corners are the endmembers.
    Random directions orthogonal to the corners found so far have their extreme at a
    further corner.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_pixels, n_bands)
        Spectra in rows.
    n_components : int
        Number of endmembers, at most ``min(n_pixels, n_bands)``.
    random_state : int, RandomState instance or None, default=None
        Seed of the random directions. The result varies with it.

    Returns
    -------
    endmembers : ndarray of shape (n_components, n_bands)
        The picked pixels, denoised by projection on the leading subspace; at least
        1e-6 in every band.

    Raises
    ------
    ValueError
        If `n_components` exceeds ``min(n_pixels, n_bands)``.

    Notes
    -----
    Below an estimated signal-to-noise ratio of ``15 + 10 log10 K`` dB the cloud is
    projected on its K - 1 principal axes, above on the K-dimensional subspace and
    onto the hyperplane at its mean, which removes brightness. Cost ``O(N L^2)`` for
    the subspace (up to 1000 bands) and ``O(N K^2)`` for the picks.

    References
    ----------
    Nascimento, Bioucas-Dias (2005), Vertex component analysis: a fast algorithm to
    unmix hyperspectral data, IEEE TGRS 43.

    Examples
    --------
    >>> from skstruct.datasets import make_hyperspectral_scene
    >>> from skstruct.decomposition import vca
    >>> scene = make_hyperspectral_scene(random_state=0)
    >>> vca(scene.X, 4, random_state=0).shape
    (4, 120)
    """
    X = check_array(X, accept_sparse="csr", dtype=list(FLOAT_DTYPES))
    check_enough(X, n_components)
    Y, spectra = PixelCloud(X, n_components).points(n_components)
    chosen = vca_pixels(Y, check_random_state(random_state))
    return np.maximum(spectra(chosen), _FLOOR).astype(X.dtype)


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "n_components": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def spa(X, n_components):
    """Successive projection: greedily the pixels of largest remaining norm.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_pixels, n_bands)
        Spectra in rows.
    n_components : int
        Number of endmembers, at most ``min(n_pixels, n_bands)``.

    Returns
    -------
    endmembers : ndarray of shape (n_components, n_bands)
        Rows of `X`. Deterministic; ties go to the first pixel.

    Raises
    ------
    ValueError
        If `n_components` exceeds ``min(n_pixels, n_bands)``.

    Notes
    -----
    Exact on noise-free mixtures with abundances that sum to one when every endmember
    has a pure pixel. Cost ``O(N L K)``; the residuals are never formed.

    References
    ----------
    Araujo et al. (2001), The successive projections algorithm for variable selection,
    Chemometrics and Intelligent Laboratory Systems 57. Gillis, Vavasis (2014), Fast
    and robust recursive algorithms for separable nonnegative matrix factorization,
    IEEE TPAMI 36.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.decomposition import spa
    >>> M = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
    >>> A = np.array([[0.5, 0.5], [1.0, 0.0], [0.2, 0.8], [0.0, 1.0]])
    >>> spa(A @ M, 2)
    array([[0., 3., 1.],
           [1., 0., 2.]])
    """
    X = check_array(X, accept_sparse="csr", dtype=list(FLOAT_DTYPES))
    check_enough(X, n_components)
    return dense_rows(X, spa_pixels(X, n_components))


def spa_pixels(X, n_components):
    """Row numbers that successive projection picks."""
    if sparse.issparse(X):
        left = np.asarray(X.multiply(X).sum(axis=1), dtype=np.float64).ravel()
    else:
        left = np.einsum("nl,nl->n", X, X, dtype=np.float64)
    U = np.zeros((0, X.shape[1]))
    chosen = []
    for _ in range(n_components):
        left[chosen] = -1.0
        n = int(np.argmax(left))
        chosen.append(n)
        u = dense_rows(X, [n])[0].astype(np.float64)
        for _ in range(2):
            u -= U.T @ (U @ u)
        size = np.linalg.norm(u)
        if size > 1e-12 * (1.0 + np.linalg.norm(dense_rows(X, [n]))):
            u /= size
            U = np.vstack([U, u])
            left -= np.asarray(X @ u.astype(X.dtype), dtype=np.float64) ** 2
    return chosen


def dense_rows(X, chosen):
    """Chosen rows as a dense array of its own."""
    rows = X[np.asarray(chosen)]
    return rows.toarray() if sparse.issparse(rows) else np.array(rows)
