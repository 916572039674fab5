"""What every estimator shares: documentation link, order and signs."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.base import BaseEstimator


class StructEstimator(BaseEstimator):
    """Base class: scikit-learn's, with the link to this project's documentation."""

    _doc_link_module = "skstruct"
    _doc_link_template = (
        "https://skstruct.readthedocs.io/en/stable/api/"
        "{estimator_module}.{estimator_name}.html"
    )


def deterministic_signs(U, *partners):
    """Make the largest entry of each column of `U` positive, partners following.

    Ties in absolute value go to the lowest row index, so that the result does not
    depend on how a solver happened to orient its vectors.

    Parameters
    ----------
    U : ndarray of shape (n, r)
        Vectors in columns.
    *partners : ndarrays of shape (m, r)
        Column k of each is multiplied by the sign chosen for column k of `U`.

    Returns
    -------
    U, *partners : ndarrays
        New arrays; the single array when there are no partners.
    """
    if U.shape[1] == 0:
        signs = np.ones(0, dtype=U.dtype)
    else:
        # Rounding noise between entries of equal size must not decide a tie.
        size = np.abs(U)
        largest = size.max(axis=0)
        near = size >= largest * (1.0 - 1e-10)
        rows = np.argmax(near, axis=0)
        signs = np.where(U[rows, np.arange(U.shape[1])] < 0, -1.0, 1.0).astype(U.dtype)
    flipped = tuple(V * signs for V in (U, *partners))
    return flipped if partners else flipped[0]
