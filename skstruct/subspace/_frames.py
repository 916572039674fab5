"""Reading orthonormal frames."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.utils.validation import check_array

_TOLERANCE = 1e-6


def as_frames(values, name, *, orthonormalize=False, flag_type=None):
    """Check a stack of frames and return it in float64.

    Parameters
    ----------
    values : ndarray of shape (N, p, k)
    name : str
        What the array is called in messages.
    orthonormalize : bool
        Whether frames are replaced by the Q factor of their QR decomposition.
    flag_type : tuple of int, optional
        Needs ``flag_type[-1]`` columns; further ones are dropped.

    Returns
    -------
    frames : ndarray of shape (N, p, n_k)
        Orthonormal to rounding.
    """
    p, k = values.shape[1:]
    if k > p:
        raise ValueError(
            f"{name} have {k} columns in dimension {p}: at most {p} columns can be "
            "orthonormal."
        )
    if flag_type is not None:
        if k < flag_type[-1]:
            raise ValueError(
                f"flag_type={flag_type} needs {flag_type[-1]} columns, but {name} "
                f"have {k}."
            )
        values = values[:, :, : flag_type[-1]]
    frames = np.ascontiguousarray(values, dtype=np.float64)
    if orthonormalize:
        Q, R = np.linalg.qr(frames)
        diagonal = np.abs(np.diagonal(R, axis1=1, axis2=2))
        flat = diagonal.min(axis=1) <= 1e-12 * diagonal.max(axis=1)
        if flat.any():
            raise ValueError(
                f"Frame {np.flatnonzero(flat)[0]} of {name} has linearly dependent "
                "columns and spans no flag of its type."
            )
        return Q
    gram = np.swapaxes(frames, 1, 2) @ frames
    error = np.abs(gram - np.eye(gram.shape[1])).max(axis=(1, 2))
    bad = np.flatnonzero(error > _TOLERANCE)
    if bad.size:
        raise ValueError(
            f"Frame {bad[0]} of {name} is not orthonormal: its Gram matrix differs "
            f"from the identity by {error[bad[0]]:.3g}, more than {_TOLERANCE}. "
            "Orthonormalise the columns, or pass orthonormalize=True to an estimator."
        )
    if error.max(initial=0.0) > 1e-14:
        # One Newton step removes the rounding of single precision: distances are
        # differences from the exact dimension.
        frames = frames @ (1.5 * np.eye(gram.shape[1]) - 0.5 * gram)
    return frames


def read_frames(values, name, flag_type=None):
    """Frames from a function argument: one (p, k) frame or a stack (N, p, k)."""
    values = check_array(
        values, allow_nd=True, dtype=[np.float64, np.float32], input_name=name
    )
    if values.ndim not in (2, 3):
        raise ValueError(
            f"{name} must be a frame of shape (p, n_k) or a stack of shape "
            f"(N, p, n_k), got an array of shape {values.shape}."
        )
    stack = values[None] if values.ndim == 2 else values
    return as_frames(stack, name, flag_type=flag_type), values.ndim == 2


def check_weights(sample_weight, n):
    """Nonnegative weights with a positive sum, float64."""
    if sample_weight is None:
        return np.ones(n)
    w = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if w.shape != (n,):
        raise ValueError(
            f"sample_weight must have one entry for each of the {n} frames, got shape "
            f"{w.shape}."
        )
    if w.min() < 0:
        raise ValueError(
            f"sample_weight must be nonnegative, got {w.min():.3g} at "
            f"{int(np.argmin(w))}."
        )
    if w.sum() == 0:
        raise ValueError("sample_weight must not be zero for all frames.")
    return w
