"""Search for reference points among the samples."""

# SPDX-License-Identifier: BSD-3-Clause

from itertools import combinations
from math import comb

import numpy as np
from joblib import effective_n_jobs

from .._parallel import run_tasks
from ._barycentric_kernels import (
    NOISE,
    exact_cost,
    flag_level,
    half_chords,
    scan_candidates,
    scan_points,
    search_subsets,
)
from ._barycentric_space import Span, distance, orthonormal_rows, to_origin

# A reference whose squared residual is below this share of the largest one is
# affinely dependent on those before it.
DEPENDENT = 1e-12

# Costs that differ by less are equal; the smaller index wins.
_TIE = 1e-12

_BLOCK = 256


class SampleCosts:
    """Unexplained variance of spans of samples in a space of constant curvature.

    Parameters
    ----------
    kind : {0, 1, -1}
    H : ndarray of shape (n, 1 + D)
        Samples; the first `n_refs` are the candidates for references.
    weights : ndarray of shape (n,)
        Of sum one.
    p : float
        The cost is the weighted mean of the p-th power of the distance.
    n_refs : int
    n_jobs : int or None
    """

    def __init__(self, kind, H, weights, p, n_refs, n_jobs=None):
        self.kind = kind
        self.H = np.ascontiguousarray(H)
        self.weights = np.ascontiguousarray(weights)
        self.p = float(p)
        self.n_refs = n_refs
        self.n_jobs = n_jobs
        self.n_evaluations = 0

    def _products(self):
        """Function of a block of candidates: products with all; and all squares."""
        metric = np.ones(self.H.shape[1])
        metric[0] = self.kind
        scaled = np.ascontiguousarray((self.H * metric).T)
        squares = np.sum(metric * self.H**2, axis=1)
        return lambda block: self.H[block] @ scaled, squares

    def first_costs(self):
        """Cost of each candidate as the only reference."""
        costs = np.empty(self.n_refs)
        products, squares = self._products()
        for start in range(0, self.n_refs, _BLOCK):
            block = slice(start, min(start + _BLOCK, self.n_refs))
            S = products(block)
            half_chords(self.kind, S, squares[block], squares)
            d = distance(self.kind, None, S)
            costs[block] = (d if self.kind == 0 else 2 * d) ** self.p @ self.weights
        self.n_evaluations += self.n_refs
        return costs

    def best_first(self):
        """The best single reference; most are refused by a bound."""
        n = len(self.H)
        zeros = np.zeros(n)
        bounds = np.empty(self.n_refs)
        products, squares = self._products()
        for start in range(0, self.n_refs, _BLOCK):
            block = slice(start, min(start + _BLOCK, self.n_refs))
            scan_points(
                self.kind,
                self.p,
                products(block),
                squares[block],
                squares,
                zeros,
                self.weights,
                bounds[block],
            )
        self.n_evaluations += self.n_refs
        best, found = np.inf, self.n_refs
        for c in np.argsort(bounds, kind="stable"):
            if not bounds[c] <= best * (1 + _TIE):
                break
            row = products(slice(c, c + 1))
            half_chords(self.kind, row, squares[c : c + 1], squares)
            value = exact_cost(
                self.kind,
                self.p,
                row[0],
                zeros,
                0.0,
                zeros,
                self.weights,
                best * (1 + _TIE),
            )
            if value < best * (1 - _TIE):
                best, found = value, int(c)
            elif value <= best * (1 + _TIE):
                best, found = min(value, best), min(int(c), found)
        return found

    def cost(self, refs):
        """Cost of the span of some samples, from scratch."""
        span = Span.of_points(self.kind, self.H[list(refs)])
        self.n_evaluations += 1
        return float(self.weights @ span.distances(self.H) ** self.p)

    def rest(self, refs):
        """Residual vectors of all samples, and the bound of dependence."""
        base = self.H[refs[0]]
        v = to_origin(self.kind, base, self.H)[:, 1:]
        floor = self._floor(np.sum(v**2, axis=1))
        U, kept = orthonormal_rows(v[list(refs[1:])], floor)
        noise = NOISE * np.sum(v**2, axis=1)
        v = v - (v @ U.T) @ U
        v = np.ascontiguousarray(v - (v @ U.T) @ U)
        return v, floor, noise, len(kept) == len(refs) - 1

    def best_addition(self, refs, candidates):
        """Cheapest sample to add to some references; cost inf when none is left."""
        v, floor, noise, independent = self.rest(refs)
        if not independent:
            return np.inf, -1
        squares = np.sum(v**2, axis=1)
        bounds = np.empty(len(candidates))
        for start in range(0, len(candidates), _BLOCK):
            block = candidates[start : start + _BLOCK]
            scan_candidates(
                self.kind, self.p, v[block] @ v.T, squares, block, floor,
                noise, self.weights, bounds[start : start + _BLOCK],
            )  # fmt: skip
        self.n_evaluations += len(candidates)
        best, found = np.inf, -1
        for c in np.argsort(bounds, kind="stable"):
            if not (np.isfinite(bounds[c]) and bounds[c] <= best * (1 + _TIE)):
                break
            b = int(candidates[c])
            value = exact_cost(
                self.kind, self.p, squares, v @ v[b], 1 / squares[b], noise,
                self.weights, best * (1 + _TIE),
            )  # fmt: skip
            if value < best * (1 - _TIE):
                best, found = value, b
            elif value <= best * (1 + _TIE) and b < found:
                best, found = min(value, best), b
        return best, found

    def _first_residuals(self, first):
        v = to_origin(self.kind, self.H[first], self.H)[:, 1:]
        squares = np.sum(v**2, axis=1)
        return v[: self.n_refs] @ v.T, squares, self._floor(squares)

    def _floor(self, squares):
        """Squared residual of a dependent reference, or of one equal to the first."""
        size = np.max(np.einsum("ij,ij->i", self.H, self.H))
        return max(DEPENDENT * squares.max(), 1e-30 * size)

    def pure(self, m, seed):
        """Best unordered m-subset; `seed` is a good one."""
        if m == 1:
            return (_first_minimum(self.first_costs()),)
        limit = self.cost(seed)

        def search(first):
            E, squares, floor = self._first_residuals(first)
            return search_subsets(
                self.kind, self.p, m, first, E, squares, floor, self.weights, limit
            )

        found = _for_each(search, self.n_refs - m + 1, self.n_jobs)
        self.n_evaluations += sum(n for _, _, n in found)
        best = min(value for value, _, _ in found)
        return _first_subset(found, best, seed)

    def flag(self, m, seed):
        """The m-subset whose best order has the least AUV; `seed` is a good order."""
        n = self.n_refs
        below = self.first_costs()
        if m == 1:
            return (_first_minimum(below),)
        limit = self.auv(seed)
        below = np.ascontiguousarray(below[::-1])
        binomials = np.array(
            [[comb(i, j) for j in range(m + 1)] for i in range(n + 1)], dtype=np.int64
        )
        for size in range(2, m + 1):
            last = size == m

            def fill(first, size=size, below=below, last=last):
                E, squares, floor = self._first_residuals(first)
                n_values = 0 if last else binomials[n - 1 - first, size - 1]
                level = np.full(n_values, np.inf)
                result = flag_level(
                    self.kind, self.p, size, first, E, squares, floor, self.weights,
                    limit, below, binomials, level,
                )  # fmt: skip
                return *result, level

            found = _for_each(fill, n - size + 1, self.n_jobs)
            self.n_evaluations += sum(result[2] for result in found)
            # Subsets are numbered from the end: the largest first number leads.
            below = np.concatenate([level for *_, level in found[::-1]])
        best = min(result[0] for result in found)
        return _first_subset(found, best, seed)

    def auv(self, order):
        """Accumulated unexplained variance of the flag of an order."""
        return sum(self.cost(order[: i + 1]) for i in range(len(order)))


