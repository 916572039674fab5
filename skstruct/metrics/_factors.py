# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.utils.validation import check_array


def factor_match_score(
    A, B, *, weights_A=None, weights_B=None, return_permutation=False
):
    """Agreement of two factorisations up to order, sign and scale of components.

    Parameters
    ----------
    A, B : list of ndarrays of shape (n_m, R), or single ndarray
        One factor matrix per mode, with equal column counts within each side.
    weights_A, weights_B : ndarrays of shape (R,), default=None
        Component weights; with both, each similarity is multiplied by
        ``1 - |w - v| / max(w, v)``.
    return_permutation : bool, default=False
        Whether to return the matching too.

    Returns
    -------
    score : float in [0, 1]
        Mean over components of the product over modes of absolute cosines, under
        the best one-to-one matching. A zero column has cosine 0; with different
        ranks the unmatched components count 0.
    permutation : ndarray of int of shape (R_A,)
        Column of `B` matched to each column of `A`, -1 where unmatched. Only with
        `return_permutation`.

    Raises
    ------
    ValueError
        If the numbers of modes, the rows of a mode, or column counts within a side
        differ.

    References
    ----------
    Acar, Dunlavy, Kolda, Morup (2011), Scalable tensor factorizations for incomplete
    data, Chemometrics and Intelligent Laboratory Systems 106.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.metrics import factor_match_score
    >>> A = np.eye(3)
    >>> factor_match_score(A, -2 * A[:, [2, 0, 1]])
    1.0
    """
    A, B = _factor_list(A, "A"), _factor_list(B, "B")
    if len(A) != len(B):
        raise ValueError(f"A has {len(A)} modes, B has {len(B)}.")
    S = np.ones((A[0].shape[1], B[0].shape[1]))
    for mode, (F, G) in enumerate(zip(A, B)):
        if F.shape[0] != G.shape[0]:
            raise ValueError(
                f"Mode {mode} has {F.shape[0]} rows in A and {G.shape[0]} in B."
            )
        S *= np.abs(_unit_columns(F).T @ _unit_columns(G))
    if (weights_A is None) != (weights_B is None):
        raise ValueError("Give both weights_A and weights_B, or neither.")
    if weights_A is not None:
        w = np.abs(np.asarray(weights_A, dtype=float))
        v = np.abs(np.asarray(weights_B, dtype=float))
        if w.shape != S.shape[:1] or v.shape != S.shape[1:]:
            raise ValueError(
                f"weights_A and weights_B must have shapes {S.shape[:1]} and "
                f"{S.shape[1:]}, got {w.shape} and {v.shape}."
            )
        larger = np.maximum(w[:, None], v)
        gap = np.abs(w[:, None] - v)
        S *= 1 - np.divide(gap, larger, out=np.zeros_like(gap), where=larger > 0)
    rows, columns = linear_sum_assignment(-S)
    score = float(min(1.0, S[rows, columns].sum() / max(S.shape)))
    if not return_permutation:
        return score
    permutation = np.full(S.shape[0], -1)
    permutation[rows] = columns
    return score, permutation


def _factor_list(factors, name):
    if not isinstance(factors, (list, tuple)):
        factors = [factors]
    factors = [check_array(F, dtype=np.float64, input_name=name) for F in factors]
    ranks = {F.shape[1] for F in factors}
    if len(ranks) > 1:
        raise ValueError(f"The factor matrices of {name} have {sorted(ranks)} columns.")
    return factors


def _unit_columns(F):
    # Scaled first, so that neither tiny nor huge columns under- or overflow.
    F = F / np.where((top := np.abs(F).max(axis=0)) > 0, top, 1.0)
    norm = np.linalg.norm(F, axis=0)
    return F / np.where(norm > 0, norm, 1.0)


def structural_hamming_distance(
    A_true, A, *, threshold=0.0, count_reversed_twice=False
):
    """Number of variable pairs on which two directed graphs disagree.

    Parameters
    ----------
    A_true, A : array-likes of shape (p, p)
        Adjacency matrices: row = effect, column = cause. NaN in both directions of
        a pair means that it is undetermined.
    threshold : float, default=0.0
        An arrow is an entry of absolute value above it.
    count_reversed_twice : bool, default=False
        Whether a reversed arrow counts 2 instead of 1.

    Returns
    -------
    distance : int
        Number of unordered pairs whose state (no arrow, one of the directions, both,
        undetermined) differs.

    Raises
    ------
    ValueError
        If the matrices are not square and of equal shape, a diagonal is not zero, or
        NaN stands in one direction only.

    References
    ----------
    Tsamardinos, Brown, Aliferis (2006), The max-min hill-climbing Bayesian network
    structure learning algorithm, Machine Learning 65.

    Examples
    --------
    >>> from skstruct.metrics import structural_hamming_distance
    >>> structural_hamming_distance([[0, 0], [1, 0]], [[0, 1], [0, 0]])
    1
    """
    true = _pair_states(A_true, threshold, "A_true")
    found = _pair_states(A, threshold, "A")
    if true.shape != found.shape:
        raise ValueError("A_true and A must have equal shapes.")
    reversed_ = ((true == 1) & (found == 2)) | ((true == 2) & (found == 1))
    return int(np.sum(true != found) + count_reversed_twice * np.sum(reversed_))


def _pair_states(A, threshold, name):
    """State of each pair i < j: 0 none, 1 j->i, 2 i->j, 3 both, 4 undetermined."""
    A = check_array(A, dtype=np.float64, ensure_all_finite="allow-nan", input_name=name)
    if A.shape[0] != A.shape[1]:
        raise ValueError(f"{name} must be square, got shape {A.shape}.")
    if np.any(np.diag(A) != 0):
        raise ValueError(f"The diagonal of {name} must be zero.")
    upper = np.triu_indices(A.shape[0], 1)
    forward, backward = A[upper], A.T[upper]
    unknown = np.isnan(forward)
    if np.any(unknown != np.isnan(backward)):
        raise ValueError(f"{name} has a pair with NaN in one direction only.")
    state = (np.abs(forward) > threshold) + 2 * (np.abs(backward) > threshold)
    return np.where(unknown, 4, state)
