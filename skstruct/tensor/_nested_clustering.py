# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral

import numpy as np
from scipy.special import logsumexp
from sklearn.base import ClusterMixin, _fit_context
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from .._parallel import run_tasks
from .._scores import gaussian_log_density
from .._validation import check_at_most
from ._nested_base import NestedTensorBase
from ._nested_core import centred_alignment
from ._nested_theory import two_class_accuracy


class NestedTensorClustering(ClusterMixin, NestedTensorBase):
    """DOC"""

    _parameter_constraints = {
        **NestedTensorBase._parameter_constraints,
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_clusters=2,
        *,
        n_components="auto",
        method="projection",
        center=False,
        shrinkage="frobenius",
        view_noise="diag",
        n_views=None,
        n_init=10,
        tol=1e-8,
        max_iter=200,
        random_state=None,
        n_jobs=None,
    ):
        self.n_clusters = n_clusters
        self.n_components = n_components
        self.method = method
        self.center = center
        self.shrinkage = shrinkage
        self.view_noise = view_noise
        self.n_views = n_views
        self.n_init = n_init
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn view weights, components, noise levels and clusters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, n_views)
            Or of shape (n_samples, n_features * n_views) with `n_views`.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : NestedTensorClustering
            Fitted estimator.
        """
        self._fit_all(X)
        return self

    def _fit_all(self, X):
        k = self.n_clusters
        A, spectrum = self._fit(X, least_rank=max(1, k - 1))
        n, p = A.shape
        E = self.embedding_
        self.labels_, self._centers = self._cluster(E)
        sizes = np.bincount(self.labels_, minlength=k)
        members = np.zeros((k, n))
        members[self.labels_, np.arange(n)] = 1 / np.maximum(sizes, 1)[self.labels_]
        means = members @ A
        self.cluster_centers_ = means + self.mean_
        self._log_priors = np.log(np.maximum(sizes, 1e-300) / n)
        self._density_floor = floor = 1e-10 * spectrum.energy / (n * p)
        within = max(spectrum.energy - np.sum(sizes * np.sum(means**2, axis=1)), 0.0)
        self._density_noise = max(within / (p * max(n - k, 1)), floor)
        self.predicted_accuracy_ = self._predicted_accuracy(A)

    def _cluster(self, E):
        k = self.n_clusters
        if E.shape[1] == 1 and k == 2:
            return two_means(E)
        rng = check_random_state(self.random_state)
        seeds = rng.randint(np.iinfo(np.int32).max, size=1 if k == 1 else self.n_init)
        runs = run_tasks(_k_means, [(E, k, int(seed)) for seed in seeds], self.n_jobs)
        inertia, labels, centers = min(runs, key=lambda run: run[0])
        return labels, centers

    def _predicted_accuracy(self, A):
        if self.n_clusters != 2:
            return None
        alignment = self.alignments_[1]
        if self.n_components_ > 1 and not self.center:
            alignment = centred_alignment(A, np.sqrt(self.projected_noise_variance_))
        return float(two_class_accuracy(alignment))

    def _check_sizes(self, n_samples):
        check_at_most(self.n_clusters, n_samples, "n_clusters", "n_samples")

    def predict(self, X):
        """Cluster of each sample: the nearest centre in the embedding.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, n_views)
            In the form given to `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            On the training samples equal to ``labels_``.
        """
        E = self._embed(*self._read_mean(X)).astype(np.float64)
        return pairwise_distances_argmin(E, self._centers).astype(np.int32)

    def _mean_log_density(self, A):
        p = A.shape[1]
        D2 = euclidean_distances(A, self.cluster_centers_, squared=True)
        log_det = p * np.log(self._density_noise)
        each = gaussian_log_density(D2 / self._density_noise, log_det, p)
        return logsumexp(each + self._log_priors, axis=1)


def two_means(E):
    """The best two clusters of numbers, by a scan of all cuts of the sorted column.

    Returns
    -------
    labels : ndarray of int32, shape (n,)
    centers : ndarray of shape (2, 1)
    """
    x = E[:, 0].astype(np.float64)
    order = np.argsort(x, kind="stable")
    n = x.size
    left = np.cumsum(x[order])[:-1]
    count = np.arange(1, n)
    # The energy that the two means explain; largest for the best cut.
    explained = left**2 / count + (x.sum() - left) ** 2 / (n - count)
    # Equal numbers are never separated.
    explained[np.diff(x[order]) <= 0] = -np.inf
    cut = int(np.argmax(explained)) + 1
    labels = np.ones(n, dtype=np.int32)
    labels[order[:cut]] = 0
    centers = np.array([[x[labels == 0].mean()], [x[labels == 1].mean()]])
    return labels, centers


def _k_means(E, k, seed):
    found = KMeans(k, n_init=1, random_state=seed).fit(E)
    return found.inertia_, found.labels_, found.cluster_centers_.astype(np.float64)
