"""Nuclear-norm regularised completion on plain arrays.

Minimise ``1/2 ||P(X - Z)||_F^2 + alpha ||Z||_*`` over Z, where P keeps the observed
entries, with Z = U diag(s) V' held in factors (U and V orthonormal columns).
"""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.optimize import nnls
from scipy.sparse.linalg import LinearOperator

from .._linalg import compress, largest_triplets, thin_svd
from ._kernels import entry_products, residual_times, ridge_steps

# Below this share of missing entries a dense product with the zero-filled matrix plus
# a correction on the missing ones is cheaper than a loop over the observed ones.
_DENSE_BELOW = 0.6

# Conjugate gradient steps per row and half step; more only sharpen what the next
# half step undoes.
_RIDGE_STEPS = 10

# Iterations between two proximal steps when the rank is free.
_ROUND = 10


@dataclass
class Solution:
    """Factors of Z and how the solver came there."""

    U: np.ndarray
    s: np.ndarray
    V: np.ndarray
    n_iter: int = 0
    converged: bool = True
    objective: list = field(default_factory=list)
    change: float = 0.0
    """Last relative change ||Z_new - Z||^2 / ||Z||^2 (svt: relative residual)."""


class Observations:
    """The observed entries of a centred matrix, seen from its rows and its columns.

    Parameters
    ----------
    X0 : ndarray of shape (n, p), zero where missing, or csr_array of the entries
    observed : ndarray of bool of shape (n, p), default=None
        Needed with a dense `X0`.
    """

    def __init__(self, X0, observed=None):
        self.shape = n, p = X0.shape
        self.dense = None
        if sparse.issparse(X0):
            self.n_observed = X0.nnz
            rows, values = X0, X0.data
        else:
            self.n_observed, values = int(np.count_nonzero(observed)), X0
            if n * p - self.n_observed < _DENSE_BELOW * n * p:
                self.dense = X0
                rows = _pattern(~observed, None)
            else:
                rows = _pattern(observed, X0)
        self.norm2 = float(np.vdot(values, values))
        self.rows, self.columns = rows, rows.tocsc()
        # Observed share of each row and column, whichever entries are stored.
        counts = np.diff(self.rows.indptr) / p, np.diff(self.columns.indptr) / n
        self.shares = tuple(c if self.dense is None else 1.0 - c for c in counts)

    def ridge(self, side, F, strength, alpha, B):
        """Improve B, the rows' (side 0) or columns' (side 1) factor, in place.

        F is the other side's factor with orthogonal columns of squared length
        `strength`. Returns ``||P(X - A B')||^2`` at the B that came in.
        """
        lines = self.rows if side == 0 else self.columns
        if self.dense is None:
            right, base, sign = np.zeros(B.shape), 0.0, 1.0
        else:
            right, base, sign = (self.dense, self.dense.T)[side] @ F, 1.0, -1.0
            loss = self.norm2 - 2 * np.vdot(right, B) + np.sum(strength * B * B)
        total = ridge_steps(
            lines.indptr,
            lines.indices,
            lines.data,
            F,
            right,
            base,
            sign,
            self.shares[side],
            strength,
            alpha,
            B,
            _RIDGE_STEPS,
        )
        return total if self.dense is None else max(loss - total, 0.0)

    def filled_times(self, U, s, V):
        """``(P(X) + P_missing(Z)) V`` and ``||P(X - Z)||^2`` for Z = U diag(s) V'."""
        out, Us = np.empty(U.shape), np.ascontiguousarray(U * s)
        rows = self.rows
        total = residual_times(rows.indptr, rows.indices, rows.data, Us, V, out)
        if self.dense is None:
            # The stored entries are the observed ones: out = P(X - Z) V.
            out += Us
            return out, total
        # The stored entries are the missing ones, with data 0: out is minus
        # P_missing(Z) V, and total is ||P_missing(Z)||^2.
        product = self.dense @ V
        loss = self.norm2 - 2 * np.vdot(product, Us) + np.vdot(s, s) - total
        product -= out
        return product, max(loss, 0.0)

    def residual(self, U, s, V):
        """``P(X - U diag(s) V')`` as a csr_array, or dense where X0 is."""
        if self.dense is not None:
            R = self.dense - (U * s) @ V.T
            R[self._line_numbers(), self.rows.indices] = 0.0
            return R
        fitted = np.empty(self.rows.nnz)
        entry_products(
            self._line_numbers(),
            self.rows.indices,
            np.ascontiguousarray(U * s),
            np.ascontiguousarray(V),
            fitted,
        )
        return sparse.csr_array(
            (self.rows.data - fitted, self.rows.indices, self.rows.indptr),
            shape=self.shape,
        )

    def _line_numbers(self):
        counts = np.diff(self.rows.indptr)
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), counts)

    def zero_filled(self):
        """The zero-filled matrix, for products with scipy and numpy."""
        return self.rows if self.dense is None else self.dense

    def largest_singular_value(self):
        """Norm of the zero-filled matrix: from here on the solution is zero."""
        return float(largest_triplets(self.zero_filled(), 1, tol=1e-4)[1][0])


