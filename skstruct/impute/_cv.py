# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval

from .._callbacks import fit_callbacks
from .._parallel import run_tasks
from .._validation import check_at_most
from ..model_selection import EntrywiseKFold
from ._base import LowRankImputer, select_entries
from ._kernels import entry_products, rank_errors
from ._soft import SoftImputer, check_alphas
from ._soft_solver import Observations, alpha_grid, debias, solve_path
from ._svt import SVTImputer


class SVTImputerCV(SVTImputer):
    """Singular value thresholding with the rank chosen by hidden entries.

    Parameters
    ----------
    n_components : int or array-like of int, default=None
        Ranks to compare. None: 0 to a quarter of ``min(n_samples, n_features)``.
    cv : int or EntrywiseKFold, default=5
        Number of folds over the observed entries, or the splitter itself.
    n_jobs : int, default=None
        Folds in parallel.
    bounds : tuple (low, high), default=None
        As in :class:`SVTImputer`, like all that follow.
    center : {"column", None}, default="column"
        What missing entries are filled with.
    scale : bool, default=False
        Whether columns are divided by their standard deviation.
    observed_fraction : {"matrix", "column"}, default="matrix"
        Whether columns are weighted by their own observed fraction.
    clip : bool, default=True
        Whether estimates are clipped.
    transform_method : {"project", "fold-in"}, default="project"
        How rows are mapped.
    impute_only : bool, default=False
        Whether observed values are kept.
    keep_empty_features : bool, default=False
        Whether columns without any observed value stay in the output, as zeros.
    missing_values : float, default=np.nan
        Marks missing entries of a dense `X`.
    svd_solver : str, default="auto"
        As in :class:`SVTImputer`.
    store_rows : bool, default=False
        Whether ``embedding_`` is kept.
    score_holdout : float in (0, 1), default=0.2
        Share of each row's observed entries that `score` hides.
    score_random_state : int, default=0
        Which entries `score` hides.
    copy : bool, default=True
        Present by scikit-learn's convention; `X` is never modified.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds.

    Attributes
    ----------
    n_components_ : int
        Rank with the smallest mean squared error.
    n_components_grid_ : ndarray of shape (n_ranks,)
        The ranks compared.
    mse_path_ : ndarray of shape (n_ranks, n_folds)
        Mean squared error on the hidden entries.
    components_, singular_values_, threshold_, p_observed_, mean_, scale_, embedding_
        As in :class:`SVTImputer`, of the final fit to all entries.

    See Also
    --------
    SoftImputerCV : The same for the nuclear norm.

    Notes
    -----
    Each fold costs one decomposition: the predictions of all ranks come from one
    pass over the hidden entries.

    References
    ----------
    Owen, Perry (2009), Bi-cross-validation of the SVD and the nonnegative matrix
    factorization, Annals of Applied Statistics 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.impute import SVTImputerCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 40))
    >>> X += 0.1 * rng.standard_normal(X.shape)
    >>> X[rng.random(X.shape) < 0.1] = np.nan
    >>> SVTImputerCV(random_state=0).fit(X).n_components_
    3
    """

    # Parameters of the plain class that the choice by folds replaces.
    threshold = None
    max_rank = None

    _parameter_constraints = {
        **LowRankImputer._parameter_constraints,
        **{
            name: SVTImputer._parameter_constraints[name]
            for name in ("observed_fraction", "clip", "svd_solver")
        },
        "n_components": [Integral, "array-like", None],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods("split")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_components=None,
        *,
        cv=5,
        n_jobs=None,
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
        store_rows=False,
        score_holdout=0.2,
        score_random_state=0,
        copy=True,
        random_state=None,
    ):
        self.n_components = n_components
        self.cv = cv
        self.n_jobs = n_jobs
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
        self.store_rows = store_rows
        self.score_holdout = score_holdout
        self.score_random_state = score_random_state
        self.copy = copy
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Choose the rank over the folds and fit it to all entries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            NaN is missing; in a sparse matrix what is not stored is missing.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : SVTImputerCV
            Fitted estimator.

        Raises
        ------
        ValueError
            As :class:`SVTImputer`, and if a rank of the grid is negative or above
            ``min(n_samples, n_features)``.
        """
        Z, _ = self._read_training_data(X)
        X = self._read(X, reset=False)[:, self._kept]
        ranks = self._grid(X.shape)
        plain = SVTImputer(
            n_components=int(ranks[-1]),
            bounds=self.bounds,
            center=self.center,
            scale=self.scale,
            observed_fraction=self.observed_fraction,
            clip=self.clip,
            svd_solver=self.svd_solver,
            store_rows=True,
            random_state=self.random_state,
        )
        folds = [
            (plain.__class__(**plain.get_params()), X, train, test, ranks)
            for train, test in entry_folds(self.cv, self.random_state, X)
        ]
        errors = run_tasks(_svt_fold, folds, self.n_jobs)
        self.n_components_grid_ = ranks
        self.mse_path_ = np.column_stack(errors)
        self._chosen = int(ranks[np.argmin(self.mse_path_.mean(axis=1))])
        self._fit_standardised(Z)
        return self

    def _grid(self, shape):
        limit = min(shape)
        if self.n_components is None:
            return np.arange(limit // 4 + 1)
        ranks = np.unique(np.asarray(self.n_components))
        if ranks.size == 0 or ranks.dtype.kind not in "iu" or ranks[0] < 0:
            raise ValueError(
                f"n_components must be nonnegative integers, got {self.n_components}."
            )
        check_at_most(
            ranks[-1], limit, "largest n_components", "min(n_samples, n_features)"
        )
        return ranks

    def _fixed_rank(self):
        return self._chosen if hasattr(self, "_chosen") else 0


def entry_folds(cv, random_state, X):
    """Training and test masks of the observed entries."""
    if isinstance(cv, Integral):
        seed = check_random_state(random_state).randint(2**31 - 1)
        cv = EntrywiseKFold(cv, random_state=seed)
    folds = list(cv.split(X))
    if not all(np.any(test) for _, test in folds):
        n_samples, n_features = X.shape
        raise ValueError(
            f"A fold of cv={len(folds)} hides no entry of X (n_samples={n_samples}, "
            f"n_features={n_features}): rows and columns keep one observed entry each."
        )
    return folds


def split_entries(X, train, test):
    """X with its test entries hidden, and the hidden entries (rows, columns, x)."""
    if sparse.issparse(X):
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))[test]
        hidden = rows, X.indices[test].astype(np.intp), X.data[test].astype(float)
        return select_entries(X, train), hidden
    rows, columns = np.nonzero(test)
    hidden = rows, columns, X[rows, columns].astype(float)
    return np.where(test, np.nan, X), hidden


def _svt_fold(plain, X, train, test, ranks):
    """Mean squared error of each rank on the hidden entries of one fold."""
    X_train, (rows, columns, x) = split_entries(X, train, test)
    plain.fit(X_train)
    V = np.ascontiguousarray(plain.components_.T)
    errors = np.zeros(plain.n_components_ + 1)
    low, high = plain._limits()
    rank_errors(
        rows,
        columns,
        x,
        plain.embedding_,
        V,
        plain.mean_,
        plain.scale_,
        low,
        high,
        errors,
    )
    # Ranks above that of the training matrix add nothing.
    return errors[np.minimum(ranks, errors.size - 1)] / rows.size


class SoftImputerCV(SoftImputer):
    """Soft-Impute with the penalty chosen by hidden entries.

    Parameters
    ----------
    alphas : array-like of float, default=None
        Penalties to compare. None: `n_alphas` geometric steps from 0.99 to 0.01 of
        the smallest penalty whose solution is zero.
    n_alphas : int, default=20
        Size of the default grid.
    cv : int or EntrywiseKFold, default=5
        Number of folds over the observed entries, or the splitter itself.
    n_jobs : int, default=None
        Folds in parallel; the path within a fold is sequential, each penalty starting
        from the solution of the one before.
    n_components : int, default=None
        As in :class:`SoftImputer`, like all that follow.
    center : {"column", None}, default="column"
        Whether column means are taken off.
    scale : bool, default=False
        Whether columns are divided by their standard deviation.
    bounds : tuple (low, high), default=None
        Known range of the data.
    debias : bool, default=False
        Whether the singular values are refitted.
    transform_method : {"fold-in", "project"}, default="fold-in"
        How rows are mapped.
    impute_only : bool, default=True
        Whether observed values are kept.
    keep_empty_features : bool, default=False
        Whether columns without any observed value stay in the output, as zeros.
    missing_values : float, default=np.nan
        Marks missing entries of a dense `X`.
    max_iter : int, default=100
        Largest number of iterations for each penalty.
    tol : float, default=1e-5
        Stop when ``||Z_new - Z||^2 / ||Z||^2`` is below it.
    store_rows : bool, default=False
        Whether ``embedding_`` is kept.
    score_holdout : float in (0, 1), default=0.2
        Share of each row's observed entries that `score` hides.
    score_random_state : int, default=0
        Which entries `score` hides.
    copy : bool, default=True
        Present by scikit-learn's convention; `X` is never modified.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the starting subspaces.
    verbose : int, default=0
        Whether iterations of the final fit are logged.

    Attributes
    ----------
    alpha_ : float
        Penalty with the smallest mean squared error.
    alphas_ : ndarray of shape (n_alphas,)
        The penalties compared, descending.
    mse_path_ : ndarray of shape (n_alphas, n_folds)
        Mean squared error on the hidden entries.
    components_, singular_values_, n_components_, alpha_max_, p_observed_, mean_, \
