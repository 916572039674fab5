"""Exact solution of the generalised eigenvalue problem A u = lambda B u.

A holds the covariances between views, B those within them, shrunk towards the
identity: ``B_i = (1 - c_i) Cov(X_i) + c_i I``. Every solver here returns the top
eigenvectors cut into views, with ``sum_i U_i' B_i U_i = I``.
"""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from .._linalg import leading_triplets, whitening

# Directions of smaller variance than this share of the largest one are dropped.
RELATIVE_CUT = 1e-10


@dataclass
class Basis:
    """Leading principal axes of a view, and its rows in them."""

    variances: np.ndarray
    """(r,), descending."""
    rows: np.ndarray
    """(n, r), orthonormal columns: X = sqrt(n - 1) rows sqrt(variances) axes'."""
    data: np.ndarray
    """X itself, (n, p)."""
    coordinates: np.ndarray
    """(n, r) with axes = X' coordinates of a wide view, else the axes, (p, r)."""

    @property
    def n_features(self):
        """Number of columns of the view."""
        return self.data.shape[1]

    def span(self, M):
        """Axes times M, in the type of the data; wide axes are never formed."""
        if len(self.coordinates) == self.n_features:
            return self.coordinates @ M.astype(self.data.dtype, copy=False)
        return self.data.T @ (self.coordinates @ M).astype(self.data.dtype, copy=False)

    def column_variances(self):
        """Variance of each column, in float64."""
        squares = np.einsum("np,np->p", self.data, self.data, dtype=np.float64)
        return squares / (len(self.data) - 1)


def principal_basis(X, *, cut=RELATIVE_CUT):
    """Principal axes of a centred view, from the smaller of the two Gram matrices."""
    n, p = X.shape
    wide = p > n
    d, V = linalg.eigh(X @ X.T if wide else X.T @ X, check_finite=False)
    d, V = d[::-1], V[:, ::-1]
    kept = d > cut * max(d[0], 0.0)
    d, V = d[kept], V[:, kept]
    root = np.sqrt(d)
    if wide:
        return Basis(d / (n - 1), V, X, V / root)
    # A column without variance must not get rounding noise.
    V[~X.any(axis=0)] = 0.0
    return Basis(d / (n - 1), X @ (V / root), X, V)


def solve_rows(bases, regs, n_components, *, shrinkage=None):
    """Solution in the span of the rows, of cost cubic in their number.

    Parameters
    ----------
    bases : list of Basis
    regs : sequence of float
        c_i of each view.
    n_components : int
    shrinkage : list of float, optional
        tau_i in [0, 1): the variances of view i are moved by this share towards
        their mean over all p_i directions.

    Returns
    -------
    weights : list of ndarrays of shape (p_i, n_components)
    eigenvalues : ndarray of shape (n_components,)
    """
    shrinkage = [0.0] * len(bases) if shrinkage is None else shrinkage
    roots = []
    for basis, c, tau in zip(bases, regs, shrinkage):
        d = basis.variances
        mean = d.sum() / basis.n_features
        roots.append(np.sqrt((1 - c) * ((1 - tau) * d + tau * mean) + c))
    R = [
        basis.rows * (np.sqrt(basis.variances) / root)
        for basis, root in zip(bases, roots)
    ]
    parts, eigenvalues = _top_pairs(
        lambda i, j: R[i].T @ R[j], [Ri.shape[1] for Ri in R], n_components
    )
    weights = [
        basis.span(part / root[:, None])
        for basis, root, part in zip(bases, roots, parts)
    ]
    return weights, eigenvalues


def solve_covariance(S, sizes, regs, n_components, *, metrics=None):
    """Solution from the joint covariance of the stacked views.

    Parameters
    ----------
    S : ndarray of shape (P, P)
    sizes : list of int
        Columns of each view; their sum is P.
    regs : sequence of float
    n_components : int
    metrics : list of ndarrays of shape (p_i, p_i), optional
        Takes the place of the identity in B_i: ``W_i' W_i`` when the stacked columns
        are scores of weights W_i.

    Returns
    -------
    weights : list of ndarrays of shape (p_i, n_components)
    eigenvalues : ndarray of shape (n_components,)
    """
    stops = np.cumsum(sizes)
    cuts = [slice(stop - size, stop) for size, stop in zip(sizes, stops)]
    whiteners = []
    for i, (cut, c) in enumerate(zip(cuts, regs)):
        metric = None if metrics is None else metrics[i]
        if c == 1 and metric is None:
            whiteners.append(_Identity(sizes[i]))
            continue
        B = (1 - c) * S[cut, cut]
        if metric is None:
            B[np.diag_indices_from(B)] += c
        else:
            B += c * metric
        whiteners.append(whitener(B))

    def cross(i, j):
        half = whiteners[i].left(S[cuts[i], cuts[j]])
        return whiteners[j].left(half.T).T

    parts, eigenvalues = _top_pairs(cross, [w.rank for w in whiteners], n_components)
    return [w.back(part) for w, part in zip(whiteners, parts)], eigenvalues


