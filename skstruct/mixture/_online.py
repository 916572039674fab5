"""Parameters and state that the three incremental estimators share."""

# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from scipy.stats import chi2
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._base import StructEstimator
from .._callbacks import CallbackSupportMixin, fit_callbacks
from ._density import RestArrays
from ._refine import refine, rest_of
from ._stream import Rules, Stream, empty

# Deviations below this share of a feature's size are rounding.
_CONSTANT = 1e-12


class OnlineMixture(RestArrays, CallbackSupportMixin, StructEstimator):
    """Constructor, learning rules and state of an incremental mixture."""

    _parameter_constraints = {
        "delta": [Interval(Real, 0, None, closed="neither")],
        "beta": [Interval(Real, 0, 1, closed="both")],
        "max_components": [Interval(Integral, 1, None, closed="left"), None],
        "update": [StrOptions({"exact", "igmn"})],
        "assignment": [StrOptions({"soft", "hard"})],
        "init_variance": ["array-like", Real, None],
        "v_min": [Interval(Real, 0, None, closed="left"), None],
        "sp_min": [Interval(Real, 0, None, closed="left"), None],
        "forgetting": [Interval(Real, 0, 1, closed="right")],
        "reg_covar": [Interval(Real, 0, 1, closed="left")],
        "solver": [StrOptions({"precision", "cholesky"})],
        "shuffle": ["boolean"],
        "refine": [Interval(Integral, 0, None, closed="left")],
        "refresh_every": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "missing": [StrOptions({"error", "marginal"})],
        "p_min": [Interval(Real, 0, 1, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        delta=0.5,
        beta=1e-3,
        max_components=None,
        update="exact",
        assignment="soft",
        init_variance=None,
        v_min=None,
        sp_min=None,
        forgetting=1.0,
        reg_covar=1e-6,
        solver="precision",
        shuffle=False,
        refine=0,
        refresh_every="auto",
        missing="error",
        p_min=1e-10,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.delta = delta
        self.beta = beta
        self.max_components = max_components
        self.update = update
        self.assignment = assignment
        self.init_variance = init_variance
        self.v_min = v_min
        self.sp_min = sp_min
        self.forgetting = forgetting
        self.reg_covar = reg_covar
        self.solver = solver
        self.shuffle = shuffle
        self.refine = refine
        self.refresh_every = refresh_every
        self.missing = missing
        self.p_min = p_min
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @property
    def _accepts_nan(self):
        return self.missing == "marginal"

    def _check_parameters(self):
        if self.solver == "cholesky" and self.update == "igmn":
            raise ValueError(
                "update='igmn' needs solver='precision': the published update can take "
                "away from a covariance, which a Cholesky update cannot."
            )

    def _read_weights(self, sample_weight, n_samples):
        if sample_weight is None:
            return np.ones(n_samples)
        weights = np.array(sample_weight, dtype=np.float64)
        if weights.ndim == 0:
            weights = np.full(n_samples, float(weights))
        if weights.shape != (n_samples,):
            raise ValueError(
                f"sample_weight.shape == {weights.shape}, expected ({n_samples},)."
            )
        bad = ~(np.isfinite(weights) & (weights >= 0))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"sample_weight has the value {weights[row]} in row {row}; weights "
                "must be finite and at least 0."
            )
        if not weights.any():
            raise ValueError("sample_weight is zero in all rows: nothing to learn.")
        return weights

    def _start(self, Z, weights):
        """Measure the spread of the first rows and fix the initial covariance."""
        D = Z.shape[1]
        if self.init_variance is not None:
            given = np.array(self.init_variance, dtype=np.float64)
            if given.ndim == 0:
                given = np.full(D, float(given))
            if given.shape != (D,):
                raise ValueError(
                    f"init_variance has shape {given.shape}; it must be a number or "
                    f"have shape ({D},)."
                )
            if not np.all((given > 0) & np.isfinite(given)):
                column = int(np.flatnonzero(~((given > 0) & np.isfinite(given)))[0])
                raise ValueError(
                    f"init_variance has the value {given[column]} in column {column}; "
                    "variances must be positive and finite."
                )
            self._spread = given
            self.init_variance_ = given.copy()
        else:
            if Z.shape[0] == 1:
                raise ValueError(
                    "The first rows tell the spread of the features, and n_samples=1 "
                    "has none: give init_variance."
                )
            self._spread = spread_of(Z, weights)
            self.init_variance_ = self.delta**2 * self._spread
        self.chi2_threshold_ = float(chi2.isf(self.beta, D))

    def _rules(self):
        D = self.init_variance_.size
        prune = self.v_min is not None or self.sp_min is not None
        return Rules(
            init=self.init_variance_,
            spread=self._spread,
            reg=float(self.reg_covar),
            threshold=float(chi2.isf(self.beta, D)),
            beta=float(self.beta),
            max_components=(
                2**62 if self.max_components is None else int(self.max_components)
            ),
            igmn=self.update == "igmn",
            hard=self.assignment == "hard",
            cholesky=self.solver == "cholesky",
            v_min=-1.0 if not prune else float(_default(self.v_min, 2 * D)),
            sp_min=0.0 if not prune else float(_default(self.sp_min, D + 1)),
            forgetting=float(self.forgetting),
            p_min=float(self.p_min),
            refresh_every=(
                max(10_000, 10 * D)
                if isinstance(self.refresh_every, str)
                else int(self.refresh_every)
            ),
        )

    def _order(self, n_samples):
        """Order of the rows in ``fit``."""
        if not self.shuffle:
            return None
        return check_random_state(self.random_state).permutation(n_samples)

    def _fit_state(self, Z, weights):
        """One pass over rows that may be shuffled, then the batch steps."""
        order = self._order(Z.shape[0])
        if order is not None:
            Z, weights = Z[order], weights[order]
        rules = self._rules()
        stream = Stream(self._empty_state(Z))
        with fit_callbacks(self, X=Z, max_iter=self.refine + 1) as step:
            stream.learn(Z, weights, rules)
            step(0, float(stream.K))
            self.refine_objective_ = np.array([])
            if self.refine:

                def report(i, objective):
                    return step(i + 1, objective)

                self.refine_objective_ = np.array(
                    refine(stream, Z, weights, rules, self.refine, report)
                )
        self._keep(stream)

    def _empty_state(self, Z):
        fill = None
        holes = np.isnan(Z)
        if holes.any():
            known = ~holes
            fill = np.where(known, Z, 0.0).sum(axis=0) / np.maximum(known.sum(0), 1)
        return empty(Z.shape[1], cholesky=self.solver == "cholesky", fill=fill)

    def _partial_fit_state(self, Z, weights):
        state = getattr(self, "_state", None)
        stream = Stream(self._empty_state(Z) if state is None else state)
        self._keep(stream.learn(Z, weights, self._rules()))

    def _keep(self, stream):
        self._state = stream.arrays()
        self._cache = {}
        self.n_components_ = stream.K

    def _rest(self):
        cache = self._cache
        if "rest" not in cache:
            cache["rest"] = rest_of(Stream(self._state))
        return cache["rest"]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_state")

    def __getstate__(self):
        state = super().__getstate__()
        # Derived arrays are made again on demand.
        return {**state, "_cache": {}} if "_cache" in state else state

    def _first(self, name):
        check_is_fitted(self)
        return self._state[name]

    @property
    def weights_(self):
        """Mixing weights, of shape (n_components,)."""
        counts = self.counts_
        return counts / counts.sum()

    @property
    def means_(self):
        """Means, of shape (n_components, n_variables)."""
        return self._first("mean")[: self.n_components_].copy()

    @property
    def counts_(self):
        """Accumulated posterior, of shape (n_components,)."""
        return self._first("state")[2, : self.n_components_].copy()

    @property
    def ages_(self):
        """Points seen since creation, of shape (n_components,)."""
        return self._first("age")[: self.n_components_].copy()

    @property
    def log_dets_(self):
        """Log-determinants of the covariances, of shape (n_components,)."""
        return self._first("state")[1, : self.n_components_].copy()

    @property
    def n_created_(self):
        """Number of components that were created."""
        return int(self._first("counters")[0])

    @property
    def n_pruned_(self):
        """Number of components that were pruned."""
        return int(self._first("counters")[1])

    @property
    def n_fallbacks_(self):
        """Number of points at which the published update gave way."""
        return int(self._first("counters")[2])

    @property
    def n_floored_(self):
        """Number of times that a covariance was lifted to the floor."""
        return int(self._first("n_floored"))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "marginal"
        return tags


def spread_of(Z, weights):
    """Variances of the columns; a constant one gets the largest, or 1.

    Parameters
    ----------
    Z : ndarray of shape (n, D)
        NaN is left out.
    weights : ndarray of shape (n,)
    """
    known = ~np.isnan(Z)
    W = weights[:, None] * known
    mass = W.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(mass > 0, (W * np.where(known, Z, 0)).sum(axis=0) / mass, 0)
        E = np.where(known, Z - mean, 0.0)
        variance = np.where(mass > 0, (W * E**2).sum(axis=0) / mass, 0.0)
    constant = variance <= (_CONSTANT * np.abs(mean)) ** 2 + np.finfo(float).tiny
    largest = variance.max()
    return np.where(constant, largest if not constant.all() else 1.0, variance)


def _default(value, default):
    return default if value is None else value
