"""RESCAL iterations: arrays in, arrays out.

One iteration of every solver: relations given A, then entities given the relations.
"""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from ._rescal_engine import CompressedEngine, DenseEngine
from ._rescal_input import Slices
from ._rescal_kernels import entity_direction, minimise_quartic, relation_sweeps

# Beyond this rank the k^4 table of second moments costs more than it saves.
_TABLE_RANK = 14
_REFRESH = 20
_LONGEST_STEP = 10.0
# Share of the best step's gain for which the trial step is kept.
_KEEP = 0.99
# Share of the curvature that may be lost to rounding.
_SLACK = 1e-4
_EPS = np.finfo(np.float64).eps


@dataclass
class Penalties:
    """``alpha_A ||A||^2 + l1_A sum(A) + alpha_R sum_t ||R_t||^2``."""

    alpha_A: float = 0.0
    alpha_R: float = 0.0
    l1_A: float = 0.0

    def value(self, A, R):
        total = 0.0
        if self.alpha_A:
            total += self.alpha_A * float(np.vdot(A, A))
        if self.l1_A:
            total += self.l1_A * float(A.sum())
        if self.alpha_R:
            total += self.alpha_R * float(np.vdot(R, R))
        return total

    def balance(self, A, R):
        """The c for which the penalties of ``c A`` and ``R / c^2`` are least.

        The fit does not change; without this step the common scale of the factors
        creeps to its optimum over hundreds of iterations.
        """
        if not (self.alpha_A and self.alpha_R) or self.l1_A:
            return 1.0
        square, relations = float(np.vdot(A, A)), float(np.vdot(R, R))
        if not (square and relations):
            return 1.0
        ratio = 2.0 * self.alpha_R * relations / (self.alpha_A * square)
        return ratio ** (1.0 / 6.0)


class Moments:
    """Sums over the slices of ``R_t' U R_t`` and ``R_t U R_t'`` for symmetric U."""

    def __init__(self, R):
        self.R = R
        self.k, _, self.m = R.shape
        self._table = None
        if self.k <= _TABLE_RANK:
            flat = R.reshape(self.k**2, self.m)
            table = (flat @ flat.T).reshape((self.k,) * 4)
            # Row (a, c), column (b, d): sum_t R[a, b, t] R[c, d, t].
            self._table = table.transpose(0, 2, 1, 3).reshape(self.k**2, self.k**2)

    def inside(self, U):
        """``sum_t R_t' U R_t``."""
        k, m = self.k, self.m
        if self._table is not None:
            return (U.reshape(-1) @ self._table).reshape(k, k)
        UR = (U @ self.R.reshape(k, k * m)).reshape(k, k, m)
        return np.tensordot(self.R, UR, axes=([0, 2], [0, 2]))

    def outside(self, U):
        """``sum_t R_t U R_t'``."""
        k, m = self.k, self.m
        if self._table is not None:
            return (self._table @ U.reshape(-1)).reshape(k, k)
        RU = np.matmul(U, self.R).reshape(k, k * m)
        return RU @ self.R.reshape(k, k * m).T


def fit_terms(G, R):
    """Moments of R, E, and ``<G R G, R>`` of the objective's Gram form."""
    moments = Moments(R)
    inside = moments.inside(G)
    E = inside + moments.outside(G)
    return moments, E, float(np.vdot(G, inside))


def objective(norm2, B, R, quadratic, penalties, A):
    """``||X||^2 - 2 sum <B_t, R_t> + sum <G R_t G, R_t>`` plus penalties.

    Clipped at zero: the three terms cancel where the fit is exact.
    """
    return max(norm2 - 2.0 * float(np.vdot(B, R)) + quadratic, 0.0) + penalties.value(
        A, R
    )


def line_quartic(engine, A, D, F, E, moments, penalties, trial):
    """``c1, .., c4`` of the objective ``f(A + s D) - f(A)``, a quartic in s."""
    engine.probe(D, trial)
    P1 = A.T @ D
    P1 = P1 + P1.T
    P2 = D.T @ D
    inside1, inside2 = moments.inside(P1), moments.inside(P2)
    slope = float(np.vdot(D, F))
    c1 = float(np.vdot(P1, E)) - 2.0 * slope
    c2 = float(np.vdot(P2, E)) + float(np.vdot(P1, inside1))
    # The two differ: relations are not symmetric.
    c3 = float(np.vdot(P2, inside1)) + float(np.vdot(P1, inside2))
    c4 = float(np.vdot(P2, inside2))
    c2 -= 2.0 * engine.bend(moments.R, slope, _SLACK * abs(c2))
    if penalties.alpha_A:
        c1 += penalties.alpha_A * float(np.trace(P1))
        c2 += penalties.alpha_A * float(np.trace(P2))
    if penalties.l1_A:
        c1 += penalties.l1_A * float(D.sum())
    return c1, c2, c3, c4


