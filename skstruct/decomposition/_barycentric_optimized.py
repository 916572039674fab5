"""References that are free points: optimal spans in spaces of constant curvature.

A frame has the rows v_0 (a point) and v_1, ..., v_k (orthonormal directions there);
the span of level i is that of the first i + 1 rows. Points are rows (c, v) as in
``_barycentric_space``.
"""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from .._manifolds import Euclidean, Hyperbolic, Sphere
from ._barycentric_samples import SampleCosts, forward
from ._barycentric_space import (
    Span,
    from_origin,
    homogeneous,
    internal,
    orthonormal_rows,
    to_origin,
)

_MANIFOLDS = {0: Euclidean(), 1: Sphere(), -1: Hyperbolic()}

# Up to this dimension the directions of a flag are found by eigenvectors.
_DENSE = 200


# Where another method follows, one only has to come near.
_NEAR = 1e-4

# Steps along a gradient, longest first.
_STEPS = 0.5 ** np.arange(-2, 30)


def polar(A):
    """Nearest matrix with orthonormal rows."""
    left, _, right = np.linalg.svd(A, full_matrices=False)
    return left @ right


@dataclass
class Progress:
    """Stopping rule and record of the iterations of a fit."""

    max_iter: int
    tol: float
    step: object
    history: list = field(default_factory=list)
    n_iter: int = 0
    converged: bool = True
    change: float = 0.0

    def run(self, value, update, tol=None):
        """Call ``update() -> new value or None`` until the relative change is small.

        None means that no step lowers the objective any more.
        """
        tol = self.tol if tol is None else tol
        self.history = [value]
        for _ in range(self.max_iter):
            new = update()
            self.n_iter += 1
            if new is None:
                self.change = 0.0
                return
            self.change = (value - new) / max(abs(value), 1e-300)
            value = new
            self.history.append(value)
            if self.step(self.n_iter, value) or self.change <= tol:
                return
        self.converged = False


def optimize_span(kind, H, weights, k, *, strategy, cost, p, progress):
    """Optimal frame of k directions.

    Parameters
    ----------
    kind : {0, 1, -1}
    H : ndarray of shape (n, 1 + D)
    weights : ndarray of shape (n,)
        Of sum one.
    k : int
    strategy : {"flag", "pure", "forward", "backward"}
    cost : {"geodesic", "extrinsic"}
    p : float
    progress : Progress

    Returns
    -------
    span : Span
    """
    problem = _Problem(kind, H, weights, p, progress)
    if k == 0:
        return Span(kind, problem.center(H, weights), np.zeros((0, H.shape[1] - 1)))
    if cost == "extrinsic" or (kind == 0 and p == 2):
        return problem.span(problem.weighted_frame(weights, k))
    solve = {
        "flag": problem.flag,
        "pure": problem.single_level,
        "forward": problem.forward,
        "backward": problem.backward,
    }
    return solve[strategy](k)


