"""Products of the slices with the entity matrix, in the form each storage likes.

All solvers see the data through one interface. With ``P_t = X_t A``, ``Q_t = X_t' A``:

``start(A)``            take A, form the products;
``inner()``             ``B_t = A' P_t`` as (k, k, m);
``pull(R)``             ``F = sum_t P_t R_t' + Q_t R_t`` as (n, k);
``probe(D, trial)``     form the products along a direction D, or at ``A + trial D``;
``bend(R, slope, slack)``  ``sum_t <D' X_t D, R_t>``, where `slope` is ``<D, F>``;
``move(step)``          ``A + step D`` and its products; free where step is trial;
``scale(factor)``       ``factor A`` likewise;
``impute(R)``           refill missing cells with ``a_i' R_t a_j``.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import sparse

from ._rescal_kernels import (
    add_scaled,
    cell_values,
    correct_products,
    sparse_products,
    sparse_pull,
    sparse_pull_products,
)

# Slices of this many entities or more fit the first caches one at a time only.
_LARGE = 256
# Up to this rank, and from so many nonzeros, the two seconds pay that it takes to
# compile the sparse products for the very rank, once on a machine.
_STRAIGHT_RANK = 16
_STRAIGHT_SIZE = 100_000
_EPS = np.finfo(np.float64).eps


def make_engine(slices, k, *, memory_limit=2**30):
    """The engine for `slices`: stored products if 4 m n k numbers fit the limit."""
    m, n = slices.n_relations, slices.n_entities
    if slices.csr is not None:
        return SparseEngine(slices, k, memory_limit=memory_limit)
    # Beside the data: P, Q, and both along the direction of the line search.
    if 4 * 8 * m * n * k > memory_limit:
        return StreamingEngine(slices)
    return DenseEngine(slices, k, memory_limit=memory_limit)


class _Engine:
    """What engines share: the norm of the (imputed) data, line searches by trial.

    Of a line search the products at the trial point are formed, not those along the
    direction: if the step is kept they are those of the next iteration.
    """

    # Whether products are moved along with A, which adds up rounding.
    drifts = False

    def __init__(self, slices):
        self.slices = slices
        self.n, self.m = slices.n_entities, slices.n_relations
        self.observed_norm2 = slices.norm2
        self.norm2 = slices.norm2
        self.has_missing = slices.missing is not None
        if self.has_missing:
            self._values = slices.fill[slices.missing[0]]
            self.norm2 = slices.norm2 + float(self._values @ self._values)

    def probe(self, D, trial):
        self.D, self._trial = D, trial
        self._from = self.A, self.inner()
        self.start(self.A + trial * D)

    def bend(self, R, slope, slack):
        # From f(A + trial D) - f(A), unless rounding eats it up.
        before = float(np.vdot(self._from[1], R))
        after = float(np.vdot(self.inner(), R))
        if 16 * _EPS * max(abs(before), abs(after)) < slack * self._trial**2:
            return (after - before - self._trial * slope) / self._trial**2
        return self._bend_along(R)

    def move(self, step):
        if step != self._trial:
            self.start(self._from[0] + step * self.D)

    def _predict_missing(self, R):
        """New values of the missing cells and their change; updates the norm."""
        values = np.empty(self._values.size)
        cell_values(*self.slices.missing, np.ascontiguousarray(self.A), R, values)
        change = values - self._values
        self._values = values
        self.norm2 = self.observed_norm2 + float(values @ values)
        return values, change


class DenseEngine(_Engine):
    """Dense slices; P and Q are kept.

    Many small slices are stored slices last: one batch of n products (k x n)(n x m)
    instead of m products with n rows each. For those, moving P and Q would take as
    long as forming them. Others are moved along with A: forming a product anew, once
    a trial step is not kept, would cost more; and of products in single precision
    differences are too rough.
    """

    def __init__(self, slices, k, *, memory_limit=2**30):
        super().__init__(slices)
        n, m = self.n, self.m
        X = slices.filled_stack()
        self.slices_last = (
            n <= 128 and m >= 32 and 2 * X.nbytes <= max(memory_limit, 2**20)
        )
        if self.slices_last:
            X = np.ascontiguousarray(X.transpose(1, 2, 0))
        self.X = X
        self.k = k
        self._P, self._Q = (np.empty((n, m * k)) for _ in range(2))
        self._single = np.empty((n, m * k), dtype=X.dtype) if X.dtype != float else None
        self._by_trial = self.slices_last and self._single is None
        self.drifts = not self._by_trial
        if not self._by_trial:
            self._PD, self._QD = (np.empty((n, m * k)) for _ in range(2))

    def start(self, A):
        self.A, self._B = A, None
        self._products(A, self._P, self._Q)

    def probe(self, D, trial):
        if self._by_trial:
            return super().probe(D, trial)
        self.D = D
        self._products(D, self._PD, self._QD)

    def bend(self, R, slope, slack):
        if self._by_trial:
            return super().bend(R, slope, slack)
        return float(np.vdot(self.D, self._PD @ self._out))

    def move(self, step):
        if self._by_trial:
            return super().move(step)
        self.A, self._B = self.A + step * self.D, None
        for kept, along in ((self._P, self._PD), (self._Q, self._QD)):
            add_scaled(kept.reshape(-1), step, along.reshape(-1))

    def scale(self, factor):
        self.A, self._B = factor * self.A, None
        self._P *= factor
        self._Q *= factor

    def inner(self):
        if self._B is None:
            B = self.A.T @ self._P
            if self.slices_last:
                self._B = B.reshape(self.k, self.k, self.m)
            else:
                B = B.reshape(self.k, self.m, self.k)
                self._B = np.ascontiguousarray(B.transpose(0, 2, 1))
        return self._B

    def pull(self, R):
        self._out, back = self._couplings(R)
        self._half = self._P @ self._out
        return self._half + self._Q @ back

    def _bend_along(self, R):
        # P is linear in A, and by now that of the trial point.
        moved = self._P @ self._out - self._half
        return float(np.vdot(self.D, moved)) / self._trial

    def impute(self, R):
        values, change = self._predict_missing(R)
        t, i, j = self.slices.missing
        X = self.X.transpose(2, 0, 1) if self.slices_last else self.X
        X[t, i, j] = values
        self._B = None
        correct_products(
            t, i, j, change, self.A, self._by_slice(self._P), self._by_slice(self._Q)
        )

    def _by_slice(self, P):
        if self.slices_last:
            return P.reshape(self.n, self.k, self.m).transpose(0, 2, 1)
        return P.reshape(self.n, self.m, self.k)

    def _couplings(self, R):
        """R as matrices behind P and Q: ``F = P @ out + Q @ back``."""
        size = self.m * self.k
        if self.slices_last:
            back = R.transpose(1, 0, 2).reshape(self.k, size)
            return R.reshape(self.k, size).T, back.T
        return (
            R.transpose(2, 1, 0).reshape(size, self.k),
            R.transpose(2, 0, 1).reshape(size, self.k),
        )

    def _products(self, A, P, Q):
        if self._single is not None:
            # Single precision reads half the bytes; sums beyond one product are double.
            A = A.astype(self.X.dtype)
            for out, transposed in ((P, False), (Q, True)):
                self._one_side(A, self._single, transposed)
                out[...] = self._single
            return
        if self.slices_last or self.n < _LARGE:
            self._one_side(A, P, False)
            self._one_side(A, Q, True)
            return
        P, Q = self._by_slice(P), self._by_slice(Q)
        for t in range(self.m):
            # Back to back: the second product finds the slice in the cache.
            np.matmul(self.X[t], A, out=P[:, t])
            np.matmul(self.X[t].T, A, out=Q[:, t])

    def _one_side(self, A, out, transposed):
        if self.slices_last:
            X = self.X.transpose(1, 0, 2) if transposed else self.X
            rows = np.ascontiguousarray(A.T)
            np.matmul(rows, X, out=out.reshape(self.n, self.k, self.m))
            return
        X = self.X.transpose(0, 2, 1) if transposed else self.X
        np.matmul(X, A, out=self._by_slice(out).transpose(1, 0, 2))


class SparseEngine(_Engine):
    """Sparse slices; products are formed for non-empty rows and columns only.

    P is written by a pass over X and read by one over P; Q is used where it is formed.
    """

    def __init__(self, slices, k, *, memory_limit=2**30):
        super().__init__(slices)
        self.k = k
        positions, flipped, offset = [], [], 0
        for x in slices.csr:
            # Positions ride along as data, so that values can be replaced later.
            at = np.arange(offset, offset + x.nnz)
            x = sparse.csr_array((at, x.indices, x.indptr), x.shape)
            positions.append(x)
            flipped.append(x.T.tocsr())
            offset += x.nnz
        self.forward, self._forward_positions = _compact(positions)
        self.backward, self._backward_positions = _compact(flipped)
        self._cells = np.concatenate([x.data for x in slices.csr], dtype=np.float64)
        if self.has_missing:
            self._hidden = np.flatnonzero(np.isnan(self._cells))
            self._cells[self._hidden] = self._values
        self._order_cells()
        straight = k <= _STRAIGHT_RANK and offset >= _STRAIGHT_SIZE
        self._lanes = (0.0,) * k if straight else ()
        size = k * len(self.forward[1])
        # Without room for P it is formed once more where it is needed.
        self._P = np.empty(size if 8 * size <= memory_limit else 0)

    def _order_cells(self):
        self._forward_data = self._cells[self._forward_positions]
        self._backward_data = self._cells[self._backward_positions]

    def start(self, A):
        self.A = np.ascontiguousarray(A)
        self._B = self._inner_products(self.A, self._P)

    def _bend_along(self, R):
        D = np.ascontiguousarray(self.D)
        return float(np.vdot(self._inner_products(D, np.empty(0)), R))

    def scale(self, factor):
        self.A = factor * self.A
        self._P *= factor
        self._B *= factor**2

    def inner(self):
        return self._B

    def pull(self, R):
        F = np.zeros((self.n, self.k))
        out, back = (
            np.ascontiguousarray(R.transpose(order)) for order in ((2, 1, 0), (2, 0, 1))
        )
        if self._P.size:
            sparse_pull(*self.forward[:2], self._P, out, self._lanes, F)
        else:
            self._pull_products(self.forward, self._forward_data, out, F)
        self._pull_products(self.backward, self._backward_data, back, F)
        return F

    def impute(self, R):
        values, _ = self._predict_missing(R)
        self._cells[self._hidden] = values
        self._order_cells()
        self.start(self.A)

    def _inner_products(self, A, P):
        B = np.empty((self.k, self.k, self.m))
        sparse_products(*self.forward, self._forward_data, A, self._lanes, P, B)
        return B

    def _pull_products(self, rows, data, coupling, F):
        sparse_pull_products(*rows, data, self.A, coupling, self._lanes, F)


def _compact(csr):
    """Non-empty rows of all slices: (bounds, entity, indptr, indices), data.

    Short rows come first within a slice: a loop over rows of one length is predictable.
    """
    bounds, entity, lengths, indices, data = [0], [], [], [], []
    for x in csr:
        length = np.diff(x.indptr)
        rows = np.argsort(length, kind="stable")
        rows = rows[np.count_nonzero(length == 0) :]
        length = length[rows]
        # Where the entries of these rows, in this order, are stored.
        ends = np.cumsum(length)
        at = np.arange(x.nnz) + np.repeat(x.indptr[rows] - (ends - length), length)
        bounds.append(bounds[-1] + rows.size)
        entity.append(rows)
        lengths.append(length)
        indices.append(x.indices[at])
        data.append(x.data[at])
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    # Half the bytes; and an unsigned index cannot count from the end.
    short = np.uint32 if indptr[-1] < 2**32 else np.intp
    rows = (
        np.array(bounds),
        np.concatenate(entity).astype(np.uint32),
        indptr.astype(short),
        np.concatenate(indices).astype(np.uint32),
    )
    return rows, np.concatenate(data)


class StreamingEngine(_Engine):
    """Dense slices, one in memory at a time; nothing of size m n k is kept.

    Three and a half passes over the data per iteration instead of two: ``inner`` and
    ``bend`` need one product each, ``pull`` two.
    """

    def __init__(self, slices):
        super().__init__(slices)
        # A copy only if cells are missing: slices stay where they are otherwise.
        self._X = slices.filled_stack()

    def start(self, A):
        self.A = A

    def probe(self, D, trial):
        self.D = D

    def move(self, step):
        self.A = self.A + step * self.D

    def scale(self, factor):
        self.A = factor * self.A

    def inner(self):
        k = self.A.shape[1]
        B = np.empty((k, k, self.m))
        for t, X in enumerate(self._X):
            B[:, :, t] = self.A.T @ (X @ self._cast(self.A))
        return B

    def pull(self, R):
        F = np.zeros(self.A.shape)
        A = self._cast(self.A)
        for t, X in enumerate(self._X):
            F += (X @ A) @ R[:, :, t].T
            F += (X.T @ A) @ R[:, :, t]
        return F

    def bend(self, R, slope, slack):
        D = self._cast(self.D)
        return float(
            sum(np.vdot(self.D.T @ (X @ D), R[:, :, t]) for t, X in enumerate(self._X))
        )

    def impute(self, R):
        values, _ = self._predict_missing(R)
        self._X[self.slices.missing] = values

    def _cast(self, A):
        return A.astype(self.slices.dtype, copy=False)


class CompressedEngine:
    """A dense engine on the compressed slices ``Q' X_t Q``; A stays full size."""

    def __init__(self, basis, small):
        self.basis = basis
        self.small = small
        self.has_missing = False
        self.drifts = small.drifts
        self.norm2 = self.observed_norm2 = small.norm2

    def another(self):
        """An engine on the same compressed data, with products of its own."""
        small = DenseEngine(self.small.slices, self.small.k)
        return CompressedEngine(self.basis, small)

    def start(self, A):
        self.A = A
        self.small.start(self.basis.T @ A)

    def probe(self, D, trial):
        self._D = D
        self.small.probe(self.basis.T @ D, trial)

    def move(self, step):
        self.A = self.A + step * self._D
        self.small.move(step)

    def scale(self, factor):
        self.A = factor * self.A
        self.small.scale(factor)

    def inner(self):
        return self.small.inner()

    def pull(self, R):
        return self.basis @ self.small.pull(R)

    def bend(self, R, slope, slack):
        return self.small.bend(R, slope, slack)
