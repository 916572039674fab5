"""Manifolds on which a mean, a logarithm and an affine span make sense.

Points are rows. A built-in manifold has an *internal* form of its points (unit
vectors, points of the hyperboloid, logarithms of matrices, ...), reached by
``encode`` and left by ``decode``; ``log``, ``exp``, ``dist`` and ``inner`` work on
internal rows and broadcast over them. An object of the user's own needs ``log``,
``exp``, ``dist`` and ``dim``; its internal form is the data themselves.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

_ON_MANIFOLD = 1e-6


def dot(A, B):
    """Row-wise product, keeping the last axis."""
    return np.sum(A * B, axis=-1, keepdims=True)


def ratio(numerator, denominator, at_zero):
    """Elementwise quotient with its limit where the denominator vanishes."""
    small = np.abs(denominator) < 1e-300
    return np.where(small, at_zero, numerator / np.where(small, 1.0, denominator))


class Euclidean:
    """Vectors with the dot product."""

    name = "euclidean"
    curvature = 0
    radius = 1.0

    def encode(self, X, *, normalize=False):
        """Internal rows of validated input rows."""
        return np.array(X, dtype=np.float64)

    def decode(self, Y):
        """Input rows of internal rows."""
        return Y

    def dimension(self, n_columns):
        """Intrinsic dimension, from the number of internal columns."""
        return n_columns

    def inner(self, x, u, v):
        """Scalar product of tangent vectors at x, last axis kept."""
        return dot(u, v)

    def log(self, x, y):
        """Initial velocity of the shortest geodesic from x to y."""
        return y - x

    def exp(self, x, v):
        """End of the geodesic that leaves x with velocity v."""
        return x + v

    def dist(self, x, y):
        """Geodesic distance of rows."""
        return np.sqrt(dot(y - x, y - x))[..., 0]

    def mean(self, Y, weights):
        """Weighted Frechet mean of internal rows."""
        return weights @ Y / weights.sum()


class Sphere(Euclidean):
    """Unit vectors; lengths are those of a sphere of the given radius."""

    name = "sphere"
    curvature = 1

    def encode(self, X, *, normalize=False):
        Y = np.array(X, dtype=np.float64)
        norms = np.sqrt(dot(Y, Y))
        if normalize:
            _refuse(norms[:, 0] == 0, norms[:, 0], "norm", "a positive norm")
        else:
            _refuse(
                np.abs(norms[:, 0] - 1) > _ON_MANIFOLD,
                norms[:, 0],
                "norm",
                f"a norm of 1 within {_ON_MANIFOLD:g} (a point of the sphere)",
            )
        return Y / norms

    def dimension(self, n_columns):
        return n_columns - 1

    def angle(self, x, y):
        """Angle between unit vectors, accurate near 0 and near pi."""
        apart, along = y - x, y + x
        return 2 * np.arctan2(np.sqrt(dot(apart, apart)), np.sqrt(dot(along, along)))

    def log(self, x, y):
        theta = self.angle(x, y)
        u = y - dot(x, y) * x
        # Second sweep: for nearly antipodal points u is a small difference.
        u = u - dot(x, u) * x
        norm = np.sqrt(dot(u, u))
        lost = (norm < 1e-14) & (theta > 1)
        if lost.any():
            # Every direction leads to the antipode; take a fixed one.
            x, u, lost = np.broadcast_arrays(x, u, lost)
            u = np.where(lost, _any_orthogonal(x), u)
            norm = np.sqrt(dot(u, u))
        return self.radius * ratio(theta, norm, 1.0) * u

    def exp(self, x, v):
        v = v / self.radius
        t = np.sqrt(dot(v, v))
        y = np.cos(t) * x + ratio(np.sin(t), t, 1.0) * v
        return y / np.sqrt(dot(y, y))

    def dist(self, x, y):
        return self.radius * self.angle(x, y)[..., 0]

    def mean(self, Y, weights):
        return space_form_barycenter(self, Y, weights)


class Hyperbolic(Euclidean):
    """The upper sheet of <y, y> = -1 with the product diag(-1, 1, ..., 1)."""

    name = "hyperbolic"
    curvature = -1

    def encode(self, X, *, normalize=False):
        Y = np.array(X, dtype=np.float64)
        if Y.shape[1] < 2:
            raise ValueError("hyperbolic points need at least two coordinates, got 1.")
        lifted = np.sqrt(1 + np.sum(Y[:, 1:] ** 2, axis=1))
        if not normalize:
            square = np.sum(Y[:, 1:] ** 2, axis=1) - Y[:, 0] ** 2
            off = np.abs(square + 1) > _ON_MANIFOLD * lifted**2
            _refuse(
                off | (Y[:, 0] <= 0),
                square,
                "Lorentz square",
                "a Lorentz square -x0^2 + x1^2 + ... of -1 and x0 > 0 (a point of "
                "the hyperboloid)",
            )
        Y[:, 0] = lifted
        return Y

    def dimension(self, n_columns):
        return n_columns - 1

    def inner(self, x, u, v):
        return dot(u, v) - 2 * u[..., :1] * v[..., :1]

    def dist(self, x, y):
        apart = y - x
        square = self.inner(x, apart, apart)
        return 2 * np.arcsinh(np.sqrt(np.maximum(square, 0)) / 2)[..., 0]

    def log(self, x, y):
        d = self.dist(x, y)[..., None]
        u = y + self.inner(x, x, y) * x
        return ratio(d, np.sinh(d), 1.0) * u

    def exp(self, x, v):
        t = np.sqrt(np.maximum(self.inner(x, v, v), 0))
        y = np.cosh(t) * x + ratio(np.sinh(t), t, 1.0) * v
        y[..., 0] = np.sqrt(1 + np.sum(y[..., 1:] ** 2, axis=-1))
        return y

    def mean(self, Y, weights):
        return space_form_barycenter(self, Y, weights)


class LogEuclideanSPD(Euclidean):
    """Positive definite matrices, flat through the matrix logarithm."""

    name = "spd_log_euclidean"

    def encode(self, X, *, normalize=False):
        return sym_to_vec(_matrix_function(_spd(X, normalize), np.log))

    def decode(self, Y):
        return _matrix_function(vec_to_sym(Y), np.exp).reshape(len(Y), -1)


class PlanarTriangles(Sphere):
    """Shapes of triangles in the plane: a sphere of radius one half.

    A row is (x1, y1, x2, y2, x3, y3); position, size and rotation do not matter.
    """

    name = "kendall_planar_triangles"
    radius = 0.5

    def encode(self, X, *, normalize=False):
        X = np.asarray(X, dtype=np.float64)
        if X.shape[1] != 6:
            raise ValueError(
                "kendall_planar_triangles takes three planar landmarks, shape (n, 3, "
                f"2) or (n, 6); got {X.shape[1]} numbers a row."
            )
        z = X[:, 0::2] + 1j * X[:, 1::2]
        w1 = (z[:, 1] - z[:, 0]) / np.sqrt(2)
        w2 = (2 * z[:, 2] - z[:, 0] - z[:, 1]) / np.sqrt(6)
        size = np.abs(w1) ** 2 + np.abs(w2) ** 2
        spread = np.abs(z).max(axis=1) ** 2
        _refuse(
            size <= 1e-28 * spread, np.sqrt(size), "size", "three landmarks not all one"
        )
        cross = np.conj(w1) * w2
        Y = np.column_stack(
            [np.abs(w1) ** 2 - np.abs(w2) ** 2, 2 * cross.real, 2 * cross.imag]
        )
        return Y / np.sqrt(dot(Y, Y))

    def decode(self, Y):
        a = np.sqrt(np.maximum((1 + Y[:, 0]) / 2, 0))
        b = np.sqrt(np.maximum((1 - Y[:, 0]) / 2, 0))
        # One of the infinitely many rotations: the first edge along the x axis.
        w2 = b * np.exp(1j * np.arctan2(Y[:, 2], Y[:, 1]))
        z1, z2 = -a / np.sqrt(2) - w2 / np.sqrt(6), a / np.sqrt(2) - w2 / np.sqrt(6)
        z = np.column_stack([z1, z2, 2 * w2 / np.sqrt(6)])
        return np.stack([z.real, z.imag], axis=2).reshape(len(Y), 6)


class Spectra(Euclidean):
    """Ascending eigenvalues of symmetric matrices: a convex cone of vectors."""

    name = "spectra"

    def encode(self, X, *, normalize=False):
        Y = np.array(X, dtype=np.float64)
        if normalize:
            return np.sort(Y, axis=1)
        drop = np.max(Y[:, :-1] - Y[:, 1:], axis=1, initial=0.0)
        _refuse(
            drop > _ON_MANIFOLD * (1 + np.abs(Y).max(axis=1)),
            drop,
            "largest descent",
            "ascending eigenvalues",
        )
        return np.sort(Y, axis=1)


class AffineInvariantSPD(Euclidean):
    """Positive definite matrices with the affine-invariant metric."""

    name = "spd_affine_invariant"
    curvature = None

    def encode(self, X, *, normalize=False):
        matrices = _spd(X, normalize)
        return matrices.reshape(len(matrices), -1)

    def dimension(self, n_columns):
        d = round(np.sqrt(n_columns))
        return d * (d + 1) // 2

    def roots(self, x):
        """Square root and inverse square root of the matrices in the rows of x."""
        w, U = np.linalg.eigh(_square(x))
        root = np.sqrt(np.maximum(w, 1e-300))[..., None, :]
        return (U * root) @ _t(U), (U / root) @ _t(U)

    def whitened(self, inverse_root, y):
        """log-eigenvalues and eigenvectors of y seen from x."""
        w, U = np.linalg.eigh(_symmetric(inverse_root @ _square(y) @ inverse_root))
        return np.log(np.maximum(w, 1e-300)), U

    def inner(self, x, u, v):
        _, r = self.roots(x)
        a, b = r @ _square(u) @ r, r @ _square(v) @ r
        return np.sum(a * b, axis=(-2, -1))[..., None]

    def log(self, x, y):
        root, inverse = self.roots(x)
        w, U = self.whitened(inverse, y)
        return _flat(root @ ((U * w[..., None, :]) @ _t(U)) @ root)

    def exp(self, x, v):
        root, inverse = self.roots(x)
        w, U = np.linalg.eigh(_symmetric(inverse @ _square(v) @ inverse))
        return _flat(_symmetric(root @ ((U * np.exp(w)[..., None, :]) @ _t(U)) @ root))

    def dist(self, x, y):
        _, inverse = self.roots(x)
        w, _ = self.whitened(inverse, y)
        return np.sqrt(np.sum(w**2, axis=-1))

    def hessian_factors(self, log_eigenvalues, U):
        """Hessian of half the squared distance, as a matrix in whitened coordinates.

        Returns ``(K, h)`` with the Hessian ``K diag(h) K'`` on :func:`sym_to_vec`
        coordinates: across two eigenvectors it is t coth t, t half the difference
        of their log-eigenvalues.
        """
        d = U.shape[-1]
        a, b = np.triu_indices(d)
        t = np.abs(log_eigenvalues[..., a] - log_eigenvalues[..., b]) / 2
        h = ratio(t, np.tanh(t), 1.0)
        scale = np.where(a == b, 1.0, np.sqrt(2))
        K = U[..., a[:, None], a] * U[..., b[:, None], b]
        K = K + U[..., a[:, None], b] * U[..., b[:, None], a]
        return K * scale[:, None] * scale / 2, h

    def mean(self, Y, weights):
        from ._karcher import karcher_mean

        return karcher_mean(self, Y, weights)


class UserManifold:
    """The protocol object of a caller, with the defaults for what it leaves out."""

    name = "user"
    curvature = None
    radius = 1.0

    def __init__(self, protocol):
        missing = [n for n in ("log", "exp", "dist", "dim") if not hasattr(protocol, n)]
        if missing:
            raise TypeError(
                f"manifold={protocol!r} has no {', '.join(missing)}: it must be one of "
                f"{sorted(BUILT_IN)} or an object with log(x, y), exp(x, v), dist(x, "
                "y) and dim."
            )
        self.protocol = protocol

    def encode(self, X, *, normalize=False):
        """The data themselves; `check_points(X)` of the object may refuse them."""
        Y = np.array(X, dtype=np.float64)
        if hasattr(self.protocol, "check_points"):
            self.protocol.check_points(Y)
        return Y

    def decode(self, Y):
        """The rows themselves."""
        return Y

    def dimension(self, n_columns):
        """`dim` of the object."""
        return int(self.protocol.dim)

    def inner(self, x, u, v):
        """`inner(x, u, v)` of the object, else the dot product."""
        if hasattr(self.protocol, "inner"):
            return np.asarray(self.protocol.inner(x, u, v))[..., None]
        return dot(u, v)

    def log(self, x, y):
        """`log(x, y)` of the object."""
        return self.protocol.log(*np.broadcast_arrays(x, y))

    def exp(self, x, v):
        """`exp(x, v)` of the object."""
        return self.protocol.exp(*np.broadcast_arrays(x, v))

    def dist(self, x, y):
        """`dist(x, y)` of the object."""
        return self.protocol.dist(*np.broadcast_arrays(x, y))

    def mean(self, Y, weights):
        """Weighted Frechet mean by gradient steps."""
        from ._karcher import karcher_mean

        return karcher_mean(self, Y, weights)


BUILT_IN = {
    cls.name: cls
    for cls in (
        Euclidean,
        Sphere,
        Hyperbolic,
        LogEuclideanSPD,
        AffineInvariantSPD,
        PlanarTriangles,
        Spectra,
    )
}


def resolve_manifold(manifold):
    """Object of a name in :data:`BUILT_IN` or of a caller's protocol object."""
    if isinstance(manifold, str):
        if manifold not in BUILT_IN:
            raise ValueError(
                f"manifold={manifold!r} must be one of {sorted(BUILT_IN)} or an object "
                "with log, exp, dist and dim."
            )
        return BUILT_IN[manifold]()
    return UserManifold(manifold)


