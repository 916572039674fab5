"""Reading relational tensors: dense stacks, lists of slices, sparse slices."""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass
from math import isqrt

import numpy as np
from scipy import sparse
from sklearn.utils.validation import _check_n_features, check_array

from .._validation import FLOAT_DTYPES, validate_three_way

_AXES = ("relations", "entities", "entities")
_CHUNK = 2**20


@dataclass
class Slices:
    """A validated relational tensor.

    Exactly one of `dense` and `csr` is set. Neither is ever written to.
    """

    dense: np.ndarray | None
    csr: list | None
    n_relations: int
    n_entities: int
    dtype: np.dtype
    missing: tuple | None
    """(slices, rows, columns), sorted by slice and row; None when all is observed."""
    fill: np.ndarray
    """(m,) mean of the observed cells of each slice."""
    norm2: float
    """Sum of squares of the observed cells."""
    silent: np.ndarray
    """(n,) bool: all observed cells of the entity's rows and columns are zero."""

    def filled(self, t):
        """Slice t with missing cells replaced by the slice's mean."""
        if self.csr is not None:
            X = self.csr[t]
            return sparse.csr_array(
                (np.where(np.isnan(X.data), self.fill[t], X.data), X.indices, X.indptr),
                shape=X.shape,
            )
        X = np.asarray(self.dense[t])
        if self.missing is None:
            return X
        lo, hi = np.searchsorted(self.missing[0], [t, t + 1])
        if lo == hi:
            return X
        X = X.copy()
        X[self.missing[1][lo:hi], self.missing[2][lo:hi]] = self.fill[t]
        return X

    def filled_stack(self):
        """All dense slices, missing cells replaced: a copy only where needed."""
        if self.missing is None:
            return self.dense
        X = self.dense.copy()
        t, i, j = self.missing
        X[t, i, j] = self.fill[t]
        return X


def read_slices(estimator, X, *, reset, nonnegative=False, missing_diagonal=False):
    """Validate `X` in any of its forms and collect what every solver needs.

    Parameters
    ----------
    estimator : estimator instance
        Gets ``n_features_in_`` when `reset`, is compared with it otherwise.
    X : array of shape (m, n, n) or (m, n * n), sparse matrix of shape (m, n * n), \
or list of m arrays or sparse matrices of shape (n, n)
        NaN is missing, in sparse slices where it is stored.
    reset : bool
    nonnegative : bool
        Whether negative cells are refused.
    missing_diagonal : bool
        Whether all diagonals are treated as missing.

    Returns
    -------
    slices : Slices
    """
    if sparse.issparse(X):
        if X.ndim != 2:
            raise ValueError(
                "A sparse X must have shape (n_relations, n_entities**2), got "
                f"{X.shape}."
            )
        X = _unfold_sparse(X)
    is_list = isinstance(X, (list, tuple)) and len(X) > 0
    if is_list and any(sparse.issparse(x) for x in X):
        csr = _sparse_list(X)
        _check_shapes([x.shape for x in csr])
        if reset:
            estimator.n_features_in_ = csr[0].shape[0]
            estimator._third_axis_in = csr[0].shape[0]
        else:
            _check_width(estimator, csr[0].shape[0])
        return _collect_sparse(csr, nonnegative, missing_diagonal)
    if is_list and all(hasattr(x, "shape") and len(x.shape) == 2 for x in X):
        _check_shapes([x.shape for x in X])
        X = np.stack([np.asarray(x) for x in X])
    checks = {
        "dtype": list(FLOAT_DTYPES),
        "ensure_all_finite": False,
        "order": "C",
    }
    if np.ndim(X) == 2 and len(X) > 0:
        X = check_array(X, estimator=estimator, **checks)
        side = isqrt(X.shape[1])
        if side * side != X.shape[1]:
            raise ValueError(
                f"A 2D X holds one slice per row and needs a square number of columns, "
                f"got shape {X.shape}. Expected 3D array of shape (n_relations, "
                "n_entities, n_entities) otherwise."
            )
        X = X.reshape(-1, side, side)
    X = validate_three_way(estimator, X, reset=reset, axis_names=_AXES, **checks)
    if X.shape[1] != X.shape[2]:
        raise ValueError(
            f"Slices must be square, rows and columns being the same entities; got "
            f"shape {X.shape[1:]}."
        )
    if X.shape[1] == 0:
        raise ValueError(f"X has no entities: its shape is {X.shape}.")
    return _collect_dense(X, nonnegative, missing_diagonal)


def _check_width(estimator, n):
    # The message of scikit-learn for a wrong number of features.
    _check_n_features(estimator, np.empty((1, n)), reset=False)


