"""Batch steps after a pass: expectation-maximisation and merging."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from . import _gaussian
from ._stream import floor_covariance

# Pairs that are tried before merging ends, and steps after each merger.
_TRIALS = 3
_MERGE_STEPS = 3


def rest_of(stream):
    """Arrays of the mixture at rest."""
    K = stream.K
    factors, log_dets = stream.precision_factors()
    counts = stream.state[2, :K]
    return {
        "weights": counts / counts.sum(),
        "means": stream.mean[:K].copy(),
        "factors": factors,
        "log_dets": log_dets,
    }


def covariances_of(stream):
    """Covariances (K, D, D)."""
    return np.array([_gaussian.covariance_of(F) for F in stream.precision_factors()[0]])


def replace(stream, counts, means, covariances, ages, rules):
    """Put new components into the state."""
    K = counts.size
    stream.K = K
    stream.mean[:K] = means
    stream.state[2, :K] = counts
    stream.age[:K] = ages
    stream.n_updates[:K] = 0
    for j in range(K):
        stream.set_covariance(j, covariances[j], rules)


def merge_stream(stream, rules, *, n_components=None, threshold=None):
    """Merge close components by moments."""
    ages = stream.age[: stream.K].copy()
    counts, means, covariances, groups = _gaussian.merge(
        stream.state[2, : stream.K],
        stream.mean[: stream.K],
        covariances_of(stream),
        n_components=n_components,
        threshold=threshold,
    )
    oldest = [ages[group].max() for group in groups]
    replace(stream, counts, means, covariances, oldest, rules)


def refine(stream, X, sample_weight, rules, n_iter, step):
    """Steps of batch EM from the components of the pass, then merging by BIC.

    Components of fewer than D + 1 points are first merged into their neighbours.
    The initial covariance stays in as one pseudo-observation of every component,
    as in the pass: each step raises ``sum log p(x) - 1/2 sum_j tr(Sigma_0 P_j)``.
    A pass tends to split clusters; afterwards close pairs are merged, with some steps
    each, as long as that sum falls by less than the parameters saved are worth in the
    Bayesian information criterion.

    Returns
    -------
    objective : list of float
        The sum before each of the first steps.
    """
    D = X.shape[1]
    ages = stream.age[: stream.K].copy()
    *model, groups = _gaussian.merge_small(
        stream.state[2, : stream.K], stream.mean[: stream.K], covariances_of(stream),
        minimum=min(D + 1, sample_weight.sum() / 2),
    )  # fmt: skip
    model.append(np.array([ages[group].max() for group in groups]))
    history = []
    with _gaussian.small_blas(D):
        for i in range(n_iter):
            model, objective = _em_step(model, X, sample_weight, rules)
            history.append(objective)
            if step(i, objective):
                break
        model = _merge_by_bic(model, X, sample_weight, rules)
    replace(stream, *model, rules)
    return history


def _em_step(model, X, sample_weight, rules):
    """One step; returns the new model and the objective of the old one."""
    counts, means, covariances, ages = model
    factors, log_dets = _gaussian.factor_covariances(covariances)
    masses, shifts, scatters, total = _gaussian.em_statistics(
        X, sample_weight, counts / counts.sum(), means, factors, log_dets
    )
    penalty = np.einsum("kij,kij,i->", factors, factors, rules.init)
    # A component without a single point has nothing to estimate.
    keep = masses > min(1.0, 0.5 * masses.max())
    counts, shifts = masses[keep], shifts[keep] / masses[keep, None]
    covariances = (scatters[keep] + np.diag(rules.init)) / counts[:, None, None]
    covariances -= shifts[:, :, None] * shifts[:, None, :]
    covariances = np.array(
        [floor_covariance(C, rules.spread, rules.reg)[0] for C in covariances]
    )
    new = [counts, means[keep] + shifts, covariances, ages[keep]]
    return new, total - 0.5 * penalty


def _merge_by_bic(model, X, sample_weight, rules):
    """Merge close pairs, a third of the components at a time while that is harmless."""
    D = X.shape[1]
    worth = 0.5 * (1 + D + D * (D + 1) / 2) * np.log(max(sample_weight.sum(), 2.0))
    after, objective = _em_step(model, X, sample_weight, rules)
    refused = []
    at_once = model[0].size // 3
    while model[0].size > 1 and len(refused) < _TRIALS:
        pairs = _closest_pairs(*model[1:3], refused, max(at_once, 1))
        if not pairs:
            break
        trial = _merge_pairs(model, pairs)
        for _ in range(_MERGE_STEPS):
            trial, _ = _em_step(trial, X, sample_weight, rules)
        after_trial, found = _em_step(trial, X, sample_weight, rules)
        # Several pairs at once must together cost less than one of them saves.
        if found > objective - worth:
            model, after, objective, refused = trial, after_trial, found, []
            at_once = min(at_once, model[0].size // 3)
        elif len(pairs) > 1:
            at_once = len(pairs) // 2
        else:
            refused += pairs
    return after


def _merge_pairs(model, pairs):
    counts, means, covariances, ages = model
    merged = [part.copy() for part in model]
    for i, j in pairs:
        both = [i, j]
        new = _gaussian.merged(counts[both], means[both], covariances[both])
        for part, value in zip(merged, (*new, ages[both].max())):
            part[i] = value
    drop = [j for _, j in pairs]
    return [np.delete(part, drop, axis=0) for part in merged]


def _closest_pairs(means, covariances, refused, n_pairs):
    """Disjoint pairs of the smallest Bhattacharyya distances, not refused before."""
    distances = _gaussian.pair_distances(means, covariances)
    for i, j in refused:
        distances[i, j] = np.inf
    pairs = []
    while len(pairs) < n_pairs:
        i, j = (int(k) for k in np.unravel_index(np.argmin(distances), distances.shape))
        if not np.isfinite(distances[i, j]):
            break
        pairs.append((i, j))
        for k in (i, j):
            distances[k] = distances[:, k] = np.inf
    return pairs
