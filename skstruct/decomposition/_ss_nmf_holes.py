"""Cells of X that are not known, for structured sparse NMF.

Every objective here is that of the known cells alone. It is minimised through a
majoriser: with the unknown cells filled by the present ``A M``, the objective of the
filled data lies above it and touches it at the present point. All updates of complete
data then serve as they are, and lower the objective of the known cells.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from ._ss_nmf_kernels import fill_cells, misfit_of_cells, solve_incomplete

# The first guess needs no digits: the fit goes on from it.
_GUESS_TOL = 3e-3
_GUESS_STEPS = 50


class Holes:
    """Positions of NaN in the rows of X, which is kept as it is."""

    def __init__(self, X):
        self.X = X
        rows, columns = np.nonzero(np.isnan(X))
        self.rows = rows.astype(np.int32)
        self.columns = columns.astype(np.int32)

    def fill(self, X, A, M):
        """Put ``A M`` into the cells of a filled X; returns their sum of squares."""
        return fill_cells(X, self.rows, self.columns, A, M)

    def misfit(self, X, A, M):
        """``||X - A M||^2`` of the cells of a filled X."""
        return misfit_of_cells(X, self.rows, self.columns, A, M)

    def filled(self, A, M):
        """A copy of X with ``A M`` in the cells."""
        X = np.array(self.X, order="C")
        self.fill(X, A, M)
        return X

    def guessed(self, n_components):
        """A copy of X with the cells filled from a subspace of `n_components`.

        First by the mean spectrum with the brightness of each row, then by the
        projection on leading directions, which are found along the way.
        """
        known = ~np.isnan(self.X)
        empty = np.flatnonzero(~known.any(axis=0))
        if empty.size:
            raise ValueError(
                f"Columns {empty[:5].tolist()}{'...' * (empty.size > 5)} of X have no "
                "known value: drop them."
            )
        X = np.where(known, self.X, 0.0)
        mean = X.sum(axis=0, dtype=np.float64) / known.sum(axis=0)
        level = known @ mean
        bright = X.sum(axis=1, dtype=np.float64)
        bright = np.divide(bright, level, out=np.zeros(len(X)), where=level > 0)
        square = self.fill(X, bright[:, None], mean[None])
        V = check_random_state(0).standard_normal((X.shape[1], n_components))
        for _ in range(_GUESS_STEPS):
            V = np.linalg.qr(X.T @ (X @ V.astype(X.dtype)))[0]
            A = (X @ V).astype(np.float64)
            directions = np.ascontiguousarray(V.T)
            moved = self.misfit(X, A, directions)
            square = self.fill(X, A, directions)
            if moved <= _GUESS_TOL**2 * square:
                break
        return X


def check_known(X):
    """Raise where a row of X has no known value, or a sparse X has missing ones."""
    if sparse.issparse(X):
        raise ValueError("X is sparse and contains NaN; missing values need a dense X.")
    empty = np.flatnonzero(np.isnan(X).all(axis=1))
    if empty.size:
        raise ValueError(
            f"Rows {empty[:5].tolist()}{'...' * (empty.size > 5)} of X have no known "
            "value (all NaN): leave them out; of an image with `mask`."
        )


def solve_rows_with_holes(X, M, simplex, A, *, delta2=0.0, alpha=0.0):
    """Solve the rows of X that have NaN by their known bands, in place in `A`.

    Their normal equations are their own: K^2 operations a band.
    """
    chosen = np.flatnonzero(np.isnan(X).any(axis=1))
    if chosen.size:
        bands = np.ascontiguousarray(M.T, dtype=np.float64)
        solve_incomplete(X, chosen, bands, delta2, alpha, simplex, A)
