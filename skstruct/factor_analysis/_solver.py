"""Estimation of Sigma = Lambda Phi Lambda' + Omega with a zero pattern.

Arrays in, arrays out. Maximum likelihood minimises
``F = log det Sigma + tr(S Sigma^-1)``, least squares ``F = 1/2 ||S - Sigma||^2``.
"""

# SPDX-License-Identifier: BSD-3-Clause

from typing import NamedTuple

import numpy as np
from scipy import linalg, optimize

from ._kernels import em_rows, quadratic_form

# Beyond this many parameters the information matrix costs more than it saves.
MAX_NEWTON = 2000
_SHORT_STEP = 1 / 64
_MAX_STALLS = 4


class Params(NamedTuple):
    """Loadings (p, d), factor correlations (d, d), unique variances (p,)."""

    loadings: np.ndarray
    corr: np.ndarray
    noise: np.ndarray


class Expectation(NamedTuple):
    """What the E step knows, and the objective."""

    A: np.ndarray  # Omega^-1 Lambda
    M: np.ndarray  # conditional covariance of the factors
    T: np.ndarray  # cross moments of variables and factors
    C: np.ndarray  # second moments of the factors
    corr_inv: np.ndarray
    F: float


class Fit(NamedTuple):
    """Result of a solver."""

    params: Params
    F: float
    n_iter: int
    converged: bool
    decrement: float


