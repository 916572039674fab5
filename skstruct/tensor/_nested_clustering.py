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
    """Cluster samples that are seen in several noisy views.

    All views share the features; each is the same hidden sample times a gain of the
    view, plus noise of the view. The views are combined with the weights that give
    the clearest mean, and k-means finds the clusters in its leading components. The
    signal-to-noise ratios and the accuracy that can be reached are estimated along the
    way.

    Parameters
    ----------
    n_clusters : int, default=2
        Number of clusters; a search by held-out `score` finds it.
    n_components : int or "auto", default="auto"
        Number of components that the clusters are sought in. "auto": as many as rise
        above the noise edge; if none does, ``n_clusters - 1``.
    method : {"projection", "tensor", "unfolding"}, default="projection"
        How the view weights are found. "projection": leading eigenvector of the Gram
        matrix of the views; fast, and as good as known weights whenever clusters can
        be found at all. "tensor": best rank-one approximation of the tensor, by
        alternating updates; weaker where the views are noisy. "unfolding": spectral
        method on the unfolding along the samples, a baseline that needs a much
        stronger signal. View noise is weighed in all three.
    center : bool, default=False
        Whether the mean of the samples is taken from the weighted mean of the views.
        The default keeps it, as the model does: k clusters in general position then
        span k components, with `center` k - 1.
    shrinkage : {"frobenius", "operator", "nuclear"} or None, default="frobenius"
        Loss whose best shrinkage the singular values of the embedding get, see
        :func:`skstruct.random_matrix.spike_shrink`. The clusters are found without.
    view_noise : {"diag", "homoscedastic"}, default="diag"
        "diag": every view has a noise level of its own, estimated by maximum
        likelihood of a one-factor model of the views; needs three views.
        "homoscedastic": one noise level, also used for fewer than three views and
        when the views hold no noise at all.
    n_views : int, default=None
        Number of views in the flattened form (n_samples, n_features * n_views), in
        the memory order of ``X.reshape(n_samples, n_features, n_views)``: the views
        of the first feature come first. None: `X` has three axes.
    n_init : int, default=10
        Number of starts of k-means. Two clusters in one component need none: all cuts
        are compared.
    tol : float, default=1e-8
        Relative change of the approximation at which ``method="tensor"`` stops.
    max_iter : int, default=200
        Largest number of its iterations, for each of its two starts.
    random_state : int, RandomState instance or None, default=None
        Seed of k-means.
    n_jobs : int, default=None
        Number of starts of k-means that run at the same time; the result does not
        depend on it.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,)
        Clusters of the training samples.
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Means of the clusters in the weighted mean of the views.
    predicted_accuracy_ : float or None
        Accuracy that theory expects for two clusters of equal size; None for other
        numbers of clusters.
    view_weights_ : ndarray of shape (n_views,)
        Weights w of unit length and nonnegative sum; ``X @ view_weights_`` is the
        best single picture of the samples.
    view_loadings_ : ndarray of shape (n_views,)
        How a view shows the weighted mean: view k of the signal is the mean times
        loading k. Equal to the weights if the views are equally noisy.
    view_noise_variances_ : ndarray of shape (n_views,)
        Noise variance of an entry of each view; NaN for a single view, which cannot
        tell its noise from the spread of the samples.
    view_gap_ : float
        Relative distance of the two leading eigenvalues of the (whitened) Gram
        matrix of the views. Near 0 the weights are not determined.
    components_ : ndarray of shape (n_components, n_features)
        Leading singular vectors of the weighted mean, over the features.
    singular_values_, shrunk_singular_values_ : ndarrays of shape (n_components,)
        Before and after shrinkage.
    embedding_ : ndarray of shape (n_samples, n_components)
        Scores of the training samples, shrunk.
    mean_ : ndarray of shape (n_features,)
        What `center` has taken away; else zero.
    n_components_ : int
        Number of components.
    rank_ : int
        Number of singular values above the noise edge, with a margin for an error of
        one in a hundred.
    noise_variance_ : float
        Part of the noise variance of the weighted mean that comes from the views.
        The noise variance of an entry where all views are equally noisy.
    projected_noise_variance_ : float
        Noise variance of an entry of the weighted mean: that of the views and the
        spread of the samples.
    beta_T_ : float
        Signal-to-noise ratio of the views; inf without noise, NaN for one view. It
        is identified up to the convention of the theory that the spread of the
        samples has variance ``1 / (n_features + n_samples)``.
    beta_M_ : ndarray of shape (n_components,)
        Signal-to-noise ratios of the components against the spread of the samples;
        0 at or below the noise edge.
    alignments_ : ndarray of shape (3,)
        Cosines that theory expects between truth and the leading estimate over
        features, samples and views.
    lambda_ : float
        Largest singular value of the weighted mean.
    loss_curve_ : ndarray of shape (n_iter,)
        Value of the rank-one approximation after each iteration, not falling. Only
        with ``method="tensor"``.
    unfolded_components_ : ndarray of shape (n_components, n_features, n_views)
        Right singular vectors of the unfolding of the whitened views; `transform`
        projects on them. Only with ``method="unfolding"``.
    n_iter_ : int
        Iterations of ``method="tensor"``; else 1.
    n_features_in_ : int
        Size of axis 1 of the input of `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns of the flattened form, when all are strings.

    See Also
    --------
    NestedTensorPCA : The same model without clusters.
    skstruct.plotting.PhaseDiagramDisplay : What can be reached, with the data marked.

    Notes
    -----
    ``X_jk = h_k (c_j + s e_j) + noise_k`` for sample j and view k, with centre c_j of
    its cluster and white e_j. "projection" differs from the published methods: the
    tensor has, through the spread of the samples, full rank along the known part of
    the problem, which makes the view weights far easier to find than the clusters. On
    the published design its accuracy is that of known weights within 0.005.

    The score is the log-density of whole samples: of their weighted mean under the
    clusters (or components), and of the rest under the view noise. The rest does not
    depend on their number, so that the score compares numbers of clusters; it falls
    beyond the true one since what is fitted to noise does not recur.

    Cost: ``O(n_samples n_features n_views^2)`` for the Gram matrix, one more pass
    over `X`, and ``O(n_samples n_features m + m^3)`` for the spectrum, m the smaller
    of samples and features. Sums are in float64 for float32 input; `X` is read in
    blocks, so that a memory map in C order is never loaded as a whole.

    References
    ----------
    Seddik, Achab, Goulart, Debbah (2023), A nested matrix-tensor model for noisy
    multi-view clustering, arXiv:2305.19992. Lebeau, Seddik, Goulart (2024),
    Performance gaps in multi-view clustering under the nested matrix-tensor model,
    ICLR. Benaych-Georges, Nadakuditi (2012), The singular values and vectors of low
    rank perturbations of large rectangular random matrices, Journal of Multivariate
    Analysis 111.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.datasets import make_nested_tensor
    >>> from skstruct.tensor import NestedTensorClustering
    >>> data = make_nested_tensor(beta_T=1.0, beta_M=3.0, random_state=0)
    >>> clusters = NestedTensorClustering(2).fit(data.X)
    >>> agreement = np.mean(clusters.labels_ == data.labels)
    >>> bool(max(agreement, 1 - agreement) > 0.99)
    True
    >>> round(clusters.predicted_accuracy_, 2)
    1.0
    """

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

        Raises
        ------
        ValueError
            If `X` has NaN or infinite entries, is constant, does not fit `n_views`, or
            `n_components` or `n_clusters` is too large for it.
        TypeError
            If `X` is sparse.

        Warns
        -----
        UserWarning
            If no singular value rises above the noise edge, or fewer than
            `n_components` do.
        """
        self._fit_all(X)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_predict(self, X, y=None):
        """Fit, and return the clusters of the training samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, n_views)
            Or of shape (n_samples, n_features * n_views) with `n_views`.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            ``labels_``.
        """
        self._fit_all(X)
        return self.labels_

    def _fit_all(self, X):
        k = self.n_clusters
        A, spectrum, scores = self._fit(X, least_rank=max(1, k - 1))
        n, p = A.shape
        # Unshrunk: the noise of all scores is equal, as k-means supposes. Shrinkage
        # would hide a weak direction that tells clusters apart behind the noise of a
        # strong one that does not.
        self.labels_, self._centers = self._cluster(scores)
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
        _, labels, centers = min(runs, key=lambda run: run[0])
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
        """Cluster of each sample: the nearest centre among the unshrunk scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, n_views)
            In the form given to `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            On the training samples equal to ``labels_``.
        """
        E = self._coordinates(*self._read_mean(X))
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
    ascending = x[order] - x.mean()
    left = np.cumsum(ascending)[:-1]
    count = np.arange(1, n)
    # The energy that the two means explain; largest for the best cut.
    explained = left**2 / count + left**2 / (n - count)
    # Equal numbers are never separated.
    explained[np.diff(ascending) <= 0] = -np.inf
    cut = int(np.argmax(explained)) + 1
    labels = np.ones(n, dtype=np.int32)
    labels[order[:cut]] = 0
    centers = np.array([[x[labels == 0].mean()], [x[labels == 1].mean()]])
    return labels, centers


def _k_means(E, k, seed):
    found = KMeans(k, n_init=1, random_state=seed).fit(E)
    return found.inertia_, found.labels_, found.cluster_centers_.astype(np.float64)