class ProjectionCosts(SampleCosts):
    """The same by one projection of all samples on each span that is tried.

    For convex weights, ordered spectra and manifolds of varying curvature, where no
    recursion gives the residuals.

    Parameters
    ----------
    residuals : callable
        ``residuals(refs)`` -> distances of all samples (n,), or None when the
        references are dependent.
    """

    def __init__(self, residuals, n, weights, p, n_refs, n_jobs=None):
        self.residuals = residuals
        self.weights = weights
        self.p = float(p)
        self.n_refs = n_refs
        self.n_jobs = n_jobs
        self.n_evaluations = 0
        self._known = {}

    def cost(self, refs):
        key = tuple(sorted(refs))
        if key not in self._known:
            self.n_evaluations += 1
            d = self.residuals(key)
            value = np.inf if d is None else float(self.weights @ d**self.p)
            self._known[key] = value
        return self._known[key]

    def first_costs(self):
        return np.array([self.cost((i,)) for i in range(self.n_refs)])

    def best_first(self):
        return _first_minimum(self.first_costs())

    def best_addition(self, refs, candidates):
        costs = np.array([self.cost((*refs, int(b))) for b in candidates])
        if not np.isfinite(costs).any():
            return np.inf, -1
        c = _first_minimum(costs)
        return costs[c], int(candidates[c])

    def pure(self, m, seed):
        subsets = list(combinations(range(self.n_refs), m))
        return subsets[_first_minimum(np.array([self.cost(s) for s in subsets]))]

    def flag(self, m, seed):
        limit = self.auv(seed)
        auv = {(i,): self.cost((i,)) for i in range(self.n_refs)}
        for size in range(2, m + 1):
            above = {}
            for subset in combinations(range(self.n_refs), size):
                least = min(
                    auv.get(subset[:i] + subset[i + 1 :], np.inf) for i in range(size)
                )
                if least <= limit * (1 + 1e-9):
                    above[subset] = least + self.cost(subset)
            auv = above
        subsets = list(auv)
        return subsets[_first_minimum(np.array([auv[s] for s in subsets]))]