def solve_cross_covariance(C, n_components):
    """PLS of two views from their cross-covariance alone."""
    parts, eigenvalues = _top_pairs(lambda i, j: C, C.shape, n_components)
    return parts, eigenvalues


def rotate_to_solution(weights, H, regs):
    """The solution within the spans of given weights.

    Parameters
    ----------
    weights : list of ndarrays of shape (p_i, K)
    H : list of ndarrays of shape (p_i, M, K)
        ``Cov(X_i, X_j) W_j``.
    regs : sequence of float

    Returns
    -------
    weights, eigenvalues, H : as the arguments, for the rotated and scaled weights
    """
    weights = [np.asarray(W, dtype=np.float64) for W in weights]
    H = [np.asarray(h, dtype=np.float64) for h in H]
    M, K = len(weights), weights[0].shape[1]
    S = np.vstack([W.T @ h.reshape(len(h), -1) for W, h in zip(weights, H)])
    rotations, eigenvalues = solve_covariance(
        (S + S.T) / 2, [K] * M, regs, K, metrics=[W.T @ W for W in weights]
    )
    weights = [W @ G for W, G in zip(weights, rotations)]
    H = [np.stack([h[:, j] @ G for j, G in enumerate(rotations)], axis=1) for h in H]
    return weights, eigenvalues, H


def _top_pairs(cross, ranks, n_components):
    """Top eigenvectors of the matrix with blocks ``cross(i, j)``, i != j, and 0.

    Fewer than `n_components` are found where the blocks have no more rank; the rest
    is zero.
    """
    parts = [np.zeros((r, n_components)) for r in ranks]
    eigenvalues = np.zeros(n_components)
    if len(ranks) == 2:
        U, s, V = leading_triplets(cross(0, 1), n_components)
        halves = (U / np.sqrt(2), V / np.sqrt(2))
    else:
        s, halves = _top_stacked(cross, ranks, n_components)
    k = int(np.sum(s > RELATIVE_CUT * max(s[0], 0.0))) if len(s) else 0
    eigenvalues[:k] = s[:k]
    for part, half in zip(parts, halves):
        part[:, :k] = half[:, :k]
    return parts, eigenvalues


def _top_stacked(cross, ranks, n_components):
    total = sum(ranks)
    stops = np.cumsum(ranks)
    cuts = [slice(stop - r, stop) for r, stop in zip(ranks, stops)]
    A = np.zeros((total, total))
    for i in range(len(ranks)):
        for j in range(i):
            A[cuts[i], cuts[j]] = cross(i, j)
            A[cuts[j], cuts[i]] = A[cuts[i], cuts[j]].T
    k = min(n_components, total)
    s, Q = linalg.eigh(A, subset_by_index=(total - k, total - 1), check_finite=False)
    s, Q = s[::-1], Q[:, ::-1]
    return s, [Q[cut] for cut in cuts]


class _Identity:
    def __init__(self, rank):
        self.rank = rank

    def left(self, C):
        return C

    def back(self, U):
        return U


class _Triangular:
    """``T = L^{-T}`` for ``B = L L'``."""

    def __init__(self, L):
        self.L = L
        self.rank = len(L)

    def left(self, C):
        return linalg.solve_triangular(self.L, C, lower=True, check_finite=False)

    def back(self, U):
        return linalg.solve_triangular(
            self.L, U, lower=True, trans="T", check_finite=False
        )


class _Spectral:
    """``T = V d^{-1/2}`` on the directions of B that have variance."""

    def __init__(self, B):
        self.T = whitening(B, cut=RELATIVE_CUT)
        self.rank = self.T.shape[1]

    def left(self, C):
        return self.T.T @ C

    def back(self, U):
        return self.T @ U


def whitener(B):
    """T with ``T' B T = I``: Cholesky where B is well conditioned, else by eigh."""
    size = np.sqrt(np.diag(B))
    unit = np.where(size > 0, size, 1.0)
    scaled = B / np.outer(unit, unit)
    # A column without variance is related to nothing: it decouples, with weight 0.
    scaled[size == 0, size == 0] = 1.0
    norm = np.abs(scaled).sum(axis=0).max(initial=0.0)
    L, info = linalg.lapack.dpotrf(scaled, lower=1, clean=1)
    if info == 0:
        rcond, _ = linalg.lapack.dpocon(L, norm, uplo="L")
        if rcond > RELATIVE_CUT:
            return _Triangular(L * unit[:, None])
    return _Spectral(B)
