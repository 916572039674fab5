# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.base import _fit_context

from .._scores import gaussian_log_density
from ._nested_base import NestedTensorBase


class NestedTensorPCA(NestedTensorBase):
    """DOC"""

    _parameter_constraints = {**NestedTensorBase._parameter_constraints}

    def __init__(
        self,
        n_components="auto",
        *,
        method="projection",
        center=False,
        shrinkage="frobenius",
        view_noise="diag",
        n_views=None,
        tol=1e-8,
        max_iter=200,
        random_state=None,
    ):
        self.n_components = n_components
        self.method = method
        self.center = center
        self.shrinkage = shrinkage
        self.view_noise = view_noise
        self.n_views = n_views
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn view weights, components and noise levels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, n_views)
            Or of shape (n_samples, n_features * n_views) with `n_views`.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : NestedTensorPCA
            Fitted estimator.
        """
        self._fit_all(X)
        return self

    def _fit_all(self, X):
        A, spectrum = self._fit(X)
        n, p = A.shape
        r = self.n_components_
        # The maximum likelihood of probabilistic principal components. Its leading
        # variances are inflated by noise, which is what makes the held-out density
        # fall beyond the true rank.
        s = spectrum.values[:r]
        U = self.components_
        if hasattr(self, "unfolded_components_"):
            U = spectrum.triplets(r)[0].T
        self._density_axes = U
        self._density_floor = floor = 1e-10 * spectrum.energy / (n * p)
        self._density_variances = np.maximum(s**2 / n, floor)
        left = max(spectrum.energy - np.sum(s**2), 0.0)
        self._density_noise = max(left / (n * (p - r)), floor) if p > r else 1.0

    def _mean_log_density(self, A):
        T = A - self.mean_
        r, p = self._density_axes.shape
        E = T @ self._density_axes.T
        D2 = np.sum(E**2 / self._density_variances, axis=1)
        log_det = np.log(self._density_variances).sum()
        if p > r:
            rest = np.maximum(np.sum(T**2, axis=1) - np.sum(E**2, axis=1), 0.0)
            D2 += rest / self._density_noise
            log_det += (p - r) * np.log(self._density_noise)
        return gaussian_log_density(D2, log_det, p)