def choose_step(c1, c2, c3, c4, trial, longest):
    """Step and change of the objective: the best, or the trial if that is as good.

    Where products were formed at the trial point, they are then those of the next
    iteration. As good is a gain of 99 % of the best step's; the best step of the
    iteration before mostly reaches that.

    Returns ``(step, change, best step)``.
    """
    best, change = minimise_quartic(c1, c2, c3, c4, longest)
    kept = trial * (c1 + trial * (c2 + trial * (c3 + trial * c4)))
    return (trial, kept, best) if kept <= _KEEP * change else (best, change, best)


class NonnegativeSteps:
    """Coordinate descent for both factors (HALS)."""

    def __init__(self, penalties, inner_iter, symmetric):
        self.penalties = penalties
        self.inner_iter = inner_iter
        self.symmetric = symmetric

    def relations(self, B, G, R):
        R = R.copy()
        ridge = self.penalties.alpha_R
        relation_sweeps(B, G, G, R, ridge, self.inner_iter, self.symmetric, 0.0)
        return R

    def direction(self, A, F, E):
        if self.penalties.l1_A:
            F = F - 0.5 * self.penalties.l1_A
        if self.penalties.alpha_A:
            E = E + self.penalties.alpha_A * np.eye(len(E))
        D = np.empty_like(A)
        # Only steps beyond 1 can leave the orthant: A + D is in it.
        reach = entity_direction(F, np.ascontiguousarray(E), A, self.inner_iter, D)
        return D, min(max(1.0, reach), _LONGEST_STEP)

    def land(self, A):
        # Against rounding at the end of the longest step.
        return np.maximum(A, 0.0, out=A)

    def regauge(self, A, R):
        return A, R


class FreeSteps:
    """Closed-form steps of alternating least squares."""

    def __init__(self, penalties):
        self.penalties = penalties

    def relations(self, B, G, R):
        return solve_relations(B, G, self.penalties.alpha_R)

    def direction(self, A, F, E):
        alpha = self.penalties.alpha_A
        values, vectors = linalg.eigh(E)
        values = values + alpha
        # In directions that the relations do not see, A stays where it is.
        keep = values > 1e-13 * max(values[-1], 0.0)
        inverse = np.where(keep, 1.0 / np.where(keep, values, 1.0), 0.0)
        residual = F - A @ E - alpha * A
        return ((residual @ vectors) * inverse) @ vectors.T, _LONGEST_STEP

    def land(self, A):
        return A

    def regauge(self, A, R):
        """Orthonormal columns, where no penalty minds: keeps A well conditioned."""
        if self.penalties.alpha_A or self.penalties.alpha_R:
            return A, R
        return orthonormal_gauge(A, R)


def solve_relations(B, G, alpha, G2=None, ridge=0.0):
    """Minimisers of ``<G R G, R> - 2 <B, R> + alpha <R, R>``, per slice.

    With the eigenvectors V of G: ``V (W * (V' B V)) V'``, ``W_ij = 1/(g_i g_j +
    alpha)``, and zero where A has no such direction. `ridge` is added to both Gram
    matrices; `G2` replaces the right one.
    """
    g, V = linalg.eigh(G)
    h, U = (g, V) if G2 is None else linalg.eigh(G2)
    k, _, m = B.shape
    bend = np.outer(g.clip(0) + ridge, h.clip(0) + ridge)
    keep = np.outer(g + ridge > 1e-14 * g[-1], h + ridge > 1e-14 * h[-1])
    keep &= bend + alpha > 0
    weights = np.where(keep, 1.0 / np.where(keep, bend + alpha, 1.0), 0.0)
    C = (V.T @ B.reshape(k, k * m)).reshape(k, k, m)
    C = np.matmul(U.T, C) * weights[:, :, None]
    return np.matmul(U, (V @ C.reshape(k, k * m)).reshape(k, k, m))


