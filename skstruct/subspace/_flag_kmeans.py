# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from scipy.special import gammaln, logsumexp
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._base import StructEstimator, deterministic_signs
from .._flags import check_flag_type
from .._parallel import run_tasks
from ._averaging import Samples, canonical_frame, mean_of_flags, median_of_flags
from ._base import read_stack
from ._distances import chordal_levels, chordal_squared
from ._frames import check_weights


class FlagKMeans(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, StructEstimator
):
    """K-means clustering of flags, around their means or medians.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters.
    flag_type : tuple of int, default=(1,)
        Dimensions of the nested subspaces, increasing. (k,) clusters subspaces.
    centers : {"mean", "median"}, default="mean"
        Centres with the least sum of squared chordal distances or of distances; the
        median is not drawn away by outlying flags.
    n_init : int, default=10
        Number of starts (k-means++ seeding); the best is kept.
    max_iter : int, default=100
        Largest number of reassignments for each start.
    tol : float, default=1e-6
        Stop when the inertia falls by less than this fraction.
    orthonormalize : bool, default=False
        Whether frames are orthonormalised (QR) instead of refused when they are not.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts.
    n_jobs : int, default=None
        Number of jobs over the starts; the result does not depend on it.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, p, n_k)
        Frames of the centres.
    labels_ : ndarray of shape (n_frames,)
        Cluster of each flag.
    inertia_ : float
        Weighted sum of squared distances ("median": distances) to the centres.
    cluster_weights_ : ndarray of shape (n_clusters,)
        Share of the samples in each cluster.
    spread_ : float
        Standard deviation of the flags around their centre in each of the directions
        in which a flag can move ("median": mean absolute deviation).
    flag_type_ : tuple of int
        The type.
    n_iter_ : int
        Reassignments of the best start.
    n_features_in_ : int
        Dimension p of the ambient space.

    See Also
    --------
    FlagMean, FlagMedian : The centres.

    Notes
    -----
    Assignment and update in turn, with the chordal distance of blocks; an empty
    cluster restarts at the flag farthest from its centre. An iteration costs
    ``O(n_frames n_clusters p n_k^2)``.

    ``score`` is the mean log-density of held-out flags under the mixture that k-means
    stands for, isotropic around every centre: unlike the inertia it falls again when
    a cluster is split, so that a search finds the number of clusters. The density is
    that of the tangent space: curvature is ignored, as is right for clusters of small
    extent.

    References
    ----------
    Mankovich, Birdal (2023), Chordal averaging on flag manifolds and its
    applications, ICCV. Arthur, Vassilvitskii (2007), k-means++: the advantages of
    careful seeding, SODA.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.subspace import FlagKMeans
    >>> rng = np.random.default_rng(0)
    >>> frames = np.repeat(np.eye(6)[[[0, 1], [2, 3]]], 10, axis=0).swapaxes(1, 2)
    >>> frames = np.linalg.qr(frames + 0.1 * rng.standard_normal(frames.shape))[0]
    >>> FlagKMeans(2, (1, 2), random_state=0).fit(frames).labels_
    array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], dtype=int32)
    """

    _parameter_constraints = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "flag_type": [Integral, tuple, list],
        "centers": [StrOptions({"mean", "median"})],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "orthonormalize": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_clusters=8,
        flag_type=(1,),
        *,
        centers="mean",
        n_init=10,
        max_iter=100,
        tol=1e-6,
        orthonormalize=False,
        random_state=None,
        n_jobs=None,
    ):
        self.n_clusters = n_clusters
        self.flag_type = flag_type
        self.centers = centers
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.orthonormalize = orthonormalize
        self.random_state = random_state
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Cluster flags.

        Parameters
        ----------
        X : array-like of shape (n_frames, p, n_columns), or list of (p, n_j) arrays
            Orthonormal frames; columns beyond the last dimension of the type are
            ignored.
        y : None
            Ignored, present by scikit-learn's convention.
        sample_weight : array-like of shape (n_frames,), default=None
            Nonnegative weights.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        self.flag_type_ = check_flag_type(self.flag_type)
        frames, _ = read_stack(
            self, X, self.flag_type_, reset=True, orthonormalize=self.orthonormalize
        )
        n = len(frames)
        if n < self.n_clusters:
            raise ValueError(
                f"n_samples={n} should be >= n_clusters={self.n_clusters}."
            )
        w = check_weights(sample_weight, n)
        seeds = check_random_state(self.random_state).randint(2**31, size=self.n_init)
        found = run_tasks(
            self._one_start, [(frames, w, int(seed)) for seed in seeds], self.n_jobs
        )
        best = found[0]
        for other in found[1:]:
            if other[2] < best[2] - 1e-12 * (1.0 + best[2]):
                best = other
        labels, centers, inertia, n_iter, converged = best
        # Clusters are numbered by their first member.
        order = np.argsort(
            [np.flatnonzero(labels == c)[0] for c in range(self.n_clusters)]
        )
        rank = np.argsort(order)
        self.labels_ = rank[labels].astype(np.int32)
        self.cluster_centers_ = self._canonical(frames, w, centers[order])
        self.inertia_ = inertia
        self.n_iter_ = n_iter
        self._learn_density(w)
        if not converged:
            warnings.warn(
                f"FlagKMeans stopped after max_iter={self.max_iter} reassignments "
                f"while the inertia still fell by more than tol={self.tol:.3g}.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _one_start(self, frames, w, seed):
        rng = np.random.default_rng(seed)
        levels = chordal_levels(self.flag_type_, "block")
        centers = frames[_spread_seeds(frames, w, self.n_clusters, levels, rng)].copy()
        last, labels = np.inf, None
        for n_iter in range(1, self.max_iter + 1):
            loss = chordal_squared(frames, centers, levels)
            if self.centers == "median":
                loss = np.sqrt(loss)
            new = _fill_empty(loss, np.argmin(loss, axis=1))
            inertia = float(w @ loss[np.arange(len(frames)), new])
            same = labels is not None and np.array_equal(new, labels)
            labels = new
            if same or last - inertia <= self.tol * inertia:
                return labels, centers, inertia, n_iter, True
            last = inertia
            for c in range(self.n_clusters):
                rows = labels == c
                if w[rows].sum() > 0:
                    centers[c] = self._center(frames[rows], w[rows], centers[c])
        return labels, centers, inertia, self.max_iter, False

    def _center(self, frames, w, start):
        samples = Samples(frames, self.flag_type_, "block")
        # The greedy start forgets where the cluster was seeded; the old centre is a
        # better start once the clusters have settled.
        start = max((samples.start(w), start), key=lambda U: -w @ samples.squared(U))
        if self.centers == "mean":
            return mean_of_flags(samples, w, start, tol=1e-10, max_iter=100).frame
        return median_of_flags(
            samples, w, start, eps=1e-6, tol=1e-6, max_iter=100
        ).frame

    def _canonical(self, frames, w, centers):
        done = []
        for c, U in enumerate(centers):
            rows = self.labels_ == c
            samples = Samples(frames[rows], self.flag_type_, "block")
            done.append(deterministic_signs(canonical_frame(U, samples, w[rows])))
        return np.stack(done)

    def _learn_density(self, w):
        p = self.cluster_centers_.shape[1]
        widths = np.diff((0, *self.flag_type_, p))
        dim = (p * p - int(np.sum(widths**2))) // 2
        self._dim = max(dim, 1)
        counts = np.bincount(self.labels_, w, minlength=self.n_clusters)
        self.cluster_weights_ = counts / counts.sum()
        mean_loss = self.inertia_ / w.sum() / self._dim
        # Identical flags have no spread; the floor keeps densities finite.
        spread = np.sqrt(mean_loss) if self.centers == "mean" else mean_loss
        self.spread_ = max(float(spread), 1e-8)

    def _squared(self, X):
        check_is_fitted(self)
        frames, dtype = read_stack(
            self, X, self.flag_type_, reset=False, orthonormalize=self.orthonormalize
        )
        levels = chordal_levels(self.flag_type_, "block")
        return chordal_squared(frames, self.cluster_centers_, levels), dtype

    def predict(self, X):
        """Nearest centre of each flag.

        Parameters
        ----------
        X : array-like of shape (n_frames, p, n_columns)
            Orthonormal frames.

        Returns
        -------
        labels : ndarray of shape (n_frames,)
            Numbers of the clusters.
        """
        return np.argmin(self._squared(X)[0], axis=1).astype(np.int32)

    def transform(self, X):
        """Chordal distances of flags to the centres.

        Parameters
        ----------
        X : array-like of shape (n_frames, p, n_columns)
            Orthonormal frames.

        Returns
        -------
        distances : ndarray of shape (n_frames, n_clusters)
            Not squared.
        """
        squared, dtype = self._squared(X)
        return np.sqrt(squared).astype(dtype, copy=False)

    def score(self, X, y=None):
        """Mean log-density of held-out flags under the mixture of the clusters.

        Parameters
        ----------
        X : array-like of shape (n_frames, p, n_columns)
            Orthonormal frames.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            Higher is better.
        """
        squared, _ = self._squared(X)
        D, s = self._dim, self.spread_
        if self.centers == "mean":
            kernel = -squared / (2 * s**2) - D * np.log(s) - D / 2 * np.log(2 * np.pi)
        else:
            # exp(-d / s) in D dimensions: sphere area times Gamma(D) s^D.
            area = np.log(2.0) + D / 2 * np.log(np.pi) - gammaln(D / 2)
            kernel = -np.sqrt(squared) / s - area - gammaln(D) - D * np.log(s)
        with np.errstate(divide="ignore"):
            shares = np.log(self.cluster_weights_)
        return float(np.mean(logsumexp(kernel + shares, axis=1)))

    @property
    def _n_features_out(self):
        return self.cluster_centers_.shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _spread_seeds(frames, w, n_clusters, levels, rng):
    """k-means++: seeds drawn with probability proportional to the squared distance."""
    chosen = [int(rng.choice(len(frames), p=w / w.sum()))]
    nearest = chordal_squared(frames, frames[chosen], levels)[:, 0]
    for _ in range(n_clusters - 1):
        mass = w * nearest
        if mass.sum() <= 0:
            # Fewer different flags than clusters: any further seed will do.
            free = np.setdiff1d(np.arange(len(frames)), chosen)
            chosen.append(int(rng.choice(free)))
            continue
        chosen.append(int(rng.choice(len(frames), p=mass / mass.sum())))
        new = chordal_squared(frames, frames[chosen[-1:]], levels)[:, 0]
        nearest = np.minimum(nearest, new)
    return chosen


def _fill_empty(loss, labels):
    """Give every empty cluster the flag that is farthest from its own centre."""
    counts = np.bincount(labels, minlength=loss.shape[1])
    for c in np.flatnonzero(counts == 0):
        own = loss[np.arange(len(labels)), labels].copy()
        own[counts[labels] < 2] = -1.0
        far = int(np.argmax(own))
        counts[labels[far]] -= 1
        labels[far] = c
        counts[c] = 1
    return labels
