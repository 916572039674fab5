"""A Gaussian mixture at rest: densities, conditionals, sampling, EM, merging.

A component's precision is ``F F'`` with a triangular factor F, so that squared
distances are sums of squares and never negative.
"""

# SPDX-License-Identifier: BSD-3-Clause

from contextlib import nullcontext

import numpy as np
from scipy import linalg
from scipy.special import logsumexp, softmax
from sklearn.utils import check_random_state

from .._parallel import run_tasks, single_blas_thread
from .._scores import gaussian_log_density
from . import _kernels

# Below this number of features threads of BLAS cost more than they give.
_THREADS_FROM = 200
# Up to this number of features loops over rows beat matrix products per component.
_LOOP_UP_TO = 32
_LARGEST_DISTANCE = 1e300
# Deviations of this many entries stay in the second-level cache.
_CHUNK = 65_536
# Rows of one parallel task, as entries.
_TASK = 2**22


def small_blas(n_features):
    """Context of one BLAS thread for many products of small matrices."""
    return single_blas_thread() if n_features < _THREADS_FROM else nullcontext()


def squared_distances(X, means, factors, n_jobs=None):
    """Squared Mahalanobis distances (n, K), one matrix product per component."""
    n, D = X.shape
    rows = max(_TASK // D, 1)
    if n <= rows:
        return _distances(X, means, factors)
    tasks = [(X[i : i + rows], means, factors) for i in range(0, n, rows)]
    return np.concatenate(run_tasks(_distances, tasks, n_jobs))


def _distances(X, means, factors):
    n, D = X.shape
    D2 = np.empty((n, means.shape[0]))
    if D <= _LOOP_UP_TO:
        _kernels.row_distances(
            np.ascontiguousarray(X),
            np.ascontiguousarray(means),
            np.ascontiguousarray(factors),
            D2,
        )
        return D2
    rows = max(_CHUNK // D, 32)
    for i in range(0, n, rows):
        part = X[i : i + rows]
        for j, (mean, F) in enumerate(zip(means, factors)):
            Z = (part - mean) @ F
            np.einsum("ij,ij->i", Z, Z, out=D2[i : i + rows, j])
    return D2


def log_joint(X, weights, means, factors, log_dets, n_jobs=None):
    """``log pi_j + log N(x | j)`` of shape (n, K)."""
    D2 = squared_distances(X, means, factors, n_jobs)
    # Squares of very far rows overflow; their posterior is then that of the weights.
    D2 = np.minimum(D2, _LARGEST_DISTANCE)
    return gaussian_log_density(D2, log_dets, X.shape[1]) + _log(weights)


def _log(weights):
    with np.errstate(divide="ignore"):
        return np.log(weights)


def fill_missing(X, missing, means, factors, log_dets):
    """Conditional means of the columns `missing` in each component.

    From the blocks of the precision: the deviation of the unknown part is
    ``-P_bb^-1 P_ba (x_a - m_a)``. Among all values of the unknown part it makes the
    full distance smallest, and that smallest distance is the marginal one of the
    known part.

    Returns
    -------
    E : ndarray of shape (K, n, D)
        Deviations of the filled rows from the means.
    D2 : ndarray of shape (n, K)
        Marginal squared distances.
    marginal_log_dets : ndarray of shape (K,)
    covariances : ndarray of shape (K, b, b)
        Conditional covariances of the unknown part.
    """
    E = X - means[:, None]
    E[:, :, missing] = 0.0
    F_b = factors[:, missing]
    P_bb = F_b @ np.swapaxes(F_b, 1, 2)
    Z = E @ factors
    unknown = np.linalg.solve(P_bb, -F_b @ np.swapaxes(Z, 1, 2))
    unknown = np.swapaxes(unknown, 1, 2)
    E[:, :, missing] = unknown
    Z += unknown @ F_b
    D2 = np.einsum("knd,knd->nk", Z, Z)
    # det C_aa = det C det P_bb
    diagonal = np.diagonal(np.linalg.cholesky(P_bb), axis1=1, axis2=2)
    marginal_log_dets = log_dets + 2.0 * np.sum(np.log(diagonal), axis=1)
    return E, D2, marginal_log_dets, np.linalg.inv(P_bb)


def fill_missing_by_covariance(X, missing, means, covariances):
    """The same from blocks of the covariance, cheaper with few known variables."""
    n, D = X.shape
    K = means.shape[0]
    known = ~missing
    a, b = int(known.sum()), int(missing.sum())
    deviations = np.zeros((K, n, D))
    D2 = np.empty((n, K))
    marginal_log_dets = np.zeros(K)
    found = np.empty((K, b, b))
    for j in range(K):
        C = covariances[j]
        C_bb = C[np.ix_(missing, missing)]
        if a == 0:
            D2[:, j] = 0.0
            found[j] = C_bb
            continue
        C_ab = C[np.ix_(known, missing)]
        L = linalg.cholesky(C[np.ix_(known, known)], lower=True, check_finite=False)
        E = X[:, known] - means[j, known]
        Z = linalg.solve_triangular(L, E.T, lower=True, check_finite=False)
        H = linalg.solve_triangular(L, C_ab, lower=True, check_finite=False)
        D2[:, j] = np.einsum("ij,ij->j", Z, Z)
        marginal_log_dets[j] = 2.0 * np.sum(np.log(np.diagonal(L)))
        found[j] = C_bb - H.T @ H
        deviations[j][:, missing] = Z.T @ H
        deviations[j][:, known] = E
    return deviations, D2, marginal_log_dets, found


class ConditionalMixture:
    """Distribution of some variables of a mixture given the others, per row.

    Attributes
    ----------
    weights_ : ndarray of shape (n_samples, n_components)
        Responsibilities given the known variables.
    means_ : ndarray of shape (n_samples, n_components, n_unknown)
    covariances_ : ndarray of shape (n_components, n_unknown, n_unknown)
        The same for every row.
    log_density_ : ndarray of shape (n_samples,)
        Marginal log-density of the known variables.
    log_joint_ : ndarray of shape (n_samples, n_components)
        Its terms, ``log pi_j + log N(x_known | j)``.
    """

    def __init__(self, log_joint, means, covariances):
        self.log_joint_ = log_joint
        self.log_density_ = logsumexp(log_joint, axis=1)
        self.weights_ = softmax(log_joint, axis=1)
        self.means_ = means
        self.covariances_ = covariances

    def __repr__(self):
        n, K, b = self.means_.shape
        return f"<ConditionalMixture of {n} rows, {K} components, {b} variables>"

    def mean(self):
        """Conditional mean, of shape (n_samples, n_unknown)."""
        return np.einsum("nk,nkb->nb", self.weights_, self.means_)

    def covariance(self):
        """Conditional covariance, of shape (n_samples, n_unknown, n_unknown)."""
        between = self.means_ - self.mean()[:, None]
        within = np.tensordot(self.weights_, self.covariances_, axes=1)
        return within + np.einsum("nk,nkb,nkc->nbc", self.weights_, between, between)

    def std(self):
        """Conditional standard deviation, of shape (n_samples, n_unknown)."""
        between = self.means_ - self.mean()[:, None]
        variances = np.diagonal(self.covariances_, axis1=1, axis2=2)
        total = self.weights_ @ variances
        return np.sqrt(total + np.einsum("nk,nkb->nb", self.weights_, between**2))

    def score_samples(self, Y):
        """Log-density of one value Y (n_samples, n_unknown) per row."""
        joint = _log(self.weights_)
        for j, C in enumerate(self.covariances_):
            L = linalg.cholesky(C, lower=True)
            Z = linalg.solve_triangular(L, (Y - self.means_[:, j]).T, lower=True)
            log_det = 2.0 * np.sum(np.log(np.diagonal(L)))
            D2 = np.einsum("ij,ij->j", Z, Z)
            joint[:, j] += gaussian_log_density(D2, log_det, L.shape[0])
        return logsumexp(joint, axis=1)

    def sample(self, random_state=None):
        """Draw one value per row, of shape (n_samples, n_unknown)."""
        rng = check_random_state(random_state)
        n, _, b = self.means_.shape
        u = rng.uniform(size=(n, 1))
        below = np.cumsum(self.weights_, axis=1) < u
        chosen = np.minimum(below.sum(axis=1), self.weights_.shape[1] - 1)
        factors = np.linalg.cholesky(self.covariances_)
        noise = rng.standard_normal((n, b))
        return self.means_[np.arange(n), chosen] + np.einsum(
            "nij,nj->ni", factors[chosen], noise
        )


def condition(X, missing, weights, means, factors, log_dets, covariances):
    """Condition every component on the columns of X that are not `missing`.

    Parameters
    ----------
    covariances : callable
        Returns the covariances (K, D, D); called only when few columns are known.

    Returns
    -------
    conditional : ConditionalMixture
    """
    n_known = int(np.sum(~missing))
    if 2 * n_known >= missing.size:
        E, D2, log_dets, found = fill_missing(X, missing, means, factors, log_dets)
    else:
        E, D2, log_dets, found = fill_missing_by_covariance(
            X, missing, means, covariances()
        )
    joint = gaussian_log_density(D2, log_dets, n_known) + _log(weights)
    unknown = means[:, None, missing] + E[:, :, missing]
    return ConditionalMixture(joint, np.swapaxes(unknown, 0, 1), found)


def patterns(holes):
    """Group rows by their pattern of holes: pairs (pattern, rows)."""
    if holes.shape[0] == 0:
        return
    if (holes == holes[0]).all():
        yield holes[0], np.arange(holes.shape[0])
        return
    packed = np.packbits(holes, axis=1)
    _, first, inverse = np.unique(
        packed, axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(inverse.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(inverse.ravel()))[:-1]
    for row, members in zip(first, np.split(order, ends)):
        yield holes[row], members


def sample(n_samples, weights, means, covariances, rng):
    """Draw rows and their components, ordered by component."""
    counts = rng.multinomial(n_samples, weights / weights.sum())
    rows = [
        mean + rng.standard_normal((count, mean.size)) @ np.linalg.cholesky(C).T
        for mean, C, count in zip(means, covariances, counts)
    ]
    return np.concatenate(rows), np.repeat(np.arange(counts.size), counts)


def em_statistics(X, sample_weight, weights, means, factors, log_dets):
    """Expectation step: masses, mean shifts, scatters about the old means.

    Holes (NaN) are filled with each component's conditional mean, and its
    conditional covariance is added to the scatter.

    Returns
    -------
    masses : (K,), shifts : (K, D), scatters : (K, D, D)
        Expected sums of ``r``, ``r e`` and ``r e e'`` with ``e = x - mean``.
    log_density : float
        Weighted sum of log-densities at the old parameters.
    """
    K, D = means.shape
    if D <= _LOOP_UP_TO and not np.isnan(X).any():
        return _loop_statistics(X, sample_weight, weights, means, factors, log_dets)
    found = _Statistics(K, D)
    rows = max(_TASK // (4 * D * K), 1)
    for missing, members in patterns(np.isnan(X)):
        for i in range(0, members.size, rows):
            chosen = members[i : i + rows]
            part = X[chosen]
            part_weight = None if sample_weight is None else sample_weight[chosen]
            if not missing.any():
                joint = log_joint(part, weights, means, factors, log_dets)
                R = found.posterior(joint, part_weight)
                for j in range(K):
                    found.add(j, R[:, j], part - means[j])
                continue
            E, D2, part_dets, hidden = fill_missing(
                part, missing, means, factors, log_dets
            )
            n_known = D - int(missing.sum())
            joint = gaussian_log_density(D2, part_dets, n_known) + _log(weights)
            R = found.posterior(joint, part_weight)
            for j in range(K):
                found.add(j, R[:, j], E[j])
                found.scatters[j][np.ix_(missing, missing)] += R[:, j].sum() * hidden[j]
    return found.masses, found.shifts, found.scatters, found.log_density


def _loop_statistics(X, sample_weight, weights, means, factors, log_dets):
    """The same for rows without holes and few features, in one loop over the rows."""
    K, D = means.shape
    masses, shifts, scatters = np.zeros(K), np.zeros((K, D)), np.zeros((K, D, D))
    if sample_weight is None:
        sample_weight = np.ones(X.shape[0])
    log_density = _kernels.expectation(
        np.ascontiguousarray(X),
        sample_weight,
        gaussian_log_density(0.0, log_dets, D) + _log(weights),
        np.ascontiguousarray(means),
        np.ascontiguousarray(factors),
        _LARGEST_DISTANCE,
        masses,
        shifts,
        scatters,
    )
    scatters += np.swapaxes(np.tril(scatters, -1), 1, 2)
    return masses, shifts, scatters, log_density


class _Statistics:
    """Sums of an expectation step."""

    def __init__(self, K, D):
        self.masses = np.zeros(K)
        self.shifts = np.zeros((K, D))
        self.scatters = np.zeros((K, D, D))
        self.log_density = 0.0

    def posterior(self, joint, sample_weight):
        density = logsumexp(joint, axis=1)
        R = np.exp(joint - density[:, None])
        if sample_weight is None:
            self.log_density += density.sum()
        else:
            R *= sample_weight[:, None]
            self.log_density += density @ sample_weight
        self.masses += R.sum(axis=0)
        return R

    def add(self, j, r, E):
        # Below rounding of any mass: rows that a component does not claim are free.
        used = np.flatnonzero(r > 1e-16)
        if used.size < 0.7 * r.size:
            r, E = r[used], E[used]
        RE = r[:, None] * E
        self.shifts[j] += RE.sum(axis=0)
        self.scatters[j] += RE.T @ E


def factor_covariances(covariances):
    """Factors F with precision ``F F'`` (upper triangular), and log-determinants."""
    K, D, _ = covariances.shape
    if D <= _LOOP_UP_TO:
        factors, log_dets = np.empty((K, D, D)), np.empty(K)
        covariances = np.ascontiguousarray(covariances)
        if not _kernels.factor_inverses(covariances, factors, log_dets):
            raise np.linalg.LinAlgError("A covariance is not positive definite.")
        return factors, log_dets
    L = np.linalg.cholesky(covariances)
    identity = np.eye(D)
    factors = np.array(
        [
            linalg.solve_triangular(Lj, identity, lower=True, check_finite=False).T
            for Lj in L
        ]
    )
    diagonal = np.diagonal(L, axis1=1, axis2=2)
    return factors, 2.0 * np.sum(np.log(diagonal), axis=1)


def covariance_of(F):
    """``(F F')^-1`` for a triangular factor."""
    lower = not np.triu(F, 1).any()
    inverse = linalg.solve_triangular(
        F, np.eye(F.shape[0]), lower=lower, check_finite=False
    )
    return inverse.T @ inverse


def bhattacharyya(mean, C, log_det, means, covariances, log_dets):
    """Distances of one Gaussian to several."""
    middle = 0.5 * (C + covariances)
    L = np.linalg.cholesky(middle)
    Z = np.linalg.solve(L, (means - mean)[:, :, None])[:, :, 0]
    log_middle = 2.0 * np.sum(np.log(np.diagonal(L, axis1=1, axis2=2)), axis=1)
    return np.sum(Z**2, axis=1) / 8.0 + 0.5 * (log_middle - 0.5 * (log_det + log_dets))


def pair_distances(means, covariances):
    """Bhattacharyya distances above the diagonal of a (K, K) array, else infinity."""
    K = means.shape[0]
    log_dets = np.linalg.slogdet(covariances)[1]
    distances = np.full((K, K), np.inf)
    for j in range(K - 1):
        rest = slice(j + 1, K)
        distances[j, rest] = bhattacharyya(
            means[j], covariances[j], log_dets[j],
            means[rest], covariances[rest], log_dets[rest],
        )  # fmt: skip
    return distances


def merge(counts, means, covariances, *, n_components=None, threshold=None):
    """Merge the closest pair by moments until a bound is met.

    Parameters
    ----------
    n_components : int, optional
        Number of components to reach.
    threshold : float, optional
        Merge only pairs with a smaller Bhattacharyya distance.

    Returns
    -------
    counts, means, covariances : ndarrays
    groups : list of lists
        Members of each merged component.
    """
    counts, means, covariances = counts.copy(), means.copy(), covariances.copy()
    log_dets = np.linalg.slogdet(covariances)[1]
    K = counts.size
    groups = [[j] for j in range(K)]
    alive = np.ones(K, dtype=bool)
    distances = pair_distances(means, covariances)
    limit = np.inf if threshold is None else threshold
    target = 1 if n_components is None else n_components
    while alive.sum() > target:
        i, j = np.unravel_index(np.argmin(distances), distances.shape)
        if not distances[i, j] < limit:
            break
        counts[i], means[i], covariances[i] = merged(
            counts[[i, j]], means[[i, j]], covariances[[i, j]]
        )
        groups[i] += groups[j]
        log_dets[i] = np.linalg.slogdet(covariances[i])[1]
        alive[j] = False
        distances[j] = distances[:, j] = np.inf
        others = np.flatnonzero(alive & (np.arange(K) != i))
        if others.size:
            new = bhattacharyya(
                means[i], covariances[i], log_dets[i],
                means[others], covariances[others], log_dets[others],
            )  # fmt: skip
            distances[np.minimum(i, others), np.maximum(i, others)] = new
    keep = np.flatnonzero(alive)
    return (
        counts[keep],
        means[keep],
        covariances[keep],
        [sorted(groups[k]) for k in keep],
    )


def merge_small(counts, means, covariances, *, minimum):
    """Merge components below a mass into their nearest neighbours, smallest first.

    Returns
    -------
    counts, means, covariances : ndarrays
    groups : list of lists
    """
    counts, means, covariances = counts.copy(), means.copy(), covariances.copy()
    log_dets = np.linalg.slogdet(covariances)[1]
    groups = [[j] for j in range(counts.size)]
    alive = np.ones(counts.size, dtype=bool)
    while alive.sum() > 1:
        j = int(np.argmin(np.where(alive, counts, np.inf)))
        if counts[j] >= minimum:
            break
        others = np.flatnonzero(alive & (np.arange(counts.size) != j))
        distances = bhattacharyya(
            means[j], covariances[j], log_dets[j],
            means[others], covariances[others], log_dets[others],
        )  # fmt: skip
        i = others[np.argmin(distances)]
        counts[i], means[i], covariances[i] = merged(
            counts[[i, j]], means[[i, j]], covariances[[i, j]]
        )
        log_dets[i] = np.linalg.slogdet(covariances[i])[1]
        groups[i] += groups[j]
        alive[j] = False
    keep = np.flatnonzero(alive)
    return (
        counts[keep],
        means[keep],
        covariances[keep],
        [sorted(groups[k]) for k in keep],
    )


def merged(counts, means, covariances):
    """Mass, mean and covariance of two components together."""
    a, b = counts
    between = means[1] - means[0]
    C = (a * covariances[0] + b * covariances[1]) / (a + b)
    C += a * b / (a + b) ** 2 * np.outer(between, between)
    return a + b, means[0] + b / (a + b) * between, C