def orthonormal_gauge(A, R):
    """A = Q S with orthonormal Q; R becomes S R S'."""
    if A.shape[1] > A.shape[0]:
        return A, R
    Q, S = np.linalg.qr(A)
    k, _, m = R.shape
    SR = (S @ R.reshape(k, k * m)).reshape(k, k, m)
    return Q, np.ascontiguousarray(np.matmul(S, SR))


@dataclass
class State:
    """A running fit."""

    A: np.ndarray
    R: np.ndarray
    history: list
    n_iter: int = 0
    trial: float = 1.0
    """Step to be tried next: the best one of the iteration before."""
    calm: int = 0
    """Iterations in a row that improved by less than the tolerance."""

    def converged(self):
        return self.calm >= 3

    def record(self, value, norm2, tol):
        self.history.append(value)
        self.n_iter += 1
        if len(self.history) > 1:
            gain = self.history[-2] - value
            self.calm = self.calm + 1 if gain <= tol * norm2 else 0


def alternate(engine, state, steps, penalties, *, n_iter, tol, report=None):
    """HALS or ALS iterations with the exact line search; continues `state` in place.

    The step is chosen on the exact quartic, so the objective never rises.
    """
    if state.n_iter % _REFRESH == 0:
        state.A, state.R = steps.regauge(state.A, state.R)
    engine.start(state.A)
    for _ in range(n_iter):
        if state.converged():
            return True
        if state.n_iter and state.n_iter % _REFRESH == 0:
            A, state.R = steps.regauge(state.A, state.R)
            if engine.drifts or A is not state.A:
                engine.start(A)
            state.A = A
        A = state.A
        if engine.has_missing and state.n_iter:
            engine.impute(state.R)
        B = engine.inner()
        G = A.T @ A
        R = steps.relations(B, G, state.R)
        moments, E, quadratic = fit_terms(G, R)
        value = objective(engine.norm2, B, R, quadratic, penalties, A)

        F = engine.pull(R)
        D, longest = steps.direction(A, F, E)
        trial = min(state.trial, longest)
        quartic = line_quartic(engine, A, D, F, E, moments, penalties, trial)
        step, change, best = choose_step(*quartic, trial, longest)
        engine.move(step)
        if best > 0.0:
            state.trial = best
        if step > 0.0:
            engine.A = steps.land(engine.A)
        value = max(value + change, 0.0)
        factor = penalties.balance(engine.A, R)
        if factor != 1.0:
            value -= penalties.value(engine.A, R)
            engine.scale(factor)
            R /= factor**2
            value += penalties.value(engine.A, R)
        state.A, state.R = engine.A, R
        state.record(value, engine.observed_norm2, tol)
        if report is not None and report(state):
            return True
    return state.converged()


def multiplicative_relations(B, G, R, alpha=0.0):
    """``R * B / max(G R G + alpha R, eps)``, per slice."""
    k, _, m = R.shape
    GRG = np.matmul(G, (G @ R.reshape(k, k * m)).reshape(k, k, m))
    return R * np.maximum(B, 0.0) / np.maximum(GRG + alpha * R, _EPS)


def multiplicative_entities(A, F, E, alpha=0.0, l1=0.0, exponent=1.0):
    """``A * (F / (A E + alpha A + l1/2 + eps)) ** exponent``."""
    ratio = np.maximum(F, 0.0) / (A @ E + alpha * A + (0.5 * l1 + _EPS))
    return A * ratio if exponent == 1.0 else A * ratio**exponent


