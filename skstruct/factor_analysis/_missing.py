"""Full-information maximum likelihood: the likelihood of the observed entries."""

# SPDX-License-Identifier: BSD-3-Clause

from typing import NamedTuple

import numpy as np
from scipy import linalg

from ._solver import (
    Quadratic,
    _add_curvature,
    _slopes,
    covariance,
    run_newton,
)


class Group(NamedTuple):
    """Rows that observe the same columns."""

    share: float
    columns: np.ndarray
    mean: np.ndarray
    S: np.ndarray


class MissingLikelihood:
    """F of incomplete rows, one term for each pattern of missing entries.

    ``F = sum_g (n_g / n) [log det Sigma_g + tr(Sigma_g^-1 S_g(mean))]``, Sigma_g the
    rows and columns that pattern g observes. The mean is profiled out: given Sigma it
    has a closed form.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows, NaN is missing, at least one entry in each.
    """

    def __init__(self, X):
        self.n, self.p = X.shape
        holes = np.isnan(X)
        patterns, group = np.unique(holes, axis=0, return_inverse=True)
        group = group.reshape(-1)
        self.groups = []
        for g, pattern in enumerate(patterns):
            columns = np.flatnonzero(~pattern)
            rows = X[group == g][:, columns]
            mean = rows.mean(axis=0)
            S = (rows - mean).T @ (rows - mean) / len(rows)
            self.groups.append(Group(len(rows) / self.n, columns, mean, S))

    def _inverses(self, sigma):
        for group in self.groups:
            factor = linalg.cholesky(
                sigma[np.ix_(group.columns, group.columns)],
                lower=True,
                check_finite=False,
            )
            W = linalg.cho_solve((factor, True), np.eye(group.columns.size))
            yield group, W, 2 * np.log(np.diag(factor)).sum()

    def best_mean(self, sigma):
        """Maximum likelihood mean given the covariances."""
        left, right = np.zeros((self.p, self.p)), np.zeros(self.p)
        for group, W, _ in self._inverses(sigma):
            left[np.ix_(group.columns, group.columns)] += group.share * W
            right[group.columns] += group.share * (W @ group.mean)
        return np.linalg.solve(left, right)

    def value(self, params):
        """F at its best mean."""
        return self.value_at(covariance(params))

    def value_at(self, sigma):
        """F of any covariance matrix, at its best mean."""
        mean = self.best_mean(sigma)
        F = 0.0
        for group, W, log_det in self._inverses(sigma):
            off = group.mean - mean[group.columns]
            F += group.share * (log_det + np.sum(W * group.S) + off @ W @ off)
        return float(F)

    def linearise(self, params):
        """Q with ``dF = tr(Q dSigma)``, and the inverses and second moments."""
        sigma = covariance(params)
        best = self.best_mean(sigma)
        Q = np.zeros((self.p, self.p))
        state = []
        for group, W, _ in self._inverses(sigma):
            off = group.mean - best[group.columns]
            V = W @ (group.S + np.outer(off, off)) @ W
            V = (V + V.T) / 2
            at = np.ix_(group.columns, group.columns)
            Q[at] += group.share * (W - V)
            pull = np.zeros(self.p)
            pull[group.columns] = W @ off
            state.append((group.share, self._wide(at, W), self._wide(at, V), pull))
        return Q, state

    def _wide(self, at, W):
        full = np.zeros((self.p, self.p))
        full[at] = W
        return full

    def information(self, form, state):
        """Expected second derivatives of F/2 without the curvature of Sigma."""
        return sum(share * form(W) for share, W, *_ in state)

    def hessian(self, form, state, information):
        """Those of F with the mean held, but for the curvature of Sigma."""
        total = -4 * information
        for share, W, V, _ in state:
            total += 2 * share * (form(W + V) - form(V))
        return total

    def observed_information(self, params, support, orthogonal):
        """Half the exact Hessian of F, the mean profiled out, and the expected one."""
        form = Quadratic(params, support, orthogonal)
        Q, state = self.linearise(params)
        expected = self.information(form, state)
        H = self.hessian(form, state, expected)
        _, QL = _slopes(Q, params, support, orthogonal)
        _add_curvature(H, Q, QL, params, support, orthogonal)
        # d2F / dtheta dmean = 2 sum_g share pull' dSigma W.
        L, G = params.loadings, params.loadings @ params.corr
        rows, columns = support.rows, support.columns
        cross = np.zeros((len(H), self.p))
        by_mean = np.zeros((self.p, self.p))
        nnz, p = support.nnz, support.p
        for share, W, _, pull in state:
            by_mean += 2 * share * W
            WG, WL = W @ G, W @ L
            cross[:nnz] += (2 * share) * (
                pull[rows, None] * WG[:, columns].T
                + (pull @ G)[columns, None] * W[rows]
            )
            cross[nnz : nnz + p] += 2 * share * pull[:, None] * W
            if not orthogonal:
                a, b = np.triu_indices(support.d, 1)
                u = pull @ L
                cross[nnz + p :] += (2 * share) * (
                    u[a, None] * WL[:, b].T + u[b, None] * WL[:, a].T
                )
        H -= cross @ np.linalg.solve(by_mean, cross.T)
        return H / 2, expected


