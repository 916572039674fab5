"""Starting points of structured sparse NMF, and the choice among them."""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from sklearn.decomposition._nmf import _initialize_nmf
from sklearn.utils import check_array, check_random_state

from .._parallel import run_tasks
from ._endmembers import (
    _FLOOR,
    PixelCloud,
    check_enough,
    dense_rows,
    spa_pixels,
    vca_pixels,
)
from ._ss_nmf_solver import (
    Graph,
    row_chunks,
    solve_abundances,
    solve_cd,
    squared_norm,
    sweep_rows,
)

# Iterations after which starts are compared. Extrapolation is in full swing by then,
# and those that end in the same minimum are close together. Half as many tell good
# from bad starts much less often.
_SCREENING = 12

# Starts are compared on about this many samples; a start is a set of spectra, and
# so many samples determine it.
_SCREENED_ROWS = 2500

# Coordinates of the samples in leading directions may take as much memory as this.
_COORDINATE_BYTES = 16 << 20

# Where they do not, this many samples stand for all.
_MANY_ROWS = 20_000

# In few coordinates the products are cheap, and repeated updates of a sample cost
# little more than one: they save iterations.
_N_INNER = 6

# Updates of the abundances for the spectra of a start.
_N_ROUGH = 24

# Subspace iterations for the leading directions.
_POWER = 6

# No closer than this: the last digits belong to the full data.
_REFINED_TOL = 1e-6


@dataclass
class Starts:
    """How the first endmembers are found."""

    init: object
    n_init: int
    n_components: int
    n_jobs: int | None

    def best(self, problem, rng, *, max_iter, tol):
        """The start with the lowest objective after a few iterations, refined.

        All of it works on a smaller problem with nearly the same minima: the
        coordinates of the samples in their leading directions. Given endmembers are
        taken as they are, others are refined for up to `max_iter` iterations.

        Returns
        -------
        A : ndarray of shape (N, K), M : ndarray of shape (K, L)
        refined : bool
            Whether they solve the smaller problem for all samples.
        """
        holes = problem.holes is not None
        if holes:
            # The guesses in the holes are good enough for a start.
            problem = replace(problem, holes=None, norm2=None)
        small = _compressed(problem, self.n_components, rng)
        candidates = self._candidates(problem, small, rng)
        candidates = [self._scaled(problem, M) for M in candidates]
        M = candidates[0]
        if len(candidates) > 1:
            screened = replace(_thinned(small), n_inner=_N_INNER)
            tasks = [(screened, M, _SCREENING, 1e-4) for M in candidates]
            found = run_tasks(_refine, tasks, n_jobs=self.n_jobs)
            M = min(found, key=lambda solution: solution.objective).M
        given = not isinstance(self.init, str)
        if given or max_iter == 0 or small.basis is None:
            return problem.laid_out(_abundances(problem, M)), M, False
        small = replace(small, n_inner=max(problem.n_inner, _N_INNER))
        found = _refine(small, M, max_iter, max(tol, _REFINED_TOL))
        if found.A.shape[0] == problem.X.shape[0]:
            A = found.A.astype(problem.X.dtype, copy=False)
            return A, found.M, found.converged and not holes
        return problem.laid_out(_abundances(problem, found.M)), found.M, False

    def _candidates(self, problem, small, rng):
        X, K = problem.X, self.n_components
        L = X.shape[1]
        if not isinstance(self.init, str):
            M = check_array(self.init, dtype=np.float64, input_name="init")
            if M.shape != (K, L):
                raise ValueError(
                    f"init must have shape (n_components, n_features) = ({K}, {L}), "
                    f"got {M.shape}."
                )
            if M.min() < 0:
                raise ValueError(
                    f"init must not be negative; its minimum is {M.min()}."
                )
            return [M]
        if self.init == "spa":
            check_enough(X, K)
            return [np.maximum(dense_rows(X, spa_pixels(X, K)), _FLOOR)]
        if self.init.startswith("nndsvd"):
            check_enough(X, K)
            return [_initialize_nmf(X, K, init=self.init, random_state=rng)[1]]
        if self.init == "random":
            level = max(np.sqrt(X.mean() / K), _FLOOR)
            # Seeds are drawn first: a start does not depend on the others.
            seeds = rng.randint(np.iinfo(np.int32).max, size=self.n_init)
            return [
                level * np.abs(check_random_state(seed).standard_normal((K, L)))
                for seed in seeds
            ]
        check_enough(X, K)
        if small.basis is None or small.X.shape[0] < X.shape[0]:
            Y, spectra = PixelCloud(X, K).points(K)
        else:
            power = problem.norm2 / X.shape[0]
            cloud = PixelCloud(small.X, K, power=power, n_bands=L)
            Y, coordinates = cloud.points(K)

            def spectra(chosen):
                return coordinates(chosen) @ small.basis.T

        different = {}
        for _ in range(self.n_init):
            chosen = vca_pixels(Y, rng)
            different.setdefault(tuple(sorted(chosen)), chosen)
        return [np.maximum(spectra(chosen), _FLOOR) for chosen in different.values()]

    @staticmethod
    def _scaled(problem, M):
        M = np.array(M, dtype=np.float64)
        if problem.unit:
            size = np.linalg.norm(M, axis=1, keepdims=True)
            M = np.where(size > 0, M, 1.0)
            M /= np.linalg.norm(M, axis=1, keepdims=True)
        return M


