# SPDX-License-Identifier: BSD-3-Clause

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from ._averaging import median_of_flags
from ._base import FlagAverage


class FlagMedian(FlagAverage):
    """Median of flags: least sum of chordal distances, robust to outlying flags.

    Parameters
    ----------
    flag_type : tuple of int
        Dimensions of the nested subspaces, increasing. (k,) or k: one subspace.
    metric : {"block", "nested"}, default="block"
        Chordal distance; see :func:`flag_distance`.
    init : {"svd", "euclidean", "random"} or ndarray of shape (p, n_k), default="svd"
        Start, as in :class:`FlagMean`.
    n_init : int, default=1
        Number of starts, the further ones random; the best result is kept.
    eps : float, default=1e-6
        Distances below it are smoothed, so that weights stay finite. It is lowered
        twice by a factor of ten when the median falls on a sample.
    max_iter : int, default=500
        Largest number of sweeps.
    tol : float, default=1e-8
        Stop when a sweep moves the frame by at most this (chordal distance).
    oriented : bool, default=False
        Whether blocks are rotated towards the entrywise mean, as in
        :class:`FlagMean`.
    orthonormalize : bool, default=False
        Whether frames are orthonormalised (QR) instead of refused when they are not.
    random_state : int, RandomState instance or None, default=None
        Seed of the random starts.
    n_jobs : int, default=None
        Number of jobs over the random starts.
    verbose : int, default=0
        Whether sweeps are logged to ``logging.getLogger("skstruct.subspace")``.

    Attributes
    ----------
    frame_ : ndarray of shape (p, n_k)
        Orthonormal frame of the median.
    components_ : ndarray of shape (n_k, p)
        Its transpose.
    cost_ : float
        Weighted sum of distances.
    distances_ : ndarray of shape (n_frames,)
        Distances of the samples to the median: large for outliers.
    weights_ : ndarray of shape (n_frames,)
        Relative weights of the samples in the last sweep, with sum 1.
    flag_type_ : tuple of int
        The type.
    n_iter_ : int
        Sweeps run.
    n_features_in_ : int
        Dimension p of the ambient space.

    See Also
    --------
    FlagMean : Least squares; more precise without outliers.

    Notes
    -----
    The distance is concave in its square, so that weights ``w_j / d_j`` make the
    weighted mean problem a majoriser (iteratively reweighted least squares). One
    polar step of :class:`FlagMean` for every reweighting is enough for the cost never
    to rise, and costs one pass over the frames. A median that coincides with a sample
    is a kink of the cost: the weight of that sample holds the median there.

    References
    ----------
    Mankovich, Birdal (2023), Chordal averaging on flag manifolds and its
    applications, ICCV.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.subspace import FlagMean, FlagMedian, flag_distance
    >>> rng = np.random.default_rng(0)
    >>> center = np.eye(6)[:, :3]
    >>> frames = center + 0.01 * rng.standard_normal((50, 6, 3))
    >>> frames[:10] = rng.standard_normal((10, 6, 3))
    >>> error = {}
    >>> for Average in (FlagMean, FlagMedian):
    ...     fitted = Average((1, 3), orthonormalize=True).fit(frames)
    ...     error[Average] = flag_distance(fitted.frame_, center, (1, 3))
    >>> bool(error[FlagMedian] < error[FlagMean] / 5)
    True
    """

    _parameter_constraints = {
        **FlagAverage._parameter_constraints,
        "eps": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        flag_type,
        *,
        metric="block",
        init="svd",
        n_init=1,
        eps=1e-6,
        max_iter=500,
        tol=1e-8,
        oriented=False,
        orthonormalize=False,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.flag_type = flag_type
        self.metric = metric
        self.init = init
        self.n_init = n_init
        self.eps = eps
        self.max_iter = max_iter
        self.tol = tol
        self.oriented = oriented
        self.orthonormalize = orthonormalize
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _average(self, samples, w, start, step):
        return median_of_flags(
            samples, w, start, eps=self.eps, tol=self.tol, max_iter=self.max_iter,
            step=step,
        )  # fmt: skip

    def _store(self, samples, w, best):
        super()._store(samples, w, best)
        weights = w / np.maximum(self.distances_, self.eps)
        self.weights_ = weights / weights.sum()

    def score(self, X, y=None):
        """Minus the mean distance of flags to the median.

        Parameters
        ----------
        X : array-like of shape (n_frames, p, n_columns)
            Orthonormal frames.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            Higher is better; at most 0.
        """
        return -float(np.mean(np.sqrt(self._squared(X)[0])))
