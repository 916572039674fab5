# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    validate_data,
)

from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._manifolds import resolve_manifold, symmetric_rows
from .._scores import gaussian_log_density
from .._validation import FLOAT_DTYPES, check_at_most, check_magnitude
from ._barycentric_fit import ReferenceFinder
from ._barycentric_models import SpaceFormModel, model_class

_FLAT_SHAPES = ("euclidean", "sphere", "hyperbolic")


class BarycentricSubspaceAnalysis(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ReferenceFinder,
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
        check_magnitude(X)
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
