"""Which structures are candidates, and which of them is chosen."""

# SPDX-License-Identifier: BSD-3-Clause

import itertools
import warnings
from numbers import Integral

import numpy as np
from joblib import effective_n_jobs
from scipy.special import gammaln
from sklearn.model_selection import KFold

from .._parallel import run_tasks
from ._cliques import (
    even_grid,
    levels_of_data,
    path_of_levels,
    threshold_grid,
    threshold_path,
)
from ._completion import Candidate, Completer, efa_similarity, smc_similarity
from ._data import MAX_DENSE
from ._estimate import estimate
from ._solver import Support, run_em, standard_start

_FULL_FITS = 10
_COMPLETED_FITS = 8
# From here on candidates are pruned by the length of their interval first.
_MANY_VARIABLES = 2000
_ROUGH_FIRST_FROM = 300
_SCALED_GRID = np.arange(1, 50) * 0.02


class StructureSelection:
    """The choice of a structure, for an estimator with the parameters it reads."""

    # Candidates ----------------------------------------------------------------

    def _similarities(self, table):
        p, n = table.scale.size, table.n
        kinds = [self.similarity]
        if self.similarity == "auto":
            kinds = ["correlation", *(["smc"] if p < n else []), "efa"]
        elif self.similarity == "smc" and p >= n:
            raise ValueError(
                f"similarity='smc' needs more rows than variables, got {n:g} rows and "
                f"{p} variables."
            )
        if p > MAX_DENSE:
            if self.similarity != "correlation" or self.refine != "none":
                raise ValueError(
                    "similarity and refine are limited to "
                    f"{MAX_DENSE} variables, got {p}."
                )
            return [("correlation", table.moments._S)]
        R = table.moments.S
        made = {
            "correlation": lambda: R,
            "smc": lambda: smc_similarity(R),
            "efa": lambda: efa_similarity(R, n),
        }
        return [(kind, made[kind]()) for kind in kinds]

    def _grid(self, S):
        if not isinstance(self.threshold, str):
            return np.array([float(self.threshold)])
        plain = self.similarity == "correlation" and self.refine == "none"
        if self.thresholds is None and not plain:
            return _SCALED_GRID
        if S is None:
            if isinstance(self.thresholds, str):
                raise ValueError(
                    f"thresholds='all' is limited to {MAX_DENSE} variables; give a "
                    "number of thresholds."
                )
            n_default = 100 if self.thresholds is None else self.thresholds
            if isinstance(n_default, Integral):
                return even_grid(int(n_default))
            return threshold_grid(np.eye(2), n_default)
        return threshold_grid(S, self.thresholds)

    def _structures(self, table):
        """Distinct candidates of all similarities, by similarity and threshold."""
        p = table.scale.size
        candidates, seen = [], set()
        for label, S in self._similarities(table):
            grid = self._grid(S)
            options = {"min_size": self.min_clique_size, "n_jobs": self.n_jobs}
            if S is None:
                rows = table.moments._Z.astype(np.float32)
                path = path_of_levels(levels_of_data(rows, grid), grid, **options)
            else:
                path = threshold_path(S, grid, keep_empty=False, **options)
            completing = self.similarity != "correlation" or self.refine != "none"
            for s in path:
                if completing and s.n_factors > p / 2:
                    continue
                key = (s.indptr.tobytes(), s.members.tobytes())
                if key not in seen:
                    seen.add(key)
                    candidates.append((label, s))
        return candidates

    # Choice --------------------------------------------------------------------

    def _choose(self, table):
        """The chosen candidate (or None) and the entries of ``path_``."""
        structures = self._structures(table)
        entries = [_entry(label, s) for label, s in structures]
        p = table.scale.size
        usable = [
            i
            for i, (_, s) in enumerate(structures)
            if s.n_factors >= 1 and self._count(s) <= p * (p + 1) // 2
        ]
        if not isinstance(self.threshold, str):
            found = [i for i, (_, s) in enumerate(structures) if s.n_factors >= 1]
            if not found:
                return None, entries
            return self._complete_one(table, structures[found[0]]), entries
        if self.threshold == "plateau" and self.refine == "none":
            return _plateau(structures, usable), entries
        if not usable:
            return None, entries
        if self.refine != "none":
            return self._choose_completed(table, structures, usable, entries), entries
        return self._choose_fitted(table, structures, usable, entries), entries

    def _count(self, s):
        d = s.n_factors
        free = 0 if self.orthogonal else d * (d - 1) // 2
        return s.n_loadings + s._n_features + free

    def _criterion(self, table, F, mask):
        """What the rule minimises, up to a constant of the data."""
        p = len(mask)
        q = Support(mask).n_parameters(self.orthogonal)
        if self.threshold == "aic":
            return table.n * F + 2 * q
        value = table.n * F + q * np.log(table.n)
        if self.threshold == "ebic":
            size = mask.sum(axis=0)
            count = gammaln(p + 1) - gammaln(size + 1) - gammaln(p - size + 1)
            value += 2 * self.ebic_gamma * float(np.sum(count))
        return value

    def _offset(self, table):
        p = table.scale.size
        log_scale = 2 * np.sum(np.log(table.scale))
        return table.n * (p * np.log(2 * np.pi) + log_scale)

    def _choose_fitted(self, table, structures, usable, entries):
        """Ten EM steps for all, a full fit for the best."""
        p = table.scale.size
        if p > _MANY_VARIABLES:
            # The longest intervals: each fit costs too much to try them all.
            span = [structures[i][1].n_thresholds for i in usable]
            order = np.argsort(-np.array(span), kind="stable")[:_FULL_FITS]
            usable = [usable[k] for k in sorted(order)]
        # Masks are made once and kept only for what is fitted.
        masks = {i: structures[i][1].support for i in usable}
        if p > _ROUGH_FIRST_FROM:
            # A factor per three variables is the most that can be told apart.
            usable = [i for i in usable if 3 * masks[i].shape[1] <= p] or usable
            usable = self._screen(table, masks, usable)
        rough = self._in_batches(self._rough_fit, [(table, masks[i]) for i in usable])
        value = {
            i: self._criterion(table, F, masks[i])
            for i, F in zip(usable, rough, strict=True)
        }
        for i, F in zip(usable, rough, strict=True):
            self._note(table, entries[i], F, masks[i], value[i], False, False)
        best = sorted(usable, key=lambda i: (value[i], i))[:_FULL_FITS]
        fits = self._in_batches(
            self._full_fit, [(table, masks[i]) for i in sorted(best)]
        )
        chosen, least = None, np.inf
        for i, fit in zip(sorted(best), fits, strict=True):
            value[i] = self._criterion(table, fit.F, masks[i])
            heywood = bool(np.any(fit.params.noise <= self.min_noise * (1 + 1e-6)))
            self._note(
                table, entries[i], fit.F, masks[i], value[i], fit.converged, heywood
            )
            if value[i] < least:
                chosen, least = i, value[i]
        if self.threshold == "cv":
            chosen = self._cross_validated(table, structures, sorted(best), entries)
        label, s = structures[chosen]
        return Candidate(
            masks[chosen], label=label, threshold=s.threshold, tau_high=s.tau_high
        )

    def _in_batches(self, function, tasks):
        """``function(*task)`` for all tasks; dispatching each would cost more."""
        n_batches = min(len(tasks), 4 * effective_n_jobs(self.n_jobs))
        bounds = np.linspace(0, len(tasks), n_batches + 1).astype(int)
        batches = [
            (function, tasks[a:b]) for a, b in itertools.pairwise(bounds) if b > a
        ]
        results = run_tasks(_run_batch, batches, self.n_jobs)
        return [result for batch in results for result in batch]

    def _screen(self, table, masks, usable):
        """The better ones after a single EM step, for many variables."""
        tasks = [(table, masks[i], 1) for i in usable]
        rough = self._in_batches(self._rough_fit, tasks)
        value = {
            i: self._criterion(table, F, masks[i])
            for i, F in zip(usable, rough, strict=True)
        }
        return sorted(sorted(usable, key=lambda i: (value[i], i))[: 2 * _FULL_FITS])

    def _rough_fit(self, table, mask, n_steps=10):
        support = Support(mask)
        floor = np.full(support.p, max(self.min_noise, 1e-12))
        start = standard_start(table.moments, support, self.orthogonal)
        fit = run_em(
            table.moments, start, support, floor,
            n_steps=n_steps, orthogonal=self.orthogonal,
        )  # fmt: skip
        return fit.F

    def _full_fit(self, table, mask):
        return estimate(
            table,
            Support(mask),
            orthogonal=self.orthogonal,
            min_noise=self.min_noise,
            tol=self.tol,
            max_iter=self.max_iter,
            comparing=True,
        )[1]

    def _note(self, table, entry, F, mask, value, converged, heywood):
        q = Support(mask).n_parameters(self.orthogonal)
        offset = self._offset(table)
        entry["bic"] = float(table.n * F + q * np.log(table.n) + offset)
        entry["criterion"] = float(value + offset)
        entry["converged"], entry["heywood"] = bool(converged), bool(heywood)

    def _cross_validated(self, table, structures, best, entries):
        """Held-out log-likelihood of each threshold, its structure learnt anew."""
        # At the middle of its interval a structure is stable under resampling.
        thresholds = [
            (label, (s.tau_low + s.tau_high) / 2)
            for label, s in (structures[i] for i in best)
        ]
        folds = list(KFold(self.cv).split(table.X))
        tasks = [
            (table.X[train], table.X[test], label, tau)
            for label, tau in thresholds
            for train, test in folds
        ]
        scores = self._in_batches(self._held_out, tasks)
        mean = np.mean(np.reshape(scores, (len(best), len(folds))), axis=1)
        for i, value in zip(best, mean, strict=True):
            entries[i]["criterion"] = float(-value)
        return best[int(np.argmax(mean))]

    def _held_out(self, train, test, label, tau):
        model = type(self)(
            **{
                **self.get_params(deep=False),
                "threshold": tau,
                "similarity": label,
                "n_jobs": 1,
                "verbose": 0,
            }
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model.fit(train).score(test)

    # Completion ------------------------------------------------------------------

    def _completer(self, table):
        return Completer(
            table.moments,
            table.n,
            orthogonal=self.orthogonal,
            min_noise=self.min_noise,
            min_items=self.min_items,
            gamma=self.ebic_gamma,
        )

    def _choose_completed(self, table, structures, usable, entries):
        work = self._completer(table)
        seeds = [
            Candidate(
                s.support, label=label, threshold=s.threshold, tau_high=s.tau_high
            )
            for label, s in (structures[i] for i in usable)
        ]
        assigned = self._in_batches(_assign, [(work, c) for c in seeds])
        kept = [k for k, c in enumerate(assigned) if c is not None]
        kept.sort(key=lambda k: (work.bic(assigned[k]), k))
        best = sorted(kept[:_COMPLETED_FITS])
        if not best:
            return None
        pure = [seeds[k].mask.sum(axis=1) == 1 for k in best]
        refined = self._in_batches(
            _refine,
            [
                (work, assigned[k], self.refine, own)
                for k, own in zip(best, pure, strict=True)
            ],
        )
        for k in kept:
            entry, c = entries[usable[k]], assigned[k]
            self._note(table, entry, c.F, c.mask, work.bic(c), False, False)
        chosen, least = None, np.inf
        for k, c in zip(best, refined, strict=True):
            extended = self.refine == "score"
            value = work.extended(c) if extended else work.bic(c)
            heywood = bool(np.any(c.params.noise <= self.min_noise * (1 + 1e-6)))
            entry = entries[usable[k]]
            self._note(table, entry, c.F, c.mask, value, c.converged, heywood)
            entry["n_components"], entry["n_loadings"] = c.d, c.nnz
            if value < least:
                chosen, least = c, value
        return chosen

    def _complete_one(self, table, structure):
        label, s = structure
        c = Candidate(
            s.support, label=label, threshold=s.threshold, tau_high=s.tau_high
        )
        if self.refine == "none":
            return c
        work = self._completer(table)
        own = c.mask.sum(axis=1) == 1
        done = _assign(work, c)
        return c if done is None else _refine(work, done, self.refine, own)


def _run_batch(function, tasks):
    return [function(*task) for task in tasks]


def _assign(work, candidate):
    c = candidate.copy()
    return c if work.assign(c) else None


def _refine(work, candidate, how, own):
    c = candidate.copy()
    work.em(c, 20)
    if how == "score":
        work.score(c)
    elif how == "marker":
        work.marker(c, own)
    work.finish(c)
    return c


def _entry(label, s):
    return {
        "threshold": float(s.threshold),
        "tau_high": float(s.tau_high),
        "similarity": label,
        "n_components": int(s.n_factors),
        "n_loadings": int(s.n_loadings),
        "bic": float("nan"),
        "criterion": float("nan"),
        "converged": False,
        "heywood": False,
    }


def _plateau(structures, usable):
    """The structure with several factors that lasts over the longest interval."""
    several = [i for i in usable if structures[i][1].n_factors > 1] or usable
    if not several:
        return None
    longest = max(several, key=lambda i: _span(structures[i][1]))
    label, s = structures[longest]
    return Candidate(s.support, label=label, threshold=s.threshold, tau_high=s.tau_high)


def _span(s):
    return (round(s.tau_high - s.tau_low, 12), s.n_thresholds)
