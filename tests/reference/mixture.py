"""Incremental mixtures in plain numpy: explicit covariances, no shortcuts."""

import numpy as np
from scipy.special import logsumexp
from scipy.stats import chi2, multivariate_normal


def learn(
    X,
    init_variance,
    *,
    beta=1e-3,
    max_components=None,
    update="exact",
    hard=False,
    weights=None,
    forgetting=1.0,
    v_min=None,
    sp_min=None,
    p_min=1e-10,
):
    """One pass; returns lists of means, covariances, counts, ages and a Counter."""
    n, D = X.shape
    weights = np.ones(n) if weights is None else weights
    threshold = chi2.isf(beta, D)
    limit = np.inf if max_components is None else max_components
    means, covs, counts, ages = [], [], [], []
    n_fallbacks = n_pruned = 0
    for x, s in zip(X, weights):
        if s == 0:
            continue
        d2 = np.array(
            [(x - m) @ np.linalg.solve(C, x - m) for m, C in zip(means, covs)]
        )
        if not means or (np.all(d2 >= threshold) and len(means) < limit):
            counts = [forgetting * c for c in counts]
            means.append(x.astype(float).copy())
            covs.append(np.diag(init_variance).astype(float))
            counts.append(float(s))
            ages.append(1)
            continue
        joint = np.array(
            [
                np.log(c) - 0.5 * (d + np.linalg.slogdet(C)[1])
                for c, d, C in zip(counts, d2, covs)
            ]
        )
        p = np.exp(joint - logsumexp(joint))
        if hard:
            p = np.eye(len(p))[np.argmax(joint)]
        for j in range(len(means)):
            ages[j] += 1
            counts[j] *= forgetting
            if p[j] < p_min:
                continue
            counts[j] += s * p[j]
            w = s * p[j] / counts[j]
            e = x - means[j]
            k = w * (1 - w)
            if update == "igmn":
                k = w * (1 - 3 * w + w**2)
                if 1 + k / (1 - w) * d2[j] <= 1e-10:
                    k = w * (1 - w)
                    n_fallbacks += 1
            means[j] = means[j] + w * e
            covs[j] = (1 - w) * covs[j] + k * np.outer(e, e)
        if v_min is not None:
            for j in reversed(range(len(means))):
                if ages[j] > v_min and counts[j] < sp_min and len(means) > 1:
                    n_pruned += 1
                    for parts in (means, covs, counts, ages):
                        del parts[j]
    return {
        "means": np.array(means),
        "covariances": np.array(covs),
        "counts": np.array(counts),
        "ages": np.array(ages),
        "n_fallbacks": n_fallbacks,
        "n_pruned": n_pruned,
    }


def published_step(mean, precision, log_det, x, w):
    """The two Sherman-Morrison steps of the published program, one component."""
    D = x.size
    e = x - mean
    e_star = (1 - w) * e
    shift = w * e
    A = precision / (1 - w)
    v = A @ (np.sqrt(w) * e_star)
    first = 1 + np.sqrt(w) * e_star @ v
    A = A - np.outer(v, v) / first
    u = A @ shift
    second = 1 - shift @ u
    A = A + np.outer(u, u) / second
    log_det = log_det + D * np.log(1 - w) + np.log(first)
    return mean + shift, A, log_det + (np.log(second) if second > 0 else 0.0)


def log_density(X, weights, means, covariances):
    """log sum_j pi_j N(x | m_j, C_j)."""
    joint = [
        np.log(p) + multivariate_normal(m, C, allow_singular=False).logpdf(X)
        for p, m, C in zip(weights, means, covariances)
    ]
    return logsumexp(np.array(joint).reshape(len(means), -1), axis=0)


def conditional(x_known, known, weights, means, covariances):
    """Weights, means, covariances of the unknown variables, by covariance blocks."""
    D = means.shape[1]
    unknown = np.setdiff1d(np.arange(D), known)
    logs, found_means, found_covs = [], [], []
    for p, m, C in zip(weights, means, covariances):
        Caa, Cba = C[np.ix_(known, known)], C[np.ix_(unknown, known)]
        e = x_known - m[known]
        logs.append(np.log(p) + multivariate_normal(m[known], Caa).logpdf(x_known))
        gain = Cba @ np.linalg.inv(Caa)
        found_means.append(m[unknown] + gain @ e)
        found_covs.append(C[np.ix_(unknown, unknown)] - gain @ Cba.T)
    logs = np.array(logs)
    r = np.exp(logs - logsumexp(logs))
    return r, np.array(found_means), np.array(found_covs)
