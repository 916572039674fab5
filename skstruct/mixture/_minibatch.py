# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.cluster import kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import validate_data

from .._base import StructEstimator
from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._parallel import run_tasks
from .._validation import check_at_most, check_magnitude
from . import _gaussian
from ._density import MixtureMethods, RestArrays
from ._online import spread_of

# Batch EM steps of every start on the first rows.
_START_STEPS = 20


class MiniBatchGaussianMixture(
    MixtureMethods, RestArrays, CallbackSupportMixin, StructEstimator
):
    """Gaussian mixture with full covariances by stepwise EM over mini-batches.

    For a known or searched number of components: every batch moves the sufficient
    statistics of the components by a step that decreases with time. Close to batch EM
    in likelihood, with memory for one batch only.

    Parameters
    ----------
    n_components : int, default=1
        Number of components. The held-out `score` peaks at the true number.
    batch_size : int, default=200
        Rows per step.
    kappa : float in (0.5, 1], default=0.7
        Step t has size ``(t + t0) ** -kappa``. Small values forget the start faster,
        large ones average out more noise.
    t0 : float, default=2
        Delay of the steps.
    n_init : int, default=3
        Starts on the first rows: k-means++ centres and some steps of batch EM; the
        one of the best likelihood is kept.
    reg_covar : float in [0, 1), default=1e-6
        Added to the covariances, as a share of the features' variance.
    max_iter : int, default=10
        Largest number of passes over the rows of ``fit``.
    tol : float, default=1e-3
        ``fit`` stops when the mean log-density of a pass, seen before learning each
        batch, rises by less.
    shuffle : bool, default=True
        Whether each pass of ``fit`` takes the rows in a new random order.
    random_state : int, RandomState instance or None, default=None
        Seed of starts, order and ``sample``.
    n_jobs : int, default=None
        Parallel starts.
    verbose : int, default=0
        Whether passes are logged to ``logging.getLogger("skstruct.mixture")``.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Mixing weights.
    means_ : ndarray of shape (n_components, n_features)
        Means.
    precisions_, covariances_ : ndarrays of shape (n_components, D, D)
        Inverse covariances and covariances.
    log_dets_ : ndarray of shape (n_components,)
        Log-determinants of the covariances.
    n_iter_ : int
        Passes over the rows of ``fit``; 1 after ``partial_fit``.
    n_steps_ : int
        Batches learned.
    objective_history_ : ndarray of shape (n_iter,)
        Mean log-density of each pass.
    converged_ : bool
        Whether `tol` was reached.
    n_samples_seen_ : int
        Rows learned, passes counted.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, when all are strings.

    See Also
    --------
    IncrementalGaussianMixture : One pass, components created where points are novel.
    sklearn.mixture.GaussianMixture : Batch EM.

    Notes
    -----
    For batch t with responsibilities r, the statistics ``s0 = mean(r)``,
    ``s1 = mean(r x)``, ``s2 = mean(r x x')`` move as ``s <- (1 - g) s + g s_batch`` and
    the parameters are ``pi = s0``, ``mean = s1 / s0``,
    ``C = s2 / s0 - mean mean'``. Here s1 and s2 are kept about the current mean, which
    is the same but does not cancel when means are large.

    The statistics start from the rows of the starts, so the first step counts too.
    Cost of a pass: O(n K D^2) and a factorisation, O(K D^3), per batch; take
    `batch_size` of at least D.

    References
    ----------
    Cappe, Moulines (2009), On-line expectation-maximization algorithm for latent data
    models, JRSS B 71. Liang, Klein (2009), Online EM for unsupervised models,
    NAACL-HLT. Neal, Hinton (1998), A view of the EM algorithm that justifies
    incremental, sparse, and other variants, Learning in Graphical Models.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skstruct.mixture import MiniBatchGaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((900, 2)) + 8 * rng.integers(0, 3, size=(900, 1))
    >>> search = GridSearchCV(
    ...     MiniBatchGaussianMixture(random_state=0), {"n_components": range(1, 5)}
    ... )
    >>> search.fit(X).best_params_
    {'n_components': 3}
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "kappa": [Interval(Real, 0.5, 1, closed="right")],
        "t0": [Interval(Real, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "reg_covar": [Interval(Real, 0, 1, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    _accepts_nan = False

    def __init__(
        self,
        n_components=1,
        *,
        batch_size=200,
        kappa=0.7,
        t0=2,
        n_init=3,
        reg_covar=1e-6,
        max_iter=10,
        tol=1e-3,
        shuffle=True,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.batch_size = batch_size
        self.kappa = kappa
        self.t0 = t0
        self.n_init = n_init
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn from scratch in passes over the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            At least `n_components` rows.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : MiniBatchGaussianMixture
            Fitted estimator.
        """
        X = self._read_rows(X, reset=True)
        rng = check_random_state(self.random_state)
        n = X.shape[0]
        self._begin(X, rng)
        history = []
        self.converged_ = False
        with (
            _gaussian.small_blas(X.shape[1]),
            fit_callbacks(self, X=X, max_iter=self.max_iter) as step,
        ):
            for i in range(self.max_iter):
                order = rng.permutation(n) if self.shuffle else np.arange(n)
                total = 0.0
                for batch in gen_batches(n, self.batch_size):
                    total += self._step(X[order[batch]])
                history.append(total / n)
                if step(i, history[-1]):
                    break
                if i and history[-1] - history[-2] < self.tol:
                    self.converged_ = True
                    break
        self.n_iter_ = len(history)
        self.objective_history_ = np.array(history)
        self.n_samples_seen_ = self.n_iter_ * n
        if not self.converged_ and self.n_iter_ == self.max_iter and self.tol > 0:
            rise = history[-1] - history[-2] if self.n_iter_ > 1 else np.inf
            if self.max_iter > 1:
                warnings.warn(
                    f"The mean log-density rose by {rise:.3g} in pass {self.n_iter_}, "
                    f"more than tol={self.tol}: raise max_iter or tol.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Learn further rows, `batch_size` at a time.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The first call makes the starts and needs at least `n_components` rows;
            give it several hundred.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : MiniBatchGaussianMixture
            The estimator.
        """
        first = not hasattr(self, "_cache")
        X = self._read_rows(X, reset=first)
        if first:
            self._begin(X, check_random_state(self.random_state))
        total = sum(
            self._step(X[batch]) for batch in gen_batches(X.shape[0], self.batch_size)
        )
        self.n_iter_ = 1
        self.objective_history_ = np.array([total / X.shape[0]])
        self.converged_ = False
        self.n_samples_seen_ += X.shape[0]
        return self

    def _read_rows(self, X, *, reset):
        X = validate_data(self, X, reset=reset, dtype=np.float64, order="C")
        return check_magnitude(X)

    def _begin(self, X, rng):
        """The best of several starts on the first rows."""
        n, D = X.shape
        K = self.n_components
        if K > n:
            check_at_most(K, n, "n_components", "n_samples")
        size = min(n, max(5 * self.batch_size, 50 * K, 10 * D))
        rows = rng.permutation(n)[:size] if self.shuffle else np.arange(size)
        X = X[rows]
        self._ridge = self.reg_covar * spread_of(X, np.ones(size))
        seeds = rng.randint(2**31 - 1, size=self.n_init)
        starts = run_tasks(
            _start, [(X, K, self._ridge, int(seed)) for seed in seeds], self.n_jobs
        )
        best = max(starts, key=lambda start: start[0])
        self._masses, self._means, self._scatters = best[1:]
        self.n_steps_ = 0
        self.n_samples_seen_ = 0
        self._maximise()

    def _step(self, X):
        """Move the statistics towards those of a batch; returns its log-density."""
        rest = self._cache["rest"]
        masses, shifts, scatters, total = _gaussian.em_statistics(X, None, **rest)
        n = X.shape[0]
        step = (self.n_steps_ + 1 + self.t0) ** -self.kappa
        # A short last batch counts for its rows.
        step *= min(1.0, n / self.batch_size)
        keep = (1.0 - step) * self._masses
        # A component that no row claims decays, but never to a division by zero.
        self._masses = np.maximum(keep + step * masses / n, 1e-100)
        shifts = step * shifts / n
        # Second moments about the old means, then about the new ones.
        self._scatters = (1.0 - step) * self._scatters + step * scatters / n
        move = shifts / self._masses[:, None]
        self._means = self._means + move
        self._scatters -= self._masses[:, None, None] * (
            move[:, :, None] * move[:, None, :]
        )
        self.n_steps_ += 1
        self._maximise()
        return total

    def _maximise(self):
        weights, covariances = _maximum(self._masses, self._scatters, self._ridge)
        factors, log_dets = _gaussian.factor_covariances(covariances)
        self._cache = {
            "rest": {
                "weights": weights,
                "means": self._means,
                "factors": factors,
                "log_dets": log_dets,
            }
        }

    def _rest(self):
        return self._cache["rest"]

    @property
    def weights_(self):
        """Mixing weights, of shape (n_components,)."""
        return self._masses / self._masses.sum()

    @property
    def means_(self):
        """Means, of shape (n_components, n_features)."""
        return self._means.copy()

    @property
    def log_dets_(self):
        """Log-determinants of the covariances, of shape (n_components,)."""
        return self._rest()["log_dets"].copy()

    @property
    def n_components_(self):
        """Number of components."""
        return self._masses.size

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_cache")


def _maximum(masses, scatters, ridge):
    """Weights and covariances of given statistics."""
    covariances = scatters / masses[:, None, None] + np.diag(ridge)
    return masses / masses.sum(), covariances


def _start(X, K, ridge, seed):
    """k-means++ centres with one shared covariance, then steps of batch EM.

    Returns
    -------
    log_density : float
    masses : (K,), means : (K, D), scatters : (K, D, D)
    """
    n = X.shape[0]
    means = kmeans_plusplus(X, K, random_state=seed)[0].copy()
    for _ in range(3):
        # Lloyd steps: single points make poor means.
        distances = -2.0 * (X @ means.T) + np.sum(means**2, axis=1)
        labels = np.argmin(distances, axis=1)
        for j in range(K):
            if np.any(labels == j):
                means[j] = X[labels == j].mean(axis=0)
    E = X - means[labels]
    floor = 1e-3 * spread_of(X, np.ones(n))
    pooled = E.T @ E / n + np.diag(ridge + floor)
    masses = np.maximum(np.bincount(labels, minlength=K) / n, 1.0 / n)
    scatters = masses[:, None, None] * pooled
    total = previous = -np.inf
    for _ in range(_START_STEPS):
        weights, covariances = _maximum(masses, scatters, ridge)
        factors, log_dets = _gaussian.factor_covariances(covariances)
        sums, shifts, found, total = _gaussian.em_statistics(
            X, None, weights, means, factors, log_dets
        )
        total /= n
        if total - previous < 1e-3:
            break
        previous = total
        # Less than a point is no estimate: keep the old moments at a small mass.
        alive = sums > 0.5
        moves = np.where(alive[:, None], shifts / np.maximum(sums, 0.5)[:, None], 0.0)
        old = scatters / masses[:, None, None]
        masses = np.maximum(sums, 0.5) / n
        new = found / n - masses[:, None, None] * (
            moves[:, :, None] * moves[:, None, :]
        )
        scatters = np.where(alive[:, None, None], new, old * masses[:, None, None])
        means = means + moves
    return total, masses, means, scatters
