"""A causal order without latents, as a start of the search."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

_MAX_ROWS = 5000
# Constants of the maximum entropy approximation of Hyvarinen (1998).
_K1, _K2, _GAMMA = 79.047, 7.4129, 0.37457


def entropy(U):
    """Approximate differential entropy of standardised columns."""
    log_cosh = np.logaddexp(U, -U) - np.log(2)
    bump = U * np.exp(-0.5 * U * U)
    return (
        0.5 * (1 + np.log(2 * np.pi))
        - _K1 * (log_cosh.mean(axis=0) - _GAMMA) ** 2
        - _K2 * bump.mean(axis=0) ** 2
    )


def direct_order(Z, allowed=None):
    """DirectLiNGAM: most independent variable first, then its residuals, and so on.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        Standardised.
    allowed : callable, default=None
        ``allowed(chosen, rest)`` lists the variables of `rest` that may come next.
    """
    X = Z[:: max(1, len(Z) // _MAX_ROWS)].copy()
    rest, order = list(range(Z.shape[1])), []
    while rest:
        options = rest if allowed is None else allowed(order, rest)
        if len(options) == 1 or len(rest) == 1:
            chosen = options[0]
        else:
            chosen = options[int(np.argmin(_dependence(X[:, rest], rest, options)))]
        order.append(chosen)
        rest.remove(chosen)
        x = X[:, chosen]
        slope = x @ X[:, rest] / (x @ x)
        X[:, rest] -= np.outer(x, slope)
    return order


def _dependence(X, rest, options):
    """Squared negative parts of the entropy differences of each option."""
    X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-150)
    r = X.T @ X / len(X)
    own = entropy(X)
    p = len(rest)
    residual = np.empty((p, p))
    for i in range(p):
        # Column j: the residual of j on i, of unit variance.
        U = (X - np.outer(X[:, i], r[i])) / np.sqrt(np.maximum(1 - r[i] ** 2, 1e-12))
        residual[:, i] = entropy(U)
    # difference[i, j] > 0 where i looks like the cause of j.
    difference = (own[None, :] + residual) - (own[:, None] + residual.T)
    np.fill_diagonal(difference, 0.0)
    total = np.sum(np.minimum(difference, 0.0) ** 2, axis=1)
    return [total[rest.index(i)] for i in options]


def order_regressions(S, order, n, t_limit=3.0):
    """OLS of each variable on those before it; edges of |t| above the limit."""
    p = len(S)
    B = np.zeros((p, p))
    for k, i in enumerate(order[1:], 1):
        before = order[:k]
        G = S[np.ix_(before, before)]
        inverse = np.linalg.pinv(G)
        b = inverse @ S[before, i]
        variance = max(S[i, i] - b @ S[before, i], 1e-12)
        t = b / np.sqrt(variance * np.diag(inverse) / max(n - k - 1, 1))
        strong = np.abs(t) > t_limit
        kept = [v for v, keep in zip(before, strong) if keep]
        if kept:
            B[i, kept] = np.linalg.pinv(S[np.ix_(kept, kept)]) @ S[kept, i]
    return B
