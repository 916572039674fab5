"""Batch steps after a pass: expectation-maximisation and merging."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from . import _gaussian
from ._stream import floor_covariance


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
    """Steps of batch EM from the components of the pass.

    Components of fewer than D + 1 points are first merged into their neighbours.
    The initial covariance stays in as one pseudo-observation of every component,
    as in the pass: each step raises ``sum log p(x) - 1/2 sum_j tr(Sigma_0 P_j)``.

    Returns
    -------
    objective : list of float
        That sum before every step.
    """
    D = X.shape[1]
    ages = stream.age[: stream.K].copy()
    counts, means, covariances, groups = _gaussian.merge_small(
        stream.state[2, : stream.K], stream.mean[: stream.K], covariances_of(stream),
        minimum=min(D + 1, sample_weight.sum() / 2),
    )  # fmt: skip
    ages = np.array([ages[group].max() for group in groups])
    weights = counts / counts.sum()
    history = []
    for i in range(n_iter):
        factors, log_dets = _gaussian.factor_covariances(covariances)
        masses, shifts, scatters, total = _gaussian.em_statistics(
            X, sample_weight, weights, means, factors, log_dets
        )
        penalty = np.einsum("kij,kij,i->", factors, factors, rules.init)
        history.append(total - 0.5 * penalty)
        # A component without a single point has nothing to estimate.
        keep = masses > min(1.0, 0.5 * masses.max())
        counts, shifts = masses[keep], shifts[keep] / masses[keep, None]
        means = means[keep] + shifts
        ages = ages[keep]
        covariances = (scatters[keep] + np.diag(rules.init)) / counts[:, None, None]
        covariances -= shifts[:, :, None] * shifts[:, None, :]
        covariances = np.array(
            [floor_covariance(C, rules.spread, rules.reg)[0] for C in covariances]
        )
        weights = counts / counts.sum()
        if step(i, history[-1]):
            break
    replace(stream, counts, means, covariances, ages, rules)
    return history
