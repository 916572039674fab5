"""Maximum likelihood factor analysis without zeros, and its approximations."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import linalg

from ._solver import Fit, Params

# Multiply-adds of an exact Hessian beyond which the approximate one is used.
_MAX_EXACT = 5e9


def _concentrated(R, noise, d):
    """F as a function of the unique variances, the loadings profiled out."""
    s = np.sqrt(noise)
    values, vectors = np.linalg.eigh(R / np.outer(s, s))
    values, vectors = values[::-1], vectors[:, ::-1]
    head = np.maximum(values[:d], 1.0)
    F = np.sum(np.log(noise)) + np.sum(np.log(head)) + d + np.sum(values[d:])
    # A leading eigenvalue below 1 gives no factor: its term is that of noise.
    F += np.sum(np.minimum(values[:d], 1.0) - 1.0)
    return F, values, vectors, s


def loadings_given_noise(R, noise, d):
    """Maximum likelihood loadings in canonical form for given unique variances."""
    _, values, vectors, s = _concentrated(R, noise, d)
    return s[:, None] * vectors[:, :d] * np.sqrt(np.maximum(values[:d] - 1.0, 0.0))


def run_exploratory(R, d, floor, *, tol, max_iter, step=None):
    """Newton steps on the logarithms of the unique variances.

    Joreskog's concentrated likelihood: given the unique variances, the loadings are
    eigenvectors. The Hessian is exact (Clarke 1970) where it is positive definite,
    else Joreskog's approximation, which always is.

    Parameters
    ----------
    R : ndarray of shape (p, p)
        Correlation matrix.
    d : int
    floor : ndarray of shape (p,)
        Lower bounds of the unique variances.
    tol : float
        Bound of the predicted decrease of F.
    max_iter : int
    step : callable, optional

    Returns
    -------
    Fit
        Loadings in canonical form: ``Lambda' Omega^-1 Lambda`` is diagonal.
    """
    p = len(R)
    start = squared_multiple_uniqueness(R)
    x = np.log(np.clip((1 - 0.5 * d / p) * start, np.maximum(floor, 0.005), 1.0))
    low = np.log(floor)
    F, values, vectors, _ = _concentrated(R, np.exp(x), d)
    decrement, n_iter, damping = np.inf, 0, 0.0
    for n_iter in range(1, max_iter + 1):
        gradient, exact, approximate = _derivatives(values, vectors, d)
        free = ~((x <= low + 1e-12) & (gradient > 0))
        move = np.zeros(p)
        if not free.any():
            decrement = 0.0
            break
        hessian = exact if decrement < 0.1 else approximate
        for H in (hessian, approximate):
            sub = H[np.ix_(free, free)]
            sub = sub + damping * np.diag(np.diag(sub))
            try:
                factor = linalg.cho_factor(sub, check_finite=False)
            except linalg.LinAlgError:
                continue
            if np.min(np.diag(factor[0]) ** 2) > 1e-10 * np.max(np.diag(sub)):
                move[free] = -linalg.cho_solve(factor, gradient[free])
                break
        decrement = -float(gradient @ move)
        if decrement <= 0 and np.abs(gradient[free]).max(initial=0.0) > np.sqrt(tol):
            damping = max(10 * damping, 1e-4)
            decrement = np.inf
            if damping > 1e4:
                break
            continue
        if decrement < tol:
            break
        if step is not None and step(n_iter, F):
            break
        for halvings in range(30):
            t = 0.5**halvings
            # Steps of at most a factor e^2 keep the eigenvalues in range.
            new = np.clip(x + np.clip(t * move, -2, 2), low, 1.0)
            found = _concentrated(R, np.exp(new), d)
            if found[0] <= F - 1e-4 * t * decrement:
                x = new
                F, values, vectors, _ = found
                damping *= 0.1
                break
        else:
            if decrement < 1e-9 or damping > 1e4:
                break
            damping = max(10 * damping, 1e-4)
    noise = np.exp(x)
    loadings = loadings_given_noise(R, noise, d)
    done = decrement < max(tol, 1e-10)
    return Fit(Params(loadings, np.eye(d), noise), float(F), n_iter, done, decrement)


def _derivatives(values, vectors, d):
    """Gradient and two Hessians of F in the logarithms of the unique variances.

    With eigenvalues t of the scaled correlations, U the tail of the eigenvectors and V
    the head: ``dF_i = sum_tail (1 - t_m) u_im^2``. Its derivative has a part within the
    tail, ``(U t U')_ij (U U')_ij``, and one that couples tail and head; at a perfect
    fit all tail values are 1 and ``(U U')_ij^2`` is left, Joreskog's approximation.
    """
    tail, U = values[d:], vectors[:, d:]
    head, V = values[:d], vectors[:, :d]
    gradient = (U * U) @ (1.0 - tail)
    projector = U @ U.T
    approximate = projector**2
    if len(U) ** 3 * d > _MAX_EXACT:
        return gradient, approximate, approximate
    exact = ((U * tail) @ U.T) * projector
    for theta, v in zip(head, V.T, strict=True):
        gap = np.maximum(theta - tail, 1e-8)
        coupling = (1.0 - tail) * (theta + tail) / gap
        exact += ((U * coupling) @ U.T) * np.outer(v, v)
    return gradient, exact, approximate


def squared_multiple_uniqueness(R):
    """1 / (R^-1)_ii, of a slightly regularised matrix where R is singular."""
    values, vectors = np.linalg.eigh(R)
    if values[0] < 1e-6:
        values = values + 0.05
    inverse = np.sum(vectors**2 / values, axis=1)
    return np.clip(1 / inverse, 0.0, 1.0)
