# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.utils.validation import validate_data

from .._validation import check_magnitude
from . import _gaussian
from ._density import _FILLED
from ._online import OnlineMixture


class IncrementalGaussianMixtureRegressor(
    RegressorMixin, MultiOutputMixin, OnlineMixture
):
    """Regression from the joint density of features and targets, learned in one pass.

    An incremental Gaussian mixture of the features followed by the targets; the
    prediction is the conditional mean of the targets, with its standard deviation or
    covariance on request. Uncertainty may grow and shrink with the features.

    Parameters
    ----------
    delta : float, default=0.5
        Standard deviation of a new component, as a share of that of each feature. The
        most important choice: small values give many narrow components, large ones
        merge clusters. Search it on a logarithmic grid from 0.1 to 1. With many
        features the first points of a component say little about most directions and
        small values create components without end; take 1 and more there.
    beta : float in [0, 1], default=1e-3
        A point founds a component when its squared distance to every component
        reaches the ``1 - beta`` quantile of chi-square. 0: never after the first, 1:
        always.
    max_components : int, default=None
        Largest number of components; then no point is novel any more.
    update : {"exact", "igmn"}, default="exact"
        "exact": the covariance of a component is the weighted scatter of its points
        plus the initial covariance as one pseudo-observation. "igmn": the published
        recursion, which underestimates spread and at the second point of a component
        subtracts from the covariance; a step that would lose positive definiteness is
        made exactly and counted in ``n_fallbacks_``.
    assignment : {"soft", "hard"}, default="soft"
        Whether a point is shared by posterior probability or goes to one component.
    init_variance : float or array-like of shape (n_features + n_targets,), default=None
        Diagonal of the covariance of a new component, for streams whose spread is
        known beforehand; `delta` is then not used. None: ``delta**2`` times the
        variance of the rows of ``fit`` or of the first ``partial_fit``.
    v_min, sp_min : float, default=None
        A component that has seen more than `v_min` points and accumulated less than
        `sp_min` posterior is removed. None for both: never; None for one of them:
        ``2 D`` or ``D + 1``.
    forgetting : float in (0, 1], default=1.0
        Accumulated posteriors are multiplied by it before each point: below 1 the
        mixture follows a drift with a memory of ``1 / (1 - forgetting)`` points.
    reg_covar : float in [0, 1), default=1e-6
        Floor of the variance in any direction, as a share of the features' variance
        (of `init_variance` where given): a direction that sinks below half of it is
        lifted to it. Being relative, it leaves results independent of units.
    solver : {"precision", "cholesky"}, default="precision"
        What is stored and updated: precisions, or Cholesky factors of covariances,
        which are slower but stay accurate at condition numbers above 1e8.
    shuffle : bool, default=False
        Whether ``fit`` passes over the rows in random order. The result depends on
        the order; shuffle rows that are sorted.
    refine : int, default=0
        Steps of batch EM after the pass of ``fit``; components of fewer than D + 1
        points are merged first. Not used by ``partial_fit``.
    refresh_every : int or "auto", default="auto"
        Updates of a component after which rounding is undone by a fresh
        factorisation; "auto": ``max(10_000, 10 D)``.
    missing : {"error", "marginal"}, default="error"
        What NaN in the data means: an error, or an unknown value. The expectation
        step for a row with holes is exact but costs O(K D^3).
    p_min : float in [0, 1), default=1e-10
        A component with a smaller posterior does not learn from the point.
    random_state : int, RandomState instance or None, default=None
        Seed of `shuffle`.
    n_jobs : int, default=None
        Parallel tasks in which many rows are predicted.
    verbose : int, default=0
        Whether steps are logged to ``logging.getLogger("skstruct.mixture")``.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Shares of the accumulated posterior.
    means_ : ndarray of shape (n_components, D)
        Means.
    precisions_, covariances_ : ndarrays of shape (n_components, D, D)
        Inverse covariances and covariances.
    log_dets_ : ndarray of shape (n_components,)
        Log-determinants of the covariances.
    counts_, ages_ : ndarrays of shape (n_components,)
        Accumulated posterior, and points seen since creation.
    n_components_ : int
        Number of components.
    n_samples_seen_ : int
        Rows learned since ``fit`` or the first ``partial_fit``.
    n_targets_ : int
        Number of targets; ``D = n_features_in_ + n_targets_``.
    init_variance_ : ndarray of shape (D,)
        Diagonal of the covariance of a new component.
    chi2_threshold_ : float
        Squared distance from which on a point is novel.
    n_created_, n_pruned_, n_fallbacks_, n_floored_ : int
        Components created and removed, steps where the published update gave way to
        the exact one, covariances lifted to the floor.
    refine_objective_ : ndarray of shape (refine,)
        Penalised log-likelihood before every batch step.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, when all are strings.

    See Also
    --------
    IncrementalGaussianMixture : The density, with the update in its notes.

    Notes
    -----
    With precision blocks of a component, a for features and b for targets, the
    conditional mean is ``m_b - P_bb^-1 P_ba (x - m_a)`` and the conditional covariance
    ``P_bb^-1``. Components are weighted by ``pi_j N(x | m_a, C_aa)``, the marginal
    density of the features: its precision is ``P_aa - P_ab P_bb^-1 P_ba`` and
    ``log det C_aa = log det C + log det P_bb``.

    Cost: as the density; a prediction costs O(K D^2) a row.

    References
    ----------
    Pinto, Engel (2015), A fast incremental Gaussian mixture model, PLOS ONE 10(10).
    Ghahramani, Jordan (1994), Supervised learning from incomplete data via an EM
    approach, NIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.mixture import IncrementalGaussianMixtureRegressor
    >>> x = np.arange(0, 2 * np.pi, 0.1)[:, None]
    >>> model = IncrementalGaussianMixtureRegressor(delta=0.5, beta=0.1)
    >>> model.fit(x, np.sin(x).ravel()).score(x, np.sin(x).ravel()) > 0.98
    True
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Learn the joint density in one pass, from scratch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN is allowed with ``missing="marginal"``.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Multiplies the posterior of a row; 0 leaves the row out.

        Returns
        -------
        self : IncrementalGaussianMixtureRegressor
            Fitted estimator.
        """
        self._check_parameters()
        Z, weights = self._read_rows(X, y, sample_weight, reset=True)
        self._start(Z, weights)
        self._fit_state(Z, weights)
        self.n_samples_seen_ = Z.shape[0]
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Learn further rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The first call fixes the number of features and, without `init_variance`,
            their spread.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Multiplies the posterior of a row; 0 leaves the row out.

        Returns
        -------
        self : IncrementalGaussianMixtureRegressor
            The estimator.
        """
        first = not hasattr(self, "_state")
        if first:
            self._check_parameters()
        Z, weights = self._read_rows(X, y, sample_weight, reset=first)
        if first:
            self._start(Z, weights)
            self.n_samples_seen_ = 0
        self._partial_fit_state(Z, weights)
        self.n_samples_seen_ += Z.shape[0]
        return self

    def _read_rows(self, X, y, sample_weight, *, reset):
        X, y = validate_data(
            self,
            X,
            y,
            reset=reset,
            dtype=np.float64,
            order="C",
            multi_output=True,
            y_numeric=True,
            ensure_all_finite="allow-nan" if self._accepts_nan else True,
        )
        check_magnitude(X)
        Y = check_magnitude(
            np.asarray(y, dtype=np.float64).reshape(y.shape[0], -1), "y"
        )
        if np.isnan(Y).any():
            row = int(np.flatnonzero(np.isnan(Y).any(axis=1))[0])
            raise ValueError(f"y has NaN in row {row}; targets must be known.")
        if reset:
            self.n_targets_ = Y.shape[1]
            self._y_is_1d = y.ndim == 1
        elif Y.shape[1] != self.n_targets_:
            raise ValueError(
                f"y has {Y.shape[1]} targets, but {type(self).__name__} was fitted "
                f"with {self.n_targets_}."
            )
        return np.hstack([X, Y]), self._read_weights(sample_weight, X.shape[0])

    def predict(self, X, return_std=False, return_cov=False):
        """Conditional mean of the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict; NaN is allowed with ``missing="marginal"``.
        return_std : bool, default=False
            Whether the standard deviation of every target is returned too.
        return_cov : bool, default=False
            Whether the covariance of the targets is returned too.

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_samples, n_targets)
        std : ndarray of the same shape
            Only with `return_std`.
        cov : ndarray of shape (n_samples, n_targets, n_targets)
            Only with `return_cov`.
        """
        if return_std and return_cov:
            raise ValueError("At most one of return_std and return_cov can be True.")
        X = self._read(X)
        mean = np.empty((X.shape[0], self.n_targets_))
        spread = np.empty(mean.shape + (self.n_targets_,) * bool(return_cov))
        for rows, conditional in self._conditionals(X):
            mean[rows] = conditional.mean()[:, -self.n_targets_ :]
            if return_std:
                spread[rows] = conditional.std()[:, -self.n_targets_ :]
            elif return_cov:
                cut = slice(-self.n_targets_, None)
                spread[rows] = conditional.covariance()[:, cut, cut]
        if self._y_is_1d:
            mean = mean[:, 0]
            spread = spread if return_cov else spread[:, 0]
        return (mean, spread) if return_std or return_cov else mean

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination of the conditional means.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to predict.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their targets; several are averaged.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        r2 : float
        """
        return super().score(X, y, sample_weight)

    def log_predictive_density(self, X, y):
        """Log-density of the targets given the features.

        A proper score of the whole predictive distribution, bands included; its mean
        on held-out rows is a good `scoring` for a grid search.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features without NaN.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        X = self._read(X, allow_nan=False)
        Y = np.asarray(y, dtype=np.float64).reshape(X.shape[0], -1)
        if Y.shape[1] != self.n_targets_:
            raise ValueError(
                f"y has {Y.shape[1]} targets, but {type(self).__name__} was fitted "
                f"with {self.n_targets_}."
            )
        found = np.empty(X.shape[0])
        for rows, conditional in self._conditionals(X):
            found[rows] = conditional.score_samples(Y[rows])
        return found

    def _conditionals(self, X):
        """Pairs (rows, mixture of the unknown variables), targets last."""
        n, q = X.shape[0], self.n_targets_
        Z = np.hstack([X, np.full((n, q), np.nan)])
        rest = self._rest()
        at_once = max(_FILLED // (self.n_components_ * Z.shape[1]), 1)
        for missing, rows in _gaussian.patterns(np.isnan(Z)):
            for i in range(0, rows.size, at_once):
                part = rows[i : i + at_once]
                yield (
                    part,
                    _gaussian.condition(
                        Z[part], missing, **rest, covariances=self._rest_covariances
                    ),
                )
