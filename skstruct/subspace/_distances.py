"""Distances between flags and between subspaces."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.utils._param_validation import StrOptions, validate_params

from .._flags import block_slices, check_flag_type, level_weights, nested_slices
from ._frames import read_frames

# Below this squared distance 1 - cos^2 has lost five digits.
_CANCELLED = 1e-5
_TILE_BYTES = 64 * 2**20

_METRICS = {
    "block",
    "nested",
    "projection",
    "containment",
    "schubert",
    "multilevel",
    "arc",
    "bures-wasserstein",
}


def chordal_levels(flag_type, metric, complement=False):
    """The column ranges whose projectors a chordal distance compares."""
    levels = block_slices(flag_type) if metric == "block" else nested_slices(flag_type)
    if complement and flag_type[-1]:
        # n_k - ||U'W||^2 is the term of the complements: no basis of them is needed.
        levels = [*levels, slice(0, flag_type[-1])]
    return levels


def coupling(levels, k):
    """Number of levels that contain both column c and column d, shape (k, k)."""
    C = np.zeros((k, k))
    for level in levels:
        C[level, level] += 1.0
    return C


def exact_squared(F, G, levels):
    """Squared chordal distances of paired frames (n, p, k), without cancellation.

    ``m - ||V'W||^2 = ||V - W W'V||^2`` for frames V and W of the same width m.
    """
    total = np.zeros(len(F))
    for level in levels:
        V, W = F[:, :, level], G[:, :, level]
        residual = V - W @ (np.swapaxes(W, 1, 2) @ V)
        total += np.einsum("npk,npk->n", residual, residual)
    return total


def chordal_squared(F, G, levels):
    """Squared chordal distances between stacks (N, p, k) and (M, p, k): (N, M)."""
    n_levels = sum(level.stop - level.start for level in levels)
    total = np.full((len(F), len(G)), float(n_levels))
    for level in levels:
        V, W = F[:, :, level], G[:, :, level]
        for rows, B in cross_products(V, W):
            total[rows] -= np.einsum("namb,namb->nm", B, B)
    small = np.nonzero(total < _CANCELLED)
    step = max(1, _TILE_BYTES // (8 * F.shape[1] * F.shape[2]))
    for start in range(0, small[0].size, step):
        i, j = (index[start : start + step] for index in small)
        total[i, j] = exact_squared(F[i], G[j], levels)
    return total


def cross_products(F, G):
    """Yield (rows, B) with ``B[n, a, m, b] = F[n, :, a]' G[m, :, b]``, tile by tile."""
    n, p, a = F.shape
    m, _, b = G.shape
    right = np.ascontiguousarray(G.transpose(1, 0, 2)).reshape(p, m * b)
    step = max(1, _TILE_BYTES // (8 * a * m * b))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        left = np.ascontiguousarray(F[rows].transpose(0, 2, 1)).reshape(-1, p)
        yield rows, (left @ right).reshape(-1, a, m, b)


def principal_angles(F, G):
    """Principal angles between all pairs of spans, ascending: (N, M, min(a, b)).

    Cosines give the angles above 45 degrees and sines those below, so that none is
    lost to cancellation.
    """
    if F.shape[2] > G.shape[2]:
        return np.swapaxes(principal_angles(G, F), 0, 1)
    n, p, a = F.shape
    m = len(G)
    angles = np.empty((n, m, a))
    for rows, B in cross_products(F, G):
        cosines = np.linalg.svd(B.transpose(0, 2, 1, 3), compute_uv=False)
        angles[rows] = np.arccos(np.clip(cosines, 0.0, 1.0))
    i, j = np.nonzero(angles[:, :, 0] < np.pi / 4)
    step = max(1, _TILE_BYTES // (8 * p * a))
    for start in range(0, i.size, step):
        ii, jj = i[start : start + step], j[start : start + step]
        V, W = F[ii], G[jj]
        residual = V - W @ (np.swapaxes(W, 1, 2) @ V)
        sines = np.linalg.svd(residual, compute_uv=False)[:, ::-1]
        precise = np.arcsin(np.clip(sines, 0.0, 1.0))
        angles[ii, jj] = np.where(precise < np.pi / 4, precise, angles[ii, jj])
    return angles


def projection_squared(F, G):
    """``||P_F - P_G||_F^2 / 2`` for stacks of frames of any two widths: (N, M)."""
    if F.shape[2] > G.shape[2]:
        return projection_squared(G, F).T
    gap = (G.shape[2] - F.shape[2]) / 2
    total = np.full((len(F), len(G)), float(F.shape[2]))
    for rows, B in cross_products(F, G):
        total[rows] -= np.einsum("namb,namb->nm", B, B)
    i, j = np.nonzero(total < _CANCELLED)
    step = max(1, _TILE_BYTES // (8 * F.shape[1] * G.shape[2]))
    for start in range(0, i.size, step):
        ii, jj = i[start : start + step], j[start : start + step]
        V, W = F[ii], G[jj]
        residual = V - W @ (np.swapaxes(W, 1, 2) @ V)
        total[ii, jj] = np.einsum("npk,npk->n", residual, residual)
    return total + gap


def _multilevel_squared(F, G, a, b):
    """Squared Frobenius distance of ``F diag(a) F'`` and ``G diag(b) G'``."""
    total = np.full((len(F), len(G)), np.sum(a**2) + np.sum(b**2))
    for rows, B in cross_products(F, G):
        total[rows] -= 2.0 * np.einsum("namb,a,b->nm", B**2, a, b, optimize=True)
    for i, j in zip(*np.nonzero(total < _CANCELLED)):
        # The difference inside the common span, where nothing cancels.
        R = np.linalg.qr(np.hstack([F[i], G[j]]), mode="r")
        V, W = R[:, : a.size], R[:, a.size :]
        total[i, j] = np.sum(((V * a) @ V.T - (W * b) @ W.T) ** 2)
    return total


def _bures_squared(F, G, a, b):
    """``tr A + tr B - 2 ||A^(1/2) B^(1/2)||_*`` of A = F diag(a) F' and B likewise."""
    total = np.empty((len(F), len(G)))
    left, right = np.sqrt(a), np.sqrt(b)
    for rows, B in cross_products(F * left, G * right):
        nuclear = np.linalg.svd(B.transpose(0, 2, 1, 3), compute_uv=False).sum(-1)
        total[rows] = a.sum() + b.sum() - 2.0 * nuclear
    if a.size == b.size:
        for i, j in zip(*np.nonzero(total < _CANCELLED)):
            # The same number as the distance of the optimally rotated square roots.
            V, W = F[i] * left, G[j] * right
            L, _, R = np.linalg.svd(V.T @ W)
            total[i, j] = np.sum((V @ L - W @ R.T) ** 2)
    return total


@validate_params(
    {
        "U": ["array-like"],
        "W": ["array-like"],
        "flag_type": "no_validation",
        "metric": [StrOptions(_METRICS)],
        "complement": ["boolean"],
        "flag_type_other": "no_validation",
        "weights": ["array-like", None],
        "weights_other": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def flag_distance(
    U,
    W,
    flag_type,
    *,
    metric="block",
    complement=False,
    flag_type_other=None,
    weights=None,
    weights_other=None,
):
    """Distances between flags, or between stacks of flags.

    Parameters
    ----------
    U : array-like of shape (p, n_k) or (N, p, n_k)
        Orthonormal frame(s): the first ``flag_type[i]`` columns span the i-th
        subspace. Further columns than the type needs are ignored.
    W : array-like of shape (p, n_k) or (M, p, n_k)
        Frames to compare with.
    flag_type : tuple of int
        Dimensions of the nested subspaces, increasing.
    metric : str, default="block"
        With blocks ``U_i`` (the columns that the i-th subspace adds), widths ``m_i``,
        nested spans ``U_{:i}`` and principal angles ``theta_j`` of the largest spans:

        - "block": chordal distance, root of ``sum_i (m_i - ||U_i' W_i||^2)``.
        - "nested": root of ``sum_i (n_i - ||U_{:i}' W_{:i}||^2)``.
        - "arc": root of the sum of the squared principal angles of the blocks, the
          distance in a product of Grassmannians. It is a lower bound of the geodesic
          distance of flags, not that distance.
        - "projection": of the largest spans only, root of ``||P_U - P_W||^2 / 2``;
          a metric between subspaces of different dimensions.
        - "containment": root of ``sum_j theta_j^2``; zero when one span contains the
          other, so not a metric.
        - "schubert": "containment" with ``pi / 2`` for each missing dimension.
        - "multilevel": Frobenius distance of the weighted projectors
          ``U diag(a) U'``, by default the averages of the nested projectors; compares
          flags of different types.
        - "bures-wasserstein": of the same two matrices, seen as covariances.
    complement : bool, default=False
        Whether "block" and "nested" count the orthogonal complement as one more
        block. The literature leaves it out.
    flag_type_other : tuple of int, default=None
        Type of `W` where it differs; only for the last five metrics.
    weights, weights_other : array-like of shape (n_k,), default=None
        Nonnegative weights of the columns of `U` and of `W`, for "multilevel" and
        "bures-wasserstein". None: the share of the nested subspaces that contain the
        column. Both metrics depend on the flag alone only when the weights are equal
        inside each block.

    Returns
    -------
    distance : float or ndarray of shape (N, M)
        The distance, not squared; a float for two single frames.

    Raises
    ------
    ValueError
        If a frame is not orthonormal within 1e-6, dimensions differ, or a type does
        not fit its frame.

    Notes
    -----
    The cost is one matrix product of all frames with all others,
    ``O(N M p n_k^2)``, in tiles of 64 MB; projectors are never formed. Distances
    below 1e-3 are recomputed without cancellation: a flag has distance below 1e-14
    to itself.

    References
    ----------
    Pitaval, Tirkkonen (2014), Joint Grassmann-Stiefel quantization for MIMO product
    codebooks, IEEE Transactions on Wireless Communications. Mankovich, Birdal (2023),
    Chordal averaging on flag manifolds and its applications, ICCV. Ye, Lim (2016),
    Schubert varieties and distances between subspaces of different dimensions, SIAM
    Journal on Matrix Analysis and Applications 37. Thanwerdas, Pennec (2022),
    Bures-Wasserstein minimizing geodesics between covariance matrices of different
    ranks. Szwagier, Pennec (2025), Nested subspace learning with flags.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.subspace import flag_distance
    >>> swapped = np.eye(3)[:, [1, 0]]
    >>> float(flag_distance(np.eye(3)[:, :2], swapped, (1, 2)))
    1.4142135623730951
    >>> float(flag_distance(np.eye(3)[:, :2], swapped, (2,)))
    0.0
    """
    flag_type = check_flag_type(flag_type)
    free = metric not in {"block", "nested", "arc"}
    other = flag_type
    if flag_type_other is not None:
        other = check_flag_type(flag_type_other, "flag_type_other")
        if other != flag_type and not free:
            raise ValueError(
                f"metric={metric!r} compares flags of one type, got {flag_type} and "
                f"flag_type_other={other}; 'multilevel' compares different types."
            )
    if complement and metric not in {"block", "nested"}:
        raise ValueError(
            f"complement=True is defined for 'block' and 'nested', not {metric!r}."
        )
    weighted = metric in {"multilevel", "bures-wasserstein"}
    if not weighted and (weights is not None or weights_other is not None):
        raise ValueError(
            "weights apply to 'multilevel' and 'bures-wasserstein', not to "
            f"metric={metric!r}."
        )
    F, single = read_frames(U, "U", flag_type)
    G, single_other = read_frames(W, "W", other)
    if F.shape[1] != G.shape[1]:
        raise ValueError(
            f"U and W must be frames in one space, got dimensions {F.shape[1]} and "
            f"{G.shape[1]}."
        )
    if weighted:
        a = _column_weights(weights, flag_type, "weights")
        b = _column_weights(weights_other, other, "weights_other")
        squared = _multilevel_squared if metric == "multilevel" else _bures_squared
        total = squared(F, G, a, b)
    elif metric in {"block", "nested"}:
        total = chordal_squared(F, G, chordal_levels(flag_type, metric, complement))
    elif metric == "projection":
        total = projection_squared(F, G)
    elif metric == "arc":
        total = sum(
            np.sum(principal_angles(F[:, :, c], G[:, :, c]) ** 2, axis=2)
            for c in block_slices(flag_type)
        )
    else:
        total = np.sum(principal_angles(F, G) ** 2, axis=2)
        if metric == "schubert":
            total = total + abs(flag_type[-1] - other[-1]) * np.pi**2 / 4
    distance = np.sqrt(np.maximum(total, 0.0))
    return distance[0, 0] if single and single_other else distance


def _column_weights(weights, flag_type, name):
    if weights is None:
        return level_weights(flag_type)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (flag_type[-1],):
        raise ValueError(
            f"{name} must have one entry for each of the {flag_type[-1]} columns, got "
            f"shape {weights.shape}."
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise ValueError(f"{name} must be finite and nonnegative, got {weights}.")
    return weights
