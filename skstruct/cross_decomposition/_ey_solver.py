"""Streaming steps on the Eckart-Young loss, with gradient memory and preconditioner.

Notation of Chapman, Wells and Lawry Aguila (2024): weights W_i (p_i, K) of view i,
scores ``Z_i = X_i W_i``, A the covariances between views, B those within them, shrunk
by c_i towards the identity, loss ``-2 tr(W'AW) + ||W'BW||^2``.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import linalg

from ._accumulator import column_squares, cut_rows, rmatmul
from ._exact_solver import principal_basis, solve_rows

# Leading axes of the warm-up rows that the preconditioner knows.
PRECONDITIONER_RANK = 64
# Entries of the warm-up rows: 52 MB of float32.
MAX_WARMUP_ENTRIES = 13_000_000
# Restarts after which the user is told that the data do not suit the step.
MAX_RESTARTS = 3
# A batch of a stream may be this many times as large as the rows before it, or hold
# this share of their sum of squares, before its rows are cut.
MAX_SIZE_RATIO, MAX_SIZE_SHARE = 10.0, 0.25


def n_warmup_rows(sizes, n_components):
    """Rows from which the start is computed."""
    wanted = max(256, 4 * n_components, min(8 * max(sizes), 1024))
    affordable = max(64, n_components + 1, MAX_WARMUP_ENTRIES // sum(sizes))
    return min(wanted, affordable)


def shrinkage(n, p):
    """Share by which variances of n rows in p columns are moved to their mean."""
    return 0.5 * p / (n + p)


class LowRankPreconditioner:
    """``P = (diag(g) + Y Y')^{-1}``, an estimate of the inverse of B_i.

    Y holds the leading principal axes of the warm-up rows, g what they leave of the
    variance of each column.
    """

    def __init__(self, basis, reg, tau, dtype):
        r = min(PRECONDITIONER_RANK, len(basis.variances))
        self.reg, self.tau = reg, tau
        roots = np.sqrt((1 - reg) * (1 - tau) * basis.variances[:r])
        self.Y = basis.span(np.eye(len(basis.variances), r) * roots).astype(dtype)
        self.explained = np.einsum("pr,pr->p", self.Y, self.Y, dtype=np.float64)
        self.warmup_variances = basis.column_variances()

    def update(self, variances):
        """Invert for the running column variances."""
        c, tau = self.reg, self.tau
        # A column hardly seen so far must not get a huge step.
        v = np.maximum(variances, variances.mean())
        g = c + np.maximum(
            (1 - c) * np.maximum(v, self.warmup_variances) - self.explained,
            tau * (1 - c) * v,
        )
        self.inverse_diagonal = (1.0 / np.where(g > 0, g, 1.0)).astype(self.Y.dtype)
        self.scaled = self.inverse_diagonal[:, None] * self.Y
        inner = np.eye(self.Y.shape[1]) + self.Y.T @ self.scaled
        self.inner = linalg.inv(inner, check_finite=False).astype(self.Y.dtype)
        return self

    def __matmul__(self, D):
        out = (self.inverse_diagonal * D.T).T
        out -= self.scaled @ (self.inner @ (self.scaled.T @ D))
        return out


class EckartYoungStream:
    """State of the streaming solver; :meth:`step` takes one batch.

    Parameters
    ----------
    rows : list of ndarrays of shape (n_w, p_i)
        Standardised warm-up rows.
    regs : sequence of float
        c_i of each view.
    n_components : int
    learning_rate : float
    precondition : bool
    variances : list of ndarrays of shape (p_i,), optional
        Column variances of all rows, if known; else they are estimated on the way.
    weights : list of ndarrays of shape (p_i, K), optional
        Start, in place of the solution of the warm-up rows.
    """

    def __init__(
        self,
        rows,
        regs,
        n_components,
        *,
        batch_size,
        learning_rate=0.4,
        precondition=True,
        variances=None,
        weights=None,
    ):
        n_w = len(rows[0])
        self.dtype = rows[0].dtype
        self.regs = [float(c) for c in regs]
        self.learning_rate = learning_rate
        self.n_warmup = n_w
        self.restarts = 0
        self.n_cut = 0
        # Batches that W still has to wait for after a restart, in rows.
        self.hold = 0

        bases = [principal_basis(X, cut=_cut(X)) for X in rows]
        taus = [shrinkage(n_w, X.shape[1]) for X in rows]
        if weights is None:
            weights, _ = solve_rows(bases, regs, n_components, shrinkage=taus)
            _fill_empty(weights, bases)
        self.W = [np.ascontiguousarray(W, dtype=self.dtype) for W in weights]

        self.seen = n_w
        self.H = self._products(rows, self.W)

        self.variances_known = variances is not None
        self.variances = (
            [np.asarray(v, dtype=np.float64) for v in variances]
            if self.variances_known
            else [np.einsum("np,np->p", X, X, dtype=np.float64) / n_w for X in rows]
        )
        self.preconditioners = [
            LowRankPreconditioner(basis, c, tau, self.dtype).update(v)
            if precondition and c < 1
            else None
            for basis, c, tau, v in zip(bases, self.regs, taus, self.variances)
        ]
        self.eigenvalues = np.ones(n_components)
        self._remember()
        self._score_space_solve()
        self._remember()

        self.directions = [X[0].copy() for X in rows]
        for direction in self.directions:
            direction += 1e-3 * np.abs(direction).max(initial=1.0)
        m = min(batch_size, n_w)
        starts = np.linspace(0, n_w - m, 16).astype(int)
        for _ in range(3):
            self._batch_curvature([X[:m] for X in rows])
        L = np.array(
            [self._batch_curvature([X[s : s + m] for X in rows]) for s in starts]
        )
        self.sum_L, self.sum_L2 = float(L.sum()), float((L**2).sum())

    # -- one batch ---------------------------------------------------------------

    def step(self, batch, n_total=np.inf):
        """Learn from one batch.

        Parameters
        ----------
        batch : list of blocks of shape (m, p_i)
            Standardised rows of each view.
        n_total : float
            Rows of the training set, over which epochs pass.
        """
        m = batch[0].shape[0]
        if not self.variances_known:
            batch = self._without_absurd_rows(batch)
        if self.hold <= 0:
            if not self._score_space_solve():
                self._restart()
            elif self.seen >= 1.5 * self.seen_at_snapshot:
                self._remember()
                self._update_preconditioners()
        rate = m / (self.seen + m)

        if self.hold > 0:
            deltas = [np.zeros_like(W) for W in self.W]
            self.hold -= m
            curvature = None
        else:
            # Never of this batch: a step that depends on its batch biases the memory.
            mean_L = self.sum_L2 / self.sum_L
            eta = min(
                self.learning_rate / mean_L,
                4.0 * m / (min(self.seen, n_total) + m),
            )
            deltas = self._descent(eta)
            curvature = self._batch_curvature(batch)

        # The operators are linear: what the memory knows of A W and Cov W moves with
        # W, and only the batch's own share has to be computed.
        moved = []
        for W, delta in zip(self.W, deltas):
            moved.append(delta + rate * W)
            W += delta
        products = self._products(batch, moved)
        for H, product in zip(self.H, products):
            H *= 1.0 - rate
            H += product

        if curvature is not None and np.isfinite(curvature):
            self.sum_L += curvature
            self.sum_L2 += curvature**2
        if not self.variances_known:
            self._update_variances(rate)
        self.seen += m

    def _score_space_solve(self):
        """Rotate and scale W so that W'BW = I and W'AW is diagonal, descending.

        Returns False when the memory gives no sane scale.
        """
        C, V = self._small_matrices()
        if not (np.isfinite(C).all() and np.isfinite(V).all()):
            return False
        d, Q = np.linalg.eigh(V)
        if not d[0] > 1e-6 * d[-1] or d[0] <= 0:
            return False
        T = Q / np.sqrt(d)
        if np.abs(T).max() > 1e8:
            return False
        eigenvalues, O = np.linalg.eigh(T.T @ C @ T)
        # Without ridge no eigenvalue exceeds M - 1.
        if max(self.regs) == 0 and eigenvalues[-1] > 1.25 * (len(self.W) - 1):
            return False
        G = (T @ O[:, ::-1]).astype(self.dtype)
        self.eigenvalues = eigenvalues[::-1].copy()
        self.W = [W @ G for W in self.W]
        self.H = [(H.reshape(-1, len(G)) @ G).reshape(H.shape) for H in self.H]
        return True

    def _small_matrices(self):
        """C = W'AW and V = W'BW (K, K) as the memory has them, in float64."""
        C = V = 0.0
        for i, (W, H, c) in enumerate(zip(self.W, self.H, self.regs)):
            C = C + W.T @ self._between(H, i)
            V = V + (1 - c) * (W.T @ H[:, i]) + c * (W.T @ W)
        C, V = np.asarray(C, dtype=np.float64), np.asarray(V, dtype=np.float64)
        return (C + C.T) / 2, (V + V.T) / 2

    def _between(self, H, i):
        """A W of view i: the sum over the other views."""
        if H.shape[1] == 2:
            return H[:, 1 - i]
        return H.sum(axis=1) - H[:, i]

    def _descent(self, eta):
        """``eta P_i D_i``: minus the loss gradient, each column at its own scale."""
        lam = self.eigenvalues.astype(self.dtype)
        scale = eta / np.maximum(np.maximum(lam, 0.2 * lam[0]), 1e-12)
        deltas = []
        for i, (W, H, c, P) in enumerate(
            zip(self.W, self.H, self.regs, self.preconditioners)
        ):
            BW = W if c == 1 else (1 - c) * H[:, i] + c * W
            D = (self._between(H, i) - BW * lam) * scale
            deltas.append(D if P is None else P @ D)
        return deltas

    def _batch_curvature(self, batch):
        """Largest curvature that this batch can show, by two power steps a view."""
        m = batch[0].shape[0]
        tops = np.empty(len(batch))
        for i, (X, P) in enumerate(zip(batch, self.preconditioners)):
            x = self.directions[i]
            u = rmatmul(X, X @ x) / m
            x = u if P is None else P @ u
            u_next = rmatmul(X, X @ x) / m
            x_next = u_next if P is None else P @ u_next
            below = float(x @ u_next)
            tops[i] = float(x_next @ u_next) / below if below > 0 else 0.0
            norm = float(np.sqrt(x_next @ x_next))
            if np.isfinite(norm) and norm > 0:
                # A little of the old direction: a batch may not see it at all.
                old = self.directions[i]
                size = float(np.sqrt(old @ old))
                self.directions[i] = x_next / norm + old * (1e-3 / size)
        L = max((1 - c) * h + c for c, h in zip(self.regs, tops))
        if max(self.regs) > 0:
            second, first = np.sort(tops)[-2:]
            cross = (len(batch) - 1) * np.sqrt(max(first * second, 0.0))
            L = max(L, cross / max(self.eigenvalues[0], 1e-12))
        return max(1.0, float(L))

    @staticmethod
    def _products(batch, weights):
        """``X_i' X_j W_j / m`` of a batch, for all pairs of views by one GEMM each."""
        m, K = batch[0].shape[0], weights[0].shape[1]
        Z = np.hstack([X @ W for X, W in zip(batch, weights)])
        Z /= m
        return [rmatmul(X, Z).reshape(X.shape[1], -1, K) for X in batch]

    # -- preconditioner, guard, anchor -------------------------------------------

    def _without_absurd_rows(self, batch):
        """The batch, or its long rows cut where they outweigh the rows before it.

        With a finite variance the share of one batch in the sum of squares vanishes,
        so that only a batch no covariance could survive is touched. Its rows keep
        their direction and get at most the mean length of the rows before.
        """
        m = batch[0].shape[0]
        limit = max(MAX_SIZE_RATIO, MAX_SIZE_SHARE * self.seen / m)
        squares = [column_squares(X) / m for X in batch]
        # Not finite counts as larger.
        if not all(
            s.sum() <= limit * v.sum() or not v.any()
            for s, v in zip(squares, self.variances)
        ):
            self.n_cut += 1
            batch = [cut_rows(X, v.sum()) for X, v in zip(batch, self.variances)]
            squares = [column_squares(X) / m for X in batch]
        self.batch_variances = squares
        return batch

    def _update_variances(self, rate):
        for v, squares in zip(self.variances, self.batch_variances):
            v += rate * (squares - v)

    def _update_preconditioners(self):
        if self.variances_known:
            return
        for P, v in zip(self.preconditioners, self.variances):
            if P is not None:
                P.update(v)

    def _remember(self):
        self.snapshot = [W.copy() for W in self.W]
        self.seen_at_snapshot = self.seen

    def _restart(self):
        """Back to the last snapshot, slower, with a fresh memory."""
        self.restarts += 1
        self.learning_rate /= 2
        self.W = [W.copy() for W in self.snapshot]
        self.H = [np.zeros_like(H) for H in self.H]
        self.hold = self.n_warmup // 2
        self.seen = 0
        self.seen_at_snapshot = max(self.hold, 1)

    def loss(self):
        """Loss of the best W in the present span, as far as the memory knows it."""
        return -float(np.sum(np.maximum(self.eigenvalues, 0.0) ** 2))

    def anchor(self, H):
        """Take the exact products of all rows with the present W as the memory."""
        self.H = [np.ascontiguousarray(h, dtype=self.dtype) for h in H]

    # -- storage as plain arrays --------------------------------------------------

    def state(self):
        """Everything as a dictionary of numbers, lists and arrays."""
        state = dict(self.__dict__)
        state["dtype"] = self.dtype.name
        state["preconditioners"] = [
            None if P is None else dict(P.__dict__) for P in self.preconditioners
        ]
        return state

    @classmethod
    def from_state(cls, state):
        """The stream that :meth:`state` describes, on the same arrays."""
        stream = cls.__new__(cls)
        stream.__dict__.update(state)
        stream.dtype = np.dtype(state["dtype"])
        stream.preconditioners = []
        for saved in state["preconditioners"]:
            P = None
            if saved is not None:
                P = LowRankPreconditioner.__new__(LowRankPreconditioner)
                P.__dict__.update(saved)
            stream.preconditioners.append(P)
        return stream


def _cut(X):
    """Relative variance below which an axis of the warm-up rows is rounding."""
    return 1e-7 if X.shape[1] > X.shape[0] else 1e-9


def _fill_empty(weights, bases):
    """Random directions where the warm-up rows relate fewer than K (0 is a saddle)."""
    rng = np.random.default_rng(0)
    for W, basis in zip(weights, bases):
        empty = ~W.any(axis=0)
        if empty.any():
            deviation = np.sqrt(basis.column_variances())
            size = max(float(np.sum(deviation**2)), 1e-300) ** 0.5
            W[:, empty] = rng.standard_normal((len(W), empty.sum()))
            W[:, empty] *= (deviation > 0)[:, None] / size
