"""Means and medians of flags by majorisation: arrays in, arrays out."""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass, field

import numpy as np

from .._flags import ascend, block_slices, polar, random_frame
from ._distances import _CANCELLED, chordal_levels, coupling


@dataclass
class Average:
    """A stationary point of an averaging problem, and what is known there."""

    frame: np.ndarray
    products: np.ndarray
    squared: np.ndarray
    cost: float
    n_iter: int
    path: list = field(default_factory=list)
    converged: bool = True


class Samples:
    """Frames of one type, laid out for the two passes of an iteration.

    With ``B_j = F_j' U`` all chordal distances are ``d_j^2 = const - <C, B_j^2>``,
    where C counts the levels that two columns share, and the gradient of
    ``sum_j w_j <C, B_j^2> / 2`` is ``sum_j w_j F_j (C * B_j)``.
    """

    def __init__(self, frames, flag_type, metric):
        self.frames, self.flag_type = frames, flag_type
        self.shape = n, p, k = frames.shape
        self.levels = chordal_levels(flag_type, metric)
        self.coupling = coupling(self.levels, k)
        self.constant = float(sum(s.stop - s.start for s in self.levels))
        self.rows = np.ascontiguousarray(frames.transpose(0, 2, 1)).reshape(n * k, p)

    def products(self, U):
        """``F_j' U`` of all samples, (N, k, k)."""
        n, _, k = self.shape
        return (self.rows @ U).reshape(n, k, k)

    def gradient(self, B, w):
        """``sum_j w_j F_j (C * B_j)``."""
        weighted = B * (self.coupling * w[:, None, None])
        return self.rows.T @ weighted.reshape(self.rows.shape[0], -1)

    def squared(self, U, B=None):
        """Squared distances of the samples to U, without cancellation."""
        B = self.products(U) if B is None else B
        inside = np.square(B).reshape(len(B), -1) @ self.coupling.ravel()
        d2 = self.constant - inside
        small = np.flatnonzero(d2 < _CANCELLED)
        if small.size:
            F = self.frames[small]
            d2[small] = 0.0
            for level in self.levels:
                V, W = F[:, :, level], U[:, level]
                residual = V - W @ (W.T @ V)
                d2[small] += np.einsum("npk,npk->n", residual, residual)
        return d2

    def quadratic_forms(self, w):
        """``P_i = sum_j w_j F_j diag(C[:, i]) F_j'`` of every block, (blocks, p, p)."""
        return [
            A.T @ A
            for A in (self._weighted_rows(w, b) for b in block_slices(self.flag_type))
        ]

    def _weighted_rows(self, w, block):
        """Rows of the samples that act on a block, times the root of their weight."""
        n, p, k = self.shape
        share = self.coupling[:, block.start]
        used = np.flatnonzero(share)
        # The columns that share a level with a block are consecutive.
        columns = slice(used[0], used[-1] + 1)
        A = self.rows.reshape(n, k, p)[:, columns]
        root = np.sqrt(w[:, None] * share[columns])
        return (A * root[:, :, None]).reshape(-1, p)

    def start(self, w):
        """Greedy frame: block by block the leading directions not yet taken.

        It depends on the flags alone, not on the frames that hold them.
        """
        p = self.shape[1]
        U = np.zeros((p, 0))
        for block in block_slices(self.flag_type):
            A = self._weighted_rows(w, block)
            A = A - (A @ U) @ U.T
            U = np.hstack([U, leading_directions(A, block.stop - block.start, U)])
        return polar(U)


def leading_directions(A, m, taken):
    """m leading right singular vectors of A, orthogonal to the frame `taken`."""
    n, p = A.shape
    if p <= n:
        # Directions already taken come last, also when A has no rank left.
        gram = A.T @ A - (1.0 + np.sum(A**2)) * (taken @ taken.T)
        return np.linalg.eigh(gram)[1][:, : -m - 1 : -1]
    size, V = np.linalg.eigh(A @ A.T)
    size, V = size[-m:][::-1], V[:, -m:][:, ::-1]
    if size.size < m or size[-1] <= 1e-10 * max(size[0], 1e-300):
        padded = np.vstack([A, np.eye(m + taken.shape[1], p) * 1e-8])
        padded = padded - (padded @ taken) @ taken.T
        return np.linalg.svd(padded, full_matrices=False)[2][:m].T
    return A.T @ (V / np.sqrt(size))


