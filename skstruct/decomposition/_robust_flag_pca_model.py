"""A fitted robust flag PCA: coordinates, residuals, density."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy.special import gammaln
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._base import StructEstimator, deterministic_signs
from .._callbacks import CallbackSupportMixin
from .._validation import FLOAT_DTYPES
from ._robust_flag_pca_kernels import block_weights, nested_weights
from ._robust_flag_pca_solver import gamma_of
from ._robust_flag_pca_tangent import TangentSpace


class FlagPCAModel(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    CallbackSupportMixin,
    StructEstimator,
):
    """What does not depend on how the frame was found.

    A subclass sets ``mean_``, ``scale_``, ``_axes`` (orthonormal directions in the
    centred coordinates), ``_dimension``, ``flag_type_`` and, on a manifold,
    ``_basis``.
    """

    # -- rows ----------------------------------------------------------------------

    def _read(self, X, *, reset):
        X = validate_data(
            self,
            X,
            reset=reset,
            dtype=list(FLOAT_DTYPES),
            allow_nd=self.manifold is not None,
            ensure_min_samples=2 if reset else 1,
        )
        # Symmetric matrices and the like are rows of their entries.
        return X.reshape(X.shape[0], -1).astype(np.float64, copy=False), X.dtype

    def _tangent(self):
        return TangentSpace(self.manifold, self.mean_, self._basis)

    def _coordinates(self, X):
        """Centred rows, and the length of what lies outside their span."""
        X, dtype = self._read(X, reset=False)
        if self.manifold is not None:
            Z, outside = self._tangent().coordinates(X)
            return Z, outside, dtype
        return (X - self.mean_) / self.scale_, 0.0, dtype

    def _gamma(self):
        if self.construction == "nested":
            return gamma_of(self.flag_type_)
        return np.ones(self.n_components_)

    def _terms(self, Z, U):
        """Weights (k, n) of the rows at U, and the sum of the smoothed residuals."""
        n = len(Z)
        norm2 = np.einsum("np,np->n", Z, Z)
        if self.construction == "nested":
            w = np.empty(n)
            value = nested_weights(Z @ U, norm2, self._gamma(), self.eps, w)
            return w[None], value
        T = np.ascontiguousarray((Z @ U)[:, None, :])
        edges = np.array((0, *self.flag_type_))
        W, values = np.empty((n, 1, len(self.flag_type_))), np.empty(1)
        reconstruction = self.criterion == "reconstruction"
        block_weights(T, norm2, edges, self.eps, reconstruction, False, W, values)
        return np.ascontiguousarray(W[:, 0].T), values[0]

    # -- density -------------------------------------------------------------------

    def _learn_density(self, Z):
        """Scales of the Cauchy densities along the signal axes and across them."""
        if self.criterion == "dual":
            # The rows extend in the complement of the normals.
            Q = np.linalg.qr(self._axes, mode="complete")[0][:, self._axes.shape[1] :]
            W, _ = self._terms(unit_rows(Z), self._axes)
            T = Z @ Q
            axes = np.linalg.eigh(T.T @ (W.min(axis=0)[:, None] * T))[1][:, ::-1]
            self._signal = deterministic_signs(Q @ axes)
        else:
            self._signal = self._axes
        norms = np.sqrt(np.einsum("np,np->n", Z, Z))
        floor = 1e-12 * (norms.max(initial=0.0) or 1.0)
        T, r = self._split(Z, 0.0)
        n_rest = self._dimension - self._signal.shape[1]
        self._spread = np.array([_cauchy_scale(t**2, 1, floor) for t in T.T])
        self._rest_spread = _cauchy_scale(r**2, n_rest, floor) if n_rest else 1.0
        dual = self.criterion == "dual"
        self.outlier_scores_ = self._residuals(Z, 0.0) if dual else r

    def _split(self, Z, outside):
        T = Z @ self._signal
        R = Z - T @ self._signal.T
        return T, np.sqrt(np.einsum("np,np->n", R, R) + np.square(outside))

    def _residuals(self, Z, outside):
        if self.criterion == "dual":
            unit = unit_rows(Z)
            return np.linalg.norm(unit @ self._axes, axis=1)
        return self._split(Z, outside)[1]

    def residuals(self, X):
        """Outlyingness of rows: their distance to the subspace of all components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        residuals : ndarray of shape (n_samples,)
            In units of the (scaled) data. For ``criterion="dual"`` the length of the
            projection of the centred unit rows on the normals, between 0 and 1.
        """
        check_is_fitted(self)
        Z, outside, _ = self._coordinates(X)
        return self._residuals(Z, outside)

    def transform(self, X):
        """Coordinates of rows along the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        T : ndarray of shape (n_samples, n_components)
            The first ``flag_type_[i]`` columns are the coordinates in the i-th nested
            subspace.
        """
        check_is_fitted(self)
        Z, _, dtype = self._coordinates(X)
        return (Z @ self._axes).astype(dtype, copy=False)

    def inverse_transform(self, X):
        """Points of given coordinates.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Coordinates, as from :meth:`transform`.

        Returns
        -------
        points : ndarray of shape (n_samples, n_features)
            Points of the fitted subspace (for ``criterion="dual"``, of the span of
            the normals), through the exponential map of a `manifold`.
        """
        check_is_fitted(self)
        T = np.asarray(X)
        dtype = T.dtype if T.dtype in FLOAT_DTYPES else np.float64
        if T.ndim != 2 or T.shape[1] != self.n_components_:
            raise ValueError(
                f"X must have shape (n_samples, {self.n_components_}), got {T.shape}."
            )
        Z = T.astype(np.float64) @ self._axes.T
        if self.manifold is not None:
            return self._tangent().points(Z)
        return (Z * self.scale_ + self.mean_).astype(dtype, copy=False)

    def score_samples(self, X):
        """Log-density of rows under the fitted model of Cauchy densities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In the units of the data; with a `manifold`, on the tangent space.
        """
        check_is_fitted(self)
        Z, outside, _ = self._coordinates(X)
        return self._log_density(Z, outside)

    def score(self, X, y=None):
        """Mean log-density of held-out rows: peaks at the true rank.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            Higher is better.
        """
        check_is_fitted(self)
        Z, outside, _ = self._coordinates(X)
        return float(np.mean(self._log_density(Z, outside)))

    def _log_density(self, Z, outside):
        T, r = self._split(Z, outside)
        density = _cauchy_density(T**2, 1, self._spread).sum(axis=1)
        n_rest = self._dimension - self._signal.shape[1]
        if n_rest:
            density += _cauchy_density(r**2, n_rest, self._rest_spread)
        return density - np.sum(np.log(self.scale_))

    @property
    def _n_features_out(self):
        return self.components_.shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = self.manifold is not None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def unit_rows(Z):
    norms = np.sqrt(np.einsum("np,np->n", Z, Z))[:, None]
    return Z / np.where(norms > 0, norms, 1.0)


def _cauchy_scale(squares, d, floor, *, max_iter=100, tol=1e-8):
    """Maximum likelihood scale of a spherical Cauchy density in d dimensions."""
    s2 = max(float(np.median(squares)) / d, floor**2)
    for _ in range(max_iter):
        new = float(np.mean((1 + d) * squares / (1 + squares / s2))) / d
        new = max(new, floor**2)
        done = abs(new - s2) <= tol * s2
        s2 = new
        if done:
            break
    return np.sqrt(s2)


def _cauchy_density(squares, d, scale):
    """Log-density at squared distance `squares` from the centre, in d dimensions."""
    constant = gammaln((1 + d) / 2) - gammaln(0.5) - d / 2 * np.log(np.pi)
    tail = (1 + d) / 2 * np.log1p(squares / scale**2)
    return constant - d * np.log(scale) - tail
