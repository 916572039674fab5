"""Affine spans in spaces of constant curvature, in one set of coordinates.

A point of the flat space, the sphere or hyperbolic space (`kind` 0, 1, -1) is a row
(c, v) with ``c^2 + kind |v|^2 = 1``, and c = 1 in flat space. The *transvection* of x
takes x to the origin (1, 0); what remains of the other points there is Euclidean:
the affine span of x and other points is x's geodesics in the linear span of their
v. Every product below is a dot product of such v, which keeps the residuals of
hyperbolic points free of the cancellation of the Lorentz product.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._base import deterministic_signs
from .._manifolds import ratio


def homogeneous(kind, Y):
    """Rows (c, v) of internal rows; a leading 1 in flat space."""
    return np.column_stack([np.ones(len(Y)), Y]) if kind == 0 else Y


def internal(kind, H):
    """Inverse of :func:`homogeneous`."""
    return H[:, 1:] if kind == 0 else H


def to_origin(kind, x, H):
    """Rows of H moved by the transvection that takes x to (1, 0, ..., 0)."""
    return _transvect(kind, x[0], x[1:], H)


def from_origin(kind, x, H):
    """Inverse of :func:`to_origin`."""
    t, s = x[0], x[1:]
    if kind > 0 and t < -0.5:
        # The turned form below is its own composition; undo it in reverse order.
        return _turn(_transvect(kind, -t, -_turned(s), H))
    return _transvect(kind, t, -s, H)


def _transvect(kind, t, s, H):
    if kind > 0 and t < -0.5:
        # Near the antipode of the origin: turn by pi first, which costs no accuracy.
        return _transvect(kind, -t, _turned(s), _turn(H))
    moved = np.empty_like(H)
    if kind == 0:
        moved[:, 0] = t * H[:, 0]
        np.subtract(H[:, 1:], H[:, :1] * s, out=moved[:, 1:])
        return moved
    c, v = H[:, :1], H[:, 1:]
    inside = v @ s[:, None]
    moved[:, :1] = t * c + kind * inside
    moved[:, 1:] = v - (c + kind * inside / (1 + t)) * s
    return moved


def _turn(H):
    """Rotation by pi in the plane of the first two coordinates."""
    H = H.copy()
    H[:, :2] *= -1
    return H


def _turned(s):
    s = s.copy()
    s[0] *= -1
    return s


def distance(kind, along, residual_square):
    """Distance to a span from the squared residual.

    `along` is the length of the part inside the span, which on the sphere is more
    accurate near a right angle than the sine alone; None: not known.
    """
    root = np.sqrt(np.maximum(residual_square, 0.0))
    if kind == 0:
        return root
    if kind < 0:
        return np.arcsinh(root)
    if along is None:
        return np.arcsin(np.minimum(root, 1.0))
    return np.arctan2(root, along)


def log_origin(kind, H):
    """Velocities at the origin of the geodesics to the rows of H."""
    v = H[:, 1:]
    if kind == 0:
        return v.copy()
    norm = np.sqrt(np.sum(v**2, axis=1, keepdims=True))
    if kind < 0:
        return v * ratio(np.arcsinh(norm), norm, 1.0)
    angle = np.arctan2(norm, H[:, :1])
    lost = (norm[:, 0] < 1e-15) & (H[:, 0] < 0)
    if lost.any() and v.shape[1]:
        # Antipode of the origin: every direction leads there.
        v, norm = v.copy(), norm.copy()
        v[lost] = np.eye(v.shape[1])[0]
        norm[lost] = 1.0
    return v * ratio(angle, norm, 1.0)


def exp_origin(kind, T):
    """Ends of the geodesics that leave the origin with velocities T."""
    if kind == 0:
        return homogeneous(0, T)
    norm = np.sqrt(np.sum(T**2, axis=1, keepdims=True))
    if kind > 0:
        H = np.hstack([np.cos(norm), T * ratio(np.sin(norm), norm, 1.0)])
    else:
        H = np.hstack([np.cosh(norm), T * ratio(np.sinh(norm), norm, 1.0)])
    return H


def orthonormal_rows(R, floor=0.0):
    """Gram-Schmidt of the rows of R in their order, each sweep twice.

    Returns
    -------
    U : ndarray of shape (r, D)
        One row per independent row of R.
    kept : list of int
        Their numbers; a row with a squared residual of at most `floor` is dropped.
    """
    U = np.zeros(R.shape)
    kept = []
    for i, row in enumerate(R):
        found = U[: len(kept)]
        rest = row
        if kept:
            rest = rest - (rest @ found.T) @ found
            rest = rest - (rest @ found.T) @ found
        square = rest @ rest
        if square > floor:
            U[len(kept)] = rest / np.sqrt(square)
            kept.append(i)
    return U[: len(kept)], kept


class Span:
    """The flag of affine spans of a base point and orthonormal directions.

    Parameters
    ----------
    kind : {0, 1, -1}
    base : ndarray of shape (1 + D,)
        Point of level 0.
    directions : ndarray of shape (k, D)
        Orthonormal; directions at the origin after the transvection of the base.
    """

    def __init__(self, kind, base, directions):
        self.kind = kind
        self.base = base
        self.directions = directions

    @classmethod
    def of_points(cls, kind, H):
        """Span of points in order; they are affinely independent."""
        return cls(kind, H[0], orthonormal_rows(to_origin(kind, H[0], H[1:])[:, 1:])[0])

    def oriented(self):
        """The same span with the sign of every direction fixed by one rule."""
        rows = np.zeros((self.k, self.base.size))
        rows[:, 1:] = self.directions
        seen = from_origin(self.kind, self.base, rows)
        _, directions = deterministic_signs(seen.T, self.directions.T)
        return Span(self.kind, self.base, np.ascontiguousarray(directions.T))

    @property
    def k(self):
        """Dimension of the largest span."""
        return len(self.directions)

    def split(self, H, level=None):
        """Parts of the points inside and outside of a span.

        Returns
        -------
        P : ndarray of shape (n, 1 + level)
            Coordinates of the (not normalised) projection.
        square : ndarray of shape (n,)
            Squared residual.
        """
        level = self.k if level is None else level
        moved = to_origin(self.kind, self.base, H)
        v = moved[:, 1:]
        U = self.directions[:level]
        inside = v @ U.T
        rest = v - inside @ U
        square = np.sum(rest**2, axis=1)
        # Rounding of points inside the span, which a small p would blow up.
        square[square < 1e-30 * np.sum(v**2, axis=1)] = 0.0
        return np.column_stack([moved[:, 0], inside]), square

    def distances(self, H, level=None):
        """Geodesic distances to the span of a level."""
        level = self.k if level is None else level
        P, square = self.split(H, level)
        along = np.sqrt(np.sum(P**2, axis=1)) if level else P[:, 0]
        return distance(self.kind, along, square)

    def measure(self, H):
        """Distances to the spans of all levels and points of the largest, in one pass.

        Returns
        -------
        distances : ndarray of shape (k + 1, n)
        P : ndarray of shape (n, 1 + k)
            As from :meth:`inside`.
        """
        moved = to_origin(self.kind, self.base, H)
        v = moved[:, 1:]
        total = np.einsum("ij,ij->i", v, v)
        inside = v @ self.directions.T
        covered = np.zeros((self.k + 1, len(H)))
        np.cumsum(inside.T**2, axis=0, out=covered[1:])
        squares = total - covered
        squares[squares < 1e-14 * total] = 0.0
        along = None
        if self.kind > 0:
            along = np.sqrt(covered + moved[:, 0] ** 2)
            along[0] = moved[:, 0]
        P = self._on_span(np.column_stack([moved[:, 0], inside]))
        return distance(self.kind, along, squares), P

    def all_distances(self, H):
        """Distances to the spans of all levels, shape (k + 1, n)."""
        return self.measure(H)[0]

    def inside(self, H, level=None):
        """Points of a span nearest to the rows of H, in the span's coordinates."""
        level = self.k if level is None else level
        moved = to_origin(self.kind, self.base, H)
        inside = moved[:, 1:] @ self.directions[:level].T
        return self._on_span(np.column_stack([moved[:, 0], inside]))

    def _on_span(self, P):
        """Coordinates of projections, normalised; P is overwritten."""
        if P.shape[1] == 1:
            return np.ones(P.shape)
        if self.kind == 0:
            return P
        square = P[:, 0] ** 2 + self.kind * np.sum(P[:, 1:] ** 2, axis=1)
        # On the sphere a point orthogonal to the span is equally far from all of it.
        lost = square < 1e-30
        P[lost] = np.eye(P.shape[1])[0]
        return P / np.sqrt(np.where(lost, 1.0, square))[:, None]

    def outside(self, P):
        """Points of the space from coordinates in a span."""
        level = P.shape[1] - 1
        H = np.column_stack([P[:, 0], P[:, 1:] @ self.directions[:level]])
        return from_origin(self.kind, self.base, H)

    def frame(self):
        """Columns v_0 (the base) and v_1, ..., v_k in the space itself."""
        rows = np.zeros((self.k, self.base.size))
        rows[:, 1:] = self.directions
        return np.column_stack([self.base, *from_origin(self.kind, self.base, rows)])