def _pattern(mask, values):
    """csr_array of the entries of a mask; explicit zeros are kept."""
    rows, columns = np.nonzero(mask)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(mask)))])
    data = np.zeros(len(rows)) if values is None else values[mask]
    return sparse.csr_array(
        (data, columns.astype(np.int32), indptr.astype(np.int32)), shape=mask.shape
    )


def initial_factors(observations, rank, rng):
    """Approximate leading singular triplets of the zero-filled matrix."""
    X0 = observations.zero_filled()
    Q = X0 @ rng.standard_normal((X0.shape[1], rank))
    for _ in range(2):
        Q = X0 @ (X0.T @ np.linalg.qr(Q)[0])
    Q = np.linalg.qr(Q)[0]
    V, s, Wt = thin_svd(X0.T @ Q)
    return Q @ Wt.T, s, V


def alternating_ridge(observations, alpha, U, s, V, *, tol, max_iter, step, start=0):
    """Alternating ridge regressions (Hastie et al. 2015), each row on its own entries.

    With A = U D, B = V D and D^2 = diag(s) the objective is
    ``1/2 ||P(X - A B')||^2 + alpha/2 (||A||^2 + ||B||^2)``. Each half step improves
    one side and returns to balanced factors by an SVD, which lowers it further: the
    objective never rises. The published algorithm fills the missing entries with the
    current fit instead, which bounds every row's curvature by that of a full row; at
    few observed entries its steps are smaller by about their share.
    """
    history = []
    n_iter, converged, change = start, False, np.inf
    while n_iter < max_iter and s.size:
        previous = U, s, V
        for side in (1, 0):
            D = np.sqrt(s)
            factors = [np.ascontiguousarray(U * D), np.ascontiguousarray(V * D)]
            loss = observations.ridge(side, factors[1 - side], s, alpha, factors[side])
            if side == 1:
                history.append(0.5 * loss + alpha * s.sum())
            # A B' = U (B D)' with U orthonormal: one thin SVD balances the factors.
            found, s, Wt = thin_svd(factors[side] * D)
            other = (U, V)[1 - side] @ Wt.T
            U, V = (found, other) if side == 0 else (other, found)
            alive = s > 1e-14 * s.max(initial=0.0)
            U, s, V = U[:, alive], s[alive], V[:, alive]
        n_iter += 1
        change = relative_change(*previous, U, s, V)
        if step(n_iter, history[-1]):
            break
        if change < tol:
            converged = True
            break
    return Solution(U, s, V, n_iter, converged or not s.size, history, change)


def relative_change(U0, s0, V0, U, s, V):
    """``||Z - Z0||^2 / ||Z0||^2`` from the factors."""
    inner = np.einsum("k,kl,kl,l->", s0, U0.T @ U, V0.T @ V, s)
    size = np.vdot(s0, s0)
    if size == 0:
        return np.inf if s.any() else 0.0
    return max(0.0, float((size + np.vdot(s, s) - 2 * inner) / size))


def clean(observations, alpha, U, s, V):
    """One proximal step within the current column space: exact rank, exact zeros."""
    product, _ = observations.filled_times(U, s, V)
    U, s, Wt = thin_svd(product)
    V = V @ Wt.T
    s = np.maximum(s - alpha, 0.0)
    keep = s > 1e-12 * max(s[0], 1e-300) if s.size else slice(0)
    return U[:, keep], s[keep], V[:, keep]


