"""The convex program of primal-dual sparse CCA, solved to a duality gap.

min ||r||^2 + mu ||w||_1 + gamma sum_{j != k} e_j,   r = tau X w - (1 - tau) K e,
s.t. e_k = 1, 0 <= e_j <= 1
"""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse
from scipy.linalg.lapack import dpstrf

from ._primal_dual_kernels import dense_products, descend, sparse_products

# From this condition number on the mapping to the first views would be noise.
_MAX_CONDITION = 1e12
# Working sets start with this many columns and hold twice the support later: most
# columns that violate at the start, where w = 0, never enter the solution.
_FIRST_SET = 64
# Passes of coordinate descent before the support is taken for a guess and the
# equations on it are solved.
_MAX_PASS = 200
# Descent ends when a pass gains less than this share of the duality gap.
_DESCENT_TOL = 1e-4
# Pivots of one Newton phase that run into a bound.
_MAX_PIVOT = 40
# Squared pivots below this share of the largest entry mark dependent columns.
_DEPENDENT = 1e-13
# A gap below this share of the starting objective is rounding.
_ROUNDING = 1e-13


class PrimalView:
    """Centred columns of X without what was deflated; X itself is never changed.

    With an orthonormal basis Q of the removed directions, ``X_k = (I - QQ') X``:
    centring a sparse matrix and every deflation are the same operation.

    Parameters
    ----------
    columns : ndarray of shape (p, n), centred, or CSR matrix of shape (p, n), not
        The columns of X as rows.
    squares : ndarray of shape (p,)
        Squared lengths of the centred columns, exactly 0 for constant ones.
    """

    def __init__(self, columns, squares):
        p, n = columns.shape
        self.columns = columns
        self.first_squares = squares
        self.squares = squares.copy()
        self.Q, self.loadings = np.empty((n, 0)), np.empty((p, 0))
        self.is_sparse = sparse.issparse(columns)
        if self.is_sparse:
            self._append(np.full(n, 1 / np.sqrt(n)))

    def _append(self, q):
        self.Q = np.column_stack([self.Q, q])
        self.loadings = np.column_stack([self.loadings, self.columns @ q])

    def remove(self, v):
        """``(I - QQ') v``, twice, which leaves no rounding in the removed space."""
        for _ in range(2):
            v = v - self.Q @ (self.Q.T @ v)
        return v

    def products(self, v, chosen=None):
        """``X_k' v``, of some columns or all."""
        v = self.remove(v)
        if chosen is None or chosen.size > 0.7 * self.columns.shape[0]:
            found = np.asarray(self.columns @ v)
            return found if chosen is None else found[chosen]
        out = np.empty(chosen.size)
        if self.is_sparse:
            c = self.columns
            sparse_products(c.indptr, c.indices, c.data, chosen, v, out)
        else:
            dense_products(self.columns, chosen, v, out)
        return out

    def gather(self, chosen):
        """Some columns of X_k, dense, of shape (len(chosen), n)."""
        X = self.columns[chosen]
        X = X.toarray() if self.is_sparse else X
        if self.Q.shape[1]:
            X = X - (X @ self.Q) @ self.Q.T
        return np.ascontiguousarray(X)

    def combine(self, a):
        """``X_k a``."""
        return self.remove(np.asarray(self.columns.T @ a))

    def deflate(self, q):
        """Remove one more direction, a unit vector orthogonal to the others."""
        self._append(q)
        self.squares -= self.loadings[:, -1] ** 2
        # What is left of a column after cancellation would be rounding.
        self.squares[self.squares <= 1e-12 * self.first_squares] = 0.0


def default_penalties(view, K, k, tau):
    """The authors' mu and gamma: mean gradients at the start point e = unit k."""
    mu = np.mean(np.abs(2 * tau * (1 - tau) * view.products(K[k])))
    g = np.abs(2 * (1 - tau) ** 2 * (K @ K[k]))
    g[k] = 0.0
    return mu, np.mean(g)


@dataclass
class Pair:
    """Solution of one program; `gap` bounds its distance to the optimum."""

    seed: int
    support: np.ndarray
    w: np.ndarray
    e: np.ndarray
    Xw: np.ndarray
    Ke: np.ndarray
    mu: float
    gamma: float
    objective: float = 0.0
    gap: float = 0.0
    n_iter: int = 0
    converged: bool = True

    @property
    def correlation(self):
        """Of ``X w`` and ``K e``; 0 when either is zero."""
        return _cosine(self.Xw, self.Ke)

    @property
    def correlation_without_seed(self):
        """Pearson correlation over the rows other than the seed."""
        x, y = (np.delete(v, self.seed) for v in (self.Xw, self.Ke))
        return _cosine(x - x.mean(), y - y.mean())


def _cosine(x, y):
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    return float(np.clip(x @ y / lengths, -1.0, 1.0)) if lengths > 0 else 0.0


