"""Flags of subspaces: types, polar factors, and ascent on orthonormal frames.

A flag of type ``(n_1 < ... < n_k)`` in R^p is a chain of nested subspaces of these
dimensions. It is held as one orthonormal frame U of shape (p, n_k): the first n_i
columns span the i-th subspace, and the columns from n_{i-1} to n_i are its i-th block.
"""

# SPDX-License-Identifier: BSD-3-Clause

from itertools import pairwise
from numbers import Integral

import numpy as np

from ._flags_kernels import polar_jacobi


def check_flag_type(flag_type, name="flag_type", *, limit=None, limit_text=""):
    """Increasing positive dimensions as a tuple of int; an int is one subspace.

    Parameters
    ----------
    flag_type : int or sequence of int
    name : str
        Name of the parameter, for the message.
    limit : int, optional
        Largest legal dimension.
    limit_text : str
        Where the limit comes from, such as ``"n_features"``.
    """
    dims = (flag_type,) if isinstance(flag_type, Integral) else flag_type
    try:
        dims = tuple(dims)
    except TypeError:
        dims = ()
    if not dims or not all(
        isinstance(d, Integral) and not isinstance(d, bool) for d in dims
    ):
        raise ValueError(
            f"{name} must be an increasing tuple of dimensions such as (1, 3), got "
            f"{flag_type!r}."
        )
    dims = tuple(int(d) for d in dims)
    if dims[0] < 1 or any(b <= a for a, b in pairwise(dims)):
        raise ValueError(
            f"{name}={dims} must be positive and strictly increasing: it lists the "
            "dimensions of nested subspaces."
        )
    if limit is not None and dims[-1] > limit:
        raise ValueError(
            f"The largest dimension of {name}={dims} must be at most "
            f"{limit_text}={limit}."
        )
    return dims


def block_slices(flag_type):
    """Columns of every block."""
    return [slice(a, b) for a, b in zip((0, *flag_type), flag_type)]


def nested_slices(flag_type):
    """Columns of every subspace of the chain."""
    return [slice(0, b) for b in flag_type]


def level_weights(flag_type):
    """Share of the nested subspaces that contain each column: the weights ``a_c``.

    ``U diag(a) U'`` is the average of the projectors on the nested subspaces.
    """
    dims = np.asarray(flag_type)
    return np.mean(dims[:, None] > np.arange(dims[-1]), axis=0)


def polar(M):
    """Orthonormal polar factor of a tall matrix, or of a stack of them.

    It is the frame nearest to `M`, and the maximiser of ``tr(M' U)`` over orthonormal
    U. Where `M` has no full rank, the missing directions are any that complete it.

    Parameters
    ----------
    M : ndarray of shape (..., p, k), k <= p

    Returns
    -------
    U : ndarray of shape (..., p, k)
    """
    k = M.shape[-1]
    if M.ndim == 2 and M.size <= 512:
        U = np.empty(M.shape)
        return U if k <= 8 and polar_jacobi(M, U) else _polar_svd(M)
    gram = np.swapaxes(M, -1, -2) @ M
    size, V = np.linalg.eigh(gram)
    # The inverse square root of the Gram matrix loses twice the digits of the
    # condition number; a Newton step below restores orthonormality.
    safe = size[..., 0] > 1e-8 * size[..., -1]
    if not np.all(safe):
        if M.ndim == 2:
            return _polar_svd(M)
        U = np.empty_like(M)
        U[safe] = polar(M[safe]) if np.any(safe) else U[safe]
        U[~safe] = _polar_svd(M[~safe])
        return U
    root = (V / np.sqrt(size)[..., None, :]) @ np.swapaxes(V, -1, -2)
    U = M @ root
    return U @ (1.5 * np.eye(k) - 0.5 * (np.swapaxes(U, -1, -2) @ U))


def _polar_svd(M):
    left, _, right = np.linalg.svd(M, full_matrices=False)
    return left @ right


def random_frame(p, k, rng, n=None):
    """Frames uniform on the Stiefel manifold, of shape (p, k) or (n, p, k)."""
    shape = (p, k) if n is None else (n, p, k)
    return np.linalg.qr(rng.standard_normal(shape))[0]


def ascend(evaluate, U, *, tol_gap, tol_step=0.0, max_iter, step=None):
    """Maximise by ``U <- polar(G(U))``, with safeguarded momentum.

    The objective is one that its linearisation bounds from below,
    ``f(V) >= f(U) + <G, V - U>``: a convex function, or one that convex functions
    minorise. The polar factor maximises the bound, so the objective never falls. Its
    guaranteed rise ``<G, polar(G) - U>`` vanishes at stationary points alone and is
    the stopping rule. Points extrapolated by momentum are taken only when they beat
    that guaranteed rise.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(U)`` returns (f, G).
    U : ndarray of shape (p, k)
    tol_gap : float
        Stop when the guaranteed rise is at most ``tol_gap * |f|``.
    tol_step : float
        Or when the step ``||polar(G) - U||`` is at most this.
    max_iter : int
    step : callable, optional
        ``step(i, f)`` returns True to stop early.

    Returns
    -------
    U : ndarray, path : list of float (objective values), converged : bool
    """
    value, G = evaluate(U)
    path = [value]
    last, run = U, 0
    for iteration in range(1, max_iter + 1):
        new = polar(G)
        move = new - U
        rise = float(np.vdot(G, move))
        if rise <= tol_gap * abs(value) or np.vdot(move, move) <= tol_step**2:
            return U, path, True
        accepted = False
        if run >= 3:
            trial = polar(new + run / (run + 3.0) * (new - last))
            trial_value, trial_G = evaluate(trial)
            accepted = trial_value >= value + rise
        if accepted:
            U, value, G = trial, trial_value, trial_G
        else:
            run = 0 if run >= 3 else run
            U = new
            value, G = evaluate(U)
        last = new
        run += 1
        path.append(value)
        if step is not None and step(iteration, value):
            return U, path, True
    return U, path, False