def _abundances(problem, M):
    """Of each sample by itself; the square root starts from no penalty."""
    plain = replace(
        problem,
        lam=0.0,
        alpha=0.0 if problem.root else problem.alpha,
        root=False,
    )
    return solve_abundances(plain, M, tol=0.0)[0]


def _rough_abundances(problem, M):
    """Of each sample by itself, by a number of updates from zero."""
    A = problem.laid_out(np.zeros((problem.X.shape[0], M.shape[0])))
    B = (problem.rows_times(M).T @ problem.single.T).T
    alone = replace(problem, lam=0.0)
    sweep_rows(alone, A, B, M @ M.T, 0, np.zeros(5), n_inner=_N_ROUGH)
    return A


def _refine(problem, M, max_iter, tol):
    start = _abundances if problem.single is None else _rough_abundances
    A = start(problem, M)
    # Bolder than on X: an iteration that has to be taken back costs little.
    return solve_cd(problem, A, M, max_iter=max_iter, tol=tol, growth=1.1)


def _leading_directions(X, d):
    """Orthonormal (L, d) whose span holds nearly all of the rows of X.

    Subspace iteration: directions of noise need not be told apart.
    """
    X = X.astype(np.float32)
    gram = (X.T @ X).astype(np.float64)
    V = check_random_state(0).standard_normal((X.shape[1], d))
    for _ in range(_POWER):
        V = np.linalg.qr(gram @ V)[0]
    return V


def _compressed(problem, K, rng):
    """A smaller problem with nearly the same minima.

    Many bands are compressed to the leading directions of the samples, which leaves
    the endmembers what they are. Samples too many even for that are thinned out and
    lose their graph.
    """
    X = problem.X
    N, L = X.shape
    d = K + 4
    narrow = sparse.issparse(X) or 3 * d > L or L > 1000
    limit = _MANY_ROWS if narrow else max(_MANY_ROWS, _COORDINATE_BYTES // (d * 8))
    chosen, size, norm2 = None, N, problem.norm2
    if N > limit:
        chosen = np.unique(rng.randint(N, size=_MANY_ROWS))
        size, norm2 = chosen.size, 0.0
        problem = replace(problem, graph=Graph.of(None, X.dtype), lam=0.0)
        if narrow:
            return replace(problem, X=X[chosen], norm2=None)
    if narrow:
        return problem
    # A part of the samples shows the directions.
    V = _leading_directions(X[:: max(1, N // _SCREENED_ROWS)], d)
    # By direction, since all sums over samples are of that form.
    Z = np.empty((size, d), order="F")
    right = V.astype(X.dtype)
    for rows in row_chunks(size, L * X.itemsize):
        # Chosen samples are never copied all at once.
        block = X[rows] if chosen is None else X[chosen[rows]]
        Z[rows] = block @ right
        if chosen is not None:
            norm2 += squared_norm(block)
    small = replace(problem, X=Z, basis=V, norm2=norm2)
    if not small.by_component:
        return small
    # Sweeps in single precision take little more than half of the time. What they
    # find is exact, and so is the objective: products and sums are in double.
    graph = small.graph
    if graph.bands is not None:
        graph = replace(graph, bands=graph.bands.astype(np.float32, copy=False))
    return replace(small, graph=graph, single=Z.astype(np.float32))


def _thinned(problem):
    """Runs of neighbouring samples with the graph inside of them."""
    X, g = problem.X, problem.graph
    N = X.shape[0]
    step = N // _SCREENED_ROWS
    if step < 2:
        return problem
    run = int(np.sqrt(N))
    chosen = np.flatnonzero(np.arange(N) // run % step == 0)
    single, dtype = problem.single, X.dtype
    if single is not None:
        single, dtype = np.asfortranarray(single[chosen]), single.dtype
        X = np.asfortranarray(X[chosen])
    else:
        X = X[chosen] if sparse.issparse(X) else np.ascontiguousarray(X[chosen])
    if problem.lam > 0:
        weights = g.weights if g.weights.size else g.all_weights()
        W = sparse.csr_array((weights, g.indices, g.indptr), shape=(N, N))
        W = W[chosen][:, chosen]
        W.sort_indices()
        g = Graph.of(W, dtype).banded()
    return replace(problem, X=X, graph=g, norm2=None, single=single)