scale_, embedding_, n_iter_, loss_curve_, duality_gap_, converged_
        As in :class:`SoftImputer`, of the final fit to all entries.

    See Also
    --------
    SVTImputerCV : The same for hard thresholding, one decomposition a fold.

    References
    ----------
    Mazumder, Hastie, Tibshirani (2010), Spectral regularization algorithms for
    learning large incomplete matrices, JMLR 11.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.impute import SoftImputerCV
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.standard_normal((80, 2)) @ rng.standard_normal((2, 20))
    >>> X = truth + 0.1 * rng.standard_normal(truth.shape)
    >>> X[rng.random(X.shape) < 0.4] = np.nan
    >>> imputer = SoftImputerCV(n_alphas=10, cv=3, random_state=0).fit(X)
    >>> bool(imputer.alphas_[-1] <= imputer.alpha_ < imputer.alphas_[0])
    True
    """

    alpha = None
    alpha_relative = False
    solver = "als"
    warm_start = False

    _parameter_constraints = {
        **{
            name: constraint
            for name, constraint in SoftImputer._parameter_constraints.items()
            if name not in ("alpha", "alpha_relative", "solver", "warm_start")
        },
        "alphas": ["array-like", None],
        "n_alphas": [Interval(Integral, 1, None, closed="left")],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods("split")],
        "n_jobs": [Integral, None],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        alphas=None,
        *,
        n_alphas=20,
        cv=5,
        n_jobs=None,
        n_components=None,
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
        store_rows=False,
        score_holdout=0.2,
        score_random_state=0,
        copy=True,
        random_state=None,
        verbose=0,
    ):
        self.alphas = alphas
        self.n_alphas = n_alphas
        self.cv = cv
        self.n_jobs = n_jobs
        self.n_components = n_components
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
        self.store_rows = store_rows
        self.score_holdout = score_holdout
        self.score_random_state = score_random_state
        self.copy = copy
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Choose the penalty over the folds and fit it to all entries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            NaN is missing; in a sparse matrix what is not stored is missing.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : SoftImputerCV
            Fitted estimator.

        Raises
        ------
        ValueError
            As :class:`SoftImputer`, and if `alphas` has negative entries.
        """
        observations = Observations(*self._read_training_data(X))
        X_read = self._read(X, reset=False)[:, self._kept]
        limit = self._rank_limit(observations.shape)
        if self.alphas is None:
            alphas = alpha_grid(observations.largest_singular_value(), self.n_alphas)
        else:
            alphas = check_alphas(self.alphas)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        options = {
            "limit": limit,
            "capped": self.n_components is not None,
            "tol": self.tol,
            "max_iter": self.max_iter,
        }
        plain = SoftImputer(center=self.center, scale=self.scale, bounds=self.bounds)
        folds = [
            (plain, self.debias, X_read, train, test, alphas, seed, options)
            for train, test in entry_folds(self.cv, self.random_state, X_read)
        ]
        errors = run_tasks(_soft_fold, folds, self.n_jobs)
        self.alphas_ = alphas
        self.mse_path_ = np.column_stack(errors)
        self._chosen = float(alphas[np.argmin(self.mse_path_.mean(axis=1))])
        with fit_callbacks(self, X=X, max_iter=self.max_iter) as step:
            self._fit_observations(observations, None, step)
        return self

    def _penalty(self, alpha_max):
        return self._chosen


def _soft_fold(plain, refit, X, train, test, alphas, seed, options):
    """Mean squared error of each penalty on the hidden entries of one fold."""
    X_train, (rows, columns, x) = split_entries(X, train, test)
    reader = plain.__class__(**plain.get_params())
    observations = Observations(*reader._read_training_data(X_train))
    low, high = reader._limits()
    path = solve_path(observations, alphas, rng=np.random.RandomState(seed), **options)
    errors = np.empty(len(alphas))
    fitted = np.empty(rows.size)
    for k, found in enumerate(path):
        s = debias(observations, found.U, found.s, found.V) if refit else found.s
        entry_products(
            rows,
            columns,
            np.ascontiguousarray(found.U * s),
            np.ascontiguousarray(found.V),
            fitted,
        )
        estimate = fitted * reader.scale_[columns] + reader.mean_[columns]
        np.clip(estimate, low[columns], high[columns], out=estimate)
        errors[k] = np.mean((estimate - x) ** 2)
    return errors
