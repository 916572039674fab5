"""Choice of the multiplicities of the eigenvalues of a covariance."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._principal_subspace_kernels import best_types


def price(criterion, n):
    """What one parameter costs in -2 log likelihood."""
    return np.log(n) if criterion == "bic" else 2.0


def information(eigenvalues, gamma, n, a, floor):
    """``-2 log L + a * number of parameters`` of the type `gamma`."""
    gamma = np.asarray(gamma)
    p = eigenvalues.size
    means = np.maximum(block_means(eigenvalues, gamma), floor)
    minus_two_log = n * (p * np.log(2 * np.pi) + gamma @ np.log(means) + p)
    n_params = p + gamma.size + p * (p - 1) / 2 - np.sum(gamma * (gamma - 1) / 2)
    return float(minus_two_log + a * n_params)


def block_means(eigenvalues, gamma):
    """Mean of the eigenvalues of every block."""
    starts = np.concatenate([[0], np.cumsum(gamma)[:-1]])
    return np.add.reduceat(eigenvalues, starts) / np.asarray(gamma)


def best_type(eigenvalues, n, a, *, floor, last_start, first_start=0, max_blocks=None):
    """Type of least information criterion among all ``2^(p-1)``, exactly, in O(p^2)."""
    p = eigenvalues.size
    layers = 0 if max_blocks is None else min(max_blocks, p)
    cost = np.empty((max(layers, 1), p + 1))
    origin = np.empty((max(layers, 1), p + 1), dtype=np.int64)
    sums = np.concatenate([[0.0], np.cumsum(eigenvalues)])
    best_types(
        sums,
        float(n),
        float(a),
        first_start,
        last_start,
        layers,
        float(floor),
        cost,
        origin,
    )
    row, j, gamma = int(np.argmin(cost[:, p])), p, []
    while j > 0:
        i = origin[row, j]
        gamma.append(int(j - i))
        j = i
        if layers:
            row -= 1
    return tuple(gamma[::-1])


def merge_order(eigenvalues, last_start, first_start=0):
    """Types met when adjacent eigenvalues are pooled by increasing relative gap.

    Cuts beyond `last_start` are closed from the beginning, and with a positive
    `first_start` the cut before that index stays.
    """
    p = eigenvalues.size
    upper = eigenvalues[:-1]
    gaps = np.where(upper > 0, (upper - eigenvalues[1:]) / np.maximum(upper, 1e-300), 0)
    # The tail that cannot be told from zero is one block from the beginning.
    gaps[last_start:] = -1.0
    cut = np.ones(p - 1, dtype=bool)
    cut[last_start:] = False
    types = [_type_of_cuts(cut)]
    for j in np.argsort(gaps, kind="stable"):
        if cut[j] and j != first_start - 1:
            cut[j] = False
            types.append(_type_of_cuts(cut))
    return types


def _type_of_cuts(cut):
    edges = np.concatenate([[0], np.flatnonzero(cut) + 1, [cut.size + 1]])
    return tuple(int(g) for g in np.diff(edges))


def spiked_type(p, q):
    """q distinct eigenvalues and equal noise: probabilistic PCA."""
    return (*(1,) * q, p - q)


def isotropic_type(p, q):
    """q equal eigenvalues and equal noise: isotropic probabilistic PCA."""
    return (q, p - q)


def relative_gap_threshold(n):
    """Relative gap below which the BIC pools a pair of adjacent eigenvalues."""
    phi = 2.0 * np.log(n) / n
    grown = np.exp(phi)
    return 2.0 * (1.0 - grown + np.sqrt(grown) * np.sqrt(grown - 1.0))
