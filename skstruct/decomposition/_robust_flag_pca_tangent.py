"""Coordinates of points of a manifold in the tangent space of their centre."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._manifolds import resolve_manifold


def karcher_median(manifold, Y, *, tol=1e-10, max_iter=500):
    """Point with the least sum of geodesic distances to the rows (Weiszfeld)."""
    base = manifold.mean(Y, np.ones(len(Y)))
    size = None
    for _ in range(max_iter):
        logs = manifold.log(base[None], Y)
        r = lengths(manifold, base, logs)
        size = max(float(np.median(r)), 1e-300) if size is None else size
        w = 1.0 / np.maximum(r, 1e-10 * size)
        move = (w / w.sum()) @ logs
        base = manifold.exp(base[None], move[None])[0]
        if lengths(manifold, base, move[None])[0] <= tol * size:
            break
    return base


def lengths(manifold, base, vectors):
    """Norms of tangent vectors at the base."""
    squares = manifold.inner(base[None], vectors, vectors)[:, 0]
    return np.sqrt(np.maximum(squares, 0.0))


def tangent_basis(manifold, base, logs):
    """Orthonormal basis of the span of tangent vectors: rows of shape (r, q)."""
    _, s, rows = np.linalg.svd(logs, full_matrices=False)
    rows = rows[s > 1e-10 * max(s[0], 1e-300)]
    gram = np.stack([manifold.inner(base[None], rows, row[None])[:, 0] for row in rows])
    # The metric of the tangent space need not be that of the surrounding vectors.
    L = np.linalg.cholesky((gram + gram.T) / 2)
    return np.linalg.solve(L, rows)


class TangentSpace:
    """Maps between points and coordinates; rebuilt from arrays when needed."""

    def __init__(self, manifold, base=None, basis=None):
        self.manifold = resolve_manifold(manifold)
        self.base, self.basis = base, basis

    def learn(self, X, center):
        """Set the base point and the basis; returns coordinates and lengths."""
        Y = self.manifold.encode(X)
        if center == "mean":
            self.base = self.manifold.mean(Y, np.ones(len(Y)))
        else:
            self.base = karcher_median(self.manifold, Y)
        logs = self.manifold.log(self.base[None], Y)
        self.basis = tangent_basis(self.manifold, self.base, logs)
        self.dim = self.manifold.dimension(Y.shape[1])
        return self._coordinates(logs)

    def coordinates(self, X):
        """Coordinates in the basis, and the part of the length outside its span."""
        logs = self.manifold.log(self.base[None], self.manifold.encode(X))
        return self._coordinates(logs)

    def _coordinates(self, logs):
        inner = self.manifold.inner
        C = np.stack(
            [inner(self.base[None], logs, row[None])[:, 0] for row in self.basis],
            axis=1,
        )
        outside = lengths(self.manifold, self.base, logs - C @ self.basis)
        return C, outside

    def points(self, C):
        """Points of coordinates."""
        return self.manifold.decode(self.manifold.exp(self.base[None], C @ self.basis))
