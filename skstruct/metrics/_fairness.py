# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_consistent_length, check_scalar


def lipschitz_ratios(
    F, Z, n_pairs=None, p_out=2, p_in=1, random_state=None, *, return_n_skipped=False
):
    """Ratios of output to input distances over pairs of samples.

    Individual fairness asks that similar people get similar outputs: that these
    ratios are small. Compare methods on the same `Z`.

    Parameters
    ----------
    F : array-like of shape (n_samples, n_outputs) or (n_samples,)
        Outputs: estimated rows, or predictions.
    Z : array-like of shape (n_samples, n_features)
        Inputs, zero where unobserved.
    n_pairs : int, default=None
        Number of random pairs (distinct samples, drawn with replacement). None: all
        ``n (n - 1) / 2``, which takes 8 bytes each.
    p_out, p_in : float >= 1, default=2 and 1
        Orders of the norms of output and input differences; the defaults are those
        of the published experiment.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawn pairs.
    return_n_skipped : bool, default=False
        Whether to return the number of skipped pairs too.

    Returns
    -------
    ratios : ndarray
        Pairs with equal inputs are skipped, so it can be shorter than the number of
        pairs.
    n_skipped : int
        Number of pairs with equal inputs. Only with `return_n_skipped`.

    Raises
    ------
    ValueError
        If `F` and `Z` have different numbers of rows, fewer than two rows, or a norm
        order is below 1.

    References
    ----------
    Zhang, Cen, Shah (2023), Matrix estimation for individual fairness, ICML. Dwork,
    Hardt, Pitassi, Reingold, Zemel (2012), Fairness through awareness.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.metrics import lipschitz_ratios
    >>> Z = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    >>> lipschitz_ratios(2 * Z, Z, p_in=2)
    array([2., 2., 2.])
    """
    F = check_array(F, dtype=np.float64, ensure_2d=False, input_name="F")
    F = F.reshape(len(F), -1)
    Z = check_array(Z, dtype=np.float64, ensure_min_samples=2, input_name="Z")
    check_consistent_length(F, Z)
    for name, order in (("p_out", p_out), ("p_in", p_in)):
        check_scalar(order, name, Real, min_val=1)
    if n_pairs is None:
        out, inp = (pdist(A, "minkowski", p=p) for A, p in ((F, p_out), (Z, p_in)))
    else:
        check_scalar(n_pairs, "n_pairs", Integral, min_val=1)
        rng = check_random_state(random_state)
        i = rng.randint(len(Z), size=n_pairs)
        j = (i + rng.randint(1, len(Z), size=n_pairs)) % len(Z)
        out = np.linalg.norm(F[i] - F[j], ord=p_out, axis=1)
        inp = np.linalg.norm(Z[i] - Z[j], ord=p_in, axis=1)
    distinct = inp > 0
    ratios = out[distinct] / inp[distinct]
    return (ratios, int(np.sum(~distinct))) if return_n_skipped else ratios
