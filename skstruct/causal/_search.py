"""Search for the structure with the smallest criterion.

The criterion of a structure is Q + price (edges + loadings) + (free weights), with Q
the minimum of the quadratic form of the moment residuals. A move changes the structure;
its parameters start from those of the structure it came from.
"""

# SPDX-License-Identifier: BSD-3-Clause

from collections import Counter
from copy import copy
from dataclasses import replace
from itertools import combinations
from statistics import median

import numpy as np

from . import _gmm_kernels as kernels
from ._structure import Model, is_acyclic, paths

_NEVER = 1e300
_MIN_DECREASE = 0.05
_LOOK_AHEAD = 40.0
# How many of the new latents (or a sixth) go on after one step.
_SIEVE = 8
# Fits of the same structure that differ by less count as one.
_SAME_FIT = 0.02
# Fits in a step of the local search, roughly; fits times squared number of moments that
# are worth threads, a few milliseconds.
_STEP_FITS = 6
_WORTH_THREADS = 5e5


class Search:
    """Moves and their judgement on one set of moments.

    Parameters
    ----------
    moments : Moments
    price : float
        Per edge and loading.
    min_children : int
    max_latents : int
    required, forbidden : ndarrays of bool of shape (p, p), or None
        Directed paths from column to row that must, must not exist.
    max_steps : int
    tol : float
    pool : concurrent.futures.Executor or None
        Threads for independent fits.
    """

    def __init__(
        self,
        moments,
        price,
        min_children,
        max_latents,
        required,
        forbidden,
        max_steps,
        tol,
        pool,
    ):
        self.moments = moments
        self.price = price
        self.log_n = np.log(moments.n)
        self.min_children = min_children
        self.max_latents = max_latents
        self.required, self.forbidden = required, forbidden
        self.max_steps, self.tol, self.pool = max_steps, tol, pool
        p = moments.S.shape[0]
        self.best_with = np.full((p, p), np.inf)
        self.trace = []
        # What is known of a structure: where searches from it end, and its moves.
        self.known, self.ends, self.turned, self.grown = {}, {}, {}, {}

    # -- evaluation ------------------------------------------------------------

    def allowed(self, mask_B):
        """Acyclic and in agreement with the prior knowledge."""
        if not is_acyclic(mask_B):
            return False
        if self.required is None:
            return True
        closure = paths(mask_B)
        # Both are empty on the diagonal.
        return not (
            np.any(self.required & ~closure) or np.any(self.forbidden & closure)
        )

    def fit(self, model, *, jump=False, steps=None, bound=np.inf, tol=None):
        """Fit a model from its own parameters; abandoned above `bound`."""
        penalty = kernels.penalty(model.mask_B, model.mask_L, self.price)
        target = min(bound - penalty, _NEVER)
        M = self.moments
        Q, B, Lam, k2, d, _ = kernels.fit(
            M.c, M.H, M.H32, M.W, M.start, M.ea, M.eb, model.mask_B, model.mask_L,
            model.B, model.Lam, model.k2, model.d, M.n, jump,
            self.max_steps if steps is None else steps,
            self.tol if tol is None else tol, target,
        )  # fmt: skip
        criterion = Q + penalty
        seen = self.best_with[model.mask_B]
        self.best_with[model.mask_B] = np.minimum(seen, criterion)
        return Model(model.mask_B, model.mask_L, B, Lam, k2, d, Q, criterion)

    def apart(self, task, models, fits=1):
        """``task(search, model)`` for every model, in threads where that is worth it.

        `fits` is the usual number of fits of a task. Threads work on copies of this
        search with records of their own, which are joined in the order of the models:
        nothing depends on the threads.
        """
        size = len(models) * fits * len(self.moments.c) ** 2
        if self.pool is None or len(models) < 2 or size < _WORTH_THREADS:
            return [task(self, model) for model in models]

        def work(model):
            own = copy(self)
            own.trace, own.best_with = [], np.full_like(self.best_with, np.inf)
            return task(own, model), own

        results = []
        for result, own in self.pool.map(work, models):
            self.trace += own.trace
            np.minimum(self.best_with, own.best_with, out=self.best_with)
            results.append(result)
        return results

    def fit_many(self, models, **options):
        """Fit independent candidates."""
        return self.apart(lambda own, model: own.fit(model, **options), models)

    def moves(self, model):
        M = self.moments
        return kernels.moves(
            M.c, M.H, M.H32, M.W, M.start, M.ea, M.eb, model.mask_B, model.mask_L,
            model.B, model.Lam, model.k2, model.d, M.n,
        )  # fmt: skip

    def note(self, move, model):
        self.trace.append((move, model.criterion))

    # -- searches ----------------------------------------------------------------

    def local(self, model):
        """Single deletions and additions until none lowers the criterion."""
        return self.local_many([model])[0]

    def local_many(self, models):
        """Local searches from several structures, in step.

        The step from a structure is remembered: searches that meet go on as one.
        """
        ahead = models
        while ahead:
            # Of fits of one structure the best is stepped from: chains then descend.
            ahead = sorted(ahead, key=lambda m: m.criterion, reverse=True)
            fresh = {m.key: m for m in ahead if not self._stepped(m)}
            found = self.apart(Search._step, list(fresh.values()), _STEP_FITS)
            for key, after in zip(fresh, found):
                self.known[key] = fresh[key], after
            ahead = [after for after in found if after is not None]
        return [self._end(model) for model in models]

    def _stepped(self, model):
        """Whether the step from its structure is known, from as good a fit."""
        before, _ = self.known.get(model.key, (None, None))
        return before is not None and before.criterion < model.criterion + _SAME_FIT

    def _end(self, model):
        while True:
            before, after = self.known[model.key]
            if after is None:
                return min(model, before, key=lambda m: m.criterion)
            model = after

    def _step(self, model):
        wald_B, wald_L, gain, step = self.moves(model)
        better = self._deletion(model, wald_B, wald_L)
        return better or self._addition(model, wald_B, gain, step)

    def _deletion(self, model, wald_B, wald_L):
        limit = 1.3 * self.price
        weak = [(wald_B[i, j], 0, i, j) for i, j in np.argwhere(wald_B < limit)]
        weak += [(wald_L[i, k], 1, i, k) for i, k in np.argwhere(wald_L < limit)]
        for _, kind, i, j in sorted(weak)[:2]:
            if kind:
                candidate = model.without_loading(i, j, self.min_children)
            else:
                candidate = model.without_edge(i, j)
            if not self.allowed(candidate.mask_B):
                continue
            fitted = self.fit(candidate, bound=model.criterion)
            if fitted.criterion < model.criterion - _MIN_DECREASE:
                self.note("delete", fitted)
                return fitted
        return None

    def _addition(self, model, wald_B, gain, step):
        p = len(model.k2)
        closure = paths(model.mask_B)
        # closing[i, j]: j -> i closes a cycle, since i leads to j already.
        closing = closure.T.copy()
        limit = np.full(gain.shape, 0.7 * self.price)
        limit[:, :p][closing] = 0.5 * self.price
        np.fill_diagonal(limit[:, :p], np.inf)
        places = np.argwhere(gain > limit)
        order = np.argsort(-gain[tuple(places.T)], kind="stable")
        candidates = []
        for i, j in places[order]:
            if j < p:
                new = model.with_edge(i, j, step[i, j], wald_B)
                if not self.allowed(new.mask_B):
                    continue
            else:
                new = model.with_loading(i, j - p, step[i, j])
            candidates.append(new)
            if len(candidates) == 3:
                break
        best = model
        for candidate in candidates:
            fitted = self.fit(candidate, bound=best.criterion)
            if fitted.criterion < best.criterion:
                best = fitted
        if best.criterion >= model.criterion - _MIN_DECREASE:
            return None
        self.note("add", best)
        return best

    def reversals(self, model):
        """The three best reversals of an edge, briefly fitted."""
        key = model.key
        if key not in self.turned:
            self.turned[key] = self._reversals(model)
        return self.turned[key]

    def _reversals(self, model):
        candidates = [
            new
            for i, j in np.argwhere(model.mask_B)
            if self.allowed((new := model.reversed_edge(i, j)).mask_B)
        ]
        fitted = self.fit_many(candidates, steps=8, bound=model.criterion + 60.0)
        return _best(fitted, 3, model.criterion + 60.0)

    def polish(self, model):
        """Local search, then reversals of edges followed by local search."""
        model = self.local(model)
        while True:
            tried = self.local_many(self.reversals(model))
            best = min(tried, key=lambda m: m.criterion, default=model)
            if best.criterion >= model.criterion - _MIN_DECREASE:
                return model
            self.note("reverse", best)
            model = best

    def new_latents(self, model):
        """The most promising insertions and splits of latents, briefly fitted."""
        q = model.mask_L.shape[1]
        if q >= self.max_latents:
            return []
        key = model.key
        if key not in self.grown:
            self.grown[key] = self._new_latents(model)
        return self.grown[key]

    def _new_latents(self, model):
        q = model.mask_L.shape[1]
        candidates, origin = [], []
        # The new latent takes the covariance of its children from the edges between
        # them, or what the latents at hand leave of it.
        covariances = [self.moments.S]
        if q:
            total = np.linalg.solve(np.eye(len(model.k2)) - model.B, model.Lam)
            covariances.append(self.moments.S - total @ total.T)
        for number, children in enumerate(self._candidate_sets(model)):
            for S in covariances:
                for new in self._insertions(model, children, S):
                    candidates.append(new)
                    origin.append(number)
        for k in range(q):
            for new in self._splits(model, k):
                candidates.append(new)
                origin.append(-1 - len(origin))
        # One step tells the hopeless ones; the others get more.
        fitted = self.fit_many(candidates, steps=1, jump=True)
        best = {}
        for number, new in sorted(zip(origin, fitted), key=lambda t: t[1].criterion):
            best.setdefault(new.key, (number, new))
        kept = list(best.values())[: max(_SIEVE, len(fitted) // 6)]
        origin, candidates = zip(*kept) if kept else ((), ())
        fitted = self.fit_many(candidates, steps=4, bound=model.criterion + 60.0)
        chosen, used = [], Counter()
        for number, new in sorted(zip(origin, fitted), key=lambda t: t[1].criterion):
            used[number] += 1
            if used[number] <= 2:
                chosen.append(new)
            if len(chosen) == 4:
                break
        return chosen

    def _candidate_sets(self, model):
        """Correlated triples with two edges or three; larger sets that are cliques."""
        adjacent = model.mask_B | model.mask_B.T
        S, n = self.moments.S, self.moments.n
        dependent = np.abs(S) > 3 / np.sqrt(n)
        if self.forbidden is not None:
            # No edge can show that a latent is missing between these.
            adjacent |= self.forbidden & self.forbidden.T & dependent
        # The effects of an edge and of a latent may cancel in the correlation.
        dependent |= adjacent
        sets = [set(model.children(k)) for k in range(model.mask_L.shape[1])]
        for size in range(self.min_children, max(self.min_children, 5) + 1):
            pairs = size * (size - 1) // 2
            # A missing edge in a triple is forgiven, and one in a larger set.
            for group in combinations(range(len(S)), size):
                inside = np.ix_(group, group)
                if dependent[inside].sum() < size * size:
                    continue
                if adjacent[inside].sum() // 2 < pairs - 1:
                    continue
                if any(s == set(group) for s in sets):
                    continue
                yield group

    def _insertions(self, model, group, S):
        p = len(model.k2)
        loadings = np.zeros(p)
        for x in group:
            rest = [t for t in group if t != x]
            sizes = [
                abs(S[x, y] * S[x, z]) / max(abs(S[y, z]), 1e-12)
                for y, z in combinations(rest, 2)
            ] or [abs(S[x, rest[0]])]
            sign = -1.0 if x != group[0] and S[group[0], x] < 0 else 1.0
            loadings[x] = sign * min(max(median(sizes), 0.15), 0.85) ** 0.5
        k2 = model.k2.copy()
        k2[list(group)] *= 0.6
        k2 = np.maximum(k2, 0.02)
        inside = [(i, j) for i in group for j in group if model.mask_B[i, j]]
        variants = [(inside, 1.0)]
        if len(group) == 3 and len(inside) == 3:
            variants += [([edge], 0.8) for edge in inside]
        elif len(group) == 3 and len(inside) == 2:
            variants.append(([], 0.8))
        elif len(group) > 3:
            # One edge of a larger set survives: each is tried.
            variants += [([e for e in inside if e != kept], 0.9) for kept in inside]
        if self.required is not None:
            variants = [
                ([edge for edge in removed if not self.required[edge]], factor)
                for removed, factor in variants
            ]
        for removed, factor in variants:
            mask_B, B = model.mask_B.copy(), model.B.copy()
            for edge in inside:
                if edge in removed:
                    mask_B[edge] = False
                else:
                    B[edge] *= 0.6
            if not self.allowed(mask_B):
                continue
            rest = replace(model, mask_B=mask_B, B=B * mask_B, k2=k2)
            yield rest.with_latent(factor * loadings)

    def _splits(self, model, k):
        children = model.children(k)
        if len(children) < max(5, self.min_children):
            return
        for part in combinations(children, self.min_children):
            rest = [i for i in children if i not in part]
            need = max(0, self.min_children - len(rest))
            for shared in combinations(part, need):
                old = np.zeros(len(model.k2))
                old[rest + list(shared)] = model.Lam[rest + list(shared), k]
                new = np.zeros(len(model.k2))
                new[list(part)] = model.Lam[list(part), k]
                Lam, mask_L = model.Lam.copy(), model.mask_L.copy()
                Lam[:, k], mask_L[:, k] = old, old != 0
                yield replace(model, Lam=Lam, mask_L=mask_L).with_latent(new)

    def grow(self, model):
        """Add the latent that lowers the criterion most, or None."""
        tried = self.local_many(self.new_latents(model))
        better = self._accept("latent", tried, model)
        if better is not None:
            return better
        # Two latents may only pay together: look one step further.
        near = [m for m in _best(tried, 4, model.criterion + _LOOK_AHEAD)]
        near = list({m.key: m for m in near if m.key != model.key}.values())[:1]
        second = self.local_many([m for one in near for m in self.new_latents(one)])
        return self._accept("two latents", second, model)

    def fewer_latents(self, model):
        """Each latent dropped, each pair of latents merged; briefly fitted."""
        q = model.mask_L.shape[1]
        found = self.fit_many([model.without_latent(k) for k in range(q)])
        merged = [
            model.merged(k, l, self.moments.S) for k, l in combinations(range(q), 2)
        ]
        merged = self.fit_many(merged, jump=True, bound=model.criterion + 60.0)
        return found + _best(merged, 3, model.criterion + 60.0)

    def shrink(self, model):
        """Drop or merge latents where that lowers the criterion most, or None."""
        tried = self.local_many(self.fewer_latents(model))
        return self._accept("remove latent", tried, model)

    def _accept(self, move, tried, model):
        best = min(tried, key=lambda m: m.criterion, default=model)
        if best.criterion >= model.criterion - _MIN_DECREASE:
            return None
        self.note(move, best)
        return best

    def run(self, model):
        """Polish; then add and remove latents in turn until neither helps."""
        model = self.polish(self.fit(model, jump=True))
        passed = []
        # From a structure that an earlier search came by there is one way to go on.
        while model.key not in self.ends:
            passed.append(model.key)
            better = self.grow(model) or self.shrink(model)
            if better is None:
                self.ends[model.key] = model
            else:
                model = self.polish(better)
        end = self.ends[model.key]
        self.ends.update(dict.fromkeys(passed, end))
        return end


def _best(models, count, bound):
    ranked = sorted(models, key=lambda m: m.criterion)
    return [m for m in ranked[:count] if m.criterion < bound]


def refine(pair, full, model):
    """Second stage: candidates prepared by `pair`, judged by `full`, until no gain.

    `model` is fitted on all moments (`full`).
    """
    model = full.local(model)
    for _ in range(50):
        rough = pair.fit(model)
        candidates = pair.new_latents(rough) + pair.fewer_latents(rough)
        candidates = pair.local_many(candidates + pair.reversals(rough))
        candidates.sort(key=lambda m: m.criterion)
        fresh = {m.key: m for m in reversed(candidates) if m.key != model.key}
        fitted = full.fit_many(list(fresh.values()), bound=model.criterion + 60.0)
        near = _best(fitted, 2, model.criterion + 30.0)
        better = full._accept("refine", full.local_many(near), model)
        if better is None:
            return model
        model = better
    return model
