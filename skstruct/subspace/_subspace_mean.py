# SPDX-License-Identifier: BSD-3-Clause

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
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .._base import StructEstimator, deterministic_signs
from .._validation import FLOAT_DTYPES, check_at_most
from ._frames import as_frames, check_weights


class SubspaceMean(ClassNamePrefixFeaturesOutMixin, TransformerMixin, StructEstimator):
    """Mean or median of subspaces that may have different dimensions.

    Parameters
    ----------
    n_components : int, default=None
        Dimension of the average. None: the dimension for which the cost is least,
        among all dimensions.
    loss : {"l2", "l1"}, default="l2"
        Sum of squared projection distances (the mean) or of distances (the median,
        robust to outlying subspaces).
    orthonormalize : bool, default=False
        Whether frames are orthonormalised (QR) instead of refused when they are not.
    eps : float, default=1e-6
        Distances below it are smoothed; only with "l1".
    max_iter : int, default=100
        Largest number of reweightings; only with "l1".
    tol : float, default=1e-6
        Stop when the projection distance between successive averages is at most
        this; only with "l1".

    Attributes
    ----------
    frame_ : ndarray of shape (p, n_components)
        Orthonormal basis, directions shared by most samples first.
    components_ : ndarray of shape (n_components, p)
        Its transpose.
    n_components_ : int
        Dimension of the average.
    eigenvalues_ : ndarray of shape (min(p, total columns),)
        Eigenvalues of the (re)weighted mean of the projectors, descending, in [0, 1]:
        the share of the samples that contain a direction.
    cost_ : float
        Weighted sum of squared distances ("l2") or of distances ("l1").
    distances_ : ndarray of shape (n_frames,)
        Projection distances of the samples to the average.
    weights_ : ndarray of shape (n_frames,)
        Relative weights of the samples, with sum 1.
    n_iter_ : int
        Reweightings run; 1 for "l2".
    n_features_in_ : int
        Dimension p of the ambient space.

    See Also
    --------
    FlagMean : Chains of nested subspaces of one type.

    Notes
    -----
    With the mean projector ``P = sum_j w_j F_j F_j' / sum_j w_j`` and its eigenvalues
    ``kappa_i``, the mean squared projection distance of the best s-dimensional
    subspace is ``const + s / 2 - sum_(i <= s) kappa_i``: the leading eigenvectors, and
    as dimension the number of eigenvalues above one half (order-fitting rule). "l1"
    reweights by inverse distances and solves each problem exactly, dimension
    included, so the cost never rises. Cost: an eigenvalue problem of the smaller of p
    and the total number of columns.

    References
    ----------
    Santamaria, Scharf, Peterson, Kirby, Francos (2016), An order fitting rule for
    optimal subspace averaging, SSP. Marrinan, Beveridge, Draper, Kirby, Peterson
    (2014), Finding the subspace mean or median to fit your need, CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.subspace import SubspaceMean
    >>> rng = np.random.default_rng(0)
    >>> common = np.linalg.qr(rng.standard_normal((10, 2)))[0]
    >>> frames = []
    >>> for i in range(20):
    ...     extra = rng.standard_normal((10, i % 3))
    ...     frames.append(np.linalg.qr(np.hstack([common, extra]))[0])
    >>> mean = SubspaceMean().fit(frames)
    >>> mean.n_components_
    2
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "loss": [StrOptions({"l1", "l2"})],
        "orthonormalize": ["boolean"],
        "eps": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_components=None,
        *,
        loss="l2",
        orthonormalize=False,
        eps=1e-6,
        max_iter=100,
        tol=1e-6,
    ):
        self.n_components = n_components
        self.loss = loss
        self.orthonormalize = orthonormalize
        self.eps = eps
        self.max_iter = max_iter
        self.tol = tol

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Average subspaces.

        Parameters
        ----------
        X : array-like of shape (n_frames, p, d), or list of arrays of shape (p, d_j)
            Orthonormal frames; the list may mix dimensions.
        y : None
            Ignored, present by scikit-learn's convention.
        sample_weight : array-like of shape (n_frames,), default=None
            Nonnegative weights.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        columns, owner, _ = self._read(X, reset=True)
        n = owner[-1] + 1
        w = check_weights(sample_weight, n)
        self._fit(columns, owner, w)
        return self

    def _read(self, X, *, reset):
        """All columns side by side (p, D), and the frame that each belongs to."""
        if isinstance(X, (list, tuple)) and X and any(np.ndim(f) == 2 for f in X):
            frames, dtype = self._read_list(X, reset=reset)
        else:
            X = validate_data(
                self, X, reset=reset, allow_nd=True, dtype=list(FLOAT_DTYPES)
            )
            if X.ndim != 3:
                raise ValueError(
                    "Expected 3D array of shape (n_frames, n_features, n_columns) or "
                    f"a list of 2D arrays, got {X.ndim}D array of shape {X.shape} "
                    "instead."
                )
            frames = as_frames(X, "X", orthonormalize=self.orthonormalize)
            dtype = X.dtype
        widths = [frame.shape[1] for frame in frames]
        owner = np.repeat(np.arange(len(frames)), widths)
        return np.concatenate(list(frames), axis=1), owner, dtype

    def _read_list(self, X, *, reset):
        frames = []
        for i, frame in enumerate(X):
            if sparse.issparse(frame):
                raise TypeError(f"Frame {i} of X is sparse; frames must be dense.")
            frame = check_array(
                frame, dtype=list(FLOAT_DTYPES), input_name=f"frame {i} of X"
            )
            p = frames[0].shape[0] if frames else frame.shape[0]
            if frame.shape[0] != p:
                raise ValueError(
                    f"Frame {i} of X lies in dimension {frame.shape[0]}, the frames "
                    f"before it in dimension {p}."
                )
            frames.append(frame)
        p = frames[0].shape[0]
        if reset:
            self.n_features_in_ = p
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        elif p != self.n_features_in_:
            raise ValueError(
                f"X has {p} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        dtype = np.result_type(*frames)
        # Frames of one width are checked in one batch.
        done = [None] * len(frames)
        widths = np.array([frame.shape[1] for frame in frames])
        for width in np.unique(widths):
            index = np.flatnonzero(widths == width)
            stack = np.stack([frames[i] for i in index])
            try:
                stack = as_frames(stack, "X", orthonormalize=self.orthonormalize)
            except ValueError as error:
                raise ValueError(_renumber(str(error), index)) from None
            for i, frame in zip(index, stack):
                done[i] = frame
        return done, dtype

    def _fit(self, columns, owner, w):
        p = columns.shape[0]
        if self.n_components is not None:
            check_at_most(self.n_components, p, "n_components", "n_features")
        share, self.n_iter_, U = w / w.sum(), 0, None
        while True:
            last = U
            self.eigenvalues_, U = self._average(columns, owner, share)
            squared = _squared_distances(columns, owner, U)
            self.n_iter_ += 1
            if self.loss == "l2":
                break
            if last is not None and _same_span(last, U) <= self.tol:
                break
            if self.n_iter_ >= self.max_iter:
                warnings.warn(
                    f"SubspaceMean stopped after max_iter={self.max_iter} "
                    f"reweightings with a step above tol={self.tol:.3g}. Increase "
                    "max_iter or tol.",
                    ConvergenceWarning,
                    stacklevel=4,
                )
                break
            share = w / np.maximum(np.sqrt(squared), self.eps)
            share /= share.sum()
        self.weights_ = share
        self.distances_ = np.sqrt(squared)
        loss = squared if self.loss == "l2" else self.distances_
        self.cost_ = float(w @ loss)
        self.frame_ = np.ascontiguousarray(deterministic_signs(U))
        self.components_ = np.ascontiguousarray(self.frame_.T)
        self.n_components_ = U.shape[1]

    def _average(self, columns, owner, share):
        p, total = columns.shape
        A = columns * np.sqrt(share[owner])
        if p <= total:
            values, vectors = np.linalg.eigh(A @ A.T)
            values, vectors = values[::-1], vectors[:, ::-1]
        else:
            vectors, s, _ = np.linalg.svd(A, full_matrices=False)
            values = s**2
        values = np.clip(values, 0.0, 1.0)
        size = self.n_components
        if size is None:
            size = int(np.sum(values > 0.5))
            if size == 0:
                warnings.warn(
                    "No direction is shared by half of the subspaces (largest "
                    f"eigenvalue {values[0]:.3g}): the best average has dimension 0. "
                    "The most shared direction is returned.",
                    UserWarning,
                    stacklevel=5,
                )
                size = 1
        check_at_most(size, vectors.shape[1], "n_components", "total columns of X")
        return values, vectors[:, :size]

    def transform(self, X):
        """Projection distances of subspaces to the average.

        Parameters
        ----------
        X : array-like of shape (n_frames, p, d), or list of arrays of shape (p, d_j)
            Orthonormal frames.

        Returns
        -------
        distances : ndarray of shape (n_frames, 1)
            Roots of ``||P_U - P_j||_F^2 / 2``.
        """
        check_is_fitted(self)
        columns, owner, dtype = self._read(X, reset=False)
        distances = np.sqrt(_squared_distances(columns, owner, self.frame_))
        return distances[:, None].astype(dtype, copy=False)

    def score(self, X, y=None):
        """Minus the mean squared distance ("l1": distance) of held-out subspaces.

        It is not monotone in the dimension: a direction that fewer than half of the
        held-out subspaces share lowers it.

        Parameters
        ----------
        X : array-like of shape (n_frames, p, d), or list of arrays of shape (p, d_j)
            Orthonormal frames.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            Higher is better; at most 0.
        """
        check_is_fitted(self)
        columns, owner, _ = self._read(X, reset=False)
        squared = _squared_distances(columns, owner, self.frame_)
        return -float(np.mean(squared if self.loss == "l2" else np.sqrt(squared)))

    @property
    def _n_features_out(self):
        return 1

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _squared_distances(columns, owner, U):
    """``||P_U - P_j||^2 / 2``; residuals rather than differences of squares."""
    n, s = owner[-1] + 1, U.shape[1]
    B = U.T @ columns
    residual = np.sum((columns - U @ B) ** 2, axis=0)
    width = np.bincount(owner, minlength=n)
    lost = np.bincount(owner, residual, minlength=n)
    # (s + d) / 2 - (d - lost), never below the gap of the dimensions.
    return np.maximum(lost + (s - width) / 2.0, np.abs(s - width) / 2.0)


def _same_span(U, V):
    if U.shape[1] != V.shape[1]:
        return np.inf
    return np.linalg.norm(U - V @ (V.T @ U))


def _renumber(message, index):
    """The message of a batch, with the position in the caller's list."""
    words = message.split(" ")
    words[1] = str(index[int(words[1])]) if words[0] == "Frame" else words[1]
    return " ".join(words)
