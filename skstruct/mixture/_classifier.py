# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelEncoder
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from .._parallel import run_tasks
from .._validation import check_magnitude
from . import _gaussian
from ._online import OnlineMixture
from ._refine import refine, rest_of
from ._stream import Stream, empty


class IncrementalGaussianMixtureClassifier(ClassifierMixin, OnlineMixture):
    """Classification by incremental Gaussian mixtures, learned in one pass.

    One mixture per class and Bayes' rule, or one mixture of the features and one-hot
    classes together.

    Parameters
    ----------
    target : {"class_conditional", "onehot"}, default="class_conditional"
        "class_conditional": an independent mixture per class, with the class
        frequencies as priors. "onehot" (the published form): one mixture of the
        features followed by one column per class; the class columns are predicted by
        their conditional mean, clipped to [0, 1] and normalised.
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
        Largest number of components (of each class); then no point is novel any more.
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
        Seed of `shuffle`.
    n_jobs : int, default=None
        Parallel tasks over classes.
    verbose : int, default=0
        Whether steps are logged to ``logging.getLogger("skstruct.mixture")``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    class_count_ : ndarray of shape (n_classes,)
        Weight of the rows seen of each class.
    n_components_ : int
        Number of components, of all classes together.
    class_n_components_ : ndarray of shape (n_classes,)
        Number of components of each class; only with "class_conditional".
    component_classes_ : ndarray of shape (n_components,)
        Index of the class of each component; only with "class_conditional".
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
    n_samples_seen_ : int
        Rows learned since ``fit`` or the first ``partial_fit``.
    init_variance_ : ndarray of shape (D,)
        Diagonal of the covariance of a new component; D is n_features, with "onehot"
        n_features + n_classes.
    chi2_threshold_ : float
        Squared distance from which on a point is novel.
    n_created_, n_pruned_, n_fallbacks_, n_floored_ : int
        Components created and removed, steps where the published update gave way to
        the exact one, covariances lifted to the floor.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, when all are strings.

    See Also
    --------
    IncrementalGaussianMixture : The density, with the update in its notes.

    Notes
    -----
    With "onehot" the class columns sum to one and are constant within pure components:
    such a covariance is singular but for the initial one and the floor `reg_covar`.
    With "class_conditional" every class needs its own points but none of that arises,
    and an unknown row can be told from ``score_samples``.

    `init_variance` has one entry per feature; class columns of "onehot" take the
    variance of the class frequencies in the first rows times ``delta**2``.

    Cost of a point: O(K D^2) with K the components of its class.

    References
    ----------
    Pinto, Engel (2015), A fast incremental Gaussian mixture model, PLOS ONE 10(10).
    Pinto, Engel (2017), Scalable and incremental learning of Gaussian mixture models,
    arXiv 1701.03940.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skstruct.mixture import IncrementalGaussianMixtureClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = IncrementalGaussianMixtureClassifier(delta=1.0, shuffle=True,
    ...                                              random_state=0)
    >>> model.fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.95
    True
    """

    _parameter_constraints = {
        **OnlineMixture._parameter_constraints,
        "target": [StrOptions({"class_conditional", "onehot"})],
    }

    def __init__(
        self,
        *,
        target="class_conditional",
        delta=0.5,
        beta=1e-3,
        max_components=None,
        update="exact",
        assignment="soft",
        init_variance=None,
        v_min=None,
        sp_min=None,
        forgetting=1.0,
        reg_covar=1e-6,
        solver="precision",
        shuffle=False,
        refine=0,
        refresh_every="auto",
        missing="error",
        p_min=1e-10,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        super().__init__(
            delta=delta,
            beta=beta,
            max_components=max_components,
            update=update,
            assignment=assignment,
            init_variance=init_variance,
            v_min=v_min,
            sp_min=sp_min,
            forgetting=forgetting,
            reg_covar=reg_covar,
            solver=solver,
            shuffle=shuffle,
            refine=refine,
            refresh_every=refresh_every,
            missing=missing,
            p_min=p_min,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.target = target

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Learn the rows in one pass, from scratch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN is allowed with ``missing="marginal"``.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Multiplies the posterior of a row; 0 leaves the row out.

        Returns
        -------
        self : IncrementalGaussianMixtureClassifier
            Fitted estimator.
        """
        self._check_parameters()
        X, y, weights = self._read_rows(X, y, sample_weight, reset=True)
        check_classification_targets(y)
        encoder = LabelEncoder().fit(y)
        self.classes_ = encoder.classes_
        codes = encoder.transform(y)
        order = self._order(X.shape[0])
        if order is not None:
            X, codes, weights = X[order], codes[order], weights[order]
        self._begin(X, codes, weights)
        self._learn(X, codes, weights, self.refine)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn further rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The first call fixes the number of features and, without `init_variance`,
            their spread.
        y : array-like of shape (n_samples,)
            Class labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur; needed in the first call unless all of
            them occur in it.
        sample_weight : array-like of shape (n_samples,), default=None
            Multiplies the posterior of a row; 0 leaves the row out.

        Returns
        -------
        self : IncrementalGaussianMixtureClassifier
            The estimator.

        Raises
        ------
        ValueError
            If a label is not among the classes of the first call.
        """
        first = not hasattr(self, "_states")
        if first:
            self._check_parameters()
        X, y, weights = self._read_rows(X, y, sample_weight, reset=first)
        check_classification_targets(y)
        if first:
            self.classes_ = np.unique(y if classes is None else classes)
        elif classes is not None and not np.array_equal(
            np.unique(classes), self.classes_
        ):
            raise ValueError(
                f"classes={np.unique(classes).tolist()} is not the same as in the "
                f"first call of partial_fit: {self.classes_.tolist()}."
            )
        unseen = np.setdiff1d(y, self.classes_)
        if unseen.size:
            raise ValueError(
                f"y has the labels {unseen.tolist()}, which are not among the classes "
                f"of the first call of partial_fit: {self.classes_.tolist()}."
            )
        codes = np.searchsorted(self.classes_, y)
        if first:
            self._begin(X, codes, weights)
        self._learn(X, codes, weights, 0)
        return self

    def _read_rows(self, X, y, sample_weight, *, reset):
        X, y = validate_data(
            self,
            X,
            y,
            reset=reset,
            dtype=np.float64,
            order="C",
            ensure_all_finite="allow-nan" if self._accepts_nan else True,
        )
        check_magnitude(X)
        return X, column_or_1d(y), self._read_weights(sample_weight, X.shape[0])

    def _begin(self, X, codes, weights):
        """Spread, initial covariance and empty mixtures."""
        self._start(X, weights)
        n_classes = self.classes_.size
        n_states, D = n_classes, X.shape[1]
        if self.target == "onehot":
            share = np.bincount(codes, weights, minlength=n_classes) / weights.sum()
            spread = share * (1.0 - share)
            spread[spread == 0] = spread.max() or 1.0
            self._spread = np.append(self._spread, spread)
            self.init_variance_ = np.append(self.init_variance_, self.delta**2 * spread)
            n_states, D = 1, D + n_classes
        self.chi2_threshold_ = self._rules().threshold
        template = self._empty_state(X)
        fill = np.append(template["fill"], np.zeros(D - X.shape[1]))
        cholesky = self.solver == "cholesky"
        self._states = [empty(D, cholesky=cholesky, fill=fill) for _ in range(n_states)]
        self.class_count_ = np.zeros(n_classes)
        self.n_samples_seen_ = 0

    def _learn(self, X, codes, weights, n_refine):
        rules = self._rules()
        if self.target == "onehot":
            Z = np.hstack([X, np.eye(self.classes_.size)[codes]])
            self._states = [_learn_class(self._states[0], Z, weights, rules, n_refine)]
        else:
            present = np.unique(codes[weights > 0])
            tasks = [
                (self._states[c], X[codes == c], weights[codes == c], rules, n_refine)
                for c in present
            ]
            found = run_tasks(_learn_class, tasks, self.n_jobs)
            for c, state in zip(present, found):
                self._states[c] = state
            self.class_n_components_ = np.array([s["K"] for s in self._states])
        self._cache = {}
        self.class_count_ = self.class_count_ + np.bincount(
            codes, weights, minlength=self.classes_.size
        )
        self.n_components_ = sum(state["K"] for state in self._states)
        self.n_samples_seen_ += X.shape[0]

    def _rest(self):
        """Arrays of all components; weights within a class add up to one."""
        cache = self._cache
        if "rest" not in cache:
            parts = [rest_of(Stream(s)) for s in self._states if s["K"]]
            cache["rest"] = {
                name: np.concatenate([part[name] for part in parts])
                for name in parts[0]
            }
        return cache["rest"]

    def _class_joint(self, X):
        """``log p(x | c) + log pi_c`` of shape (n, n_classes)."""
        rest = self._rest()
        joint = np.empty((X.shape[0], rest["weights"].size))
        for missing, rows in _gaussian.patterns(np.isnan(X)):
            if missing.any():
                found = _gaussian.condition(
                    X[rows], missing, **rest, covariances=self._rest_covariances
                )
                joint[rows] = found.log_joint_
            else:
                joint[rows] = _gaussian.log_joint(X[rows], **rest, n_jobs=self.n_jobs)
        prior = self.class_count_ / self.class_count_.sum()
        found = np.full((X.shape[0], prior.size), -np.inf)
        start = 0
        for c, K in enumerate(self.class_n_components_):
            if K:
                part = logsumexp(joint[:, start : start + K], axis=1)
                found[:, c] = part + np.log(prior[c])
                start += K
        return found

    def _proba(self, X):
        if self.target == "class_conditional":
            return softmax(self._class_joint(X), axis=1)
        found = np.empty((X.shape[0], self.classes_.size))
        for rows, conditional in self._onehot_conditionals(X):
            found[rows] = conditional.mean()[:, -self.classes_.size :]
        found = np.clip(found, 0.0, 1.0)
        # A row that every class column leaves below zero falls back to frequencies.
        found[found.sum(axis=1) == 0] = self.class_count_ / self.class_count_.sum()
        return found / found.sum(axis=1, keepdims=True)

    def _onehot_conditionals(self, X):
        Z = np.hstack([X, np.full((X.shape[0], self.classes_.size), np.nan)])
        for missing, rows in _gaussian.patterns(np.isnan(Z)):
            yield (
                rows,
                _gaussian.condition(
                    Z[rows], missing, **self._rest(), covariances=self._rest_covariances
                ),
            )

    def predict(self, X):
        """Most probable class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        X = self._read(X)
        return self.classes_[np.argmax(self._proba(X), axis=1)]

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        return self._proba(self._read(X))

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
        """
        X = self._read(X)
        if self.target == "class_conditional":
            return log_softmax(self._class_joint(X), axis=1)
        with np.errstate(divide="ignore"):
            return np.log(self._proba(X))

    def score(self, X, y, sample_weight=None):
        """Share of rows whose class is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to classify.
        y : array-like of shape (n_samples,)
            Their classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        accuracy : float
        """
        return super().score(X, y, sample_weight)

    def score_samples(self, X):
        """Log-density of the features, all classes together; low for unknown rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        X = self._read(X)
        if self.target == "class_conditional":
            return logsumexp(self._class_joint(X), axis=1)
        found = np.empty(X.shape[0])
        for rows, conditional in self._onehot_conditionals(X):
            found[rows] = conditional.log_density_
        return found

    def __sklearn_is_fitted__(self):
        return hasattr(self, "class_count_")

    def _joined(self, name, axis=0):
        check_is_fitted(self)
        cut = (slice(None),) * axis
        return np.concatenate(
            [state[name][(*cut, slice(state["K"]))] for state in self._states],
            axis=axis,
        )

    def _total(self, k):
        check_is_fitted(self)
        return int(sum(state["counters"][k] for state in self._states))

    @property
    def component_classes_(self):
        """Index of the class of each component; only with "class_conditional"."""
        check_is_fitted(self)
        if self.target == "onehot":
            raise AttributeError("Components of target='onehot' belong to no class.")
        return np.repeat(np.arange(self.classes_.size), self.class_n_components_)

    @property
    def means_(self):
        """Means, of shape (n_components, D)."""
        return self._joined("mean")

    @property
    def counts_(self):
        """Accumulated posterior, of shape (n_components,)."""
        return self._joined("state", axis=1)[2]

    @property
    def log_dets_(self):
        """Log-determinants of the covariances, of shape (n_components,)."""
        return self._joined("state", axis=1)[1]

    @property
    def ages_(self):
        """Points seen since creation, of shape (n_components,)."""
        return self._joined("age")

    @property
    def n_created_(self):
        """Number of components that were created."""
        return self._total(0)

    @property
    def n_pruned_(self):
        """Number of components that were pruned."""
        return self._total(1)

    @property
    def n_fallbacks_(self):
        """Number of points at which the published update gave way."""
        return self._total(2)

    @property
    def n_floored_(self):
        """Number of times that a covariance was lifted to the floor."""
        check_is_fitted(self)
        return sum(state["n_floored"] for state in self._states)


def _learn_class(state, X, weights, rules, n_refine):
    """Learn the rows of one mixture; arrays in, arrays out."""
    stream = Stream(state).learn(X, weights, rules)
    if n_refine:
        refine(stream, X, weights, rules, n_refine, lambda i, objective: False)
    return stream.arrays()
