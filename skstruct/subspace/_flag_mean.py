# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._averaging import mean_of_flags
from ._base import FlagAverage


class FlagMean(FlagAverage):
    """Mean of flags: least sum of squared chordal distances.

    A flag is a chain of nested subspaces, such as the leading principal directions
    of a data set. Averaging the loadings entry by entry fails, since signs and
    rotations inside a block of the frame carry no meaning; the mean of flags does not
    depend on them.

    Parameters
    ----------
    flag_type : tuple of int
        Dimensions of the nested subspaces, increasing: (1, 3) is a line inside a
        3-dimensional subspace. (k,) or k averages k-dimensional subspaces.
    metric : {"block", "nested"}, default="block"
        Chordal distance: "block" compares the directions that each subspace adds,
        "nested" the subspaces themselves. See :func:`flag_distance`.
    init : {"svd", "euclidean", "random"} or ndarray of shape (p, n_k), default="svd"
        Start. "svd": block by block the leading directions not yet taken; it depends
        on the flags alone. "euclidean": entrywise mean of the frames after their
        blocks are rotated to agree with the first one.
    n_init : int, default=1
        Number of starts, the further ones random; the best result is kept. The
        problem has local optima when the flags are widely spread.
    max_iter : int, default=500
        Largest number of sweeps; 2 to 20 are usual.
    tol : float, default=1e-12
        Stop when the guaranteed improvement of a sweep, relative to the objective, is
        at most this.
    oriented : bool, default=False
        Whether every block of the result is rotated towards the entrywise mean of
        the samples (a block of one column: its sign). Of use when the columns have a
        direction, as in averages of motions.
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
        Orthonormal frame of the mean; the first columns span the first subspace.
        Blocks are rotated to the axes of the samples inside them, largest first.
    components_ : ndarray of shape (n_k, p)
        Its transpose, the layout of :class:`sklearn.decomposition.PCA`.
    cost_ : float
        Weighted sum of squared distances.
    distances_ : ndarray of shape (n_frames,)
        Distances of the samples to the mean.
    flag_type_ : tuple of int
        The type.
    n_iter_ : int
        Sweeps run.
    n_features_in_ : int
        Dimension p of the ambient space.

    See Also
    --------
    FlagMedian : Not drawn away by outlying flags.
    SubspaceMean : Subspaces of different dimensions.
    flag_distance : The distances.

    Notes
    -----
    Minimising ``sum_j w_j d(U, F_j)^2`` is maximising ``sum_i tr(U_i' P_i U_i)`` with
    ``P_i = sum_j w_j F_ji F_ji'`` over orthonormal U. This is a sum of convex
    quadratic forms, bounded from below by its linearisation, whose maximiser is the
    polar factor of ``[P_1 U_1, ..., P_k U_k]``: every sweep is one polar decomposition
    and never lowers the objective. Safeguarded momentum speeds up slow cases. The
    result is a stationary point; with one subspace in the type it is the global
    optimum. A sweep costs ``O(n_frames p n_k^2)``, and no p x p matrix is formed when
    p is large.

    References
    ----------
    Mankovich, Birdal (2023), Chordal averaging on flag manifolds and its
    applications, ICCV. Bolla, Michaletzky, Tusnady, Ziermann (1998), Extrema of sums
    of heterogeneous quadratic forms, Linear Algebra and its Applications.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.subspace import FlagMean, flag_distance
    >>> rng = np.random.default_rng(0)
    >>> center = np.eye(6)[:, :3]
    >>> noisy = center + 0.1 * rng.standard_normal((50, 6, 3))
    >>> mean = FlagMean((1, 3), orthonormalize=True).fit(noisy)
    >>> bool(flag_distance(mean.frame_, center, (1, 3)) < 0.1)
    True
    """

    def __init__(
        self,
        flag_type,
        *,
        metric="block",
        init="svd",
        n_init=1,
        max_iter=500,
        tol=1e-12,
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
        self.max_iter = max_iter
        self.tol = tol
        self.oriented = oriented
        self.orthonormalize = orthonormalize
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _average(self, samples, w, start, step):
        return mean_of_flags(
            samples, w, start, tol=self.tol, max_iter=self.max_iter, step=step
        )

    def score(self, X, y=None):
        """Minus the mean squared distance of flags to the mean.

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
        return -float(np.mean(self._squared(X)[0]))
