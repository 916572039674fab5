"""Solvers of sparse canonical correlation: penalised matrix decomposition and IPLS."""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass, field

import numpy as np

from .._scores import canonical_rotation
from ._sparse_kernels import elastic_net_gram, elastic_net_residual, threshold_depth

# Working columns: up to this many their Gram matrix is kept.
LARGEST_WORKING_GRAM = 2000
MAX_PASSES = 10_000


def l1_unit_vector(a, bound, positive=False):
    """Maximiser of ``u'a`` with ``||u||_2 <= 1`` and ``||u||_1 <= bound``.

    It is ``S(a, delta) / ||S(a, delta)||_2`` with the exact threshold from sorted
    values. Where so many values are tied at the maximum that no threshold reaches the
    bound, the tied ones get equal weights of unit norm.

    Parameters
    ----------
    a : ndarray of shape (p,)
    bound : float
        At least 1.
    positive : bool
        Whether the weights must not be negative.

    Returns
    -------
    u : ndarray of shape (p,)
        Zero when `a` is (or has no positive entry with `positive`).
    delta : float
        Threshold.
    order : ndarray
        The magnitudes in descending order.
    """
    size = np.maximum(a, 0.0) if positive else np.abs(a)
    order = np.sort(size)[::-1]
    top = order[0]
    if not top > 0:
        return np.zeros_like(a), 0.0, order
    # Shares of the largest value: their squares neither overflow nor underflow.
    depth, n_tied = threshold_depth(order / top, bound)
    if n_tied:
        delta = order[n_tied - 1]
        u = (size >= delta).astype(np.float64)
    else:
        delta = top - depth * top
        u = np.maximum(depth - (top - size) / top, 0.0)
        u[size == 0] = 0.0
    u *= np.sign(a)
    return u / np.sqrt(u @ u), delta, order


def _reach(t, reference, rest, norm):
    """Bound of |x't| for columns x with |x'reference| <= rest and |x| <= norm."""
    squares = reference @ reference
    share = (t @ reference) / squares if squares > 0 else 0.0
    return abs(share) * rest + norm * np.linalg.norm(t - share * reference)