class Components:
    """The components found so far, the deflated views, the way back to the first.

    Deflating by ``t = X a`` with ``a = X' X w`` leaves ``X - sum_j t_j l_j'`` with
    ``l_j = X' t_j`` for t of length 1. So ``X A = T (L'A)``, where ``L'A`` is unit
    upper triangular, and ``W = A (L'A)^{-1}`` gives the scores T from the first X;
    for the kernel likewise with ``s = K b``, ``b = K e``.

    Parameters
    ----------
    view : PrimalView
    K : ndarray of shape (n, n)
    """

    def __init__(self, view, K):
        self.view, self.K, self.first_K = view, K, K
        self.first = view.Q.shape[1]
        self.pairs, self.exhausted = [], False
        self.A, self.B, self.S = (
            np.empty((m, 0)) for m in (view.squares.size, len(K), len(K))
        )
        self.W, self.Z = self.A, self.B

    def add(self, pair):
        """Deflate by a pair; False if nothing is left that could be mapped back."""
        view = self.view
        a, b = view.products(pair.Xw), pair.Ke
        t, s = view.combine(a), self.K @ b
        s = s - self.S @ (self.S.T @ s)
        lengths = np.linalg.norm(t), np.linalg.norm(s)
        self.exhausted = min(lengths) == 0
        if self.exhausted:
            return False
        A = np.column_stack([self.A, a / lengths[0]])
        B = np.column_stack([self.B, b / lengths[1]])
        S = np.column_stack([self.S, s / lengths[1]])
        view.deflate(t / lengths[0])
        LA = view.loadings[:, self.first :].T @ A
        GB = (S.T @ self.first_K) @ B
        self.exhausted = max(np.linalg.cond(LA), np.linalg.cond(GB)) > _MAX_CONDITION
        if self.exhausted:
            return False
        self.A, self.B, self.S = A, B, S
        self.W, self.Z = np.linalg.solve(LA.T, A.T).T, np.linalg.solve(GB.T, B.T).T
        self.pairs.append(pair)
        Ks = self.K @ S[:, -1]
        half = Ks - 0.5 * (S[:, -1] @ Ks) * S[:, -1]
        change = np.outer(S[:, -1], half)
        self.K = self.K - change - change.T
        return True

    def projections(self):
        """Weights of both first views and the training scores they give."""
        T = self.view.Q[:, self.first : self.first + len(self.pairs)]
        # The partner of a score is the one that it correlates with positively.
        sign = np.where(np.einsum("ij,ij->j", T, self.S) < 0, -1.0, 1.0)
        return self.W, self.Z * sign, T, self.S * sign

    def x_loadings(self):
        """``X' T`` of the first, centred X."""
        return self.view.loadings[:, self.first : self.first + len(self.pairs)]


def solve(view, K, k, mu, gamma, tau, *, tol=1e-6, max_iter=1000, screening=True):
    """Solve the program for seed k.

    Working sets grow by the columns that violate optimality most. On each, a few
    passes of coordinate descent find the support, and Newton's equations on it give
    its coefficients: descent alone needs thousands of passes where documents
    resemble each other.

    Parameters
    ----------
    view : PrimalView
    K : ndarray of shape (n, n), C order, symmetric
        Centred, deflated kernel.
    k : int
        Seed.
    mu, gamma, tau : float
    tol : float
        Stop when the duality gap is at most `tol` times the objective.
    max_iter : int
        Largest number of working sets.
    screening : bool
        Whether coordinates are dropped that are provably zero at the optimum.

    Returns
    -------
    Pair
    """
    n = K.shape[0]
    k_squares = np.einsum("ij,ij->i", K, K)
    e = np.zeros(n)
    e[k] = 1.0
    w = np.zeros(view.squares.size)
    Xw, r = np.zeros(n), -(1 - tau) * K[k]
    start = r @ r
    rounding = _ROUNDING * start
    alive = np.flatnonzero(view.squares > 0)
    duals = np.flatnonzero(k_squares > 0)
    duals = duals[duals != k]
    others = np.arange(n) != k
    descent_tol, chosen_before = _DESCENT_TOL, np.empty(0, int)
    objective, gap, converged = start, 0.0, True

    for n_iter in range(1, max_iter + 1):  # noqa: B007 - reported
        gx = 2 * tau * view.products(r, alive)
        gk = 2 * (1 - tau) * (K @ r)
        squares = r @ r
        objective = squares + mu * np.abs(w).sum() + gamma * (e.sum() - 1.0)
        largest = np.abs(gx).max(initial=0.0)
        shrink = mu / largest if largest > mu else 1.0
        dual = -(shrink**2) * squares - shrink * gk[k]
        dual += np.minimum(0.0, gamma - shrink * gk[others]).sum()
        gap = max(objective - dual, 0.0)
        converged = gap <= max(tol * objective, rounding)
        if converged or start == 0:
            if not screening or alive.size == np.count_nonzero(view.squares):
                break
            # The certificate is given for the program with all its columns.
            screening = False
            alive = np.flatnonzero(view.squares > 0)
            duals = np.flatnonzero(k_squares > 0)
            duals = duals[duals != k]
            continue
        if screening:
            # The dual is 1/2-strongly concave: its maximum is within this radius.
            radius = 2 * np.sqrt(gap)
            bound = shrink * np.abs(gx) + tau * np.sqrt(view.squares[alive]) * radius
            kept = (bound >= mu) | (w[alive] != 0)
            alive, gx = alive[kept], gx[kept]
            bound = shrink * gk + (1 - tau) * np.sqrt(k_squares) * radius
            duals = duals[(bound[duals] >= gamma) | (e[duals] != 0)]

        chosen = _working_set(np.abs(gx) - mu, w[alive] != 0, alive)
        dual_set = _working_set(gk[duals] - gamma, e[duals] != 0, duals)
        if np.isin(chosen, chosen_before).all():
            # Nothing new to add: what is missing is accuracy.
            descent_tol *= 0.1
        chosen_before = chosen
        X = view.gather(chosen)
        x_squares = np.einsum("ij,ij->i", X, X)
        w_set = w[chosen]
        descend(
            X, x_squares, w_set, K, k_squares, dual_set, e, r, mu, gamma, tau,
            descent_tol * max(gap, rounding), _MAX_PASS,
        )  # fmt: skip
        _newton(X, w_set, K, dual_set, e, mu, gamma, tau)
        w[chosen] = w_set
        Xw = w_set @ X
        r = tau * Xw - (1 - tau) * (e @ K)

    support = np.flatnonzero(w)
    return Pair(
        k, support, w[support], e, Xw, e @ K, mu, gamma, objective, gap, n_iter,
        bool(converged),
    )  # fmt: skip


