"""Solvers of robust flag PCA: centred rows in, frames out."""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg

from .._flags import ascend, block_slices, level_weights, polar, random_frame
from ._robust_flag_pca_kernels import block_weights, nested_weights, weiszfeld_pass

# Up to this many columns an exact eigenvalue problem beats several polar steps.
_EIGEN_LIMIT = 120
# Starts that are iterated together, as one matrix product.
_BATCH_BYTES = 16 * 2**20


@dataclass
class Found:
    """Result of one start: the smoothed objective and how it got there."""

    frame: np.ndarray
    value: float
    n_iter: int
    path: list = field(default_factory=list)
    converged: bool = True


def geometric_median(X, *, tol=1e-8, max_iter=500):
    """Point with the least sum of distances to the rows (Weiszfeld's iteration)."""
    # Evenly spread rows are enough for a start and a scale.
    some = X[:: max(1, len(X) // 1000)]
    center = np.median(some, axis=0)
    size = np.median(np.sqrt(np.sum((some - center) ** 2, axis=1)))
    if size == 0:
        size = np.sqrt(np.max(np.sum((X - center) ** 2, axis=1)))
    eps = max(1e-10 * size, 1e-300)
    new = np.empty_like(center)
    for _ in range(max_iter):
        weiszfeld_pass(X, center, eps, new)
        step = np.linalg.norm(new - center)
        center, new = new, center
        if step <= tol * size:
            break
    return center


def leading_frame(X, k, *, smallest=False):
    """Leading (or last) k right singular vectors of X, in that order."""
    return _eigenvectors(X.T @ X, k, smallest=smallest)


def _eigenvectors(M, k, *, smallest=False):
    p = M.shape[0]
    subset = (0, k - 1) if smallest else (p - k, p - 1)
    V = linalg.eigh(M, subset_by_index=subset, check_finite=False)[1]
    return V if smallest else np.ascontiguousarray(V[:, ::-1])


def start_frames(X, k, init, n_init, rng, *, smallest=False):
    """The informed start, then random ones, as a list."""
    p = X.shape[1]
    if isinstance(init, str) and init == "random":
        first = random_frame(p, k, rng)
    elif isinstance(init, str):
        first = leading_frame(X, k, smallest=smallest)
    else:
        first = init
    if n_init == 1:
        return [first]
    return [first, *random_frame(p, k, rng, n_init - 1)]


def batches(starts, n_rows):
    """Groups of starts that are iterated together; independent of `n_jobs`."""
    width = max(1, _BATCH_BYTES // (8 * n_rows * starts[0].shape[1]))
    return [np.stack(starts[i : i + width]) for i in range(0, len(starts), width)]


def solve_blocks(X, starts, flag_type, criterion, *, eps, tol, max_iter, step=None):
    """Variance and reconstruction criteria from many starts at once.

    ``U <- polar([X' diag(w_1) X U_1, ...])`` with ``w_i = 1 / max(r_i, eps)``: the
    argument is the gradient, and its linear function bounds the objective from below.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    starts : ndarray of shape (b, p, k)

    Returns
    -------
    found : list of Found
    """
    reconstruction = criterion == "reconstruction"
    sign = -1.0 if reconstruction else 1.0
    X = np.ascontiguousarray(X)
    n, p = X.shape
    n_starts, _, k = starts.shape
    norm2 = np.einsum("np,np->n", X, X)
    edges = np.array((0, *flag_type))
    U = starts.copy()
    paths = [[] for _ in range(n_starts)]
    done = np.zeros(n_starts, dtype=bool)
    active = np.arange(n_starts)
    for iteration in range(max_iter):
        V = U[active]
        wide = np.ascontiguousarray(V.transpose(1, 0, 2)).reshape(p, -1)
        T = (X @ wide).reshape(n, active.size, k)
        W = np.empty((n, active.size, len(flag_type)))
        values = np.empty(active.size)
        block_weights(T, norm2, edges, eps, reconstruction, True, W, values)
        G = (X.T @ T.reshape(n, -1)).reshape(p, active.size, k).transpose(1, 0, 2)
        new = polar(np.ascontiguousarray(G))
        rise = np.einsum("bpk,bpk->b", G, new - V)
        for b, value in zip(active, values):
            paths[b].append(sign * value)
        stop = rise <= tol * values
        done[active[stop]] = True
        U[active[~stop]] = new[~stop]
        active = active[~stop]
        if active.size == 0:
            break
        if step is not None and step(iteration, max(path[-1] for path in paths)):
            break
    return [
        Found(U[b], paths[b][-1], len(paths[b]), paths[b], bool(done[b]))
        for b in range(n_starts)
    ]


def polish_blocks(X, found, flag_type, criterion, *, eps, tol, max_iter):
    """Go on from one result of :func:`solve_blocks`, with momentum."""
    reconstruction = criterion == "reconstruction"
    sign = -1.0 if reconstruction else 1.0
    norm2 = np.einsum("np,np->n", X, X)
    edges = np.array((0, *flag_type))
    W, values = np.empty((len(X), 1, len(flag_type))), np.empty(1)

    def evaluate(U):
        T = np.ascontiguousarray((X @ U)[:, None, :])
        block_weights(T, norm2, edges, eps, reconstruction, True, W, values)
        return sign * float(values[0]), X.T @ T[:, 0, :]

    U, path, converged = ascend(evaluate, found.frame, tol_gap=tol, max_iter=max_iter)
    path = found.path + path[1:]
    return Found(U, path[-1], len(path), path, converged)


def solve_reweighted(X, start, gamma, *, eps, tol, max_iter, step=None):
    """Minimise the sum of ``sqrt(|x|^2 - sum_c gamma_c (u_c' x)^2)``.

    gamma = 1 is the least-absolute-deviation subspace; non-increasing gamma are the
    residuals of an average of nested projectors. The weighted problem is solved
    exactly, by the leading eigenvectors in order (few columns), or improved by one
    polar step (many).
    """
    X = np.ascontiguousarray(X)
    norm2 = np.einsum("np,np->n", X, X)
    w = np.empty(X.shape[0])
    k = gamma.size
    if X.shape[1] > _EIGEN_LIMIT:

        def evaluate(U):
            T = X @ U
            value = nested_weights(T, norm2, gamma, eps, w)
            return -value, (X.T @ (w[:, None] * T)) * gamma

        U, path, converged = ascend(
            evaluate, start, tol_gap=tol, max_iter=max_iter, step=step
        )
        return Found(U, path[-1], len(path), path, converged)
    U, path, converged = start, [], False
    for iteration in range(max_iter):
        value = nested_weights(X @ U, norm2, gamma, eps, w)
        path.append(-value)
        if step is not None and step(iteration, -value):
            converged = True
            break
        if iteration and path[-1] - path[-2] <= tol * value:
            converged = True
            break
        best = U
        U = _eigenvectors(X.T @ (w[:, None] * X), k)
    if len(path) > 1 and path[-1] < path[-2]:
        U, path = best, path[:-1]
    return Found(U, path[-1], len(path), path, converged)


def solve_dual(X, start, flag_type, *, eps, tol, max_iter, step=None):
    """Minimise ``sum_ij ||U_i' x_j||``: blocks of normals of the rows.

    One block: the smallest eigenvectors of the reweighted scatter. Several: each
    block in the complement of the others, then rotations inside their span.
    """
    X = np.ascontiguousarray(X)
    norm2 = np.zeros(X.shape[0])
    edges = np.array((0, *flag_type))
    blocks = block_slices(flag_type)

    def weights(U):
        T = np.ascontiguousarray((X @ U)[:, None, :])
        W = np.empty((X.shape[0], 1, len(blocks)))
        values = np.empty(1)
        block_weights(T, norm2, edges, eps, False, False, W, values)
        return W[:, 0, :], values[0]

    U = start
    W, value = weights(U)
    path, converged = [value], False
    for iteration in range(1, max_iter + 1):
        new = U.copy()
        scatters = [X.T @ (W[:, i, None] * X) for i in range(len(blocks))]
        for M, block in zip(scatters, blocks):
            m = block.stop - block.start
            others = np.delete(new, np.arange(block.start, block.stop), axis=1)
            if others.shape[1]:
                Q = _complement(others)
                new[:, block] = Q @ _eigenvectors(Q.T @ M @ Q, m, smallest=True)
            else:
                new[:, block] = _eigenvectors(M, m, smallest=True)
        if len(blocks) > 1:
            new = _rotate_inside(new, scatters, blocks)
        new_W, new_value = weights(new)
        if new_value <= value:
            fall, U, W, value = value - new_value, new, new_W, new_value
        else:
            # Rounding at a solution whose residuals are below eps.
            fall = 0.0
        path.append(value)
        if step is not None and step(iteration, value):
            converged = True
            break
        if fall <= tol * abs(value):
            converged = True
            break
    return Found(U, value, len(path), path, converged)


def _complement(U):
    """Orthonormal basis of the orthogonal complement of a frame."""
    return np.linalg.qr(U, mode="complete")[0][:, U.shape[1] :]


def _rotate_inside(U, scatters, blocks):
    """Lower ``sum_i tr(U_i' M_i U_i)`` by a rotation of the columns of U."""
    small = [U.T @ M @ U for M in scatters]
    top = [np.linalg.eigvalsh(M)[-1] for M in small]

    def evaluate(R):
        # c I - M is positive semidefinite: a sum of convex forms to be maximised.
        G = np.hstack(
            [c * R[:, b] - M @ R[:, b] for c, M, b in zip(top, small, blocks)]
        )
        return float(np.sum(R * G)), 2.0 * G

    R = ascend(evaluate, np.eye(U.shape[1]), tol_gap=1e-10, max_iter=20)[0]
    return U @ R


def gamma_of(flag_type):
    """``1 - (1 - a_c)^2``: what a column of weight a_c takes off the residual."""
    return 1.0 - (1.0 - level_weights(flag_type)) ** 2
