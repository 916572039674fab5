"""How the references are found: among the samples, or free."""

# SPDX-License-Identifier: BSD-3-Clause

import warnings
from math import comb

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from .._base import StructEstimator
from ._barycentric_models import GenericModel, SpaceFormModel, model_class
from ._barycentric_optimized import Progress, optimize_span
from ._barycentric_samples import (
    ProjectionCosts,
    SampleCosts,
    backward,
    best_order,
    exchange_restarts,
    forward,
)
from ._barycentric_space import Span, homogeneous, internal, orthonormal_rows, to_origin

# Cost of one projected sample in units of one residual of the recursion.
_PROJECTION_EFFORT = {"recursion": 1, "flat": 100, "generic": 10_000}


class ReferenceFinder(StructEstimator):
    """Search of the references with the parameters of the estimator.

    Both ways set ``_references`` (k + 1, q), ``reference_indices_``, ``n_iter_``,
    ``converged_``, ``objective_history_`` and ``n_evaluations_``. The subclass sets
    ``_dimension`` before.
    """

    def _fit_samples(self, Y, sample_weight, kept, manifold, step):
        n, m = len(Y), self.n_components + 1
        rng = check_random_state(self.random_state)
        n_refs = n if self.n_candidates is None else min(self.n_candidates, n)
        if n_refs < m:
            raise ValueError(
                f"n_candidates={self.n_candidates} must be at least "
                f"n_components + 1={m}."
            )
        start = self._starting_references(kept)
        # Candidates come first, in their own order; others can be no references.
        candidates = np.arange(n)
        if n_refs < n:
            drawn = rng.permutation(n)
            drawn = np.r_[start, drawn[~np.isin(drawn, start)]][
                : max(n_refs, len(start))
            ]
            candidates = np.sort(drawn.astype(np.int64))
            n_refs = len(candidates)
        order = np.r_[candidates, np.setdiff1d(np.arange(n), candidates)]
        place = np.argsort(order)
        start = tuple(int(place[i]) for i in start)

        costs = self._costs(Y[order], sample_weight[order], n_refs, manifold)
        refs = self._search(costs, m, start, rng)
        if len(refs) < m:
            warnings.warn(
                f"The samples span a subspace of dimension {len(refs) - 1} only, less "
                f"than n_components={self.n_components}: further references would be "
                "affinely dependent.",
                UserWarning,
                stacklevel=3,
            )
        refs = [int(order[i]) for i in refs]
        self.reference_indices_ = kept[refs]
        self.n_evaluations_ = int(costs.n_evaluations)
        self.objective_history_ = np.zeros(0)
        self.converged_ = True
        self._references = Y[refs]
        step(self.n_iter_, np.nan)

    def _starting_references(self, kept):
        if self.init_references is None:
            return np.zeros(0, dtype=np.int64)
        start = np.asarray(self.init_references)
        m = self.n_components + 1
        if start.ndim != 1 or not np.issubdtype(start.dtype, np.integer):
            raise ValueError(
                f"init_references must be a list of row numbers, got {start!r}."
            )
        wrong = start[~np.isin(start, kept)]
        if wrong.size or len(np.unique(start)) < len(start):
            raise ValueError(
                f"init_references={start.tolist()} must be different row numbers of X "
                "(with positive sample_weight)."
            )
        few = self.strategy != "forward" and len(start) < m
        many = self.strategy != "backward" and len(start) > m
        if few or many or not len(start):
            wanted = {"forward": "1 to", "backward": "at least", "exchange": "exactly"}
            raise ValueError(
                f"init_references has {len(start)} rows; strategy={self.strategy!r} "
                f"needs {wanted[self.strategy]} n_components + 1={m}."
            )
        return np.searchsorted(kept, start)

    def _costs(self, Y, sample_weight, n_refs, manifold):
        cls = model_class(manifold, self.weights)
        if cls is SpaceFormModel:
            H, _ = _reduced(manifold.curvature, homogeneous(manifold.curvature, Y))
            self._effort = "recursion"
            return SampleCosts(
                manifold.curvature, H, sample_weight, self.p, n_refs, self.n_jobs
            )
        self._effort = "generic" if cls is GenericModel else "flat"

        def residuals(refs):
            points = Y[list(refs)]
            if cls is not GenericModel and len(refs) > 1:
                v = points[1:] - points[0]
                spread = np.max(np.sum((Y - points[0]) ** 2, axis=1))
                if len(orthonormal_rows(v, 1e-12 * spread)[1]) < len(v):
                    return None
            elif len(refs) > 1:
                apart = [
                    manifold.dist(points[i], points[j])
                    for i in range(len(refs))
                    for j in range(i)
                ]
                if min(apart) < 1e-10 * max(*apart, 1e-300):
                    return None
            return cls(manifold, points).residuals(Y, len(refs) - 1)

        return ProjectionCosts(residuals, len(Y), sample_weight, self.p, n_refs)

    def _search(self, costs, m, start, rng):
        self.n_iter_ = 1
        if self.strategy == "forward":
            refs = forward(costs, m, start)
            self.n_iter_ = len(refs)
            return refs
        if self.strategy == "backward":
            chosen = start or self._backward_start(costs, m, rng)
            self.n_iter_ = max(1, len(chosen) - 1)
            return backward(costs, chosen, m)
        seed = start or forward(costs, m)
        m = len(seed)
        if self.strategy == "exchange":
            refs, self.n_iter_ = exchange_restarts(
                costs, m, seed, self.n_init, self.max_iter, rng
            )
            return best_order(costs, refs)
        self._check_effort(costs, m, self.strategy)
        seed, _ = exchange_restarts(costs, m, seed, 1, self.max_iter, rng)
        if self.strategy == "pure":
            return best_order(costs, costs.pure(m, seed))
        greedy = best_order(costs, forward(costs, m))
        seed = min([best_order(costs, seed), greedy], key=costs.auv)
        return best_order(costs, costs.flag(m, seed))

    def _backward_start(self, costs, m, rng):
        n = costs.n_refs
        if n <= self._dimension + 1:
            return forward(costs, n)
        seed = forward(costs, m)
        seed, _ = exchange_restarts(costs, len(seed), seed, 1, self.max_iter, rng)
        if self._evaluations(costs, len(seed)) <= self.max_evals:
            return costs.pure(len(seed), seed)
        return seed

    def _evaluations(self, costs, m):
        effort = _PROJECTION_EFFORT[self._effort]
        return comb(costs.n_refs, m) * len(costs.weights) * effort

    def _check_effort(self, costs, m, strategy):
        wanted = self._evaluations(costs, m)
        if wanted > self.max_evals:
            raise ValueError(
                f"strategy={strategy!r} would need C({costs.n_refs}, {m}) subsets, "
                f"worth {wanted:.2g} residuals, above max_evals={self.max_evals:.2g}. "
                "Take strategy='exchange' or 'forward', or fewer n_candidates."
            )
        if strategy == "flag" and comb(costs.n_refs, m - 1) > 2.5e8:
            raise ValueError(
                f"strategy='flag' would keep C({costs.n_refs}, {m - 1}) values in "
                "memory, more than 2 GB. Take strategy='exchange' or 'forward', or "
                "fewer n_candidates."
            )

    def _fit_optimized(self, Y, sample_weight, manifold, step):
        kind = manifold.curvature
        H, W = _reduced(kind, homogeneous(kind, Y))
        progress = Progress(self.max_iter, self.tol, step)
        k = min(self.n_components, _rank(kind, H, sample_weight))
        if k < self.n_components:
            warnings.warn(
                f"The samples span a subspace of dimension {k} only, less than "
                f"n_components={self.n_components}.",
                UserWarning,
                stacklevel=3,
            )
        optimum = optimize_span(
            kind, H, sample_weight, k, strategy=self.strategy, cost=self.cost,
            p=self.p, progress=progress,
        )  # fmt: skip
        if not progress.converged:
            warnings.warn(
                "BarycentricSubspaceAnalysis stopped after "
                f"max_iter={self.max_iter} iterations with a relative change of the "
                f"objective of {progress.change:.3g}, above tol={self.tol:.3g}. "
                "Increase max_iter or tol.",
                ConvergenceWarning,
                stacklevel=3,
            )
        base, directions = optimum.base, optimum.directions
        if W is not None:
            offset, rows = W
            if rows is not None:
                directions = directions @ rows
                base = np.r_[base[:1], base[1:] @ rows]
            base[1:] += offset
        span = Span(kind, base, directions).oriented()
        # References at one standard deviation along each direction.
        P = optimum.inside(H)
        deviation = np.sqrt(sample_weight @ P[:, 1:] ** 2)
        deviation = np.where(deviation > 1e-8 * deviation.max(initial=0), deviation, 1)
        if kind > 0:
            deviation = np.minimum(deviation, 0.9)
        # The sine is the coordinate; c follows from c^2 + kind |v|^2 = 1.
        corners = np.zeros((k + 1, k + 1))
        corners[:, 0] = np.sqrt(1 - kind * np.r_[0.0, deviation] ** 2)
        corners[1:, 1:] = np.diag(deviation)
        self._references = internal(kind, span.outside(corners))
        self.reference_indices_ = None
        self.n_iter_ = max(1, progress.n_iter)
        self.converged_ = progress.converged
        self.objective_history_ = np.array(progress.history)
        self.n_evaluations_ = 0


