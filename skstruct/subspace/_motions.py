"""Rigid motions as flags in R^4, and back."""

# SPDX-License-Identifier: BSD-3-Clause

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import check_array

from .._flags import polar
from ._frames import read_frames

_TOLERANCE = 1e-6


@validate_params(
    {
        "motions": ["array-like"],
        "scale": [Interval(Real, 0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def se3_to_flag(motions, *, scale=20.0):
    """Turn rigid motions of space into flags of type (1, 2, 3) in R^4.

    Parameters
    ----------
    motions : array-like of shape (4, 4) or (N, 4, 4)
        Homogeneous matrices ``[[R, b], [0, 1]]`` with rotations R.
    scale : float, default=20.0
        Length, in units of the translations, that counts as much as a rotation by one
        radian; should exceed the largest translation by far, since the map flattens
        translations beyond it.

    Returns
    -------
    frames : ndarray of shape (4, 3) or (N, 4, 3)
        Orthonormal frames for :class:`FlagMean` with ``oriented=True`` and
        :class:`FlagMedian`; :func:`flag_to_se3` is the inverse.

    Raises
    ------
    ValueError
        If a matrix is no rigid motion within 1e-6.

    References
    ----------
    Mankovich, Birdal (2023), Chordal averaging on flag manifolds and its
    applications, ICCV.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.subspace import flag_to_se3, se3_to_flag
    >>> motion = np.eye(4)
    >>> motion[:3, 3] = [1.0, 2.0, 3.0]
    >>> np.allclose(flag_to_se3(se3_to_flag(motion)), motion)
    True
    """
    motions = check_array(
        motions, allow_nd=True, dtype=np.float64, input_name="motions"
    )
    if motions.ndim not in (2, 3) or motions.shape[-2:] != (4, 4):
        raise ValueError(
            f"motions must have shape (4, 4) or (N, 4, 4), got {motions.shape}."
        )
    stack = motions[None] if motions.ndim == 2 else motions
    R = stack[:, :3, :3]
    error = np.abs(np.swapaxes(R, 1, 2) @ R - np.eye(3)).max(axis=(1, 2))
    error = np.maximum(error, np.abs(stack[:, 3] - [0, 0, 0, 1]).max(axis=1))
    error = np.where(np.linalg.det(R) > 0, error, np.inf)
    bad = np.flatnonzero(error > _TOLERANCE)
    if bad.size:
        raise ValueError(
            f"Matrix {bad[0]} of motions is no rigid motion [[R, b], [0, 1]] with a "
            f"rotation R: it deviates by {error[bad[0]]:.3g}, more than {_TOLERANCE}."
        )
    M = stack.copy()
    M[:, :3, 3] /= scale
    frames = np.ascontiguousarray(polar(M)[:, :, :3])
    return frames[0] if motions.ndim == 2 else frames


@validate_params(
    {
        "frames": ["array-like"],
        "scale": [Interval(Real, 0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def flag_to_se3(frames, *, scale=20.0):
    """Turn frames of type (1, 2, 3) in R^4 into rigid motions.

    Parameters
    ----------
    frames : array-like of shape (4, 3) or (N, 4, 3)
        Orthonormal frames with meaningful signs of their columns, as from
        :class:`FlagMean` with ``oriented=True``.
    scale : float, default=20.0
        The same as in :func:`se3_to_flag`.

    Returns
    -------
    motions : ndarray of shape (4, 4) or (N, 4, 4)
        Homogeneous matrices.

    Raises
    ------
    ValueError
        If a frame is not orthonormal, or is not the image of a motion because its
        translation would be infinite.

    Notes
    -----
    Exact on the image of :func:`se3_to_flag`, in closed form. A frame off that image,
    such as an average, is completed to a rotation of R^4, and its rotation of space
    is projected to the nearest one.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.subspace import FlagMean, flag_to_se3, se3_to_flag
    >>> motions = np.tile(np.eye(4), (5, 1, 1))
    >>> motions[:, 0, 3] = [0.8, 0.9, 1.0, 1.1, 1.2]
    >>> mean = FlagMean((1, 2, 3), oriented=True).fit(se3_to_flag(motions))
    >>> np.round(flag_to_se3(mean.frame_)[:3, 3], 3) + 0.0
    array([1., 0., 0.])
    """
    stack, single = read_frames(frames, "frames")
    if stack.shape[1:] != (4, 3):
        raise ValueError(
            f"frames must have shape (4, 3) or (N, 4, 3), got {stack.shape[1:]}."
        )
    # The signed complement: generalised cross product of the three columns.
    last = np.empty((len(stack), 4))
    for i in range(4):
        minor = np.linalg.det(np.delete(stack, i, axis=1))
        last[:, i] = minor if i % 2 else -minor
    corner = last[:, 3]
    bad = np.flatnonzero(corner <= 1e-8)
    if bad.size:
        raise ValueError(
            f"Frame {bad[0]} of frames is not the image of a rigid motion: the last "
            f"entry of its complement is {corner[bad[0]]:.3g} and must be positive. "
            "Orient the columns (FlagMean with oriented=True)."
        )
    # M = [[R, c], [0, 1]] = Q H with H symmetric gives c = 2 q / Q_44.
    c = 2.0 * last[:, :3] / corner[:, None]
    size2 = np.einsum("ni,ni->n", c, c)
    shrink = 2.0 / np.sqrt(4.0 + size2)
    # Q[:3, :3] = (s n n' + I - n n') R with n = c / |c|.
    outer = c[:, :, None] * c[:, None, :] / np.maximum(size2, 1e-300)[:, None, None]
    inverse = np.eye(3) + (1.0 / shrink - 1.0)[:, None, None] * outer
    motions = np.zeros((len(stack), 4, 4))
    R = polar(inverse @ stack[:, :3, :])
    motions[:, :3, :3] = R
    motions[:, :3, 3] = scale * c
    motions[:, 3, 3] = 1.0
    return motions[0] if single else motions
