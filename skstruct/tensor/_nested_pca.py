# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.base import _fit_context

from .._scores import gaussian_log_density
from ._nested_base import NestedTensorBase


class NestedTensorPCA(NestedTensorBase):
    """Principal components of samples that are seen in several noisy views.

    All views share the features; each is the same hidden sample times a gain of the
    view, plus noise of the view. The views are combined with the weights that give
    the clearest mean, and its components are shrunk by what theory knows about noise.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of components. "auto": as many as rise above the noise edge, at least
        one. A search by held-out `score` finds it too.
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
        Loss whose best shrinkage the singular values get, see
        :func:`skstruct.random_matrix.spike_shrink`.
    view_noise : {"diag", "homoscedastic"}, default="diag"
        "diag": every view has a noise level of its own, estimated by maximum
        likelihood of a one-factor model of the views; needs three views.
        "homoscedastic": one noise level, also used for fewer than three views and
        when the views hold no noise at all.
    n_views : int, default=None
        Number of views in the flattened form (n_samples, n_features * n_views), in
        the memory order of ``X.reshape(n_samples, n_features, n_views)``: the views
        of the first feature come first. None: `X` has three axes.
    tol : float, default=1e-8
        Relative change of the approximation at which ``method="tensor"`` stops.
    max_iter : int, default=200
        Largest number of its iterations, for each of its two starts.
    random_state : int, RandomState instance or None, default=None
        Present by scikit-learn's convention; nothing is random.

    Attributes
    ----------
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
    NestedTensorClustering : The same model with clusters.
    skstruct.random_matrix.estimate_rank : Number of components of a single matrix.

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
    >>> from skstruct.datasets import make_nested_tensor
    >>> from skstruct.tensor import NestedTensorPCA
    >>> data = make_nested_tensor(beta_T=1.0, beta_M=3.0, random_state=0)
    >>> pca = NestedTensorPCA().fit(data.X)
    >>> pca.n_components_, round(pca.beta_T_, 1), pca.beta_M_.round(1)
    (1, 1.0, array([3.2]))
    """

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

        Raises
        ------
        ValueError
            If `X` has NaN or infinite entries, is constant, does not fit `n_views`, or
            `n_components` is too large for it.
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

    def _fit_all(self, X):
        A, spectrum, _ = self._fit(X)
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