def solve_als(observations, alpha, limit, *, capped, tol, max_iter, start, rng, step):
    """Soft-Impute by alternating ridge steps, with a rank that certifies itself.

    Parameters
    ----------
    limit : int
        Largest rank.
    capped : bool
        True keeps `limit` directions throughout (the rank cap of the user, with which
        the problem is not convex). False starts with at most 50, and adds the
        singular vectors of the residual whose value exceeds alpha until the duality
        gap is below ``10 tol`` times the objective.
    start : tuple (U, s, V) or None
        Warm start.
    """
    rank = limit if capped else min(50, limit)
    if start is not None:
        U, s, V = start
        if capped and s.size < limit:
            U, s, V = expand(observations, alpha, U, s, V, limit - s.size)[0]
    else:
        U, s, V = initial_factors(observations, rank, rng)
        # One proximal step, but no direction starts at zero, where alternating ridge
        # steps could not leave it.
        s = np.maximum(s - alpha, 0.1 * s)
    objective, n_iter = [], 0
    while True:
        # Directions below the threshold only fade under ridge steps: the proximal
        # step that removes them comes every few iterations where the rank is free.
        until = max_iter if capped else min(max_iter, n_iter + _ROUND)
        found = alternating_ridge(
            observations,
            alpha,
            U,
            s,
            V,
            tol=tol,
            max_iter=until,
            step=step,
            start=n_iter,
        )
        stopped = found.n_iter < until and not found.converged
        objective += found.objective
        n_iter = found.n_iter
        U, s, V = clean(observations, alpha, found.U, found.s, found.V)
        if capped or stopped or n_iter >= max_iter:
            break
        if not found.converged:
            continue
        n_new = min(limit - s.size, max(8, s.size))
        (U_new, s_new, V_new), gap, primal = expand(observations, alpha, U, s, V, n_new)
        if gap <= max(10 * tol, 1e-8) * primal:
            break
        U, s, V = U_new, s_new, V_new
    found.U, found.s, found.V, found.objective = U, s, V, objective
    loss = observations.filled_times(U, s, V)[1]
    found.objective.append(0.5 * loss + alpha * s.sum())
    return found


def expand(observations, alpha, U, s, V, n_new):
    """Add residual directions with singular value t > alpha at strength t - alpha.

    The objective falls by (t - alpha)^2 / 2 for each.

    Returns
    -------
    (U, s, V), gap, primal
        The factors, and the duality gap and objective before the addition.
    """
    R = observations.residual(U, s, V)
    left, t, right = largest_triplets(R, max(n_new, 1))
    gap, primal = _gap(observations, alpha, R, s, t[0])
    new = (t > alpha) & (np.arange(t.size) < n_new)
    gain = t[new] - alpha
    factors = compress(
        np.hstack([U * s, left[:, new] * gain]), np.hstack([V, right[:, new]])
    )
    return factors, gap, primal


def duality_gap(observations, alpha, U, s, V):
    """Primal minus dual objective: a bound of the distance to the global optimum.

    The dual point is the residual, scaled into the spectral-norm ball of radius
    alpha; NaN for alpha = 0, whose dual is trivial.
    """
    if alpha == 0:
        return np.nan
    R = observations.residual(U, s, V)
    return _gap(observations, alpha, R, s, largest_triplets(R, 1)[1][0])[0]


def _gap(observations, alpha, R, s, largest):
    X0 = observations.zero_filled()
    residual, known = (A.data if sparse.issparse(A) else A for A in (R, X0))
    loss = float(np.vdot(residual, residual))
    c = min(1.0, alpha / largest) if largest > 0 else 1.0
    dual = c * float(np.vdot(residual, known)) - 0.5 * c * c * loss
    primal = 0.5 * loss + alpha * float(s.sum())
    return max(0.0, primal - dual), primal


def solve_svd(observations, alpha, limit, *, tol, max_iter, step):
    """Soft-Impute by full proximal steps (Mazumder et al. 2010)."""
    n, p = observations.shape
    U, s, V = np.zeros((n, 0)), np.zeros(0), np.zeros((p, 0))
    history, converged, n_iter, change = [], False, 0, np.inf
    while n_iter < max_iter:
        U_old, s_old, V_old = U, s, V
        filled = _filled_operator(observations, U, s, V)
        guess = min(limit, max(s.size + 5, 10))
        while True:
            U, t, V = largest_triplets(filled, guess)
            if guess >= limit or t[-1] <= alpha:
                break
            guess = min(limit, 2 * guess)
        keep = t > alpha
        U, s, V = U[:, keep], t[keep] - alpha, V[:, keep]
        n_iter += 1
        loss = observations.filled_times(U, s, V)[1]
        history.append(0.5 * loss + alpha * s.sum())
        if s_old.size == 0 or s.size == 0:
            change = 0.0 if s_old.size == s.size else np.inf
        else:
            change = relative_change(U_old, s_old, V_old, U, s, V)
        if step(n_iter, history[-1]):
            break
        if change < tol:
            converged = True
            break
    return Solution(U, s, V, n_iter, converged, history, change)


