"""Solvers of structured sparse NMF: arrays in, arrays out.

F(A, M) = 1/2 ||X - A M||^2 + lam/2 sum_k a_k' (D - W) a_k + alpha sum A^q
          + delta^2/2 sum_n (1 - sum_k A_nk)^2,      A, M >= 0
"""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from ._affinity_kernels import band_edges, edge_bands
from ._ss_nmf_holes import Holes, solve_rows_with_holes
from ._ss_nmf_kernels import (
    CROSS,
    DEGREE,
    HALF,
    LASSO,
    MASS,
    PROGRAM,
    ROOTS,
    TO_ONE,
    WIDTH,
    extrapolate,
    extrapolate_endmembers,
    graph_sums,
    solve_rows,
    sweep,
    sweep_bands,
    sweep_endmembers,
    sweep_programs,
)

_EPS = 1e-12

# A chunk of X stays in the second-level cache between its two products.
_CHUNK_BYTES = 1 << 20

# Iterations over which the fall of the objective is judged.
_SPAN = 5

# How often a component without use is started again.
_MAX_RESEEDS = 3

# Half of the neighbours of a pixel in a window of side 5.
_MAX_BANDS = 12

# A second copy of the weights may take as much memory as this.
_BAND_BYTES = 16 << 20

_NO_OFFSETS = np.zeros(0, dtype=np.int64)

# Extrapolation of the block descent: first factor and largest one.
_BETA_START, _BETA_MAX = 0.5, 0.99