def _rank(kind, H, weights):
    """Dimension of the smallest span of the samples, up to rounding."""
    x = weights @ H
    if kind != 0:
        square = x[0] ** 2 + kind * (x[1:] @ x[1:])
        # Without an ambient mean (symmetric samples) any sample serves as origin.
        x = x / np.sqrt(square) if square > 1e-8 else H[0]
    v = to_origin(kind, x, H)[:, 1:]
    values = np.linalg.eigvalsh((v.T * weights) @ v)
    floor = max(1e-14 * values[-1], 1e-30 * np.max(weights @ H**2))
    return int(np.sum(values > floor))


def _reduced(kind, H):
    """H in the row space of its space part when that is smaller, and the way back.

    Returns
    -------
    H : ndarray of shape (n, 1 + r)
    back : tuple (offset, rows) or None
        ``v_reduced @ rows + offset`` is the space part; rows None: the identity.
        None when nothing was done.
    """
    n, D = H.shape[0], H.shape[1] - 1
    offset = np.zeros(D)
    if kind == 0:
        # Far from the origin the Gram matrix of raw vectors would lose digits.
        offset = H[:, 1:].mean(axis=0)
        H[:, 1:] -= offset
    if D <= n:
        return H, (offset, None) if kind == 0 else None
    rows = np.linalg.qr(H[:, 1:].T)[0].T
    return np.column_stack([H[:, 0], H[:, 1:] @ rows.T]), (offset, rows)
