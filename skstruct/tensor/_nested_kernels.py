"""Small iterations of the nested model, on matrices of the size of the views."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit

# Share of a view's variance that is noise at least, in the one-factor model.
HEYWOOD_FLOOR = 1e-6
# The start of its maximisation: fillings of the diagonal, power steps for each.
FILLS, POWER_STEPS = 5, 8


@jit(fastmath={"reassoc", "contract"})
def _product(H, x, out):
    for k in range(len(x)):
        total = 0.0
        for l in range(len(x)):
            total += H[k, l] * x[l]
        out[k] = total


@jit(fastmath={"reassoc", "contract"})
def maximise_likelihood(H, tol, max_iter):
    """Loadings and noise of the one-factor model by expectation-maximisation."""
    m = len(H)
    Hw, w, noise = np.empty(m), np.empty(m), np.empty(m)
    # The start: top eigenpair of H without its diagonal, by power steps from the column
    # of the view that is correlated most; then with the factor's share of the diagonal.
    for k in range(m):
        w[k] = np.sum(H[k] * H[k])
    g, value, share = H[np.argmax(w)].copy(), 1.0, np.zeros(m)
    for _ in range(FILLS):
        for _ in range(POWER_STEPS):
            w[:] = g / np.sqrt(np.sum(g * g))
            _product(H, w, g)
            # Keeping the ones of the diagonal shifts the eigenvalues to positive ones.
            g += share * w
        value = np.sqrt(np.sum(g * g))
        for k in range(m):
            share[k] = min(max(value - 1, 0.0) * (g[k] / value) ** 2, H[k, k])
    g *= np.sqrt(max(value - 1, 0.0)) / value
    if value <= 1:
        # Uncorrelated views: any single direction is as good.
        for k in range(m):
            g[k] = np.sqrt(H[k, k] / m)
    for k in range(m):
        noise[k] = max(H[k, k] - g[k] ** 2, 1e-3)

    for _ in range(max_iter):
        # Posterior of the factor given a row: mean w'x, variance 1 / precision.
        precision = 1.0
        for k in range(m):
            w[k] = g[k] / noise[k]
            precision += g[k] * w[k]
        for k in range(m):
            w[k] /= precision
        _product(H, w, Hw)
        power = 1 / precision
        for k in range(m):
            power += w[k] * Hw[k]
        change = largest = 0.0
        for k in range(m):
            new = Hw[k] / power
            change = max(change, abs(new - g[k]))
            largest = max(largest, abs(new))
            g[k] = new
            noise[k] = max(H[k, k] - new * Hw[k], HEYWOOD_FLOOR)
        if change <= tol * largest:
            break
    return g, noise


@jit()
def settle_noise(s, energy, tau, rank, small, large, edge, rounding):
    """Fixed point of the noise level and of the number of spikes."""
    beta = small / large
    for _ in range(10):
        if tau == 0:
            return tau, rank
        left, freedom = energy, float(small * large)
        for k in range(rank):
            # theta^2 as in _spike_strength, for all spikes above the edge.
            y = s[k] / (tau * np.sqrt(large))
            above = (y - (1 + np.sqrt(beta))) * (y + 1 + np.sqrt(beta))
            if not above > 0:
                return tau, rank
            root = np.sqrt(above * (above + 4 * np.sqrt(beta)))
            squared = (above + 2 * np.sqrt(beta) + root) / 2
            left -= s[k] ** 2
            freedom -= large * (1 + beta + beta / squared)
        # With few rows the median alone must do.
        if freedom < 0.25 * small * large or left <= 0:
            return tau, rank
        before, before_rank = tau, rank
        tau = np.sqrt(left / freedom)
        rank = np.sum(s > max(edge * tau, rounding))
        if rank == before_rank and abs(tau - before) <= 1e-10 * tau:
            break
    return tau, rank
