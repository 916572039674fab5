"""Checks of the data that the causal estimators share."""

# SPDX-License-Identifier: BSD-3-Clause

import warnings

import numpy as np

# Least variance of a combination of standardised columns.
_LEAST_SHARE = 1e-9


def column_label(names, column):
    """'column 3' or 'column 3 (name)'."""
    return f"column {column}" + (f" ({names[column]})" if names is not None else "")


def check_columns(X, *, min_samples, names=None):
    """Raise for too few rows, constant columns and collinear columns, named."""
    n = len(X)
    if n < min_samples:
        raise ValueError(
            f"Cumulants of {X.shape[1]} columns need at least {min_samples} samples, "
            f"got n_samples={n}."
        )
    centred = X - X.mean(axis=0)
    sd = np.sqrt(np.mean(centred**2, axis=0))
    # Rounding leaves a constant column a tiny deviation from its mean.
    constant = sd <= 1e-12 * np.maximum(np.abs(X).max(axis=0), 1e-300)
    if constant.any():
        raise ValueError(
            f"X: {column_label(names, int(np.argmax(constant)))} is constant and can "
            "neither be cause nor effect; drop it."
        )
    R = np.corrcoef(centred, rowvar=False)
    R[np.diag_indices_from(R)] = 0.0
    i, j = np.unravel_index(np.argmax(np.abs(R)), R.shape)
    if abs(R[i, j]) > 1 - 1e-8:
        i, j = sorted((int(i), int(j)))
        raise ValueError(
            f"X: {column_label(names, i)} and {column_label(names, j)} are collinear, "
            f"|correlation| = {abs(R[i, j]):.10f} above 1 - 1e-8; drop one of them."
        )
    R[np.diag_indices_from(R)] = 1.0
    values, vectors = np.linalg.eigh(R)
    if values[0] < _LEAST_SHARE:
        parts = np.flatnonzero(np.abs(vectors[:, 0]) > 0.01)
        raise ValueError(
            f"{_listed(names, parts)} of X are linearly dependent: a combination of "
            f"them has {max(values[0], 0.0):.1g} of the variance of one, below "
            f"{_LEAST_SHARE:g}; drop one of them."
        )


def warn_columns(X, *, names=None):
    """Warn of discrete and of nearly Gaussian columns."""
    n = len(X)
    discrete = [
        j for j in range(X.shape[1]) if np.array_equal(X[:, j], np.rint(X[:, j]))
    ]
    if discrete:
        warnings.warn(
            f"{_listed(names, discrete)} hold integers only: the model is linear with "
            "continuous noise, and p-values and directions of counts and categories "
            "are not to be trusted.",
            UserWarning,
            stacklevel=3,
        )
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    skew, kurtosis = np.mean(Z**3, axis=0), np.mean(Z**4, axis=0) - 3
    gaussian = (np.abs(skew) < 2 * np.sqrt(6 / n)) & (
        np.abs(kurtosis) < 2 * np.sqrt(24 / n)
    )
    if gaussian.any():
        warnings.warn(
            f"{_listed(names, np.flatnonzero(gaussian))} look Gaussian (skewness and "
            "excess kurtosis within two standard errors of zero): directions of their "
            "edges and latents among them cannot be told from cumulants.",
            UserWarning,
            stacklevel=3,
        )


def _listed(names, columns):
    shown = [column_label(names, int(j)) for j in columns[:6]]
    more = f" and {len(columns) - 6} more" if len(columns) > 6 else ""
    text = ", ".join(shown) + more
    return text[0].upper() + text[1:]