def row_chunks(n_rows, row_bytes):
    """Slices of rows of about one cache full."""
    step = max(1, _CHUNK_BYTES // max(1, row_bytes) // WIDTH) * WIDTH
    step = min(step, max(n_rows, 1))
    for first in range(0, n_rows, step):
        yield slice(first, min(first + step, n_rows))


def chunks_of(X):
    """Row slices of a dense or sparse X."""
    if sparse.issparse(X):
        row_bytes = 12 * X.nnz // max(1, X.shape[0])
    else:
        row_bytes = X.shape[1] * X.itemsize
    return row_chunks(X.shape[0], row_bytes)


def squared_norm(X):
    """Sum of squares in float64."""
    return norm_and_minimum(X)[0]


def norm_and_minimum(X):
    """Sum of squares in float64 and smallest value, while X is read once."""
    if sparse.issparse(X):
        norm2 = float(np.sum(X.data.astype(np.float64) ** 2))
        return norm2, X.data.min(initial=0.0)
    norm2, low = 0.0, np.inf
    for rows in chunks_of(X):
        block = np.ravel(X[rows], order="K")
        low = min(low, block.min(initial=np.inf))
        block = block.astype(np.float64, copy=False)
        norm2 += float(block @ block)
    return norm2, low


@dataclass
class Graph:
    """Symmetric affinity in the form that the kernels read."""

    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray | None = None
    """Differences between the numbers of neighbours, where these are few."""
    bands: np.ndarray | None = None
    """Weights of the edges to later neighbours, by offset."""

    def banded(self):
        """With the weights by offsets too, for images without gaps."""
        N = self.indptr.size - 1
        widest = int(np.diff(self.indptr).max(initial=0))
        # An inner pixel has half of its neighbours after it.
        if (widest + 1) // 2 * N * self.weights.itemsize > _BAND_BYTES:
            return self
        most = min(widest, _MAX_BANDS)
        offsets = np.zeros(most, dtype=np.int64)
        bands = np.zeros((most, N), dtype=self.weights.dtype)
        count = edge_bands(self.indptr, self.indices, self.weights, offsets, bands)
        if count < 1 or count * N * bands.itemsize > _BAND_BYTES:
            return self
        return replace(self, offsets=offsets[:count], bands=bands[:count])

    @property
    def redundant(self):
        """Whether the weights are held twice and take much memory."""
        return self.bands is not None and self.weights.nbytes > _BAND_BYTES

    def without_weights(self):
        """With the weights by offsets alone."""
        return replace(self, weights=np.zeros(0, self.weights.dtype))

    def all_weights(self):
        """The weights of all edges again."""
        weights = np.empty(self.indices.size, dtype=self.bands.dtype)
        band_edges(self.indptr, self.indices, self.offsets, self.bands, weights)
        return weights

    @classmethod
    def of(cls, W, dtype):
        """From a CSR matrix with sorted indices, or None."""
        if W is None:
            empty = np.zeros(1, dtype=np.int32)
            return cls(empty, empty[:0], np.zeros(0, dtype))
        return cls(W.indptr, W.indices, W.data.astype(dtype, copy=False))


@dataclass
class Problem:
    """The data and the penalties of one fit."""

    X: np.ndarray
    """(N, L), or (N, d) coordinates in `basis`."""
    graph: Graph
    lam: float
    alpha: float
    root: bool
    """Whether the penalty is the square root instead of the lasso."""
    delta2: float = 0.0
    simplex: bool = False
    unit: bool = True
    n_inner: int = 2
    basis: np.ndarray | None = None
    """(L, d) orthonormal columns, for data compressed to ``X basis``."""
    norm2: float = field(default=None)
    single: np.ndarray | None = None
    """X in float32, where sweeps are to be in single precision."""
    holes: Holes | None = None
    """Cells of X that are not known; X has guesses there."""
    mode: int = field(init=False)
    known2: float = field(init=False)
    """Squared norm of the known cells."""
    by_component: bool = field(init=False)
    """Whether abundances are kept in Fortran order, for `sweep_bands`."""

    def __post_init__(self):
        if self.norm2 is None:
            self.norm2 = squared_norm(self.X)
        self.known2 = self.norm2
        if self.holes is not None:
            cells = self.X[self.holes.rows, self.holes.columns].astype(np.float64)
            self.known2 -= cells @ cells
        if self.root and self.alpha > 0 and not self.simplex:
            self.mode = HALF
        elif self.simplex or self.delta2 > 0:
            # Unit sums couple the abundances of a pixel strongly: they are solved
            # together.
            self.mode = PROGRAM
        else:
            self.mode = LASSO
        lasso = self.mode == LASSO and not self.root and not sparse.issparse(self.X)
        self.by_component = lasso and (self.lam == 0 or self.graph.bands is not None)

    def laid_out(self, A):
        """A itself or a copy in the order that the sweeps want."""
        dtype = A.dtype if self.single is None else np.float32
        return np.asarray(A, dtype, order="F" if self.by_component else "C")

    def rows_times(self, M):
        """The right factor of ``X M'``, in the type of X."""
        right = M.T if self.basis is None else self.basis.T @ M.T
        dtype = self.X.dtype if self.single is None else np.float32
        return np.ascontiguousarray(right, dtype=dtype)

    def fill_holes(self, A, M):
        """Guess the unknown cells of X by ``A M``."""
        if self.holes is not None:
            self.norm2 = self.known2 + self.holes.fill(self.X, A, M)

    def columns_from(self, AtX):
        return AtX if self.basis is None else AtX @ self.basis.T

    def penalties(self, sums):
        graph = sums[DEGREE] - 2.0 * sums[CROSS]
        sparsity = sums[ROOTS] if self.root else sums[MASS]
        return (
            0.5 * self.lam * graph
            + self.alpha * sparsity
            + 0.5 * self.delta2 * sums[TO_ONE]
        )


def penalty_sums(problem, A):
    """The sums that a sweep leaves behind, without a sweep."""
    sums = np.zeros(5)
    A64 = A.astype(np.float64, copy=False)
    total = A64.sum(axis=1)
    sums[MASS] = total.sum()
    sums[ROOTS] = np.sqrt(A64).sum()
    if problem.delta2 > 0:
        sums[TO_ONE] = np.sum((1.0 - total) ** 2)
    if problem.lam > 0:
        g = problem.graph
        if g.bands is None:
            graph_sums(A, g.indptr, g.indices, g.weights, sums)
        else:
            square = np.einsum("nk,nk->n", A64, A64)
            for d, w in zip(g.offsets, g.bands):
                w = w[:-d].astype(np.float64, copy=False)
                sums[CROSS] += w @ np.einsum("nk,nk->n", A64[:-d], A64[d:])
                sums[DEGREE] += w @ (square[:-d] + square[d:])
    return sums


def residual_norms(problem, A, M):
    """Squared norm of every row of X - A M, from the residual itself."""
    X = problem.X
    # Unknown cells then have no residual.
    problem.fill_holes(A, M)
    M = problem.rows_times(M).T
    out = np.empty(X.shape[0])
    for rows in chunks_of(X):
        block = X[rows].toarray() if sparse.issparse(X) else X[rows]
        R = (block - A[rows] @ M).astype(np.float64, copy=False)
        out[rows] = np.einsum("nl,nl->n", R, R)
    return out


def objective(problem, A, M, *, sums=None, P=None, Q=None):
    """F; from the products P = A'X and Q = A'A where these are known."""
    if sums is None:
        sums = penalty_sums(problem, A)
    return 0.5 * residual(problem, A, M, P, Q) + problem.penalties(sums)


def residual(problem, A, M, P=None, Q=None, *, digits=8):
    """||X - A M||^2, from the products unless too few digits would be left."""
    if P is not None:
        error = problem.norm2 - 2.0 * np.vdot(P, M) + np.vdot(Q, M @ M.T)
        if problem.holes is not None:
            error -= problem.holes.misfit(problem.X, A, M)
        # A small difference of large sums.
        if error > 10.0 ** (digits - 16) * problem.norm2:
            return error
    return residual_norms(problem, A, M).sum()


def sweep_rows(problem, A, B, G, start, sums, mode=None, n_inner=None):
    """Update the rows of A from `start` on, as many as B has, in place."""
    mode = problem.mode if mode is None else mode
    g = problem.graph
    common = (A, B, G, start, g.indptr, g.indices, g.weights)
    weights = (problem.lam, problem.alpha, problem.delta2)
    inner = problem.n_inner if n_inner is None else n_inner
    if mode == LASSO and problem.by_component:
        number = A.dtype.type
        lam, alpha = number(problem.lam), number(problem.alpha)
        offsets, bands = g.offsets, g.bands
        if problem.lam == 0:
            offsets, bands = _NO_OFFSETS, np.zeros((0, 0), A.dtype)
        G = G.astype(A.dtype, copy=False)
        sweep_bands(A.T, B.T, G, start, offsets, bands, lam, alpha, inner, sums)
    elif mode == PROGRAM:
        sweep_programs(*common, *weights, problem.simplex, problem.root, sums)
    else:
        sweep(*common, *weights, mode, problem.root, inner, sums)


def _times(block, right, by_component):
    """The product in the order that the sweeps want."""
    if not by_component:
        return np.ascontiguousarray(block @ right)
    if block.flags.c_contiguous:
        # Long rows: the other way round is slow.
        return np.asfortranarray(block @ right)
    return (right.T @ block.T).T


def sweep_pass(problem, A, M):
    """Update A, laid out for the problem, in place while X is read once.

    Returns
    -------
    P : ndarray of shape (K, L)
        ``A'X`` with the new A.
    Q : ndarray of shape (K, K)
        ``A'A``.
    sums : ndarray
        Terms of the penalties at the new A.
    """
    X, single = problem.X, problem.single
    right = problem.rows_times(M)
    G = M @ M.T
    P = np.zeros((M.shape[0], X.shape[1]))
    Q = np.zeros(G.shape)
    sums = np.zeros(5)
    by_component, is_sparse = problem.by_component, sparse.issparse(X)
    for rows in chunks_of(X):
        block = X[rows]
        B = _times(block if single is None else single[rows], right, by_component)
        sweep_rows(problem, A, B, G, rows.start, sums)
        part = A[rows]
        if single is not None:
            part = part.astype(np.float64, order="K")
        P += (block.T @ part).T if is_sparse else part.T @ block
        # Of an array with itself the product would take a slower way.
        Q += part.T @ part.copy(order="K")
    return problem.columns_from(P), Q, sums


def update_endmembers(P, Q, M, *, unit, n_inner=2):
    """Exact minimisation over one endmember after the other, in place.

    With unit norms ``||a_k||^2 ||m_k||^2`` is constant, so that the best direction is
    the clipped residual correlation itself. Without, a spectrum of zeros is legal: it
    is shade under a sum to one.

    Returns
    -------
    dead : list of int
        Components without abundance, or whose best unit spectrum does not exist.
    """
    dead = np.zeros(M.shape[0], dtype=np.bool_)
    P = np.ascontiguousarray(P, dtype=np.float64)
    sweep_endmembers(P, Q, M, unit, n_inner, dead)
    return np.flatnonzero(dead).tolist() if dead.any() else []


def _reseed(problem, A, M, dead, budget):
    """Start unused components again at the pixels that are explained worst.

    One whose best unit spectrum does not exist only adds to F: its abundances go to
    zero, which lowers F since no sum is asked for with unit lengths.

    Returns
    -------
    started : bool
        Whether a component was started again.
    """
    if problem.unit:
        A[:, dead] = 0.0
    again = [k for k in dead if budget[k] > 0]
    if not again:
        return False
    error = residual_norms(problem, A, M)
    worst = np.argsort(error)[::-1][: len(again)]
    started = False
    for k, n in zip(again, worst):
        if error[n] <= 1e-12 * problem.norm2 / A.shape[0]:
            continue
        x = problem.X[[n]]
        x = x.toarray()[0] if sparse.issparse(x) else x[0]
        x = np.maximum(problem.columns_from(x.astype(np.float64)), 0.0)
        size = np.linalg.norm(x)
        if size > 0:
            M[k] = x / size if problem.unit else x
            budget[k] -= 1
            started = True
    return started


@dataclass
class Solution:
    """What a solver found."""

    A: np.ndarray
    M: np.ndarray
    objective: float
    loss_curve: list
    n_iter: int
    converged: bool
    change: float
    residual: float
    """``||X - A M||^2``."""


def _no_step(i, value, attributes=None):
    return False


def _extrapolate(problem, A, M, A_old, M_old, beta):
    """Points ahead on the lines from the old to the present ones.

    The abundances are written over `A_old`, so that no third copy is needed.
    """
    M_new = np.empty_like(M)
    extrapolate_endmembers(M, M_old, beta, problem.unit, M_new)
    if problem.by_component:
        extrapolate(A.T, A_old.T, A.dtype.type(beta))
    else:
        extrapolate(A, A_old, A.dtype.type(beta))
    return A_old, M_new


def solve_cd(
    problem, A, M, *, max_iter, tol, step=_no_step, growth=1.05, refined=False
):
    """Block coordinate descent from extrapolated points; F never rises.

    Every update is an exact minimisation, of F or of a majoriser of its graph term. An
    iteration starts from a point
    extrapolated along the last change; where that does not lower the objective, the
    iteration is taken back, and the next starts from the plain point, from where the
    objective cannot rise. `A` is overwritten.

    Stops when the objective falls by less than ``tol`` relative to itself over five
    iterations of which the last was accepted. With `refined`, for a start that is the
    solution of nearly the same problem, at the same rate over two iterations.
    """
    M = np.array(M, dtype=np.float64)
    budget = np.full(M.shape[0], _MAX_RESEEDS)
    A = problem.laid_out(A)
    A_old, M_old = A.copy(order="K"), M.copy()
    # The next factor after an accepted point, its present limit, and the one in use.
    ahead, limit, beta = _BETA_START, _BETA_MAX, 0.0
    curve, span = [], 2 if refined else _SPAN
    products = None
    change, converged = np.inf, False
    for i in range(max_iter):
        A_new, M_new = _extrapolate(problem, A, M, A_old, M_old, beta)
        problem.fill_holes(A_new, M_new)
        P, Q, sums = sweep_pass(problem, A_new, M_new)
        new_dead = update_endmembers(
            P, Q, M_new, unit=problem.unit, n_inner=problem.n_inner
        )
        restarted = False
        if new_dead:
            restarted = _reseed(problem, A_new, M_new, new_dead, budget)
            value = objective(problem, A_new, M_new)
        else:
            value = objective(problem, A_new, M_new, sums=sums, P=P, Q=Q)
        accepted = beta == 0.0 or value <= curve[-1]
        if accepted:
            A_old, A, M_old, M = A, A_new, M, M_new
            products = None if new_dead else (P, Q)
            if restarted:
                # The line through a point before the restart leads nowhere.
                beta = 0.0
            else:
                beta = ahead
                ahead = min(limit, growth * ahead)
                limit = min(_BETA_MAX, growth**0.2 * limit)
        else:
            value, limit, ahead, beta = curve[-1], beta, 0.9 * beta, 0.0
        curve.append(value)
        if step(i, value, lambda M=M: {"components_": M.copy()}):
            break
        if len(curve) > span and accepted and not restarted:
            before = curve[-1 - span]
            change = (before - value) / max(before, _EPS) * _SPAN / span
            if change < tol:
                converged = True
                break
    if problem.X.dtype != np.float64 or problem.holes is not None:
        # Of single precision, or of cells that were filled otherwise meanwhile.
        products = None
    error = residual(problem, A, M, *(products or ()), digits=12)
    return Solution(A, M, curve[-1], curve, len(curve), converged, change, error)


def solve_mu(problem, W, A, M, *, max_iter, tol, step=_no_step):
    """Multiplicative updates, endmembers first; the best iterate is kept.

    Without normalisation the objective never rises. Normalising the endmembers after
    an update can raise it, hence the best iterate.
    """
    X, lam, alpha, delta2 = problem.X, problem.lam, problem.alpha, problem.delta2
    degree = None if lam == 0 else W.sum(axis=1)[:, None]
    q = 0.5 if problem.root else 1.0
    # What starts at zero would stay there.
    A = np.maximum(A.astype(np.float64), 1e-3)
    M = np.maximum(np.array(M, dtype=np.float64), 1e-6)
    curve = []
    best = (np.inf, A, M)
    change, converged = np.inf, False
    for i in range(max_iter):
        P = np.asarray((X.T @ A).T, dtype=np.float64)
        M = M * P / (A.T @ A @ M + _EPS)
        if problem.unit:
            size = np.linalg.norm(M, axis=1)
            size[size == 0] = 1.0
            M, A = M / size[:, None], A * size
        over = np.asarray(X @ M.T, dtype=np.float64) + delta2
        under = A @ (M @ M.T) + delta2 * A.sum(axis=1, keepdims=True) + _EPS
        if alpha > 0:
            under += alpha if q == 1 else alpha * q * np.maximum(A, 1e-4) ** (q - 1)
        if lam > 0:
            over += lam * (W @ A)
            under += lam * degree * A
        A = A * over / under
        value = objective(problem, A, M)
        curve.append(value)
        if value < best[0]:
            best = (value, A, M)
        if step(i, value, lambda M=M: {"components_": M.copy()}):
            break
        if len(curve) > _SPAN:
            before = curve[-1 - _SPAN]
            change = (before - value) / max(before, _EPS)
            if abs(change) < tol:
                converged = True
                break
    value, A, M = best
    error = residual(problem, A, M)
    return Solution(A, M, value, curve, len(curve), converged, change, error)


def solve_abundances(problem, M, *, tol, max_iter=500):
    """A for fixed M: exact where pixels are independent, else sweeps to `tol`.

    Returns
    -------
    A : ndarray of shape (N, K), converged : bool
    """
    X = problem.X
    K = M.shape[0]
    M = np.asarray(M, dtype=np.float64)
    A = np.zeros((X.shape[0], K), dtype=X.dtype)
    right, G = problem.rows_times(M), M @ M.T
    H = G + problem.delta2
    alpha = 0.0 if problem.root or problem.simplex else problem.alpha
    for rows in chunks_of(X):
        # Exact without the graph and with the lasso: where the others start.
        C = np.asarray(X[rows] @ right, dtype=np.float64) + problem.delta2
        C -= alpha
        solve_rows(H, C, problem.simplex, A[rows])
        if problem.holes is not None:
            solve_rows_with_holes(
                problem.holes.X[rows], M, problem.simplex, A[rows],
                delta2=problem.delta2, alpha=alpha,
            )  # fmt: skip
    rooted = problem.root and problem.alpha > 0
    if problem.lam == 0 and not rooted:
        return A, True
    if not rooted and not problem.simplex:
        # Neighbours couple the pixels; within one all is solved exactly.
        mode = PROGRAM
    else:
        mode = problem.mode
    B = np.ascontiguousarray(X @ right)
    # The objective flattens out before the abundances stand still.
    for _ in range(max_iter):
        if problem.holes is not None:
            problem.fill_holes(A, M)
            B = np.ascontiguousarray(X @ right)
        before = A.copy()
        sweep_rows(problem, A, B, G, 0, np.zeros(5), mode, 1)
        moved = np.abs(A - before).max(initial=0.0)
        if moved <= tol * max(np.abs(A).max(initial=0.0), _EPS):
            return A, True
    return A, False
