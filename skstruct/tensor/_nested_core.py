# SPDX-License-Identifier: BSD-3-Clause
"""Estimates of the nested matrix-tensor model: arrays in, arrays out.

X has shape (n_samples, n_features, n_views) in C order; its rows, one per sample and
feature, are the columns of the third unfolding.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from ..random_matrix import (
    _edge_margin,
    _noise_level,
    _rounding,
    bbp_alignment,
    spike_inverse,
)
from ._nested_kernels import HEYWOOD_FLOOR, maximise_likelihood, settle_noise

# Columns of a panel of the Gram matrix. BLAS spends on a symmetric product of so few
# views more than the half that it saves; narrow panels of the lower triangle do better
# (0.8 of its time for 60 views, 0.3 for 20) up to this number of views.
_PANEL = 16
_MOST_PANELLED = 80
# Entries of a block: half a megabyte, which stays in the cache, and a panel's product
# is of a million multiplications, up to which OpenBLAS does without copies.
_BLOCK = 10**6 // _PANEL


# ------------------------------------------------------------- passes over the data


def row_blocks(rows):
    """Consecutive blocks of rows, in float64."""
    step = max(1, _BLOCK // rows.shape[1])
    for i in range(0, rows.shape[0], step):
        yield slice(i, i + step), np.asarray(rows[i : i + step], dtype=np.float64)


def view_gram(X):
    """Gram matrix of the views, ``T_(3) T_(3)'``, in float64."""
    m = X.shape[2]
    rows = X.reshape(-1, m)
    width = _PANEL if _PANEL < m <= _MOST_PANELLED else m
    starts = range(0, m, width)
    panels = [np.zeros((m - c, min(width, m - c))) for c in starts]
    for _, block in row_blocks(rows):
        for c, panel in zip(starts, panels):
            panel += block[:, c:].T @ block[:, c : c + width]
    G = np.empty((m, m))
    for c, panel in zip(starts, panels):
        G[c:, c : c + width] = panel
        G[c : c + width, c:] = panel.T
    return G


def weighted_mean(X, w):
    """Contraction of the views, ``A = T x_3 w``, in float64; (n, p)."""
    rows = X.reshape(-1, X.shape[2])
    if rows.dtype == np.float64:
        return (rows @ w).reshape(X.shape[:2])
    A = np.empty(rows.shape[0])
    for where, block in row_blocks(rows):
        A[where] = block @ w
    return A.reshape(X.shape[:2])


