"""Barycentric subspaces the slow way: dense projections and plain enumeration."""

from itertools import combinations, permutations

import numpy as np
from scipy.optimize import minimize


def random_points(kind, n, dimension, rng, spread=1.0):
    """Points of the flat space, the sphere or the hyperboloid."""
    v = spread * rng.standard_normal((n, dimension))
    if kind == 0:
        return v
    if kind > 0:
        Y = np.column_stack([np.ones(n), v])
        return Y / np.linalg.norm(Y, axis=1, keepdims=True)
    return np.column_stack([np.sqrt(1 + np.sum(v**2, axis=1)), v])


NAMES = {0: "euclidean", 1: "sphere", -1: "hyperbolic"}


def distances(kind, Y, X):
    """Distances of the rows of Y to the affine span of the rows of X.

    From the formulas for a linear span: least squares, the orthogonal projection
    ``X (X'X)^-1 X'``, and the Lorentz one ``X (X'JX)^-1 X'J``.
    """
    if len(X) == 1:
        if kind == 0:
            return np.linalg.norm(Y - X, axis=1)
        # From the chord: the inverse cosine is good to 1e-8 only near 0.
        square = np.sum((Y - X)[:, 1:] ** 2, axis=1) + kind * (Y - X)[:, 0] ** 2
        half = np.sqrt(np.maximum(square, 0)) / 2
        return 2 * (np.arcsin(np.minimum(half, 1)) if kind > 0 else np.arcsinh(half))
    if kind == 0:
        A = (X[1:] - X[0]).T
        b = (Y - X[0]).T
        return np.linalg.norm(b - A @ np.linalg.lstsq(A, b, rcond=None)[0], axis=0)
    J = np.ones(Y.shape[1])
    J[0] = kind
    P = np.linalg.solve((X * J) @ X.T, (X * J) @ Y.T).T @ X
    q = Y - P
    if kind > 0:
        return np.arctan2(np.linalg.norm(q, axis=1), np.linalg.norm(P, axis=1))
    return np.arcsinh(np.sqrt(np.maximum(np.sum(J * q**2, axis=1), 0)))


def cost(kind, Y, refs, p=2.0, weights=None):
    """Mean p-th power of the distance to the span of some rows."""
    d = distances(kind, Y, Y[list(refs)]) ** p
    return np.average(d, weights=weights)


def pure(kind, Y, m, p=2.0, weights=None):
    """(cost, subset) of the best m rows, by enumeration."""
    subsets = combinations(range(len(Y)), m)
    return min((cost(kind, Y, s, p, weights), s) for s in subsets)


def auv(kind, Y, order, p=2.0, weights=None):
    """Accumulated unexplained variance of an order of rows."""
    return sum(cost(kind, Y, order[: i + 1], p, weights) for i in range(len(order)))


def flag(kind, Y, m, p=2.0, weights=None):
    """(AUV, order) of the best ordered m rows, by enumeration."""
    orders = permutations(range(len(Y)), m)
    return min((auv(kind, Y, o, p, weights), o) for o in orders)


def forward(kind, Y, m, p=2.0, weights=None):
    """Greedy references."""
    refs = ()
    while len(refs) < m:
        free = [i for i in range(len(Y)) if i not in refs]
        options = [(*refs, i) for i in free]
        refs = min((cost(kind, Y, o, p, weights), o) for o in options)[1]
    return refs


def levels_of_frame(kind, Y, V, p=2.0):
    """Costs of the spans of the first 1, 2, ... columns of a frame."""
    if kind == 0:
        v = Y - V[:, 0]
        return [
            np.mean(np.linalg.norm(v - v @ V[:, 1:i] @ V[:, 1:i].T, axis=1) ** p)
            for i in range(1, V.shape[1] + 1)
        ]
    return [
        np.mean(distances(kind, Y, V[:, :i].T) ** p) for i in range(1, V.shape[1] + 1)
    ]


def minimise_over_frames(kind, Y, V, objective):
    """Local optimum near a frame, by quasi-Newton steps over spanning points.

    The columns of a frame are turned by any k + 1 small vectors and made a frame
    again, so no structure of the solver under test is shared.
    """
    J = np.ones(Y.shape[1])
    if kind < 0:
        J[0] = -1

    def frame(A):
        V = A.copy()
        for i in range(V.shape[1]):
            for _ in range(2):
                for j in range(i):
                    sign = -1 if kind < 0 and j == 0 else 1
                    V[:, i] -= sign * (V[:, i] @ (J * V[:, j])) * V[:, j]
            square = V[:, i] @ (J * V[:, i])
            V[:, i] /= np.sqrt(abs(square))
        return V

    def f(a):
        return objective(levels_of_frame(kind, Y, frame(V + a.reshape(V.shape))))

    found = minimize(f, np.zeros(V.size), method="BFGS", options={"gtol": 1e-9})
    return found.fun