def _for_each(function, n, n_jobs):
    """``[function(0), ..., function(n - 1)]`` in a few tasks of like size.

    Small first numbers start more subsets: they are dealt out in turn.
    """
    workers = effective_n_jobs(n_jobs)
    n_tasks = 1 if workers == 1 else min(n, 4 * workers)

    def deal(task):
        return [function(i) for i in range(task, n, n_tasks)]

    dealt = run_tasks(deal, [(task,) for task in range(n_tasks)], n_jobs)
    return [dealt[i % n_tasks][i // n_tasks] for i in range(n)]


def _first_subset(found, best, seed):
    """The smallest index set within rounding of the best, else the seed.

    Nothing is found where rounding puts every subset above the limit of the search.
    """
    if np.isfinite(best):
        for value, subset, *_ in found:
            if value <= best * (1 + _TIE):
                return tuple(int(i) for i in subset)
    return tuple(sorted(seed))


def _first_minimum(values):
    """Lowest index whose value is the minimum up to rounding."""
    return int(np.argmax(values <= np.min(values) * (1 + _TIE)))


# -- strategies ------------------------------------------------------------------------


def forward(costs, m, start=()):
    """Greedy: the best single sample, then one more at a time.

    Returns fewer than m references when no further sample is independent of them.
    """
    refs = tuple(start) or (costs.best_first(),)
    candidates = np.arange(costs.n_refs)
    while len(refs) < m:
        free = candidates[~np.isin(candidates, refs)]
        value, b = costs.best_addition(refs, free) if len(free) else (np.inf, -1)
        if not np.isfinite(value):
            break
        refs = (*refs, b)
    return refs


def exchange(costs, refs, max_sweeps):
    """Swap one reference for one sample while the cost of the largest span falls.

    Returns
    -------
    refs : tuple
    value : float
    n_sweeps : int
    """
    value = costs.cost(refs)
    candidates = np.arange(costs.n_refs)
    n_sweeps = 0
    while n_sweeps < max_sweeps:
        n_sweeps += 1
        before = value
        for i in range(len(refs)):
            others = refs[:i] + refs[i + 1 :]
            free = candidates[~np.isin(candidates, others)]
            if others:
                found, b = costs.best_addition(others, free)
            else:
                singles = costs.first_costs()
                b = _first_minimum(singles)
                found = singles[b]
            if found < value * (1 - 1e-10):
                refs, value = (*refs[:i], b, *refs[i + 1 :]), found
        if not value < before * (1 - 1e-10):
            break
    return refs, value, n_sweeps


def exchange_restarts(costs, m, start, n_init, max_sweeps, rng):
    """Best of exchanges from a start and from random subsets."""
    best, best_value, n_sweeps = exchange(costs, start, max_sweeps)
    for _ in range(n_init - 1):
        first = int(rng.randint(costs.n_refs))
        trial = (first,)
        for b in rng.permutation(costs.n_refs):
            if len(trial) == m:
                break
            if b != first and np.isfinite(costs.best_addition(trial, b[None])[0]):
                trial = (*trial, int(b))
        if len(trial) < m:
            continue
        refs, value, sweeps = exchange(costs, trial, max_sweeps)
        n_sweeps += sweeps
        if value < best_value * (1 - _TIE):
            best, best_value = refs, value
    return best, n_sweeps


def backward(costs, refs, m):
    """Remove the reference whose loss costs least, until one is left; keep m.

    The order of removal, reversed, is the order of the references.
    """
    refs = tuple(sorted(refs))
    removed = []
    while len(refs) > 1:
        values = [costs.cost(refs[:i] + refs[i + 1 :]) for i in range(len(refs))]
        i = _first_minimum(np.array(values))
        removed.append(refs[i])
        refs = refs[:i] + refs[i + 1 :]
    return (*refs, *removed[::-1])[:m]


def best_order(costs, refs):
    """Order of some references with the least AUV, by dynamic programming."""
    refs = tuple(sorted(refs))
    if len(refs) > 12:
        return backward(costs, refs, len(refs))
    auv = {(): (0.0, ())}
    for size in range(1, len(refs) + 1):
        for subset in combinations(refs, size):
            options = [auv[subset[:i] + subset[i + 1 :]][0] for i in range(size)]
            i = _first_minimum(np.array(options))
            order = auv[subset[:i] + subset[i + 1 :]][1]
            auv[subset] = (options[i] + costs.cost(subset), (*order, subset[i]))
    return auv[refs][1]