def multiply(engine, state, penalties, *, n_iter, tol, symmetric=False, report=None):
    """Multiplicative updates, relations first; continues `state` in place.

    The entity update can raise the objective, which is quartic in A: such a step is
    made again with exponent 1/2, then 1/4, which a quartic majoriser guarantees.
    """
    engine.start(state.A)
    for _ in range(n_iter):
        if state.converged():
            return True
        A, R = state.A, state.R
        if engine.has_missing and state.n_iter:
            engine.impute(R)
        B = engine.inner()
        G = A.T @ A
        R = multiplicative_relations(B, G, R, penalties.alpha_R)
        if symmetric:
            R = 0.5 * (R + R.transpose(1, 0, 2))
        _, E, quadratic = fit_terms(G, R)
        before = objective(engine.norm2, B, R, quadratic, penalties, A)
        F = engine.pull(R)
        for exponent in (1.0, 0.5, 0.25):
            new = multiplicative_entities(
                A, F, E, penalties.alpha_A, penalties.l1_A, exponent
            )
            engine.start(new)
            _, _, quadratic = fit_terms(new.T @ new, R)
            value = objective(
                engine.norm2, engine.inner(), R, quadratic, penalties, new
            )
            if value <= before + 4 * _EPS * engine.norm2:
                break
        else:
            # Rounding only: the majoriser excludes a rise.
            new, value = A, before
            engine.start(A)
        state.A, state.R = new, R
        state.record(value, engine.observed_norm2, tol)
        if state.n_iter % 10 == 0:
            # A zero would stay zero for ever.
            lift = _EPS * max(float(state.A.max()), 1e-300)
            state.A = np.maximum(state.A, lift)
            state.R = np.maximum(state.R, _EPS * max(float(state.R.max()), 1e-300))
            engine.start(state.A)
        if report is not None and report(state):
            return True
    return state.converged()


def nonnegative_relations(B, G, R=None, *, ridge=0.0, symmetric=False, G2=None):
    """Nonnegative relations to convergence, from `R` or from a rank-one guess."""
    G2 = G if G2 is None else G2
    if R is None:
        R = np.zeros(B.shape)
    R = np.ascontiguousarray(R, dtype=np.float64).copy()
    relation_sweeps(np.ascontiguousarray(B), G, G2, R, ridge, 3000, symmetric, 1e-9)
    return R


def residual_norm2(slices, A, R, block=256):
    """Sum of squared residuals over the observed cells, without cancellation."""
    total = 0.0
    for t in range(slices.n_relations):
        AR = A @ R[:, :, t]
        for lo in range(0, slices.n_entities, block):
            if slices.csr is None:
                part = np.asarray(slices.dense[t, lo : lo + block], dtype=np.float64)
            else:
                part = slices.csr[t][lo : lo + block].toarray().astype(np.float64)
            error = part - AR[lo : lo + block] @ A.T
            if slices.missing is not None:
                error = np.where(_hidden_rows(slices, t, lo, part), 0.0, error)
            total += float(np.vdot(error, error))
    return total


def _hidden_rows(slices, t, lo, part):
    hidden = np.zeros(part.shape, dtype=bool)
    a, b = np.searchsorted(slices.missing[0], [t, t + 1])
    i, j = slices.missing[1][a:b] - lo, slices.missing[2][a:b]
    inside = (i >= 0) & (i < len(part))
    hidden[i[inside], j[inside]] = True
    return hidden


# ---------------------------------------------------------------- starting points


def random_start(slices, k, rng, symmetric=False):
    """Uniform factors, scaled so that the reconstruction has the mean of the data."""
    A = rng.uniform(size=(slices.n_entities, k))
    A[slices.silent] = 0.0
    R = rng.uniform(size=(slices.n_relations, k, k)).transpose(1, 2, 0)
    if symmetric:
        R = 0.5 * (R + R.transpose(1, 0, 2))
    return A, match_scale(slices, A, R)


def match_scale(slices, A, R):
    """R times ``<X, 1> / <A R A', 1>``, or as it is where that is not positive."""
    sums = A.sum(axis=0)
    model = float(np.einsum("a,abt,b->", sums, R, sums))
    data = float(slices.fill.sum()) * slices.n_entities**2
    scale = data / model if model > 0 and data > 0 else 1.0
    return np.ascontiguousarray(R * scale, dtype=np.float64)


