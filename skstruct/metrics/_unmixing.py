# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.utils import Bunch
from sklearn.utils.validation import check_array


def spectral_angle(M1, M2):
    """Angles between the spectra of two sets.

    Parameters
    ----------
    M1 : array-like of shape (K1, n_bands)
        Spectra in rows.
    M2 : array-like of shape (K2, n_bands)
        Spectra in rows.

    Returns
    -------
    angles : ndarray of shape (K1, K2)
        In radians, from 0 to pi; pi/2 where a spectrum is zero. Brightness does not
        count.

    Raises
    ------
    ValueError
        If the numbers of bands differ.

    Examples
    --------
    >>> from skstruct.metrics import spectral_angle
    >>> spectral_angle([[1.0, 0.0]], [[2.0, 0.0], [1.0, 1.0]]).round(4)
    array([[0.    , 0.7854]])
    """
    M1 = check_array(M1, dtype=np.float64, input_name="M1")
    M2 = check_array(M2, dtype=np.float64, input_name="M2")
    if M1.shape[1] != M2.shape[1]:
        raise ValueError(f"M1 has {M1.shape[1]} bands, M2 has {M2.shape[1]}.")
    U, V = _unit_rows(M1), _unit_rows(M2)
    # From chord lengths: the arc cosine loses half of the digits of a small angle.
    close = np.linalg.norm(U[:, None] - V[None], axis=2)
    far = np.linalg.norm(U[:, None] + V[None], axis=2)
    angles = 2.0 * np.arctan2(close, far)
    angles[~M1.any(axis=1)] = np.pi / 2
    angles[:, ~M2.any(axis=1)] = np.pi / 2
    return angles


def _unit_rows(M):
    M = M / np.where((top := np.abs(M).max(axis=1)) > 0, top, 1.0)[:, None]
    size = np.linalg.norm(M, axis=1, keepdims=True)
    return M / np.where(size > 0, size, 1.0)


def match_endmembers(M_true, M):
    """Assign estimated to true endmembers by their angles.

    Parameters
    ----------
    M_true : array-like of shape (K, n_bands)
        Reference spectra.
    M : array-like of shape (K_found, n_bands)
        Estimated spectra, at least K of them.

    Returns
    -------
    permutation : ndarray of int of shape (K,)
        ``M[permutation[k]]`` belongs to ``M_true[k]``; the sum of angles is the
        smallest possible.

    Raises
    ------
    ValueError
        If fewer spectra were estimated than there are references.

    Examples
    --------
    >>> from skstruct.metrics import match_endmembers
    >>> match_endmembers([[1.0, 0.0], [0.0, 1.0]], [[0.1, 2.0], [3.0, 0.0]])
    array([1, 0])
    """
    angles = spectral_angle(M_true, M)
    if angles.shape[0] > angles.shape[1]:
        raise ValueError(
            f"M has {angles.shape[1]} spectra, fewer than the {angles.shape[0]} of "
            "M_true."
        )
    return linear_sum_assignment(angles)[1]


def unmixing_scores(M_true, M, A_true=None, A=None):
    """Errors of endmembers and abundances after matching.

    Parameters
    ----------
    M_true : array-like of shape (K, n_bands)
        Reference spectra.
    M : array-like of shape (K_found, n_bands)
        Estimated spectra, at least K of them.
    A_true : array-like of shape (n_pixels, K) or (rows, columns, K), default=None
        Reference abundances.
    A : array-like of shape (n_pixels, K_found) or (rows, columns, K_found), \
default=None
        Estimated abundances, on the scale of the reference (see
        :meth:`skstruct.decomposition.StructuredSparseNMF.abundances`). Pixels with
        NaN are left out.

    Returns
    -------
    scores : Bunch
        ``sad`` (K,): spectral angle of each reference to its match, in radians;
        ``mean_sad``; ``permutation`` (K,), see :func:`match_endmembers`; and with
        abundances ``rmse`` (K,), the root mean squared error of each map, and
        ``mean_rmse``.

    Raises
    ------
    ValueError
        If only one of `A_true` and `A` is given or their shapes do not fit.

    Examples
    --------
    >>> from skstruct.metrics import unmixing_scores
    >>> M = [[1.0, 0.0], [0.0, 1.0]]
    >>> scores = unmixing_scores(M, M[::-1], [[0.4, 0.6]], [[0.6, 0.4]])
    >>> scores.mean_sad, scores.mean_rmse
    (0.0, 0.0)
    """
    permutation = match_endmembers(M_true, M)
    angles = spectral_angle(M_true, M)
    sad = angles[np.arange(len(permutation)), permutation]
    scores = Bunch(sad=sad, mean_sad=float(sad.mean()), permutation=permutation)
    if (A_true is None) != (A is None):
        raise ValueError("Give both A_true and A, or neither.")
    if A is not None:
        A_true, A = np.asarray(A_true, dtype=float), np.asarray(A, dtype=float)
        K, found = angles.shape
        if A_true.shape[-1] != K or A.shape != (*A_true.shape[:-1], found):
            raise ValueError(
                f"A_true and A must have shapes (..., {K}) and (..., {found}) with the "
                f"same pixels, got {A_true.shape} and {A.shape}."
            )
        difference = A[..., permutation] - A_true
        known = ~np.isnan(difference).any(axis=-1)
        rmse = np.sqrt(np.mean(difference[known] ** 2, axis=0))
        scores.update(rmse=rmse, mean_rmse=float(rmse.mean()))
    return scores