# -- means and barycentres of the sphere and of hyperbolic space ----------------------


def space_form_barycenter(manifold, points, weights, *, max_iter=100, tol=1e-14):
    """x with ``sum_i weights_i log_x(points_i) = 0``, by Newton's method.

    Parameters
    ----------
    manifold : Sphere or Hyperbolic
    points : ndarray of shape (n, m)
    weights : ndarray of shape (n,)
        Of non-zero sum; negative ones are allowed.

    Notes
    -----
    Across the direction of a point at distance t the Hessian of half the squared
    distance is t cot t on the sphere and t coth t in hyperbolic space, along it 1.
    The gradient of the result is below 1e-13 unless there is no critical point near
    the start, the barycentre of the ambient space pulled back.
    """
    sign = manifold.curvature
    lam = np.asarray(weights, dtype=np.float64)
    lam = lam / lam.sum()
    metric = np.ones(points.shape[1])
    if sign < 0:
        metric[0] = -1.0
    x = lam @ points
    square = sign * np.sum(metric * x**2)
    spread = np.max(np.abs(lam)) ** 2
    if square <= 1e-20 * spread or (sign < 0 and x[0] <= 0):
        # No ambient barycentre to pull back: start from the best of the points.
        block = points[: min(len(points), 500)]
        cost = [lam @ manifold.dist(b[None], points) ** 2 for b in block]
        x = block[int(np.argmin(cost))].copy()
    else:
        x = x / np.sqrt(square)
    best, best_norm = x, np.inf
    step_limit = 1.0
    for _ in range(max_iter):
        logs = manifold.log(x[None], points) / manifold.radius
        gradient = lam @ logs
        norm = np.sqrt(max(np.sum(metric * gradient**2), 0.0))
        if norm < best_norm:
            best, best_norm = x, norm
        if norm <= tol:
            break
        theta = np.sqrt(np.maximum(np.sum(metric * logs**2, axis=1), 0.0))
        half = np.tan(theta) if sign > 0 else np.tanh(theta)
        h = ratio(theta, half, 1.0)
        unit = logs * ratio(1.0, theta, 0.0)[:, None]
        # On T_x the operator is a I + U' diag(lam (1 - h)) U; outside it is filled up.
        a = lam @ h
        H = (unit.T * (lam * (1 - h))) @ (unit * metric)
        H[np.diag_indices_from(H)] += a
        direction = _tangent_solve(H, gradient, x, metric, sign)
        length = np.sqrt(max(np.sum(metric * direction**2), 0.0))
        uphill = np.sum(metric * direction * gradient) <= 0 and (lam >= 0).all()
        if not np.isfinite(length) or uphill:
            direction, length = gradient, norm
        # Newton is trusted near the solution only.
        if norm > 2 * best_norm:
            step_limit /= 2
        if length > step_limit:
            direction = direction * (step_limit / length)
        x = manifold.exp(x[None], manifold.radius * direction[None])[0]
    return best


