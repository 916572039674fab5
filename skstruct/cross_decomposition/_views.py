"""What the two-view and multi-view classes share: projection, prediction, score."""

# SPDX-License-Identifier: BSD-3-Clause

from itertools import combinations
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import gen_batches
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from .._base import StructEstimator
from .._scores import canonical_rotation, cross_prediction
from .._validation import FLOAT_DTYPES, validate_two_views

# Entries of a block that is copied for centring: 32 MB of float64.
BLOCK_ENTRIES = 4_000_000


def block_rows(n_features):
    """Rows of a block of at most ``BLOCK_ENTRIES`` entries, 4096 at most."""
    return int(min(4096, max(1, BLOCK_ENTRIES // max(n_features, 1))))


def column_standardization(X, *, scale, ddof=1):
    """Mean, scale and constant columns of one view, in float64.

    Parameters
    ----------
    X : ndarray, memmap or sparse matrix of shape (n, p)
        Never copied whole.
    scale : bool
        Whether the scale is the standard deviation or 1.
    ddof : int, default=1

    Returns
    -------
    mean, std : ndarrays of shape (p,)
        A constant column has ``std`` 1.
    constant : ndarray of bool, shape (p,)
        Columns without variance up to rounding: their weight must be exactly zero.
    """
    n = X.shape[0]
    if sparse.issparse(X):
        mean, variance = (
            np.asarray(m, np.float64) for m in mean_variance_axis(X.tocsr(), axis=0)
        )
        squares = n * variance
    else:
        mean = np.zeros(X.shape[1])
        for rows in gen_batches(n, block_rows(X.shape[1])):
            mean += X[rows].sum(axis=0, dtype=np.float64)
        mean /= n
        squares = np.zeros(X.shape[1])
        with np.errstate(over="ignore"):
            for rows in gen_batches(n, block_rows(X.shape[1])):
                centered = X[rows] - mean
                squares += np.einsum("ij,ij->j", centered, centered)
    root = np.sqrt(squares)
    extreme = (squares < 1e-200) | (squares > 1e200)
    if extreme.any() and not sparse.issparse(X):
        root[extreme] = _extreme_root_squares(X, mean, np.flatnonzero(extreme))
    constant = constant_columns(root, mean, n)
    std = np.ones(X.shape[1])
    if scale:
        std[~constant] = root[~constant] / np.sqrt(max(n - ddof, 1))
    return mean, std, constant


def constant_columns(root, mean, n):
    """Whether the variance of columns is no more than rounding.

    Parameters
    ----------
    root : ndarray of shape (p,)
        Root of the sum of squared deviations of n rows.
    mean : ndarray of shape (p,)
    n : int
    """
    # The rounding of a mean of n equal numbers is at most n eps times their size.
    return root <= np.sqrt(n) * 10 * n * np.finfo(np.float64).eps * np.abs(mean)


def _extreme_root_squares(X, mean, columns):
    """Root of the sum of squares of columns whose squares over- or underflow."""
    batches = list(gen_batches(X.shape[0], block_rows(X.shape[1])))

    def centered(rows):
        return X[rows][:, columns] - mean[columns]

    size = np.max([np.abs(centered(rows)).max(axis=0) for rows in batches], axis=0)
    unit = np.where(size > 0, size, 1.0)
    return size * np.sqrt(
        sum(np.sum((centered(rows) / unit) ** 2, axis=0) for rows in batches)
    )


def project(X, weights, mean, scale):
    """``((X - mean) / scale) @ weights`` without a standardised copy of X."""
    W = weights / scale[:, None]
    if sparse.issparse(X):
        return X @ W - mean @ W
    scores = np.empty((X.shape[0], W.shape[1]), dtype=np.float64)
    for rows in gen_batches(X.shape[0], block_rows(X.shape[1])):
        scores[rows] = (X[rows] - mean) @ W
    return scores


class TwoViewMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin, StructEstimator):
    """Methods after ``fit`` of an estimator with linear scores of two views.

    A subclass sets in ``fit``: ``x_weights_`` (p, K) and ``y_weights_`` (q, K), which
    act on centred and scaled columns, ``x_mean_``, ``x_scale_``, ``y_mean_``,
    ``y_scale_``, and then calls :meth:`_set_score_moments` with the training moments
    of the scores.
    """

    # A class that reads its input in blocks adds integer types: no float copy then.
    _input_dtypes = FLOAT_DTYPES
    # Scores are the data of inverse_transform, not metadata to be routed.
    __metadata_request__inverse_transform = {"x_scores": UNUSED}

    def _validate_views(self, X, y, *, reset, **check_params):
        """Both views as arrays, remembering the width and the shape of y."""
        check_params.setdefault("dtype", list(self._input_dtypes))
        # np.ndim would refuse objects that only convert to arrays.
        y_is_1d = (y.ndim if hasattr(y, "ndim") else np.asarray(y).ndim) == 1
        X, y = validate_two_views(self, X, y, reset=reset, **check_params)
        if reset:
            self._n_targets_in = y.shape[1]
            self._y_is_1d = y_is_1d
        elif y.shape[1] != self._n_targets_in:
            raise ValueError(
                f"y has {y.shape[1]} columns, but {type(self).__name__} was fitted "
                f"with {self._n_targets_in}."
            )
        return X, y

    def _set_score_moments(self, Sxx, Syy, Sxy, x_loadings, y_on_x):
        """Store what inverse_transform, predict and score need.

        Parameters
        ----------
        Sxx, Syy, Sxy : ndarrays of shape (K, K)
            Covariances of the training scores.
        x_loadings : ndarray of shape (p, K)
            Covariance of the standardised columns of X with the X scores.
        y_on_x : ndarray of shape (q, K)
            Covariance of the standardised columns of y with the X scores.
        """
        inverse = np.linalg.pinv(Sxx, hermitian=True)
        self.x_loadings_ = x_loadings @ inverse
        self._y_coef = y_on_x @ inverse
        self._x_rotation, self._y_rotation, self._rho = canonical_rotation(
            Sxx, Syy, Sxy
        )

    @property
    def _n_features_out(self):
        return self.x_weights_.shape[1]

    def _project_y(self, y):
        """Scores of validated rows of the second view; a kernel view overrides it."""
        return project(y, self.y_weights_, self.y_mean_, self.y_scale_)

    def _output(self, scores, X):
        return scores.astype(_float_dtype(X), copy=False)

    def transform(self, X, y=None):
        """Scores of new rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_targets), default=None
            The second view.

        Returns
        -------
        x_scores : ndarray of shape (n_samples, n_components)
            Alone when `y` is None.
        y_scores : ndarray of shape (n_samples, n_components)
            Only when `y` is given.
        """
        check_is_fitted(self)
        if y is None:
            X = validate_data(
                self,
                X,
                reset=False,
                dtype=list(self._input_dtypes),
                accept_sparse=_accepts(self),
            )
            return self._output(
                project(X, self.x_weights_, self.x_mean_, self.x_scale_), X
            )
        X, y = self._validate_views(
            X, y, reset=False, min_samples=1, accept_sparse=_accepts(self)
        )
        return (
            self._output(project(X, self.x_weights_, self.x_mean_, self.x_scale_), X),
            self._output(self._project_y(y), y),
        )

    def fit_transform(self, X, y):
        """Fit, then return the scores of X alone, as a Pipeline step must.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_targets)

        Returns
        -------
        x_scores : ndarray of shape (n_samples, n_components)
        """
        return self.fit(X, y).transform(X)

    def inverse_transform(self, x_scores):
        """Least-squares reconstruction of X from its scores.

        Parameters
        ----------
        x_scores : array-like of shape (n_samples, n_components)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        T = check_array(x_scores, dtype=FLOAT_DTYPES, input_name="x_scores")
        if T.shape[1] != self._n_features_out:
            raise ValueError(
                f"x_scores has {T.shape[1]} columns, expected n_components="
                f"{self._n_features_out}."
            )
        return self._output(T @ self.x_loadings_.T * self.x_scale_ + self.x_mean_, T)

    def predict(self, X):
        """The second view predicted from the X scores by least squares.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples, n_targets) or (n_samples,)
            One-dimensional when `fit` got a one-dimensional y.
        """
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            reset=False,
            dtype=list(self._input_dtypes),
            accept_sparse=_accepts(self),
        )
        T = project(X, self.x_weights_, self.x_mean_, self.x_scale_)
        y = self._output(T @ self._y_coef.T * self.y_scale_ + self.y_mean_, X)
        return y[:, 0] if self._y_is_1d else y

    def score(self, X, y):
        """Cross-predictive score of held-out rows; it peaks at the true rank.

        The average reduction of squared error when each standardised score is
        predicted from the other view's with the slope learnt in training. A component
        adds to it only if its held-out correlation exceeds about half its training
        correlation; for views without relation it is negative at every rank.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_targets)

        Returns
        -------
        score : float
            At most the sum of squared training correlations, in expectation.
        """
        check_is_fitted(self)
        X, y = self._validate_views(
            X, y, reset=False, min_samples=1, accept_sparse=_accepts(self)
        )
        T = project(X, self.x_weights_, self.x_mean_, self.x_scale_)
        U = self._project_y(y)
        return cross_prediction(T @ self._x_rotation, U @ self._y_rotation, self._rho)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _accepts(estimator):
    """Sparse formats of the estimator, read from its tags."""
    return "csr" if estimator.__sklearn_tags__().input_tags.sparse else False


def _float_dtype(X):
    return X.dtype if np.issubdtype(X.dtype, np.floating) else np.dtype(np.float64)


def split_views(X, view_sizes):
    """Columns of stacked views as a list of arrays (no copies)."""
    stops = np.cumsum(view_sizes)
    return [X[:, stop - size : stop] for size, stop in zip(view_sizes, stops)]


class MultiviewMixin(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, StructEstimator
):
    """Methods after ``fit`` of an estimator with linear scores of several views.

    A subclass has the parameter ``view_sizes`` and sets in ``fit``: ``weights_``,
    ``means_`` and ``scales_``, lists with one array per view, and then calls
    :meth:`_set_score_moments`.
    """

    _input_dtypes = FLOAT_DTYPES

    def _validate_multiview(self, X, *, reset, min_samples=1):
        """The views as a list, from a list of arrays or from one stacked array."""
        if isinstance(X, (list, tuple)) and len(X) and np.ndim(X[0]) == 2:
            views = [
                check_array(
                    view,
                    dtype=list(self._input_dtypes),
                    accept_sparse=_accepts(self),
                    ensure_min_samples=min_samples,
                    input_name=f"X[{i}]",
                )
                for i, view in enumerate(X)
            ]
            check_consistent_length(*views)
            sizes = [view.shape[1] for view in views]
            if reset:
                self.n_features_in_ = sum(sizes)
                self.__dict__.pop("feature_names_in_", None)
        else:
            X = validate_data(
                self,
                X,
                reset=reset,
                dtype=list(self._input_dtypes),
                accept_sparse=_accepts(self),
                ensure_min_samples=min_samples,
            )
            sizes = self._view_sizes(X.shape[1]) if reset else self.view_sizes_
            views = split_views(X, sizes)
        if reset:
            if len(sizes) < 2:
                raise ValueError(
                    f"{type(self).__name__} needs at least 2 views, got {len(sizes)}."
                )
            self.view_sizes_ = sizes
        elif list(sizes) != list(self.view_sizes_):
            raise ValueError(
                f"X has views of {list(sizes)} columns, but {type(self).__name__} was "
                f"fitted with {list(self.view_sizes_)}."
            )
        return views

    def _view_sizes(self, n_features):
        sizes = self.view_sizes
        if sizes is None:
            if n_features < 2:
                raise ValueError(
                    f"X has n_features={n_features}; with view_sizes=None it is cut "
                    "into two halves, which needs at least 2."
                )
            return [n_features // 2, n_features - n_features // 2]
        sizes = list(sizes)
        if not all(isinstance(s, Integral) and s > 0 for s in sizes):
            raise ValueError(f"view_sizes={sizes} must be positive integers.")
        sizes = [int(s) for s in sizes]
        if sum(sizes) != n_features:
            raise ValueError(
                f"view_sizes={sizes} sum to {sum(sizes)}, but X has "
                f"n_features={n_features}."
            )
        return sizes

    def _set_score_moments(self, S):
        """Store the rotations of score for every pair of views.

        Parameters
        ----------
        S : ndarray of shape (M, M, K, K)
            ``S[i, j]`` is the covariance of the training scores of views i and j.
        """
        self._pair_rotations = [
            canonical_rotation(S[i, i], S[j, j], S[i, j])
            for i, j in combinations(range(len(S)), 2)
        ]

    @property
    def _n_features_out(self):
        return self.weights_[0].shape[1]

    def _view_scores(self, views):
        return [
            project(view, W, mean, scale)
            for view, W, mean, scale in zip(
                views, self.weights_, self.means_, self.scales_
            )
        ]

    def transform_views(self, X):
        """Scores of each view.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of arrays
            The stacked views or one array per view.

        Returns
        -------
        scores : list of ndarrays of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        views = self._validate_multiview(X, reset=False)
        return [
            Z.astype(_float_dtype(view), copy=False)
            for Z, view in zip(self._view_scores(views), views)
        ]

    def transform(self, X):
        """Average of the views' scores: one representation of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of arrays
            The stacked views or one array per view.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_components)
        """
        return np.mean(self.transform_views(X), axis=0)

    def score(self, X, y=None):
        """Cross-predictive score of held-out rows, averaged over pairs of views.

        See the two-view classes; it peaks at the true rank, and it is negative at
        every rank for views without relation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of arrays
        y : Ignored

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        Z = self._view_scores(self._validate_multiview(X, reset=False))
        pairs = combinations(range(len(Z)), 2)
        return float(
            np.mean(
                [
                    cross_prediction(Z[i] @ G1, Z[j] @ G2, rho)
                    for (i, j), (G1, G2, rho) in zip(pairs, self._pair_rotations)
                ]
            )
        )
