# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from .._base import deterministic_signs
from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._parallel import run_tasks
from .._validation import check_at_most
from ._sparse_solver import ScoreDeflation, ipls_component, pmd_components
from ._sparse_views import (
    StandardView,
    compress_rows,
    cross_starts,
    random_start,
    row_factors,
    standard_view,
)
from ._views import TwoViewMixin


class SparseCCA(CallbackSupportMixin, TwoViewMixin):
    """Sparse canonical correlation analysis of two views.

    Finds few linear combinations ``X u`` and ``Y v`` that go together while u and v
    use few of the columns, so that they can be read. It is meant for many columns and
    few rows, where canonical correlation without a penalty reaches 1 on pure noise.

    Parameters
    ----------
    n_components : int, default=1
        Number of pairs of combinations. Find it by GridSearchCV.
    method : {"pmd", "ipls"}, default="pmd"
        "pmd": penalised matrix decomposition of the cross-covariance, with bounds on
        the l1 norm of unit-norm weights. The covariances within the views count as
        identity, which makes it fast and steady: sparse partial least squares of
        standardised columns. "ipls": iterative penalised least squares, two elastic
        nets that predict each other's scores; correlated columns within a view are
        accounted for, as in canonical correlation proper.
    l1_ratio : float in (0, 1] or pair of floats, default=0.3
        With "pmd" the bound of ``||u||_1`` is ``l1_ratio * sqrt(n_features)``, at
        least 1 (a single column). 1 leaves all columns in; 0.3 is the default of the
        program that introduced the method. A pair gives one value for each view.
    alpha : float or pair of floats, default=0.1
        With "ipls" the penalty of the elastic nets. Targets and columns have unit
        variance, so that useful values lie between 0 and 1; above ``alpha_max_``
        nothing is left.
    en_ratio : float in (0, 1] or pair of floats, default=1.0
        With "ipls" the share of the l1 penalty: 1 is the lasso, smaller values keep
        groups of correlated columns together.
    scale : bool, default=True
        Whether columns are divided by their standard deviation.
    deflation : {"hotelling", "projection"}, default="hotelling"
        How later components avoid earlier ones. "hotelling" subtracts the explained
        part of the cross-covariance and keeps weights sparse; scores of different
        components may be correlated. "projection" removes the earlier scores from
        the data: scores are uncorrelated, but the weights of later components, in
        terms of the original columns, are no longer sparse.
    positive : bool or pair of bools, default=False
        Whether weights must not be negative.
    n_init : int, default=1
        Number of starts of each component. The first is a singular vector of the
        cross-covariance, and for later components also the leading one of what the
        earlier scores leave; further ones are random. The largest criterion wins.
    max_iter : int, default=500
        Largest number of alternations for each component.
    tol : float, default=1e-6
        With "pmd" the alternation stops when no weight of the second view changes by
        more than this, with "ipls" when its unit-variance scores change by less in
        root mean square.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts beyond the first.
    n_jobs : int, default=None
        Number of random starts that run at a time; with "pmd" those from singular
        vectors, one after the other, count as one.
    verbose : int, default=0
        Whether each component is logged to ``skstruct.cross_decomposition``.

    Attributes
    ----------
    x_weights_ : ndarray of shape (n_features, n_components)
        Weights u for centred and scaled columns of X, exactly zero for columns that
        are not used and for constant columns. Unit norm with "pmd", unit variance of
        the scores with "ipls".
    y_weights_ : ndarray of shape (n_targets, n_components)
        Weights v.
    x_loadings_ : ndarray of shape (n_features, n_components)
        Regression of the standardised columns of X on the X scores.
    y_loadings_ : ndarray of shape (n_targets, n_components)
        The same for the second view and its own scores.
    correlations_ : ndarray of shape (n_components,)
        Correlations of the scores on the training rows; 0 for a component that the
        penalty left empty.
    d_ : ndarray of shape (n_components,)
        Final criterion: ``u'X'Yv`` of the deflated matrix with "pmd", the correlation
        with "ipls". Components come in the order in which they were extracted, which
        is that of `d_` but for local optima.
    objective_curves_ : list of ndarrays
        With "pmd" the criterion after every half-step of each component; it never
        decreases.
    n_nonzero_ : ndarray of shape (n_components, 2)
        Number of columns used in each view.
    alpha_max_ : ndarray of shape (2,)
        Only with "ipls": the penalties above which the first regression of the first
        component is zero in the first view, and in the second view given `alpha` of
        the first.
    n_iter_ : ndarray of shape (n_components,)
        Number of alternations.
    x_mean_, y_mean_, x_scale_, y_scale_ : ndarrays
        Centres and scales of the columns. The standard deviation has ``n - 1`` in
        its denominator with "pmd" and ``n`` with "ipls".
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    MultiviewSparseCCA : The same for more than two views.
    permutation_test : Which penalty, and is there any relation at all.

    Notes
    -----
    "pmd" maximises ``u'X'Yv`` subject to ``||u||_2 <= 1``, ``||u||_1 <= c1`` and the
    same for v, by alternating between the two maximisers, each of which is a soft
    threshold of ``X'(Yv)`` or ``Y'(Xu)``. The threshold is computed exactly from
    sorted values. Where several columns are tied at the maximum and no threshold
    reaches the bound, they share the weight equally.

    "ipls" alternates ``u = argmin ||X u - Y v||^2/(2n) + alpha (en_ratio |u|_1 +
    (1 - en_ratio) |u|^2 / 2)`` and the same for v, each scaled to scores of unit
    variance. For later components the targets are multiplied by the matrix that takes
    the earlier canonical pairs out of the cross-covariance.

    The cross-covariance of the columns is never formed unless it is small. After the
    first alternations only columns that can pass the threshold are read: a bound on
    how far a product can have moved tells which. Cost: a Gram matrix of the rows of
    each view (or of the columns, where there are fewer) for the start, then a few
    passes over the data for each component, and a copy of the data.

    Both criteria have several local optima; the result is the best one reached from
    singular vectors of the cross-covariance, as it is and deflated, unless `n_init`
    adds starts. The authors' program for "pmd" uses the first kind only: where it
    finds an optimum at least as good the weights are equal to its own.

    References
    ----------
    Witten, Tibshirani, Hastie (2009), A penalized matrix decomposition, with
    applications to sparse principal components and canonical correlation analysis,
    Biostatistics 10. Mai, Zhang (2019), An iterative penalized least squares approach
    to sparse canonical correlation analysis, Biometrics 75. Waaijenborg, Verselewel
    de Witt Hamer, Zwinderman (2008), Quantifying the association between gene
    expressions and DNA-markers by penalized canonical correlation analysis, SAGMB 7.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.cross_decomposition import SparseCCA
    >>> rng = np.random.default_rng(0)
    >>> z = rng.standard_normal((60, 1))
    >>> X = rng.standard_normal((60, 100))
    >>> Y = rng.standard_normal((60, 80))
    >>> X[:, :5] += 1.5 * z
    >>> Y[:, :5] += 1.5 * z
    >>> cca = SparseCCA(l1_ratio=0.22).fit(X, Y)
    >>> np.flatnonzero(cca.x_weights_[:, 0]), np.flatnonzero(cca.y_weights_[:, 0])
    (array([0, 1, 2, 3, 4]), array([0, 1, 2, 3, 4]))
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions({"pmd", "ipls"})],
        "l1_ratio": [Interval(Real, 0, 1, closed="right"), "array-like"],
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "en_ratio": [Interval(Real, 0, 1, closed="right"), "array-like"],
        "scale": ["boolean"],
        "deflation": [StrOptions({"hotelling", "projection"})],
        "positive": ["boolean", "array-like"],
        "n_init": [Interval(Integral, 1, None, closed="left")],
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
        method="pmd",
        l1_ratio=0.3,
        alpha=0.1,
        en_ratio=1.0,
        scale=True,
        deflation="hotelling",
        positive=False,
        n_init=1,
        max_iter=500,
        tol=1e-6,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.method = method
        self.l1_ratio = l1_ratio
        self.alpha = alpha
        self.en_ratio = en_ratio
        self.scale = scale
        self.deflation = deflation
        self.positive = positive
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Find the sparse pairs of combinations.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            First view. A sparse matrix is centred and scaled implicitly.
        y : {array-like, sparse matrix} of shape (n_samples, n_targets)
            Second view; one-dimensional is one column.

        Returns
        -------
        self : SparseCCA
        """
        X, y = self._validate_views(
            X, y, reset=True, accept_sparse="csr", ensure_all_finite=False
        )
        x, y = self._standard_views(X, y)
        short = compress_rows([x, y])
        components = self._components(*short, row_factors(short))
        self._store(x, y, *short, components)
        return self

    def _standard_views(self, X, y):
        ddof = 1 if self.method == "pmd" else 0
        views = [
            standard_view(A, scale=self.scale, ddof=ddof, name=name)
            for A, name in ((X, "X"), (y, "y"))
        ]
        self._check_options(*views)
        return views

    def _check_options(self, x, y):
        K, (n, p), q = self.n_components, x.shape, y.shape[1]
        if self.deflation == "projection":
            check_at_most(
                K, min(p, q, n - 1), "n_components",
                "min(n_features, n_targets, n_samples - 1)",
            )  # fmt: skip
            if self.method == "ipls" and not (
                isinstance(x, StandardView) and isinstance(y, StandardView)
            ):
                raise ValueError(
                    "deflation='projection' with method='ipls' needs dense views: "
                    "the deflated data would not be sparse. Use 'hotelling'."
                )
        else:
            check_at_most(K, min(p, q), "n_components", "min(n_features, n_targets)")
        self._l1_ratio = _pair(self.l1_ratio, "l1_ratio", upper=1)
        self._alpha = _pair(self.alpha, "alpha", zero=True)
        self._en_ratio = _pair(self.en_ratio, "en_ratio", upper=1)
        self._positive = tuple(
            bool(b) for b in _pair(self.positive, "positive", upper=1, zero=True)
        )

    def _components(self, x, y, factors):
        """The list of components and, for a projection, the deflation used."""
        rng = check_random_state(self.random_state)
        seeds = rng.randint(2**31 - 1, size=(self.n_components, self.n_init - 1))
        extract = self._pmd if self.method == "pmd" else self._ipls
        with fit_callbacks(self, max_iter=self.n_components) as step:
            return extract(x, y, factors, seeds, step)

    def _pmd(self, x, y, factors, seeds, step):
        """Penalised matrix decomposition of ``M_1 = X'Y``, component by component."""
        options = {
            "bounds": [
                max(1.0, ratio * np.sqrt(view.shape[1]))
                for ratio, view in zip(self._l1_ratio, (x, y))
            ],
            "positive": self._positive,
            "max_iter": self.max_iter,
            "tol": self.tol,
        }
        K = self.n_components
        hotelling = self.deflation == "hotelling"
        projection = ScoreDeflation("projection", x.n_samples)
        if hotelling:
            # As in the authors' program: all from the undeflated matrix.
            starts = [S.T for S in cross_starts(x, y, K, factors=factors)]
        found, scores = [], np.zeros((y.shape[0], K))
        for k in range(K):
            middle = projection if k else None
            leading = []
            if hotelling:
                leading.append((starts[0][k], starts[1][k]))
                options["earlier"] = (
                    _columns(found, "u", x),
                    np.array([c.strength for c in found]),
                    _columns(found, "v", y),
                    scores[:, :k],
                )
            else:
                options["middle"] = middle
            if k or not hotelling:
                # A singular vector of the whole may point to noise where a later
                # component should start; what earlier scores leave does not.
                s, t = cross_starts(x, y, 1, factors=factors, middle=middle)
                leading.append((s[:, 0], t[:, 0]))
            others = [[random_start(y, seed)] for seed in seeds[k]]
            tried = run_tasks(
                lambda starts: pmd_components(x, y, starts, **options),
                [(starts,) for starts in (leading, *others)],
                self.n_jobs,
            )
            tried = [component for components in tried for component in components]
            best = tried[0]
            for other in tried[1:]:
                # Equal up to rounding is no reason to leave the first start.
                if other.strength > best.strength * (1 + 1e-6):
                    best = other
            found.append(best)
            if step(k, best.strength) or k == K - 1:
                break
            scores[:, k] = y.scores(best.v)
            # The scores of the deflated data.
            projection.append(*projection.residuals(x.scores(best.u), scores[:, k]))
        return found

    def _ipls(self, x, y, factors, seeds, step):
        """Iterative penalised least squares, component by component."""
        deflation = ScoreDeflation("hotelling", x.n_samples)
        options = {
            "alphas": self._alpha,
            "ratios": self._en_ratio,
            "positive": self._positive,
            "max_iter": self.max_iter,
            "tol": self.tol,
        }
        found = []
        for k in range(self.n_components):
            middle = deflation if deflation.T else None
            _, t = cross_starts(x, y, 1, factors=factors, middle=middle)
            tries = [(x, y, t[:, 0])]
            tries += [(x, y, random_start(y, seed)[1]) for seed in seeds[k]]
            tried = run_tasks(
                lambda *start, middle=middle: ipls_component(
                    *start, middle=middle, **options
                ),
                tries,
                self.n_jobs,
            )
            best, alpha_max = max(tried, key=lambda pair: pair[0].strength)
            if k == 0:
                self._alpha_max = np.array(alpha_max)
            found.append(best)
            if step(k, best.strength):
                break
            if best.u.any():
                t, s = x.scores(best.u), y.scores(best.v)
                if self.deflation == "projection":
                    x, y = x.without(t), y.without(s)
                    factors = row_factors([x, y])
                else:
                    deflation.append(t, s)
        return found

    def _store(self, x, y, short_x, short_y, found):
        """Set the fitted attributes from the components."""
        n = x.n_samples
        U, V = _columns(found, "u", x), _columns(found, "v", y)
        if self.deflation == "projection":
            U, V = (
                _original_weights(W, view) for W, view in ((U, short_x), (V, short_y))
            )
        T = np.column_stack([short_x.scores(u) for u in U.T])
        S = np.column_stack([short_y.scores(v) for v in V.T])
        if not any(self._positive):
            U, signs = deterministic_signs(U, np.ones((1, U.shape[1])))
            T = T * signs
            signs = np.where(np.einsum("ij,ij->j", T, S) < 0, -1.0, 1.0)
            V, S = V * signs, S * signs
        # Adding zero removes the signs of zeros.
        self.x_weights_, self.y_weights_ = U + 0.0, V + 0.0
        self.x_mean_, self.x_scale_ = x.mean, x.scale
        self.y_mean_, self.y_scale_ = y.mean, y.scale
        Sxx, Syy, Sxy = (A.T @ B / (n - 1) for A, B in ((T, T), (S, S), (T, S)))
        # One pass over each view.
        x_loadings = short_x.correlate(T) / (n - 1)
        y_on_x, y_loadings = np.hsplit(
            short_y.correlate(np.hstack([T, S])) / (n - 1), 2
        )
        self._set_score_moments(Sxx, Syy, Sxy, x_loadings, y_on_x)
        self.y_loadings_ = y_loadings @ np.linalg.pinv(Syy, hermitian=True)
        size = np.sqrt(np.diag(Sxx) * np.diag(Syy))
        self.correlations_ = np.where(
            size > 0, np.diag(Sxy) / np.where(size > 0, size, 1.0), 0.0
        ).clip(-1.0, 1.0)
        self.d_ = np.array([c.strength for c in found])
        self.n_iter_ = np.array([c.n_iter for c in found])
        self.n_nonzero_ = np.column_stack([np.count_nonzero(W, axis=0) for W in (U, V)])
        if self.method == "pmd":
            self.objective_curves_ = [np.array(c.objective) for c in found]
        else:
            self.alpha_max_ = self._alpha_max
        self._warn(found)

    def _warn(self, found):
        empty = [k for k, c in enumerate(found) if not (c.u.any() and c.v.any())]
        if empty:
            remedy = (
                f"alpha={self.alpha} is too large; alpha_max_ of the first component "
                f"is {np.round(self.alpha_max_, 4).tolist()}"
                if self.method == "ipls"
                else "the views have no relation left"
            )
            warnings.warn(
                f"{type(self).__name__}: component(s) {empty} are zero: {remedy}.",
                UserWarning,
                stacklevel=3,
            )
        for k, c in enumerate(found):
            if c.n_iter == self.max_iter and c.change > self.tol:
                what = "weights" if self.method == "pmd" else "scores"
                moved = (
                    f"with a change of the y {what} of {c.change:.2g}, above "
                    f"tol={self.tol}"
                    if np.isfinite(c.change)
                    else f"before the y {what} could be compared"
                )
                warnings.warn(
                    f"{type(self).__name__}: component {k} stopped at max_iter="
                    f"{self.max_iter} {moved}; increase max_iter or tol.",
                    ConvergenceWarning,
                    stacklevel=3,
                )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _pair(value, name, *, upper=np.inf, zero=False):
    """One value for each of two views, checked."""
    pair = np.broadcast_to(value, (2,)) if np.ndim(value) == 0 else np.asarray(value)
    if pair.shape != (2,):
        raise ValueError(
            f"{name}={value!r} must be one value or a pair, one for each view."
        )
    low = pair >= 0 if zero else pair > 0
    if not np.all(low & (pair <= upper)):
        bounds = f"{'[' if zero else '('}0, {upper}{')' if upper == np.inf else ']'}"
        raise ValueError(f"{name}={value!r} must lie in {bounds} for each view.")
    return tuple(float(v) for v in pair)


def _columns(found, name, view):
    """Weights of the components as columns."""
    W = np.zeros((view.shape[1], len(found)))
    for k, component in enumerate(found):
        W[:, k] = getattr(component, name)
    return W


def _original_weights(U, view):
    """``U (P'U)^-1``: weights of deflated data in terms of the original columns."""
    W, rows = np.zeros_like(U), []
    for k, u in enumerate(U.T):
        # The score of the deflated data is what earlier ones leave of X u.
        w = u.copy()
        t = view.scores(u)
        for j, other in rows:
            share = (other @ t) / (other @ other)
            t = t - share * other
            w = w - share * W[:, j]
        W[:, k] = w
        if u.any():
            rows.append((k, t))
    return W
