# SPDX-License-Identifier: BSD-3-Clause

import warnings
from math import comb
from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    validate_data,
)

from .._base import StructEstimator
from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._manifolds import resolve_manifold, symmetric_rows
from .._scores import gaussian_log_density
from .._validation import FLOAT_DTYPES, check_at_most
from ._barycentric_models import GenericModel, SpaceFormModel, model_class
from ._barycentric_optimized import Progress, optimize_span
from ._barycentric_samples import (
    ProjectionCosts,
    SampleCosts,
    backward,
    best_order,
    exchange_restarts,
    forward,
)
from ._barycentric_space import Span, homogeneous, internal, orthonormal_rows

_FLAT_SHAPES = ("euclidean", "sphere", "hyperbolic")

# Cost of one projected sample in units of one residual of the recursion.
_PROJECTION_EFFORT = {"recursion": 1, "flat": 100, "generic": 10_000}


class BarycentricSubspaceAnalysis(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    StructEstimator,
):
    """Subspaces of a manifold that are spanned by points instead of directions.

    The affine span of k + 1 reference points is the set of their barycentres with
    weights of either sign. It is a k-dimensional subspace that needs no mean, and
    whose coordinates read as mixtures of cases when the references are samples.

    Parameters
    ----------
    n_components : int, default=2
        Dimension k of the subspace; it has k + 1 references.
    manifold : str or object, default="euclidean"
        "euclidean"; "sphere" (unit rows); "hyperbolic" (rows with
        ``-x0^2 + x1^2 + ... = -1`` and ``x0 > 0``); "spd_log_euclidean" or
        "spd_affine_invariant" (positive definite matrices, shape (n, d, d) or
        (n, d * d)); "kendall_planar_triangles" (three planar landmarks, shape
        (n, 3, 2) or (n, 6)); "spectra" (symmetric matrices (n, d, d), or their
        ascending eigenvalues (n, d)). An object needs methods ``log(x, y)``,
        ``exp(x, v)`` and ``dist(x, y)`` on rows and an attribute ``dim``; optional
        are ``inner(x, u, v)``, the metric (default: the dot product), and
        ``check_points(X)``, which raises on bad rows.
    references : {"samples", "optimized"}, default="samples"
        Whether references are rows of X, or free points of a space of constant
        curvature.
    strategy : {"forward", "backward", "flag", "pure", "exchange"}, default="forward"
        "forward": greedily one reference after the other; always finishes.
        "pure": the best set of k + 1 references. "flag": the ordered set with the
        least accumulated unexplained variance of all levels. "exchange": from
        "forward", swap single references while the variance falls. "backward":
        from the "pure" set (or `init_references`, or all samples when there are
        no more than dimensions), remove one reference at a time. With optimized
        references "pure" is the single level k, "backward" finds each level
        inside the one above it and "exchange" does not exist.
    cost : {"geodesic", "extrinsic"}, default="geodesic"
        Of optimized references. "extrinsic" replaces the distance by its sine or
        hyperbolic sine, which has a closed form for all levels at once.
    p : float, default=2.0
        The p-th power of the distance is averaged; below 2 outliers count less.
    weights : {"affine", "convex"}, default="affine"
        "convex" allows nonnegative weights only: the subspace is the convex hull.
        Only in flat spaces ("euclidean", "spd_log_euclidean", "spectra") and with
        references among the samples.
    output : {"coordinates", "weights"}, default="coordinates"
        Whether `transform` returns k normal coordinates of the projection, or its
        k + 1 barycentric weights.
    init_references : array-like of int, default=None
        Rows of X to start from with strategy "forward", "backward" or "exchange".
    n_candidates : int, default=None
        Number of random rows that may become references. None: all.
    normalize : bool, default=False
        Whether rows off the manifold are projected to it instead of refused.
    n_init : int, default=1
        Starts of strategy "exchange"; those after the first are random.
    max_iter : int, default=300
        Largest number of iterations, or of sweeps of "exchange".
    tol : float, default=1e-10
        Iterations stop when the objective falls by less than this share.
    max_evals : float, default=1e10
        Largest number of residuals that "pure" and "flag" may compute.
    n_jobs : int, default=None
        Threads of "pure" and "flag". The result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of `n_candidates` and of the random starts.
    verbose : int, default=0
        Whether iterations are logged to
        ``logging.getLogger("skstruct.decomposition")``.

    Attributes
    ----------
    n_components_ : int
        Dimension found; less than `n_components` when the samples span no more.
    reference_indices_ : ndarray of shape (n_components + 1,)
        Rows of X that are the references, in order; None for optimized ones.
    references_ : ndarray of shape (n_components + 1, ...)
        The reference points.
    frame_ : ndarray of shape (D + 1, n_components + 1)
        A point (first column) and orthonormal directions there: the span of level
        i is that of the first i + 1 columns. None on manifolds of varying
        curvature. For "spd_log_euclidean" in coordinates of the logarithm, for
        triangles in those of the unit sphere; in flat space D rows.
    unexplained_variance_ : ndarray of shape (n_components + 1,)
        Mean p-th power of the distance to the span of each level.
    auv_ : float
        Accumulated unexplained variance, their sum.
    explained_variance_ratio_ : ndarray of shape (n_components + 1,)
        One minus the unexplained variance over that of the Frechet mean.
    mean_ : ndarray
        Weighted Frechet mean of the samples.
    residual_variance_ : float
        Mean squared distance per dimension outside the subspace, for `score`.
    coordinate_covariance_ : ndarray of shape (n_components, n_components)
        Second moments of the coordinates, for `score`.
    n_iter_ : int
        Iterations or sweeps.
    converged_ : bool
        Whether `tol` was reached.
    objective_history_ : ndarray
        Objective after each iteration of the last level optimised; not increasing.
    n_evaluations_ : int
        Spans whose residuals were looked at.
    n_features_in_ : int
        Numbers per row.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    sklearn.decomposition.PCA : Euclidean, with directions at the mean.

    Notes
    -----
    In spaces of constant curvature a span is the part of a linear subspace that lies
    in the space, and residuals follow the Gram matrix of the samples by one Schur
    complement per reference: "forward" costs ``O(k n^2 D)``, "pure" and "flag"
    ``O(n)`` per subset, most of them refused by a lower bound that needs no
    transcendental function. Optimized references are iterated in closed-form steps:
    reweighted eigenvectors for a single level (hyperbolic space: a monotone
    majorisation, since arcsinh^2 is concave in the squared sine), polar steps for a
    flag on the sphere, plane moves of the base and eigenvectors for a flag in
    hyperbolic space. Elsewhere every projection is a Gauss-Newton iteration,
    ``O(k d^3)`` a step for d x d matrices.

    `score` is the held-out mean log-density of a Gaussian in the coordinates times an
    isotropic Gaussian of the residual, not the unexplained variance, which always
    falls with k.

    References
    ----------
    Pennec (2018), Barycentric subspace analysis on manifolds, Annals of Statistics
    46. Pennec (2017), Sample-limited L_p barycentric subspace analysis on constant
    curvature spaces, GSI. Tabaghi, Khanzadeh, Wang, Sivarajkumar (2024), Principal
    component analysis in space forms. Maignant, Calissano, Pennec (2025),
    Barycentric subspace analysis of network-valued data.

    Examples
    --------
    >>> from skstruct.datasets import load_world_cities
    >>> from skstruct.decomposition import BarycentricSubspaceAnalysis
    >>> cities = load_world_cities()
    >>> bsa = BarycentricSubspaceAnalysis(1, manifold="sphere", strategy="pure")
    >>> pair = bsa.fit(cities.data).reference_indices_
    >>> [str(cities.names[i]) for i in sorted(pair)]
    ['Paris', 'Ho Chi Minh City']
    >>> round(float(bsa.unexplained_variance_[-1]), 6)
    0.18656
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "manifold": "no_validation",
        "references": [StrOptions({"samples", "optimized"})],
        "strategy": [StrOptions({"forward", "backward", "flag", "pure", "exchange"})],
        "cost": [StrOptions({"geodesic", "extrinsic"})],
        "p": [Interval(Real, 0, None, closed="neither")],
        "weights": [StrOptions({"affine", "convex"})],
        "output": [StrOptions({"coordinates", "weights"})],
        "init_references": ["array-like", None],
        "n_candidates": [Interval(Integral, 1, None, closed="left"), None],
        "normalize": ["boolean"],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_evals": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=2,
        *,
        manifold="euclidean",
        references="samples",
        strategy="forward",
        cost="geodesic",
        p=2.0,
        weights="affine",
        output="coordinates",
        init_references=None,
        n_candidates=None,
        normalize=False,
        n_init=1,
        max_iter=300,
        tol=1e-10,
        max_evals=1e10,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.manifold = manifold
        self.references = references
        self.strategy = strategy
        self.cost = cost
        self.p = p
        self.weights = weights
        self.output = output
        self.init_references = init_references
        self.n_candidates = n_candidates
        self.normalize = normalize
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_evals = max_evals
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    # -- fit ---------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Find the references.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Points of the manifold.
        y : None
            Ignored, present by scikit-learn's convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative weights of the rows; a row of weight zero is left out.

        Returns
        -------
        self : BarycentricSubspaceAnalysis
            Fitted estimator.

        Raises
        ------
        ValueError
            If a row is not on the manifold, `n_components` is too large, parameters
            do not fit each other, or "pure" or "flag" would need more than
            `max_evals` residuals.
        """
        self._check_parameters()
        manifold = resolve_manifold(self.manifold)
        Y, _ = self._read(X, manifold, reset=True)
        kept, sample_weight = self._sample_weights(sample_weight, X, len(Y))
        Y = Y[kept]
        self._check_size(Y, manifold)
        with fit_callbacks(self, X=X, max_iter=self.max_iter) as step:
            if self.references == "samples":
                self._fit_samples(Y, sample_weight, kept, manifold, step)
            else:
                self._fit_optimized(Y, sample_weight, manifold, step)
        self._describe(Y, sample_weight, kept, manifold)
        return self

    def _check_parameters(self):
        optimized = self.references == "optimized"
        if optimized and self.strategy == "exchange":
            raise ValueError(
                "strategy='exchange' swaps samples: it needs references='samples'."
            )
        if self.cost == "extrinsic" and not optimized:
            raise ValueError("cost='extrinsic' needs references='optimized'.")
        if self.cost == "extrinsic" and self.p != 2:
            raise ValueError(f"cost='extrinsic' needs p=2, got p={self.p}.")
        manifold = resolve_manifold(self.manifold)
        curved = manifold.curvature != 0
        if optimized and (manifold.curvature is None or manifold.name == "spectra"):
            raise ValueError(
                f"references='optimized' needs constant curvature; on "
                f"{manifold.name!r} take references='samples'."
            )
        if self.weights == "convex" and (optimized or curved):
            raise ValueError(
                "weights='convex' needs a flat space ('euclidean', "
                "'spd_log_euclidean', 'spectra') and references='samples'; got "
                f"manifold={manifold.name!r}, references={self.references!r}."
            )
        if self.init_references is not None and (
            optimized or self.strategy in ("pure", "flag")
        ):
            raise ValueError(
                "init_references needs references='samples' and strategy 'forward', "
                f"'backward' or 'exchange'; got strategy={self.strategy!r}."
            )

    def _read(self, X, manifold, *, reset):
        """Internal rows of X, and the dtype of X."""
        if manifold.name not in _FLAT_SHAPES and not hasattr(X, "columns"):
            X = check_array(
                X, allow_nd=True, ensure_2d=False, dtype=list(FLOAT_DTYPES),
                input_name="X", estimator=self,
            )  # fmt: skip
            if X.ndim > 3 or X.ndim < 2:
                raise ValueError(
                    f"X must have 2 or 3 axes, got {X.ndim}: one row or one matrix per "
                    "sample. Reshape your data."
                )
            if reset:
                self._point_shape = X.shape[1:]
            if manifold.name == "spectra" and X.ndim == 3:
                if X.shape[1] != X.shape[2]:
                    raise ValueError(
                        "spectra takes symmetric matrices, shape (n, d, d), or "
                        f"eigenvalues, shape (n, d); got {X.shape}."
                    )
                matrices = symmetric_rows(
                    X.reshape(len(X), -1), self.normalize, "spectra"
                )
                X = np.linalg.eigvalsh(matrices).astype(X.dtype)
                if reset:
                    self._point_shape = X.shape[1:]
            X = X.reshape(len(X), -1)
        X = validate_data(
            self, X, reset=reset, dtype=list(FLOAT_DTYPES), order="C",
            ensure_min_samples=2 if reset else 1,
        )  # fmt: skip
        if reset and (
            manifold.name in _FLAT_SHAPES or not hasattr(self, "_point_shape")
        ):
            self._point_shape = X.shape[1:]
        return manifold.encode(X, normalize=self.normalize), X.dtype

    def _sample_weights(self, sample_weight, X, n):
        """Rows of positive weight, and their weights with sum one."""
        weight = _check_sample_weight(
            sample_weight, np.empty((n, 1)), dtype=np.float64, ensure_non_negative=True
        )
        kept = np.flatnonzero(weight > 0)
        if len(kept) < 2:
            raise ValueError(
                f"sample_weight has {len(kept)} positive entries, at least 2 samples "
                "must have one."
            )
        return kept, weight[kept] / weight.sum()

    def _check_size(self, Y, manifold):
        self._dimension = manifold.dimension(Y.shape[1])
        check_at_most(
            self.n_components,
            self._dimension,
            "n_components",
            "the dimension of the manifold "
            f"(n_features={self.n_features_in_}, dimension={self._dimension})",
        )
        if self.references == "samples":
            check_at_most(
                self.n_components, len(Y) - 1, "n_components", "n_samples - 1"
            )

    def _fit_samples(self, Y, sample_weight, kept, manifold, step):
        n, m = len(Y), self.n_components + 1
        rng = check_random_state(self.random_state)
        n_refs = n if self.n_candidates is None else min(self.n_candidates, n)
        if n_refs < m:
            raise ValueError(
                f"n_candidates={self.n_candidates} must be at least "
                f"n_components + 1={m}."
            )
        start = self._starting_references(kept)
        # Candidates come first, in their own order; others can be no references.
        candidates = np.arange(n)
        if n_refs < n:
            drawn = rng.permutation(n)
            drawn = np.r_[start, drawn[~np.isin(drawn, start)]][
                : max(n_refs, len(start))
            ]
            candidates = np.sort(drawn.astype(np.int64))
            n_refs = len(candidates)
        order = np.r_[candidates, np.setdiff1d(np.arange(n), candidates)]
        place = np.argsort(order)
        start = tuple(int(place[i]) for i in start)

        costs = self._costs(Y[order], sample_weight[order], n_refs, manifold)
        refs = self._search(costs, m, start, rng)
        if len(refs) < m:
            warnings.warn(
                f"The samples span a subspace of dimension {len(refs) - 1} only, less "
                f"than n_components={self.n_components}: further references would be "
                "affinely dependent.",
                UserWarning,
                stacklevel=3,
            )
        refs = [int(order[i]) for i in refs]
        self.reference_indices_ = kept[refs]
        self.n_evaluations_ = int(costs.n_evaluations)
        self.objective_history_ = np.zeros(0)
        self.converged_ = True
        self._references = Y[refs]
        step(self.n_iter_, np.nan)

    def _starting_references(self, kept):
        if self.init_references is None:
            return np.zeros(0, dtype=np.int64)
        start = np.asarray(self.init_references)
        m = self.n_components + 1
        if start.ndim != 1 or not np.issubdtype(start.dtype, np.integer):
            raise ValueError(
                f"init_references must be a list of row numbers, got {start!r}."
            )
        wrong = start[~np.isin(start, kept)]
        if wrong.size or len(np.unique(start)) < len(start):
            raise ValueError(
                f"init_references={start.tolist()} must be different row numbers of X "
                "(with positive sample_weight)."
            )
        few = self.strategy != "forward" and len(start) < m
        many = self.strategy != "backward" and len(start) > m
        if few or many or not len(start):
            wanted = {"forward": "1 to", "backward": "at least", "exchange": "exactly"}
            raise ValueError(
                f"init_references has {len(start)} rows; strategy={self.strategy!r} "
                f"needs {wanted[self.strategy]} n_components + 1={m}."
            )
        return np.searchsorted(kept, start)

    def _costs(self, Y, sample_weight, n_refs, manifold):
        cls = model_class(manifold, self.weights)
        if cls is SpaceFormModel:
            H, _ = _reduced(manifold.curvature, homogeneous(manifold.curvature, Y))
            self._effort = "recursion"
            return SampleCosts(
                manifold.curvature, H, sample_weight, self.p, n_refs, self.n_jobs
            )
        self._effort = "generic" if cls is GenericModel else "flat"

        def residuals(refs):
            points = Y[list(refs)]
            if cls is not GenericModel and len(refs) > 1:
                v = points[1:] - points[0]
                spread = np.max(np.sum((Y - points[0]) ** 2, axis=1))
                if len(orthonormal_rows(v, 1e-12 * spread)[1]) < len(v):
                    return None
            elif len(refs) > 1:
                apart = [
                    manifold.dist(points[i], points[j])
                    for i in range(len(refs))
                    for j in range(i)
                ]
                if min(apart) < 1e-10 * max(*apart, 1e-300):
                    return None
            return cls(manifold, points).residuals(Y, len(refs) - 1)

        return ProjectionCosts(residuals, len(Y), sample_weight, self.p, n_refs)

    def _search(self, costs, m, start, rng):
        self.n_iter_ = 1
        if self.strategy == "forward":
            refs = forward(costs, m, start)
            self.n_iter_ = len(refs)
            return refs
        if self.strategy == "backward":
            chosen = start or self._backward_start(costs, m, rng)
            self.n_iter_ = max(1, len(chosen) - 1)
            return backward(costs, chosen, m)
        seed = start or forward(costs, m)
        m = len(seed)
        if self.strategy == "exchange":
            refs, self.n_iter_ = exchange_restarts(
                costs, m, seed, self.n_init, self.max_iter, rng
            )
            return best_order(costs, refs)
        self._check_effort(costs, m, self.strategy)
        seed, _ = exchange_restarts(costs, m, seed, 1, self.max_iter, rng)
        if self.strategy == "pure":
            return best_order(costs, costs.pure(m, seed))
        greedy = best_order(costs, forward(costs, m))
        seed = min([best_order(costs, seed), greedy], key=costs.auv)
        return best_order(costs, costs.flag(m, seed))

    def _backward_start(self, costs, m, rng):
        n = costs.n_refs
        if n <= self._dimension + 1:
            return forward(costs, n)
        seed = forward(costs, m)
        seed, _ = exchange_restarts(costs, len(seed), seed, 1, self.max_iter, rng)
        if self._evaluations(costs, len(seed)) <= self.max_evals:
            return costs.pure(len(seed), seed)
        return seed

    def _evaluations(self, costs, m):
        effort = _PROJECTION_EFFORT[self._effort]
        return comb(costs.n_refs, m) * len(costs.weights) * effort

    def _check_effort(self, costs, m, strategy):
        wanted = self._evaluations(costs, m)
        if wanted > self.max_evals:
            raise ValueError(
                f"strategy={strategy!r} would need C({costs.n_refs}, {m}) subsets, "
                f"worth {wanted:.2g} residuals, above max_evals={self.max_evals:.2g}. "
                "Take strategy='exchange' or 'forward', or fewer n_candidates."
            )
        if strategy == "flag" and comb(costs.n_refs, m - 1) > 2.5e8:
            raise ValueError(
                f"strategy='flag' would keep C({costs.n_refs}, {m - 1}) values in "
                "memory, more than 2 GB. Take strategy='exchange' or 'forward', or "
                "fewer n_candidates."
            )

    def _fit_optimized(self, Y, sample_weight, manifold, step):
        kind = manifold.curvature
        H, W = _reduced(kind, homogeneous(kind, Y))
        progress = Progress(self.max_iter, self.tol, step)
        k = min(self.n_components, H.shape[1] - 1)
        if k < self.n_components:
            warnings.warn(
                f"The samples span a subspace of dimension {k} only, less than "
                f"n_components={self.n_components}.",
                UserWarning,
                stacklevel=3,
            )
        optimum = optimize_span(
            kind, H, sample_weight, k, strategy=self.strategy, cost=self.cost,
            p=self.p, progress=progress,
        )  # fmt: skip
        if not progress.converged:
            warnings.warn(
                "BarycentricSubspaceAnalysis stopped after "
                f"max_iter={self.max_iter} iterations with a relative change of the "
                f"objective of {progress.change:.3g}, above tol={self.tol:.3g}. "
                "Increase max_iter or tol.",
                ConvergenceWarning,
                stacklevel=3,
            )
        base, directions = optimum.base, optimum.directions
        if W is not None:
            offset, rows = W
            if rows is not None:
                directions = directions @ rows
                base = np.r_[base[:1], base[1:] @ rows]
            base[1:] += offset
        span = Span(kind, base, directions).oriented()
        # References at one standard deviation along each direction.
        P = optimum.inside(H)
        deviation = np.sqrt(sample_weight @ P[:, 1:] ** 2)
        deviation = np.where(deviation > 1e-8 * deviation.max(initial=0), deviation, 1)
        if kind > 0:
            deviation = np.arcsin(np.minimum(deviation, 0.9))
        elif kind < 0:
            deviation = np.arcsinh(deviation)
        corners = np.zeros((k + 1, k + 1))
        corners[0, 0] = 1.0
        corners[1:, 0] = np.cos(deviation) if kind > 0 else np.cosh(deviation)
        if kind == 0:
            corners[1:, 0] = 1.0
        sine = {0: deviation, 1: np.sin(deviation), -1: np.sinh(deviation)}[kind]
        corners[1:, 1:] = np.diag(sine)
        self._references = internal(kind, span.outside(corners))
        self.reference_indices_ = None
        self.n_iter_ = max(1, progress.n_iter)
        self.converged_ = progress.converged
        self.objective_history_ = np.array(progress.history)
        self.n_evaluations_ = 0

    def _describe(self, Y, sample_weight, kept, manifold):
        """Attributes that follow from the references."""
        self.n_components_ = k = len(self._references) - 1
        self._mean = manifold.mean(Y, sample_weight)
        model = self._model()
        d, T = model.measure(Y)
        self.unexplained_variance_ = d**self.p @ sample_weight
        self.auv_ = float(self.unexplained_variance_.sum())
        from_mean = manifold.dist(self._mean[None], Y)
        total = sample_weight @ from_mean**self.p
        self.explained_variance_ratio_ = 1 - self.unexplained_variance_ / max(
            total, 1e-300
        )
        self.references_ = self._decode(self._references, manifold)
        self.mean_ = self._decode(self._mean[None], manifold)[0]
        self.frame_ = None
        if isinstance(model, SpaceFormModel):
            frame = model.span.frame()
            self.frame_ = frame[1:] if model.kind == 0 else frame
        # A reference fits itself: its residual says nothing about other rows.
        rows = np.ones(len(Y), dtype=bool)
        if self.reference_indices_ is not None and len(Y) > 2 * k + 2:
            rows = ~np.isin(kept, self.reference_indices_)
        w = sample_weight[rows] / sample_weight[rows].sum()
        T = T[rows]
        spread = sample_weight @ from_mean**2
        floor = 1e-12 * spread + 1e-300
        self.coordinate_covariance_ = (T.T * w) @ T + floor * np.eye(k)
        outside = max(self._dimension - k, 1)
        self.residual_variance_ = float(w @ d[-1][rows] ** 2 / outside + floor)

    def _decode(self, points, manifold):
        return manifold.decode(points).reshape(len(points), *self._point_shape)

    def _model(self):
        manifold = resolve_manifold(self.manifold)
        cls = model_class(manifold, self.weights)
        return cls(manifold, self._references, self._mean)

    # -- points ------------------------------------------------------------------------

    def transform(self, X):
        """Coordinates or weights of the projections on the subspace.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Points of the manifold.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_components) or (n_samples, \
n_components + 1)
            With ``output="coordinates"`` normal coordinates at the projected Frechet
            mean, along directions whose first i are those of the span of the first
            i + 1 references. With ``output="weights"`` barycentric weights with sum
            one; a projection whose weights sum to zero, which lies at infinity of
            the weights, gets weights of unit norm and a warning.
        """
        check_is_fitted(self)
        Y, dtype = self._read(X, resolve_manifold(self.manifold), reset=False)
        model = self._model()
        if self.output == "coordinates":
            if self.n_components_ == 0:
                return np.zeros((len(Y), 0), dtype=dtype)
            return model.coordinates(Y).astype(dtype, copy=False)
        lam, finite = model.weights(Y)
        if not finite.all():
            warnings.warn(
                f"The weights of {int(np.sum(~finite))} rows sum to zero, row "
                f"{int(np.argmin(finite))} first: they are given with unit norm.",
                UserWarning,
                stacklevel=2,
            )
        return lam.astype(dtype, copy=False)

    def inverse_transform(self, X):
        """Points of the subspace from the output of `transform`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components) or (n_samples, \
n_components + 1)
            Coordinates or weights, as `output` says.

        Returns
        -------
        points : ndarray of shape (n_samples, n_features) or (n_samples, ...)
            Points in the layout of the data of `fit`; eigenvalues for "spectra".
            Coordinates give the projection back exactly; on the sphere several
            points can have the same weights, and the one near the references is
            taken.
        """
        check_is_fitted(self)
        if self.output == "weights":
            return self.barycenter(X)
        T = check_array(X, dtype=list(FLOAT_DTYPES), input_name="X")
        if T.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {T.shape[1]} coordinates, but the subspace has "
                f"{self.n_components_}."
            )
        manifold = resolve_manifold(self.manifold)
        points = self._model().from_coordinates(T.astype(np.float64))
        return self._decode(points, manifold).astype(T.dtype, copy=False)

    def barycenter(self, weights):
        """Points with given barycentric weights with respect to the references.

        Parameters
        ----------
        weights : array-like of shape (n_points, n_components + 1) or \
(n_components + 1,)
            Weights of non-zero sum, of either sign.

        Returns
        -------
        points : ndarray of shape (n_points, ...)
            Zeros of the weighted sum of logarithms of the references, to 1e-12.
        """
        check_is_fitted(self)
        lam = check_array(
            np.atleast_2d(weights), dtype=list(FLOAT_DTYPES), input_name="weights"
        )
        m = self.n_components_ + 1
        if lam.shape[1] != m:
            raise ValueError(f"weights has {lam.shape[1]} columns, but {m} are needed.")
        dtype, lam = lam.dtype, lam.astype(np.float64)
        total = np.abs(lam.sum(axis=1))
        bad = total <= 1e-12 * np.abs(lam).sum(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"Row {row} of weights sums to {lam[row].sum():.3g}: a barycentre "
                "needs a non-zero sum."
            )
        points = self._model().barycenter(lam)
        manifold = resolve_manifold(self.manifold)
        return self._decode(points, manifold).astype(dtype, copy=False)

    def project(self, X, level=None):
        """Nearest points of the subspace of a level.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Points of the manifold.
        level : int, default=None
            Number of references minus one. None: all of them.

        Returns
        -------
        points : ndarray of shape (n_samples, ...)
            In the layout of the data of `fit`.
        """
        check_is_fitted(self)
        level = self._check_level(level)
        manifold = resolve_manifold(self.manifold)
        Y, dtype = self._read(X, manifold, reset=False)
        points = self._model().project(Y, level)
        return self._decode(points, manifold).astype(dtype, copy=False)

    def residuals(self, X, level=None):
        """Geodesic distances to the subspace of a level; large ones are outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Points of the manifold.
        level : int, default=None
            Number of references minus one. None: all of them.

        Returns
        -------
        distances : ndarray of shape (n_samples,)
            Distances, not squared.
        """
        check_is_fitted(self)
        level = self._check_level(level)
        Y, dtype = self._read(X, resolve_manifold(self.manifold), reset=False)
        return self._model().residuals(Y, level).astype(dtype, copy=False)

    def _check_level(self, level):
        if level is None:
            return self.n_components_
        if (
            not isinstance(level, Integral)
            or isinstance(level, bool)
            or not 0 <= level <= self.n_components_
        ):
            raise ValueError(
                f"level={level!r} must be an integer from 0 to "
                f"n_components_={self.n_components_}."
            )
        return int(level)

    def score(self, X, y=None):
        """Mean log-density of the rows under the fitted subspace.

        A Gaussian in the coordinates times an isotropic Gaussian in the dimensions
        outside, ignoring the distortion of volumes by curvature. On held-out rows it
        peaks at the dimension beyond which only noise is left.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Points of the manifold.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            Nats per row; higher is better.
        """
        check_is_fitted(self)
        Y, _ = self._read(X, resolve_manifold(self.manifold), reset=False)
        model, k = self._model(), self.n_components_
        density = np.zeros(len(Y))
        d, T = model.measure(Y)
        if k:
            S = self.coordinate_covariance_
            _, log_det = np.linalg.slogdet(S)
            D2 = np.sum(T * np.linalg.solve(S, T.T).T, axis=1)
            density += gaussian_log_density(D2, log_det, k)
        outside = self._dimension - k
        if outside:
            e2 = self.residual_variance_
            density += gaussian_log_density(
                d[-1] ** 2 / e2, outside * np.log(e2), outside
            )
        return float(np.mean(density))

    @property
    def _n_features_out(self):
        return self.n_components_ + (self.output == "weights")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _reduced(kind, H):
    """H in the row space of its space part when that is smaller, and the way back.

    Returns
    -------
    H : ndarray of shape (n, 1 + r)
    back : tuple (offset, rows) or None
        ``v_reduced @ rows + offset`` is the space part; rows None: the identity.
        None when nothing was done.
    """
    n, D = H.shape[0], H.shape[1] - 1
    offset = np.zeros(D)
    if kind == 0:
        # Far from the origin the Gram matrix of raw vectors would lose digits.
        offset = H[:, 1:].mean(axis=0)
        H[:, 1:] -= offset
    if D <= n:
        return H, (offset, None) if kind == 0 else None
    rows = np.linalg.qr(H[:, 1:].T)[0].T
    return np.column_stack([H[:, 0], H[:, 1:] @ rows.T]), (offset, rows)