def _unfold_sparse(X):
    side = isqrt(X.shape[1])
    if side * side != X.shape[1]:
        raise ValueError(
            f"A 2D X holds one slice per row and needs a square number of columns, "
            f"got shape {X.shape}."
        )
    X = sparse.csr_array(X)
    slices = []
    for t in range(X.shape[0]):
        lo, hi = X.indptr[t], X.indptr[t + 1]
        cells = X.indices[lo:hi].astype(np.int64)
        slices.append(
            sparse.csr_array(
                (X.data[lo:hi], (cells // side, cells % side)), shape=(side, side)
            )
        )
    if not slices:
        raise ValueError(
            "Found array with 0 slice(s) while a minimum of 1 is required."
        )
    return slices


def _sparse_list(X):
    found = []
    for t, x in enumerate(X):
        # Made anew, so that the caller's matrices stay as they are.
        if not sparse.issparse(x):
            x = np.asarray(x)
            if x.ndim != 2:
                raise ValueError(f"Slice {t} has shape {x.shape}, expected 2 axes.")
        if np.issubdtype(x.dtype, np.complexfloating):
            raise ValueError(f"Complex data not supported: slice {t}.")
        x = sparse.csr_array(x, copy=True)
        x.sum_duplicates()
        found.append(x)
    dtype = (
        np.float32 if all(x.dtype == np.float32 for x in found) else np.dtype("float64")
    )
    return [x.astype(dtype) for x in found]


def _check_shapes(shapes):
    for t, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"All slices must have one shape: slice {t} has {shape}, slice 0 has "
                f"{shapes[0]}."
            )
    if shapes[0][0] != shapes[0][1]:
        raise ValueError(
            f"Slices must be square, rows and columns being the same entities; got "
            f"shape {shapes[0]}."
        )


def _collect_dense(X, nonnegative, missing_diagonal):
    m, n, _ = X.shape
    fill, norm2 = np.zeros(m), 0.0
    active = np.zeros(n)
    missing = []
    own_diagonal = np.arange(n)
    step = max(1, _CHUNK // (n * n))
    for lo in range(0, m, step):
        part = np.asarray(X[lo : lo + step])
        # One pass decides whether anything but plain numbers is there.
        total = part.sum(axis=(1, 2), dtype=np.float64)
        hidden = None
        if missing_diagonal or not np.isfinite(total).all():
            hidden = np.isnan(part)
            if missing_diagonal:
                hidden[:, own_diagonal, own_diagonal] = True
            part = np.where(hidden, 0, part)
            _check_finite(part, lo)
            total = part.sum(axis=(1, 2), dtype=np.float64)
        if nonnegative and (least := part.min(axis=(1, 2))).min() < 0:
            _raise_negative(lo + int(np.argmin(least)), least.min())
        count = np.full(len(part), n * n)
        if hidden is not None:
            count = count - hidden.sum(axis=(1, 2))
            t, i, j = np.nonzero(hidden)
            missing.append((t + lo, i, j))
            if (count == 0).any():
                _raise_nothing_observed(lo + int(np.argmin(count)))
        fill[lo : lo + step] = total / count
        flat = part.reshape(-1)
        norm2 += (
            float(np.dot(flat, flat))
            if part.dtype == np.float64
            else float(np.sum(np.square(flat, dtype=np.float64)))
        )
        size = np.abs(part).sum(axis=0, dtype=np.float64)
        active += size.sum(axis=0) + size.sum(axis=1)
    _check_norm(norm2, active)
    cells = tuple(np.concatenate(axis) for axis in zip(*missing)) if missing else None
    if cells is not None and cells[0].size == 0:
        cells = None
    return Slices(X, None, m, n, X.dtype, cells, fill, norm2, active == 0)


def _collect_sparse(csr, nonnegative, missing_diagonal):
    m, n = len(csr), csr[0].shape[0]
    if n == 0:
        raise ValueError("X has no entities: its slices have shape (0, 0).")
    fill, norm2 = np.zeros(m), 0.0
    active = np.zeros(n)
    missing = []
    for t in range(m):
        if missing_diagonal:
            csr[t] = _with_missing_diagonal(csr[t])
        x = csr[t]
        hidden = np.isnan(x.data)
        values = np.where(hidden, 0, x.data)
        if not np.isfinite(values).all():
            _check_finite(values, t, sparse_slice=True)
        if nonnegative and values.size and values.min() < 0:
            _raise_negative(t, values.min())
        count = n * n - int(hidden.sum())
        if count == 0:
            _raise_nothing_observed(t)
        rows = np.repeat(np.arange(n), np.diff(x.indptr))
        if hidden.any():
            missing.append((np.full(hidden.sum(), t), rows[hidden], x.indices[hidden]))
        fill[t] = values.sum(dtype=np.float64) / count
        norm2 += float(np.sum(np.square(values, dtype=np.float64)))
        size = np.abs(values)
        active += np.bincount(rows, size, minlength=n)
        active += np.bincount(x.indices, size, minlength=n)
    _check_norm(norm2, active)
    cells = tuple(np.concatenate(axis) for axis in zip(*missing)) if missing else None
    dtype = csr[0].dtype
    return Slices(None, csr, m, n, dtype, cells, fill, norm2, active == 0)


def _with_missing_diagonal(x):
    n = x.shape[0]
    rows = np.repeat(np.arange(n), np.diff(x.indptr))
    off = rows != x.indices
    own = np.arange(n)
    data = np.concatenate([x.data[off], np.full(n, np.nan, dtype=x.dtype)])
    cells = (
        np.concatenate([rows[off], own]),
        np.concatenate([x.indices[off], own]),
    )
    return sparse.csr_array((data, cells), shape=x.shape)


def _check_finite(values, first, *, sparse_slice=False):
    bad = ~np.isfinite(values)
    if bad.any():
        t = first if sparse_slice else first + int(np.argmax(bad.any(axis=(1, 2))))
        raise ValueError(f"Input X contains infinity (slice {t}).")


def _check_norm(norm2, active):
    if not np.isfinite(norm2) or (norm2 == 0 and active.any()):
        raise ValueError(
            f"The sum of squares of X is {norm2}: its values are too "
            f"{'small' if norm2 == 0 else 'large'} to be squared. Rescale X."
        )


def _raise_negative(t, least):
    raise ValueError(
        f"Negative values in data passed to a nonnegative model: slice {t} has minimum "
        f"{least:.6g}, the bound is 0."
    )


def _raise_nothing_observed(t):
    raise ValueError(f"Slice {t} has no observed cell: all its values are missing.")
