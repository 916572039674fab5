# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils.validation import validate_data

from .._validation import check_magnitude
from ._density import MixtureMethods
from ._online import OnlineMixture
from ._refine import merge_stream
from ._stream import Stream


class IncrementalGaussianMixture(MixtureMethods, OnlineMixture):
    """Gaussian mixture with full covariances learned in one pass over a stream.

    Every point updates the components by its posterior probabilities, in O(D^2) time
    each, or founds a new component when it is novel to all of them. No data are kept.
    Any variables can be predicted from any others.

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
    init_variance : float or array-like of shape (n_features,), default=None
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
        Seed of `shuffle` and of ``sample``.
    n_jobs : int, default=None
        Parallel tasks in which the densities of many rows are computed.
    verbose : int, default=0
        Whether steps are logged to ``logging.getLogger("skstruct.mixture")``.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Shares of the accumulated posterior.
    means_ : ndarray of shape (n_components, n_features)
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
    init_variance_ : ndarray of shape (n_features,)
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
    MiniBatchGaussianMixture : Known number of components, stepwise EM.
    IncrementalGaussianMixtureClassifier : Classes from one mixture each.
    IncrementalGaussianMixtureRegressor : Targets from the joint density.

    Notes
    -----
    With ``e = x - mean``, ``t = P e`` for the precision P, ``d2 = e' t``, step
    ``w = posterior / accumulated posterior``, one point changes a component by

    - ``mean += w e``
    - ``C = (1 - w) (C + w e e')``
    - ``P = (P - w / (1 + w d2) t t') / (1 - w)``
    - ``log det C += D log(1 - w) + log(1 + w d2)``

    so that d2 and t serve both the likelihood and the update. With one component and
    no forgetting, n points give exactly the sample mean and
    ``C = (Sigma_0 + n S_n) / n`` with the maximum likelihood covariance S_n.

    The published recursion (``update="igmn"``) has ``w (1 - 3 w + w^2)`` in place of
    ``w (1 - w)``: it is negative for w > 0.382, hence at the second point of every
    component, where the covariance stops being positive definite as soon as d2 > 4,
    a usual value from four features on.

    Cost of a point: O(K D^2) time; the rank-one part of an update is applied when the
    matrix is read for the next point, so that each of the K triangles of D^2/2 numbers
    is read and written once. From 300 features on blocks of 64 points are learned by
    matrix products with the same result. Memory: K D^2 numbers.

    Results depend on the order of the rows but not on how they are cut into calls of
    ``partial_fit``, given the same `init_variance`, and are unchanged by a scaling of
    features. A row of weight 2 makes one step where two copies make two, so weights
    are not the same as repetition.

    References
    ----------
    Pinto, Engel (2015), A fast incremental Gaussian mixture model, PLOS ONE 10(10).
    Pinto, Engel (2017), Scalable and incremental learning of Gaussian mixture models,
    arXiv 1701.03940. Heinen, Engel, Pinto (2011), IGMN: an incremental Gaussian
    mixture network that learns instantaneously from data flows, ENIA. Ghahramani,
    Jordan (1994), Supervised learning from incomplete data via an EM approach, NIPS.
    Sherman, Morrison (1950), Adjustment of an inverse matrix corresponding to a change
    in one element of a given matrix, Annals of Mathematical Statistics 21.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.mixture import IncrementalGaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((600, 2)) + 8 * rng.integers(0, 3, size=(600, 1))
    >>> mixture = IncrementalGaussianMixture(delta=0.3, beta=1e-6)
    >>> for batch in np.array_split(X, 6):
    ...     mixture = mixture.partial_fit(batch)
    >>> mixture.n_components_
    3
    >>> mixture.conditional([0], [[8.0]]).mean().round(0)
    array([[8.]])
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Learn the rows in one pass, from scratch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN is allowed with ``missing="marginal"``.
        y : None
            Ignored, present by scikit-learn's convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Multiplies the posterior of a row; 0 leaves the row out.

        Returns
        -------
        self : IncrementalGaussianMixture
            Fitted estimator.

        Raises
        ------
        ValueError
            If X has a single row and `init_variance` is None, values that are not
            finite or above 1e100, or NaN with ``missing="error"``, or weights are
            negative or all zero.
        """
        self._check_parameters()
        X, weights = self._read_rows(X, sample_weight, reset=True)
        self._start(X, weights)
        self._fit_state(X, weights)
        self.n_samples_seen_ = X.shape[0]
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn further rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The first call fixes the number of features and, without `init_variance`,
            their spread.
        y : None
            Ignored, present by scikit-learn's convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Multiplies the posterior of a row; 0 leaves the row out.

        Returns
        -------
        self : IncrementalGaussianMixture
            The estimator.
        """
        first = not hasattr(self, "_state")
        if first:
            self._check_parameters()
        X, weights = self._read_rows(X, sample_weight, reset=first)
        if first:
            self._start(X, weights)
            self.n_samples_seen_ = 0
        self._partial_fit_state(X, weights)
        self.n_samples_seen_ += X.shape[0]
        return self

    def _read_rows(self, X, sample_weight, *, reset):
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=np.float64,
            order="C",
            ensure_all_finite="allow-nan" if self._accepts_nan else True,
        )
        check_magnitude(X)
        return X, self._read_weights(sample_weight, X.shape[0])

    def fit_predict(self, X, y=None, sample_weight=None):
        """Learn the rows and return the component of each.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to learn.
        y : None
            Ignored, present by scikit-learn's convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Multiplies the posterior of a row.

        Returns
        -------
        labels : ndarray of int, shape (n_samples,)
            Assigned after the whole pass.
        """
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def merge_components(self, n_components=None, *, threshold=None):
        """Merge close components by moments, closest pair first.

        Parameters
        ----------
        n_components : int, default=None
            Number of components to reach.
        threshold : float, default=None
            Merge only pairs of a Bhattacharyya distance below it. 0.5 is about the
            distance of two unit Gaussians two standard deviations apart.

        Returns
        -------
        self : IncrementalGaussianMixture
            With fewer components; ``partial_fit`` goes on from them.
        """
        if n_components is None and threshold is None:
            raise ValueError("merge_components needs n_components or threshold.")
        if n_components is not None and n_components < 1:
            raise ValueError(f"n_components={n_components} must be at least 1.")
        self._rest()
        stream = Stream(self._state)
        merge_stream(
            stream, self._rules(), n_components=n_components, threshold=threshold
        )
        self._keep(stream)
        return self
