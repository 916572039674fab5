"""What the averages of flags share: reading frames, distances to the average."""

# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._base import StructEstimator, deterministic_signs
from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._flags import check_flag_type
from .._parallel import run_tasks
from .._validation import FLOAT_DTYPES
from ._averaging import Samples, canonical_frame, oriented_frame, start_frame
from ._distances import chordal_levels, chordal_squared
from ._frames import as_frames, check_weights


def read_stack(estimator, X, flag_type, *, reset, orthonormalize=False):
    """Validate a stack of frames; a list may hold frames of different widths.

    Returns
    -------
    frames : ndarray of float64 of shape (N, p, n_k)
    dtype : float dtype of the input, for results
    """
    if isinstance(X, (list, tuple)) and len({np.shape(f)[1:] for f in X}) > 1:
        X = _cut(X, flag_type[-1])
    X = validate_data(
        estimator, X, reset=reset, allow_nd=True, dtype=list(FLOAT_DTYPES)
    )
    if X.ndim != 3:
        raise ValueError(
            "Expected 3D array of shape (n_frames, n_features, n_columns), got "
            f"{X.ndim}D array of shape {X.shape} instead."
        )
    frames = as_frames(X, "X", orthonormalize=orthonormalize, flag_type=flag_type)
    return frames, X.dtype


def _cut(frames, width):
    for i, frame in enumerate(frames):
        shape = np.shape(frame)
        if len(shape) != 2 or shape[1] < width or shape[0] != np.shape(frames[0])[0]:
            raise ValueError(
                f"Frame {i} of X has shape {shape}; every frame needs "
                f"{np.shape(frames[0])[0]} rows and at least {width} columns."
            )
    return np.stack([np.asarray(frame)[:, :width] for frame in frames])


class FlagAverage(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    CallbackSupportMixin,
    StructEstimator,
):
    """A flag that is central for a sample of flags, and distances to it."""

    _parameter_constraints = {
        "flag_type": [Integral, tuple, list],
        "metric": [StrOptions({"block", "nested"})],
        "init": [StrOptions({"svd", "euclidean", "random"}), np.ndarray],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "oriented": ["boolean"],
        "orthonormalize": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Find the average of flags.

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
        flag_type = check_flag_type(self.flag_type)
        frames, _ = read_stack(
            self, X, flag_type, reset=True, orthonormalize=self.orthonormalize
        )
        w = check_weights(sample_weight, len(frames))
        self.flag_type_ = flag_type
        samples = Samples(frames, flag_type, self.metric)
        best = self._best_of_starts(samples, w)
        self._store(samples, w, best)
        return self

    def _best_of_starts(self, samples, w):
        rng = check_random_state(self.random_state)
        init = self.init
        if not isinstance(init, str):
            init = self._given_start(samples)
        first = start_frame(samples, w, init, rng)
        others = [
            start_frame(samples, w, "random", rng) for _ in range(self.n_init - 1)
        ]
        with fit_callbacks(self, X=samples.frames, max_iter=self.max_iter) as step:
            found = [self._average(samples, w, first, step)]
        if others:
            found += run_tasks(
                self._average, [(samples, w, U, None) for U in others], self.n_jobs
            )
        # Starts that end in the same place differ by rounding: the first one wins.
        best = found[0]
        for other in found[1:]:
            if other.cost < best.cost - 1e-12 * (1.0 + abs(best.cost)):
                best = other
        return best

    def _given_start(self, samples):
        _, p, k = samples.shape
        if self.init.shape != (p, k):
            raise ValueError(
                f"init must be a frame of shape {(p, k)}, got shape {self.init.shape}."
            )
        return as_frames(self.init[None].astype(np.float64), "init")[0]

    def _store(self, samples, w, best):
        if self.oriented:
            U = oriented_frame(best.frame, samples, w)
        else:
            U = deterministic_signs(
                canonical_frame(best.frame, samples, w, best.products)
            )
        self.frame_ = np.ascontiguousarray(U)
        self.components_ = np.ascontiguousarray(U.T)
        self.cost_ = best.cost
        self.n_iter_ = best.n_iter
        # Rotations inside a block leave distances as they are.
        self.distances_ = np.sqrt(best.squared)
        if not best.converged:
            warnings.warn(
                f"{type(self).__name__} stopped after max_iter={self.max_iter} "
                f"iterations before tol={self.tol:.3g} was reached; the cost is "
                f"{best.cost:.6g}. Increase max_iter or tol.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _squared(self, X):
        check_is_fitted(self)
        frames, dtype = read_stack(
            self, X, self.flag_type_, reset=False, orthonormalize=self.orthonormalize
        )
        levels = chordal_levels(self.flag_type_, self.metric)
        return chordal_squared(frames, self.frame_[None], levels), dtype

    def transform(self, X):
        """Distances of flags to the average.

        Parameters
        ----------
        X : array-like of shape (n_frames, p, n_columns)
            Orthonormal frames.

        Returns
        -------
        distances : ndarray of shape (n_frames, 1)
            In the metric of the estimator, not squared.
        """
        squared, dtype = self._squared(X)
        return np.sqrt(squared).astype(dtype, copy=False)

    @property
    def _n_features_out(self):
        return 1

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