def _working_set(violation, in_support, names):
    """The support and the coordinates that violate optimality most."""
    room = max(_FIRST_SET, 2 * np.count_nonzero(in_support))
    entering = np.flatnonzero((violation > 0) & ~in_support)
    if entering.size > room:
        # Stable, so that the choice among equals is that of the lowest index.
        order = np.argsort(-violation[entering], kind="stable")
        entering = entering[order[:room]]
    return names[np.sort(np.concatenate([np.flatnonzero(in_support), entering]))]


def _newton(X, w, K, dual_set, e, mu, gamma, tau):
    """Minimise over the free coordinates, in place, stopping at their bounds.

    Free are the nonzero w_j, with their sign, and 0 < e_j < 1. The objective is
    quadratic there, so a step that meets no bound is the minimum; one that does is
    cut there, which never raises the objective, and the coordinate is fixed. Where
    free columns are dependent, coordinates move along a combination that leaves the
    residual as it is and lowers the penalties until one of them is at its bound.
    """
    free_w = np.flatnonzero(w)
    free_e = dual_set[(e[dual_set] > 0) & (e[dual_set] < 1)]
    m, size = free_w.size, free_w.size + free_e.size
    if size == 0:
        return
    M = np.concatenate([tau * X[free_w], (tau - 1) * K[free_e]])
    z = start = np.concatenate([w[free_w], e[free_e]])
    positive = z > 0
    low, high = np.where(positive, 0.0, -np.inf), np.where(positive, np.inf, 0.0)
    high[m:] = 1.0
    penalty = np.full(size, 0.5 * gamma)
    penalty[:m] = 0.5 * mu * np.sign(z[:m])
    r = tau * (w @ X) - (1 - tau) * (e @ K)
    G, slope = M @ M.T, M @ r + penalty
    free = np.arange(size)
    for _ in range(_MAX_PIVOT + max(0, size - K.shape[0])):
        block = G[np.ix_(free, free)]
        factor, pivots, rank, _ = dpstrf(block, tol=_DEPENDENT * block.max(), lower=1)
        order, step = pivots - 1, np.zeros(free.size)
        basis = order[:rank]
        dependent = rank < free.size
        if dependent:
            extra = order[rank]
            step[basis] = -linalg.cho_solve(
                (factor[:rank, :rank], True), block[basis, extra]
            )
            step[extra] = 1.0
            cost = penalty[free] @ step
            step *= -np.sign(cost) if cost else -np.sign(z[free[extra]])
        else:
            step[basis] = -linalg.cho_solve((factor, True), slope[free[basis]])
        bound = np.where(step < 0, low[free], high[free])
        room = np.full(free.size, np.inf)
        np.divide(bound - z[free], step, out=room, where=step != 0)
        first = np.argmin(room)
        length = room[first] if dependent else min(1.0, room[first])
        if not np.isfinite(length):
            free = np.delete(free, extra)
            continue
        z = z.copy()
        z[free] += length * step
        if not dependent and length < room[first]:
            break
        z[free[first]] = bound[first]
        slope += length * (G[:, free] @ step)
        free = np.delete(free, first)
        if not free.size:
            break
    moved = z - start
    change = moved @ (2 * (M @ r + penalty) + G @ moved)
    # Rounding of nearly dependent columns must not undo what was reached.
    if change <= 0:
        w[free_w], e[free_e] = z[:m], z[m:]
