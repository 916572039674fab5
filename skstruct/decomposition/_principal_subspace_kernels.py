"""Dynamic programme over the types of a covariance."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit


@jit()
def best_types(sums, n, a, first_start, last_start, max_blocks, floor, cost, origin):
    """Least cost of the first j eigenvalues in b blocks, and where the last one starts.

    A block of the eigenvalues i+1..j costs ``n g log(mean) + a (1 - g (g - 1) / 2)``
    with g = j - i.

    Parameters
    ----------
    sums : ndarray of shape (p + 1,)
        Prefix sums of the descending eigenvalues.
    n : float
        Number of samples.
    a : float
        Price of a parameter.
    first_start, last_start : int
        Range of the index at which the last block starts.
    max_blocks : int
        Limit of the number of blocks; 0 for none, with one row in `cost`.
    floor : float
        Smallest mean of a block.
    cost : ndarray of shape (rows, p + 1)
        Output; infinite where impossible. ``cost[0]`` is for "any number of blocks".
    origin : ndarray of int of shape (rows, p + 1)
        Output.
    """
    p = sums.shape[0] - 1
    layers = max(max_blocks, 1)
    log_width = np.log(np.arange(1, p + 1).astype(np.float64))
    for b in range(layers):
        cost[b, 0] = 0.0 if max_blocks == 0 else np.inf
        origin[b, 0] = -1
        for j in range(1, p + 1):
            best, arg = np.inf, -1
            for i in range(j):
                if j == p and (i < first_start or i > last_start):
                    continue
                if max_blocks == 0:
                    before = cost[0, i]
                elif b == 0:
                    before = 0.0 if i == 0 else np.inf
                else:
                    before = cost[b - 1, i]
                if before == np.inf:
                    continue
                g = j - i
                total = sums[j] - sums[i]
                if total > g * floor:
                    log_mean = np.log(total) - log_width[g - 1]
                else:
                    log_mean = np.log(floor)
                value = before + n * g * log_mean + a * (1.0 - 0.5 * g * (g - 1.0))
                if value < best:
                    best, arg = value, i
            cost[b, j], origin[b, j] = best, arg
