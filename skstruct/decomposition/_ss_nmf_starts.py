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
from ._ss_nmf_solver import Graph, solve_abundances, solve_cd

# Iterations after which starts are compared. Extrapolation is in full swing by then,
# and those that end in the same minimum are close together.
_SCREENING = 25

# Starts are compared on at most this many samples; a start is a set of spectra, and
# so many samples determine it.
_SCREENED_ROWS = 20_000

_RANDOM = ("vca", "random")


@dataclass
class Starts:
    """How the first endmembers are found."""

    init: object
    n_init: int
    n_components: int
    n_jobs: int | None

    def best(self, problem, rng):
        """The start with the lowest objective after a few iterations.

        Returns
        -------
        A : ndarray of shape (N, K), M : ndarray of shape (K, L)
        """
        candidates = [self._scaled(problem, M) for M in self._candidates(problem, rng)]
        if len(candidates) == 1:
            return _abundances(problem, candidates[0]), candidates[0]
        A, M = self._screen(problem, candidates, rng)
        if A.shape[0] == problem.X.shape[0]:
            return A, M
        return _abundances(problem, M), M

    def _screen(self, problem, candidates, rng):
        screened = _screening_problem(problem, self.n_components, rng)
        found = run_tasks(
            _refine, [(screened, M) for M in candidates], n_jobs=self.n_jobs
        )
        chosen = min(found, key=lambda solution: solution.objective)
        return np.ascontiguousarray(chosen.A, dtype=problem.X.dtype), chosen.M

    def _candidates(self, problem, rng):
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
        # Seeds are drawn first: a start does not depend on the others.
        seeds = rng.randint(np.iinfo(np.int32).max, size=self.n_init)
        if self.init == "random":
            level = max(np.sqrt(X.mean() / K), _FLOOR)
            return [
                level * np.abs(check_random_state(seed).standard_normal((K, L)))
                for seed in seeds
            ]
        check_enough(X, K)
        Y, spectra = PixelCloud(X, K).points(K)
        different = {}
        for seed in seeds:
            chosen = vca_pixels(Y, check_random_state(seed))
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


def _refine(problem, M):
    return solve_cd(problem, _abundances(problem, M), M, max_iter=_SCREENING, tol=1e-7)


def _screening_problem(problem, K, rng):
    """A smaller problem with nearly the same minima.

    Many samples are thinned out and lose their graph; many bands are compressed to
    the leading directions of the samples, which leaves the endmembers what they are.
    """
    X = problem.X
    N, L = X.shape
    if N > _SCREENED_ROWS:
        chosen = np.unique(rng.randint(N, size=_SCREENED_ROWS))
        X = X[chosen] if sparse.issparse(X) else np.ascontiguousarray(X[chosen])
        problem = replace(
            problem, X=X, graph=Graph.of(None, X.dtype), lam=0.0, norm2=None
        )
    d = 4 * K + 4
    if sparse.issparse(X) or 3 * d > L or L > 1000:
        return problem
    _, vectors = np.linalg.eigh((X.T @ X).astype(np.float64))
    V = np.ascontiguousarray(vectors[:, ::-1][:, :d])
    Z = np.ascontiguousarray(X @ V.astype(X.dtype))
    return replace(problem, X=Z, basis=V, norm2=problem.norm2)
