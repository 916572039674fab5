# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.utils import Bunch, check_array

from .._validation import FLOAT_DTYPES
from ._ss_nmf import StructuredSparseNMF


def unmix(cube, n_components, *, mask=None, method="normalize", **params):
    """Unmix a hyperspectral data cube.

    Scales the cube to [0, 1] by its maximum, fits :class:`StructuredSparseNMF` with
    the graph of neighbouring pixels, and brings the result back into image shape.

    Parameters
    ----------
    cube : array-like of shape (rows, columns, bands)
        Non-negative values in any unit; NaN where a value is missing.
    n_components : int
        Number of endmembers.
    mask : array-like of bool of shape (rows, columns), default=None
        True where a pixel takes part. None: everywhere. A pixel without any value
        (all NaN) does not in any case.
    method : {"normalize", "calibrate", "fcls"}, default="normalize"
        How abundances are made to sum to one; see
        :meth:`StructuredSparseNMF.abundances`.
    **params
        Further parameters of :class:`StructuredSparseNMF`.

    Returns
    -------
    result : Bunch
        ``abundances`` (rows, columns, n_components), NaN outside the mask;
        ``endmembers`` (n_components, bands), in the units of the cube up to the
        length that `method` leaves open; ``estimator``, fitted on the scaled pixels;
        ``scale``, the number the cube was divided by.

    Raises
    ------
    ValueError
        If the cube is not three-dimensional, is negative or has no positive entry, or
        the mask has another shape.

    Examples
    --------
    >>> from skstruct.datasets import make_hyperspectral_scene
    >>> from skstruct.decomposition import unmix
    >>> scene = make_hyperspectral_scene(random_state=0)
    >>> cube = scene.X.reshape(*scene.image_shape, -1)
    >>> unmix(cube, 4, random_state=0).abundances.shape
    (40, 40, 4)
    """
    cube = check_array(
        cube,
        dtype=list(FLOAT_DTYPES),
        allow_nd=True,
        ensure_all_finite="allow-nan",
        input_name="cube",
    )
    if cube.ndim != 3:
        raise ValueError(
            f"cube must have shape (rows, columns, bands), got {cube.ndim} dimensions."
        )
    shape = cube.shape[:2]
    if mask is None:
        inside = np.ones(shape, dtype=bool)
    else:
        inside = np.array(mask)
        if inside.shape != shape or inside.dtype != bool:
            raise ValueError(
                f"mask must be boolean of shape {shape}, got {inside.dtype} of shape "
                f"{inside.shape}."
            )
    inside &= ~np.isnan(cube).all(axis=2)
    if not inside.any():
        raise ValueError("mask leaves no pixel that has a value.")
    X = np.ascontiguousarray(cube[inside])
    scale = float(np.nanmax(X))
    if not scale > 0:
        raise ValueError("cube has no positive entry inside the mask.")
    X = X / X.dtype.type(scale)
    estimator = StructuredSparseNMF(
        n_components, image_shape=shape, mask=None if inside.all() else inside, **params
    ).fit(X)
    A, M = estimator.abundances(
        X if method == "fcls" else None, method=method, return_endmembers=True
    )
    maps = np.full((*shape, A.shape[1]), np.nan, dtype=A.dtype)
    maps[inside] = A
    return Bunch(
        abundances=maps,
        endmembers=M * M.dtype.type(scale),
        estimator=estimator,
        scale=scale,
    )