def nndsvd_start(slices, k, rng, *, lift):
    """Nonnegative double SVD of ``[X_1 .. X_m, X_1' .. X_m']``, both directions."""
    n = slices.n_entities
    k_svd = min(k, n)
    if n <= 2000:
        S = np.zeros((n, n))
        for t in range(slices.n_relations):
            X = slices.filled(t)
            X = X.toarray() if sparse.issparse(X) else X
            X = X.astype(np.float64, copy=False)
            S += X @ X.T
            S += X.T @ X
        _, U = linalg.eigh(S, subset_by_index=[n - k_svd, n - 1])
        U = U[:, ::-1]
    else:
        Y = range_basis(slices, k_svd + 10, rng)
        S = np.zeros((Y.shape[1], Y.shape[1]))
        for t in range(slices.n_relations):
            X = slices.filled(t)
            for side in (X @ Y, X.T @ Y):
                S += side.T @ side
        _, V = linalg.eigh(S)
        U = Y @ V[:, ::-1][:, :k_svd]
    # Of each singular pair keep the sign part that carries more of it.
    plus, minus = np.zeros(k_svd), np.zeros(k_svd)
    for t in range(slices.n_relations):
        X = slices.filled(t)
        for side in (X.T @ U, X @ U):
            plus += np.sum(np.maximum(side, 0.0) ** 2, axis=0)
            minus += np.sum(np.minimum(side, 0.0) ** 2, axis=0)
    positive, negative = np.maximum(U, 0.0), np.maximum(-U, 0.0)
    first = np.linalg.norm(positive, axis=0) * np.sqrt(plus)
    second = np.linalg.norm(negative, axis=0) * np.sqrt(minus)
    A = np.where(first >= second, positive, negative)
    if k > k_svd:
        A = np.hstack([A, A.mean() * rng.uniform(size=(n, k - k_svd))])
    # Multiplicative updates cannot leave an exact zero.
    fill = A.mean() / 100 if lift else 0.0
    A = np.where(A > 0, A, fill)
    A[slices.silent] = 0.0
    R = np.ones((k, k, slices.n_relations))
    return A, match_scale(slices, A, R)


def nvecs_start(slices, k, rng):
    """The k leading eigenvectors, by absolute value, of ``sum_t X_t + X_t'``."""
    n = slices.n_entities
    v0 = rng.standard_normal(n)
    if slices.csr is not None:
        S = sparse.csr_array((n, n))
        for t in range(slices.n_relations):
            X = slices.filled(t).astype(np.float64)
            S = S + X + X.T
    else:
        S = np.zeros((n, n))
        for t in range(slices.n_relations):
            S += slices.filled(t)
        S = S + S.T
    k_eig = min(k, n)
    if k_eig >= n - 1 or n <= 200:
        values, vectors = linalg.eigh(S.toarray() if sparse.issparse(S) else S)
    else:
        try:
            values, vectors = eigsh(S, k_eig, which="LM", v0=v0)
        except ArpackNoConvergence as error:
            values, vectors = error.eigenvalues, error.eigenvectors
            filler = rng.standard_normal((n, k_eig - values.size))
            vectors = np.linalg.qr(np.hstack([vectors, filler]))[0]
            values = np.concatenate([values, np.zeros(k_eig - values.size)])
    order = np.argsort(-np.abs(values), kind="stable")[:k_eig]
    A = vectors[:, order]
    if k > k_eig:
        A = np.hstack([A, rng.standard_normal((n, k - k_eig)) / np.sqrt(n)])
    return np.ascontiguousarray(A), np.zeros((k, k, slices.n_relations))


# ------------------------------------------------------------------- compression


def range_basis(slices, size, rng):
    """Orthonormal basis of the dominant range of ``[X_1 .. X_m, X_1' .. X_m']``.

    A Gaussian sketch of the n x 2 m n matrix, then one power iteration.
    """
    n = slices.n_entities
    size = min(size, n)
    Y = np.zeros((n, size))
    for t in range(slices.n_relations):
        X = slices.filled(t)
        Y += X @ rng.standard_normal((n, size)).astype(X.dtype, copy=False)
        Y += X.T @ rng.standard_normal((n, size)).astype(X.dtype, copy=False)
    Y = np.linalg.qr(Y)[0]
    Z = np.zeros((n, size))
    for t in range(slices.n_relations):
        X, Y_t = slices.filled(t), Y.astype(slices.dtype, copy=False)
        Z += X @ (X.T @ Y_t)
        Z += X.T @ (X @ Y_t)
    return np.linalg.qr(Z)[0]


def compressed_engine(slices, k, rng):
    """Engine on ``Q' X_t Q`` with a basis of 3 k + 8 columns."""
    basis = range_basis(slices, 3 * k + 8, rng)
    r = basis.shape[1]
    small = np.empty((slices.n_relations, r, r))
    for t in range(slices.n_relations):
        X = slices.filled(t)
        small[t] = basis.T @ (X @ basis.astype(X.dtype, copy=False))
    norm2 = slices.norm2
    stack = Slices(
        small,
        None,
        slices.n_relations,
        r,
        small.dtype,
        None,
        np.zeros(slices.n_relations),
        norm2,
        np.zeros(r, dtype=bool),
    )
    return CompressedEngine(basis, DenseEngine(stack, k))
