# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from .._callbacks import CallbackSupportMixin, fit_callbacks
from ._base import StructuredFactorModel
from ._data import read_table
from ._estimate import estimate
from ._measures import count_message
from ._solver import Support


class ConfirmatoryFactorAnalysis(CallbackSupportMixin, StructuredFactorModel):
    """Factor analysis with a given pattern of zero loadings.

    ``x = mean + loadings f + e`` with correlated factors of variance one and
    independent errors; a loading outside `pattern` is zero.

    Parameters
    ----------
    pattern : array-like of bool (n_features, n_factors), list of lists, or dict
        Which variables load on which factor: a table of booleans (a DataFrame names
        the factors by its columns), one list of column numbers or names for each
        factor, or a dictionary from factor names to such lists. Nested lists of
        integers are column numbers, never a table of zeros and ones.
    method : {"ml", "uls"}, default="ml"
        Normal maximum likelihood, or unweighted least squares on the covariance
        matrix, which depends on the units of the variables.
    orthogonal : bool, default=False
        Whether the factors are uncorrelated.
    corr : {"pearson", "spearman", "precomputed"} or callable, default="pearson"
        How correlations are computed. "precomputed": ``fit`` takes a correlation or
        covariance matrix (divisor n) and ``n_samples``. A callable maps the rows to a
        correlation matrix.
    scores : {"regression", "bartlett"}, default="regression"
        What ``transform`` returns.
    missing : {"error", "listwise", "pairwise", "fiml"}, default="error"
        What NaN means to ``fit``: an error, dropped rows, correlations of the rows
        that have both variables, or full information: the likelihood of what is
        observed, which is the best choice where entries are missing at random.
    max_iter : int, default=200
        Largest number of Newton (or quasi-Newton) steps.
    tol : float, default=1e-8
        Convergence when the decrease of F that the next step predicts is below
        ``1e-4 * tol``; F is minus twice the log-likelihood per row.
    min_noise : float, default=1e-4
        Lower bound of a unique variance, as a share of the variable's variance.
    verbose : int, default=0
        Whether iterations are logged to
        ``logging.getLogger("skstruct.factor_analysis")``.

    Attributes
    ----------
    loadings_ : ndarray of shape (n_features, n_components)
        In the units of the variables; each factor is oriented so that its loadings
        have a positive sum.
    components_ : ndarray of shape (n_components, n_features)
        The transpose, in scikit-learn's shape.
    factor_corr_ : ndarray of shape (n_components, n_components)
        Correlations of the factors.
    noise_variance_ : ndarray of shape (n_features,)
        Unique variances.
    support_ : ndarray of bool of shape (n_features, n_components)
        The pattern.
    mean_, scale_ : ndarrays of shape (n_features,)
        Mean and standard deviation of the variables.
    n_components_ : int
        Number of factors.
    n_samples_ : float
        Number of rows; with "pairwise" the mean number of rows of a pair.
    unassigned_ : ndarray of int
        Variables without a loading; they stay in the model as independent ones.
    heywood_ : ndarray of int
        Variables whose unique variance is at its lower bound.
    correlation_ : ndarray of shape (n_features, n_features) or None
        Correlations that were fitted; not kept beyond 3000 variables.
    loglike_ : float
        Log-likelihood of the training rows.
    n_iter_ : int
        Newton or quasi-Newton steps.
    converged_ : bool
        Whether `tol` was reached.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    CorrelationThresholding : Finds the pattern.
    ExploratoryFactorAnalysis : No zeros, but a rotation.

    Notes
    -----
    Minimises ``F = log det Sigma + tr(S Sigma^-1)``, S with divisor n. Ten EM steps
    (Rubin and Thayer 1982, with the factors' covariance free: Liu, Rubin, Wu 1998) are
    followed by Fisher scoring and, near the optimum, Newton steps with the exact
    Hessian, so that convergence is quadratic also where the model misfits. Beyond
    2000 parameters limited-memory BFGS replaces them. No matrix of size n_features is
    inverted for the fit; a Newton step costs ``O(q^3 + n_features^2 d)`` for q
    parameters.

    A unique variance at its bound or factor correlations near one are flagged, not
    repaired: the model is then a poor one for these data.

    References
    ----------
    Joreskog (1969), A general approach to confirmatory maximum likelihood factor
    analysis, Psychometrika 34. Rubin, Thayer (1982), EM algorithms for ML factor
    analysis, Psychometrika 47. Liu, Rubin, Wu (1998), Parameter expansion to
    accelerate EM, Biometrika 85. Rosseel (2012), lavaan, Journal of Statistical
    Software 48.

    Examples
    --------
    >>> from skstruct.datasets import load_holzinger_swineford
    >>> from skstruct.factor_analysis import ConfirmatoryFactorAnalysis
    >>> X = load_holzinger_swineford().data
    >>> cfa = ConfirmatoryFactorAnalysis([[0, 1, 2], [3, 4, 5], [6, 7, 8]]).fit(X)
    >>> round(cfa.fit_indices()["chi2"], 3)
    85.306
    >>> cfa.factor_corr_.round(2)
    array([[1.  , 0.46, 0.47],
           [0.46, 1.  , 0.28],
           [0.47, 0.28, 1.  ]])
    """

    _parameter_constraints = {
        "pattern": "no_validation",
        "method": [StrOptions({"ml", "uls"})],
        "orthogonal": ["boolean"],
        "corr": [StrOptions({"pearson", "spearman", "precomputed"}), callable],
        "scores": [StrOptions({"regression", "bartlett"})],
        "missing": [StrOptions({"error", "listwise", "pairwise", "fiml"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "min_noise": [Interval(Real, 0, 1, closed="left")],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        pattern,
        *,
        method="ml",
        orthogonal=False,
        corr="pearson",
        scores="regression",
        missing="error",
        max_iter=200,
        tol=1e-8,
        min_noise=1e-4,
        verbose=0,
    ):
        self.pattern = pattern
        self.method = method
        self.orthogonal = orthogonal
        self.corr = corr
        self.scores = scores
        self.missing = missing
        self.max_iter = max_iter
        self.tol = tol
        self.min_noise = min_noise
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, n_samples=None):
        """Estimate loadings, factor correlations and unique variances.

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
        self : ConfirmatoryFactorAnalysis
            Fitted estimator.

        Raises
        ------
        ValueError
            If `X` has a constant column or fewer than 3 rows, the pattern does not fit
            the columns of `X` or has an empty column, or has more parameters than
            there are variances and covariances.
        """
        if self.missing == "fiml" and (self.method != "ml" or self.corr != "pearson"):
            raise ValueError(
                "missing='fiml' is a normal likelihood of the rows: it needs "
                f"method='ml' and corr='pearson', got {self.method!r}, {self.corr!r}."
            )
        table = read_table(self, X, n_samples)
        p = table.scale.size
        names = getattr(self, "feature_names_in_", None)
        mask, self._given_names = read_pattern(self.pattern, p, names)
        support = Support(mask)
        q = support.n_parameters(self.orthogonal)
        if q > p * (p + 1) // 2:
            raise ValueError(count_message(q, p))
        with fit_callbacks(self, X=X, max_iter=self.max_iter) as step:
            table, fit = estimate(
                table,
                support,
                method=self.method,
                orthogonal=self.orthogonal,
                min_noise=self.min_noise,
                tol=self.tol,
                max_iter=self.max_iter,
                step=step,
            )
        self._store(table, fit, mask, orthogonal=self.orthogonal)
        self._warn_about(fit)
        return self

    def _warn_about(self, fit):
        warn_about(self, fit, stacklevel=4)

    def _factor_names(self):
        given = getattr(self, "_given_names", None)
        return super()._factor_names() if given is None else list(given)


def warn_about(model, fit, *, stacklevel):
    """One warning for the selected model: convergence, Heywood, collinear factors."""
    notes = []
    if not fit.converged:
        notes.append(
            f"max_iter={model.max_iter} steps ended with a predicted decrease of "
            f"{fit.decrement:.3g}, above 1e-4 * tol = {1e-4 * model.tol:.3g}; increase "
            "max_iter, or look for a factor that the data do not determine"
        )
    if model.heywood_.size:
        found = ", ".join(model._names()[i] for i in model.heywood_[:5])
        notes.append(
            f"unique variances at their lower bound (Heywood case): {found}"
            f"{', ...' if model.heywood_.size > 5 else ''}"
        )
    if model.n_components_ > 1:
        smallest = np.linalg.eigvalsh(model.factor_corr_)[0]
        if smallest < 1e-3:
            notes.append(
                "the factor correlations are nearly singular (smallest eigenvalue "
                f"{smallest:.2g}): two factors are hardly distinct"
            )
    if notes:
        warnings.warn(
            f"{type(model).__name__}: {'; '.join(notes)}.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def read_pattern(pattern, p, names):
    """Bool mask (p, d) and given factor names from the forms of `pattern`."""
    factor_names = None
    if isinstance(pattern, dict):
        factor_names = [str(key) for key in pattern]
        mask = _from_lists(list(pattern.values()), p, names)
    elif _is_list_of_lists(pattern):
        mask = _from_lists(pattern, p, names)
    else:
        if hasattr(pattern, "columns"):
            factor_names = [str(name) for name in pattern.columns]
            pattern = pattern.to_numpy()
        mask = np.asarray(pattern)
        if mask.ndim != 2 or mask.shape[0] != p or mask.shape[1] == 0:
            raise ValueError(
                f"pattern must have shape (n_features={p}, n_factors), got "
                f"{mask.shape}."
            )
        if mask.dtype != bool:
            if not np.isin(mask, (0, 1)).all():
                raise ValueError("pattern must hold booleans, or zeros and ones.")
            mask = mask.astype(bool)
    empty = np.flatnonzero(~mask.any(axis=0))
    if empty.size:
        raise ValueError(f"pattern has no variable for factor {empty[0]}.")
    return mask, factor_names


def _is_list_of_lists(pattern):
    if not isinstance(pattern, (list, tuple)) or not len(pattern):
        return False
    # Rows of booleans are a table; lists of unequal or other content are factors.
    flat = [item for part in pattern if np.ndim(part) for item in part]
    return not all(isinstance(item, (bool, np.bool_)) for item in flat) or not flat


def _from_lists(lists, p, names):
    mask = np.zeros((p, len(lists)), dtype=bool)
    if not lists:
        raise ValueError("pattern must have at least one factor.")
    where = {} if names is None else {name: j for j, name in enumerate(names)}
    for k, part in enumerate(lists):
        for item in [part] if isinstance(part, str) else part:
            if isinstance(item, str):
                if item not in where:
                    raise ValueError(
                        f"pattern names {item!r} for factor {k}, which is no column "
                        + (
                            f"of X; it has {list(where)[:10]}."
                            if where
                            else "name: X has no column names, use numbers."
                        )
                    )
                j = where[item]
            else:
                j = item
                if not isinstance(j, Integral) or not 0 <= j < p:
                    raise ValueError(
                        f"pattern names column {item!r} for factor {k}; columns are "
                        f"numbered from 0 to {p - 1}."
                    )
            mask[j, k] = True
    return mask
