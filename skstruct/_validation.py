"""Checks that several families share, with messages that name the bound."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

FLOAT_DTYPES = (np.float64, np.float32)

# Above it squares of deviations could overflow.
_LARGEST_VALUE = np.float64(1e100)


def check_at_most(value, limit, name, limit_text):
    """Raise unless ``value <= limit``.

    Parameters
    ----------
    value, limit : numbers
    name : str
        Name of the constructor parameter.
    limit_text : str
        Where the bound comes from, such as ``"min(n_samples, n_features)"``.
    """
    if value > limit:
        raise ValueError(f"{name}={value} must be at most {limit_text}={limit}.")
    return value


def validate_three_way(estimator, X, *, reset, axis_names, **check_params):
    """Validate a 3-d array against the estimator's fitted shape.

    Parameters
    ----------
    estimator : estimator instance
        Gets ``n_features_in_`` (axis 1) and ``_third_axis_in`` (axis 2) when `reset`.
    X : array-like of shape (n, p, m)
    reset : bool
        Whether this is the array of ``fit``.
    axis_names : tuple of 3 str
        Used in messages, such as ``("samples", "features", "views")``.
    **check_params
        Further arguments of :func:`sklearn.utils.check_array`.
    """
    check_params.setdefault("dtype", list(FLOAT_DTYPES))
    X = validate_data(estimator, X, reset=reset, allow_nd=True, **check_params)
    if X.ndim != 3:
        raise ValueError(
            f"Expected 3D array of shape ({', '.join('n_' + a for a in axis_names)}), "
            f"got {X.ndim}D array of shape {X.shape} instead."
        )
    if reset:
        estimator._third_axis_in = X.shape[2]
    elif X.shape[2] != estimator._third_axis_in:
        raise ValueError(
            f"X has {X.shape[2]} {axis_names[2]}, but {type(estimator).__name__} was "
            f"fitted with {estimator._third_axis_in}."
        )
    return X


def validate_two_views(estimator, X, y, *, reset, min_samples=2, **check_params):
    """Validate a pair of views with equal numbers of rows; a 1-d `y` is one column.

    Parameters
    ----------
    estimator : estimator instance
        Gets ``n_features_in_`` of `X` when `reset`; the caller stores y's width.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
    reset : bool
    min_samples : int, default=2
    **check_params
        Further arguments of :func:`sklearn.utils.check_array` for both.
    """
    check_params.setdefault("dtype", list(FLOAT_DTYPES))
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None: y is the second view."
        )
    X = validate_data(
        estimator, X, reset=reset, ensure_min_samples=min_samples, **check_params
    )
    y = check_array(y, ensure_2d=False, input_name="y", **check_params)
    check_consistent_length(X, y)
    return X, y.reshape(-1, 1) if y.ndim == 1 else y


def check_magnitude(X, name="X"):
    """Refuse finite values whose squares would not be finite."""
    # Two reductions pass over X without a temporary array; NaN is let through.
    if X.size == 0:
        return X
    largest = max(np.fmax.reduce(X, None), -np.fmin.reduce(X, None))
    if largest <= _LARGEST_VALUE:
        return X
    with np.errstate(invalid="ignore"):
        too_large = np.abs(X) > _LARGEST_VALUE
    if too_large.any():
        row, column = np.argwhere(np.atleast_2d(too_large))[0]
        value = np.atleast_2d(X)[row, column]
        raise ValueError(
            f"{name} has the value {value:g} in row {row}, column {column}; absolute "
            f"values must be at most {_LARGEST_VALUE:g}, or their squares overflow."
        )
    return X
