"""Held-out scores that peak at the true rank.

Each is one float, higher is better. A reconstruction error of held-out rows falls
with every added component and would always pick the largest rank; the four
mechanisms here do not, since what is predicted is never used for predicting.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._linalg import whitening


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
        True where a cell is hidden; of those that are NaN nothing is compared.
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
    compared = mask & ~np.isnan(X)
    error = predict(visible, mask)[compared].astype(np.float64) - X[compared]
    return -float(np.mean(error**2))


def canonical_rotation(Sxx, Syy, Sxy):
    """Rotations that make two sets of training scores canonical.

    Parameters
    ----------
    Sxx, Syy : ndarrays of shape (k, k)
        Covariances of the scores of each view.
    Sxy : ndarray of shape (k, k)
        Their cross-covariance.

    Returns
    -------
    Gx, Gy : ndarrays of shape (k, k)
        ``T @ Gx`` and ``U @ Gy`` have uncorrelated columns of unit variance.
        Directions without variance, such as components that are zero, get zero.
    rho : ndarray of shape (k,)
        Correlations of the rotated scores, descending, in [0, 1].
    """
    Wx, Wy = whitening(Sxx), whitening(Syy)
    left, found, right = np.linalg.svd(Wx.T @ Sxy @ Wy)
    Gx, Gy, rho = np.zeros(Sxx.shape), np.zeros(Syy.shape), np.zeros(len(Sxx))
    Gx[:, : len(left)], Gy[:, : len(right)] = Wx @ left, Wy @ right.T
    rho[: found.size] = np.minimum(found, 1.0)
    return Gx, Gy, rho


def cross_prediction(A, B, rho):
    """Covariance-type prediction of one view by the other.

    ``sum_k [2 rho_k mean(a_k b_k) - rho_k^2 (mean a_k^2 + mean b_k^2) / 2]``. A
    direction that does not correlate on held-out rows costs ``rho_k^2``.

    Parameters
    ----------
    A, B : ndarrays of shape (n_samples, n_components)
        Held-out scores, standardised and rotated by training statistics.
    rho : ndarray of shape (n_components,)
        Training correlations.
    """
    A, B = np.asarray(A, dtype=np.float64), np.asarray(B, dtype=np.float64)
    cross = np.mean(A * B, axis=0)
    power = (np.mean(A**2, axis=0) + np.mean(B**2, axis=0)) / 2
    return float(np.sum(2 * rho * cross - rho**2 * power))


def block_holdout(slices, A, solve_relation, folds=2, random_state=0):
    """Share of the squares of relations predicted from other rows and columns.

    Rows and columns are each dealt to `folds` parts. The cells of part a of the rows
    and part b of the columns are predicted by relations estimated from the cells
    outside both, so that every cell is predicted once, by an R that saw neither its
    row nor its column.

    Parameters
    ----------
    slices : iterable of (n, n) arrays or sparse matrices
        NaN is missing, in sparse slices where it is stored.
    A : ndarray of shape (n, k)
        Entities.
    solve_relation : callable
        ``solve_relation(B, G1, G2)`` estimates R of shape (k, k, m) from
        ``B[:, :, t] = A_rows' X_t A_columns`` and the Gram matrices of the rows and
        of the columns of A in use.
    folds : int, default=2
    random_state : int, default=0
        Seed of the parts: the same for all candidates of a search.

    Returns
    -------
    score : float
        1 minus the summed squared prediction error over the sum of squares; 1 is
        perfect, and it can be negative.
    """
    n, k = A.shape
    if folds > n:
        raise ValueError(f"score_folds={folds} must be at most n_entities={n}.")
    rng = np.random.default_rng(random_state)
    parts = [rng.permutation(n) % folds for _ in range(2)]
    # Column block a of these is A with the rows outside part a set to zero.
    spread = []
    for part in parts:
        wide = np.zeros((n, folds, k))
        wide[np.arange(n), part] = A
        spread.append(wide.reshape(n, folds * k))
    blocks, cells, total = [], [], 0.0
    for t, X in enumerate(slices):
        X, hidden, squares = _observed_part(X)
        blocks.append(spread[0].T @ (X @ spread[1]))
        total += squares
        if hidden is not None:
            cells.append((np.full(hidden[0].size, t), *hidden))
    m = len(blocks)
    blocks = np.stack(blocks, axis=-1).reshape(folds, k, folds, k, m)
    cells = tuple(np.concatenate(axis) for axis in zip(*cells)) if cells else None
    grams = [
        np.stack([A[part == a].T @ A[part == a] for a in range(folds)])
        for part in parts
    ]
    if total == 0:
        raise ValueError("score needs a nonzero observed cell: X is zero.")

    error = total
    for a in range(folds):
        for b in range(folds):
            others = [np.arange(folds) != a, np.arange(folds) != b]
            if folds == 1:
                others = [np.array([True])] * 2
            B = blocks[others[0]][:, :, others[1]].sum(axis=(0, 2))
            G1 = grams[0][others[0]].sum(axis=0)
            G2 = grams[1][others[1]].sum(axis=0)
            inside = None
            R = solve_relation(B, G1, G2)
            if cells is not None:
                row, column = parts[0][cells[1]], parts[1][cells[2]]
                training = others[0][row] & others[1][column]
                R = _fill_and_solve(
                    R, B, G1, G2, A, [c[training] for c in cells], solve_relation
                )
                inside = [c[(row == a) & (column == b)] for c in cells]
            Ga, Gb = grams[0][a], grams[1][b]
            GRG = np.einsum("ac,cdt,db->abt", Ga, R, Gb, optimize=True)
            error += float(np.vdot(R, GRG)) - 2.0 * float(np.vdot(blocks[a, :, b], R))
            if inside is not None:
                error -= float(np.sum(_cell_predictions(R, A, inside) ** 2))
    return 1.0 - error / total


def _observed_part(X):
    """X with zeros in missing cells, their places, and the sum of squares."""
    if hasattr(X, "tocoo"):
        hidden = np.isnan(X.data)
        squares = float(np.sum(np.square(X.data[~hidden], dtype=np.float64)))
        if not hidden.any():
            return X, None, squares
        places = X.tocoo()
        X = X.copy()
        X.data[hidden] = 0
        return X, (places.row[hidden], places.col[hidden]), squares
    X = np.asarray(X, dtype=np.float64)
    hidden = np.isnan(X)
    if not hidden.any():
        return X, None, float(np.vdot(X, X))
    X = np.where(hidden, 0.0, X)
    return X, np.nonzero(hidden), float(np.vdot(X, X))


def _cell_predictions(R, A, cells):
    t, i, j = cells
    out = np.empty(t.size)
    step = max(1, 2**20 // max(R.shape[0] ** 2, 1))
    for lo in range(0, t.size, step):
        c = slice(lo, lo + step)
        left = np.einsum("ca,abc->cb", A[i[c]], R[:, :, t[c]])
        out[c] = np.einsum("cb,cb->c", left, A[j[c]])
    return out


def _fill_and_solve(R, B, G1, G2, A, cells, solve_relation, n_iter=30):
    """Relations when some training cells are missing: fill, solve, repeat."""
    t, i, j = cells
    k = A.shape[1]
    for _ in range(n_iter):
        values = _cell_predictions(R, A, cells)
        filled = B.copy()
        step = max(1, 2**20 // max(k * k, 1))
        for lo in range(0, t.size, step):
            c = slice(lo, lo + step)
            starts = np.flatnonzero(np.diff(t[c], prepend=-1))
            outer = np.einsum("c,ca,cb->abc", values[c], A[i[c]], A[j[c]])
            filled[:, :, t[c][starts]] += np.add.reduceat(outer, starts, axis=2)
        new = solve_relation(filled, G1, G2)
        change = np.abs(new - R).max(initial=0.0)
        R = new
        if change <= 1e-6 * np.abs(R).max(initial=0.0):
            break
    return R


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
