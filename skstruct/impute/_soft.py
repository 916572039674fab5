# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_array

from .._base import deterministic_signs
from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._linalg import compress
from .._validation import check_at_most
from ._base import _FOLD_IN_RIDGE, LowRankImputer, as_entries
from ._soft_solver import (
    Observations,
    alpha_grid,
    debias,
    duality_gap,
    solve_als,
    solve_path,
    solve_svd,
    solve_svt,
)


class SoftImputer(CallbackSupportMixin, LowRankImputer):
    """Complete a matrix by nuclear-norm regularised least squares (Soft-Impute).

    Minimises ``1/2 sum_observed (x_ij - z_ij)^2 + alpha ||Z||_*`` over matrices Z of
    at most `n_components` ranks, in the standardised units of the data. New rows are
    folded in by the same penalised regression that fits the training rows.

    Parameters
    ----------
    alpha : float or "auto", default="auto"
        Weight of the nuclear norm, in units of singular values of the data. "auto":
        a tenth of ``alpha_max_``, the value from which on the solution is zero: a
        sane start for a search.
    n_components : int, default=None
        Largest rank. None: no limit; the rank grows until the residual proves that
        no direction is missing, so the convex problem is solved. With ``alpha=0``
        it must be given: rank-r least squares, known as Hard-Impute.
    alpha_relative : bool, default=False
        Whether `alpha` is a fraction of ``alpha_max_``, which makes it comparable
        between data sets and cross-validation folds.
    solver : {"als", "svd", "svt"}, default="als"
        "als": alternating ridge regressions; the fast one. "svd": the proximal
        iteration, one partial SVD a step. "svt": iterative singular value
        thresholding for exact completion of noise-free data; `alpha` and
        `n_components` are not used and `tol` bounds the relative residual. It
        overfits noise.
    center : {"column", None}, default="column"
        Whether the mean of the observed entries is taken from each column.
    scale : bool, default=False
        Whether columns are divided by the standard deviation of their observed
        entries; use it when units differ.
    bounds : tuple (low, high), default=None
        Known range of the data; estimates are clipped to it.
    debias : bool, default=False
        Whether the singular values are refitted by least squares on the observed
        entries, which undoes their shrinkage; of use with large `alpha`.
    transform_method : {"fold-in", "project"}, default="fold-in"
        "fold-in" regresses the observed entries of a row on the components with the
        model's own penalty: on a training row at convergence it returns the fitted
        row. "project" is the linear map ``z V V' / p_observed_``.
    impute_only : bool, default=True
        True keeps observed values and fills only the missing ones. False returns
        the whole denoised row.
    keep_empty_features : bool, default=False
        Whether columns without any observed value stay in the output, as zeros.
    missing_values : float, default=np.nan
        Marks missing entries of a dense `X`. In a sparse `X` whatever is not stored
        is missing and explicit zeros are observed.
    max_iter : int, default=100
        Largest number of iterations. "als" needs some 10 with a rank limit and some
        50 without, "svt" some hundreds.
    tol : float, default=1e-5
        Stop when ``||Z_new - Z||^2 / ||Z||^2`` is below it and, with "als" and without
        `n_components`, the duality gap is below ``10 tol`` times the objective.
    warm_start : bool, default=False
        Whether ``fit`` starts from the components of the previous ``fit``; of use
        along a grid of `alpha`. Only with "als".
    store_rows : bool, default=False
        Whether ``embedding_`` is kept, which `predict_entries` needs.
    score_holdout : float in (0, 1), default=0.2
        Share of each row's observed entries that `score` hides.
    score_random_state : int, default=0
        Which entries `score` hides; the same for all candidates of a search.
    copy : bool, default=True
        Present by scikit-learn's convention; `X` is never modified.
    random_state : int, RandomState instance or None, default=None
        Seed of the starting subspace.
    verbose : int, default=0
        Whether iterations are logged to ``logging.getLogger("skstruct.impute")``.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_out)
        Right singular vectors of Z.
    singular_values_ : ndarray of shape (n_components,)
        Singular values of Z, descending (refitted ones with `debias`).
    n_components_ : int
        Rank of Z; 0 is legal and gives the centre.
    alpha_, alpha_max_ : float
        The penalty in use, and the smallest one whose solution is zero.
    p_observed_ : float
        Observed fraction of the entries.
    mean_, scale_ : ndarrays of shape (n_features_out,)
        Centre and scale of each column.
    embedding_ : ndarray of shape (n_samples, n_components)
        Coefficients of the training rows; only with ``store_rows=True``.
    n_iter_ : int
        Iterations run.
    loss_curve_ : ndarray
        Objective after each iteration, not increasing ("svt": relative residual).
    duality_gap_ : float
        Bound of the distance of the objective to the global optimum of the convex
        problem. NaN for ``alpha=0``, for "svt", and where the rank limit binds: then
        the problem solved is not convex.
    converged_ : bool
        Whether `tol` was reached.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    SoftImputerCV : The penalty by cross-validation over entries.
    SVTImputer : One singular value decomposition and no iteration.
    soft_impute_path : The solutions along a grid of penalties.

    Notes
    -----
    "als" writes ``Z = A B'`` and alternates ridge regressions for A and B. The
    published algorithm (Hastie et al. 2015) fills missing entries with the current
    fit, which makes one ridge system serve all rows but bounds the curvature of a row
    by that of a complete one. Here every row keeps its own system, nearly solved by
    two preconditioned conjugate gradient steps: with 4 % observed entries that takes
    some 6 iterations where the published form needs 50 and more, at about 1.5 times
    the cost of each. The objective falls monotonically. Without a rank limit the
    rank grows by the residual's singular vectors above alpha until ``duality_gap_``
    is below ``10 tol`` times the objective.

    Cost of an iteration: ``O(n_observed r + (n + p) r^2)`` time, where fewer than
    40 % of the entries are missing ``O(n_missing r)`` and two dense products. Memory:
    20 bytes per observed entry beside the input and the factors; the completed matrix
    is never formed for a sparse `X`.

    References
    ----------
    Mazumder, Hastie, Tibshirani (2010), Spectral regularization algorithms for
    learning large incomplete matrices, JMLR 11. Hastie, Mazumder, Lee, Zadeh (2015),
    Matrix completion and low-rank SVD via fast alternating least squares, JMLR 16.
    Cai, Candes, Shen (2010), A singular value thresholding algorithm for matrix
    completion, SIAM Journal on Optimization 20.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.impute import SoftImputer
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.standard_normal((100, 2)) @ rng.standard_normal((2, 20))
    >>> X = np.where(rng.random(truth.shape) < 0.5, np.nan, truth)
    >>> imputer = SoftImputer(alpha=0.1, random_state=0).fit(X)
    >>> error = imputer.transform(X) - truth
    >>> bool(np.sqrt(np.mean(error[np.isnan(X)] ** 2)) < 0.1)
    True
    """

    _parameter_constraints = {
        **LowRankImputer._parameter_constraints,
        "alpha": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "alpha_relative": ["boolean"],
        "solver": [StrOptions({"als", "svd", "svt"})],
        "debias": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        alpha="auto",
        n_components=None,
        *,
        alpha_relative=False,
        solver="als",
        center="column",
        scale=False,
        bounds=None,
        debias=False,
        transform_method="fold-in",
        impute_only=True,
        keep_empty_features=False,
        missing_values=np.nan,
        max_iter=100,
        tol=1e-5,
        warm_start=False,
        store_rows=False,
        score_holdout=0.2,
        score_random_state=0,
        copy=True,
        random_state=None,
        verbose=0,
    ):
        self.alpha = alpha
        self.n_components = n_components
        self.alpha_relative = alpha_relative
        self.solver = solver
        self.center = center
        self.scale = scale
        self.bounds = bounds
        self.debias = debias
        self.transform_method = transform_method
        self.impute_only = impute_only
        self.keep_empty_features = keep_empty_features
        self.missing_values = missing_values
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.store_rows = store_rows
        self.score_holdout = score_holdout
        self.score_random_state = score_random_state
        self.copy = copy
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn centre, components and singular values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            NaN is missing; in a sparse matrix what is not stored is missing.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : SoftImputer
            Fitted estimator.

        Raises
        ------
        ValueError
            If nothing is observed, `X` has infinite entries, `n_components` exceeds
            ``min(n_samples, n_features)``, `alpha` is 0 without `n_components`, or
            `bounds` are reversed.
        """
        previous = self._previous_components()
        observations = Observations(*self._read_training_data(X))
        with fit_callbacks(self, X=X, max_iter=self.max_iter) as step:
            self._fit_observations(observations, previous, step)
        return self

    def _previous_components(self):
        if self.warm_start and self.solver == "als" and hasattr(self, "components_"):
            return self.components_, self.singular_values_
        return None

    def _rank_limit(self, shape):
        limit = min(shape)
        if self.n_components is None:
            return limit
        check_at_most(
            self.n_components, limit, "n_components", "min(n_samples, n_features)"
        )
        return self.n_components

    def _penalty(self, alpha_max):
        if isinstance(self.alpha, str):
            return 0.1 * alpha_max
        return self.alpha * alpha_max if self.alpha_relative else float(self.alpha)

    def _fit_observations(self, observations, previous, step):
        limit = self._rank_limit(observations.shape)
        self.alpha_max_ = observations.largest_singular_value()
        self.alpha_ = alpha = np.nan
        if self.solver != "svt":
            self.alpha_ = alpha = self._penalty(self.alpha_max_)
            if alpha == 0 and self.n_components is None and self.alpha_max_ > 0:
                raise ValueError(
                    "alpha=0 needs n_components: without penalty and rank limit every "
                    "completion fits the observed entries exactly."
                )
        options = {"tol": self.tol, "max_iter": self.max_iter, "step": step}
        if self.solver == "svt":
            found = solve_svt(observations, **options)
        elif self.solver == "svd":
            found = solve_svd(observations, alpha, limit, **options)
        else:
            found = solve_als(
                observations,
                alpha,
                limit,
                capped=self.n_components is not None,
                start=_warm_factors(observations, previous, alpha),
                rng=check_random_state(self.random_state),
                **options,
            )
        self._store(observations, found)

    def _store(self, observations, found):
        V, U = deterministic_signs(found.V, found.U)
        s = found.s
        self.duality_gap_ = np.nan
        if self.solver != "svt" and s.size < self._rank_limit(observations.shape):
            self.duality_gap_ = duality_gap(observations, self.alpha_, U, s, V)
        self.components_ = np.ascontiguousarray(V.T)
        self.n_components_ = s.size
        # Exact completion has no noise to guard against: far below the tolerance of
        # the solver, and far enough above rounding for rows with fewer observed
        # entries than components.
        ridge = 1e-6 if self.solver == "svt" else _FOLD_IN_RIDGE
        self._fold_in_ridge = np.full(s.size, ridge)
        if self.debias:
            s = debias(observations, U, s, V)
            order = np.argsort(s)[::-1]
            U, s = U[:, order], s[order]
            self.components_ = self.components_[order]
        elif self.solver != "svt" and self.alpha_ > 0:
            # The ridge of the A step, for coefficients of unit-length components.
            self._fold_in_ridge = self.alpha_ / s
        self.singular_values_ = s
        self.n_iter_ = found.n_iter
        self.loss_curve_ = np.array(found.objective)
        self.converged_ = found.converged
        if self.store_rows:
            self.embedding_ = np.ascontiguousarray(U * s)
        if s.size == 0:
            self._warn_zero_rank(
                f"alpha={self.alpha_:.4g} is not below alpha_max_={self.alpha_max_:.4g}"
            )
        if not found.converged:
            quantity = (
                "relative residual" if self.solver == "svt" else "relative change of Z"
            )
            warnings.warn(
                f"SoftImputer stopped after max_iter={self.max_iter} iterations with "
                f"{quantity} {found.change:.3g}, above tol={self.tol:.3g}. Increase "
                "max_iter or tol, or scale the data.",
                ConvergenceWarning,
                stacklevel=4,
            )


def _warm_factors(observations, previous, alpha):
    """Factors for the rows at hand from the components of an earlier fit."""
    if previous is None:
        return None
    components, s = previous
    if not s.size or components.shape[1] != observations.shape[1]:
        return None
    V = np.ascontiguousarray(components.T, dtype=np.float64)
    B = V * np.sqrt(s)
    A = np.zeros((observations.shape[0], s.size))
    observations.ridge(0, B, s.astype(np.float64), alpha, A)
    return compress(A, B)


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "alphas": ["array-like", None],
        "n_alphas": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def soft_impute_path(
    X,
    alphas=None,
    *,
    n_alphas=20,
    n_components=None,
    tol=1e-5,
    max_iter=100,
    random_state=None,
):
    """Soft-Impute solutions along a descending grid of penalties.

    The matrix is taken as it is: centre it before, for instance by
    :func:`biscale`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        NaN is missing; in a sparse matrix what is not stored is missing.
    alphas : array-like of shape (n_alphas,), default=None
        Penalties; sorted descending. None: `n_alphas` geometric steps from 0.99 to
        0.01 of the smallest penalty whose solution is zero.
    n_alphas : int, default=20
        Size of the default grid.
    n_components : int, default=None
        Largest rank; None: as large as each penalty asks for.
    tol : float, default=1e-5
        As in :class:`SoftImputer`.
    max_iter : int, default=100
        Largest number of iterations for each penalty.
    random_state : int, RandomState instance or None, default=None
        Seed of the starting subspace.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        The grid, descending.
    factors : list of (U, d, V)
        Solutions ``Z = U diag(d) V'`` with orthonormal columns.
    n_iters : ndarray of int of shape (n_alphas,)
        Iterations of each.

    Raises
    ------
    ValueError
        If nothing is observed, a penalty is negative, or `n_components` is too large.

    References
    ----------
    Mazumder, Hastie, Tibshirani (2010), Spectral regularization algorithms for
    learning large incomplete matrices, JMLR 11.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.impute import soft_impute_path
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 2)) @ rng.standard_normal((2, 20))
    >>> X[rng.random(X.shape) < 0.3] = np.nan
    >>> alphas, factors, n_iters = soft_impute_path(X, n_alphas=5, random_state=0)
    >>> [len(d) for U, d, V in factors]
    [1, 2, 2, 2, 2]
    """
    observations = read_observations(X)
    if n_components is not None:
        check_at_most(
            n_components, min(observations.shape), "n_components", "min(X.shape)"
        )
    if alphas is None:
        alphas = alpha_grid(observations.largest_singular_value(), n_alphas)
    alphas = check_alphas(alphas)
    path = solve_path(
        observations,
        alphas,
        n_components or min(observations.shape),
        capped=n_components is not None,
        tol=tol,
        max_iter=max_iter,
        rng=check_random_state(random_state),
    )
    factors = []
    for found in path:
        V, U = deterministic_signs(found.V, found.U)
        factors.append((U, found.s, V))
    return alphas, factors, np.array([found.n_iter for found in path])


def check_alphas(alphas):
    """Penalties as a descending float vector."""
    alphas = np.sort(np.asarray(alphas, dtype=np.float64))[::-1]
    if alphas.ndim != 1 or alphas.size == 0 or not np.isfinite(alphas).all():
        raise ValueError("alphas must be a non-empty vector of finite numbers.")
    if alphas[-1] < 0:
        raise ValueError(f"alphas must be nonnegative, got {alphas[-1]}.")
    return alphas


def read_observations(X):
    """Observations of a matrix that is neither centred nor scaled."""
    X = check_array(
        X,
        accept_sparse=("csr", "csc", "coo"),
        dtype=np.float64,
        order="C",
        ensure_all_finite="allow-nan",
    )
    if sparse.issparse(X):
        X = as_entries(X)
        n_observed, observed = X.nnz, None
    else:
        observed = ~np.isnan(X)
        n_observed = np.count_nonzero(observed)
        X = np.where(observed, X, 0.0)
    if n_observed == 0:
        raise ValueError(
            f"X of shape {X.shape} has no observed entry: nothing can be estimated."
        )
    return Observations(X, observed)
