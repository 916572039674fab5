"""What the low-rank imputers share: columns, rows, transform and score."""

# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from .._base import StructEstimator
from .._scores import hidden_block_error, hidden_entries
from .._validation import FLOAT_DTYPES
from ._kernels import (
    entry_products,
    finish_rows,
    solve_row_systems,
    standardise_rows,
)

# Rows are mapped in blocks of about this many entries: 1 MB stays in the cache
# between filling, the two products and the way back to the data's units.
_BLOCK = 1 << 17

# Ridge of the fold-in where the model itself has no penalty: the columns of V have
# unit length, so this is one percent of the information of a complete row.
_FOLD_IN_RIDGE = 1e-2


class LowRankImputer(TransformerMixin, StructEstimator):
    """Rows near a low-dimensional subspace, observed in part.

    A subclass sets ``components_`` (r, p), ``singular_values_``, ``n_components_``
    and ``_fold_in_ridge`` (r,) in ``fit``, between :meth:`_read_training_data` and
    the end. A row is estimated as ``c V'`` with V = ``components_.T``.
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 0, None, closed="left"), None],
        "bounds": [tuple, list, None],
        "center": [StrOptions({"column"}), None],
        "scale": ["boolean"],
        "transform_method": [StrOptions({"project", "fold-in"})],
        "impute_only": ["boolean"],
        "keep_empty_features": ["boolean"],
        "missing_values": "no_validation",
        "store_rows": ["boolean"],
        "score_holdout": [Interval(Real, 0, 1, closed="neither")],
        "score_random_state": [Integral],
        "copy": ["boolean"],
        "random_state": ["random_state"],
    }

    # -- reading -----------------------------------------------------------------

    def _read(self, X, *, reset):
        """Validate; the result is dense with NaN, or CSR with the observed entries."""
        nan_marks = _is_nan(self.missing_values)
        X = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse=("csr", "csc", "coo"),
            dtype=list(FLOAT_DTYPES),
            order="C",
            ensure_all_finite="allow-nan" if nan_marks else True,
        )
        if sparse.issparse(X):
            return as_entries(X, self.missing_values)
        if not nan_marks:
            X = np.where(X == self.missing_values, np.nan, X)
        return X

    def _read_training_data(self, X):
        """Validate X, learn its columns, and return the standardised zero-filled X0.

        Returns
        -------
        X0 : ndarray of float64 (n, p_kept), or csr_array
        observed : ndarray of bool, or None for a sparse X
        """
        self._check_bounds()
        X = self._read(X, reset=True)
        n, p = X.shape
        if sparse.issparse(X):
            counts = np.bincount(X.indices, minlength=p)
            observed = None
        else:
            observed = ~np.isnan(X)
            counts = observed.sum(axis=0)
        if not counts.any():
            raise ValueError(
                f"X of shape {X.shape} has no observed entry: nothing can be estimated."
            )
        self._kept = counts > 0
        if not self._kept.all():
            self._warn_empty(np.flatnonzero(~self._kept))
            X = X[:, self._kept]
            counts = counts[self._kept]
            observed = None if observed is None else observed[:, self._kept]
        self.p_observed_ = float(counts.sum() / (n * counts.size))
        self._column_share = counts / n
        self._learn_columns(X, counts)
        if sparse.issparse(X):
            data = (X.data - self.mean_[X.indices]) / self.scale_[X.indices]
            return sparse.csr_array((data, X.indices, X.indptr), shape=X.shape), None
        X0 = np.empty(X.shape)
        standardise_rows(X, self.mean_, 1.0 / self.scale_, X0)
        return X0, observed

    def _learn_columns(self, X, counts):
        """Centre, scale and range of the observed entries of each column."""
        p = counts.size
        if sparse.issparse(X):
            values, columns = X.data.astype(np.float64), X.indices
            by_column = X.tocsc()
            starts = by_column.indptr[:-1]
            low = np.minimum.reduceat(by_column.data, starts)
            high = np.maximum.reduceat(by_column.data, starts)
        else:
            low, high = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
        self._low, self._high = low.astype(np.float64), high.astype(np.float64)
        self.mean_ = np.zeros(p)
        if self.center == "column":
            if sparse.issparse(X):
                self.mean_ = np.bincount(columns, values, minlength=p) / counts
            else:
                self.mean_ = np.nanmean(X, axis=0, dtype=np.float64)
        self.scale_ = np.ones(p)
        if self.scale:
            if sparse.issparse(X):
                centred = (
                    values - np.bincount(columns, values, p)[columns] / counts[columns]
                )
                variance = np.bincount(columns, centred**2, minlength=p) / counts
            else:
                variance = np.nanvar(X, axis=0, dtype=np.float64)
            # A constant column has nothing to scale; rounding can leave a trace.
            size = np.maximum(np.abs(self._low), np.abs(self._high))
            constant = variance <= (1e-12 * size) ** 2
            self.scale_ = np.sqrt(np.where(constant, 1.0, variance))

    def _check_bounds(self):
        if self.bounds is None:
            return
        low, high = self.bounds
        if not low < high:
            raise ValueError(
                f"bounds={self.bounds} must be (low, high) with low < high."
            )

    def _warn_empty(self, columns):
        names = columns
        if hasattr(self, "feature_names_in_"):
            names = self.feature_names_in_[columns]
        what = "set to 0" if self.keep_empty_features else "dropped from the output"
        warnings.warn(
            f"Features without any observed value are {what}: {names[:10].tolist()}"
            f"{' ...' if columns.size > 10 else ''}.",
            UserWarning,
            stacklevel=3,
        )

    def _limits(self):
        """Smallest and largest value of an estimate in each column."""
        p = self.mean_.size
        if self.bounds is not None:
            return np.full(p, float(self.bounds[0])), np.full(p, float(self.bounds[1]))
        return np.full(p, -np.inf), np.full(p, np.inf)

    # -- rows --------------------------------------------------------------------

    def _row_map(self, method, visible_share=1.0):
        """Function (Z, observed) -> coefficients of the rows, and V.

        `visible_share` is the part of the observed entries that is shown to the map;
        the projection is unbiased for the share it was told.
        """
        V = np.ascontiguousarray(self.components_.T, dtype=np.float64)
        if method == "project":
            share = self._projection_share() * visible_share
            W = V / (share[:, None] if np.ndim(share) else share)
            return (lambda Z, observed: Z @ W), V
        a, b = np.tril_indices(V.shape[1])
        pairs = V[:, a] * V[:, b]
        ridge = self._fold_in_ridge

        def fold_in(Z, observed):
            # One product gives the Gram matrices of all rows, each over its own
            # observed columns.
            right = np.ascontiguousarray(Z @ V)
            grams = np.ascontiguousarray(observed @ pairs)
            solve_row_systems(grams, ridge, right)
            return right

        return fold_in, V

    def _projection_share(self):
        return self.p_observed_

    def _blocks(self, X, method):
        """Yield (rows, dense X with NaN, Z, observed) of blocks of rows."""
        n, p = X.shape
        r = self.n_components_
        width = p + (r * (r + 1) // 2 if method == "fold-in" else r)
        step = max(1, _BLOCK // max(1, width))
        inverse_scale = 1.0 / self.scale_
        for start in range(0, n, step):
            rows = slice(start, min(start + step, n))
            block = X[rows]
            if sparse.issparse(X):
                Z = block.astype(np.float64)
                Z.data = (Z.data - self.mean_[Z.indices]) * inverse_scale[Z.indices]
                observed = sparse.csr_array(
                    (np.ones(Z.nnz), Z.indices, Z.indptr), shape=Z.shape
                )
                yield rows, _with_nan(block), Z, observed
                continue
            Z = np.empty(block.shape)
            standardise_rows(block, self.mean_, inverse_scale, Z)
            observed = (~np.isnan(block)).astype(float) if method == "fold-in" else None
            yield rows, block, Z, observed

    def _estimate(self, X, *, impute_only, visible_share=1.0):
        """Estimates of all kept entries of X, in the units of the data."""
        low, high = self._limits()
        coefficients, V = self._row_map(self.transform_method, visible_share)
        out = np.empty(X.shape, dtype=X.dtype)
        for rows, block, Z, observed in self._blocks(X, self.transform_method):
            T = coefficients(Z, observed)
            if out.dtype == np.float64:
                estimate = out[rows]
                np.matmul(T, V.T, out=estimate)
            else:
                estimate = T @ V.T
            finish_rows(
                estimate, block, self.mean_, self.scale_, low, high, impute_only
            )
            if out.dtype != np.float64:
                out[rows] = estimate
        return out

    def transform(self, X):
        """Estimate new or old rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            NaN is missing; in a sparse matrix what is not stored is missing. A row
            with nothing observed becomes the centre.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features_out)
            Dense, also for a sparse `X`. Observed values are kept with
            ``impute_only=True``, else replaced by their estimates too.
        """
        check_is_fitted(self)
        X = self._read(X, reset=False)
        if self._kept.all():
            return self._estimate(X, impute_only=self.impute_only)
        estimate = self._estimate(X[:, self._kept], impute_only=self.impute_only)
        if not self.keep_empty_features:
            return estimate
        out = np.zeros(X.shape, dtype=X.dtype)
        out[:, self._kept] = estimate
        return out

    def score(self, X, y=None):
        """Minus the mean squared error on hidden entries of held-out rows.

        A share ``score_holdout`` of each row's observed entries is hidden (at least
        one stays), the row is estimated from the rest, and the hidden entries are
        predicted. Which entries are hidden depends on ``score_random_state``, the row
        number and the column only, so that all candidates of a search are compared
        on the same ones.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows that were not used in ``fit``.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            In squared units of the data; higher is better.

        Raises
        ------
        ValueError
            If no row has two observed entries.
        """
        check_is_fitted(self)
        X = self._read(X, reset=False)[:, self._kept]
        rng = np.random.default_rng(self.score_random_state)
        total, n_hidden = 0.0, 0
        step = max(1, 8 * _BLOCK // max(1, X.shape[1]))
        for start in range(0, X.shape[0], step):
            block = X[start : start + step]
            block = _with_nan(block) if sparse.issparse(block) else block
            observed = ~np.isnan(block)
            hidden = hidden_entries(observed, self.score_holdout, rng)
            count = np.count_nonzero(hidden)
            if count:
                share = 1.0 - count / np.count_nonzero(observed)

                def predict(visible, mask, share=share):
                    return self._estimate(
                        visible, impute_only=False, visible_share=share
                    )

                total += count * hidden_block_error(block, hidden, predict)
                n_hidden += count
        if n_hidden == 0:
            raise ValueError(
                "No entry can be hidden: score needs rows with two observed entries."
            )
        return total / n_hidden

    def predict_entries(self, rows, columns):
        """Estimates of single entries of the training matrix.

        Parameters
        ----------
        rows, columns : array-likes of int of shape (n_entries,)
            Row numbers of the training data and column numbers of its features.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            Never the full matrix: O(n_entries * n_components) time.

        Raises
        ------
        AttributeError
            If the estimator was fitted with ``store_rows=False``.
        ValueError
            If an index is out of range, or its column was never observed and
            ``keep_empty_features=False``.
        """
        check_is_fitted(self)
        if not hasattr(self, "embedding_"):
            raise AttributeError(
                "predict_entries needs the row factors: fit with store_rows=True."
            )
        rows = self._check_indices(rows, self.embedding_.shape[0], "rows")
        columns = self._check_indices(columns, self._kept.size, "columns")
        if rows.size != columns.size:
            raise ValueError(
                f"rows and columns must be equally long, got {rows.size} and "
                f"{columns.size}."
            )
        known = self._kept[columns]
        if not known.all() and not self.keep_empty_features:
            raise ValueError(
                f"Column {columns[~known][0]} had no observed value in fit; there is "
                "no estimate for it."
            )
        columns = (np.cumsum(self._kept) - 1)[columns]
        V = np.ascontiguousarray(self.components_.T, dtype=np.float64)
        T = np.ascontiguousarray(self.embedding_, dtype=np.float64)
        values = np.empty(rows.size)
        entry_products(rows, np.maximum(columns, 0), T, V, values)
        values *= self.scale_[columns]
        values += self.mean_[columns]
        low, high = self._limits()
        np.clip(values, low[columns], high[columns], out=values)
        values[~known] = 0.0
        return values

    @staticmethod
    def _check_indices(index, size, name):
        index = np.asarray(index)
        if index.ndim != 1 or index.dtype.kind not in "iu":
            raise ValueError(f"{name} must be a vector of integers.")
        index = index.astype(np.intp, copy=False)
        if index.size and not (0 <= index.min() and index.max() < size):
            raise ValueError(
                f"{name} must be in [0, {size}), got {index.min()} to {index.max()}."
            )
        return index

    def get_feature_names_out(self, input_features=None):
        """Names of the output features: those of the input that are kept.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the names seen in ``fit``.

        Returns
        -------
        feature_names_out : ndarray of str
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        return names if self.keep_empty_features else names[self._kept]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _warn_zero_rank(self, why):
        warnings.warn(
            f"{why}: the estimate has rank 0 and is the centre of each column.",
            UserWarning,
            stacklevel=3,
        )


def _is_nan(value):
    return isinstance(value, Real) and np.isnan(value)


def as_entries(X, missing_values=np.nan):
    """csr_array of the observed entries, in order and without doubles."""
    X = sparse.csr_array(X)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    missing = np.isnan(X.data) if _is_nan(missing_values) else X.data == missing_values
    return select_entries(X, ~missing) if missing.any() else X


def select_entries(X, chosen):
    """csr_array with some of the stored entries of X."""
    indptr = np.concatenate([[0], np.cumsum(chosen)])[X.indptr]
    return sparse.csr_array(
        (X.data[chosen], X.indices[chosen], indptr.astype(X.indptr.dtype)),
        shape=X.shape,
    )


def _with_nan(block):
    """Dense rows of a csr_array with NaN where nothing is stored."""
    dense = np.full(block.shape, np.nan, dtype=block.dtype)
    rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    dense[rows, block.indices] = block.data
    return dense