def _tangent_solve(H, gradient, x, metric, sign):
    """Solve H v = gradient for v in the tangent space at x."""
    # The ambient operator keeps T_x; shift it on the normal so that it is regular.
    regular = H + sign * np.outer(x, metric * x)
    try:
        v = np.linalg.solve(regular, gradient)
    except np.linalg.LinAlgError:
        return gradient
    return v - sign * np.sum(metric * x * v) * x


# -- symmetric matrices ----------------------------------------------------------------


def sym_to_vec(S):
    """Upper triangle with off-diagonals times sqrt(2): an isometry of (..., d, d)."""
    a, b = np.triu_indices(S.shape[-1])
    return S[..., a, b] * np.where(a == b, 1.0, np.sqrt(2))


def vec_to_sym(v):
    """Inverse of :func:`sym_to_vec`."""
    d = round((np.sqrt(8 * v.shape[-1] + 1) - 1) / 2)
    a, b = np.triu_indices(d)
    S = np.zeros((*v.shape[:-1], d, d))
    S[..., a, b] = v / np.where(a == b, 1.0, np.sqrt(2))
    S[..., b, a] = S[..., a, b]
    return S


def _t(A):
    return np.swapaxes(A, -1, -2)


def _symmetric(A):
    return (A + _t(A)) / 2


