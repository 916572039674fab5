# SPDX-License-Identifier: BSD-3-Clause

import logging
import warnings
from dataclasses import replace
from numbers import Integral, Real

import networkx as nx
import numpy as np
from scipy.stats import norm
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .._base import StructEstimator
from .._parallel import run_tasks, short_task_threads
from ._blocks import (
    correlated_blocks,
    finish,
    fit_gmm,
    fit_olc,
    margins,
    prior_masks,
    share_latents,
)
from ._bootstrap import CausalBootstrap
from ._checks import check_columns, warn_columns
from ._independence import IndependenceTest
from ._moments import (
    layout,
    moment_count,
    pair_positions,
    sample_moments,
    tilt_widths,
)
from ._structure import Model, empty_model

_logger = logging.getLogger("skstruct.causal")
_MAX_MOMENTS = 4000


class CumulantLvLiNGAM(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, StructEstimator
):
    """Causal graph with latent common causes, from all higher-order cumulants.

    The model is linear, ``x = B x + Lam L + e``, with an acyclic B and independent
    non-Gaussian noises e and latents L of variance one. Edges, latents, their children
    and all coefficients are chosen together by a penalised fit of the covariance and of
    tilted covariances, which hold the cumulants of every order, between uncorrelated
    combinations of the columns.

    Parameters
    ----------
    max_latents : int, default=None
        Largest number of latents; 0 gives a LiNGAM fit without latents, None leaves
        the number to the criterion.
    min_children : int in [2, ...), default=3
        Fewest children of a latent. Two are not identified beside an edge between
        them.
    tau : float, default=1.0
        Tilt, in standard deviations. Smaller values rely on low orders and suit heavy
        tails, larger ones on high orders.
    moments : {"two-stage", "pair", "all"}, default="two-stage"
        Entries of the tilted covariances: "all", "pair" for those of the tilted
        variable and all variances (faster, a little less accurate), "two-stage" for
        "pair" in the search and "all" at its end.
    penalty : "bic" or float, default="bic"
        Price of an edge or loading; "bic" is ``log(n_samples)``.
    delta : float, default=2.0
        An edge whose reversal costs less than this in the criterion is listed in
        ``undetermined_pairs_``; 2 is a factor e in the weight of evidence.
    method : {"gmm", "olc"}, default="gmm"
        "gmm": the penalised fit. "olc": structure by the tests of the One-Latent-
        Component procedure, coefficients by the same fit; faster and less accurate.
    alpha : float in (0, 1), default=0.01
        Level of the tests of ``method="olc"``.
    prior_knowledge : array-like of shape (n_features, n_features), default=None
        Entry [i, j]: 1, a directed path leads from j to i; 0, none does; -1, unknown.
    tol : float, default=0.02
        The fit of a candidate ends when an iteration lowers n times the distance of
        the moments by less; the chosen one is refitted to 1e-9.
    max_iter : int, default=12
        Levenberg-Marquardt steps for a candidate.
    n_restarts : int, default=4
        Further searches, each from the best structure without a random third of its
        edges and loadings, the second from its latents alone; against local optima.
        Left out where the best structure is sparse and without latents. Most end
        where an earlier search came by, and cost little.
    n_jobs : int, default=None
        Threads for candidates and bootstrap replicates. Results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of restarts, bootstrap and random features of the independence tests;
        nothing else is random.
    verbose : int, default=0
        Whether accepted moves are logged to ``logging.getLogger("skstruct.causal")``.

    Attributes
    ----------
    adjacency_matrix_ : ndarray of shape (p, p)
        Direct effects, row = effect, column = cause; NaN in both places of an
        undetermined pair.
    effects_ : ndarray of shape (p, p)
        The same with the fitted coefficients of undetermined pairs.
    adjacency_se_, p_values_ : ndarrays of shape (p, p)
        Standard errors of the edges and two-sided p-values of "the edge is zero",
        given the structure: they ignore that it was selected. NaN without an edge.
    causal_order_ : list of int
        Variables, causes before effects.
    n_latents_ : int
        Number of latents.
    latent_loadings_, loadings_se_ : ndarrays of shape (p, n_latents)
        Direct effects of the latents and their standard errors; the first child's
        loading is positive.
    latent_children_ : list of lists of int
        Children of each latent, in ascending order.
    mixing_matrix_ : ndarray of shape (p, p + n_latents)
        ``[T, T Lam]`` with ``T = (I - B)^-1``: total effects of noises and latents.
    noise_variance_ : ndarray of shape (p,)
        Variances of the noises.
    criterion_ : float
        Penalised objective of the chosen structure.
    objective_ : float
        n times the weighted distance of the moments; with the shrunk weight it is a
        third to half of the degrees of freedom under a correct model.
    dof_ : int
        Number of moments minus number of parameters.
    reversal_margin_ : ndarray of shape (p, p)
        For each edge, how much the criterion of the best model with the edge
        reversed is above the chosen one; NaN where prior knowledge forbids it.
    undetermined_pairs_ : list of tuples
        Pairs whose direction is undetermined.
    trace_ : list of (str, float)
        Accepted moves of all searches with their criterion (that of the "pair"
        moments in the first stage of two); for "olc" decisions with p-values.
    n_iter_ : int
        Number of accepted moves, at least one.
    blocks_ : list of ndarrays
        Groups of columns that were fitted apart, without correlation between them.
    mean_, scale_ : ndarrays of shape (p,)
        Mean and standard deviation of the columns.
    n_features_in_ : int
        Number of variables p.
    feature_names_in_ : ndarray of shape (p,)
        Names of the columns, when all are strings.

    See Also
    --------
    CumulantPairwise : Two variables.

    Notes
    -----
    With o = exp(i tau x_i) / mean(exp(i tau x_i)), the covariance of all variables
    under the weights o is the Hessian of the log characteristic function at tau along
    x_i. It equals ``A diag(d_i) A'`` with one weight per component, and that of a
    component that does not reach x_i is its variance: this is how edges get a
    direction. The moments are weighted by the inverse of their estimated covariance,
    shrunk to its diagonal by K / (K + n). A structure costs log(n) per edge and loading
    and 1 per free weight. The search starts from the empty graph and from
    DirectLiNGAM's and moves by adding, deleting and reversing edges and loadings and by
    inserting, splitting, merging and removing latents.

    With p columns the moments number K = p (p + 1) / 2 (1 + 2p); their covariance costs
    n K^2, the only part that grows with the rows. Tables are cut into blocks without
    correlation between them, unless prior knowledge demands a path.

    References
    ----------
    Cai, Huang, Chen, Hao, Zhang (2023), Causal discovery with latent confounders based
    on higher-order cumulants, ICML. Schkoda, Robeva, Drton (2024), Causal discovery of
    linear non-Gaussian causal models with unobserved confounding. Hoyer, Shimizu,
    Kerminen, Palviainen (2008), Estimation of causal effects using linear non-Gaussian
    causal models with hidden variables, International Journal of Approximate Reasoning
    49. Podosinnikova, Perry, Wein, Bach, d'Aspremont, Sontag (2019), Overcomplete
    independent component analysis via SDP, AISTATS. Shimizu et al. (2011),
    DirectLiNGAM, JMLR 12. Andrews (1999), Consistent moment selection procedures for
    generalized method of moments estimation, Econometrica 67.

    Examples
    --------
    >>> from skstruct.causal import CumulantLvLiNGAM
    >>> from skstruct.datasets import make_latent_lingam
    >>> data = make_latent_lingam("D1", n_samples=2000, random_state=0)
    >>> model = CumulantLvLiNGAM().fit(data.X)
    >>> model.latent_children_
    [[0, 1, 2]]
    >>> sorted((int(j), int(i)) for i, j in zip(*model.effects_.nonzero()))
    [(0, 1), (2, 3)]
    """

    _parameter_constraints = {
        "max_latents": [Interval(Integral, 0, None, closed="left"), None],
        "min_children": [Interval(Integral, 2, None, closed="left")],
        "tau": [Interval(Real, 0, None, closed="neither")],
        "moments": [StrOptions({"two-stage", "pair", "all"})],
        "penalty": [StrOptions({"bic"}), Interval(Real, 0, None, closed="neither")],
        "delta": [Interval(Real, 0, None, closed="left")],
        "method": [StrOptions({"gmm", "olc"})],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "prior_knowledge": ["array-like", None],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_restarts": [Interval(Integral, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        max_latents=None,
        *,
        min_children=3,
        tau=1.0,
        moments="two-stage",
        penalty="bic",
        delta=2.0,
        method="gmm",
        alpha=0.01,
        prior_knowledge=None,
        tol=0.02,
        max_iter=12,
        n_restarts=4,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.max_latents = max_latents
        self.min_children = min_children
        self.tau = tau
        self.moments = moments
        self.penalty = penalty
        self.delta = delta
        self.method = method
        self.alpha = alpha
        self.prior_knowledge = prior_knowledge
        self.tol = tol
        self.max_iter = max_iter
        self.n_restarts = n_restarts
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Find the structure and estimate its coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Independent rows, finite; at least two columns and
            ``max(10, 2 * n_features)`` rows (in earnest, thousands).
        y : None
            Ignored.

        Returns
        -------
        self : CumulantLvLiNGAM

        Raises
        ------
        ValueError
            For too few rows; a constant column; two columns of a correlation above
            1 - 1e-8, or more that are linearly dependent; too many connected columns
            for the moments; prior knowledge with a cycle.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_features=2)
        names = getattr(self, "feature_names_in_", None)
        check_columns(X, min_samples=max(10, 2 * X.shape[1]), names=names)
        warn_columns(X, names=names)
        prior = prior_masks(self._prior(X.shape[1]), X.shape[1])
        with short_task_threads(self.n_jobs) as pool:
            self._fit(X, prior, pool)
        return self

    def _prior(self, p):
        if self.prior_knowledge is None:
            return None
        prior = check_array(self.prior_knowledge, input_name="prior_knowledge")
        if prior.shape != (p, p):
            raise ValueError(
                f"prior_knowledge must have shape (n_features, n_features) = "
                f"{(p, p)}, got {prior.shape}."
            )
        if not np.isin(prior, (-1, 0, 1)).all():
            raise ValueError("prior_knowledge may hold -1, 0 and 1 only.")
        return prior

    def _options(self, n, p, pool):
        return {
            "price": np.log(n) if self.penalty == "bic" else float(self.penalty),
            "min_children": self.min_children,
            "max_latents": p if self.max_latents is None else self.max_latents,
            "moments": self.moments,
            "tol": self.tol,
            "max_iter": self.max_iter,
            "n_restarts": self.n_restarts,
            "pool": pool,
        }

    def _fit(self, X, prior, pool=None, warm=None):
        n, p = X.shape
        rng = check_random_state(self.random_state)
        self.mean_ = X.mean(axis=0)
        self.scale_ = X.std(axis=0)
        Z = (X - self.mean_) / self.scale_
        self._tau = tilt_widths(Z, self.tau)
        blocks = correlated_blocks(Z)
        if prior[0] is not None and prior[0].any():
            # A demanded path may cross blocks.
            blocks = [np.arange(p)]
        widest = max(map(len, blocks))
        if self.moments != "pair" and self.method == "gmm":
            count = moment_count(widest, "all")
            if count > _MAX_MOMENTS:
                raise ValueError(
                    f"{widest} connected columns have {count} moments, more than "
                    f"{_MAX_MOMENTS}: take moments='pair' or fewer columns."
                )
        self.blocks_ = blocks
        test = IndependenceTest("auto", rng)
        options = self._options(n, p, pool)
        starts = [None if warm is None else warm.restricted(c) for c in blocks]
        limit = options["max_latents"]

        def solve(k, most):
            return self._solve(
                Z, blocks[k], prior, {**options, "max_latents": most}, rng, test,
                starts[k],
            )  # fmt: skip

        parts = [solve(k, limit) for k in range(len(blocks))]
        found = [part[0].mask_L.shape[1] for part in parts]
        if sum(found) > limit:
            # The latents go to the blocks that gain most from them.
            fewer = [
                [solve(k, most) for most in range(min(limit, found[k]))] + [parts[k]]
                for k in range(len(blocks))
            ]
            criteria = [[part[0].criterion for part in row] for row in fewer]
            numbers = share_latents(criteria, limit)
            parts = [row[number] for row, number in zip(fewer, numbers)]
        self._assemble(parts, n, p)
        return self

    def _solve(self, Z, columns, prior, options, rng, test, warm=None):
        """Model, estimates, counts, margins and trace of one block."""
        Z = np.ascontiguousarray(Z[:, columns])
        tau = self._tau[columns]
        sub = tuple(
            None if mask is None else mask[np.ix_(columns, columns)] for mask in prior
        )
        undetermined = []
        if len(columns) == 1:
            model = replace(empty_model(1), Q=0.0, criterion=0.0)
            none = np.full((1, 1), np.nan)
            estimates = model.B, model.Lam, none, model.Lam
            return model, estimates, 0, none, [], [], None
        if self.method == "olc":
            model, search, found = fit_olc(Z, tau, options, sub, test, self.alpha)
            trace = found.decisions + search.trace
            undetermined = found.undetermined
        else:
            model, search = fit_gmm(Z, tau, options, sub, rng, warm)
            trace = search.trace
        model, B, Lam, se_B, se_L, size = finish(search, model, Z, tau)
        if self.method == "gmm" and warm is None:
            margin = margins(search, model)
            undetermined = [
                (int(min(i, j)), int(max(i, j)))
                for i, j in np.argwhere(margin < self.delta)
            ]
        else:
            margin = np.full(model.B.shape, np.nan)
        if self.verbose:
            for move, value in trace:
                _logger.info("%s: %.6g", move, value)
        dof = len(search.moments.c) - size
        estimates = B, Lam, se_B, se_L
        return model, estimates, dof, margin, undetermined, trace, search.moments

    def _assemble(self, parts, n, p):
        """Attributes in the units of the data from the fitted blocks."""
        q = sum(part[0].mask_L.shape[1] for part in parts)
        B, se = np.zeros((p, p)), np.full((p, p), np.nan)
        margin = np.full((p, p), np.nan)
        Lam, se_L = np.zeros((p, q)), np.full((p, q), np.nan)
        k2 = np.ones(p)
        self._weights, self._model_moments, self._layouts, self._sides = [], [], [], []
        self.undetermined_pairs_, self.trace_ = [], []
        self.criterion_ = self.objective_ = 0.0
        self.dof_ = 0
        latents = []
        first = 0
        for columns, part in zip(self.blocks_, parts):
            model, (B_, Lam_, s_B, s_L), dof, mg, undetermined, trace, moments = part
            place = np.ix_(columns, columns)
            B[place], se[place], margin[place] = B_, s_B, mg
            k2[columns] = model.k2
            for k in range(model.mask_L.shape[1]):
                Lam[columns, first] = Lam_[:, k]
                se_L[columns, first] = s_L[:, k]
                latents.append([int(columns[c]) for c in model.children(k)])
                first += 1
            self.undetermined_pairs_ += [
                (int(columns[i]), int(columns[j])) for i, j in undetermined
            ]
            self.trace_ += trace
            if moments is not None:
                self.criterion_ += model.criterion
                self.objective_ += model.Q
                self.dof_ += dof
                self._remember_moments(model, moments)
        order = sorted(range(q), key=lambda k: latents[k])
        self.latent_children_ = [latents[k] for k in order]
        ratio = self.scale_[:, None] / self.scale_[None, :]
        self.n_latents_ = q
        self.n_iter_ = max(1, len(self.trace_))
        self.effects_ = B * ratio
        self.adjacency_se_ = se * ratio
        self.latent_loadings_ = Lam[:, order] * self.scale_[:, None]
        self.loadings_se_ = se_L[:, order] * self.scale_[:, None]
        self.noise_variance_ = k2 * self.scale_**2
        self.reversal_margin_ = margin
        z = np.divide(B, se, out=np.full((p, p), np.nan), where=se > 0)
        self.p_values_ = 2 * norm.sf(np.abs(z))
        self.adjacency_matrix_ = self.effects_.copy()
        for i, j in self.undetermined_pairs_:
            self.adjacency_matrix_[i, j] = self.adjacency_matrix_[j, i] = np.nan
        T = np.linalg.inv(np.eye(p) - self.effects_)
        T[np.abs(T) < 1e-14] = 0.0
        self.mixing_matrix_ = np.column_stack([T, T @ self.latent_loadings_])
        self.causal_order_ = _topological_order(self.effects_ != 0)

    def _remember_moments(self, model, moments):
        """What `score` needs: the weight and the model of the "pair" moments."""
        from . import _gmm_kernels as kernels

        start, ea, eb = layout(len(model.k2), "pair")
        _, fitted, _ = kernels.jacobian(
            moments.W, start, ea, eb, model.mask_B, model.mask_L,
            model.B, model.Lam, model.k2, model.d,
        )  # fmt: skip
        kept = np.arange(len(ea))
        if len(ea) < len(moments.ea):
            kept = pair_positions(len(model.k2))
        self._weights.append(np.ascontiguousarray(moments.H[np.ix_(kept, kept)]))
        self._model_moments.append(fitted)
        self._sides.append(moments.W)

    def score(self, X, y=None):
        """Minus the weighted distance of the moments of new data to the model's.

        The weight comes from the training data and does not depend on the structure,
        so that candidates of one fold of a search are comparable.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows, at least two.
        y : None
            Ignored.

        Returns
        -------
        score : float
            Higher is better. Beyond the true number of latents it stays level, since
            the criterion refuses further ones.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False, ensure_min_samples=2)
        Z = (X - self.mean_) / self.scale_
        total = 0.0
        wide = [columns for columns in self.blocks_ if len(columns) > 1]
        for columns, H, fitted, W in zip(
            wide, self._weights, self._model_moments, self._sides
        ):
            c = sample_moments(Z[:, columns], *layout(len(columns), "pair"),
                               self._tau[columns], W)  # fmt: skip
            r = c - fitted
            total -= float(r @ H @ r)
        # The same structure reached on two ways differs by the tolerance of the refit:
        # such candidates must tie, so that a search takes the smaller one.
        return round(total, 6)

    def transform(self, X):
        """Best linear prediction of the latents.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        L : ndarray of shape (n_samples, n_latents)
            ``E[L | x]`` among linear functions of x.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        p = self.n_features_in_
        A = self.mixing_matrix_ / self.scale_[:, None]
        variance = np.concatenate([self.noise_variance_, np.ones(self.n_latents_)])
        Sigma = (A * variance) @ A.T
        projection = np.linalg.solve(Sigma, A[:, p:])
        return ((X - self.mean_) / self.scale_) @ projection

    @property
    def _n_features_out(self):
        return self.n_latents_

    def estimate_total_effect(self, from_index, to_index):
        """Total effect of one variable on another, through all directed paths.

        Parameters
        ----------
        from_index, to_index : int
            Columns of cause and effect.

        Returns
        -------
        effect : float
            Change of the effect for a unit change of the cause.
        """
        check_is_fitted(self)
        for name, index in (("from_index", from_index), ("to_index", to_index)):
            if not 0 <= index < self.n_features_in_:
                raise ValueError(
                    f"{name}={index} must lie in [0, {self.n_features_in_})."
                )
        return float(self.mixing_matrix_[to_index, from_index])

    def get_error_independence_p_values(self, X, *, test="auto"):
        """Tests of independence between the residuals ``(I - B) x``.

        A small p-value for two children of one latent is no surprise: the latent is
        part of both residuals. Elsewhere it speaks against the structure.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, usually those of ``fit``.
        test : {"auto", "rff", "cumulant", "hsic"}, default="auto"
            "rff": HSIC with random Fourier features, linear in the rows; "cumulant":
            cross-cumulants to order 4, strong for light tails; "auto": both when the
            tails are light, else "rff"; "hsic": exact, on at most 2,000 rows.

        Returns
        -------
        p_values : ndarray of shape (n_features, n_features)
            Symmetric; NaN on the diagonal.
        """
        check_is_fitted(self)
        if test not in ("auto", "rff", "cumulant", "hsic"):
            raise ValueError(
                f"test must be 'auto', 'rff', 'cumulant' or 'hsic', got {test!r}."
            )
        X = validate_data(self, X, dtype=np.float64, reset=False, ensure_min_samples=20)
        p = self.n_features_in_
        E = ((X - self.mean_) @ (np.eye(p) - self.effects_).T) / self.scale_
        run = IndependenceTest(test, check_random_state(self.random_state))
        P = np.full((p, p), np.nan)
        for i in range(p):
            for j in range(i + 1, p):
                P[i, j] = P[j, i] = run(E[:, i], E[:, j])
        return P

    def to_networkx(self):
        """The graph, with latents as nodes.

        Returns
        -------
        graph : networkx.DiGraph
            Nodes: column names (or numbers) with ``observed=True`` and "L0", "L1", ...
            with ``observed=False``. Edges have ``weight`` and ``kind``: "direct",
            "latent" or "undetermined".
        """
        check_is_fitted(self)
        p = self.n_features_in_
        names = getattr(self, "feature_names_in_", None)
        labels = list(range(p)) if names is None else [str(name) for name in names]
        graph = nx.DiGraph()
        graph.add_nodes_from(labels, observed=True)
        unsure = {frozenset(pair) for pair in self.undetermined_pairs_}
        for i, j in np.argwhere(self.effects_ != 0):
            kind = "undetermined" if frozenset((int(i), int(j))) in unsure else "direct"
            graph.add_edge(
                labels[j], labels[i], weight=float(self.effects_[i, j]), kind=kind
            )
        for i, j in self.undetermined_pairs_:
            if not (self.effects_[i, j] or self.effects_[j, i]):
                graph.add_edge(
                    labels[i], labels[j], weight=float("nan"), kind="undetermined"
                )
        for k, children in enumerate(self.latent_children_):
            node = f"L{k}"
            graph.add_node(node, observed=False)
            for i in children:
                graph.add_edge(
                    node,
                    labels[i],
                    weight=float(self.latent_loadings_[i, k]),
                    kind="latent",
                )
        return graph

    def bootstrap(self, X, n_sampling=50, *, warm=False, n_jobs=None):
        """Refit on resampled rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows of ``fit``.
        n_sampling : int, default=50
            Number of replicates.
        warm : bool, default=False
            Whether a replicate starts from the fitted structure and only adds and
            deletes edges and loadings: ten times faster, and blind to alternatives
            that lie further away. Only for ``method="gmm"``.
        n_jobs : int, default=None
            Replicates at a time. Results do not depend on it.

        Returns
        -------
        result : CausalBootstrap
            With ``get_probabilities()``, ``get_causal_direction_counts()``,
            ``latent_coclustering_``.
        """
        check_is_fitted(self)
        if not isinstance(n_sampling, Integral) or n_sampling < 1:
            raise ValueError(
                f"n_sampling must be a positive integer, got {n_sampling!r}."
            )
        X = validate_data(self, X, dtype=np.float64, reset=False)
        n, p = X.shape
        check_columns(X, min_samples=max(10, 2 * p))
        rng = check_random_state(self.random_state)
        # All rows are drawn before any fit: nothing depends on n_jobs.
        draws = [np.sort(rng.randint(0, n, n)) for _ in range(n_sampling)]
        seeds = rng.randint(np.iinfo(np.int32).max, size=n_sampling)
        prior = prior_masks(self._prior(p), p)
        start = self._as_model() if warm and self.method == "gmm" else None
        results = run_tasks(
            self._replicate,
            [(X, rows, int(seed), prior, start) for rows, seed in zip(draws, seeds)],
            n_jobs,
        )
        kept = [r for r in results if r is not None]
        if len(kept) < n_sampling:
            warnings.warn(
                f"{n_sampling - len(kept)} of {n_sampling} replicates had a constant "
                "column or a collinear pair and were left out.",
                ConvergenceWarning,
                stacklevel=2,
            )
        if not kept:
            raise ValueError("Every replicate had a constant or collinear column.")
        effects, totals, children = zip(*kept)
        return CausalBootstrap(np.array(effects), np.array(totals), list(children))

    def _replicate(self, X, rows, seed, prior, warm):
        sample = X[rows]
        try:
            check_columns(sample, min_samples=2)
        except ValueError:
            return None
        params = {**self.get_params(), "random_state": seed, "n_jobs": None}
        params["verbose"] = 0
        fitted = type(self)(**params)
        fitted.n_features_in_ = X.shape[1]
        fitted._fit(sample, prior, warm=warm)
        p = X.shape[1]
        return fitted.effects_, fitted.mixing_matrix_[:, :p], fitted.latent_children_

    def _as_model(self):
        """The fitted structure in standardised units, without its weights."""
        p, q = self.n_features_in_, self.n_latents_
        B = self.effects_ * self.scale_[None, :] / self.scale_[:, None]
        Lam = self.latent_loadings_ / self.scale_[:, None]
        return Model(
            B != 0,
            Lam != 0,
            B,
            Lam,
            self.noise_variance_ / self.scale_**2,
            np.zeros((2 * p, p + q)),
        )


def _topological_order(mask_B):
    """Causes before effects; among several free variables the lowest index first."""
    rest, order = list(range(len(mask_B))), []
    while rest:
        free = next(i for i in rest if not mask_B[i, rest].any())
        order.append(free)
        rest.remove(free)
    return order
