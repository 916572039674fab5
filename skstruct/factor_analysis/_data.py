"""From an input table to second moments on the correlation scale."""

# SPDX-License-Identifier: BSD-3-Clause

import warnings
from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.utils.validation import validate_data

from .._validation import FLOAT_DTYPES
from ._cliques import check_correlation
from ._missing import Incomplete, read_incomplete
from ._moments import Moments

# Correlation matrices of more variables are not kept.
MAX_DENSE = 3000


class Table(NamedTuple):
    """What a fit knows of its data."""

    moments: Moments  # of the standardised variables
    mean: np.ndarray
    scale: np.ndarray
    n: float
    X: np.ndarray | None  # validated rows, None for a matrix as input
    incomplete: Incomplete | None = None  # with full information


def read_table(estimator, X, n_samples):
    """Validate the input of ``fit`` and reduce it to second moments.

    Sets ``n_features_in_`` and ``feature_names_in_`` of the estimator.
    """
    missing = getattr(estimator, "missing", "error")
    corr = estimator.corr
    if isinstance(corr, str) and corr == "precomputed":
        return _read_matrix(estimator, X, n_samples)
    X = validate_data(
        estimator,
        X,
        dtype=list(FLOAT_DTYPES),
        ensure_min_samples=3,
        ensure_min_features=2,
        ensure_all_finite=True if missing == "error" else "allow-nan",
    )
    names = getattr(estimator, "feature_names_in_", None)
    # Least squares works with the unbiased covariance matrix, likelihood with the
    # maximum likelihood one.
    ddof = 1 if getattr(estimator, "method", "ml") == "uls" else 0
    rows = X.astype(np.float64)
    holes = np.isnan(rows)
    if missing == "listwise" and holes.any():
        rows = rows[~holes.any(axis=1)]
        if len(rows) < 3:
            raise ValueError(
                f"missing='listwise' leaves {len(rows)} complete rows of {len(X)}; at "
                "least 3 are needed."
            )
        holes = np.isnan(rows)
    empty = holes.all(axis=0)
    if empty.any():
        j = _quoted(int(np.argmax(empty)), names)
        raise ValueError(f"Column {j} has no observed entry.")
    if missing == "fiml" and holes.any():
        check_not_constant(np.nanstd(rows, axis=0), np.nanmean(rows, axis=0), names)
        rows, mean, scale, R, incomplete = read_incomplete(rows)
        return Table(Moments(_repaired(R)), mean, scale, len(rows), rows, incomplete)
    if missing == "pairwise" and holes.any():
        return _pairwise(rows, holes, names, ddof)
    n = len(rows)
    mean = rows.mean(axis=0)
    rows = rows - mean
    scale = np.sqrt(np.einsum("ij,ij->j", rows, rows) / (n - ddof))
    check_not_constant(scale, mean, names)
    Z = rows / (scale * np.sqrt(n - ddof))
    if corr == "spearman":
        ranks = stats.rankdata(rows, axis=0)
        ranks -= ranks.mean(axis=0)
        Z = ranks / np.linalg.norm(ranks, axis=0)
    elif callable(corr):
        R = check_correlation(np.asarray(corr(X), dtype=float), "corr(X)")
        if len(R) != X.shape[1]:
            raise ValueError(
                f"corr(X) must have shape ({X.shape[1]}, {X.shape[1]}), got {R.shape}."
            )
        return Table(Moments(_repaired(R)), mean, scale, n, X)
    if Z.shape[1] > MAX_DENSE:
        return Table(Moments(None, Z), mean, scale, n, X)
    R = Z.T @ Z
    R = np.clip((R + R.T) / 2, -1, 1)
    np.fill_diagonal(R, 1.0)
    _warn_collinear(R, names)
    return Table(Moments(R, Z), mean, scale, n, X)


