"""Penalised matrix decomposition of the cross-products of several views."""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ._sparse_solver import L1Step, range_basis

# Up to this size of the joint problem its matrix is formed.
DENSE = 150


@dataclass
class MultiviewComponent:
    """Sparse weights of every view and how they were found."""

    weights: list
    strength: float = 0.0
    n_iter: int = 0
    change: float = np.inf
    objective: list = field(default_factory=list)


def joint_starts(views, k, *, factors=None, earlier=None):
    """Leading eigenvectors of the matrix with blocks ``X_i'X_j`` and a zero diagonal.

    They maximise the criterion without the l1 bounds and with one norm for all views
    together; for two views they are the singular vectors of ``X'Y``.

    Parameters
    ----------
    views : list
    k : int
    factors : list of ndarrays, optional
        From :func:`row_factors`.
    earlier : list of ndarrays of shape (n, j), optional
        Scores that are projected out of each view.

    Returns
    -------
    starts : list of k lists of ndarrays
        Start weights by component and view, unit norm or zero.
    """
    if factors is not None:
        forward = [(lambda c, A=A: A @ c) for A in factors]
        backward = [(lambda t, A=A: A.T @ t) for A in factors]
        sizes = [A.shape[1] for A in factors]
    else:
        forward = [(lambda c, v=v: v.scores(np.ravel(c))) for v in views]
        backward = [v.correlate for v in views]
        sizes = [v.shape[1] for v in views]
    stops = np.cumsum(sizes)
    parts = [slice(stop - size, stop) for size, stop in zip(sizes, stops)]

    bases = [None] * len(views)
    if earlier is not None:
        bases = [range_basis(Z) for Z in earlier]

    def left(t, Q):
        return t if Q is None else t - Q @ (Q.T @ t)

    def others(c):
        """Sum of the other views' scores, for each view."""
        scores = [left(f(c[part]), Q) for f, part, Q in zip(forward, parts, bases)]
        total = sum(scores)
        return [left(total - s, Q) for s, Q in zip(scores, bases)]

    def product(c):
        return np.concatenate([b(t) for b, t in zip(backward, others(c))])

    def matrix():
        if factors is not None:
            return product(np.eye(total))
        return np.column_stack([product(e) for e in np.eye(total)])

    total = int(stops[-1])
    k = min(k, total)
    if total <= DENSE or k > total // 3:
        d, C = linalg.eigh(matrix())
    else:
        v0 = np.random.default_rng(0).standard_normal(total)
        operator = LinearOperator((total, total), matvec=product, dtype=np.float64)
        ncv = min(total, 2 * k + 20)
        try:
            d, C = eigsh(operator, k=k, which="LA", v0=v0, tol=1e-9, ncv=ncv)
        except ArpackNoConvergence:
            d, C = linalg.eigh(matrix())
    order = np.argsort(-d)[:k]
    starts = []
    for index in order:
        # An eigenvector is its own product, here with the full columns.
        own = [v.correlate(t) for v, t in zip(views, others(C[:, index]))]
        sizes = np.array([np.linalg.norm(w) for w in own])
        kept = (d[index] > 1e-12 * max(d.max(), 0.0)) & (sizes > 1e-12 * sizes.max())
        starts.append(
            [w / size if keep else 0 * w for w, size, keep in zip(own, sizes, kept)]
        )
    return starts


def multiview_component(views, starts, *, bounds, positive, max_iter, tol, earlier):
    """One component of ``max sum_{i<j} w_i'X_i'X_j w_j`` by cyclic updates.

    Parameters
    ----------
    views : list
    starts : list of ndarrays
    bounds, positive : lists
        l1 bound and sign constraint of each view.
    max_iter, tol
        Stops when the criterion grows by less than `tol` relatively and no weight
        moves by more than the root of `tol`.
    earlier : tuple (weights, strengths)
        Weights (p_i, k) of the earlier components for each view, and ``strengths[i,
        j]``, shape (k,), the products ``w_i'X_i'X_j w_j`` that are subtracted.

    Returns
    -------
    MultiviewComponent
    """
    W, D = earlier
    M = len(views)
    steps = [
        L1Step(view, bound, pos, Wi)
        for view, bound, pos, Wi in zip(views, bounds, positive, W)
    ]
    weights = [
        -w if pos and -w[w < 0].sum() > w[w > 0].sum() else w
        for w, pos in zip(starts, positive)
    ]
    found = MultiviewComponent(weights)
    scores = [view.scores(w) for view, w in zip(views, weights)]
    along = [Wi.T @ w for Wi, w in zip(W, weights)]
    # values[i, j] = w_i' M_ij w_j for the deflated cross-products M_ij.
    values = np.array(
        [
            [scores[i] @ scores[j] - along[i] @ (D[i, j] * along[j]) for j in range(M)]
            for i in range(M)
        ]
    )
    np.fill_diagonal(values, 0.0)
    criterion = values.sum() / 2
    for found.n_iter in range(1, max_iter + 1):
        before, moved = criterion, 0.0
        for i in range(M):
            others = [j for j in range(M) if j != i]
            t = np.sum([scores[j] for j in others], axis=0)
            back = np.sum([D[i, j] * along[j] for j in others], axis=0)
            w = steps[i](t, back)[0]
            moved = max(moved, np.abs(w - found.weights[i]).max())
            found.weights[i] = w
            scores[i], along[i] = views[i].scores(w), W[i].T @ w
            for j in others:
                values[i, j] = values[j, i] = scores[i] @ scores[j] - along[i] @ (
                    D[i, j] * along[j]
                )
            criterion = values.sum() / 2
            # The start does not keep the l1 bounds: values before all views have
            # been updated once are not comparable.
            if found.n_iter > 1 or i == M - 1:
                found.objective.append(float(criterion))
        found.change = moved
        if criterion - before <= tol * abs(criterion) and moved <= np.sqrt(tol):
            break
    found.strength = float(criterion)
    return found