class Support:
    """A pattern of free loadings in the forms that the solvers want."""

    def __init__(self, mask):
        self.mask = np.ascontiguousarray(mask, dtype=bool)
        self.rows, self.columns = np.nonzero(self.mask)
        self.p, self.d = mask.shape
        self.indptr = np.concatenate([[0], np.cumsum(self.mask.sum(axis=1))])
        self.nnz = self.rows.size
        self.upper = np.triu_indices(self.d, 1)

    def n_parameters(self, orthogonal=False):
        """Free loadings, unique variances and factor correlations."""
        return self.nnz + self.p + (0 if orthogonal else self.d * (self.d - 1) // 2)


def expectation(moments, params, support=None):
    """E step by Woodbury: no p x p matrix is inverted.

    With `support`, the cross moments T may be left zero off it.
    """
    loadings, corr, noise = params
    A = loadings / noise[:, None]
    corr_factor = np.linalg.cholesky(corr)
    corr_inv = _inverse(corr_factor)
    K = corr_inv + loadings.T @ A
    K_factor = np.linalg.cholesky(K)
    M = _inverse(K_factor)
    T = moments.times(A) @ M if support is None else moments.sampled(A, M, support)
    C = M + M @ (A.T @ T)
    C = (C + C.T) / 2
    log_det = (
        np.log(noise).sum()
        + 2 * np.log(np.diag(corr_factor)).sum()
        + 2 * np.log(np.diag(K_factor)).sum()
    )
    trace = np.sum(moments.diag / noise) - np.sum(A * T)
    return Expectation(A, M, T, C, corr_inv, float(log_det + trace))


def _inverse(lower):
    half = np.linalg.inv(lower)
    return half.T @ half


def m_step(moments, e, support, floor, orthogonal):
    """M step, the factors' covariance free and then rescaled to correlations."""
    loadings = np.zeros_like(e.T)
    noise = np.empty(support.p)
    em_rows(
        e.C, e.T, support.indptr, support.columns, moments.diag, floor, loadings, noise
    )
    if orthogonal:
        return Params(loadings, np.eye(support.d), noise)
    scale = np.sqrt(np.diag(e.C))
    corr = e.C / np.outer(scale, scale)
    np.fill_diagonal(corr, 1.0)
    return Params(loadings * scale, corr, noise)


def run_em(
    moments, params, support, floor, *, n_steps, tol=0.0, orthogonal=False, step=None
):
    """EM with SQUAREM extrapolation, which is kept only where it lowers F.

    Returns
    -------
    Fit
        ``n_iter`` counts EM steps; ``converged`` when F fell by less than `tol` in a
        step.
    """
    e = expectation(moments, params, support)
    n_iter, change, converged = 0, np.inf, False
    while n_iter < n_steps:
        one = m_step(moments, e, support, floor, orthogonal)
        e_one = expectation(moments, one, support)
        change = e.F - e_one.F
        n_iter += 1
        if change < tol:
            params, e, converged = one, e_one, True
            break
        two = m_step(moments, e_one, support, floor, orthogonal)
        n_iter += 1
        jump = _extrapolate(params, one, two, floor)
        e_jump = None if jump is None else expectation(moments, jump, support)
        if e_jump is not None and e_jump.F < e_one.F:
            params, e = jump, e_jump
        else:
            params, e = two, expectation(moments, two, support)
        if step is not None and step(n_iter, e.F):
            break
    return Fit(params, e.F, n_iter, converged, change)


def _extrapolate(zero, one, two, floor):
    """SQUAREM's parabola through three EM iterates, or None outside the domain."""
    r = [b - a for a, b in zip(zero, one, strict=True)]
    v = [c - b - x for b, c, x in zip(one, two, r, strict=True)]
    length = np.sqrt(sum(np.sum(x * x) for x in v))
    if length == 0:
        return None
    alpha = max(1.0, np.sqrt(sum(np.sum(x * x) for x in r)) / length)
    jump = Params(
        *(a + 2 * alpha * x + alpha**2 * y for a, x, y in zip(zero, r, v, strict=True))
    )
    if np.any(jump.noise < np.maximum(0.01, floor)) or not _is_definite(jump.corr):
        return None
    return jump


def _is_definite(corr):
    if not len(corr):
        return True
    try:
        factor = np.linalg.cholesky(corr)
    except np.linalg.LinAlgError:
        return False
    return np.diag(factor).min() > 1e-5


def standard_start(moments, support, orthogonal=False):
    """First eigenvector of each factor's own variables, regressions elsewhere."""
    mask = support.mask
    width = mask.sum(axis=1)
    loadings = np.zeros(mask.shape)
    scale = np.sqrt(moments.diag)
    for k in range(support.d):
        members = np.flatnonzero(mask[:, k])
        own = members[width[members] == 1]
        if own.size < 2:
            # Without two variables of its own the factor starts from all it has.
            own = members
        block = moments.block(members, own) / np.outer(scale[members], scale[own])
        at = np.searchsorted(members, own)
        values, vectors = np.linalg.eigh(block[at])
        size = np.sqrt(max(values[-1] - 1, 0.1))
        t = np.clip(vectors[:, -1] * size, -0.95, 0.95)
        loadings[members, k] = block @ t / (t @ t)
        loadings[own, k] = t
    loadings = np.clip(loadings, -0.95, 0.95)
    loadings /= np.sqrt(np.maximum(width, 1))[:, None]
    noise = np.clip(1 - np.sum(loadings**2, axis=1), 0.1, 1.0)
    noise[width == 0] = 1.0
    return Params(loadings * scale[:, None], np.eye(support.d), noise * moments.diag)


class Quadratic:
    """Forms ``(1/2) tr(W dSigma_a W dSigma_b)`` over the parameters of a model.

    Order of the parameters: loadings by row, unique variances, factor correlations.
    """

    def __init__(self, params, support, orthogonal=False, extra=None):
        self.loadings = np.ascontiguousarray(params.loadings)
        self.G = params.loadings @ params.corr
        p = support.p
        upper = (np.empty(0, int),) * 2 if orthogonal else support.upper
        self.free = _parameter_list(
            (0, support.rows, support.columns),
            (1, np.arange(p), np.zeros(p, int)),
            (2, *upper),
        )
        self.extra = None if extra is None else _parameter_list((0, *extra))

    def __call__(self, W, *, block="free"):
        """Matrix of the form for all free parameters, or extra ones against them."""
        W = np.ascontiguousarray(W)
        L, G = self.loadings, self.G
        WG, WL = W @ G, W @ L
        forms = (W, WG, WL, G.T @ WG, L.T @ WL, np.ascontiguousarray(L.T @ WG))
        if block == "free":
            one = two = self.free
        elif block == "cross":
            one, two = self.extra, self.free
        else:
            # The diagonal of the extra parameters.
            i, k = self.extra[1], self.extra[2]
            return W[i, i] * forms[3][k, k] + WG[i, k] ** 2
        out = np.empty((one[0].size, two[0].size))
        quadratic_form(*one, *two, *forms, out)
        return out


def _parameter_list(*kinds):
    kind = np.concatenate([np.full(len(i), code) for code, i, _ in kinds])
    first = np.concatenate([i for _, i, _ in kinds])
    second = np.concatenate([k for *_, k in kinds])
    return tuple(np.asarray(x, dtype=np.int64) for x in (kind, first, second))


def precision(params):
    """Sigma^-1 by Woodbury."""
    loadings, corr, noise = params
    A = loadings / noise[:, None]
    M = np.linalg.inv(np.linalg.inv(corr) + loadings.T @ A)
    W = -A @ M @ A.T
    W[np.diag_indices_from(W)] += 1 / noise
    return (W + W.T) / 2


def covariance(params):
    """Sigma."""
    sigma = params.loadings @ params.corr @ params.loadings.T
    sigma[np.diag_indices_from(sigma)] += params.noise
    return sigma


def _slopes(Q, params, support, orthogonal):
    """Gradient of F from Q with dF = tr(Q dSigma)."""
    G = params.loadings @ params.corr
    QL = Q @ params.loadings
    by_loading = 2 * (Q @ G)[support.rows, support.columns]
    parts = [by_loading, np.diag(Q)]
    if not orthogonal:
        upper = support.upper
        parts.append(2 * (params.loadings.T @ QL)[upper])
    return np.concatenate(parts), QL


def _add_curvature(H, Q, QL, params, support, orthogonal):
    # Sigma is bilinear: only loading x loading and loading x correlation curve.
    rows, columns = support.rows, support.columns
    nnz, p = support.nnz, support.p
    H[:nnz, :nnz] += 2 * Q[np.ix_(rows, rows)] * params.corr[np.ix_(columns, columns)]
    if orthogonal or support.d < 2:
        return
    a, b = support.upper
    cross = 2 * (
        (columns[:, None] == a) * QL[np.ix_(rows, b)]
        + (columns[:, None] == b) * QL[np.ix_(rows, a)]
    )
    H[:nnz, nnz + p :] += cross
    H[nnz + p :, :nnz] += cross.T


class Likelihood:
    """``F = log det Sigma + tr(S Sigma^-1)`` and its derivatives."""

    def __init__(self, S):
        self.S = S

    def value(self, params):
        """F by Woodbury."""
        factor = np.linalg.cholesky(params.corr)
        A = params.loadings / params.noise[:, None]
        K = _inverse(factor) + params.loadings.T @ A
        K_factor = np.linalg.cholesky(K)
        B = np.linalg.solve(K_factor, A.T)
        log_det = (
            np.log(params.noise).sum()
            + 2 * np.log(np.diag(factor)).sum()
            + 2 * np.log(np.diag(K_factor)).sum()
        )
        trace = np.sum(np.diag(self.S) / params.noise) - np.sum(B * (B @ self.S))
        return float(log_det + trace)

    def linearise(self, params):
        """Q with ``dF = tr(Q dSigma)``, and what `curvature` needs."""
        W = precision(params)
        V = W @ self.S @ W
        V = (V + V.T) / 2
        return W - V, (W, V)

    def information(self, form, state):
        """Expected second derivatives of F/2 without the curvature of Sigma."""
        return form(state[0])

    def hessian(self, form, state, information):
        """Exact ones of F, but for the curvature of Sigma.

        With W = Sigma^-1 and V = W S W they are ``tr(W a (2V - W) b)``, a difference
        of quadratic forms in W + V, W and V.
        """
        W, V = state
        return 2 * (form(W + V) - 2 * information - form(V))


class LeastSquares:
    """``F = 1/2 ||S - Sigma||^2``, whose Hessian is twice the form in the identity."""

    def __init__(self, S):
        self.S = S

    def value(self, params):
        """F."""
        return 0.5 * float(np.sum((self.S - covariance(params)) ** 2))

    def linearise(self, params):
        """Q with ``dF = tr(Q dSigma)``."""
        return covariance(params) - self.S, None

    def information(self, form, state):
        """``(1/2) tr(a b)``."""
        return form(np.eye(len(self.S)))

    def hessian(self, form, state, information):
        """Exact, but for the curvature of Sigma."""
        return 2 * information


def hessian(problem, params, support, orthogonal=False):
    """Exact second derivatives of a problem's F."""
    form = Quadratic(params, support, orthogonal)
    Q, state = problem.linearise(params)
    H = problem.hessian(form, state, problem.information(form, state))
    _, QL = _slopes(Q, params, support, orthogonal)
    _add_curvature(H, Q, QL, params, support, orthogonal)
    return H


def run_newton(
    problem, params, support, floor, *, orthogonal=False, tol, max_iter, step=None
):
    """Fisher scoring (Gauss-Newton for least squares), then Newton near the optimum.

    Fisher scoring converges at a linear rate that is poor where the model misfits;
    once its predicted decrease is small and the exact Hessian is positive definite,
    that Hessian takes over. Every step is halved until F falls enough. A unique
    variance at its floor that would go below it is held there.

    Returns
    -------
    Fit
        ``decrement``: predicted decrease of F at the last step, twice its distance to
        the minimum; ``converged`` when it is below `tol`.
    """
    nnz, p = support.nnz, support.p
    F = problem.value(params)
    decrement, damping, n_iter, stalls = np.inf, 0.0, 0, 0
    free = np.ones(support.n_parameters(orthogonal), dtype=bool)
    for n_iter in range(1, max_iter + 1):
        form = Quadratic(params, support, orthogonal)
        Q, state = problem.linearise(params)
        gradient, QL = _slopes(Q, params, support, orthogonal)
        information = problem.information(form, state)
        at_floor = params.noise <= floor * (1 + 1e-9)
        free[nnz : nnz + p] = ~(at_floor & (gradient[nnz : nnz + p] > 0))
        move = None
        if decrement < 0.05:
            curvature = problem.hessian(form, state, information)
            _add_curvature(curvature, Q, QL, params, support, orthogonal)
            move = _solve_step(curvature, gradient, free, damping)
        if move is None:
            move = _solve_step(2 * information, gradient, free, damping)
        if move is None:
            damping = max(10 * damping, 1e-6)
            continue
        damping *= 0.1 if damping > 1e-10 else 0.0
        decrement = -float(gradient @ move)
        if decrement < tol:
            break
        if step is not None and step(n_iter, F):
            break
        found = _line_search(problem, params, F, move, decrement, support, floor)
        # Factor correlations that run into singularity stop the steps short: the
        # likelihood has no maximum inside the domain.
        stalls = stalls + 1 if found is None or found[2] < _SHORT_STEP else 0
        if stalls == _MAX_STALLS:
            break
        if found is None:
            damping = max(10 * damping, 1e-6)
            # No decrease is left to be seen in floating point.
            if decrement < 1e-10:
                break
            continue
        params, F, _ = found
    return Fit(params, F, n_iter, decrement < max(tol, 1e-11), decrement)


def _solve_step(curvature, gradient, free, damping):
    sub = curvature[np.ix_(free, free)]
    scale = np.diag(sub).copy()
    if scale.size and scale.min() <= 0:
        return None
    if damping:
        sub[np.diag_indices_from(sub)] += damping * scale
    try:
        factor = linalg.cho_factor(sub, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return None
    pivots = np.diag(factor[0]) ** 2
    if pivots.size and np.min(pivots / scale) < 1e-11:
        return None
    move = np.zeros_like(gradient)
    move[free] = -linalg.cho_solve(factor, gradient[free], check_finite=False)
    return move


def _line_search(problem, params, F, move, decrement, support, floor):
    for halvings in range(25):
        t = 0.5**halvings
        new = _moved(params, t * move, support, floor)
        if not _is_definite(new.corr):
            continue
        F_new = problem.value(new)
        if F_new <= F - 1e-4 * t * decrement:
            return new, F_new, t
    return None


def _moved(params, move, support, floor):
    nnz, p = support.nnz, support.p
    loadings = params.loadings.copy()
    loadings[support.rows, support.columns] += move[:nnz]
    noise = np.maximum(params.noise + move[nnz : nnz + p], floor)
    corr = params.corr
    if move.size > nnz + p:
        corr = corr.copy()
        upper = support.upper
        corr[upper] += move[nnz + p :]
        corr.T[upper] = corr[upper]
    return Params(loadings, corr, noise)


def run_lbfgs(
    moments, params, support, floor, *, orthogonal=False, tol, max_iter, step=None
):
    """Limited-memory quasi-Newton over loadings, log variances and a Cholesky factor.

    For models whose information matrix is too large. The factor correlations are
    ``U U'`` with U lower triangular and its rows normalised, positive definite by
    construction.
    """
    nnz, p, d = support.nnz, support.p, support.d
    lower = (np.empty(0, int),) * 2 if orthogonal else np.tril_indices(d)
    U0 = linalg.cholesky(params.corr, lower=True)
    theta = np.concatenate(
        [
            params.loadings[support.rows, support.columns],
            np.log(params.noise),
            U0[lower],
        ]
    )

    def unpack(theta):
        loadings = np.zeros((p, d))
        loadings[support.rows, support.columns] = theta[:nnz]
        noise = np.exp(theta[nnz : nnz + p])
        if orthogonal:
            return Params(loadings, np.eye(d), noise), None, None
        U = np.zeros((d, d))
        U[lower] = theta[nnz + p :]
        norm = np.sqrt(np.sum(U * U, axis=1, keepdims=True))
        U = U / norm
        corr = U @ U.T
        np.fill_diagonal(corr, 1.0)
        return Params(loadings, corr, noise), U, norm

    def value_and_gradient(theta):
        params, U, norm = unpack(theta)
        e = expectation(moments, params, support)
        loadings, noise = params.loadings, params.noise
        by_loading = 2 * (loadings @ e.C - e.T) / noise[:, None]
        explained = np.sum(loadings * (2 * e.T - loadings @ e.C), axis=1)
        by_log_noise = 1 - (moments.diag - explained) / noise
        parts = [by_loading[support.rows, support.columns], by_log_noise]
        if not orthogonal:
            by_corr = e.corr_inv @ (params.corr - e.C) @ e.corr_inv
            by_U = 2 * by_corr @ U
            by_U = (by_U - np.sum(by_U * U, axis=1, keepdims=True) * U) / norm
            parts.append(by_U[lower])
        return e.F, np.concatenate(parts)

    count = 0

    def callback(intermediate_result):
        nonlocal count
        count += 1
        if step is not None and step(count, intermediate_result.fun):
            raise StopIteration

    bounds = [(None, None)] * theta.size
    bounds[nnz : nnz + p] = [(x, None) for x in np.log(floor)]
    found = optimize.minimize(
        value_and_gradient,
        theta,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=callback,
        options={"maxiter": max_iter, "ftol": 0.0, "gtol": np.sqrt(tol), "maxcor": 20},
    )
    size = float(np.abs(found.jac).max())
    converged = bool(found.success) or size < 10 * np.sqrt(tol)
    return Fit(unpack(found.x)[0], float(found.fun), int(found.nit), converged, size)


def with_positive_columns(params):
    """Each factor is oriented so that its loadings sum to a positive number."""
    signs = np.where(params.loadings.sum(axis=0) < 0, -1.0, 1.0)
    corr = params.corr * np.outer(signs, signs)
    return Params(params.loadings * signs, corr, params.noise)
