"""A structure with its parameters, and changes of it.

A changed structure starts from the parameters of the one it came from.
"""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from . import _gmm_kernels as kernels


@dataclass(frozen=True)
class Model:
    """A structure with fitted parameters; arrays are never changed in place."""

    mask_B: np.ndarray
    mask_L: np.ndarray
    B: np.ndarray
    Lam: np.ndarray
    k2: np.ndarray
    d: np.ndarray
    Q: float = np.inf
    criterion: float = np.inf

    @cached_property
    def key(self):
        """Structure up to the order of its latents."""
        columns = sorted(map(bytes, np.ascontiguousarray(self.mask_L.T)))
        return self.mask_B.tobytes() + b"".join(columns)

    def children(self, k):
        return np.flatnonzero(self.mask_L[:, k])

    def changed(self, mask_B, mask_L, B=None, Lam=None):
        """Model with other masks; weights of newly reached variables start tied."""
        B = self.B if B is None else B
        Lam = self.Lam if Lam is None else Lam
        d = kernels.tied(mask_B, mask_L, self.mask_B, self.mask_L, self.k2, self.d)
        return Model(mask_B, mask_L, B * mask_B, Lam * mask_L, self.k2, d)

    def without_latent(self, k):
        p = len(self.k2)
        keep = np.arange(self.mask_L.shape[1]) != k
        columns = np.concatenate([np.ones(p, dtype=bool), keep])
        return replace(
            self,
            mask_L=np.ascontiguousarray(self.mask_L[:, keep]),
            Lam=np.ascontiguousarray(self.Lam[:, keep]),
            d=np.ascontiguousarray(self.d[:, columns]),
        )

    def with_latent(self, loadings):
        """Model with one more latent of the given loadings (p,)."""
        p = len(self.k2)
        return replace(
            self,
            mask_L=np.column_stack([self.mask_L, loadings != 0]),
            Lam=np.column_stack([self.Lam, loadings]),
            d=np.column_stack([self.d, np.zeros(2 * p)]),
        )

    def without_edge(self, i, j):
        mask_B = self.mask_B.copy()
        mask_B[i, j] = False
        return self.changed(mask_B, self.mask_L)

    def without_loading(self, i, k, min_children):
        if len(self.children(k)) <= min_children:
            return self.without_latent(k)
        mask_L = self.mask_L.copy()
        mask_L[i, k] = False
        return self.changed(self.mask_B, mask_L)

    def with_edge(self, i, j, step, wald):
        """Add j -> i; the weakest edges of the cycles that it closes make room."""
        mask_B = self.mask_B.copy()
        strength = np.where(mask_B, wald, np.inf)
        while True:
            path = _path(mask_B, i, j)
            if path is None:
                break
            weakest = min(path, key=lambda edge: strength[edge])
            mask_B[weakest] = False
        mask_B[i, j] = True
        B = self.B.copy()
        B[i, j] = min(max(step, -1.5), 1.5)
        return self.changed(mask_B, self.mask_L, B=B)

    def with_loading(self, i, k, step):
        mask_L = self.mask_L.copy()
        mask_L[i, k] = True
        Lam = self.Lam.copy()
        Lam[i, k] = min(max(step, -0.7), 0.7)
        return self.changed(self.mask_B, mask_L, Lam=Lam)

    def reversed_edge(self, i, j):
        """j -> i becomes i -> j; parents of i below j are reversed with it."""
        mask_B = self.mask_B.copy()
        mask_B[i, j] = False
        below = paths(mask_B)[:, j]
        B = self.B.copy()
        for k in np.flatnonzero(mask_B[i] & below).tolist() + [j]:
            mask_B[i, k] = False
            mask_B[k, i] = True
            # In standardised units a regression and its reverse are of equal size.
            B[k, i] = min(max(B[i, k], -1.5), 1.5)
        return self.changed(mask_B, self.mask_L, B=B)

    def restricted(self, columns):
        """The model on some of its columns, with the latents that lie among them."""
        outside = np.setdiff1d(np.arange(len(self.k2)), columns)
        latents = np.flatnonzero(~self.mask_L[outside].any(axis=0))
        square, tall = np.ix_(columns, columns), np.ix_(columns, latents)
        return Model(
            np.ascontiguousarray(self.mask_B[square]),
            np.ascontiguousarray(self.mask_L[tall]),
            np.ascontiguousarray(self.B[square]),
            np.ascontiguousarray(self.Lam[tall]),
            self.k2[columns],
            np.zeros((2 * len(columns), len(columns) + len(latents))),
        )

    def merged(self, k, l, S):
        """Latents k and l become one with the children of both."""
        a, b = self.Lam[:, k], self.Lam[:, l]
        # Signs agree where the sum explains more of the covariance between the sets.
        cross = np.outer(a, b) * S
        np.fill_diagonal(cross, a * b)
        sign = 1.0 if cross.sum() >= 0 else -1.0
        loadings = np.where(np.abs(a) >= np.abs(b), a, sign * b)
        rest = self.without_latent(max(k, l)).without_latent(min(k, l))
        return rest.with_latent(loadings)


def empty_model(p, mask_B=None, B=None):
    mask_B = np.zeros((p, p), dtype=bool) if mask_B is None else mask_B
    B = np.zeros((p, p)) if B is None else B
    zero = np.zeros((p, 0))
    return Model(mask_B, zero.astype(bool), B, zero, np.ones(p), np.zeros((2 * p, p)))


def paths(mask_B):
    """closure[i, j]: whether a directed path leads from j to i (j = i included)."""
    no_latents = np.zeros((len(mask_B), 0), dtype=bool)
    return kernels.reach_of(mask_B, no_latents).T


def is_acyclic(mask_B):
    return kernels.is_acyclic(mask_B)


def _path(mask_B, source, target):
    """Edges (effect, cause) of a shortest directed path, or None."""
    before = {source: None}
    frontier = [source]
    while frontier:
        following = []
        for node in frontier:
            for effect in np.flatnonzero(mask_B[:, node]).tolist():
                if effect in before:
                    continue
                before[effect] = node
                if effect == target:
                    edges, at = [], target
                    while before[at] is not None:
                        edges.append((at, before[at]))
                        at = before[at]
                    return edges
                following.append(effect)
        frontier = following
    return None
