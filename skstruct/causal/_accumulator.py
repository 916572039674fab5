# SPDX-License-Identifier: BSD-3-Clause

from itertools import combinations_with_replacement
from math import comb
from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_array

from ._cumulants import CentralMoments, cumulants_from_moments

_BLOCK_ROWS = 8192


class CumulantAccumulator:
    """Cumulants of all pairs of columns from one pass over a stream of batches.

    Sums of products of powers are kept, so batches may be of any size, accumulators of
    parts of the data may be merged, and every later question about a pair (cumulants,
    their covariance, tests) costs the same for ten rows as for ten million.

    Parameters
    ----------
    max_order : int in [2, 6], default=4
        Largest order of the cumulants. Sums of order ``2 * max_order`` are kept, which
        the covariance of the cumulants needs.
    pairs_only : bool, default=True
        False also keeps the sums of all monomials up to `max_order`, for the joint
        cumulants of three and more different columns (:meth:`joint_cumulants`).

    Attributes
    ----------
    n_samples_seen_ : int
        Number of rows so far.
    n_features_in_ : int
        Number of columns, set by the first batch.
    shift_, scale_ : ndarrays of shape (n_features,)
        Mean and standard deviation of the first batch, by which all batches are
        shifted and scaled before their powers are summed.
    pair_sums_ : ndarray of shape (2 * max_order + 1, 2 * max_order + 1, p, p)
        ``pair_sums_[a, b, i, j]`` is the sum of ``x_i**a * x_j**b`` over the shifted
        and scaled rows, for ``a + b <= 2 * max_order``.
    monomial_sums_ : list of ndarrays
        With ``pairs_only=False``: sums of all monomials of orders 1 to `max_order`.

    Notes
    -----
    The sums are matrix products of elementwise powers, ``O(n p^2)`` in blocks of 8,192
    rows in float64. Central moments follow by the binomial formula; the first batch
    should be large enough for a sane mean and scale, 100 rows are plenty.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.causal import CumulantAccumulator
    >>> X = np.random.default_rng(0).exponential(size=(1000, 3))
    >>> stream = CumulantAccumulator(max_order=3)
    >>> for batch in np.array_split(X, 5):
    ...     stream = stream.partial_fit(batch)
    >>> bool(np.isclose(stream.pair_cumulants(0, 1)[2][0], X[:, 0].var()))
    True
    """

    def __init__(self, max_order=4, pairs_only=True):
        if not isinstance(max_order, Integral) or not 2 <= max_order <= 6:
            raise ValueError(
                f"max_order must be an integer in [2, 6], got {max_order!r}."
            )
        self.max_order = max_order
        self.pairs_only = pairs_only

    def __repr__(self):
        seen = getattr(self, "n_samples_seen_", 0)
        return (
            f"CumulantAccumulator(max_order={self.max_order}, "
            f"pairs_only={self.pairs_only}) after {seen} rows"
        )

    def partial_fit(self, X):
        """Add a batch of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The first batch needs at least two rows and no constant column.

        Returns
        -------
        self : CumulantAccumulator
        """
        X = check_array(X, dtype=np.float64, input_name="X")
        if not hasattr(self, "n_samples_seen_"):
            scale = X.std(axis=0)
            if np.any(scale == 0):
                raise ValueError(
                    f"Column {int(np.argmin(scale))} is constant in the first batch of "
                    f"{len(X)} rows: its scale cannot be set."
                )
            self._start(X.mean(axis=0), scale)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but CumulantAccumulator was started "
                f"with {self.n_features_in_}."
            )
        for start in range(0, len(X), _BLOCK_ROWS):
            self._add((X[start : start + _BLOCK_ROWS] - self.shift_) / self.scale_)
        self.n_samples_seen_ += len(X)
        return self

    def _start(self, shift, scale):
        p, d = len(shift), 2 * self.max_order
        self.n_features_in_ = p
        self.n_samples_seen_ = 0
        self.shift_, self.scale_ = shift, scale
        self.pair_sums_ = np.zeros((d + 1, d + 1, p, p))
        if not self.pairs_only:
            self.monomial_sums_ = [
                np.zeros(comb(p + order - 1, order))
                for order in range(1, self.max_order + 1)
            ]

    def _add(self, Z):
        add_pair_sums(self.pair_sums_, Z)
        if not self.pairs_only:
            moments = CentralMoments(Z)
            for k, sums in enumerate(self.monomial_sums_):
                sums += len(Z) * moments(_sorted_tuples(Z.shape[1], k + 1))

    def merge(self, other):
        """Add the rows that another accumulator has seen.

        Parameters
        ----------
        other : CumulantAccumulator
            Of the same parameters and number of columns; it is not changed.

        Returns
        -------
        self : CumulantAccumulator
        """
        if (other.max_order, other.pairs_only) != (self.max_order, self.pairs_only):
            raise ValueError(
                f"Both accumulators must have the same parameters, got {self!r} and "
                f"{other!r}."
            )
        if not hasattr(other, "n_samples_seen_"):
            return self
        if not hasattr(self, "n_samples_seen_"):
            self._start(other.shift_.copy(), other.scale_.copy())
        if other.n_features_in_ != self.n_features_in_:
            raise ValueError(
                f"The other accumulator has {other.n_features_in_} features, this one "
                f"{self.n_features_in_}."
            )
        # Rows in other's units z become factor * z + offset in ours.
        factor = other.scale_ / self.scale_
        offset = (other.shift_ - self.shift_) / self.scale_
        self.pair_sums_ += _affine_pairs(other.pair_sums_, factor, offset)
        if not self.pairs_only:
            lower = [np.array([float(other.n_samples_seen_)]), *other.monomial_sums_]
            for k, sums in enumerate(self.monomial_sums_):
                tuples = _sorted_tuples(self.n_features_in_, k + 1)
                sums += _affine_monomials(tuples, lower, factor, offset)
        self.n_samples_seen_ += other.n_samples_seen_
        return self

    def _check(self, *columns):
        if not hasattr(self, "n_samples_seen_"):
            raise ValueError("No rows yet: call partial_fit first.")
        for column in columns:
            if not 0 <= column < self.n_features_in_:
                raise ValueError(
                    f"Column {column} is outside [0, {self.n_features_in_})."
                )

    def _pair(self, i, j):
        from ._kernels import central_moments, cumulant_covariance, moment_covariance
        from ._kernels import pair_cumulants as cumulants

        self._check(i, j)
        raw = np.ascontiguousarray(self.pair_sums_[:, :, i, j]) / self.n_samples_seen_
        if raw[2, 0] <= raw[1, 0] ** 2 or raw[0, 2] <= raw[0, 1] ** 2:
            raise ValueError(f"One of the columns {i} and {j} is constant.")
        m, si, sj = central_moments(raw)
        c, D = cumulants(m, self.max_order)
        unit = np.concatenate(
            [
                (si * self.scale_[i]) ** (n - np.arange(n + 1))
                * (sj * self.scale_[j]) ** np.arange(n + 1)
                for n in range(2, self.max_order + 1)
            ]
        )
        S = cumulant_covariance(D, moment_covariance(m, self.max_order))
        return c * unit, S * np.outer(unit, unit)

    def pair_cumulants(self, i, j):
        """Cumulants of columns i and j.

        Parameters
        ----------
        i, j : int
            Columns.

        Returns
        -------
        cumulants : dict of int -> ndarray of shape (order + 1,)
            Entry l of order n: the cumulant of n - l copies of column i and l copies
            of column j, moments with 1/n.
        """
        c = self._pair(i, j)[0]
        found, start = {}, 0
        for order in range(2, self.max_order + 1):
            found[order] = c[start : start + order + 1]
            start += order + 1
        return found

    def covariance(self, i, j):
        """Estimated covariance matrix of the cumulants of a pair.

        Parameters
        ----------
        i, j : int
            Columns.

        Returns
        -------
        covariance : ndarray of shape (m, m)
            Of the cumulants of :meth:`pair_cumulants`, concatenated by order, by their
            influence functions; it falls as 1/n.
        """
        return self._pair(i, j)[1] / self.n_samples_seen_

    def joint_cumulants(self, order):
        """All joint cumulants of an order.

        Parameters
        ----------
        order : int in [2, max_order]
            Number of arguments.

        Returns
        -------
        indices : ndarray of shape (m, order)
            Sorted tuples of columns.
        cumulants : ndarray of shape (m,)
            Their joint cumulants, moments with 1/n.
        """
        self._check()
        if self.pairs_only:
            raise ValueError("Joint cumulants need pairs_only=False.")
        if not 2 <= order <= self.max_order:
            raise ValueError(
                f"order must be in [2, max_order={self.max_order}], got {order}."
            )
        p, n = self.n_features_in_, self.n_samples_seen_
        lower = [np.ones(1), *(sums / n for sums in self.monomial_sums_)]
        mean = lower[1]

        def moments(tuples):
            return _affine_monomials(np.sort(tuples, axis=1), lower, np.ones(p), -mean)

        indices = _sorted_tuples(p, order)
        values = cumulants_from_moments(moments, indices)
        return indices, values * self.scale_[indices].prod(axis=1)