def _filled_operator(observations, U, s, V):
    """``P(X) + P_missing(Z)``: dense where that is small, else sparse + low rank."""
    R = observations.residual(U, s, V)
    n, p = observations.shape
    if n * p <= 4_000_000 or not sparse.issparse(R):
        R = R.toarray() if sparse.issparse(R) else R
        return R + (U * s) @ V.T
    return LinearOperator(
        shape=(n, p),
        dtype=np.float64,
        matvec=lambda x: R @ x + U @ (s * (V.T @ x.ravel())),
        rmatvec=lambda y: R.T @ y + V @ (s * (U.T @ y.ravel())),
    )


def solve_svt(observations, *, tol, max_iter, step):
    """Iterative singular value thresholding (Cai, Candes, Shen 2010).

    For exact completion without noise: tends to the matrix of least nuclear norm
    (plus a small ridge) among those that agree with the observed entries.
    """
    n, p = observations.shape
    tau = 5.0 * np.sqrt(n * p)
    delta = 1.2 * n * p / observations.n_observed
    X0 = observations.zero_filled()
    norm = np.sqrt(observations.norm2)
    top = observations.largest_singular_value()
    if top == 0:
        return Solution(np.zeros((n, 0)), np.zeros(0), np.zeros((p, 0)))
    scale = _typical(observations)
    # The published constants are for entries of order one.
    tau *= scale
    Y = X0 * (np.ceil(tau / (delta * top)) * delta)
    rank, history, converged, n_iter = 0, [], False, 0
    first = None
    U, s, V = np.zeros((n, 0)), np.zeros(0), np.zeros((p, 0))
    while n_iter < max_iter:
        guess = min(rank + 1, n, p)
        while True:
            U, t, V = largest_triplets(Y, guess)
            if t[-1] <= tau or guess == min(n, p):
                break
            guess = min(guess + 5, n, p)
        keep = t > tau
        U, s, V = U[:, keep], t[keep] - tau, V[:, keep]
        rank = s.size
        R = observations.residual(U, s, V)
        data = R.data if sparse.issparse(R) else R
        size = float(np.sqrt(np.vdot(data, data)))
        history.append(size / norm)
        n_iter += 1
        first = size if first is None else first
        if size > 1e5 * first:
            delta /= 2
            Y = X0 * (np.ceil(tau / (delta * top)) * delta)
            rank = 0
            continue
        if step(n_iter, history[-1]):
            break
        if history[-1] <= tol:
            converged = True
            break
        Y = Y + delta * R
    return Solution(U, s, V, n_iter, converged, history, history[-1])


def _typical(observations):
    """Root mean square of the observed entries."""
    return np.sqrt(observations.norm2 / observations.n_observed)


def debias(observations, U, s, V):
    """Refit the singular values by nonnegative least squares on the observed entries.

    Regresses x_ij on the r columns u_ik v_jk. The r x r Gram matrix needs the Gram
    matrix of V over each row's observed columns: one product with the pattern.
    """
    r = s.size
    if r == 0:
        return s
    rows = observations.rows
    pattern = sparse.csr_array(
        (np.ones(rows.nnz), rows.indices, rows.indptr), rows.shape
    )
    a, b = np.tril_indices(r)
    packed = np.einsum("ik,ik->k", U[:, a] * U[:, b], pattern @ (V[:, a] * V[:, b]))
    H = np.zeros((r, r))
    H[a, b] = H[b, a] = packed
    if observations.dense is not None:
        H = np.eye(r) - H  # the pattern holds the missing entries
    right = np.einsum("ik,ik->k", U, observations.zero_filled() @ V)
    values, vectors = np.linalg.eigh(H)
    root = np.sqrt(np.maximum(values, 1e-12 * values[-1]))
    return nnls((vectors * root).T, (vectors.T @ right) / root)[0]


def alpha_grid(alpha_max, n_alphas):
    """Geometric grid from just below alpha_max, where the first direction enters."""
    if alpha_max == 0:
        return np.zeros(1)
    return np.geomspace(0.99 * alpha_max, alpha_max / 100, n_alphas)


def solve_path(observations, alphas, limit, *, capped, tol, max_iter, rng):
    """Solutions along descending alphas, each warm-started from the one before."""
    found, start = [], None
    for alpha in alphas:
        if start is not None and start[1].size == 0:
            start = None
        solution = solve_als(
            observations,
            alpha,
            limit,
            capped=capped,
            tol=tol,
            max_iter=max_iter,
            start=start,
            rng=rng,
            step=lambda i, objective: False,
        )
        start = solution.U, solution.s, solution.V
        found.append(solution)
    return found
