# SPDX-License-Identifier: BSD-3-Clause

from functools import cache
from itertools import combinations_with_replacement, permutations
from math import factorial
from numbers import Integral

import numpy as np
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import check_array

# A tensor above this many entries would be asked for by mistake.
_MAX_ENTRIES = 20_000_000


@validate_params(
    {
        "X": ["array-like"],
        "order": [Interval(Integral, 2, 6, closed="both")],
        "unbiased": ["boolean"],
        "indices": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def joint_cumulants(X, order, *, unbiased=False, indices=None):
    """Joint cumulants of the columns of a table.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows are independent draws.
    order : int in [2, 6]
        Number of arguments of each cumulant; 2 gives covariances.
    unbiased : bool, default=False
        Whether k-statistics are returned, whose mean is the cumulant of the
        distribution. False: the cumulants of the empirical distribution, moments with
        1/n. Orders 2 to 4 only, and more than ``order - 1`` rows.
    indices : array-like of int of shape (m, order), default=None
        Which cumulants: each line lists `order` columns, in any order and with
        repetitions. None: all of them, as a symmetric tensor.

    Returns
    -------
    cumulants : ndarray of shape (n_features,) * order, or (m,) with `indices`
        In float64, in the product of the units of its columns.

    Raises
    ------
    ValueError
        If `X` is not finite, `order` is outside [2, 6], `unbiased` meets an order
        above 4 or too few rows, an index is out of range, or the tensor would have
        more than 20 million entries.

    Notes
    -----
    Of the sum over set partitions of the arguments, only those without singletons
    remain after centring. A moment of order k is the mean of the product of two
    monomials of orders about k/2, so that all moments come from one matrix product:
    the cost is ``n * C(p + h - 1, h)^2`` multiply-adds with ``h = ceil(order / 2)``.

    References
    ----------
    McCullagh (1987), Tensor Methods in Statistics. Kendall, Stuart (1977), The
    Advanced Theory of Statistics, volume 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.causal import joint_cumulants
    >>> x = np.array([0.0, 0.0, 3.0])
    >>> X = np.column_stack([x, 2 * x])
    >>> float(joint_cumulants(X, 3)[0, 0, 1])
    4.0
    >>> joint_cumulants(X, 2, unbiased=True, indices=[[0, 1]])
    array([6.])
    """
    X = check_array(X, dtype=np.float64, input_name="X")
    n, p = X.shape
    if unbiased and order > 4:
        raise ValueError(
            f"unbiased=True is available for orders 2 to 4, got order={order}."
        )
    if unbiased and n < order:
        raise ValueError(
            f"k-statistics of order {order} need at least {order} rows, got {n}."
        )
    if indices is None:
        if p**order > _MAX_ENTRIES:
            raise ValueError(
                f"The tensor would have {p}**{order} = {p**order} entries, more than "
                f"{_MAX_ENTRIES}; ask for some of them by indices."
            )
        wanted = np.array(list(combinations_with_replacement(range(p), order)))
    else:
        wanted = np.asarray(indices)
        if wanted.ndim != 2 or wanted.shape[1] != order:
            raise ValueError(
                f"indices must have shape (m, order={order}), got {wanted.shape}."
            )
        if not np.issubdtype(wanted.dtype, np.integer):
            raise ValueError(f"indices must be integers, got dtype {wanted.dtype}.")
        if wanted.size and (wanted.min() < 0 or wanted.max() >= p):
            raise ValueError(
                f"indices must lie in [0, n_features={p}), got "
                f"{wanted.min()} to {wanted.max()}."
            )
    X = X - X.mean(axis=0)
    moments = CentralMoments(X)
    values = cumulants_from_moments(moments, wanted)
    if unbiased:
        values = _k_statistics(values, moments, wanted, n)
    if indices is not None:
        return values
    tensor = np.empty((p,) * order)
    for axes in permutations(range(order)):
        tensor[tuple(wanted[:, a] for a in axes)] = values
    return tensor


class CentralMoments:
    """Central moments of a centred table, by arrays of column indices."""

    def __init__(self, X):
        self.X = X

    def __call__(self, indices):
        """Moments ``mean(prod_j X[:, indices[:, j]])``, one for each line."""
        if len(indices) == 0:
            return np.zeros(0)
        if indices.shape[1] == 1:
            return self.X.mean(axis=0)[indices[:, 0]]
        ordered = np.sort(indices, axis=1)
        half = ordered.shape[1] // 2
        heads, where_head = np.unique(ordered[:, :half], axis=0, return_inverse=True)
        tails, where_tail = np.unique(ordered[:, half:], axis=0, return_inverse=True)
        where_head, where_tail = where_head.ravel(), where_tail.ravel()
        total = np.zeros(len(indices))
        # Blocks bound the memory of the monomials.
        rows = max(256, int(4_000_000 / (len(heads) + len(tails))))
        full = len(heads) * len(tails) <= 4 * len(indices)
        for start in range(0, len(self.X), rows):
            block = self.X[start : start + rows]
            H, T = _monomials(block, heads), _monomials(block, tails)
            if full:
                total += (H.T @ T)[where_head, where_tail]
            else:
                for k, (h, t) in enumerate(zip(where_head, where_tail)):
                    total[k] += H[:, h] @ T[:, t]
        return total / len(self.X)


def _monomials(X, indices):
    product = X[:, indices[:, 0]].copy()
    for column in indices.T[1:]:
        product *= X[:, column]
    return product


@cache
def partitions_without_singletons(order):
    """Set partitions of range(order) into blocks of two or more."""
    if order == 0:
        return ((),)
    found = []

    def place(item, blocks):
        if item == order:
            if all(len(block) > 1 for block in blocks):
                found.append(tuple(map(tuple, blocks)))
            return
        for k in range(len(blocks)):
            place(item + 1, [b + [item] if i == k else b for i, b in enumerate(blocks)])
        place(item + 1, [*blocks, [item]])

    place(0, [])
    return tuple(found)


def cumulants_from_moments(moments, indices):
    """Cumulants of each line of `indices` from a function that gives moments."""
    order = indices.shape[1]
    known = {}

    def moment(block):
        if block not in known:
            known[block] = moments(indices[:, block])
        return known[block]

    total = np.zeros(len(indices))
    for blocks in partitions_without_singletons(order):
        product = np.ones(len(indices))
        for block in blocks:
            product = product * moment(block)
        sign = -1.0 if len(blocks) % 2 == 0 else 1.0
        total += sign * factorial(len(blocks) - 1) * product
    return total


def _k_statistics(cumulants, moments, indices, n):
    order = indices.shape[1]
    if order == 2:
        return cumulants * n / (n - 1)
    if order == 3:
        return cumulants * n**2 / ((n - 1) * (n - 2))
    m4 = moments(indices)
    pairs = m4 - cumulants
    return n**2 / ((n - 1) * (n - 2) * (n - 3)) * ((n + 1) * m4 - (n - 1) * pairs)
