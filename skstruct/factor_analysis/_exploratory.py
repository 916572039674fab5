# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._validation import check_at_most
from ._base import FactorModel
from ._confirmatory import warn_about
from ._data import read_table
from ._exploratory_solver import run_exploratory
from ._rotation import rotate
from ._solver import Params, with_positive_columns


class ExploratoryFactorAnalysis(CallbackSupportMixin, FactorModel):
    """Maximum likelihood factor analysis with orthogonal and oblique rotations.

    Every variable loads on every factor; a rotation makes the loadings readable. It
    changes neither the covariance matrix nor `score`.

    Parameters
    ----------
    n_components : int
        Number of factors. Choose it by ``GridSearchCV``: `score` is the held-out
        log-likelihood.
    method : {"ml"}, default="ml"
        Extraction: normal maximum likelihood.
    rotation : {"oblimin", "quartimin", "geomin", "promax", "varimax", "quartimax"} \
or None, default="oblimin"
        "oblimin" with parameter 0 is "quartimin". The first four give correlated
        factors, "varimax" and "quartimax" uncorrelated ones (with Kaiser's
        normalisation), None the canonical form, ``loadings' noise^-1 loadings``
        diagonal.
    n_init : int, default=5
        Starts of "oblimin" and "geomin", whose criteria have local minima.
    corr : {"pearson", "spearman", "precomputed"} or callable, default="pearson"
        As in :class:`ConfirmatoryFactorAnalysis`.
    scores : {"regression", "bartlett"}, default="regression"
        What ``transform`` returns.
    max_iter : int, default=200
        Largest number of Newton steps; some 5 to 20 are needed.
    tol : float, default=1e-8
        Convergence when the decrease of F that the next step predicts is below
        ``1e-4 * tol``; F is minus twice the log-likelihood per row.
    min_noise : float, default=1e-4
        Lower bound of a unique variance, as a share of the variable's variance.
    random_state : int, RandomState instance or None, default=None
        Seed of the random starts of the rotation.
    verbose : int, default=0
        Whether iterations are logged to
        ``logging.getLogger("skstruct.factor_analysis")``.

    Attributes
    ----------
    loadings_ : ndarray of shape (n_features, n_components)
        Rotated, in the units of the variables; columns by decreasing sum of squares on
        the correlation scale, each with a positive sum.
    components_ : ndarray of shape (n_components, n_features)
        The transpose, in scikit-learn's shape.
    factor_corr_ : ndarray of shape (n_components, n_components)
        Correlations of the factors.
    noise_variance_ : ndarray of shape (n_features,)
        Unique variances.
    rotation_matrix_ : ndarray of shape (n_components, n_components)
        Canonical loadings times it are the rotated ones.
    support_ : ndarray of bool of shape (n_features, n_components)
        True throughout.
    unassigned_ : ndarray of int
        Empty.
    mean_, scale_ : ndarrays of shape (n_features,)
        Mean and standard deviation of the variables.
    n_components_ : int
        Number of factors.
    n_samples_ : int
        Number of rows.
    heywood_ : ndarray of int
        Variables whose unique variance is at its lower bound.
    correlation_ : ndarray of shape (n_features, n_features)
        Correlations that were fitted.
    loglike_ : float
        Log-likelihood of the training rows.
    n_iter_ : int
        Newton steps.
    converged_ : bool
        Whether `tol` was reached.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    CorrelationThresholding : Finds which loadings are zero, and their number.
    ConfirmatoryFactorAnalysis : Estimates for a given pattern of zeros.
    sklearn.decomposition.FactorAnalysis : The EM algorithm, orthogonal rotations.

    Notes
    -----
    Given the unique variances the loadings are eigenvectors of the scaled correlation
    matrix; Newton steps run on the logarithms of the unique variances with the exact
    Hessian, one eigendecomposition, ``O(n_features^3)``, each.

    References
    ----------
    Joreskog (1967), Some contributions to maximum likelihood factor analysis,
    Psychometrika 32. Clarke (1970), A rapidly convergent method for maximum-likelihood
    factor analysis, British Journal of Mathematical and Statistical Psychology 23.
    Jennrich (2002), A simple general method for oblique rotation, Psychometrika 67.

    Examples
    --------
    >>> from skstruct.datasets import load_holzinger_swineford
    >>> from skstruct.factor_analysis import ExploratoryFactorAnalysis
    >>> X = load_holzinger_swineford().data
    >>> efa = ExploratoryFactorAnalysis(3, random_state=0).fit(X)
    >>> round(efa.fit_indices()["cfi"], 3)
    0.988
    >>> (abs(efa.loadings_ / efa.scale_[:, None]) > 0.3).sum(axis=0)
    array([3, 4, 3])
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions({"ml"})],
        "rotation": [
            StrOptions(
                {"oblimin", "quartimin", "geomin", "promax", "varimax", "quartimax"}
            ),
            None,
        ],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "corr": [StrOptions({"pearson", "spearman", "precomputed"}), callable],
        "scores": [StrOptions({"regression", "bartlett"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "min_noise": [Interval(Real, 0, 1, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components,
        *,
        method="ml",
        rotation="oblimin",
        n_init=5,
        corr="pearson",
        scores="regression",
        max_iter=200,
        tol=1e-8,
        min_noise=1e-4,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.method = method
        self.rotation = rotation
        self.n_init = n_init
        self.corr = corr
        self.scores = scores
        self.max_iter = max_iter
        self.tol = tol
        self.min_noise = min_noise
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, n_samples=None):
        """Extract the factors and rotate them.

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
        self : ExploratoryFactorAnalysis
            Fitted estimator.

        Raises
        ------
        ValueError
            If `X` has a constant column or fewer than 3 rows, or `n_components`
            exceeds the number of variables.
        """
        table = read_table(self, X, n_samples)
        p, d = table.scale.size, self.n_components
        check_at_most(d, p, "n_components", "n_features")
        rng = check_random_state(self.random_state)
        with fit_callbacks(self, X=X, max_iter=self.max_iter) as step:
            fit = run_exploratory(
                table.moments.S,
                d,
                np.full(p, max(self.min_noise, 1e-12)),
                tol=1e-4 * self.tol,
                max_iter=self.max_iter,
                step=step,
            )
        canonical = fit.params.loadings
        M, corr = rotate(canonical, self.rotation, n_init=self.n_init, rng=rng)
        L = canonical @ M
        if self.rotation is not None:
            order = np.argsort(-np.sum(L**2, axis=0), kind="stable")
            M, L, corr = M[:, order], L[:, order], corr[np.ix_(order, order)]
        params = with_positive_columns(Params(L, corr, fit.params.noise))
        self.rotation_matrix_ = M * np.where(L.sum(axis=0) < 0, -1.0, 1.0)
        fit = fit._replace(params=params)
        self._store(table, fit, np.ones((p, d), dtype=bool), orthogonal=False)
        q = self._n_parameters()
        if q > p * (p + 1) // 2:
            warnings.warn(
                f"{d} factors on {p} variables have {q} parameters for "
                f"{p * (p + 1) // 2} variances and covariances: the unique variances "
                "are not identified.",
                UserWarning,
                stacklevel=3,
            )
        else:
            warn_about(self, fit, stacklevel=3)
        return self

    def _n_parameters(self):
        p, d = self.loadings_.shape
        # Rotations of the canonical form are no parameters.
        return p * d + p - d * (d - 1) // 2

    def summary(self, *, cut=0.3):
        """A printable table of standardised loadings and fit.

        Parameters
        ----------
        cut : float, default=0.3
            Loadings below it in absolute value are left blank.

        Returns
        -------
        text : str
            Print it.
        """
        check_is_fitted(self)
        names, factors = self._names(), self._factor_names()
        width = max(8, *(len(name) + 2 for name in names))
        L = self.loadings_ / self.scale_[:, None]
        unique = self.noise_variance_ / self.scale_**2
        lines = [self._summary_head(), "", *self._fit_lines(), ""]
        head = "".join(f"{name:>10}" for name in [*factors, "unique"])
        lines.append(f"{'Loadings':{width}}{head}")
        for i, name in enumerate(names):
            cells = "".join(
                f"{value:10.3f}" if abs(value) >= cut else " " * 10 for value in L[i]
            )
            lines.append(f"{name:{width}}{cells}{unique[i]:10.3f}")
        if self.n_components_ > 1 and not np.allclose(
            self.factor_corr_, np.eye(self.n_components_)
        ):
            lines += ["", "Factor correlations"]
            lines += [
                f"{name:{width}}" + "".join(f"{value:10.3f}" for value in row)
                for name, row in zip(factors, self.factor_corr_, strict=True)
            ]
        return "\n".join(lines)