def saturated(X, *, tol=1e-10, max_iter=2000):
    """Unrestricted mean and covariance of incomplete rows by EM.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Standardised by what is observed.
    tol : float
        Stop when no moment changes by more.
    max_iter : int

    Returns
    -------
    mean : ndarray of shape (p,), S : ndarray of shape (p, p)
    """
    problem = MissingLikelihood(X)
    p = problem.p
    mean, S = np.zeros(p), np.eye(p)
    for _ in range(max_iter):
        first, second = np.zeros(p), np.zeros((p, p))
        for share, columns, m, T in problem.groups:
            hidden = np.setdiff1d(np.arange(p), columns)
            # Rows of this pattern completed by regression on what they observe.
            B = np.zeros((p, columns.size))
            B[columns, np.arange(columns.size)] = 1.0
            B[hidden] = np.linalg.solve(
                S[np.ix_(columns, columns)], S[np.ix_(columns, hidden)]
            ).T
            centre = mean + B @ (m - mean[columns])
            spread = B @ T @ B.T
            at = np.ix_(hidden, hidden)
            spread[at] += S[at] - B[hidden] @ S[np.ix_(columns, hidden)]
            first += share * centre
            second += share * (spread + np.outer(centre, centre))
        new = second - np.outer(first, first)
        new = (new + new.T) / 2
        change = max(np.abs(new - S).max(), np.abs(first - mean).max())
        mean, S = first, new
        if change < tol:
            break
    return mean, S


def fit_missing(table, params, support, floor, *, orthogonal, **options):
    """Fit a pattern to incomplete rows on the scale of `table`.

    Returns
    -------
    table : Table
        With the mean of the fitted model and its information matrices.
    fit : Fit
    """
    problem = MissingLikelihood((table.X.astype(float) - table.mean) / table.scale)
    fit = run_newton(problem, params, support, floor, orthogonal=orthogonal, **options)
    shift = problem.best_mean(covariance(fit.params))
    observed, expected = problem.observed_information(fit.params, support, orthogonal)
    incomplete = table.incomplete._replace(observed=observed, expected=expected)
    return (
        table._replace(mean=table.mean + table.scale * shift, incomplete=incomplete),
        fit,
    )


class Incomplete(NamedTuple):
    """What full information adds to a table of moments."""

    F_saturated: float
    F_independent: float
    n_entries: int
    counts: np.ndarray
    observed: np.ndarray | None = None
    expected: np.ndarray | None = None


def read_incomplete(X):
    """Moments of the unrestricted model of incomplete rows.

    Returns
    -------
    rows : ndarray
        Those with at least one entry.
    mean, scale : ndarrays of shape (p,)
    R : ndarray of shape (p, p)
    incomplete : Incomplete
        Objectives on the scale of `scale`.
    """
    holes = np.isnan(X)
    kept = ~holes.all(axis=1)
    rows, holes = X[kept], holes[kept]
    counts = (~holes).sum(axis=0)
    mean, scale = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    Z = (rows - mean) / scale
    m, S = saturated(Z)
    s = np.sqrt(np.diag(S))
    n = len(rows)
    # On the final scale the observed standard deviations are 1 / s.
    F_independent = float(np.sum(counts / n * (1 - 2 * np.log(s))))
    mean, scale = mean + scale * m, scale * s
    R = S / np.outer(s, s)
    np.fill_diagonal(R, 1.0)
    F_saturated = MissingLikelihood((rows - mean) / scale).value_at(R)
    return (
        rows,
        mean,
        scale,
        R,
        Incomplete(F_saturated, F_independent, int(counts.sum()), counts),
    )