def _square(x):
    d = round(np.sqrt(x.shape[-1]))
    return x.reshape(*x.shape[:-1], d, d)


def _flat(A):
    return A.reshape(*A.shape[:-2], -1)


def _matrix_function(matrices, function):
    w, U = np.linalg.eigh(matrices)
    return (U * function(w)[:, None, :]) @ _t(U)


def symmetric_rows(X, normalize, what):
    """Rows of d*d numbers as symmetric matrices, or an error that names the row."""
    d = round(np.sqrt(X.shape[1]))
    if d * d != X.shape[1]:
        raise ValueError(
            f"{what} takes square matrices, shape (n, d, d) or (n, d*d); got "
            f"{X.shape[1]} numbers a row, not a square."
        )
    matrices = np.asarray(X, dtype=np.float64).reshape(-1, d, d)
    skew = np.abs(matrices - _t(matrices)).max(axis=(1, 2))
    if not normalize:
        size = np.abs(matrices).max(axis=(1, 2))
        _refuse(skew > _ON_MANIFOLD * size, skew, "asymmetry", "a symmetric matrix")
    return _symmetric(matrices)


def _spd(X, normalize):
    matrices = symmetric_rows(X, normalize, "an SPD manifold")
    w, U = np.linalg.eigh(matrices)
    top = w[:, -1]
    if normalize:
        _refuse(top <= 0, top, "largest eigenvalue", "a positive one")
        w = np.maximum(w, 1e-10 * top[:, None])
        return (U * w[:, None, :]) @ _t(U)
    _refuse(
        w[:, 0] <= 1e-14 * np.abs(top),
        w[:, 0],
        "smallest eigenvalue",
        "a positive definite matrix",
    )
    return matrices


def _refuse(bad, value, what, wanted):
    if np.any(bad):
        row = int(np.argmax(bad))
        raise ValueError(
            f"Row {row} of X is not on the manifold: its {what} is {value[row]:.6g}, "
            f"but {wanted} is needed. {int(np.sum(bad))} of {len(bad)} rows are off; "
            "normalize=True projects rows where that is possible."
        )


def _any_orthogonal(x):
    """A unit vector orthogonal to each row: off the axis of its smallest entry."""
    axis = np.zeros_like(x)
    smallest = np.argmin(np.abs(x), axis=-1)
    np.put_along_axis(axis, smallest[..., None], 1.0, axis=-1)
    u = axis - dot(axis, x) * x
    return u / np.sqrt(dot(u, u))