class L1Step:
    """``u <- l1_unit_vector(X't - E w)``, reading only columns that can matter.

    Only values above the threshold enter the result. After a full product with a
    sample vector t0, a column j whose value was ``a_j`` can have at most ``c |a_j| +
    ||X_j|| ||t - c t0||`` for another vector t and any c. As long as this stays below
    the threshold for all columns outside a working set, the product with the working
    set gives exactly the same vector.

    Parameters
    ----------
    view : StandardView or SparseView
    bound : float
        l1 bound.
    positive : bool
    earlier : ndarray of shape (p, j)
        Weights of the earlier components (Hotelling's deflation).
    """

    def __init__(self, view, bound, positive, earlier=None):
        self.view, self.bound, self.positive = view, bound, positive
        p = view.shape[1]
        self.earlier = np.zeros((p, 0)) if earlier is None else earlier
        self.always = np.flatnonzero(self.earlier.any(axis=1))
        self.working = None
        self.n_full = 0

    def __call__(self, t, w=None, *, passing=False):
        """Return u, and the value of the criterion ``u'(X't - E w)``.

        With `passing` no other t is expected to come near this one: the working set,
        if any, stays that of an earlier t.
        """
        if self.working is not None:
            a = self.columns @ t
            if w is not None and self.always.size:
                a -= self.earlier[self.working] @ w
            u, delta, _ = l1_unit_vector(a, self.bound, self.positive)
            reach = _reach(t, self.reference, self.rest, self.view.largest_norm)
            if reach < delta * (1 - 1e-9):
                full = np.zeros(self.view.shape[1])
                full[self.working] = u
                return full, u @ a
        self.n_full += 1
        a = self.view.correlate(t)
        if w is not None and self.always.size:
            a -= self.earlier @ w
        u, delta, order = l1_unit_vector(a, self.bound, self.positive)
        if not passing:
            self._choose(a, np.count_nonzero(u), delta, order, t)
        return u, u @ a

    def _choose(self, a, nonzero, delta, order, t):
        self.working = None
        # Among many columns more lie close to the threshold.
        n_working = max(4 * nonzero, 64, a.size // 32)
        if delta <= 0 or n_working > a.size // 4:
            return
        self.rest = order[n_working]
        size = np.maximum(a, 0.0) if self.positive else np.abs(a)
        inside = size > self.rest
        # A column's value also changes with the deflation where E is nonzero.
        inside[self.always] = True
        self.working = np.flatnonzero(inside)
        self.columns = self.view.columns(self.working)
        self.reference = t.copy()


@dataclass
class Component:
    """One pair of sparse weights and how it was found."""

    u: np.ndarray
    v: np.ndarray
    strength: float = 0.0
    n_iter: int = 0
    change: float = np.inf
    objective: list = field(default_factory=list)


def pmd_components(
    x, y, starts, *, bounds, positive, max_iter, tol, earlier=None, middle=None
):
    """A component of the penalised matrix decomposition from each of some starts.

    Starts that lead to the same optimum read few columns twice: a run goes on with
    the working columns of the run before.

    Parameters
    ----------
    x, y : views
    starts : list of pairs (s, t) of ndarrays of shape (n,)
        The first weights are ``v = Y's``, with scores ``t = Y v``.
    bounds, positive : pairs
        l1 bound and sign constraint of each view.
    max_iter, tol
        Stops when the largest change of v is below `tol`.
    earlier : tuple (U, d, V, S), optional
        Earlier components: the matrix is ``X'Y - U diag(d) V'``; ``S = Y V``.
    middle : callable, optional
        As in :func:`cross_starts`, for deflated samples.

    Returns
    -------
    list of Component
    """
    U, d, V, S = earlier if earlier is not None else (None, None, None, None)
    step_u = L1Step(x, bounds[0], positive[0], U)
    step_v = L1Step(y, bounds[1], positive[1], V)

    def alternate(s, t):
        if positive[1] and y.correlate(s).sum() < 0:
            s, t = -s, -t
        found = Component(np.zeros(x.shape[1]), np.zeros(y.shape[1]))
        for found.n_iter in range(1, max_iter + 1):
            if found.n_iter > 1:
                t = y.scores(found.v)
            if middle is not None:
                t = middle(t)
            along = None
            if d is not None:
                along = d * (V.T @ found.v if found.n_iter > 1 else S.T @ s)
            # All columns have a part in the start, few of them in what follows.
            found.u, value = step_u(t, along, passing=found.n_iter == 1)
            if found.n_iter > 1:
                # The first v, the start, does not keep its l1 bound.
                found.objective.append(float(value))
            t = x.scores(found.u)
            if middle is not None:
                t = middle(t, True)
            v, found.strength = step_v(t, None if d is None else d * (U.T @ found.u))
            found.objective.append(float(found.strength))
            if found.n_iter > 1:
                found.change = np.abs(v - found.v).max()
            found.v = v
            if found.change <= tol:
                break
        return found

    return [alternate(s, t) for s, t in starts]


class ElasticNet:
    """Repeated elastic nets on one view with slowly moving targets.

    ``min_u ||X u - s||^2 / (2 n) + l1 |u|_1 + l2/2 |u|^2`` by coordinate descent on
    a working set that only grows, from the previous solution. A column outside it is
    read again only when its correlation with the residual may have passed l1.
    """

    def __init__(self, view, alpha, ratio, positive, tol):
        self.view, self.n = view, view.n_samples
        self.l1, self.l2 = alpha * ratio, alpha * (1.0 - ratio)
        self.positive, self.tol = positive, tol
        self.working = np.zeros(0, dtype=np.intp)
        self.columns = np.zeros((0, view.shape[0]))
        self.gram = np.zeros((0, 0))
        self.w = np.zeros(0)
        self.reference = None
        self.n_full = 0

    def __call__(self, s):
        """Return the weights and the fitted values for the target s."""
        while True:
            residual = self._solve(s)
            if self.reference is not None:
                norm = self.view.largest_norm / self.n
                if _reach(residual, self.reference, self.rest, norm) < self.l1:
                    break
            self.n_full += 1
            g = self.view.correlate(residual) / self.n
            g = np.maximum(g, 0.0) if self.positive else np.abs(g)
            g[self.working] = 0.0
            violating = g > self.l1 * (1 + 1e-9) + 1e-14
            grew = violating.any()
            self._grow(g, violating)
            g[self.working] = 0.0
            self.rest, self.reference = g.max(initial=0.0), residual
            if not grew:
                break
        u = np.zeros(self.view.shape[1])
        u[self.working] = self.w
        return u, s - residual

    def _solve(self, s):
        residual = s - self.w @ self.columns
        if not self.w.size:
            return residual
        if self.gram is not None:
            q = self.columns @ s / self.n
            elastic_net_gram(
                self.gram, q, self.w, self.l1, self.l2, self.positive, self.tol,
                MAX_PASSES,
            )  # fmt: skip
            return s - self.w @ self.columns
        # Its mean runs over the rows of the columns, which may be compressed.
        share = self.columns.shape[1] / self.n
        elastic_net_residual(
            self.columns, self.squares, residual, self.w, self.l1 / share,
            self.l2 / share, self.positive, self.tol, MAX_PASSES,
        )  # fmt: skip
        return residual

    def _grow(self, g, violating):
        """Add the columns most in need, doubling the support at most.

        At first many columns violate the bound that the solution explains away.
        """
        wanted = violating | (g > 0.5 * self.l1)
        n_more = max(2 * np.count_nonzero(self.w), 32)
        if n_more < np.count_nonzero(wanted):
            wanted &= g >= np.partition(g, g.size - n_more)[g.size - n_more]
        new = np.flatnonzero(wanted)
        if not new.size:
            return
        added = self.view.columns(new)
        if self.gram is not None:
            old_new = self.columns @ added.T / self.n
            self.gram = np.block(
                [[self.gram, old_new], [old_new.T, added @ added.T / self.n]]
            )
        self.columns = np.concatenate([self.columns, added])
        self.working = np.concatenate([self.working, new])
        self.w = np.concatenate([self.w, np.zeros(new.size)])
        if self.working.size > LARGEST_WORKING_GRAM:
            self.gram = None
            self.squares = np.einsum("ij,ij->i", self.columns, self.columns)
            self.squares /= self.columns.shape[1]


def ipls_component(x, y, t, *, alphas, ratios, positive, max_iter, tol, middle=None):
    """One component of iterative penalised least squares from scores of y.

    Parameters
    ----------
    x, y : views
    t : ndarray of shape (n,)
        Scores of y to start from.
    alphas, ratios, positive : pairs
        Penalty, its l1 share and whether weights must not be negative, by view.
    max_iter, tol
        Stops when the root mean square change of the standardised scores of y is
        below `tol`.
    middle : callable, optional
        Multiplies the targets, for later components.

    Returns
    -------
    Component
        Weights that give unit variance; zero when a penalty kills the component.
    alpha_max : tuple of 2 floats
        For each view the `alpha` above which its first regression is zero.
    """
    net_x, net_y = (
        ElasticNet(*options, 1e-3 * tol)
        for options in zip((x, y), alphas, ratios, positive)
    )
    root_n = np.sqrt(x.n_samples)

    def unit(w, scores):
        size = np.linalg.norm(scores) / root_n
        if not size > 0:
            return np.zeros_like(w), np.zeros_like(scores)
        return w / size, scores / size

    def target(scores, transposed=False):
        return scores if middle is None else middle(scores, transposed)

    def unpenalised():
        u = x.correlate(target(s_v))
        return unit(u, x.scores(u))[1]

    def largest(view, t, ratio):
        return np.abs(view.correlate(t)).max() / (view.n_samples * ratio)

    found = Component(np.zeros(x.shape[1]), np.zeros(y.shape[1]))
    s_v = unit(t, t)[1]
    alpha_max = [largest(x, target(s_v), ratios[0]), np.nan]
    for found.n_iter in range(1, max_iter + 1):
        found.u, s_u = unit(*net_x(target(s_v)))
        if found.n_iter == 1:
            # Without a first regression to go on, the step of the power method.
            first = s_u if found.u.any() else unpenalised()
            alpha_max[1] = largest(y, target(first, True), ratios[1])
        if found.u.any():
            found.v, new = unit(*net_y(target(s_u, True)))
        if not (found.u.any() and found.v.any()):
            found.u[:], found.v[:], found.change = 0.0, 0.0, 0.0
            return found, alpha_max
        found.change = np.linalg.norm(new - s_v) / root_n
        s_v = new
        if found.change <= tol:
            break
    found.strength = float(s_u @ s_v) / x.n_samples
    return found, alpha_max


class ScoreDeflation:
    """Deflation by the scores of earlier components, in the space of samples.

    Parameters
    ----------
    kind : {"projection", "hotelling"}
        "projection" removes each view's own earlier scores from it: ``M = (I - P_T)
        (I - P_S)``. "hotelling" subtracts from ``X'Y`` what the earlier canonical
        pairs explain of it: with A, B the earlier scores rotated to canonical ones,
        ``M = I - A diag(rho) B'/n``.
    n_samples : int
    """

    def __init__(self, kind, n_samples):
        self.kind, self.n = kind, n_samples
        self.T, self.S = [], []

    def append(self, t, s):
        """Add the scores of a component; zeros leave everything as it is."""
        if not (t.any() and s.any()):
            return
        self.T.append(t)
        self.S.append(s)
        T, S = np.column_stack(self.T), np.column_stack(self.S)
        if self.kind == "projection":
            self._left, self._right = range_basis(T), range_basis(S)
        else:
            Gx, Gy, rho = canonical_rotation(
                T.T @ T / self.n, S.T @ S / self.n, T.T @ S / self.n
            )
            self._left, self._right = T @ Gx * rho / self.n, S @ Gy

    def residuals(self, t, s):
        """What the earlier scores leave of new ones, view by view."""
        if not self.T:
            return t, s
        return (
            t - self._left @ (self._left.T @ t),
            s - self._right @ (self._right.T @ s),
        )

    def __call__(self, s, transposed=False):
        """``M s`` or ``M's``; s may be a matrix."""
        if not self.T:
            return s
        left, right = (
            (self._right, self._left) if transposed else (self._left, self._right)
        )
        if self.kind == "projection":
            s = s - right @ (right.T @ s)
            return s - left @ (left.T @ s)
        return s - left @ (right.T @ s)


def range_basis(T):
    """Orthonormal basis of the columns of T, up to rounding."""
    Q, s, _ = np.linalg.svd(T, full_matrices=False)
    return Q[:, s > 1e-10 * max(s[0], 1e-300)]
