# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._callbacks import CallbackSupportMixin, fit_callbacks
from ._base import StructuredFactorModel
from ._confirmatory import warn_about
from ._data import read_table
from ._estimate import estimate, independence
from ._selection import StructureSelection
from ._solver import Fit, Support, run_em, standard_start, with_positive_columns


class CorrelationThresholding(
    CallbackSupportMixin, StructureSelection, StructuredFactorModel
):
    """Number of factors and their variables from thresholded correlations.

    Variables are joined where ``|r|`` exceeds a threshold; each maximal clique with a
    member of its own is a factor. The thresholds give a path of structures, one is
    chosen, and its loadings, factor correlations and unique variances are estimated
    by maximum likelihood. Neither a number of factors nor a rotation is needed.

    Parameters
    ----------
    threshold : float in [0, 1) or {"bic", "ebic", "aic", "cv", "plateau"}, \
default="bic"
        A threshold, or how one is chosen: by an information criterion of the fitted
        structures ("ebic" also pays for the number of possible patterns), by
        cross-validated log-likelihood, or the structure that lasts longest, which
        needs no fit but is misled by factor correlations of 0.5 and more.
    thresholds : int, array-like, "all" or None, default=None
        Grid of a rule, as in :func:`correlation_threshold_path`. None: all thresholds
        that change the graph up to 30 variables, 100 values beyond; with a scaled
        similarity or a completion the 49 values 0.02, 0.04, ..., 0.98.
    min_clique_size : int, default=2
        Smallest clique that is a factor.
    corr : {"pearson", "spearman", "precomputed"} or callable, default="pearson"
        How correlations are computed. "precomputed": ``fit`` takes a correlation or
        covariance matrix and ``n_samples``. A callable maps the rows to a correlation
        matrix.
    method : {"ml", "uls"}, default="ml"
        Estimation of the chosen structure; choices always use the likelihood.
    orthogonal : bool, default=False
        Whether the factors are uncorrelated.
    similarity : {"correlation", "smc", "efa", "auto"}, default="correlation"
        What is thresholded. "smc" divides ``|r|`` by the square roots of the squared
        multiple correlations, "efa" takes the cosines between rows of exploratory
        loadings: both suit variables of unequal strength. "auto" pools the
        structures of all three.
    refine : {"none", "assign", "score", "marker"}, default="none"
        Completion of each structure before they are compared. "assign" gives
        variables without a factor to one. "score" also adds and drops cross-loadings:
        with ``similarity="auto"`` the choice for real data. "marker" keeps one
        variable of each factor and thins out all other loadings: the best density,
        the least simple structure.
    min_items : int, default=2
        With a completion, factors with fewer variables are deleted.
    ebic_gamma : float, default=0.5
        Weight of the extra penalty of "ebic" and of "score".
    scores : {"regression", "bartlett"}, default="regression"
        What ``transform`` returns.
    missing : {"error", "listwise", "pairwise"}, default="error"
        What NaN means to ``fit``: an error, dropped rows, or correlations of the rows
        that have both variables.
    max_iter : int, default=200
        Largest number of Newton steps for the chosen structure.
    tol : float, default=1e-8
        As in :class:`ConfirmatoryFactorAnalysis`.
    min_noise : float, default=1e-4
        Lower bound of a unique variance, as a share of the variable's variance.
    cv : int, default=5
        Folds of ``threshold="cv"``: consecutive blocks of rows.
    n_jobs : int, default=None
        Candidates fitted in parallel; the result does not depend on it.
    verbose : int, default=0
        Whether iterations are logged to
        ``logging.getLogger("skstruct.factor_analysis")``.

    Attributes
    ----------
    support_ : ndarray of bool of shape (n_features, n_components)
        Which variables load on which factor.
    threshold_ : float
        Smallest threshold of the grid that gives the chosen structure (before its
        completion); NaN for the one-factor fallback.
    similarity_ : str
        The similarity whose threshold it is.
    n_components_ : int
        Number of factors.
    unassigned_ : ndarray of int
        Variables without a factor; they stay in the model as independent ones.
    path_ : list of dict
        One entry for each distinct structure by threshold: ``threshold``,
        ``tau_high``, ``similarity``, ``n_components``, ``n_loadings``, ``bic``,
        ``criterion`` (what was minimised), ``converged`` and ``heywood``. ``bic`` is
        NaN for structures that are not identified or were not fitted, and that of an
        unfinished fit where ``converged`` is False.
    loadings_ : ndarray of shape (n_features, n_components)
        In the units of the variables; each factor is oriented so that its loadings
        have a positive sum.
    components_ : ndarray of shape (n_components, n_features)
        The transpose, in scikit-learn's shape.
    factor_corr_ : ndarray of shape (n_components, n_components)
        Correlations of the factors.
    noise_variance_ : ndarray of shape (n_features,)
        Unique variances.
    mean_, scale_ : ndarrays of shape (n_features,)
        Mean and standard deviation of the variables.
    n_samples_ : float
        Number of rows; with "pairwise" the mean number of rows of a pair.
    heywood_ : ndarray of int
        Variables whose unique variance is at its lower bound.
    correlation_ : ndarray of shape (n_features, n_features) or None
        Correlations; not kept beyond 3000 variables.
    loglike_ : float
        Log-likelihood of the training rows.
    n_iter_ : int
        Steps of the final fit.
    converged_ : bool
        Whether the final fit reached `tol`.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    correlation_threshold_path : The structures alone.
    ConfirmatoryFactorAnalysis : Estimates for a given structure.
    ExploratoryFactorAnalysis : All loadings and a rotation.

    Notes
    -----
    If correlations within factors exceed all others by a gap, and every factor has a
    variable of its own, each threshold in the gap gives the structure of the
    population; sample correlations within half the gap of the true ones suffice.

    Cost: ``O(n_samples n_features^2)`` for the correlations, about ``n_features^2``
    byte operations for all thresholds together, and ``O(n_features^2 d)`` for each EM
    step of the up to ten structures that are fitted in full. Beyond 3000 variables
    correlations are never kept, and beyond 2000 only the ten structures of the longest
    intervals are fitted.

    When nothing is found, a threshold that was given leads to the model of
    independent variables, with a warning, and a rule to one factor on all variables.

    References
    ----------
    Kim, Zhou (2023), Structure learning of latent factors via clique search on
    correlation thresholded graphs, ICML. Kim, Lu, Zhou (2025), The correlation
    thresholding algorithm for exploratory factor analysis, Structural Equation
    Modeling. Chen, Chen (2008), Extended Bayesian information criteria for model
    selection with large model spaces, Biometrika 95.

    Examples
    --------
    >>> from skstruct.datasets import load_holzinger_swineford
    >>> from skstruct.factor_analysis import CorrelationThresholding
    >>> hs = load_holzinger_swineford()
    >>> ct = CorrelationThresholding().fit(hs.data)
    >>> for factor in ct.support_.T:
    ...     print([hs.feature_names[i] for i in factor.nonzero()[0]])
    ['x1', 'x2', 'x3', 'x9']
    ['x1', 'x4', 'x5', 'x6', 'x9']
    ['x7', 'x8', 'x9']
    """

    _parameter_constraints = {
        "threshold": [
            StrOptions({"bic", "ebic", "aic", "cv", "plateau"}),
            Interval(Real, 0, 1, closed="left"),
        ],
        "thresholds": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"all"}),
            None,
        ],
        "min_clique_size": [Interval(Integral, 2, None, closed="left")],
        "corr": [StrOptions({"pearson", "spearman", "precomputed"}), callable],
        "method": [StrOptions({"ml", "uls"})],
        "orthogonal": ["boolean"],
        "similarity": [StrOptions({"correlation", "smc", "efa", "auto"})],
        "refine": [StrOptions({"none", "assign", "score", "marker"})],
        "min_items": [Interval(Integral, 2, None, closed="left")],
        "ebic_gamma": [Interval(Real, 0, None, closed="left")],
        "scores": [StrOptions({"regression", "bartlett"})],
        "missing": [StrOptions({"error", "listwise", "pairwise"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "min_noise": [Interval(Real, 0, 1, closed="left")],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        threshold="bic",
        *,
        thresholds=None,
        min_clique_size=2,
        corr="pearson",
        method="ml",
        orthogonal=False,
        similarity="correlation",
        refine="none",
        min_items=2,
        ebic_gamma=0.5,
        scores="regression",
        missing="error",
        max_iter=200,
        tol=1e-8,
        min_noise=1e-4,
        cv=5,
        n_jobs=None,
        verbose=0,
    ):
        self.threshold = threshold
        self.thresholds = thresholds
        self.min_clique_size = min_clique_size
        self.corr = corr
        self.method = method
        self.orthogonal = orthogonal
        self.similarity = similarity
        self.refine = refine
        self.min_items = min_items
        self.ebic_gamma = ebic_gamma
        self.scores = scores
        self.missing = missing
        self.max_iter = max_iter
        self.tol = tol
        self.min_noise = min_noise
        self.cv = cv
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, n_samples=None):
        """Find the structure and estimate its parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; a correlation or covariance matrix with ``corr="precomputed"``.
        y : None
            Ignored, present by scikit-learn's convention.
        n_samples : int, default=None
            Number of rows behind a precomputed matrix.

        Returns
        -------
        self : CorrelationThresholding
            Fitted estimator.

        Raises
        ------
        ValueError
            If `X` has a constant column or fewer than 3 rows, a precomputed matrix is
            no correlation or covariance matrix, a threshold is outside [0, 1), or
            ``similarity="smc"`` is asked for with more variables than rows.
        """
        table = read_table(self, X, n_samples)
        with fit_callbacks(self, X=X, max_iter=self.max_iter) as step:
            if self.threshold == "cv" and table.X is None:
                raise ValueError(
                    "threshold='cv' needs rows, and corr='precomputed' has none."
                )
            chosen, path = self._choose(table)
            self.path_ = path
            fit, mask, orthogonal = self._final_fit(table, chosen, step)
        self._store(table, fit, mask, orthogonal=orthogonal)
        self._report(table, fit, chosen)
        return self

    # The chosen structure ----------------------------------------------------------

    def _final_fit(self, table, chosen, step):
        """Fit, support and whether factor correlations are fixed at zero."""
        p = table.scale.size
        self._fallback = False
        self.similarity_ = "correlation" if chosen is None else chosen.label
        if chosen is None:
            if not isinstance(self.threshold, str):
                self.threshold_ = float(self.threshold)
                fit = independence(table, self.method)
                return fit, np.zeros((p, 0), dtype=bool), self.orthogonal
            self._fallback = True
            self.threshold_ = np.nan
            mask, start = np.ones((p, 1), dtype=bool), None
        else:
            self.threshold_ = float(chosen.threshold)
            order = np.lexsort(~chosen.mask[::-1])
            mask = np.ascontiguousarray(chosen.mask[:, order])
            start = None
            if chosen.params is not None:
                loadings, corr, _ = chosen.params
                start = chosen.params._replace(
                    loadings=np.ascontiguousarray(loadings[:, order]),
                    corr=np.ascontiguousarray(corr[np.ix_(order, order)]),
                )
        support = Support(mask)
        if support.n_parameters(self.orthogonal) > p * (p + 1) // 2:
            # Not identified: the EM result from the standard start is kept.
            floor = np.full(p, max(self.min_noise, 1e-12))
            begin = standard_start(table.moments, support, self.orthogonal)
            fit = run_em(
                table.moments, begin, support, floor,
                n_steps=100, tol=self.tol, orthogonal=self.orthogonal,
            )  # fmt: skip
            fit = Fit(with_positive_columns(fit.params), fit.F, fit.n_iter, True, 0.0)
            return fit, mask, self.orthogonal
        _, fit = estimate(
            table,
            support,
            method=self.method,
            orthogonal=self.orthogonal,
            min_noise=self.min_noise,
            tol=self.tol,
            max_iter=self.max_iter,
            step=step,
            start=start,
        )
        return fit, mask, self.orthogonal

    def _report(self, table, fit, chosen):
        p, q = table.scale.size, self._n_parameters()
        if self.n_components_ == 0:
            warnings.warn(self._nothing_found(), UserWarning, stacklevel=4)
            return
        if self._fallback:
            identified = (
                ""
                if q <= p * (p + 1) // 2
                else f" With {p} variables that model is not identified: the result of "
                "the EM algorithm from the standard start is kept."
            )
            warnings.warn(
                "No threshold gives an identified structure of cliques; one factor on "
                f"all variables is fitted instead.{identified}",
                UserWarning,
                stacklevel=4,
            )
            return
        if q > p * (p + 1) // 2:
            warnings.warn(
                f"threshold={self.threshold_:.4g} gives a structure with {q} "
                f"parameters for {p * (p + 1) // 2} variances and covariances: it is "
                "not identified, and the result of the EM algorithm from the standard "
                "start is kept.",
                UserWarning,
                stacklevel=4,
            )
            return
        warn_about(self, fit, stacklevel=5)

    def _nothing_found(self):
        largest = ""
        if self.correlation_ is not None and self.n_features_in_ > 1:
            off = np.abs(self.correlation_ - np.diag(np.diag(self.correlation_)))
            largest = f" (the largest |r| is {off.max():.4g})"
        return (
            f"threshold={self.threshold_:.4g} leaves no clique of "
            f"{self.min_clique_size} variables{largest}: the variables are modelled "
            "as independent. Take a smaller threshold."
        )

    def _check_any_factor(self):
        if self.n_components_ == 0:
            raise ValueError(f"There is no factor to score. {self._nothing_found()}")

    def to_networkx(self, threshold=None):
        """The thresholded correlation graph.

        Parameters
        ----------
        threshold : float, default=None
            None: ``threshold_``, if correlations were thresholded.

        Returns
        -------
        graph : networkx.Graph
            Nodes are the variables' names (or numbers), edges carry ``weight``, the
            correlation; a node's ``factors`` are the numbers of its factors.
        """
        check_is_fitted(self)
        if threshold is None and self.similarity_ != "correlation":
            raise ValueError(
                f"threshold_={self.threshold_:.4g} is one of the similarity "
                f"{self.similarity_!r}; give a threshold of |r|."
            )
        import networkx as nx

        R = self._correlation()
        tau = self.threshold_ if threshold is None else threshold
        if np.isnan(tau):
            tau = 0.0
        names = (
            list(range(self.n_features_in_))
            if not hasattr(self, "feature_names_in_")
            else self._names()
        )
        graph = nx.Graph(threshold=float(tau))
        for i, name in enumerate(names):
            graph.add_node(name, factors=np.flatnonzero(self.support_[i]).tolist())
        for i, j in zip(*np.nonzero(np.triu(np.abs(R) > tau, 1)), strict=True):
            graph.add_edge(names[i], names[j], weight=float(R[i, j]))
        return graph