def weighted_energy(X, precision):
    """``sum_ik precision_k x_jik^2`` of every sample j, in float64."""
    n, p, m = X.shape
    energy = np.empty(n)
    step = max(1, _BLOCK // (p * m))
    for i in range(0, n, step):
        block = np.asarray(X[i : i + step], dtype=np.float64).reshape(-1, m)
        energy[i : i + step] = ((block * block) @ precision).reshape(-1, p).sum(axis=1)
    return energy


def contract_rank_one(X, u, v):
    """``T(u, v, .)``: one number per view."""
    rows = X.reshape(-1, X.shape[2])
    if rows.dtype == np.float64:
        return np.outer(v, u).ravel() @ rows
    total = np.zeros(X.shape[2])
    outer = np.outer(v, u).ravel()
    for where, block in row_blocks(rows):
        total += outer[where] @ block
    return total


# ------------------------------------------------------------------ noise of views


def view_noise(G, n_rows, *, tol=1e-9, max_iter=2000):
    """Loadings and noise variances of the views by a one-factor model.

    The second moments of the views are ``g g' + diag(noise)``, whatever the units of
    each view: each is scaled to power one. The start is the top eigenvector of these
    correlations without their diagonal, which a loud view cannot capture, with the
    diagonal filled in a few times; expectation-maximisation then climbs to the maximum
    likelihood, which weighs views by what they are worth.

    Parameters
    ----------
    G : ndarray of shape (m, m)
        Gram matrix of the views.
    n_rows : int
        Number of rows summed in `G`.

    Returns
    -------
    g, noise : ndarrays of shape (m,), or None
        None where no noise is left beside the factor (within rounding).
    """
    power = np.diag(G) / n_rows
    scale = np.sqrt(np.where(power > 0, power, 1.0))
    H = G / n_rows / np.outer(scale, scale)
    g, noise = maximise_likelihood(H, tol, max_iter)
    if np.all((noise <= 2 * HEYWOOD_FLOOR) | (power == 0)):
        return None
    # A view that is always zero has the noise of a rounding error of the others.
    scale = np.where(power > 0, scale, 1e-3 * scale[power > 0].min())
    return g * scale, noise * scale**2


@dataclass
class Views:
    """How the views are weighted, and the noise that is left in their mean."""

    sigma: np.ndarray
    """Relative noise standard deviation of each view (ones if equal)."""
    profile: np.ndarray
    """Unit vector z of the views divided by sigma."""
    gap: float
    """Relative distance of the two largest eigenvalues of the whitened Gram matrix."""
    gram: np.ndarray
    """Gram matrix of the views divided by sigma."""
    n_rows: int

    @property
    def unit(self):
        """The mean of the whitened views times this is that of the views, |w| = 1."""
        return 1 / np.linalg.norm(self.profile / self.sigma)

    @property
    def weights(self):
        """Unit vector w of the weighted mean ``A = T x_3 w``."""
        return self.unit * self.profile / self.sigma

    @property
    def back(self):
        """``A (outer) back`` is the part of the tensor that A stands for."""
        return self.sigma * self.profile / self.unit

    @property
    def noise(self):
        """Noise variance of the whitened views; nan for one view."""
        m = len(self.sigma)
        if m == 1:
            return np.nan
        z = self.profile
        left = np.trace(self.gram) - z @ self.gram @ z
        if left <= 64 * np.finfo(float).eps * np.trace(self.gram):
            return 0.0
        return float(left / (self.n_rows * (m - 1)))

    def with_profile(self, z):
        """The same views, weighted by another profile of nonnegative sum."""
        return Views(self.sigma, _oriented(z, self.sigma), self.gap, self.gram,
                     self.n_rows)  # fmt: skip


def _oriented(z, sigma):
    z = z / np.linalg.norm(z)
    total = (z / sigma).sum()
    if abs(total) <= 1e-12 * np.abs(z / sigma).sum():
        total = z[np.argmax(np.abs(z))]
    return -z if total < 0 else z


def estimate_views(G, n_rows, *, unequal):
    """View profile by the leading eigenvector of the (whitened) Gram matrix."""
    m = len(G)
    sigma = np.ones(m)
    if unequal and m >= 3:
        found = view_noise(G, n_rows)
        if found is not None:
            sigma = np.sqrt(found[1])
    whitened = G / np.outer(sigma, sigma)
    if m == 1:
        return Views(sigma, np.ones(1), 1.0, whitened, n_rows)
    values, vectors = linalg.eigh(whitened, subset_by_index=[m - 2, m - 1])
    gap = float((values[1] - max(values[0], 0.0)) / values[1])
    return Views(sigma, _oriented(vectors[:, 1], sigma), gap, whitened, n_rows)


# -------------------------------------------------------------- spectrum of the mean


class Spectrum:
    """All singular values of A, and the singular vectors that are asked for.

    The smaller Gram matrix is brought to tridiagonal form once; values come from
    that form, and vectors only for the leading ones.
    """

    def __init__(self, A):
        self.A = A
        self.tall = A.shape[0] > A.shape[1]
        K = A.T @ A if self.tall else A @ A.T
        self.energy = float(np.trace(K))
        n = len(K)
        if n == 1:
            self._reflectors, self._tau = None, None
            self._d, self._e = K[0].copy(), np.zeros(0)
        else:
            lwork = int(lapack.dsytrd_lwork(n, lower=1)[0])
            self._reflectors, self._d, self._e, self._tau, _ = lapack.dsytrd(
                K, lower=1, lwork=lwork, overwrite_a=1
            )
        squares = linalg.eigh_tridiagonal(
            self._d, self._e, eigvals_only=True, lapack_driver="sterf"
        )
        self.values = np.sqrt(np.maximum(squares[::-1], 0.0))

    def triplets(self, r):
        """Leading r singular triplets: U (p, r) of features, s, V (n, r) of samples."""
        n = self._d.size
        if n == 1:
            side = np.ones((1, 1))
        else:
            _, side = linalg.eigh_tridiagonal(
                self._d, self._e, select="i", select_range=(n - r, n - 1)
            )
            side = np.asfortranarray(side[:, ::-1])
            # The reflectors lie below the first subdiagonal, as those of a QR
            # factorisation of the matrix without its first row.
            side[1:] = lapack.dormqr(
                "L", "N", self._reflectors[1:, : n - 1], self._tau, side[1:],
                lwork=max(64, 64 * r),
            )[0]  # fmt: skip
        s = self.values[:r].copy()
        scale = np.where(s > _rounding(self.values, self.A.shape), s, 1.0)
        if self.tall:
            U = side
            V = _unit_columns(self.A @ U / scale)
        else:
            V = side
            U = _unit_columns(self.A.T @ V / scale)
        return U, s, V


def _unit_columns(M):
    """Unit columns; one that is zero to rounding stays zero."""
    norms = np.linalg.norm(M, axis=0)
    return M / np.where(norms > 1e-3, norms, np.inf)


def noise_and_rank(spectrum, shape):
    """Noise standard deviation of A and number of spikes above its edge.

    The median singular value gives a first level, whatever the spikes are. With the
    spikes known, the energy that is left gives a sharper one: a spike of strength
    theta takes ``1 + beta + beta / theta^2`` of the noise with it.

    Parameters
    ----------
    spectrum : Spectrum
    shape : tuple of two ints
        Shape of the noise, one row less than A when A is centred.
    """
    small, large = min(shape), max(shape)
    s = spectrum.values[:small]
    edge = _edge_margin(shape, None) * (np.sqrt(small) + np.sqrt(large))
    # The Gram matrix halves the digits of small values.
    rounding = 1e-7 * s[0]
    tau = _noise_level(s, shape)
    rank = int(np.sum(s > max(edge * tau, rounding)))
    return settle_noise(s, spectrum.energy, tau, rank, small, large, edge, rounding)


# ------------------------------------------------------- tensor and unfolding methods


def unfolding_vectors(X, views, r, *, center):
    """Leading left singular vectors of the (whitened) unfolding along the samples.

    Returns
    -------
    s : ndarray of shape (r,)
    V : ndarray of shape (n, r)
    D : ndarray of shape (r, p, m)
        Right singular vectors.
    """
    n, p, m = X.shape
    table = (X / views.sigma).reshape(n, p * m)
    if center:
        table = table - table.mean(axis=0)
    D, s, V = Spectrum(table).triplets(r)
    return s, V, D.T.reshape(r, p, m)


def rank_one_profile(D):
    """View profile of a right singular vector of the unfolding, (p, m)."""
    _, _, Wt = np.linalg.svd(D, full_matrices=False)
    return Wt[0]


def best_rank_one(X, views, starts, *, center, tol, max_iter, step):
    """Best rank-one approximation of the (whitened) tensor, from several starts.

    Alternates between the leading singular pair of ``A(w) = T x_3 w`` and
    ``w = T(u, v, .)``, which never lowers ``lambda = T(u, v, w)``; two passes over
    the data an iteration.

    Parameters
    ----------
    starts : list of ndarrays of shape (m,)
        View profiles.
    step : callable
        See :func:`skstruct._callbacks.fit_callbacks`.

    Returns
    -------
    profile, lambdas, converged
        Of the start with the largest lambda.
    """
    best, count = None, 0
    for z in starts:
        v, lambdas, converged = None, [], False
        for _ in range(max_iter):
            A = weighted_mean(X, z / views.sigma)
            if center:
                A -= A.mean(axis=0)
            u, v = _leading_pair(A, v)
            z = contract_rank_one(X, u, v) / views.sigma
            lambdas.append(float(np.linalg.norm(z)))
            if lambdas[-1] == 0:
                break
            z /= lambdas[-1]
            count += 1
            if step(count, lambdas[-1]):
                # A callback asks to stop: no other start either.
                return z, lambdas, True
            if len(lambdas) > 1 and lambdas[-1] - lambdas[-2] <= tol * lambdas[-1]:
                converged = True
                break
        if best is None or lambdas[-1] > best[1][-1] * (1 + 1e-10):
            best = z, lambdas, converged
    return best


def _leading_pair(A, v, n_steps=10):
    """Leading singular pair of A by power steps from `v`; exact without one."""
    if v is None:
        U, _, V = Spectrum(A).triplets(1)
        return U[:, 0], V[:, 0]
    for _ in range(n_steps):
        u = v @ A
        u /= np.linalg.norm(u)
        v = A @ u
        v /= np.linalg.norm(v)
    return u, v


# ------------------------------------------------------------------ what is predicted


def signal_ratios(theta, tau, noise, shape):
    """Ratios of the theory, up to its convention that Z has variance ``1 / n_M``.

    Parameters
    ----------
    theta : ndarray
        Singular values before noise, in the units of A.
    tau, noise : floats
        Standard deviation of A's noise; variance of the part that comes from views.
    shape : tuple (n1, n2, n3)

    Returns
    -------
    beta_T : float
        inf without view noise, nan for one view.
    beta_M : ndarray
        inf where no noise of the samples is left in A.
    """
    n_M, n_T = shape[0] + shape[1], sum(shape)
    inner = tau**2 - (0.0 if np.isnan(noise) else noise)
    inner = max(inner, 0.0)
    if np.isnan(noise):
        beta_T = np.nan
    elif noise == 0:
        beta_T = np.inf
    else:
        beta_T = float(np.sqrt(inner / noise * n_M / n_T))
    if inner > 1e-14 * tau**2:
        beta_M = theta / np.sqrt(inner * n_M)
    else:
        beta_M = np.where(theta > 0, np.inf, 0.0)
    return beta_T, beta_M


def mean_alignments(theta, tau, shape):
    """Cosines of A's leading singular vectors to features and samples."""
    if theta == 0:
        return 0.0, 0.0
    if tau == 0:
        return 1.0, 1.0
    n1, n2 = shape
    squares = bbp_alignment(theta / (tau * np.sqrt(max(shape))), (n1, n2))
    return tuple(float(np.sqrt(q)) for q in squares)


def profile_alignment(beta_T, beta_M, shape):
    """Cosine of the leading eigenvector of the views' Gram matrix to z."""
    n1, n2, n3 = shape
    if n3 == 1 or not np.isfinite(beta_T) or not np.isfinite(beta_M).all():
        return 1.0
    signal = n1 * n2 / (n1 + n2) + np.sum(np.square(beta_M))
    rho = beta_T**2 * sum(shape) / np.sqrt(n1 * n2 * n3) * signal
    return float(np.sqrt(max(1 - 1 / rho**2, 0.0))) if rho > 0 else 0.0


def centred_alignment(A, tau):
    """Cosine to the samples of the leading spike once the mean sample is removed."""
    n, p = A.shape
    if n < 3 or tau == 0:
        return 1.0
    centred = Spectrum(A - A.mean(axis=0)).values[: min(n - 1, p)]
    theta = spike_inverse(centred[:1], (n - 1, p), sigma=tau)[0]
    return mean_alignments(theta, tau, (p, n - 1))[1]
