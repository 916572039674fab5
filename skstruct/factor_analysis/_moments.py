"""Second moments of the data, held as a matrix or as the rows behind it."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import sparse

from ._kernels import sampled_products

# Below this density a loading matrix is multiplied as a sparse one.
_SPARSE_BELOW = 0.15


class Moments:
    """The matrix S = Z'Z, formed or not.

    Parameters
    ----------
    S : ndarray of shape (p, p), optional
        The matrix itself.
    Z : ndarray of shape (n, p), optional
        Rows, divided by sqrt(n); used where products through them are cheaper.
    """

    def __init__(self, S=None, Z=None):
        self._S, self._Z = S, Z
        self._columns = None
        if S is None:
            self.diag = np.einsum("ij,ij->j", Z, Z)
        else:
            self.diag = np.diag(S).copy()
        self.p = self.diag.size
        self._through_rows = S is None or (Z is not None and 2 * len(Z) < self.p)

    @property
    def S(self):
        """The p x p matrix."""
        if self._S is None:
            self._S = self._Z.T @ self._Z
        return self._S

    def times(self, A):
        """``S @ A``."""
        thin = A
        if A.size > 10_000 and np.count_nonzero(A) < _SPARSE_BELOW * A.size:
            thin = sparse.csr_array(A.T)
            if self._through_rows:
                return self._Z.T @ np.ascontiguousarray((thin @ self._Z.T).T)
            return np.ascontiguousarray((thin @ self._S).T)
        if self._through_rows:
            return self._Z.T @ (self._Z @ thin)
        return self._S @ thin

    def sampled(self, A, M, support):
        """``S @ A @ M`` where a loading is free, or everywhere if that is no dearer.

        Through the rows of thousands of variables only what the M step reads is
        computed: ``O(n nnz + n d^2)``.
        """
        if not self._through_rows or support.nnz > _SPARSE_BELOW * A.size:
            return self.times(A) @ M
        if self._columns is None:
            self._columns = np.ascontiguousarray(self._Z.T)
        thin = sparse.csr_array(
            (A[support.rows, support.columns], support.columns, support.indptr),
            shape=A.shape,
        )
        scores = M @ (thin.T @ self._columns)
        T = np.zeros_like(A)
        sampled_products(
            self._columns, np.ascontiguousarray(scores), support.rows,
            support.columns, T,
        )  # fmt: skip
        return T

    def block(self, rows, columns):
        """``S[rows][:, columns]``."""
        if self._S is None:
            return self._Z[:, rows].T @ self._Z[:, columns]
        return self._S[np.ix_(rows, columns)]