def _read_matrix(estimator, R, n_samples):
    R = validate_data(
        estimator, R, dtype=np.float64, ensure_min_samples=2, ensure_min_features=2
    )
    if n_samples is None:
        raise ValueError(
            "corr='precomputed' needs the number of rows behind the matrix: "
            "fit(R, n_samples=...)."
        )
    if n_samples < 3:
        raise ValueError(f"n_samples={n_samples} must be at least 3.")
    if R.shape[0] != R.shape[1]:
        raise ValueError(
            f"corr='precomputed' needs a square matrix, got shape {R.shape}."
        )
    variances = np.diag(R)
    if variances.min() <= 0:
        j = int(np.argmin(variances))
        raise ValueError(
            f"The variance of column {_name(j, estimator)} is {variances[j]:.6g}; it "
            "must be positive."
        )
    if getattr(estimator, "method", "ml") == "uls":
        # The matrix has the divisor n, least squares takes n - 1.
        R = R * (n_samples / (n_samples - 1))
        variances = np.diag(R)
    scale = np.sqrt(variances)
    R = check_correlation(R / np.outer(scale, scale))
    np.fill_diagonal(R, 1.0)
    names = getattr(estimator, "feature_names_in_", None)
    _warn_collinear(R, names)
    return Table(Moments(R), np.zeros(len(R)), scale, n_samples, None)


def _pairwise(X, holes, names, ddof):
    observed = (~holes).astype(float)
    n_pairs = observed.T @ observed
    few = np.unravel_index(np.argmin(n_pairs), n_pairs.shape)
    if n_pairs[few] < 3:
        raise ValueError(
            f"Columns {_quoted(few[0], names)} and {_quoted(few[1], names)} have "
            f"{int(n_pairs[few])} rows in common; missing='pairwise' needs 3."
        )
    counts = np.diag(n_pairs)
    mean = np.nansum(X, axis=0) / counts
    filled = np.where(holes, 0.0, X - mean)
    scale = np.sqrt(np.sum(filled**2, axis=0) / (counts - ddof))
    check_not_constant(scale, mean, names)
    # Each pair is centred and scaled by the rows that have both.
    sums = filled.T @ observed
    squares = (filled**2).T @ observed
    cov = filled.T @ filled - sums * sums.T / n_pairs
    var = squares - sums**2 / n_pairs
    size = np.sqrt(np.maximum(var * var.T, 0))
    R = np.clip(np.where(size > 0, cov / np.where(size > 0, size, 1), 0.0), -1, 1)
    np.fill_diagonal(R, 1.0)
    upper = np.triu_indices(len(R), 1)
    return Table(Moments(_repaired(R)), mean, scale, float(n_pairs[upper].mean()), X)


def _repaired(R):
    """Nearest correlation matrix by clipping eigenvalues, where it is indefinite."""
    values, vectors = np.linalg.eigh(R)
    if values[0] >= 1e-6:
        return R
    R = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    s = np.sqrt(np.diag(R))
    R = R / np.outer(s, s)
    np.fill_diagonal(R, 1.0)
    return (R + R.T) / 2


def check_not_constant(scale, mean, names):
    """Raise for a column without variance, by its name or number."""
    small = scale <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    if small.any():
        j = int(np.argmax(small))
        raise ValueError(
            f"Column {_quoted(j, names)} is constant ({mean[j]:.6g}): it has no "
            "correlations."
        )


def _quoted(j, names):
    return f"{j}" if names is None else f"{names[j]!r}"


def _name(j, estimator):
    return _quoted(j, getattr(estimator, "feature_names_in_", None))


def _warn_collinear(R, names):
    off = np.abs(R) - np.eye(len(R))
    worst = np.unravel_index(np.argmax(off), off.shape)
    if off[worst] > 1 - 1e-10:
        warnings.warn(
            f"Columns {_quoted(worst[0], names)} and {_quoted(worst[1], names)} are "
            "perfectly correlated: one of them has no unique variance.",
            UserWarning,
            stacklevel=5,
        )
