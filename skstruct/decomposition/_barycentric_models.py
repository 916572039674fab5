"""What a fitted set of references does with points: project, measure, describe.

All work on internal rows of the manifold.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._karcher import barycenters, project_on_span, span_tangents
from .._manifolds import Hyperbolic, Sphere, space_form_barycenters
from ._barycentric_kernels import ordered_projections, simplex_projections
from ._barycentric_space import (
    Span,
    affine_weights,
    exp_origin,
    from_origin,
    homogeneous,
    internal,
    log_origin,
    to_origin,
)


class SpaceFormModel:
    """Affine span of references in a space of constant curvature.

    Parameters
    ----------
    manifold : object of ``_manifolds`` with a curvature
    references : ndarray of shape (k + 1, q)
    mean : ndarray of shape (q,)
        Its projection is the origin of the coordinates.
    """

    def __init__(self, manifold, references, mean=None):
        self.manifold = manifold
        self.kind = manifold.curvature
        self.references = references
        points = homogeneous(self.kind, references)
        self.span = Span.of_points(self.kind, points).oriented()
        self._inner_references = self.span.inside(points)
        if mean is not None:
            self._origin = self.span.inside(homogeneous(self.kind, mean[None]))[0]

    def _inside(self, Y, level):
        return self.span.inside(homogeneous(self.kind, Y), level)

    def project(self, Y, level):
        """Nearest points of the span of a level."""
        return internal(self.kind, self.span.outside(self._inside(Y, level)))

    def residuals(self, Y, level):
        """Distances to the span of a level."""
        H = homogeneous(self.kind, Y)
        return self.manifold.radius * self.span.distances(H, level)

    def weights(self, Y):
        """Barycentric weights of the projections, and which have a sum."""
        return affine_weights(
            self.kind, self._inner_references, self._inside(Y, self.span.k)
        )

    def measure(self, Y):
        """Distances to the spans of all levels (k + 1, n), and the coordinates."""
        d, P = self.span.measure(homogeneous(self.kind, Y))
        return self.manifold.radius * d, self._coordinates(P)

    def coordinates(self, Y):
        """Normal coordinates of the projections at the projected mean."""
        return self._coordinates(self._inside(Y, self.span.k))

    def _coordinates(self, P):
        moved = to_origin(self.kind, self._origin, P)
        return self.manifold.radius * log_origin(self.kind, moved)

    def from_coordinates(self, T):
        """Points of the span from normal coordinates."""
        moved = exp_origin(self.kind, T / self.manifold.radius)
        P = from_origin(self.kind, self._origin, moved)
        return internal(self.kind, self.span.outside(P))

    def barycenter(self, lam):
        """Points with given weights."""
        if self.kind == 0:
            return lam / lam.sum(axis=1, keepdims=True) @ self.references
        unit = Sphere() if self.kind > 0 else Hyperbolic()
        P = space_form_barycenters(unit, self._inner_references, lam)
        return internal(self.kind, self.span.outside(P))


class _ConstrainedModel(SpaceFormModel):
    """Flat span of which only a part is allowed."""

    def measure(self, Y):
        levels = range(self.span.k + 1)
        d = np.stack([self.residuals(Y, level) for level in levels])
        return d, self.coordinates(Y)

    def residuals(self, Y, level):
        rest = Y - self.project(Y, level)
        return np.sqrt(np.sum(rest**2, axis=1))


class ConvexModel(_ConstrainedModel):
    """Convex hull of the references in flat space."""

    def convex_weights(self, Y, level):
        """Weights of the nearest points of the hull of the first references."""
        # Relative to the references' centre: large common offsets cost no accuracy.
        X = self.references[: level + 1]
        centre = X.mean(axis=0)
        X, Y = X - centre, Y - centre
        lam = np.empty((len(Y), level + 1))
        simplex_projections(
            X @ X.T, np.ascontiguousarray(Y @ X.T), np.sum(Y**2, axis=1), lam
        )
        return lam

    def _inside(self, Y, level):
        nearest = self.convex_weights(Y, level) @ self.references[: level + 1]
        return self.span.inside(homogeneous(0, nearest), level)

    def weights(self, Y):
        return self.convex_weights(Y, self.span.k), np.ones(len(Y), dtype=bool)


class OrderedModel(_ConstrainedModel):
    """Ascending vectors of a flat span: the spectra in the span of spectra."""

    def _inside(self, Y, level):
        P = self.span.inside(homogeneous(0, Y), level)
        if level:
            B = np.ascontiguousarray(P[:, 1:])
            base = np.diff(self.span.base[1:])
            directions = np.ascontiguousarray(
                np.diff(self.span.directions[:level], axis=1).T
            )
            steps = base + B @ directions.T
            drops = steps.min(axis=1, initial=0.0) < -1e-12 * np.abs(Y).max()
            ordered_projections(B, drops, base, directions)
            P[:, 1:] = B
        return P


class GenericModel:
    """Barycentres of references on a manifold of varying curvature."""

    def __init__(self, manifold, references, mean=None):
        self.manifold = manifold
        self.references = references
        if mean is not None and len(references) > 1:
            self._origin, lam, _ = project_on_span(manifold, references, mean[None])
            self._frame = span_tangents(manifold, references, self._origin, lam)

    def nearest(self, Y, level=None):
        """Projections, their weights and whether the iteration converged."""
        last = len(self.references) if level is None else level + 1
        return project_on_span(self.manifold, self.references[:last], Y)

    def measure(self, Y):
        """Distances to the spans of all levels (k + 1, n), and the coordinates."""
        levels = range(len(self.references))
        points = [self.project(Y, level) for level in levels]
        d = np.stack([self.manifold.dist(x, Y) for x in points])
        T = self._describe(points[-1])[0] if len(points) > 1 else np.zeros((len(Y), 0))
        return d, T

    def project(self, Y, level):
        """Nearest points of the span of a level."""
        return self.nearest(Y, level)[0]

    def residuals(self, Y, level):
        """Distances to the span of a level."""
        return self.manifold.dist(self.project(Y, level), Y)

    def weights(self, Y):
        """Barycentric weights of the projections."""
        return self.nearest(Y)[1], np.ones(len(Y), dtype=bool)

    def _describe(self, x):
        origin = np.repeat(self._origin, len(x), axis=0)
        logs = self.manifold.log(origin, x)
        parts = [
            self.manifold.inner(origin, logs, np.broadcast_to(u, logs.shape))
            for u in self._frame
        ]
        return np.hstack(parts), logs

    def coordinates(self, Y):
        """Parts of the logarithms of the projections along the span's tangents."""
        return self._describe(self.nearest(Y)[0])[0]

    def from_coordinates(self, T, *, max_iter=100, tol=1e-11):
        """Points of the span with given coordinates, by corrected projections."""
        origin = np.repeat(self._origin, len(T), axis=0)
        velocity = T @ self._frame
        for _ in range(max_iter):
            x = self.nearest(self.manifold.exp(origin, velocity))[0]
            found, logs = self._describe(x)
            error = T - found
            if np.abs(error).max(initial=0.0) <= tol * (1 + np.abs(T).max(initial=0)):
                break
            velocity = logs + error @ self._frame
        return x

    def barycenter(self, lam):
        """Points with given weights."""
        lam = lam / lam.sum(axis=1, keepdims=True)
        start = self.references[np.argmax(lam, axis=1)]
        return barycenters(self.manifold, self.references, lam, start)[0]


def model_class(manifold, weights):
    """Class of the model of a manifold and a kind of weights."""
    if manifold.curvature is None:
        return GenericModel
    if weights == "convex":
        return ConvexModel
    if manifold.name == "spectra":
        return OrderedModel
    return SpaceFormModel
