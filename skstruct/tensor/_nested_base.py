# SPDX-License-Identifier: BSD-3-Clause
"""What the clusterer and the transformer of the nested model share."""

import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_is_fitted,
    validate_data,
)

from .._base import StructEstimator, deterministic_signs
from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._scores import gaussian_log_density
from .._validation import FLOAT_DTYPES, check_at_most, validate_three_way
from ..random_matrix import _shrink, _spike_strength
from . import _nested_core as core
from ._nested_theory import nested_rank_one_theory, unfolding_theory

_AXES = ("samples", "features", "views")

# Products of larger sums of squares would overflow.
_LARGEST_GRAM = 1e200


class NestedTensorBase(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    CallbackSupportMixin,
    StructEstimator,
):
    """Validation, view weights, spectrum and signal-to-noise ratios."""

    _parameter_constraints = {
        "n_components": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "method": [StrOptions({"projection", "tensor", "unfolding"})],
        "center": ["boolean"],
        "shrinkage": [StrOptions({"frobenius", "operator", "nuclear"}), None],
        "view_noise": [StrOptions({"diag", "homoscedastic"})],
        "n_views": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    # ------------------------------------------------------------------ input

    def _read(self, X, *, reset):
        """Check X and give it three axes; entries are checked for NaN later."""
        options = {
            "dtype": list(FLOAT_DTYPES),
            "order": "C",
            # The Gram matrix of the views finds NaN and inf without a pass of its own.
            "ensure_all_finite": False,
            "ensure_min_samples": 2 if reset else 1,
        }
        flat = not sparse.issparse(X) and np.ndim(X) == 2
        if flat and self.n_views is not None:
            X = validate_data(self, X, reset=reset, **options)
            if X.shape[1] % self.n_views:
                raise ValueError(
                    f"X has {X.shape[1]} columns, which n_views={self.n_views} does "
                    "not divide: the flattened form has n_features * n_views columns."
                )
            X = X.reshape(X.shape[0], -1, self.n_views)
            if reset:
                self._third_axis_in = self.n_views
        elif flat and self.n_views is None:
            raise ValueError(
                f"Expected 3D array of shape (n_samples, n_features, n_views), got 2D "
                f"array of shape {np.shape(X)} instead: give n_views for the "
                "flattened form."
            )
        else:
            X = validate_three_way(self, X, reset=reset, axis_names=_AXES, **options)
            if self.n_views not in (None, X.shape[2]):
                raise ValueError(
                    f"n_views={self.n_views}, but X has {X.shape[2]} views."
                )
        if reset:
            self._flat_in = flat
        return X

    def _read_mean(self, X):
        """Checked X, and the weighted mean of its views as fitted."""
        check_is_fitted(self)
        X = self._read(X, reset=False)
        A = core.weighted_mean(X, self.view_weights_)
        if not np.isfinite(A).all():
            self._refuse(X)
        return X, A

    def _refuse(self, X):
        """Say why sums over X are not finite."""
        assert_all_finite(X, input_name="X", estimator_name=type(self).__name__)
        raise ValueError(
            f"X has entries up to {np.abs(X).max():.3g}, whose squares overflow: "
            "rescale X to entries below 1e100."
        )

    # ------------------------------------------------------------------ fit

    def _check_sizes(self, n_samples):
        """Bounds of a subclass on the number of samples."""

    def _fit(self, X, *, least_rank=1):
        """Fit everything but clusters; return A, its spectrum and scores."""
        data = self._read(X, reset=True)
        n, p, m = data.shape
        self._check_sizes(n)
        limit = min(n - 1 if self.center else n, p)
        if self.n_components != "auto":
            samples = "n_samples - 1" if self.center else "n_samples"
            check_at_most(
                self.n_components, limit, "n_components", f"min({samples}, n_features)"
            )
        # What another method has left must not outlive it.
        for name in ("loss_curve_", "unfolded_components_", "_unfolded_mean"):
            vars(self).pop(name, None)
        with np.errstate(over="ignore", invalid="ignore"):
            G = core.view_gram(data)
        if not np.trace(G) < _LARGEST_GRAM:
            self._refuse(data)
        if not np.trace(G) > 1e-290 * n * p * m:
            raise ValueError(
                "X is constant: all entries are zero (or their squares underflow)."
            )
        views = core.estimate_views(G, n * p, unequal=self.view_noise == "diag")
        self.n_iter_ = 1
        if self.method != "projection" and m > 1:
            views = self._iterate(data, views)
        self._store_views(views)

        A = core.weighted_mean(data, self.view_weights_)
        self.mean_ = A.mean(axis=0)
        low, high = A.min(axis=0), A.max(axis=0)
        largest = max(-low.min(), high.max())
        if (high - low).max() <= 1e-12 * largest:
            raise ValueError(
                "X is constant: all samples are the same (zero after centring), up to "
                "rounding."
            )
        if self.center:
            A -= self.mean_
        else:
            self.mean_ = np.zeros(p)
        spectrum = core.Spectrum(A)
        shape = (p, n - 1 if self.center else n)
        tau, self.rank_ = core.noise_and_rank(spectrum, shape)
        self.projected_noise_variance_ = tau**2

        wanted = self.n_components
        if wanted == "auto":
            # Components below the edge would be shrunk to zero.
            wanted = min(self.rank_ or least_rank, limit)
        self.n_components_ = wanted
        U, s, V = spectrum.triplets(wanted)
        self._predict_limits(s, tau, shape, (p, n, m))
        self._warn_of_weak_signals(spectrum, tau, shape)
        if self.method == "unfolding" and m > 1:
            scores = self._store_unfolding(data, views, wanted)
        else:
            scores = self._store_components(U, s, V, tau, shape)
        self.embedding_ = (scores * self._factors).astype(data.dtype, copy=False)
        self.lambda_ = float(spectrum.values[0])
        return A, spectrum, scores

    def _iterate(self, data, views):
        """View profile by the methods of the papers."""
        center = self.center
        _, _, D = core.unfolding_vectors(data, views, 1, center=center)
        unfolded = core.rank_one_profile(D[0])
        if self.method == "unfolding":
            return views.with_profile(unfolded)
        with fit_callbacks(self, X=data, max_iter=2 * self.max_iter) as step:
            z, lambdas, converged = core.best_rank_one(
                data, views, [views.profile, unfolded], center=center,
                tol=self.tol, max_iter=self.max_iter, step=step,
            )  # fmt: skip
        self.n_iter_ = len(lambdas)
        self.loss_curve_ = np.array(lambdas)
        if not converged:
            change = np.diff(lambdas[-2:])[-1] / lambdas[-1] if len(lambdas) > 1 else 1
            warnings.warn(
                f"{type(self).__name__} stopped after max_iter={self.max_iter} "
                f"iterations with a relative change of lambda of {change:.3g}, above "
                f"tol={self.tol:.3g}. Increase max_iter or tol.",
                ConvergenceWarning,
                stacklevel=5,
            )
        return views if lambdas[-1] == 0 else views.with_profile(z)

    def _store_views(self, views):
        self.view_weights_ = views.weights
        self.view_loadings_ = views.back
        self.view_gap_ = views.gap
        noise = views.noise
        self.noise_variance_ = noise * views.unit**2
        # One view cannot tell its noise from that of the samples.
        self.view_noise_variances_ = noise * views.sigma**2
        self._view_sigma = views.sigma
        self._view_unit = views.unit

    def _predict_limits(self, s, tau, shape, sizes):
        """Signal-to-noise ratios and the alignments that theory expects."""
        large = np.sqrt(max(shape))
        if tau > 0:
            beta = min(shape) / max(shape)
            theta = tau * large * _spike_strength(s / (tau * large), beta)
        else:
            theta = np.where(s > 1e-7 * s[0], s, 0.0)
        self.beta_T_, self.beta_M_ = core.signal_ratios(
            theta, tau, self.noise_variance_, sizes
        )
        x, y = core.mean_alignments(theta[0], tau, shape)
        z = core.profile_alignment(self.beta_T_, self.beta_M_, sizes)
        finite = np.isfinite(self.beta_T_) and np.isfinite(self.beta_M_[0])
        if self.method == "tensor" and finite:
            _, (x, y, z) = nested_rank_one_theory(sizes, self.beta_T_, self.beta_M_[0])
        elif self.method == "unfolding" and finite:
            ratios = self.beta_T_, self.beta_M_[0]
            swapped = (sizes[1], sizes[0], sizes[2])
            y = np.sqrt(unfolding_theory(sizes, *ratios)["alignment_squared"])
            x = np.sqrt(unfolding_theory(swapped, *ratios)["alignment_squared"])
        self.alignments_ = np.array([x, y, z])

    def _warn_of_weak_signals(self, spectrum, tau, shape):
        if self.rank_ == 0:
            edge = tau * (np.sqrt(shape[0]) + np.sqrt(shape[1]))
            warnings.warn(
                f"There is no spike above the noise edge: the largest singular value "
                f"{spectrum.values[0]:.4g} of the weighted mean is not above "
                f"{edge:.4g}. The result may be noise alone.",
                UserWarning,
                stacklevel=4,
            )
        elif self.n_components_ > self.rank_ and self.shrinkage is not None:
            warnings.warn(
                f"n_components={self.n_components_} exceeds the number "
                f"rank_={self.rank_} of spikes above the noise edge: the further "
                "components are shrunk to zero. shrinkage=None keeps them.",
                UserWarning,
                stacklevel=4,
            )

    def _store_components(self, U, s, V, tau, shape):
        U, V = deterministic_signs(U, V)
        self.components_ = np.ascontiguousarray(U.T)
        self.singular_values_ = s
        # Without any spike, shrinkage would leave nothing to look at.
        if self.shrinkage is None or self.rank_ == 0 or tau == 0:
            shrunk = s.copy()
        else:
            unit = tau * np.sqrt(max(shape))
            shrunk = _shrink(s, s / unit, min(shape) / max(shape), unit, self.shrinkage)
            # A value between the edge and its safety margin is not counted.
            shrunk[self.rank_ :] = 0.0
        self.shrunk_singular_values_ = shrunk
        self._factors = np.divide(shrunk, s, out=np.zeros_like(s), where=s > 0)
        return V * s

    def _store_unfolding(self, data, views, r):
        s, V, D = core.unfolding_vectors(data, views, r, center=self.center)
        feature = np.stack([_leading_feature(d, views.profile) for d in D])
        feature, V, flat = deterministic_signs(feature.T, V, D.reshape(r, -1).T)
        self.components_ = np.ascontiguousarray(feature.T)
        # Back from the whitened views to the units of the weighted mean.
        s = s * self._view_unit
        self.singular_values_ = s
        self.shrunk_singular_values_ = s.copy()
        self._factors = np.ones(r)
        self.unfolded_components_ = np.ascontiguousarray(flat.T).reshape(D.shape)
        self._unfolded_mean = np.zeros(D.shape[1:])
        if self.center:
            self._unfolded_mean = data.mean(axis=0, dtype=np.float64) / views.sigma
        return V * s

    # ------------------------------------------------------------------ new samples

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None):
        """Fit, and return the embedding of the training samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, n_views)
            Or of shape (n_samples, n_features * n_views) with `n_views`.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        embedding : ndarray of shape (n_samples, n_components)
            Equal to ``transform(X)``.
        """
        # Public methods share private ones: the input is checked once.
        self._fit_all(X)
        return self.embedding_

    def transform(self, X):
        """Project the weighted mean of the views on the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, n_views)
            In the form given to `fit`.

        Returns
        -------
        embedding : ndarray of shape (n_samples, n_components)
            Scores, multiplied by the shrinkage of their singular values.
        """
        return self._embed(*self._read_mean(X))

    def inverse_transform(self, X):
        """Low-rank signal of embedded samples, in all views.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            From `transform`.

        Returns
        -------
        signal : ndarray of shape (n_samples, n_features, n_views)
            Or (n_samples, n_features * n_views), the form given to `fit`.
        """
        check_is_fitted(self)
        E = check_array(X, dtype=[np.float64, np.float32])
        if E.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {E.shape[1]} columns, but n_components_={self.n_components_}."
            )
        return self._reconstruct(E)

    def score_samples(self, X):
        """Log-density of each sample under the fitted model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, n_views)
            In the form given to `fit`.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats.
        """
        return self._score_samples(X)

    def score(self, X, y=None):
        """Mean log-density of samples; on held-out ones it peaks at the true rank.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, n_views)
            In the form given to `fit`.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            In nats.
        """
        return float(np.mean(self._score_samples(X)))

    def _score_samples(self, X):
        X, A = self._read_mean(X)
        return self._mean_log_density(A) + self._view_log_density(X, A)

    def _coordinates(self, X, A):
        """Scores before shrinkage, in float64; their noise is that of A in all."""
        if hasattr(self, "unfolded_components_"):
            n = X.shape[0]
            rows = (X / self._view_sigma - self._unfolded_mean).reshape(n, -1)
            E = rows @ self.unfolded_components_.reshape(self.n_components_, -1).T
            return E * self._view_unit
        return (A - self.mean_) @ self.components_.T

    def _embed(self, X, A):
        E = self._coordinates(X, A) * self._factors
        return E.astype(X.dtype, copy=False)

    def _reconstruct(self, E):
        if hasattr(self, "unfolded_components_"):
            T = np.tensordot(E / self._view_unit, self.unfolded_components_, axes=1)
            T = (T + self._unfolded_mean) * self._view_sigma
        else:
            A = E @ self.components_ + self.mean_
            T = A[:, :, None] * self.view_loadings_
        return T.reshape(len(T), -1) if self._flat_in else T

    def _view_log_density(self, X, A):
        """Log-density of what the views hold beside their weighted mean.

        Together with a density of the mean A this is one of X: the map from X to A
        and the rest is a rotation of the whitened views.
        """
        _, p, m = X.shape
        log_det = p * (np.log(self._view_sigma).sum() - np.log(self._view_unit))
        if m == 1:
            return np.zeros(len(A))
        energy = core.weighted_energy(X, 1 / self._view_sigma**2)
        rest = energy - np.sum(A**2, axis=1) / self._view_unit**2
        noise = self.noise_variance_ / self._view_unit**2
        # Noise-free training views: a density as sharp as rounding allows.
        noise = max(noise, self._density_floor / self._view_unit**2)
        dim = p * (m - 1)
        return gaussian_log_density(rest / noise, dim * np.log(noise), dim) - log_det

    @property
    def _n_features_out(self):
        return self.n_components_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = self.n_views is not None
        return tags


def _leading_feature(D, profile):
    """Left singular vector of D, (p, m), whose partner points along the profile."""
    U, _, Wt = np.linalg.svd(D, full_matrices=False)
    return U[:, 0] if Wt[0] @ profile >= 0 else -U[:, 0]
