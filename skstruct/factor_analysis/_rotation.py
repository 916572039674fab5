"""Rotations of factor loadings."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

_GEOMIN_EPS = 0.01
_PROMAX_POWER = 4


def rotate(L, method, *, n_init=5, max_iter=3000, rng=None):
    """Rotate loadings.

    Parameters
    ----------
    L : ndarray of shape (p, d)
        Unrotated loadings of the correlation scale.
    method : str or None
    n_init : int
        Starts of the oblique criteria: the identity, then random rotations.
    max_iter : int
    rng : RandomState

    Returns
    -------
    M : ndarray of shape (d, d)
        Rotated loadings are ``L @ M``.
    corr : ndarray of shape (d, d)
        Correlations of the rotated factors.
    """
    d = L.shape[1]
    if method is None or d == 1:
        return np.eye(d), np.eye(d)
    if method in ("varimax", "quartimax"):
        return orthogonal(L, method == "varimax", max_iter), np.eye(d)
    if method == "promax":
        return promax(L, max_iter)
    criterion = geomin if method == "geomin" else quartimin
    starts = [np.eye(d)]
    for _ in range(n_init - 1):
        starts.append(np.linalg.qr(rng.standard_normal((d, d)))[0])
    # All starts roughly, the best one to the end.
    found = [oblique(L, criterion, start, 200, tol=1e-3) for start in starts]
    best = min(range(len(found)), key=lambda i: (round(found[i][1], 4), i))
    T = oblique(L, criterion, found[best][0], max_iter)[0]
    corr = T.T @ T
    np.fill_diagonal(corr, 1.0)
    return np.linalg.inv(T).T, corr


def orthogonal(L, varimax, max_iter=1000, tol=1e-10):
    """Varimax or quartimax, rows scaled to unit length (Kaiser)."""
    length = np.sqrt(np.sum(L**2, axis=1))
    A = L / np.where(length > 0, length, 1.0)[:, None]
    p = len(A)
    T = np.eye(A.shape[1])
    before = 0.0
    for _ in range(max_iter):
        B = A @ T
        G = B**3
        if varimax:
            G = G - B * (np.sum(B**2, axis=0) / p)
        U, s, Vt = np.linalg.svd(A.T @ G)
        T = U @ Vt
        now = s.sum()
        if now < before * (1 + tol):
            break
        before = now
    return T


def promax(L, max_iter=1000):
    """Regression of powers of the varimax loadings on those loadings."""
    T = orthogonal(L, True, max_iter)
    z = L @ T
    target = z * np.abs(z) ** (_PROMAX_POWER - 1)
    U = np.linalg.lstsq(z, target, rcond=None)[0]
    U = U * np.sqrt(np.diag(np.linalg.inv(U.T @ U)))
    corr = np.linalg.inv(U.T @ U)
    np.fill_diagonal(corr, 1.0)
    return T @ U, corr


def quartimin(L):
    """``(1/4) sum_{k != l} sum_i L_ik^2 L_il^2`` and its gradient."""
    squares = L**2
    others = squares.sum(axis=1, keepdims=True) - squares
    return np.sum(squares * others) / 4, L * others


def geomin(L):
    """``sum_i (prod_k (L_ik^2 + eps))^(1/d)`` and its gradient."""
    squares = L**2 + _GEOMIN_EPS
    product = np.exp(np.mean(np.log(squares), axis=1))
    return product.sum(), (2 / L.shape[1]) * L / squares * product[:, None]


def oblique(A, criterion, T, max_iter=3000, tol=1e-6):
    """Gradient projection over T with columns of unit length, ``L = A T^-T``."""

    def at(T):
        inverse = np.linalg.inv(T)
        L = A @ inverse.T
        f, by_L = criterion(L)
        return f, L, by_L, inverse

    f, L, by_L, inverse = at(T)
    step = 1.0
    for _ in range(max_iter):
        G = -(L.T @ by_L @ inverse).T
        projected = G - T * np.sum(T * G, axis=0)
        size = np.sqrt(np.sum(projected**2))
        if size < tol:
            break
        step *= 2
        for _ in range(30):
            X = T - step * projected
            new = X / np.sqrt(np.sum(X**2, axis=0))
            try:
                found = at(new)
            except np.linalg.LinAlgError:
                found = (np.inf,)
            if found[0] < f - 0.5 * size**2 * step:
                break
            step /= 2
        else:
            break
        T = new
        f, L, by_L, inverse = found
    return T, f