def affine_weights(kind, references, P):
    """Barycentric weights of points of a span.

    Parameters
    ----------
    references, P : ndarrays of shape (k + 1, k + 1) and (n, k + 1)
        Rows in the coordinates of the span.

    Returns
    -------
    lam : ndarray of shape (n, k + 1)
        Rows sum to one; where the sum vanishes they have unit norm instead.
    finite : ndarray of bool, shape (n,)
    """
    alpha = np.linalg.solve(references.T, P.T).T
    if kind == 0:
        lam = alpha
    else:
        apart = references[None, :, 1:] - P[:, None, 1:]
        time = references[None, :, 0] - P[:, None, 0]
        chord = np.sqrt(np.maximum(np.sum(apart**2, axis=2) + kind * time**2, 0.0))
        half = np.clip(chord / 2, 0, 1) if kind > 0 else chord / 2
        theta = 2 * (np.arcsin(half) if kind > 0 else np.arcsinh(half))
        sine = np.sin(theta) if kind > 0 else np.sinh(theta)
        lam = alpha * ratio(sine, theta, 1.0)
    total = lam.sum(axis=1, keepdims=True)
    size = np.sqrt(np.sum(lam**2, axis=1, keepdims=True))
    finite = np.abs(total) > 1e-12 * size
    return lam / np.where(finite, total, size), finite[:, 0]
