"""Held-out scores that peak at the true rank.

Each is one float, higher is better. A reconstruction error of held-out rows falls
with every added component and would always pick the largest rank; the four
mechanisms here do not, since what is predicted is never used for predicting.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np


def hidden_entries(observed, fraction, random_state):
    """Choose a share of each row's observed entries to hide.

    The choice depends on `random_state`, the row number and the column alone: all
    candidates of a grid search are scored on the same holes. At least one observed
    entry stays in every row.

    Parameters
    ----------
    observed : ndarray of bool, shape (n_samples, n_features)
    fraction : float in (0, 1)
    random_state : int or numpy Generator
        With a Generator, consecutive blocks of rows hide what one call would.

    Returns
    -------
    hidden : ndarray of bool, shape (n_samples, n_features)
    """
    n, p = observed.shape
    priority = np.random.default_rng(random_state).random((n, p))
    priority[~observed] = np.inf
    n_observed = observed.sum(axis=1)
    n_hidden = np.minimum(np.rint(fraction * n_observed), n_observed - 1).clip(min=0)
    # The entries with the smallest priorities of their row are hidden.
    rank = np.argsort(np.argsort(priority, axis=1), axis=1)
    return rank < n_hidden[:, None]


def hidden_columns(n_features, fraction, random_state):
    """Choose a share of the columns to hide, the same for every row and candidate."""
    n_hidden = min(max(1, round(fraction * n_features)), n_features - 1)
    hidden = np.zeros(n_features, dtype=bool)
    chosen = np.random.default_rng(random_state).permutation(n_features)[:n_hidden]
    hidden[chosen] = True
    return hidden


def hidden_block_error(X, mask, predict):
    """Minus the mean squared error on hidden cells (column-block prediction).

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    mask : ndarray of bool, (n_samples, n_features) or (n_features,)
        True where a cell is hidden.
    predict : callable
        ``predict(X_visible, mask)`` returns predictions of shape X.shape;
        X_visible has NaN in the hidden cells.

    Returns
    -------
    score : float
    """
    mask = np.broadcast_to(mask, X.shape)
    if not mask.any():
        raise ValueError(
            "No entry can be hidden: score needs rows with two observed entries."
        )
    visible = np.where(mask, np.nan, X)
    error = predict(visible, mask)[mask].astype(np.float64) - X[mask]
    return -float(np.mean(error**2))


def cross_prediction(A, B, rho):
    """Covariance-type prediction of one view by the other.

    ``sum_k [2 rho_k mean(a_k b_k) - rho_k^2 (mean a_k^2 + mean b_k^2) / 2]``. A
    direction that does not correlate on held-out rows costs ``rho_k^2``.

    Parameters
    ----------
    A, B : ndarrays of shape (n_samples, n_components)
        Held-out scores, standardised and rotated by training statistics.
    rho : ndarray of shape (n_components,)
        Training correlations (covariances for PLS).
    """
    A, B = np.asarray(A, dtype=np.float64), np.asarray(B, dtype=np.float64)
    cross = np.mean(A * B, axis=0)
    power = (np.mean(A**2, axis=0) + np.mean(B**2, axis=0)) / 2
    return float(np.sum(2 * rho * cross - rho**2 * power))


def gaussian_log_density(D2, log_det, dim):
    """Log-density of a Gaussian at squared Mahalanobis distance `D2`.

    Parameters
    ----------
    D2 : ndarray
    log_det : float or ndarray
        Log-determinant of the covariance.
    dim : int
    """
    return -0.5 * (D2 + log_det + dim * np.log(2 * np.pi))
