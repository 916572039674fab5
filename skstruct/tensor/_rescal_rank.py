# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from joblib import Memory
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, check_memory

from .._base import StructEstimator
from .._parallel import run_tasks
from ._nonnegative_rescal import NonnegativeRESCAL
from ._rescal_base import observed_residual, relations_given
from ._rescal_input import read_slices
from ._rescal_solver import nonnegative_relations

_WEAK_DROP = 0.2
_REFINE = 20
_ROUNDS = 100


class RESCALRankSelector(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, StructEstimator
):
    """Number of groups of nonnegative RESCAL, by stability under perturbation.

    For each number of groups the model is fitted to several slightly perturbed copies
    of the data, each from new random starts. The groups of all fits are matched one
    to one. As long as there are that many real groups, each appears in every fit;
    with one too many, some group differs from fit to fit, and its silhouette falls.

    Parameters
    ----------
    n_components_range : array-like of int
        Numbers of groups to compare.
    estimator : NonnegativeRESCAL, default=None
        The model; its `n_components` and `random_state` are set here. None:
        ``NonnegativeRESCAL(n_init=2, max_iter=1000, tol=1e-7)``. Converged fits
        matter more than many.
    n_perturbations : int, default=10
        Number of perturbed copies, at least 2. One fit of ten in another local optimum
        lowers the silhouette of otherwise reproducible groups to about 0.83, two to
        0.7: a share of stray fits near one in eight needs more copies to be judged.
    perturbation : {"uniform", "poisson"}, default="uniform"
        "uniform": each cell times an independent uniform factor in ``1 +- noise``.
        "poisson": a Poisson count with the cell as mean, for counts. Cells that are
        zero in a sparse slice stay so.
    noise : float in (0, 1), default=0.015
        Half width of the uniform factor.
    min_silhouette : float, default=0.8
        A number of groups is accepted when its least stable group reaches this.
    centroid : {"median", "mean"}, default="median"
        How matched groups are averaged into the consensus.
    refine : bool, default=True
        Whether the consensus is improved by up to 20 iterations on the data itself.
    memory : str or object with the joblib.Memory interface, default=None
        Where finished fits are kept; an interrupted run then resumes. Needs an
        integer `random_state`.
    n_jobs : int, default=None
        Fits in parallel, in processes unless a joblib backend is set. The result does
        not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of perturbations and starts.

    Attributes
    ----------
    n_components_ : int
        The chosen number.
    silhouette_min_, silhouette_mean_ : ndarrays of shape (n_candidates,)
        Silhouette of the least stable group, and of all groups, per candidate.
    relative_error_ : ndarray of shape (n_candidates,)
        ``||X - A R A'|| / ||X||`` of the consensus.
    silhouettes_ : list of ndarrays
        Silhouette of each group, per candidate.
    results_ : dict of str -> ndarray
        The whole table: ``n_components``, ``silhouette_min``, ``silhouette_mean``,
        ``relative_error``, ``best_fit_error``, ``accepted``.
    best_estimator_ : NonnegativeRESCAL
        The consensus model with `n_components_` groups.
    components_, relations_, reconstruction_err_
        Those of `best_estimator_`.
    n_entities_, n_relations_, n_features_in_ : int
        Sizes of the data.

    See Also
    --------
    NonnegativeRESCAL : The model; its ``score`` finds the rank by hold-out.

    Notes
    -----
    A candidate is accepted when its least silhouette reaches `min_silhouette` and its
    error does not exceed that of a smaller accepted one. The choice is the largest
    accepted candidate that is followed by one that is not: the last before the
    silhouette falls. An accepted candidate at the end of the range is chosen only if
    there is no such fall; otherwise a warning says to extend the range. Without any
    accepted candidate above 1 the smallest is returned, with a warning.

    The better the fits converge, the more groups are stable: part of what the method
    measures is how often a fit ends in another local optimum. Look at the whole table
    and at the held-out score before trusting one number.

    Stability finds *identifiable* groups. Where every entity belongs to all groups
    the factors are not unique and it finds fewer than the rank; the held-out score of
    :class:`NonnegativeRESCAL` does not suffer from that.

    Cost: ``n_perturbations`` fits per candidate; matching is negligible.

    References
    ----------
    Truong, Skau, Valtchinov, Alexandrov (2020), Determination of latent
    dimensionality in international trade flow, Machine Learning: Science and
    Technology 1. Bhattarai et al. (2023), Distributed non-negative RESCAL with
    automatic model selection for exascale data, Journal of Parallel and Distributed
    Computing 179.

    Examples
    --------
    >>> from skstruct.datasets import make_relational_communities
    >>> from skstruct.tensor import RESCALRankSelector
    >>> X = make_relational_communities(30, 8, n_components=3, random_state=0).X
    >>> selector = RESCALRankSelector([2, 3, 4], n_perturbations=4, random_state=0)
    >>> selector.fit(X).n_components_
    3
    """

    _parameter_constraints = {
        "n_components_range": ["array-like"],
        "estimator": [HasMethods(["fit", "set_params"]), None],
        "n_perturbations": [Interval(Integral, 2, None, closed="left")],
        "perturbation": [StrOptions({"uniform", "poisson"})],
        "noise": [Interval(Real, 0, 1, closed="neither")],
        "min_silhouette": [Interval(Real, -1, 1, closed="both")],
        "centroid": [StrOptions({"median", "mean"})],
        "refine": ["boolean"],
        "memory": [str, HasMethods(["cache"]), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components_range,
        *,
        estimator=None,
        n_perturbations=10,
        perturbation="uniform",
        noise=0.015,
        min_silhouette=0.8,
        centroid="median",
        refine=True,
        memory=None,
        n_jobs=None,
        random_state=None,
    ):
        self.n_components_range = n_components_range
        self.estimator = estimator
        self.n_perturbations = n_perturbations
        self.perturbation = perturbation
        self.noise = noise
        self.min_silhouette = min_silhouette
        self.centroid = centroid
        self.refine = refine
        self.memory = memory
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Fit the ensembles, choose the number of groups and keep their consensus.

        Parameters
        ----------
        X : array of shape (m, n, n), or any form that NonnegativeRESCAL takes
            Nonnegative slices; NaN is missing.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : RESCALRankSelector
            Fitted estimator.

        Raises
        ------
        ValueError
            If the range is empty or has values below 1, or `X` is no valid input of
            NonnegativeRESCAL, or zero.
        """
        candidates = self._candidates()
        model = self._model()
        slices = read_slices(
            self,
            X,
            reset=True,
            nonnegative=True,
            missing_diagonal=model.missing_diagonal,
        )
        if slices.norm2 == 0:
            raise ValueError("All observed cells of X are zero: there are no groups.")
        self.n_entities_, self.n_relations_ = slices.n_entities, slices.n_relations
        memory = check_memory(self.memory)
        if isinstance(memory, Memory) and memory.location is None:
            fit_one = _perturbed_fit
        else:
            fit_one = memory.cache(_perturbed_fit)
        data = slices.dense if slices.csr is None else slices.csr
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        tasks = [
            (data, model, int(k), seed, p, self.perturbation, float(self.noise))
            for k in candidates
            for p in range(self.n_perturbations)
        ]
        fits = run_tasks(fit_one, tasks, self.n_jobs, prefer="processes")

        count = self.n_perturbations
        consensus = [
            self._consensus(slices, model, fits[c * count : (c + 1) * count])
            for c in range(len(candidates))
        ]
        self._choose(candidates, consensus)
        best = consensus[self._best]
        self.best_estimator_ = clone(model).set_params(
            n_components=int(self.n_components_), random_state=seed
        )
        self.best_estimator_._fit_from(
            slices, best["A"], best["R"], _REFINE if self.refine else 0
        )
        self.components_ = self.best_estimator_.components_
        self.relations_ = self.best_estimator_.relations_
        self.reconstruction_err_ = self.best_estimator_.reconstruction_err_
        return self

    def transform(self, X):
        """Relations of each slice, given the groups.

        Parameters
        ----------
        X : array of shape (m, n, n), or any form that ``fit`` takes
            Slices among the same entities.

        Returns
        -------
        relations : ndarray of shape (m, k ** 2)
            As from :meth:`NonnegativeRESCAL.transform`.
        """
        check_is_fitted(self)
        return self.best_estimator_.transform(X)

    def inverse_transform(self, X):
        """Slices from their relations.

        Parameters
        ----------
        X : array-like of shape (m, k ** 2)
            As from :meth:`transform`.

        Returns
        -------
        slices : ndarray of shape (m, n, n)
        """
        check_is_fitted(self)
        return self.best_estimator_.inverse_transform(X)

    def score(self, X, y=None):
        """Held-out score of the chosen model.

        Parameters
        ----------
        X : array of shape (m, n, n), or any form that ``fit`` takes
            Slices that were not used in ``fit``.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            As from :meth:`NonnegativeRESCAL.score`.
        """
        check_is_fitted(self)
        return self.best_estimator_.score(X)

    def _candidates(self):
        candidates = np.asarray(self.n_components_range)
        if candidates.ndim != 1 or candidates.size == 0:
            raise ValueError(
                "n_components_range must be a non-empty list of numbers, got "
                f"{self.n_components_range!r}."
            )
        if candidates.dtype.kind not in "iu" or candidates.min() < 1:
            raise ValueError(
                "n_components_range must hold integers of at least 1, got "
                f"{self.n_components_range!r}."
            )
        return np.unique(candidates)

    def _model(self):
        if self.estimator is None:
            return NonnegativeRESCAL(n_init=2, max_iter=1000, tol=1e-7)
        if not isinstance(self.estimator, NonnegativeRESCAL):
            raise TypeError(
                "estimator must be a NonnegativeRESCAL, got "
                f"{type(self.estimator).__name__}."
            )
        return self.estimator

    def _consensus(self, slices, model, fits):
        """Matched groups of one candidate: silhouettes, robust A, its relations."""
        best = int(np.argmin([error for _, _, error in fits]))
        stack = np.stack([A for A, _, _ in fits]).astype(np.float64)
        orders, A = match_groups(stack, best, centroid=self.centroid)
        matched = np.stack([A_p[:, order] for A_p, order in zip(stack, orders)])
        widths = silhouettes(matched)
        # Relations of the matched fits, in the scale of the unit columns.
        norms = np.linalg.norm(matched, axis=1)
        R = np.median(
            [
                R_p[:, order][:, :, order] * norm[:, None] * norm[None, :]
                for (_, R_p, _), order, norm in zip(fits, orders, norms)
            ],
            axis=0,
        )
        start = np.ascontiguousarray(R.transpose(1, 2, 0))

        def solve(B, G, R):
            return nonnegative_relations(
                B, G, start if R is None else R, symmetric=model.symmetric
            )

        R, gap = relations_given(slices, A, solve, memory_limit=model.memory_limit)
        error = observed_residual(slices, A, R, gap) / np.sqrt(slices.norm2)
        return {
            "A": A,
            "R": R,
            "silhouettes": widths,
            "error": error,
            "best": fits[best][2] / np.sqrt(slices.norm2),
        }

    def _choose(self, candidates, consensus):
        self.silhouettes_ = [found["silhouettes"] for found in consensus]
        self.silhouette_min_ = np.array([s.min() for s in self.silhouettes_])
        self.silhouette_mean_ = np.array([s.mean() for s in self.silhouettes_])
        self.relative_error_ = np.array([found["error"] for found in consensus])
        accepted = np.zeros(candidates.size, dtype=bool)
        least = np.inf
        for c in range(candidates.size):
            # More groups that are stable but fit worse have collapsed.
            if self.silhouette_min_[c] >= self.min_silhouette and self.relative_error_[
                c
            ] <= least * (1 + 1e-9):
                accepted[c] = True
                least = min(least, self.relative_error_[c])
        real = accepted & (candidates >= 2)
        # The last one before a fall; at the end of the range no fall can be seen.
        fallen = real & ~np.append(accepted[1:], True)
        if fallen.any():
            self._best = int(np.flatnonzero(fallen)[-1])
            if accepted[-1]:
                warnings.warn(
                    f"{self.n_components_range!r} ends in {candidates[-1]} groups, "
                    f"which are stable too: try more. {candidates[self._best]} are "
                    "the last ones before a fall of the silhouette.",
                    UserWarning,
                    stacklevel=3,
                )
        elif real.any():
            self._best = int(np.flatnonzero(real)[-1])
        else:
            self._best = 0
            warnings.warn(
                f"No number of groups above 1 reaches min_silhouette="
                f"{self.min_silhouette}: the smallest candidate, {candidates[0]}, is "
                "returned.",
                UserWarning,
                stacklevel=3,
            )
        self.n_components_ = int(candidates[self._best])
        if (
            self._best > 0
            and self.silhouette_min_[self._best]
            < self.silhouette_min_[self._best - 1] - _WEAK_DROP
        ):
            warnings.warn(
                f"Weak evidence for {self.n_components_} groups: the least silhouette "
                f"is {self.silhouette_min_[self._best]:.2f}, against "
                f"{self.silhouette_min_[self._best - 1]:.2f} with "
                f"{candidates[self._best - 1]}.",
                UserWarning,
                stacklevel=3,
            )
        self.results_ = {
            "n_components": candidates,
            "silhouette_min": self.silhouette_min_,
            "silhouette_mean": self.silhouette_mean_,
            "relative_error": self.relative_error_,
            "best_fit_error": np.array([found["best"] for found in consensus]),
            "accepted": accepted,
        }

    @property
    def _n_features_out(self):
        return self.n_components_**2

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _perturbed_fit(data, model, k, seed, p, perturbation, noise):
    """One fit on one perturbed copy: entities, relations, error.

    The seeds depend on (seed, k, p) alone, not on the order of the fits.
    """
    rng = np.random.default_rng([seed, k, p])

    def perturbed(values):
        if perturbation == "uniform":
            factor = rng.uniform(1.0 - noise, 1.0 + noise, values.shape)
            return values * factor.astype(values.dtype, copy=False)
        known = ~np.isnan(values)
        out = values.copy()
        out[known] = rng.poisson(values[known])
        return out

    if isinstance(data, list):
        X = [
            sparse.csr_array((perturbed(x.data), x.indices, x.indptr), shape=x.shape)
            for x in data
        ]
    elif model.symmetric:
        X = perturbed(np.asarray(data))
        # One factor per pair: the copy must stay symmetric.
        X = np.triu(X) + np.triu(X, 1).transpose(0, 2, 1)
    else:
        X = perturbed(np.asarray(data))
    fitted = clone(model).set_params(
        n_components=k, random_state=int(rng.integers(2**31 - 1))
    )
    with warnings.catch_warnings():
        # Candidates far from the truth need not converge, and may lose groups.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        fitted.fit(X)
    return fitted.components_, fitted.relations_, fitted.reconstruction_err_


def match_groups(stack, first, *, centroid="median"):
    """One-to-one matching of the columns of several matrices.

    Parameters
    ----------
    stack : ndarray of shape (P, n, k)
    first : int
        The matrix whose columns are the first centroids.
    centroid : {"median", "mean"}

    Returns
    -------
    orders : ndarray of int of shape (P, k)
        ``stack[p][:, orders[p]]`` is in the order of the centroids.
    centroids : ndarray of shape (n, k)
        Unit columns.
    """
    units = _unit_columns(stack)
    average = np.median if centroid == "median" else np.mean
    C = units[first]
    orders = None
    for _ in range(_ROUNDS):
        new = np.stack(
            [linear_sum_assignment(C.T @ U, maximize=True)[1] for U in units]
        )
        if orders is not None and np.array_equal(new, orders):
            break
        orders = new
        matched = np.stack([U[:, order] for U, order in zip(units, orders)])
        C = _unit_columns(average(matched, axis=0))
    return orders, C


def silhouettes(matched):
    """Mean silhouette of each group, with the angle between columns as distance.

    Parameters
    ----------
    matched : ndarray of shape (P, n, k)
        Column c of every matrix belongs to group c.

    Returns
    -------
    widths : ndarray of shape (k,)
    """
    P, n, k = matched.shape
    if k == 1:
        return np.ones(1)
    units = _unit_columns(matched).transpose(2, 0, 1).reshape(k * P, n)
    # arctan2 of difference and sum keeps its precision at small angles.
    cosine = units @ units.T
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    near = cosine > 0.999
    rows, columns = np.nonzero(near)
    chord = np.linalg.norm(units[rows] - units[columns], axis=1)
    angle[rows, columns] = 2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0))
    mean = angle.reshape(k * P, k, P).sum(axis=2)
    own_group = np.repeat(np.arange(k), P)
    own = mean[np.arange(k * P), own_group] / (P - 1)
    mean = mean / P
    mean[np.arange(k * P), own_group] = np.inf
    other = mean.min(axis=1)
    largest = np.maximum(own, other)
    width = np.where(largest > 0, (other - own) / np.where(largest > 0, largest, 1), 0)
    return width.reshape(k, P).mean(axis=1)


def _unit_columns(A):
    norms = np.linalg.norm(A, axis=-2, keepdims=True)
    return A / np.where(norms > 0, norms, 1.0)
