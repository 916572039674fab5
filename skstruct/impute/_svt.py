# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from scipy import linalg, sparse
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import randomized_svd

from .._base import deterministic_signs
from .._linalg import largest_triplets
from .._validation import check_at_most
from ..random_matrix import (
    optimal_hard_threshold,
    screenot_threshold,
    usvt_threshold,
)
from ._base import _FOLD_IN_RIDGE, LowRankImputer

_NEEDS_ALL_VALUES = ("gavish-donoho", "screenot")
_UNIVERSAL = ("chatterjee", "fairness")


class SVTImputer(LowRankImputer):
    """Denoise and complete a matrix by thresholding its singular values.

    Missing entries are filled with the centre, the singular values above a threshold
    are kept, and the result is divided by the observed fraction. The map is linear in
    the row, so it estimates new rows as it does the training rows.

    Parameters
    ----------
    threshold : {"gavish-donoho", "screenot", "chatterjee", "fairness"} or float, \
default="gavish-donoho"
        Which singular values of the zero-filled matrix are kept. "gavish-donoho":
        optimal in white noise of unknown level. "screenot": optimal in correlated
        noise, with `max_rank` as bound of the rank. "chatterjee": the universal
        threshold, minimax-safe, which on data of laptop size often keeps nothing.
        "fairness": the one published with the fairness experiments, which keeps too
        much, and everything when nothing is missing. A float is the threshold
        itself, in the (standardised) units of the data. Not used when `n_components`
        is given.
    n_components : int, default=None
        Keep exactly this many singular values (hard thresholding, the form used in
        principal component regression). Find it by GridSearchCV.
    eta : float, default=0.01
        Slack of the universal thresholds.
    noise_variance : float in (0, 1], default=None
        Bound of the noise variance for the universal thresholds, for entries mapped
        to [-1, 1]. None: 1.
    bounds : tuple (low, high), default=None
        Known range of the data: estimates are clipped to it, and the universal
        thresholds map it to [-1, 1]. None: the observed range of each column for
        clipping, the largest observed magnitude for the universal thresholds.
    center : {"column", None}, default="column"
        "column" fills missing entries with the column's observed mean; None fills
        zeros (with universal thresholds the middle of the range), as in the papers.
    scale : bool, default=False
        Whether columns are divided by the standard deviation of their observed
        entries; use it when units differ.
    observed_fraction : {"matrix", "column"}, default="matrix"
        "matrix" divides the estimate by the overall observed fraction. "column"
        divides each zero-filled column by its own fraction before the decomposition,
        for columns missing at unequal rates.
    clip : bool, default=True
        Whether estimates are clipped to `bounds` or the observed ranges.
    transform_method : {"project", "fold-in"}, default="project"
        "project" is the linear map above: unbiased under uniform missingness, and
        Lipschitz, which is what individual fairness needs. "fold-in" regresses the
        observed entries of each row on the components, which is more accurate.
    impute_only : bool, default=False
        False returns the whole denoised row. True keeps observed values and fills
        only the missing ones.
    keep_empty_features : bool, default=False
        Whether columns without any observed value stay in the output, as zeros.
    missing_values : float, default=np.nan
        Marks missing entries of a dense `X`. In a sparse `X` whatever is not stored
        is missing and explicit zeros are observed.
    svd_solver : {"auto", "full", "covariance_eigh", "arpack", "randomized"}, \
default="auto"
        "auto" takes the eigenvectors of the smaller Gram matrix, and the full
        decomposition where a kept value is too small for that; beyond 4000 on the
        smaller side "arpack" where the threshold does not need all values.
    max_rank : int, default=None
        Upper bound of the rank. For "screenot" None means a quarter of the smaller
        side.
    store_rows : bool, default=False
        Whether ``embedding_`` is kept, which `predict_entries` needs.
    score_holdout : float in (0, 1), default=0.2
        Share of each row's observed entries that `score` hides.
    score_random_state : int, default=0
        Which entries `score` hides; the same for all candidates of a search.
    copy : bool, default=True
        Present by scikit-learn's convention; `X` is never modified.
    random_state : int, RandomState instance or None, default=None
        Seed of ``svd_solver="randomized"``.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_out)
        Kept right singular vectors.
    singular_values_ : ndarray of shape (n_components,)
        Kept singular values of the standardised zero-filled matrix.
    n_components_ : int
        Number of kept singular values; 0 is legal and gives the centre.
    threshold_ : float
        The threshold in use; NaN when `n_components` is given.
    p_observed_ : float
        Observed fraction of the entries.
    mean_, scale_ : ndarrays of shape (n_features_out,)
        Centre and scale of each column.
    embedding_ : ndarray of shape (n_samples, n_components)
        Coefficients of the training rows; only with ``store_rows=True``.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    SVTImputerCV : The rank by cross-validation over entries.
    SoftImputer : Nuclear-norm regularisation: slower, more accurate with many holes.

    Notes
    -----
    With Z the centred, zero-filled matrix, p the observed fraction and S the kept
    indices, ``X_hat = Z V_S V_S' / p`` (:math:`\\hat X = \\tfrac{1}{p}\\sum_{i\\in S}
    s_i u_i v_i^\\top`).

    Cost: one Gram product, ``n p min(n, p)`` multiply-adds, and an eigendecomposition
    of the smaller side; ``transform`` two thin products per row.

    References
    ----------
    Chatterjee (2015), Matrix estimation by universal singular value thresholding,
    Annals of Statistics 43. Gavish, Donoho (2014), The optimal hard threshold for
    singular values is 4/sqrt(3). Donoho, Gavish, Romanov (2023), ScreeNOT. Zhang,
    Cen, Shah (2023), Matrix estimation for individual fairness, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.impute import SVTImputer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 40))
    >>> X += 0.5 * rng.standard_normal(X.shape)
    >>> X[rng.random(X.shape) < 0.05] = np.nan
    >>> imputer = SVTImputer().fit(X)
    >>> imputer.n_components_
    3
    >>> imputer.transform(X[:5]).shape
    (5, 40)
    """

    _parameter_constraints = {
        **LowRankImputer._parameter_constraints,
        "threshold": [
            StrOptions({*_NEEDS_ALL_VALUES, *_UNIVERSAL}),
            Interval(Real, 0, None, closed="left"),
        ],
        "eta": [Interval(Real, 0, None, closed="left")],
        "noise_variance": [Interval(Real, 0, 1, closed="right"), None],
        "observed_fraction": [StrOptions({"matrix", "column"})],
        "clip": ["boolean"],
        "svd_solver": [
            StrOptions({"auto", "full", "covariance_eigh", "arpack", "randomized"})
        ],
        "max_rank": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        threshold="gavish-donoho",
        n_components=None,
        *,
        eta=0.01,
        noise_variance=None,
        bounds=None,
        center="column",
        scale=False,
        observed_fraction="matrix",
        clip=True,
        transform_method="project",
        impute_only=False,
        keep_empty_features=False,
        missing_values=np.nan,
        svd_solver="auto",
        max_rank=None,
        store_rows=False,
        score_holdout=0.2,
        score_random_state=0,
        copy=True,
        random_state=None,
    ):
        self.threshold = threshold
        self.n_components = n_components
        self.eta = eta
        self.noise_variance = noise_variance
        self.bounds = bounds
        self.center = center
        self.scale = scale
        self.observed_fraction = observed_fraction
        self.clip = clip
        self.transform_method = transform_method
        self.impute_only = impute_only
        self.keep_empty_features = keep_empty_features
        self.missing_values = missing_values
        self.svd_solver = svd_solver
        self.max_rank = max_rank
        self.store_rows = store_rows
        self.score_holdout = score_holdout
        self.score_random_state = score_random_state
        self.copy = copy
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the centre and the kept singular subspace.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            NaN is missing; in a sparse matrix what is not stored is missing.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : SVTImputer
            Fitted estimator.

        Raises
        ------
        ValueError
            If nothing is observed, `X` has infinite entries, `n_components` or
            `max_rank` exceeds ``min(n_samples, n_features)``, or `bounds` are reversed.
        """
        Z, _ = self._read_training_data(X)
        self._fit_standardised(Z)
        return self

    def _fit_standardised(self, Z):
        limit = min(Z.shape)
        rank = self._fixed_rank()
        for name, value in (("n_components", rank), ("max_rank", self.max_rank)):
            if value is not None:
                check_at_most(value, limit, name, "min(n_samples, n_features)")
        if self.observed_fraction == "column":
            share = 1.0 / self._column_share
            Z = Z * share if not sparse.issparse(Z) else _scale_columns(Z, share)

        s, V = self._decompose(Z)
        V = deterministic_signs(V)
        self.components_ = np.ascontiguousarray(V.T)
        self.singular_values_ = s
        self.n_components_ = s.size
        self._fold_in_ridge = np.full(s.size, _FOLD_IN_RIDGE)
        if s.size == 0 and rank != 0:
            self._warn_zero_rank(
                f"No singular value exceeds the threshold {self.threshold_:.4g}"
            )
        if self.store_rows:
            # The row map of `transform` on the matrix that was decomposed.
            share = self.p_observed_ if self.observed_fraction == "matrix" else 1.0
            self.embedding_ = np.ascontiguousarray(Z @ V) / share

    def _decompose(self, Z):
        """Kept singular values of Z, descending, and right singular vectors."""
        small = min(Z.shape)
        cap = small if self.max_rank is None else self.max_rank
        wanted = self._fixed_rank()
        if wanted is not None:
            self.threshold_ = np.nan
            if wanted == 0:
                return np.zeros(0), np.zeros((Z.shape[1], 0))
        needs_all = wanted is None and self.threshold in _NEEDS_ALL_VALUES
        solver = self.svd_solver
        if solver == "auto":
            large = small > 4000 and not needs_all
            solver = "arpack" if large else "covariance_eigh"
        if solver in ("arpack", "randomized") and needs_all:
            solver = "covariance_eigh"

        if solver in ("arpack", "randomized"):
            if wanted is None:
                self.threshold_ = self._threshold_value(None, Z)
            s, V = self._grow(Z, solver, wanted, cap)
        else:
            s, V = _gram_svd(Z) if solver == "covariance_eigh" else _full_svd(Z)
            if wanted is None:
                self.threshold_ = self._threshold_value(s, Z)
            kept = self._n_kept(s, wanted, cap)
            if solver == "covariance_eigh" and kept and s[kept - 1] < 1e-6 * s[0]:
                # Squaring loses values below the root of the precision.
                s, V = _full_svd(Z)
        kept = self._n_kept(s, wanted, cap)
        return s[:kept], V[:, :kept]

    def _fixed_rank(self):
        return self.n_components

    def _n_kept(self, s, wanted, cap):
        if wanted is None:
            return min(int(np.sum(s > self.threshold_)), cap)
        # Directions of a matrix of lower rank than asked for are arbitrary.
        return min(wanted, int(np.sum(s > 1e-12 * s[0])) if s[0] > 0 else 0)

    def _threshold_value(self, s, Z):
        rule = self.threshold
        if rule == "gavish-donoho":
            return optimal_hard_threshold(s, Z.shape)
        if rule == "screenot":
            small = min(Z.shape)
            k = min(
                small // 4 if self.max_rank is None else self.max_rank, (small - 2) // 2
            )
            return screenot_threshold(s, Z.shape, max(k, 0))
        if rule in _UNIVERSAL:
            tau = usvt_threshold(
                Z.shape,
                self.p_observed_,
                rule=rule,
                eta=self.eta,
                noise_variance=self.noise_variance,
            )
            return tau * self._half_range(Z)
        return float(rule)

    def _half_range(self, Z):
        """Bound of |entry| of Z, which the universal rules take as the unit."""
        if self.bounds is None:
            values = Z.data if sparse.issparse(Z) else Z
            return float(np.abs(values).max())
        low, high = self.bounds
        reach = np.maximum(high - self.mean_, self.mean_ - low) / self.scale_
        return float(reach.max())

    def _learn_columns(self, X, counts):
        super()._learn_columns(X, counts)
        universal = self._fixed_rank() is None and self.threshold in _UNIVERSAL
        if self.center is None and universal:
            low, high = self.bounds or (self._low.min(), self._high.max())
            self.mean_ = np.full(counts.size, (low + high) / 2.0)

    def _grow(self, Z, solver, wanted, cap):
        """Leading triplets by a partial solver, more until the threshold is passed."""
        k = min(cap, 10) if wanted is None else wanted
        while True:
            if solver == "arpack":
                _, s, V = largest_triplets(Z, k)
            else:
                _, s, Vt = randomized_svd(
                    Z, k, random_state=check_random_state(self.random_state)
                )
                V = Vt.T
            if wanted is not None or k >= cap or s[-1] <= self.threshold_:
                return s, V
            k = min(cap, 2 * k)

    def _projection_share(self):
        if self.observed_fraction == "column":
            return self._column_share
        return self.p_observed_

    def _limits(self):
        if not self.clip:
            p = self.mean_.size
            return np.full(p, -np.inf), np.full(p, np.inf)
        if self.bounds is None:
            return self._low, self._high
        return super()._limits()


def _scale_columns(Z, factor):
    return sparse.csr_array((Z.data * factor[Z.indices], Z.indices, Z.indptr), Z.shape)


def _gram_svd(Z):
    """Singular values and right vectors from the Gram matrix of the smaller side."""
    n, p = Z.shape
    tall = p <= n
    G = Z.T @ Z if tall else Z @ Z.T
    G = G.toarray() if sparse.issparse(G) else G
    values, Q = linalg.eigh(G, overwrite_a=True, check_finite=False)
    s = np.sqrt(np.maximum(values[::-1], 0.0))
    Q = Q[:, ::-1]
    if tall:
        return s, Q
    return s, (Z.T @ Q) / np.where(s > 0, s, 1.0)


def _full_svd(Z):
    Z = Z.toarray() if sparse.issparse(Z) else Z
    _, s, Vt = linalg.svd(Z, full_matrices=False, check_finite=False)
    return s, Vt.T
