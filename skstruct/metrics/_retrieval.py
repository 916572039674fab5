# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.utils import Bunch, gen_batches
from sklearn.utils.validation import check_array

# Cosines closer than this are equal: it covers the rounding of a dot product.
_TIE = 1e-12
# Cosines held at a time: 32 MB.
_BLOCK_ENTRIES = 2**22


def mate_retrieval_score(A, B):
    """How often a row finds its mate, the same row of the other matrix, by cosine.

    Every row of `A` is a query that ranks all rows of `B`, and the other way round:
    the usual test whether two views have been brought into one space, such as
    documents with their translations.

    Parameters
    ----------
    A, B : array-like of shape (n_samples, n_components)
        Scores of the same samples in two views. A row of zeros has cosine 0 with
        every other.

    Returns
    -------
    scores : Bunch
        Four floats: ``a_to_b`` and ``b_to_a``, the share of the rows whose mate comes
        first, and ``mrr_a_to_b`` and ``mrr_b_to_a``, the mean of 1 / rank of the mate.
        Equal cosines count by their average over random orders: if every cosine is
        the same, the share is 1 / n_samples.

    Raises
    ------
    ValueError
        If `A` and `B` differ in shape, are empty, or an entry is not finite.

    Notes
    -----
    ``O(n_samples^2 n_components)`` time; the cosines are never held all at once.

    References
    ----------
    Vinokourov, Shawe-Taylor, Cristianini (2003), Inferring a semantic representation
    of text via cross-language correlation analysis, NIPS 15.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.metrics import mate_retrieval_score
    >>> A = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> scores = mate_retrieval_score(A, 2 * A)
    >>> scores.a_to_b, scores.mrr_b_to_a
    (1.0, 1.0)
    """
    A = _unit_rows(check_array(A, dtype=np.float64, input_name="A"))
    B = _unit_rows(check_array(B, dtype=np.float64, input_name="B"))
    if A.shape != B.shape:
        raise ValueError(
            f"A and B must have the same shape, got {A.shape} and {B.shape}."
        )
    first_ab, mrr_ab = _retrieve(A, B)
    first_ba, mrr_ba = _retrieve(B, A)
    return Bunch(a_to_b=first_ab, b_to_a=first_ba, mrr_a_to_b=mrr_ab, mrr_b_to_a=mrr_ba)


def _unit_rows(A):
    # By the largest entry first: squares of huge or tiny numbers are not finite.
    size = np.abs(A).max(axis=1, keepdims=True)
    A = A / np.where(size > 0, size, 1.0)
    length = np.linalg.norm(A, axis=1, keepdims=True)
    return A / np.where(length > 0, length, 1.0)


def _retrieve(queries, targets):
    n = len(queries)
    # harmonic[m] = 1 + 1/2 + ... + 1/m
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, n + 1))])
    first = reciprocal = 0.0
    for rows in gen_batches(n, max(1, _BLOCK_ENTRIES // n)):
        cosines = queries[rows] @ targets.T
        mate = cosines[np.arange(len(cosines)), np.arange(n)[rows]][:, None]
        closer = np.count_nonzero(cosines > mate + _TIE, axis=1)
        reach = np.count_nonzero(cosines >= mate - _TIE, axis=1)
        tied = reach - closer
        first += np.sum((closer == 0) / tied)
        reciprocal += np.sum((harmonic[reach] - harmonic[closer]) / tied)
    return float(first / n), float(reciprocal / n)
