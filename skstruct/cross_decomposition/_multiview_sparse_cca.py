# SPDX-License-Identifier: BSD-3-Clause

import warnings
from itertools import combinations
from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from .._base import deterministic_signs
from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._parallel import run_tasks
from .._validation import check_at_most
from ._multiview_sparse_solver import joint_starts, multiview_component
from ._sparse_views import compress_rows, row_factors, standard_view
from ._views import MultiviewMixin


class MultiviewSparseCCA(CallbackSupportMixin, MultiviewMixin):
    """Sparse canonical correlation analysis of two or more views.

    Finds one sparse combination of the columns of each view such that all pairs of
    combinations go together. The views stand side by side in one array, so that
    Pipeline and GridSearchCV work as for any estimator; a list of arrays is accepted
    too.

    Parameters
    ----------
    n_components : int, default=1
        Number of combinations of each view. Find it by GridSearchCV.
    l1_ratio : float in (0, 1] or one float for each view, default=0.3
        Weights of view i have unit norm and an l1 norm of at most ``l1_ratio *
        sqrt(p_i)``, at least 1.
    view_sizes : list of int, default=None
        Number of columns of each view in a stacked array. None cuts it into two
        halves. Not used for a list of arrays.
    scale : bool, default=True
        Whether columns are divided by their standard deviation.
    positive : bool or one bool for each view, default=False
        Whether weights must not be negative.
    n_init : int, default=1
        Number of starts of each component. The first are eigenvectors of the
        cross-products, as they are and without the earlier scores; further ones are
        random. The largest criterion wins.
    max_iter : int, default=500
        Largest number of cycles over the views for each component.
    tol : float, default=1e-6
        Stops when the criterion grows by a smaller share in a cycle and no weight
        moves by more than ``sqrt(tol)``.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts beyond the first.
    n_jobs : int, default=None
        Number of starts that run at a time.
    verbose : int, default=0
        Whether each component is logged to ``skstruct.cross_decomposition``.

    Attributes
    ----------
    weights_ : list of ndarrays of shape (p_i, n_components)
        Weights for centred and scaled columns of each view: unit norm, exactly zero
        for columns that are not used.
    correlations_ : ndarray of shape (n_components,)
        Mean correlation of the training scores over pairs of views.
    d_ : ndarray of shape (n_components,)
        Final criterion of each component.
    objective_curves_ : list of ndarrays
        The criterion after the update of each view; it never decreases.
    n_nonzero_ : ndarray of shape (n_components, n_views)
        Number of columns used in each view.
    n_iter_ : ndarray of shape (n_components,)
        Number of cycles.
    view_sizes_ : list of int
        Number of columns of each view.
    means_, scales_ : lists of ndarrays
        Centre and scale of the columns of each view.
    n_features_in_ : int
        Number of columns of all views.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    SparseCCA : Two views, with sparse matrices and the regression form.

    Notes
    -----
    Maximises ``sum_{i<j} w_i'M_ij w_j`` by cyclic soft thresholds. ``M_ij`` is
    ``X_i'X_j`` at first, and each component takes ``(w_i'M_ij w_j) w_i w_j'`` from it.
    With two views the result is that of SparseCCA. (The authors' program subtracts
    ``w_i'X_i'X_j w_j`` instead, which leaves something along the earlier weights.) The
    start of the authors' program, the leading singular vectors of each view on its
    own, does not look at what the views share; here it is the joint eigenvector,
    which does.

    Cost: a Gram matrix of the rows of each view for the start, then a few passes over
    the data for each component; no cross-product of views is formed.

    References
    ----------
    Witten, Tibshirani (2009), Extensions of sparse canonical correlation analysis
    with applications to genomic data, SAGMB 8.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.cross_decomposition import MultiviewSparseCCA
    >>> rng = np.random.default_rng(0)
    >>> z = rng.standard_normal((60, 1))
    >>> views = [rng.standard_normal((60, p)) for p in (40, 50, 60)]
    >>> for view in views:
    ...     view[:, :4] += 1.5 * z
    >>> cca = MultiviewSparseCCA(l1_ratio=0.25, view_sizes=[40, 50, 60])
    >>> cca.fit(np.hstack(views)).n_nonzero_
    array([[4, 4, 4]])
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="right"), "array-like"],
        "view_sizes": ["array-like", None],
        "scale": ["boolean"],
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
        l1_ratio=0.3,
        view_sizes=None,
        scale=True,
        positive=False,
        n_init=1,
        max_iter=500,
        tol=1e-6,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.l1_ratio = l1_ratio
        self.view_sizes = view_sizes
        self.scale = scale
        self.positive = positive
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Find the sparse combinations.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or list of arrays
            The stacked views or one array per view.
        y : Ignored
            Present by convention.

        Returns
        -------
        self : MultiviewSparseCCA
        """
        arrays = self._validate_multiview(X, reset=True, min_samples=2)
        sizes = [A.shape[1] for A in arrays]
        K, M = self.n_components, len(arrays)
        check_at_most(K, min(sizes), "n_components", "the smallest view")
        ratios = _each(self.l1_ratio, "l1_ratio", M)
        if not np.all((ratios > 0) & (ratios <= 1)):
            raise ValueError(f"l1_ratio={self.l1_ratio!r} must lie in (0, 1].")
        options = {
            "bounds": np.maximum(1.0, ratios * np.sqrt(sizes)),
            "positive": [bool(b) for b in _each(self.positive, "positive", M)],
            "max_iter": self.max_iter,
            "tol": self.tol,
        }
        full = [standard_view(A, scale=self.scale, ddof=1) for A in arrays]
        views = compress_rows(full)
        rng = check_random_state(self.random_state)
        seeds = rng.randint(2**31 - 1, size=(K, self.n_init - 1))
        factors = row_factors(views)
        starts = joint_starts(views, K, factors=factors)
        W = [np.zeros((p, K)) for p in sizes]
        D = np.zeros((M, M, K))
        found = []
        with fit_callbacks(self, X=X, max_iter=K) as step:
            for k in range(K):
                earlier = [Wi[:, :k] for Wi in W], D[:, :, :k]
                tries = [(starts[k],)]
                if k:
                    # What earlier scores leave: see SparseCCA.
                    scores = [
                        np.column_stack([v.scores(w) for w in Wi[:, :k].T])
                        for v, Wi in zip(views, W)
                    ]
                    start = joint_starts(views, 1, factors=factors, earlier=scores)[0]
                    tries.append((start,))
                tries += [(_random(seed, sizes),) for seed in seeds[k]]

                def attempt(start, earlier=earlier):
                    return multiview_component(views, start, earlier=earlier, **options)

                tried = run_tasks(attempt, tries, self.n_jobs)
                best = tried[0]
                for other in tried[1:]:
                    if other.strength > best.strength * (1 + 1e-6):
                        best = other
                for Wi, w in zip(W, best.weights):
                    Wi[:, k] = w
                # What is left along the new weights, for the next deflation.
                along = [Wi[:, :k].T @ w for Wi, w in zip(W, best.weights)]
                scores = [v.scores(w) for v, w in zip(views, best.weights)]
                for i, j in combinations(range(M), 2):
                    left = scores[i] @ scores[j] - along[i] @ (D[i, j, :k] * along[j])
                    D[i, j, k] = D[j, i, k] = left
                found.append(best)
                if step(k, best.strength):
                    break
        self._store(full, views, [Wi[:, : len(found)] for Wi in W], found)
        return self

    def _store(self, full, views, W, found):
        n, M = full[0].n_samples, len(full)
        if not np.any(self.positive):
            # One sign for all views of a component: their products stay as they are.
            stacked = deterministic_signs(W[0], *W[1:])
            W = list(stacked)
        # Adding zero removes the signs of zeros.
        self.weights_ = [Wi + 0.0 for Wi in W]
        self.means_ = [view.mean for view in full]
        self.scales_ = [view.scale for view in full]
        Z = [np.column_stack([v.scores(w) for w in Wi.T]) for v, Wi in zip(views, W)]
        S = np.array([[A.T @ B / (n - 1) for B in Z] for A in Z])
        self._set_score_moments(S)
        variances = np.einsum("iikk->ik", S)
        size = np.sqrt(variances[:, None] * variances[None, :])
        each = np.einsum("ijkk->ijk", S) / np.where(size > 0, size, np.inf)
        self.correlations_ = np.mean(
            [each[i, j] for i, j in combinations(range(M), 2)], axis=0
        )
        self.d_ = np.array([c.strength for c in found])
        self.objective_curves_ = [np.array(c.objective) for c in found]
        self.n_iter_ = np.array([c.n_iter for c in found])
        self.n_nonzero_ = np.column_stack([np.count_nonzero(Wi, axis=0) for Wi in W])
        empty = [k for k, c in enumerate(found) if sum(w.any() for w in c.weights) < 2]
        if empty:
            warnings.warn(
                f"{type(self).__name__}: component(s) {empty} are zero in all views "
                "but one at most: the views have no relation left.",
                UserWarning,
                stacklevel=3,
            )
        for k, c in enumerate(found):
            if c.n_iter == self.max_iter and c.change > np.sqrt(self.tol):
                warnings.warn(
                    f"{type(self).__name__}: component {k} stopped at max_iter="
                    f"{self.max_iter} with a change of the weights of {c.change:.2g}; "
                    f"increase max_iter or tol={self.tol}.",
                    ConvergenceWarning,
                    stacklevel=3,
                )


def _each(value, name, n_views):
    """One value for each view."""
    if np.ndim(value) == 0:
        return np.full(n_views, value, dtype=float)
    values = np.asarray(value, dtype=float)
    if values.shape != (n_views,):
        raise ValueError(
            f"{name}={value!r} must be one value or one for each of {n_views} views."
        )
    return values


def _random(seed, sizes):
    rng = np.random.default_rng(seed)
    starts = [rng.standard_normal(p) for p in sizes]
    return [w / np.linalg.norm(w) for w in starts]
