"""Loops on frames so small that the call of a LAPACK routine costs more."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._jit import jit


@jit()
def polar_jacobi(M, U):
    """Polar factor of a small tall matrix by one-sided Jacobi rotations.

    Parameters
    ----------
    M : ndarray of float64, shape (p, k)
    U : ndarray of float64, shape (p, k)
        Receives the polar factor.

    Returns
    -------
    full_rank : bool
        False where `M` has numerically dependent columns or is not finite; U is then
        not set.
    """
    p, k = M.shape
    largest = 0.0
    for r in range(p):
        for c in range(k):
            largest = max(largest, abs(M[r, c]))
    if not (0.0 < largest < np.inf):
        return False
    # Rows of A are the columns of M V, which the rotations V make orthogonal.
    A = np.empty((k, p))
    V = np.zeros((k, k))
    for c in range(k):
        V[c, c] = 1.0
        for r in range(p):
            A[c, r] = M[r, c] / largest
    for _ in range(40):
        rotated = False
        for i in range(k - 1):
            for j in range(i + 1, k):
                a = b = c = 0.0
                for r in range(p):
                    a += A[i, r] * A[i, r]
                    b += A[j, r] * A[j, r]
                    c += A[i, r] * A[j, r]
                if abs(c) <= 4e-16 * np.sqrt(a * b):
                    continue
                rotated = True
                z = (b - a) / (2.0 * c)
                t = 1.0 / (abs(z) + np.sqrt(1.0 + z * z))
                if z < 0.0:
                    t = -t
                cos = 1.0 / np.sqrt(1.0 + t * t)
                sin = cos * t
                for r in range(p):
                    x, y = A[i, r], A[j, r]
                    A[i, r] = cos * x - sin * y
                    A[j, r] = sin * x + cos * y
                for r in range(k):
                    x, y = V[r, i], V[r, j]
                    V[r, i] = cos * x - sin * y
                    V[r, j] = sin * x + cos * y
        if not rotated:
            break
    smallest, greatest = np.inf, 0.0
    for i in range(k):
        size = 0.0
        for r in range(p):
            size += A[i, r] * A[i, r]
        size = np.sqrt(size)
        smallest, greatest = min(smallest, size), max(greatest, size)
        for r in range(p):
            A[i, r] /= size
    if not smallest > 1e-13 * greatest:
        return False
    for r in range(p):
        for c in range(k):
            total = 0.0
            for i in range(k):
                total += A[i, r] * V[c, i]
            U[r, c] = total
    return True