class _Problem:
    def __init__(self, kind, H, weights, p, progress):
        self.kind = kind
        self.H = H
        self.weights = weights
        self.p = p
        self.progress = progress

    def span(self, frame):
        """Span of a frame, rounding removed from its directions."""
        base = frame[0]
        if self.kind == 1:
            base = base / np.sqrt(base @ base)
        elif self.kind == -1:
            base = np.r_[np.sqrt(1 + base[1:] @ base[1:]), base[1:]]
        directions = to_origin(self.kind, base, frame[1:])[:, 1:]
        return Span(self.kind, base, orthonormal_rows(directions)[0])

    def value(self, span, level):
        """Cost of one level."""
        return float(self.weights @ span.distances(self.H, level) ** self.p)

    def auv(self, span):
        """Sum of the costs of all levels."""
        return float((span.all_distances(self.H) ** self.p @ self.weights).sum())

    def irls(self, d):
        """Weights of the squared residuals: the derivative of d^p by sin^2 d, ..."""
        if self.kind == 0:
            w = np.ones_like(d)
        else:
            f = np.sin if self.kind > 0 else np.sinh
            double = f(2 * d)
            small = d < 1e-8
            w = np.where(small, 1.0, 2 * d / np.where(small, 1.0, double))
            if self.kind > 0:
                # Beyond reach: at pi / 2 the derivative is infinite.
                w = np.where((w < 0) | (w > 1e3), 1e3, w)
        return self.weights * w * self.power(d)

    def power(self, d):
        """Factor of the p-th power, bounded near zero."""
        if self.p == 2:
            return np.ones_like(d)
        positive = d[d > 0]
        floor = 1e-6 * np.median(positive) if positive.size else 1.0
        return self.p / 2 * np.maximum(d, floor) ** (self.p - 2)

    def center(self, H, weights):
        """Point with the least mean p-th power of the distance."""
        manifold = _MANIFOLDS[self.kind]
        Y = internal(self.kind, H)
        x = manifold.mean(Y, weights)
        value = weights @ manifold.dist(x[None], Y) ** self.p
        for _ in range(self.progress.max_iter if self.p != 2 else 0):
            w = weights * self.power(manifold.dist(x[None], Y))
            new = manifold.mean(Y, w)
            new_value = weights @ manifold.dist(new[None], Y) ** self.p
            if not new_value < value * (1 - self.progress.tol):
                break
            x, value = new, new_value
        return homogeneous(self.kind, x[None])[0]

    # -- the weighted extrinsic problem, in closed form --------------------------------

    def weighted_frame(self, w, k, H=None):
        """Frame with the least weighted sum of squared residuals, all k at once."""
        H = self.H if H is None else H
        if self.kind == 0:
            mean = w @ H / w.sum()
            centred = H[:, 1:] - mean[1:]
            _, U = np.linalg.eigh((centred.T * w) @ centred)
            directions = U[:, ::-1][:, :k].T
            return np.vstack([mean, np.column_stack([np.zeros(k), directions])])
        C = (H.T * w) @ H
        values, U = np.linalg.eigh(C)
        if self.kind > 0:
            frame = U[:, ::-1][:, : k + 1].T
            if w @ H @ frame[0] < 0:
                frame[0] *= -1
            return frame
        # C J v = lambda v through the symmetric L' J L with C = L L'.
        L = U * np.sqrt(np.maximum(values, 0))
        values, U = np.linalg.eigh(L.T @ L - 2 * np.outer(L[0], L[0]))
        rows = (L @ U).T / np.sqrt(np.maximum(np.abs(values), 1e-300))[:, None]
        time = rows[0] * np.sign(rows[0, 0])
        return np.vstack([time, rows[::-1][:k]])

    def descend(self, start, level, propose, *, short_steps=True, tol=None):
        """Iterate closed-form solutions, or gradient steps where those overshoot.

        ``propose(w, span, t)`` solves the problem with weights w of the squared
        residuals; with a number t it only moves the span by t times the gradient.
        On the sphere the cost is convex in the squared residuals: the closed form
        need not lower it when residuals are large, a short step along the gradient
        always does.
        """
        state = {"span": start, "value": self.value(start, level), "t": None}

        def update():
            w = self.irls(state["span"].distances(self.H, level))
            if state["t"] is None:
                short = self.kind > 0 and short_steps
                steps = [None, *_STEPS] if short else [None]
            else:
                # A long step is a power iteration already.
                steps = min(state["t"], 1e3) * _STEPS
            for t in steps:
                trial = propose(w, state["span"], t)
                value = self.value(trial, level)
                if value < state["value"]:
                    state.update(span=trial, value=value, t=t)
                    return value
            return None

        self.progress.run(state["value"], update, tol)
        return state["span"]

    # -- strategies --------------------------------------------------------------------

    def single_level(self, k):
        """Iteratively reweighted closed-form solutions for the span of level k."""

        def propose(w, span=None, t=None):
            return self.span(self.weighted_frame(w, k))

        starts = [propose(self.weights)]
        if self.kind != 0:
            starts.append(self.greedy_samples(k))
        finish = self.quasi_newton if self.kind > 0 else lambda span, _: span
        tol = _NEAR if self.kind > 0 else None
        found = [
            finish(self.descend(start, k, propose, short_steps=False, tol=tol), [k])
            for start in starts
            if start.k == k
        ]
        return min(found, key=lambda span: self.value(span, k))

    def quasi_newton(self, span, levels):
        """Local optimum of the sum of some levels on the sphere, from near it.

        Any k + 1 rows A = L Q, L lower triangular, span a flag. The cost of level l
        has the gradient ``-2 L_l^-T Q_l C_l (I - P_l)`` with regard to its rows, C_l
        being the second moments weighted by the derivative of d^p by sin^2 d.
        """
        V = self.frame_rows(span)
        H, weights = self.H, self.weights

        def frame(a):
            Q, R = np.linalg.qr(a.reshape(V.shape).T)
            signs = np.where(np.diag(R) < 0, -1.0, 1.0)
            return Q.T * signs[:, None], R.T * signs

        def cost(a):
            Q, L = frame(a)
            d = self.span(Q).all_distances(H)
            value = 0.0
            G = np.zeros_like(Q)
            Z = H @ Q.T
            for level in levels:
                value += weights @ d[level] ** self.p
                if level == 0:
                    # Of the point itself: past 90 degrees sin^2 falls again.
                    sine = np.maximum(np.sin(d[0]), 1e-8)
                    w = (
                        weights
                        * self.power(d[0])
                        * np.where(d[0] > 1e-8, d[0] / sine, 1)
                    )
                    w = np.minimum(w, 1e3 * weights)
                    pull = w @ H
                    G[0] += (pull - (pull @ Q[0]) * Q[0]) / L[0, 0]
                    continue
                part = slice(0, level + 1)
                wZ = Z[:, part].T * self.irls(d[level])
                move = wZ @ H - (wZ @ Z[:, part]) @ Q[part]
                G[part] += solve_triangular(
                    L[part, part], move, lower=True, trans="T", check_finite=False
                )
            return value, -2 * G.ravel()

        progress = self.progress
        values = [cost(V.ravel())[0]]
        found = minimize(
            cost,
            V.ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=lambda intermediate_result: values.append(intermediate_result.fun),
            options={
                "maxiter": progress.max_iter,
                "ftol": progress.tol / 10,
                "gtol": 1e-10,
                "maxcor": 20,
            },
        )
        for i, value in enumerate(values[1:], progress.n_iter + 1):
            progress.step(i, value)
        progress.n_iter += found.nit
        progress.converged = found.nit < progress.max_iter
        progress.history = values
        if found.fun < values[0]:
            return self.span(frame(found.x)[0])
        return span

    def greedy_samples(self, k, n_refs=200):
        """Span of greedily chosen samples: a start far from the local optimum."""
        refs = np.linspace(0, len(self.H) - 1, min(n_refs, len(self.H))).astype(int)
        H = np.vstack([self.H[refs], np.delete(self.H, refs, axis=0)])
        w = np.r_[self.weights[refs], np.delete(self.weights, refs)]
        costs = SampleCosts(self.kind, H, w, self.p, len(refs))
        return Span.of_points(self.kind, H[list(forward(costs, k + 1))])

    def forward(self, k, tol=None):
        """The centre, then one direction at a time with the span fixed."""
        base = self.center(self.H, self.weights)
        v = to_origin(self.kind, base, self.H)[:, 1:]
        U = np.zeros((0, v.shape[1]))
        for level in range(1, k + 1):
            rest = v - (v @ U.T) @ U

            def propose(w, span=None, t=None, U=U, rest=rest):
                if t is None:
                    _, vectors = np.linalg.eigh((rest.T * w) @ rest)
                    u = vectors[:, -1]
                else:
                    u = span.directions[-1]
                    u = u + t * (w * (rest @ u)) @ rest
                return Span(self.kind, base, orthonormal_rows(np.vstack([U, u]))[0])

            span = self.descend(propose(self.weights), level, propose, tol=tol)
            U = span.directions
        return span

    def backward(self, k):
        """Level k, then each lower level inside the one above it."""
        spans = [self.single_level(k)]
        for level in range(k - 1, 0, -1):
            frame = self.frame_rows(spans[-1])
            P, _ = spans[-1].split(self.H)

            def propose(w, span=None, t=None, P=P, frame=frame, level=level):
                if t is None:
                    return self.span(self.weighted_frame(w, level, P) @ frame)
                V = self.frame_rows(span) @ frame.T
                return self.span(polar(V + t * (V @ P.T * w) @ P) @ frame)

            start = propose(self.weights)
            spans.append(self.descend(start, level, propose))
        line = spans[-1]
        base = line.outside(self.center(line.inside(self.H), self.weights)[None])[0]
        U = np.zeros((0, base.size - 1))
        for span in spans[::-1]:
            rows = to_origin(self.kind, base, self.frame_rows(span))[:, 1:]
            rest = rows - (rows @ U.T) @ U
            direction = np.linalg.svd(rest, full_matrices=False)[2][0]
            U = orthonormal_rows(np.vstack([U, direction]))[0]
        return Span(self.kind, base, U)

    def frame_rows(self, span):
        """v_0, ..., v_k as rows."""
        rows = span.frame().T.copy()
        if self.kind == 0:
            rows[1:, 0] = 0.0
        return rows

    def flag(self, k):
        """All levels at once: the accumulated unexplained variance."""
        start = self.forward(k, _NEAR)
        self.progress.converged = True
        if self.kind > 0:
            return self.quasi_newton(start, range(k + 1))
        state = {"span": start, "value": self.auv(start)}
        self.progress.run(state["value"], lambda: self._majorize_update(state))
        return state["span"]

    def _accept(self, state, span):
        value = self.auv(span)
        if value < state["value"]:
            state.update(span=span, value=value)
            return value
        return None

    def _majorize_update(self, state):
        """One sweep over the quadratic majoriser of a concave cost.

        In flat and hyperbolic space the cost is a concave function of the squared
        residuals, hence below its tangent ``sum_l sum_j w_jl s_jl``. Level l pays for
        the coordinates c > l: exact plane moves of the base along each direction and
        along the steepest one of the rest, then the directions with the base fixed.
        Every part lowers the majoriser, and so the AUV.
        """
        span = state["span"]
        k = span.k
        W = np.stack([self.irls(d) for d in span.all_distances(self.H)])
        pays = np.cumsum(W, axis=0)  # row c - 1: weights of the levels below c
        moved = to_origin(self.kind, span.base, self.H)
        base, U = span.base, span.directions
        for c in range(k + 1):
            if c < k:
                u, w = U[c], pays[c]
            else:
                w = pays[k]
                rest = moved[:, 1:] - (moved[:, 1:] @ U.T) @ U
                u = (w * moved[:, 0]) @ rest
                size = np.sqrt(u @ u)
                if size == 0:
                    continue
                u = u / size
            along = moved[:, 1:] @ u
            if self.kind == 0:
                t = w @ along / w.sum()
                point = np.r_[1.0, t * u]
            else:
                slope = 2 * (w @ (moved[:, 0] * along))
                t = 0.5 * np.arctanh(slope / (w @ (moved[:, 0] ** 2 + along**2)))
                point = np.r_[np.cosh(t), np.sinh(t) * u]
            # A transvection along u keeps the directions where they are.
            moved = to_origin(self.kind, point, moved)
            base = from_origin(self.kind, base, point[None])[0]
        v = moved[:, 1:]
        gains = np.cumsum(W[::-1], axis=0)[::-1]  # row c: weights of the levels >= c
        U = self._turn_directions(v, U, gains[1:])
        return self._accept(state, Span(self.kind, base, U))

    def _turn_directions(self, v, U, gains):
        """Raise ``sum_c u_c' A_c u_c`` with ``A_c = sum_j gains_cj v_j v_j'``."""
        k, D = U.shape
        U = U.copy()
        if D <= _DENSE and k < D:
            for c in range(k):
                others = np.delete(U, c, axis=0)
                free = np.linalg.qr(others.T, mode="complete")[0][:, k - 1 :]
                x = v @ free
                U[c] = free @ np.linalg.eigh((x.T * gains[c]) @ x)[1][:, -1]
        # A maximum of the linear lower bound of a convex function mixes all of them.
        G = ((v @ U.T).T * gains) @ v
        return polar(G)
