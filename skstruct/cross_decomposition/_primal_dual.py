# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import PAIRWISE_KERNEL_FUNCTIONS, pairwise_kernels
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils._param_validation import Interval, StrOptions

from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._parallel import run_tasks
from .._validation import check_at_most
from ._primal_dual_solver import Components, PrimalView, default_penalties, solve
from ._views import TwoViewMixin, column_standardization, project

# Rows of a kernel that are computed at a time.
_KERNEL_ROWS = 4096


class PrimalDualSparseCCA(CallbackSupportMixin, TwoViewMixin):
    """Canonical correlation of few features of X with few samples of a kernel of y.

    View X is explained by its features (words), view y by its samples through a
    kernel (documents, images, strings): component k minimises

        ``||tau X w - (1 - tau) K e||^2 + mu ||w||_1 + gamma_dual sum_{j != k} e_j``

    over weights w and ``0 <= e_j <= 1``, where ``e_k = 1`` for one seed sample k. The
    program is convex, so the solution does not depend on a start, only on the seed.

    Parameters
    ----------
    n_components : int, default=1
        At most ``min(n_features, n_samples - 1)``, with the linear kernel also the
        number of columns of y.
    alpha : float > 0, default=1.0
        Sparsity of w in units of the authors' penalty, the mean of
        ``|2 tau (1 - tau) X' K_k|``: 0.1 leaves few zeros, 1.5 many.
    alpha_dual : float > 0, default=1.0
        Sparsity of e in units of the authors' penalty, the mean of
        ``|2 (1 - tau)^2 K K_k|``. At 1 a component is often described by its seed
        alone; 0.1 lets some tens of samples in. Towards 0 every sample enters with
        weight 1, and a centred kernel times ones is zero: the component vanishes.
    trade_off : float in (0, 1), default=0.5
        tau, the weight of X against the kernel.
    kernel : str or callable, default="linear"
        Kernel of y: a name of :func:`sklearn.metrics.pairwise.pairwise_kernels`, a
        function of two samples, or "precomputed". The last takes K of shape
        (n_samples, n_samples) as y in `fit` and (n_test, n_samples) afterwards; it
        can't be used with GridSearchCV, which slices only the rows of y.
    gamma : float, default=None
        Parameter of the kernels that have one; None: 1 / number of columns of y.
    degree : float, default=3
        Degree of the polynomial kernel.
    coef0 : float, default=1
        Constant of the polynomial and sigmoid kernels.
    kernel_params : dict, default=None
        Parameters of a callable kernel.
    seeds : {"max_corr", "random"} or array-like of int, default="max_corr"
        Which samples are the seeds. "max_corr": of `n_candidates` random samples the
        one whose component correlates most over the other samples; the seed's own row
        does not count. "random": drawn without replacement, as published; the number
        of components then says little, since a random sample need not contain what is
        next largest. Indices: in this order, at least `n_components`. A seed whose w
        is zero is skipped and the next one tried.
    n_candidates : int or None, default=20
        Seeds tried for each component with "max_corr". None: all samples.
    mu : float > 0, default=None
        Absolute penalty of w; replaces `alpha`.
    gamma_dual : float > 0, default=None
        Absolute penalty of e; replaces `alpha_dual`.
    max_iter : int, default=1000
        Largest number of working sets for one component; some ten are usual.
    tol : float, default=1e-6
        Stop when the duality gap is at most `tol` times the objective.
    random_state : int, RandomState instance or None, default=None
        Draws the seeds.
    n_jobs : int, default=None
        Candidates tried at the same time with "max_corr".
    verbose : int, default=0
        Whether components are logged to
        ``logging.getLogger("skstruct.cross_decomposition")``.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features, n_components)
        Sparse w of each component, scaled so that its scores have length 1. From the
        second component on it acts on the deflated X.
    dual_coef_ : ndarray of shape (n_samples, n_components)
        Sparse, non-negative e of each component, scaled likewise.
    x_weights_ : ndarray of shape (n_features, n_components)
        Weights of `transform`, which act on centred columns. They are not sparse.
    y_weights_ : ndarray of shape (n_samples, n_components)
        Weights of the centred kernel rows of y.
    y_feature_weights_ : ndarray of shape (n_targets, n_components)
        The same for the centred columns of y; only with the linear kernel.
    correlations_ : ndarray of shape (n_components,)
        Correlation of ``X w`` with ``K e``, both deflated; 0 for a component that is
        zero. In order of extraction, which need not be descending.
    score_correlations_ : ndarray of shape (n_components,)
        Correlation of the training scores that `transform` gives.
    seeds_ : ndarray of int of shape (n_components,)
        Seed of each component, -1 where none was found.
    n_components_ : int
        Number of components that are not zero.
    n_nonzero_, n_nonzero_dual_ : ndarrays of int of shape (n_components,)
        Nonzero entries of w and of e.
    objective_, dual_gap_ : ndarrays of shape (n_components,)
        Objective of each program and the certified bound of its distance to the
        optimum.
    mu_, gamma_dual_ : ndarrays of shape (n_components,)
        Penalties in use.
    n_iter_ : int
        Largest number of working sets of a component.
    x_mean_, x_scale_, y_mean_, y_scale_ : ndarrays
        Means of the columns; the scales are 1.
    x_loadings_ : ndarray of shape (n_features, n_components)
        Regression of the columns of X on the X scores.
    y_fit_ : ndarray or sparse matrix of shape (n_samples, n_targets)
        Training rows of y, kept for kernels that are neither linear nor precomputed.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    skstruct.metrics.mate_retrieval_score : How often a row finds its partner.
    sklearn.cross_decomposition.PLSCanonical : Dense weights, linear views.

    Notes
    -----
    A solution is scaled to ``||X w|| = ||K e|| = 1``. Then both views are deflated by
    the scores ``t = X X' X w`` and ``s = K K e``, ``X <- X - t t'X / t't`` and
    ``K <- P K P``, and the next seed follows. `transform` gives t and s of the first
    views, scaled to length 1 over the training rows, uncorrelated within a view.
    Signs follow from ``e >= 0``: large positive X scores are like the seed, and
    training scores of a component correlate positively.

    The program is solved by coordinate descent over working sets, Newton's equations
    on the support found, and gap-safe screening; the duality gap is the stopping
    rule. Columns of X are standardised only if you do so; they are always centred,
    and a constant one has weight 0.

    Cost of each candidate of a component: some ten passes over X and over K. A sparse X
    stays sparse: centring and deflation are kept as a basis of the removed directions.
    Memory: one copy of X and three n x n matrices.

    References
    ----------
    Hardoon, Shawe-Taylor (2011), Sparse canonical correlation analysis, Machine
    Learning 83. Uurtio, Monteiro, Kandola, Shawe-Taylor, Fernandez-Reyes, Rousu
    (2017), A tutorial on canonical correlation methods, ACM Computing Surveys 50.
    Fercoq, Gramfort, Salmon (2015), Mind the duality gap: safer rules for the lasso,
    ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.cross_decomposition import PrimalDualSparseCCA
    >>> rng = np.random.default_rng(0)
    >>> z = rng.standard_normal((100, 1))
    >>> X, y = rng.standard_normal((100, 40)), rng.standard_normal((100, 30))
    >>> X[:, :4] += 2 * z
    >>> y[:, :4] += 2 * z
    >>> cca = PrimalDualSparseCCA(random_state=0).fit(X, y)
    >>> np.flatnonzero(cca.coef_[:, 0])
    array([0, 1, 2, 3])
    >>> bool(cca.dual_gap_[0] <= 1e-6 * cca.objective_[0])
    True
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "alpha_dual": [Interval(Real, 0, None, closed="neither")],
        "trade_off": [Interval(Real, 0, 1, closed="neither")],
        "kernel": [StrOptions({*PAIRWISE_KERNEL_FUNCTIONS, "precomputed"}), callable],
        "gamma": [Interval(Real, 0, None, closed="left"), None],
        "degree": [Interval(Real, 0, None, closed="left")],
        "coef0": [Interval(Real, None, None, closed="neither")],
        "kernel_params": [dict, None],
        "seeds": [StrOptions({"random", "max_corr"}), "array-like"],
        "n_candidates": [Interval(Integral, 1, None, closed="left"), None],
        "mu": [Interval(Real, 0, None, closed="neither"), None],
        "gamma_dual": [Interval(Real, 0, None, closed="neither"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=1,
        *,
        alpha=1.0,
        alpha_dual=1.0,
        trade_off=0.5,
        kernel="linear",
        gamma=None,
        degree=3,
        coef0=1,
        kernel_params=None,
        seeds="max_corr",
        n_candidates=20,
        mu=None,
        gamma_dual=None,
        max_iter=1000,
        tol=1e-6,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.alpha = alpha
        self.alpha_dual = alpha_dual
        self.trade_off = trade_off
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.seeds = seeds
        self.n_candidates = n_candidates
        self.mu = mu
        self.gamma_dual = gamma_dual
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Find the components one after the other.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : {array-like, sparse matrix} of shape (n_samples, n_targets)
            The second view, or its kernel of shape (n_samples, n_samples) with
            ``kernel="precomputed"``.

        Returns
        -------
        self : PrimalDualSparseCCA
            Fitted estimator.

        Raises
        ------
        ValueError
            If the views differ in rows, there are fewer than two, an entry is not
            finite, `n_components` is above its bound, `seeds` are not distinct row
            numbers or too few, or a precomputed kernel is not square and symmetric.
        """
        X, y = self._validate_views(X, y, reset=True, accept_sparse="csr")
        limit, limit_text = min(X.shape[1], X.shape[0] - 1), "n_features, n_samples - 1"
        if self._kernel_is("linear"):
            limit, limit_text = min(limit, y.shape[1]), f"{limit_text}, n_targets"
        check_at_most(self.n_components, limit, "n_components", f"min({limit_text})")
        rng = check_random_state(self.random_state)
        pool = self._seed_pool(X.shape[0], rng)
        view, x_unit = self._primal_view(X)
        K, k_unit = self._training_kernel(y)
        components, units = Components(view, K), (x_unit, k_unit)
        with fit_callbacks(self, X=X, y=y, max_iter=self.n_components) as step:
            dropped, stopped = self._extract(components, pool, rng, units, step)
        self._store(components, units, y)
        self._warn(components, dropped, stopped)
        return self

    def _kernel_is(self, name):
        return isinstance(self.kernel, str) and self.kernel == name

    def _seed_pool(self, n, rng):
        if isinstance(self.seeds, str):
            return rng.permutation(n)
        seeds = np.asarray(self.seeds)
        if seeds.ndim != 1 or not np.issubdtype(seeds.dtype, np.integer):
            raise ValueError(
                f"seeds={self.seeds!r} must be 'random', 'max_corr' or a list of row "
                "numbers."
            )
        if seeds.size < self.n_components:
            raise ValueError(
                f"seeds has {seeds.size} entries, which is fewer than n_components="
                f"{self.n_components}."
            )
        if seeds.min() < 0 or seeds.max() >= n or np.unique(seeds).size < seeds.size:
            raise ValueError(
                f"seeds={self.seeds!r} must be distinct and between 0 and "
                f"n_samples - 1={n - 1}."
            )
        return seeds

    def _primal_view(self, X):
        """X in units near 1, so that no square overflows, and the unit."""
        data = X.data if sparse.issparse(X) else X
        unit = _power_of_two(np.abs(data).max(initial=0.0))
        X = X.astype(np.float64) / unit
        mean, std, constant = column_standardization(X, scale=True, ddof=0)
        squares = np.where(constant, 0.0, X.shape[0] * std**2)
        self.x_mean_, self.x_scale_ = mean * unit, np.ones(X.shape[1])
        if sparse.issparse(X):
            columns = sparse.csr_array(X.T)
            columns.data[np.repeat(constant, np.diff(columns.indptr))] = 0.0
        else:
            columns = np.subtract(X.T, mean[:, None], order="C")
            columns[constant] = 0.0
        return PrimalView(columns, squares), unit

    def _training_kernel(self, y):
        """The centred kernel in units near 1, and the unit; stores its centre."""
        self.y_scale_ = np.ones(y.shape[1])
        self.y_mean_ = np.asarray(y.mean(axis=0, dtype=np.float64)).ravel()
        if self._kernel_is("linear") and not sparse.issparse(y):
            # Centred first: the means would cost digits.
            with np.errstate(over="ignore"):
                y = y - self.y_mean_
                K = y @ y.T
        elif self._kernel_is("precomputed"):
            if y.shape[0] != y.shape[1]:
                raise ValueError(
                    f"y has shape {y.shape}, but kernel='precomputed' needs the square "
                    f"kernel of the {y.shape[0]} training rows. GridSearchCV and "
                    "cross_val_score slice only the rows of y, so they can't be used "
                    "with a precomputed kernel: pass the features of y and the name "
                    "or function of the kernel."
                )
            K = np.asarray(y.toarray() if sparse.issparse(y) else y, dtype=np.float64)
        else:
            if not self._kernel_is("linear"):
                self.y_fit_ = y.copy()
            with np.errstate(over="ignore"):
                K = self._kernel_rows(y, y)
        size = np.abs(K).max()
        if not np.isfinite(size):
            raise ValueError(
                f"kernel={self.kernel!r} of y has entries that are not finite."
            )
        if np.abs(K - K.T).max() > 1e-5 * size:
            i, j = np.unravel_index(np.argmax(np.abs(K - K.T)), K.shape)
            raise ValueError(
                f"kernel={self.kernel!r} must be symmetric, but entry ({i}, {j}) of K "
                f"is {K[i, j]:.6g} and entry ({j}, {i}) is {K[j, i]:.6g}."
            )
        unit = _power_of_two(size)
        K = K / unit
        K = 0.5 * (K + K.T)
        mean = K.mean(axis=0)
        self._kernel_mean = mean * unit
        K = K - mean - (mean - mean.mean())[:, None]
        if np.abs(K).max() <= 1e-14 * K.shape[0]:
            K[:] = 0.0
        return K, unit

    def _kernel_rows(self, y, y_fit):
        """Kernel of rows of y with the training rows, in float64."""
        if self._kernel_is("precomputed"):
            return y.toarray() if sparse.issparse(y) else y
        params = self.kernel_params or {}
        if not callable(self.kernel):
            params = {"gamma": self.gamma, "degree": self.degree, "coef0": self.coef0}
        y, y_fit = (
            y.astype(np.float64, copy=False),
            y_fit.astype(np.float64, copy=False),
        )
        rows = pairwise_kernels(
            y, y_fit, metric=self.kernel, filter_params=True, **params
        )
        return rows.toarray() if sparse.issparse(rows) else np.asarray(rows)

    def _extract(self, components, pool, rng, units, step):
        """Find seeds and pairs; returns the dropped seeds and if a callback stopped."""
        dropped = []
        for i in range(self.n_components):
            found, pool = self._next_pair(components, pool, rng, units, dropped)
            if found is None or not components.add(found):
                break
            if step(i, found.objective):
                return dropped, True
        return dropped, False

    def _next_pair(self, components, pool, rng, units, dropped):
        """The next usable pair and the seeds that are left."""
        size = 1
        if isinstance(self.seeds, str) and self.seeds == "max_corr":
            pool = rng.permutation(pool)
            size = self.n_candidates or pool.size
        while pool.size:
            candidates = np.sort(pool[:size])
            pairs = run_tasks(
                self._solve,
                [(components, k, units) for k in candidates],
                self.n_jobs,
            )
            usable = [pair for pair in pairs if pair.correlation > 0]
            if usable:
                best = max(usable, key=lambda pair: pair.correlation_without_seed)
                return best, pool[pool != best.seed]
            dropped.extend(candidates)
            pool = pool[size:]
        return None, pool

    def _solve(self, components, k, units):
        view, K, tau = components.view, components.K, self.trade_off
        x_unit, k_unit = units
        mu, gamma = default_penalties(view, K, k, tau)
        mu = self.alpha * mu if self.mu is None else self.mu / x_unit / k_unit
        gamma *= self.alpha_dual
        if self.gamma_dual is not None:
            gamma = self.gamma_dual / k_unit / k_unit
        return solve(view, K, k, mu, gamma, tau, tol=self.tol, max_iter=self.max_iter)

    def _store(self, components, units, y):
        """Fitted attributes in the units of the data; missing components are zero."""
        x_unit, k_unit = units
        pairs = components.pairs
        m = self.n_components_ = len(pairs)
        p, n, shape = self.n_features_in_, y.shape[0], self.n_components
        self.coef_, self.dual_coef_ = np.zeros((p, shape)), np.zeros((n, shape))
        for i, pair in enumerate(pairs):
            self.coef_[pair.support, i] = pair.w / np.linalg.norm(pair.Xw) / x_unit
            self.dual_coef_[:, i] = pair.e / np.linalg.norm(pair.Ke) / k_unit
        self.n_nonzero_ = np.count_nonzero(self.coef_, axis=0)
        self.n_nonzero_dual_ = np.count_nonzero(self.dual_coef_, axis=0)

        def column(values, dtype=np.float64, fill=0):
            out = np.full(shape, fill, dtype=dtype)
            out[:m] = list(values)
            return out

        self.seeds_ = column((pair.seed for pair in pairs), np.int64, -1)
        self.correlations_ = column(pair.correlation for pair in pairs)
        with np.errstate(over="ignore"):
            self.objective_ = column(pair.objective * k_unit * k_unit for pair in pairs)
            self.dual_gap_ = column(pair.gap * k_unit * k_unit for pair in pairs)
            self.mu_ = column(pair.mu * x_unit * k_unit for pair in pairs)
            self.gamma_dual_ = column(pair.gamma * k_unit * k_unit for pair in pairs)
        self.n_iter_ = max((pair.n_iter for pair in pairs), default=1)

        W, Z, T, S = components.projections()
        pad = [(0, 0), (0, shape - m)]
        W, Z, T, S = (np.pad(M, pad) for M in (W, Z, T, S))
        self.score_correlations_ = np.einsum("ij,ij->j", T, S)
        self.x_weights_, self.y_weights_ = W / x_unit, Z / k_unit
        if self._kernel_is("linear"):
            centred = self.y_weights_ - self.y_weights_.mean(axis=0)
            weights = np.asarray(y.T @ centred, dtype=np.float64)
            weights[column_standardization(y, scale=False)[2]] = 0.0
            self.y_feature_weights_ = weights
        x_on_x = np.pad(components.x_loadings(), pad) * x_unit
        y_on_x = np.asarray(y.T @ T, dtype=np.float64)
        self._set_score_moments(
            T.T @ T / n, S.T @ S / n, T.T @ S / n, x_on_x / n, y_on_x / n
        )

    def _warn(self, components, dropped, stopped):
        pairs, missing = components.pairs, self.n_components - self.n_components_
        if missing and not stopped:
            why = (
                "the views have no more directions in common with a seed"
                if components.exhausted
                else "w=0 is optimal for every seed; lower "
                f"{self._penalty()}, or raise alpha_dual={self.alpha_dual} if every "
                "sample enters e"
            )
            warnings.warn(
                f"{missing} of n_components={self.n_components} components are zero: "
                f"{why}.",
                UserWarning,
                stacklevel=3,
            )
        elif dropped:
            warnings.warn(
                f"{len(dropped)} seeds were skipped, since w=0 is optimal for them, "
                f"among them {sorted(map(int, dropped))[:5]}; a lower "
                f"{self._penalty()} would use them.",
                UserWarning,
                stacklevel=3,
            )
        late = [pair for pair in pairs if not pair.converged]
        if late:
            worst = max(pair.gap / pair.objective for pair in late)
            warnings.warn(
                f"{len(late)} components stopped at max_iter={self.max_iter} with a "
                f"duality gap of up to {worst:.2g} of the objective, above tol="
                f"{self.tol:.2g}. Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _penalty(self):
        return f"alpha={self.alpha}" if self.mu is None else f"mu={self.mu}"

    def _project_y(self, y):
        if self._kernel_is("linear"):
            return project(y, self.y_feature_weights_, self.y_mean_, self.y_scale_)
        y_fit = getattr(self, "y_fit_", None)
        # Centring the weights centres the rows of the kernel.
        Z = self.y_weights_ - self.y_weights_.mean(axis=0)
        scores = np.empty((y.shape[0], Z.shape[1]))
        for rows in gen_batches(y.shape[0], _KERNEL_ROWS):
            scores[rows] = (self._kernel_rows(y[rows], y_fit) - self._kernel_mean) @ Z
        return scores

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _power_of_two(size):
    """A power of two near `size`: division by it is exact."""
    return 2.0 ** np.clip(np.frexp(size)[1], -1000, 1000) if size > 0 else 1.0
