"""Learning a stream: the state of a mixture and the passes over blocks of rows."""

# SPDX-License-Identifier: BSD-3-Clause

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.linalg.blas import dsymm, dsyrk
from scipy.stats import chi2

from . import _kernels
from ._gaussian import fill_missing, small_blas

# From this number of features on, matrix products beat the fused loop.
BLOCK_FROM = 300
BLOCK_SIZE = 64


@dataclass
class Rules:
    """What the constructor parameters say, in the units of the kernels."""

    init: np.ndarray
    """Diagonal of the covariance of a new component."""
    spread: np.ndarray
    """Variances in whose units the floor is meant."""
    reg: float
    threshold: float
    beta: float
    max_components: int
    igmn: bool
    hard: bool
    cholesky: bool
    v_min: float
    sp_min: float
    forgetting: float
    p_min: float
    refresh_every: int

    @property
    def limits(self):
        # Half the floor: one repair then lasts for a doubling of the precision.
        if self.cholesky:
            return 0.5 * self.reg * self.spread
        with np.errstate(divide="ignore", over="ignore"):
            return 2.0 / (self.reg * self.spread)


class Stream:
    """Arrays of a growing mixture; the K first entries are in use.

    Parameters
    ----------
    arrays : dict
        As :meth:`arrays` returned it, or as :func:`empty` makes it.
    """

    def __init__(self, arrays):
        self.__dict__.update(arrays)

    def arrays(self):
        """Plain arrays and integers, the form that estimators keep."""
        return dict(self.__dict__)

    def learn(self, X, weights, rules, *, block=None):
        """One pass over the rows of X (float64, C order), NaN allowed."""
        if self.cholesky != rules.cholesky:
            raise ValueError(
                "solver must not change between calls of partial_fit: the state was "
                f"made with solver={'cholesky' if self.cholesky else 'precision'!r}."
            )
        if block is None:
            block = not rules.cholesky and X.shape[1] >= BLOCK_FROM
        # The minimum is NaN if any entry is, and much cheaper than row by row.
        incomplete = np.empty(0, dtype=np.intp)
        if X.size and np.isnan(X.min()):
            incomplete = np.flatnonzero(np.isnan(X).any(axis=1))
        learn = self._learn_blocks if block else self._learn_points
        start = 0
        if incomplete.size:
            with small_blas(X.shape[1]):
                for row in incomplete:
                    learn(X[start:row], weights[start:row], rules)
                    self._learn_incomplete(X[row], weights[row], rules)
                    start = row + 1
        learn(X[start:], weights[start:], rules)
        return self

    def _grow(self, capacity):
        for name in ("mean", "factor", "age", "n_updates", "state"):
            old = getattr(self, name)
            axis = 1 if name == "state" else 0
            shape = list(old.shape)
            shape[axis] = capacity
            new = np.zeros(shape, dtype=old.dtype)
            if name == "state":
                new[:, : self.K] = old[:, : self.K]
            else:
                new[: self.K] = old[: self.K]
            setattr(self, name, new)

    def _room(self, rules):
        """Enlarge the arrays when they are full and may grow."""
        capacity = self.mean.shape[0]
        if self.K == capacity:
            self._grow(int(min(max(2 * capacity, 1), rules.max_components)))

    def _learn_points(self, X, weights, rules):
        row, n = 0, X.shape[0]
        X = np.ascontiguousarray(X)
        while row < n:
            flags = np.zeros(self.mean.shape[0], dtype=np.int64)
            row, self.K, code = _kernels.learn_points(
                X, weights, row, self.K, self.state, self.age, self.n_updates,
                self.mean, self.factor, rules.init, rules.limits, self.counters,
                flags, rules.threshold, rules.max_components, rules.igmn, rules.hard,
                rules.cholesky, rules.v_min, rules.sp_min, rules.forgetting,
                rules.p_min, rules.refresh_every,
            )  # fmt: skip
            for j in np.flatnonzero(flags):
                self.refresh(j, rules)
            if code == _kernels.FULL:
                self._room(rules)

    def _learn_blocks(self, X, weights, rules):
        """The same pass with matrix products: exact, 3 D^2 operations a point."""
        row, n = 0, X.shape[0]
        size = BLOCK_SIZE if self.K else 1
        while row < n:
            if self.K == 0:
                if weights[row] > 0:
                    self._create(X[row], weights[row], rules)
                row += 1
                continue
            stop = min(row + size, n)
            m, novel = self._learn_block(X[row:stop], weights[row:stop], rules)
            row += m
            if novel:
                self.state[2, : self.K] *= rules.forgetting
                self._create(X[row], weights[row], rules)
                row += 1
                # Novel points come in bursts: a long block would be thrown away.
                size = max(m // 2, 2)
            else:
                self._prune(rules)
                size = min(2 * size, BLOCK_SIZE)

    def _learn_block(self, X, weights, rules):
        K, (b, D) = self.K, X.shape
        E = X - self.mean[:K, None]
        G = np.empty((K, b, D))
        S = np.empty((K, b, b))
        for j in range(K):
            # Columns of the transposed arrays: BLAS reads them without a copy, and
            # the lower triangle of P is the upper one of its transpose.
            G[j] = dsymm(1.0, self.factor[j].T, E[j].T, lower=0).T
            np.matmul(G[j], E[j].T, out=S[j])
        steps = np.zeros((2, K, b))
        F = np.zeros((K, b, b))
        m, novel = _kernels.block_steps(
            S, weights, self.state, self.age, self.n_updates, self.counters, D,
            steps[0], steps[1], F, rules.threshold, rules.max_components, rules.igmn,
            rules.hard, rules.v_min, rules.sp_min, rules.forgetting, rules.p_min,
        )  # fmt: skip
        limits = rules.limits
        for j in range(K):
            w, c = steps[0, j, :m], steps[1, j, :m]
            used = np.flatnonzero(w)
            if used.size == 0:
                continue
            w, c = w[used], c[used]
            left = np.append(np.cumprod((1 - w)[::-1])[::-1][1:], 1.0)
            self.mean[j] += (w * left) @ E[j, used]
            L = F[j][np.ix_(used, used)]
            T = linalg.solve_triangular(
                L, G[j, used], lower=True, unit_diagonal=True, check_finite=False
            )
            P = self.factor[j]
            for sign in (1.0, -1.0):
                rows = sign * c > 0
                if rows.any():
                    root = T[rows] * np.sqrt(sign * c[rows])[:, None]
                    dsyrk(
                        -sign, root.T, beta=1.0, c=P.T, lower=0, trans=0, overwrite_c=1
                    )
            scale = self.state[0, j]
            if (
                np.any(np.diagonal(P) * scale > limits)
                or scale > _kernels._LARGEST_SCALE
                or self.n_updates[j] >= rules.refresh_every
            ):
                self.refresh(j, rules)
        return m, novel

    def _prune(self, rules):
        if rules.v_min < 0:
            return False
        before = self.K
        for j in range(self.K - 1, -1, -1):
            old = self.age[j] > rules.v_min and self.state[2, j] < rules.sp_min
            if old and self.K > 1:
                self._delete([j])
                self.counters[1] += 1
        return self.K < before

    def _delete(self, drop):
        keep = np.setdiff1d(np.arange(self.K), drop)
        for name in ("mean", "factor", "age", "n_updates"):
            array = getattr(self, name)
            array[: keep.size] = array[keep]
        self.state[:, : keep.size] = self.state[:, keep]
        self.K = keep.size

    def _create(self, x, weight, rules):
        self._room(rules)
        _kernels.create(
            x, weight, self.K, self.state, self.age, self.n_updates, self.mean,
            self.factor, rules.init, rules.cholesky,
        )  # fmt: skip
        self.counters[0] += 1
        self.K += 1

    def _learn_incomplete(self, x, weight, rules):
        """A row with NaN: marginal responsibilities, conditional mean and covariance.

        The expectation step of a Gaussian with missing values fills each component's
        own conditional mean and adds its conditional covariance, so that filling
        does not shrink the spread.
        """
        missing = np.isnan(x)
        n_known = int(np.sum(~missing))
        if weight == 0 or n_known == 0:
            return
        K = self.K
        if K == 0:
            self._create(np.where(missing, self.fill, x), weight, rules)
            return
        factors, log_dets = self.precision_factors()
        E, d2, marginal_log_dets, hidden_covariances = fill_missing(
            x[None], missing, self.mean[:K], factors, log_dets
        )
        E, d2 = E[:, 0], d2[0]
        joint = np.log(self.state[2, :K]) - 0.5 * (d2 + marginal_log_dets)
        p = np.empty(K)
        _kernels.posterior(joint, K, rules.hard, p)
        if np.all(d2 >= chi2.isf(rules.beta, n_known)) and K < rules.max_components:
            self.state[2, :K] *= rules.forgetting
            self._create(p @ (self.mean[:K] + E), weight, rules)
            return
        precisions = factors @ np.swapaxes(factors, 1, 2)
        self.age[:K] += 1
        self.state[2, :K] *= rules.forgetting
        for j in np.flatnonzero(p >= rules.p_min):
            self.state[2, j] += weight * p[j]
            w = min(weight * p[j] / self.state[2, j], _kernels._LARGEST_STEP)
            k, gave_way = _kernels.step_size(w, d2[j], rules.igmn)
            self.counters[2] += gave_way
            C = linalg.inv(precisions[j], check_finite=False)
            e = E[j]
            C = (1 - w) * (C + k * np.outer(e, e))
            C[np.ix_(missing, missing)] += w * hidden_covariances[j]
            self.mean[j] += w * e
            self.n_updates[j] += 1
            self.set_covariance(j, C, rules)
        self._prune(rules)

    def precisions(self):
        """Precision matrices of a state that stores precisions."""
        P = np.tril(self.factor[: self.K])
        P += np.swapaxes(np.tril(P, -1), 1, 2)
        return P * self.state[0, : self.K, None, None]

    def precision_factors(self):
        """Factors F with precision ``F F'``, and log-determinants of covariances."""
        if self.cholesky:
            roots = np.sqrt(self.state[0, : self.K])
            factors = np.array(
                [_inverse_upper(R) / a for R, a in zip(self.factor[: self.K], roots)]
            )
        else:
            precisions = self.precisions()
            try:
                factors = np.linalg.cholesky(precisions)
            except np.linalg.LinAlgError:
                factors = np.array([_factor(P)[0] for P in precisions])
        diagonal = np.diagonal(factors, axis1=1, axis2=2)
        return factors, -2.0 * np.sum(np.log(diagonal), axis=1)

    def set_covariance(self, j, C, rules):
        """Replace the matrix of component j, above the floor."""
        C = floor_covariance(0.5 * (C + C.T), rules.spread, rules.reg)[0]
        R = linalg.cholesky(C, check_finite=False)
        self.state[0, j] = 1.0
        self.state[1, j] = 2.0 * np.sum(np.log(np.diagonal(R)))
        if rules.cholesky:
            self.factor[j] = R
        else:
            inverse = _inverse_upper(R)
            self.factor[j] = inverse @ inverse.T

    def refresh(self, j, rules):
        """Undo rounding: scale into the matrix, fresh log-determinant, floor."""
        self.n_updates[j] = 0
        scale = self.state[0, j]
        if rules.cholesky:
            R = np.triu(self.factor[j]) * np.sqrt(scale)
            C, floored = floor_covariance(R.T @ R, rules.spread, rules.reg)
            if floored:
                R = linalg.cholesky(C, check_finite=False)
                self.n_floored += 1
            self.factor[j] = R
            self.state[:2, j] = 1.0, 2.0 * np.sum(np.log(np.diagonal(R)))
            return
        P = np.tril(self.factor[j]) * scale
        P += np.tril(P, -1).T
        P, floored = _floor_precision(P, rules.spread, rules.reg)
        self.n_floored += floored
        L, repaired = _factor(P)
        if repaired:
            P = L @ L.T
            warnings.warn(
                f"The precision of component {j} lost positive definiteness to "
                "rounding and was repaired; scale the features or use "
                "solver='cholesky'.",
                stacklevel=2,
            )
        self.factor[j] = P
        self.state[:2, j] = 1.0, -2.0 * np.sum(np.log(np.diagonal(L)))


def empty(n_features, *, cholesky, fill=None):
    """State without components.

    Parameters
    ----------
    n_features : int
    cholesky : bool
        Whether matrices are stored as Cholesky factors of covariances.
    fill : ndarray of shape (n_features,), optional
        Values for the holes of a row that founds the first component.
    """
    capacity = 8 if n_features < BLOCK_FROM else 1
    return {
        "K": 0,
        "mean": np.zeros((capacity, n_features)),
        "factor": np.zeros((capacity, n_features, n_features)),
        "state": np.zeros((3, capacity)),
        "age": np.zeros(capacity, dtype=np.int64),
        "n_updates": np.zeros(capacity, dtype=np.int64),
        "counters": np.zeros(3, dtype=np.int64),
        "n_floored": 0,
        "cholesky": cholesky,
        "fill": np.zeros(n_features) if fill is None else fill,
    }


def floor_covariance(C, spread, reg):
    """Raise the eigenvalues of C, in units of `spread`, to at least `reg`.

    Returns
    -------
    C : ndarray
        The argument itself when no eigenvalue is below half the floor.
    floored : bool
    """
    root = np.sqrt(spread)
    Z = C / np.outer(root, root)
    try:
        # A Cholesky factor of the rest proves that nothing is below.
        linalg.cholesky(Z - 0.5 * reg * np.eye(root.size), check_finite=False)
        return C, False
    except linalg.LinAlgError:
        values, vectors = linalg.eigh(Z, check_finite=False)
        smallest = max(reg, 1e-14 * values[-1])
        Z = (vectors * np.maximum(values, smallest)) @ vectors.T
        return Z * np.outer(root, root), True


def _floor_precision(P, spread, reg):
    root = np.sqrt(spread)
    outer = np.outer(root, root)
    Z = P * outer
    # The largest row sum bounds the largest eigenvalue.
    if reg == 0 or np.abs(Z).sum(axis=1).max() <= 2.0 / reg:
        return P, False
    values, vectors = linalg.eigh(Z, check_finite=False)
    if values[-1] <= 2.0 / reg:
        return P, False
    smallest = 1e-14 / reg
    values = np.clip(values, smallest, 1.0 / reg)
    return ((vectors * values) @ vectors.T) / outer, True


def _factor(P):
    """Lower Cholesky factor, of the nearest definite matrix if need be."""
    try:
        return linalg.cholesky(P, lower=True, check_finite=False), False
    except linalg.LinAlgError:
        values, vectors = linalg.eigh(P, check_finite=False)
        values = np.maximum(values, 1e-12 * values[-1])
        R = linalg.qr((vectors * np.sqrt(values)).T, mode="r", check_finite=False)[0]
        return (R * np.sign(np.diagonal(R))[:, None]).T, True


def _inverse_upper(R):
    identity = np.eye(R.shape[0])
    return linalg.solve_triangular(R, identity, lower=False, check_finite=False)
