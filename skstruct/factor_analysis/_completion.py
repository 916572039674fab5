"""Scaled similarities, and the completion of structures found on real data.

On real data no single threshold suits strong and weak factors, and many variables
stay without a factor. A structure is completed before structures are compared:
variables without a factor are assigned by a structural EM, then cross-loadings are
added by score tests and weak ones dropped, as long as a penalised likelihood gains.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._exploratory_solver import (
    loadings_given_noise,
    run_exploratory,
    squared_multiple_uniqueness,
)
from ._kernels import drop_losses, row_score_tests
from ._solver import Params, Support, expectation, m_step, run_em, standard_start

_SMC_CLIP = 1.5
_LOW_COMMUNALITY = 0.1
_ASSIGN_ROUNDS = 12
_SCORE_ROUNDS = 100
_MARKER_ROUNDS = 25


def smc_similarity(R):
    """|r_ij| over the square roots of two squared multiple correlations."""
    h = np.sqrt(np.clip(1 - squared_multiple_uniqueness(R), 0.05, 0.95))
    S = np.minimum(np.abs(R) / np.outer(h, h), _SMC_CLIP)
    np.fill_diagonal(S, 1.0)
    return S


def efa_similarity(R, n):
    """|cosine| between the rows of unrotated exploratory loadings."""
    p = len(R)
    d = parallel_analysis(R, n)
    if p >= n or p > 500:
        loadings = _principal_axes(R, d)
    else:
        floor = np.full(p, 0.005)
        fit = run_exploratory(R, d, floor, tol=1e-6, max_iter=50)
        loadings = loadings_given_noise(R, fit.params.noise, d)
    length = np.sqrt(np.sum(loadings**2, axis=1))
    weak = length**2 < _LOW_COMMUNALITY
    rows = np.where(weak[:, None], 0.0, loadings / np.maximum(length, 1e-12)[:, None])
    S = np.abs(rows @ rows.T)
    np.fill_diagonal(S, 1.0)
    return S


def parallel_analysis(R, n):
    """Number of leading eigenvalues above 1.02 times those of independent samples."""
    p = len(R)
    rng = np.random.default_rng(0)
    n = int(n)
    spectra = []
    for _ in range(5 if p > 60 else 10):
        Z = rng.standard_normal((n, p))
        Z -= Z.mean(axis=0)
        Z /= np.linalg.norm(Z, axis=0)
        values = np.zeros(p)
        small = Z @ Z.T if n < p else Z.T @ Z
        found = np.linalg.eigvalsh(small)[::-1]
        values[: found.size] = found
        spectra.append(values)
    above = np.linalg.eigvalsh(R)[::-1] > 1.02 * np.mean(spectra, axis=0)
    leading = p if above.all() else int(np.argmin(above))
    return max(1, min(leading, p // 2))


def _principal_axes(R, d):
    communality = np.full(len(R), 0.5)
    for _ in range(10):
        reduced = R.copy()
        np.fill_diagonal(reduced, communality)
        values, vectors = np.linalg.eigh(reduced)
        loadings = vectors[:, -d:] * np.sqrt(np.maximum(values[-d:], 0.0))
        communality = np.clip(np.sum(loadings**2, axis=1), 0.005, 0.95)
    return loadings


class Candidate:
    """A structure, its estimates and its criterion, all of which may still change."""

    def __init__(self, mask, *, label="correlation", threshold=np.nan, tau_high=np.nan):
        self.mask = mask
        self.label, self.threshold, self.tau_high = label, threshold, tau_high
        self.params = None
        self.F = np.inf
        self.converged = False

    def copy(self):
        """An independent one with the same contents; arrays are never written to."""
        twin = Candidate.__new__(Candidate)
        twin.__dict__.update(self.__dict__)
        return twin

    @property
    def nnz(self):
        """Number of free loadings."""
        return int(self.mask.sum())

    @property
    def d(self):
        """Number of factors."""
        return self.mask.shape[1]


class Completer:
    """Fits and completes candidates on one correlation matrix.

    Parameters
    ----------
    moments : Moments
    n : float
        Number of rows.
    orthogonal : bool
    min_noise : float
    min_items : int
        Factors with fewer variables are deleted.
    gamma : float
        Weight of the extra penalty of the extended BIC.
    """

    def __init__(self, moments, n, *, orthogonal, min_noise, min_items, gamma):
        self.moments, self.n, self.orthogonal = moments, n, orthogonal
        self.floor = np.full(moments.p, max(min_noise, 1e-12))
        self.min_items, self.gamma = min_items, gamma

    def start(self, c):
        """Standard start for the candidate's pattern."""
        c.params = standard_start(self.moments, Support(c.mask), self.orthogonal)

    def em(self, c, n_steps, tol=0.0):
        """EM steps on the candidate's pattern, from its estimates."""
        loadings = np.where(c.mask, c.params.loadings, 0.0)
        fit = run_em(
            self.moments,
            c.params._replace(loadings=loadings),
            Support(c.mask),
            self.floor,
            n_steps=n_steps,
            tol=tol,
            orthogonal=self.orthogonal,
        )
        c.params, c.F, c.converged = fit.params, fit.F, fit.converged

    def bic(self, c):
        """BIC up to a constant of the data."""
        d = c.d
        q = c.nnz + self.moments.p + (0 if self.orthogonal else d * (d - 1) // 2)
        return self.n * c.F + q * np.log(self.n)

    def extended(self, c):
        """BIC with a penalty for the choice of each further cross-loading."""
        p = self.moments.p
        extra = max(c.nnz - p, 0)
        return self.bic(c) + 2 * self.gamma * np.log(p * max(c.d, 1)) * extra

    # Steps 1 to 3 --------------------------------------------------------------

    def assign(self, c):
        """Give variables without a factor to one, delete small factors, repeat.

        Returns
        -------
        kept : bool
            False when no factor is left.
        """
        self.start(c)
        self.em(c, 8)
        self._assign_rounds(c)
        for attempt in range(4):
            counts = c.mask.sum(axis=0)
            small = counts < self.min_items
            if not small.any():
                return True
            if small.all() or attempt == 3:
                return False
            keep = ~small
            loadings, corr, noise = c.params
            c.mask = c.mask[:, keep]
            c.params = Params(
                loadings[:, keep],
                corr[np.ix_(keep, keep)],
                np.where(c.mask.any(axis=1), noise, self.moments.diag),
            )
            self.em(c, 8)
            self._assign_rounds(c)
        return True

    def _assign_rounds(self, c):
        log_n = np.log(self.n)
        for _ in range(_ASSIGN_ROUNDS):
            free = np.flatnonzero(~c.mask.any(axis=1))
            if not free.size:
                return
            e = expectation(self.moments, c.params)
            # By EM's lower bound -2 log-likelihood falls by at least the sum of the
            # gains: each row's regression on one factor, the factors' moments held.
            share = e.T[free] ** 2 / (np.diag(e.C) * self.moments.diag[free, None])
            gain = -self.n * np.log1p(-np.minimum(share, 1 - 1e-12))
            best = np.argmax(gain, axis=1)
            joins = gain[np.arange(free.size), best] > log_n
            if not joins.any():
                return
            c.mask = c.mask.copy()
            c.mask[free[joins], best[joins]] = True
            c.params = m_step(
                self.moments, e, Support(c.mask), self.floor, self.orthogonal
            )
            self.em(c, 6)

    # Step 4 --------------------------------------------------------------------

    def score(self, c):
        """Add cross-loadings by score tests and drop weak ones, in batches."""
        p, d = c.mask.shape
        penalty = np.log(self.n) + 2 * self.gamma * np.log(p * d)
        share = 0.5
        for _ in range(_SCORE_ROUNDS):
            before = self.n * c.F + penalty * c.nnz
            trial = c.copy()
            added = self._add(trial, penalty, share)
            if added:
                self.em(trial, 8)
            dropped = self._drop_weakest(trial, penalty)
            if not added and not dropped:
                return
            if dropped:
                self.em(trial, 8)
            if self.n * trial.F + penalty * trial.nnz < before:
                c.mask, c.params, c.F = trial.mask, trial.params, trial.F
            else:
                share += 0.2
                if share > 0.95:
                    return

    def _add(self, c, penalty, share):
        loadings, corr, noise = c.params
        e = expectation(self.moments, c.params)
        slope = -(loadings @ e.C - e.T) / noise[:, None]
        WG = e.A @ e.M
        GWG = (loadings @ corr).T @ WG
        weight = 1 / noise - np.sum(WG * e.A, axis=1)
        tests = np.empty(c.mask.shape)
        row_score_tests(
            slope, weight, np.ascontiguousarray(WG), np.ascontiguousarray(GWG),
            c.mask, tests,
        )  # fmt: skip
        tests *= self.n
        best = np.argmax(tests, axis=1)
        size = tests[np.arange(len(tests)), best]
        chosen = np.flatnonzero((size > penalty) & (size >= share * size.max()))
        width = c.mask.sum(axis=1)
        home = np.argmax(c.mask, axis=1)
        own = np.bincount(home[width == 1], minlength=c.d)
        mask, added = c.mask.copy(), 0
        for i in chosen[np.argsort(-size[chosen], kind="stable")]:
            # The last variable of its own is what identifies a factor.
            if width[i] == 1:
                if own[home[i]] == 1:
                    continue
                own[home[i]] -= 1
            mask[i, best[i]] = True
            added += 1
        c.mask = mask
        return added

    def _drop_weakest(self, c, penalty, fraction=0.0):
        """In each row with several loadings drop the weakest, or a share of them."""
        e = expectation(self.moments, c.params)
        losses = np.empty(c.mask.shape)
        drop_losses(
            np.ascontiguousarray(c.params.loadings), e.C, c.params.noise, c.mask, losses
        )
        losses *= self.n
        width = c.mask.sum(axis=1)
        order = np.argsort(losses, axis=1, kind="stable")
        rank = np.argsort(order, axis=1, kind="stable")
        limit = np.maximum(1, np.ceil(fraction * width)).astype(int)
        limit = np.minimum(limit, width - 1)
        drop = (losses < penalty) & (rank < limit[:, None])
        dropped = int(drop.sum())
        if dropped:
            c.mask = c.mask & ~drop
        return dropped

    # Step 4, the other form ------------------------------------------------------

    def marker(self, c, seeds):
        """Free all loadings but those of one marker a factor, then thin them out."""
        p, d = c.mask.shape
        width = c.mask.sum(axis=1)
        strength = np.abs(c.params.loadings) * (c.mask & (width == 1)[:, None])
        # A variable that made the clique is preferred to one that joined later.
        strength = strength + 10.0 * (strength > 0) * seeds[:, None]
        markers = np.argmax(strength, axis=0)
        mask = np.ones((p, d), dtype=bool)
        mask[markers] = False
        mask[markers, np.arange(d)] = True
        c.mask = mask
        self.em(c, 120)
        penalty = np.log(self.n)
        for _ in range(_MARKER_ROUNDS):
            if not self._drop_weakest(c, penalty, fraction=1 / 3):
                return
            self.em(c, 16)

    def finish(self, c):
        """EM until the log-likelihood moves by less than 0.01 a step."""
        self.em(c, 400, tol=0.02 / self.n)