def mean_of_flags(samples, w, U, *, tol, max_iter, step=None):
    """Minimise ``sum_j w_j d_j^2`` from U, monotonically.

    ``f(U) = sum_j w_j <C, B_j^2>`` is a sum of convex quadratic forms, so its
    linearisation is a lower bound and the polar factor of the gradient maximises it.
    """
    n, p, k = samples.shape
    blocks = block_slices(samples.flag_type)
    # Square matrices pay where a product with one is faster than with all frames;
    # making them costs about as much as a few sweeps.
    if p < 2 * n * k and p * len(blocks) <= 120 * k:
        forms = samples.quadratic_forms(w)

        def evaluate(U):
            G = np.empty_like(U)
            for P, block in zip(forms, blocks):
                G[:, block] = P @ U[:, block]
            value = float(np.vdot(U, G))
            G *= 2.0
            return value, G

    else:

        def evaluate(U):
            G = samples.gradient(samples.products(U), w)
            return float(np.sum(U * G)), 2.0 * G

    U, path, converged = ascend(evaluate, U, tol_gap=tol, max_iter=max_iter, step=step)
    B = samples.products(U)
    squared = samples.squared(U, B)
    return Average(U, B, squared, float(w @ squared), len(path), path, converged)


def median_of_flags(samples, w, U, *, eps, tol, max_iter, step=None):
    """Minimise ``sum_j w_j d_j`` from U by reweighting, one polar step each.

    Distances below `eps` count as ``(d^2 / eps + eps) / 2``, which makes the weights
    ``w_j / max(d_j, eps)`` those of a majoriser: the smoothed cost never rises. The
    smoothing is tightened twice by a factor of ten after convergence.
    """
    n_iter, path = 0, []
    for smoothing in (eps, max(1e-10, eps / 10), max(1e-10, eps / 100)):

        def evaluate(U, smoothing=smoothing):
            B = samples.products(U)
            d = np.sqrt(samples.squared(U, B))
            G = samples.gradient(B, w / np.maximum(d, smoothing))
            return -float(w @ smoothed(d, smoothing)), G

        U, values, converged = ascend(
            evaluate, U, tol_gap=0.0, tol_step=tol,
            max_iter=max(1, max_iter - n_iter), step=step,
        )  # fmt: skip
        n_iter += len(values)
        path += values
        B = samples.products(U)
        squared = samples.squared(U, B)
        if not converged or n_iter >= max_iter or np.sqrt(squared.min()) > smoothing:
            break
    return Average(U, B, squared, float(w @ np.sqrt(squared)), n_iter, path, converged)


def smoothed(r, eps):
    """``max(r, (r^2 / eps + eps) / 2)``: a convex r, quadratic below eps."""
    return np.where(r > eps, r, 0.5 * (r * r / eps + eps))


def start_frame(samples, w, init, rng):
    """Start of a given kind, or an array."""
    if isinstance(init, str):
        if init == "svd":
            return samples.start(w)
        _, p, k = samples.shape
        if init == "random":
            return random_frame(p, k, rng)
        # Entrywise means make sense only after the blocks are rotated to agree.
        first = samples.frames[int(np.argmax(w > 0))]
        total = np.zeros((p, k))
        for block in block_slices(samples.flag_type):
            V = samples.frames[:, :, block]
            turn = polar(np.swapaxes(V, 1, 2) @ first[:, block])
            total[:, block] = np.einsum("j,jpa,jab->pb", w, V, turn)
        return polar(total)
    return init


def canonical_frame(U, samples, w, B=None):
    """Rotate every block to the axes of the samples' inertia, largest first."""
    B = samples.products(U) if B is None else B
    U = U.copy()
    for P, block in zip(_inertias(B, samples, w), block_slices(samples.flag_type)):
        if P.shape[0] > 1:
            U[:, block] = U[:, block] @ np.linalg.eigh(P)[1][:, ::-1]
    return U


def _inertias(B, samples, w):
    for block in block_slices(samples.flag_type):
        part = np.sqrt(w)[:, None, None] * B[:, block, block]
        part = part.reshape(-1, part.shape[2])
        yield part.T @ part


def oriented_frame(U, samples, w):
    """Rotate every block towards the entrywise mean of the samples.

    For blocks of one column this gives the column the sign of its inner product with
    the mean.
    """
    U = U.copy()
    average = np.einsum("j,jpk->pk", w, samples.frames)
    for block in block_slices(samples.flag_type):
        U[:, block] = U[:, block] @ polar(U[:, block].T @ average[:, block])
    return U