def add_pair_sums(sums, Z):
    """Add the sums of products of powers of the rows `Z` to `sums`."""
    d = sums.shape[0] - 1
    powers = [np.ones_like(Z), Z]
    for _ in range(d - 1):
        powers.append(powers[-1] * Z)
    ones = np.ones(len(Z))
    for b in range(d + 1):
        totals = ones @ powers[b]
        sums[0, b] += totals
        if b:
            sums[b, 0] += totals[:, None]
    for a in range(1, d + 1):
        for b in range(a, d + 1 - a):
            product = powers[a].T @ powers[b]
            sums[a, b] += product
            if a != b:
                sums[b, a] += product.T


def _affine_pairs(sums, factor, offset):
    """Pair sums after every column z becomes factor * z + offset."""
    d = sums.shape[0] - 1
    # expand[a][i] is the coefficient of z**i in (factor z + offset)**a.
    expand = [
        [comb(a, i) * factor**i * offset ** (a - i) for i in range(a + 1)]
        for a in range(d + 1)
    ]
    out = np.zeros_like(sums)
    for a in range(d + 1):
        for b in range(d + 1 - a):
            for i in range(a + 1):
                for j in range(b + 1):
                    out[a, b] += (
                        expand[a][i][:, None] * expand[b][j][None, :] * sums[i, j]
                    )
    return out


def _sorted_tuples(p, order):
    return np.array(list(combinations_with_replacement(range(p), order)))


def _affine_monomials(tuples, lower, factor, offset):
    """Monomials of factor * z + offset; lower[k] holds those of z of order k."""
    order = tuples.shape[1]
    p = len(factor)
    total = np.zeros(len(tuples))
    for subset in range(2**order):
        inside = [t for t in range(order) if subset >> t & 1]
        outside = [t for t in range(order) if not subset >> t & 1]
        known = lower[len(inside)]
        term = known[_rank(tuples[:, inside], p)]
        term = term * factor[tuples[:, inside]].prod(axis=1)
        total += term * offset[tuples[:, outside]].prod(axis=1)
    return total


def _rank(tuples, p):
    """Position of sorted tuples among all of their order."""
    order = tuples.shape[1]
    if order == 0:
        return np.zeros(len(tuples), dtype=int)
    code = p ** np.arange(order)[::-1]
    return np.searchsorted(_sorted_tuples(p, order) @ code, tuples @ code)
