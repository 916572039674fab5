"""Weighted barycentres and nearest points of their families, on any manifold.

Everything is batched over rows: row j has its own weights and its own point, all
share the references. Works on the internal rows of ``_manifolds``.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._manifolds import AffineInvariantSPD, sym_to_vec, vec_to_sym

# Arrays of this many numbers are built at a time.
_BUDGET = 1 << 22


def karcher_mean(manifold, Y, weights):
    """Critical point of ``sum_j weights_j dist(., y_j)^2``, gradient below 1e-12."""
    lam = np.asarray(weights, dtype=np.float64)[None] / np.sum(weights)
    start = Y[[int(np.argmax(weights))]]
    if isinstance(manifold, AffineInvariantSPD):
        # The mean of logarithms is near the affine-invariant one.
        w, U = np.linalg.eigh(_matrices(Y))
        logs = (U * np.log(w)[:, None, :]) @ np.swapaxes(U, 1, 2)
        w, U = np.linalg.eigh(np.einsum("j,jab->ab", lam[0], logs))
        start = ((U * np.exp(w)) @ U.T).reshape(1, -1)
    return barycenters(manifold, Y, lam, start)[0][0]


def barycenters(manifold, references, lam, start, *, max_iter=200, tol=1e-13):
    """x with ``sum_i lam_i log_x(x_i) = 0`` for each row of `lam`.

    Parameters
    ----------
    manifold : object of ``_manifolds``
    references : ndarray of shape (m, q)
    lam : ndarray of shape (n, m)
        Rows sum to one; negative weights are allowed.
    start : ndarray of shape (n, q)

    Returns
    -------
    x : ndarray of shape (n, q)
    gradient : ndarray of shape (n,)
        Norm of the remaining gradient.

    Notes
    -----
    Newton's method where the Hessian of the squared distance is known, else gradient
    steps; a step is halved while the gradient grows.
    """
    x = np.array(start)
    best, best_norm = x.copy(), np.full(len(x), np.inf)
    step = np.zeros_like(x)
    scale = np.ones(len(x))
    rows = np.arange(len(x))
    newton = isinstance(manifold, AffineInvariantSPD) or hasattr(
        getattr(manifold, "protocol", None), "hess_sqdist"
    )
    stalled = np.zeros(len(x), dtype=int)
    for _ in range(max_iter if newton else 10 * max_iter):
        gradient, direction = _gradient_and_step(manifold, references, lam[rows], x)
        norm = np.sqrt(np.maximum(manifold.inner(x, gradient, gradient)[:, 0], 0))
        worse = ~(norm < best_norm[rows])
        better = rows[~worse]
        best[better], best_norm[better] = x[~worse], norm[~worse]
        step[better] = direction[~worse]
        stalled[rows] = np.where(worse, stalled[rows] + 1, 0)
        scale[rows] = np.where(
            worse, scale[rows] / 2, np.minimum(1.0, 1.5 * scale[rows])
        )
        go_on = (best_norm[rows] > tol) & (stalled[rows] < 30)
        # At rounding level a worse gradient is no reason to go on.
        go_on &= ~(worse & (best_norm[rows] < 1e-11))
        rows = rows[go_on]
        if not len(rows):
            break
        x = manifold.exp(best[rows], scale[rows, None] * step[rows])
    return best, best_norm


def _gradient_and_step(manifold, references, lam, x):
    """Sum of weighted logarithms, and the step towards its zero."""
    if isinstance(manifold, AffineInvariantSPD):
        root, inverse = manifold.roots(x)
        logs, H = _spd_model(manifold, references, lam, inverse)
        gradient = np.einsum("ni,nid->nd", lam, logs)
        direction = _solve(H, gradient[..., None])[..., 0]
        lift = [_lift(root, v) for v in (gradient, direction)]
        return lift[0], lift[1]
    logs = manifold.log(x[:, None, :], references[None])
    gradient = np.einsum("ni,nid->nd", lam, logs)
    protocol = getattr(manifold, "protocol", None)
    if not hasattr(protocol, "hess_sqdist"):
        return gradient, gradient

    def hessian(v):
        total = np.zeros_like(v)
        for i, reference in enumerate(references):
            y = np.broadcast_to(reference, x.shape)
            # Of the squared distance: half of it is what the weights multiply.
            total += 0.5 * lam[:, [i]] * protocol.hess_sqdist(x, y, v)
        return total

    return gradient, _conjugate_gradients(manifold, x, hessian, gradient)


def _conjugate_gradients(manifold, x, operator, b, n_steps=50):
    """Batched; where the operator is not positive the direction found so far."""
    v = np.zeros_like(b)
    r, d = b.copy(), b.copy()
    rr = manifold.inner(x, r, r)
    target = 1e-28 * rr
    for _ in range(n_steps):
        Hd = operator(d)
        curvature = manifold.inner(x, d, Hd)
        going = (rr > target) & (curvature > 0)
        if not going.any():
            break
        a = np.where(going, rr / np.where(going, curvature, 1.0), 0.0)
        v, r = v + a * d, r - a * Hd
        new = manifold.inner(x, r, r)
        d = np.where(going, r + new / np.where(rr > 0, rr, 1.0) * d, 0.0)
        rr = new
    return np.where(np.any(v != 0, axis=1, keepdims=True), v, b)


def _spd_model(manifold, references, lam, inverse):
    """Whitened logarithms (n, m, D) of the references and the Hessian (n, D, D)."""
    n, m = lam.shape
    d = inverse.shape[-1]
    D = d * (d + 1) // 2
    logs = np.empty((n, m, D))
    H = np.zeros((n, D, D))
    chunk = max(1, _BUDGET // max(n * D * D, 1))
    for first in range(0, m, chunk):
        part = slice(first, first + chunk)
        w, U = manifold.whitened(inverse[:, None], references[None, part])
        logs[:, part] = sym_to_vec((U * w[..., None, :]) @ np.swapaxes(U, -1, -2))
        K, h = manifold.hessian_factors(w, U)
        weighted = K * (lam[:, part, None] * h)[..., None, :]
        H += np.sum(weighted @ np.swapaxes(K, -1, -2), axis=1)
    return logs, H


def _lift(root, v):
    """Tangent vectors from whitened coordinates."""
    S = root @ vec_to_sym(v) @ root
    return S.reshape(len(S), -1)


def _matrices(x):
    d = round(np.sqrt(x.shape[-1]))
    return x.reshape(*x.shape[:-1], d, d)


def _solve(H, B):
    try:
        return np.linalg.solve(H, B)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(H) @ B


def project_on_span(manifold, references, Y, *, max_iter=60, tol=1e-10):
    """Nearest points of the family of barycentres of the references.

    Gauss-Newton on the weights: the implicit function theorem gives
    ``H(x, lam) dx = sum_i dlam_i log_x(x_i)`` where the Hessian is known, finite
    differences of the barycentre the same response where it is not.

    Returns
    -------
    x : ndarray of shape (n, q)
    lam : ndarray of shape (n, m)
        Weights of x; rows sum to one.
    converged : ndarray of bool, shape (n,)
    """
    n, m = len(Y), len(references)
    D = manifold.dimension(Y.shape[1])
    chunk = max(1, _BUDGET // (D * D * (m + 1)))
    if n > chunk:
        parts = [
            project_on_span(
                manifold, references, Y[i : i + chunk], max_iter=max_iter, tol=tol
            )
            for i in range(0, n, chunk)
        ]
        return tuple(np.concatenate(p) for p in zip(*parts))
    if m == 1:
        same = np.ones(n, dtype=bool)
        return np.repeat(references, n, axis=0), np.ones((n, 1)), same
    T = np.linalg.qr(np.column_stack([np.ones(m), np.eye(m)[:, 1:]]))[0][:, 1:]
    lam = _flat_weights(manifold, references, Y, T)
    x, gradient = barycenters(manifold, references, lam, Y)
    # Far from the references the flat guess may have no barycentre: start inside.
    bad = gradient > 1e-9
    if bad.any():
        lam[bad] = 1.0 / m
        inside = np.repeat(references[:1], bad.sum(), axis=0)
        x[bad], gradient[bad] = barycenters(manifold, references, lam[bad], inside)
    d = manifold.dist(x, Y)
    done = np.zeros(n, dtype=bool)
    rows = np.arange(n)
    for _ in range(max_iter):
        delta, move = _gauss_newton_step(
            manifold, references, x[rows], lam[rows], Y[rows], T
        )
        size = np.sqrt(np.sum(delta**2, axis=1))
        t = np.ones(len(rows))
        pending = np.arange(len(rows))
        for _halving in range(12):
            r = rows[pending]
            trial = lam[r] + t[pending, None] * delta[pending] @ T.T
            start = manifold.exp(x[r], t[pending, None] * move[pending])
            x_trial, gradient = barycenters(manifold, references, trial, start)
            d_trial = manifold.dist(x_trial, Y[r])
            fine = (d_trial <= d[r] + 1e-14) & (gradient < 1e-9)
            took = r[fine]
            lam[took], x[took], d[took] = trial[fine], x_trial[fine], d_trial[fine]
            pending = pending[~fine]
            t[pending] /= 2
            if not len(pending):
                break
        stuck = np.zeros(len(rows), dtype=bool)
        stuck[pending] = True
        # A step that no longer lowers the distance is at the floor of rounding
        # when it is small.
        small = size < tol * (1 + np.abs(lam[rows]).max(axis=1))
        done[rows[small | (stuck & (size < 1e-6))]] = True
        rows = rows[~(small | stuck)]
        if not len(rows):
            break
    return x, lam, done


def _flat_weights(manifold, references, Y, T):
    """Affine weights that bring the logarithms at y closest to zero."""
    n, m = len(Y), len(references)
    logs = manifold.log(Y[:, None, :], references[None])
    y = np.broadcast_to(Y[:, None, :], logs.shape)
    M = np.empty((n, m, m))
    for i in range(m):
        u = np.broadcast_to(logs[:, [i]], logs.shape)
        M[:, i] = manifold.inner(y, u, logs)[..., 0]
    centre = np.full(m, 1.0 / m)
    c = np.linalg.pinv(T.T @ M @ T, hermitian=True) @ (T.T @ M @ centre)[..., None]
    return centre - c[..., 0] @ T.T


def _gauss_newton_step(manifold, references, x, lam, Y, T):
    """Change of the weights in the basis T, and the tangent vector it moves x by."""
    if isinstance(manifold, AffineInvariantSPD):
        root, inverse = manifold.roots(x)
        logs, H = _spd_model(manifold, references, lam, inverse)
        A = _solve(H, np.swapaxes(logs, 1, 2) @ T)
        w, U = manifold.whitened(inverse, Y)
        b = sym_to_vec((U * w[:, None, :]) @ np.swapaxes(U, 1, 2))
        At = np.swapaxes(A, 1, 2)
        delta = (np.linalg.pinv(At @ A, hermitian=True) @ (At @ b[..., None]))[..., 0]
        return delta, _lift(root, (A @ delta[..., None])[..., 0])
    h = 1e-6
    columns = []
    for j in range(T.shape[1]):
        ends = []
        for sign in (1, -1):
            shifted = lam + sign * h * T[:, j]
            ends.append(barycenters(manifold, references, shifted, x)[0])
        columns.append((manifold.log(x, ends[0]) - manifold.log(x, ends[1])) / (2 * h))
    b = manifold.log(x, Y)
    M = np.stack(
        [[manifold.inner(x, u, v)[:, 0] for v in columns] for u in columns]
    ).transpose(2, 0, 1)
    right = np.stack([manifold.inner(x, u, b)[:, 0] for u in columns], axis=1)
    delta = (np.linalg.pinv(M, hermitian=True) @ right[..., None])[..., 0]
    return delta, sum(delta[:, [j]] * u for j, u in enumerate(columns))
