"""The One-Latent-Component procedure: structure by tests of independence."""

# SPDX-License-Identifier: BSD-3-Clause

from itertools import combinations

import numpy as np
from scipy.stats import chi2

from ._structure import is_acyclic


class OneLatentComponent:
    """Decide edges and latents of a standardised table by independence tests.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
    test : IndependenceTest
    alpha : float
        Level of every test.
    max_latents : int

    Attributes
    ----------
    mask_B : ndarray of bool of shape (p, p)
        Edges, row = effect; with superfluous ones where a total effect was removed.
    children : list of sorted lists
    undetermined : list of pairs
        Dependent pairs that no edge or latent explains.
    decisions : list of (str, p-value)
    """

    def __init__(self, Z, test, alpha, max_latents, allowed):
        self.test, self.alpha, self.max_latents = test, alpha, max_latents
        self.allowed = allowed
        p = Z.shape[1]
        self.X = Z.copy()
        # The columns of X lose the effects that are found: surrogates of x.
        self.mask_B = np.zeros((p, p), dtype=bool)
        self.decisions = []
        self.dependent = np.zeros((p, p), dtype=bool)
        for i, j in combinations(range(p), 2):
            self._retest(i, j)
        self._root_effects()
        self._sinks()
        self._latents()

    def _retest(self, i, j):
        p_value = self.test(self.X[:, i], self.X[:, j])
        self.dependent[i, j] = self.dependent[j, i] = p_value < self.alpha

    def _residual_p(self, b, a):
        """p-value that the residual of b on a is independent of a, and its slope."""
        x, y = self.X[:, a], self.X[:, b]
        slope = (x @ y) / (x @ x)
        return self.test(y - slope * x, x, slope_estimated=True), slope

    def _neighbours(self, b):
        return np.flatnonzero(self.dependent[b])

    def _root_effects(self):
        """Remove the effect of a on b where a alone explains their dependence."""
        p = self.X.shape[1]
        tried = {}
        while True:
            found = []
            for a, b in combinations(range(p), 2):
                if not self.dependent[a, b]:
                    continue
                if (a, b) not in tried:
                    tried[a, b] = self._residual_p(b, a), self._residual_p(a, b)
                (forward, slope), (backward, mirror) = tried[a, b]
                # The most uneven pair is the safest decision.
                if forward > self.alpha >= backward:
                    found.append((forward / max(backward, 1e-300), a, b, slope))
                elif backward > self.alpha >= forward:
                    found.append((backward / max(forward, 1e-300), b, a, mirror))
            free = [
                entry
                for entry in sorted(found, reverse=True)
                if self._possible(entry[2], entry[1])
            ]
            if not free:
                return
            _, a, b, slope = free[0]
            mask = self.mask_B.copy()
            mask[b, a] = True
            # All effects of a go first to the variables that it orders.
            self.mask_B = mask
            self.decisions.append((f"edge {a}->{b}", float(max(
                r[0] for r in tried[min(a, b), max(a, b)]
            ))))  # fmt: skip
            self.X[:, b] -= slope * self.X[:, a]
            tried = {k: v for k, v in tried.items() if b not in k}
            for c in range(p):
                if c != b and not self._explained(b, c):
                    self._retest(b, c)
            self.dependent[a, b] = self.dependent[b, a] = False

    def _possible(self, effect, causes):
        mask = self.mask_B.copy()
        mask[effect, causes] = True
        return is_acyclic(mask) and self.allowed(mask)

    def _explained(self, b, c):
        return self.mask_B[b, c] or self.mask_B[c, b]

    def _sinks(self):
        """Variables whose residual on all neighbours is independent of each."""
        p = self.X.shape[1]
        active = set(range(p))
        while True:
            best = None
            for b in sorted(active):
                near = [a for a in self._neighbours(b) if a in active]
                if not near:
                    continue
                D = self.X[:, near]
                slope = np.linalg.lstsq(D, self.X[:, b], rcond=None)[0]
                residual = self.X[:, b] - D @ slope
                values = [self.test(residual, self.X[:, a]) for a in near]
                statistic = -2 * np.sum(np.log(np.maximum(values, 1e-300)))
                joint = float(chi2.sf(statistic, 2 * len(values)))
                mask = self.mask_B.copy()
                mask[b, near] = True
                if not self._possible(b, near):
                    continue
                if joint > self.alpha and (best is None or joint > best[0]):
                    best = joint, b, near, mask
            if best is None:
                return
            joint, b, near, self.mask_B = best
            self.decisions.append((f"sink {b}", joint))
            self.dependent[b, near] = self.dependent[near, b] = False
            active.remove(b)

    def _one_component_p(self, x, y, z):
        """p-value that x and y share with z exactly one source."""
        X = self.X
        slope = (X[:, x] @ X[:, z]) / (X[:, y] @ X[:, z])
        return self.test(X[:, x] - slope * X[:, y], X[:, z])

    def _latents(self):
        p = self.X.shape[1]
        parent = {}

        def find(pair):
            while parent[pair] != pair:
                pair = parent[pair]
            return pair

        passed = {}
        for triple in combinations(range(p), 3):
            if not all(self.dependent[i, j] for i, j in combinations(triple, 2)):
                continue
            for z in triple:
                x, y = (t for t in triple if t != z)
                p_value = self._one_component_p(x, y, z)
                if p_value <= self.alpha:
                    continue
                passed[x, y, z] = passed[y, x, z] = p_value
                self.decisions.append((f"latent {x},{y}|{z}", p_value))
                first, second = tuple(sorted((x, z))), tuple(sorted((y, z)))
                parent.setdefault(first, first)
                parent.setdefault(second, second)
                parent[find(second)] = find(first)
        groups = {}
        for pair in parent:
            groups.setdefault(find(pair), set()).update(pair)
        # Larger sets first; a set within another one is the same latent.
        sets = []
        for group in sorted(groups.values(), key=lambda g: (-len(g), sorted(g))):
            if not any(group <= s for s in sets):
                sets.append(group)
        self.children = sorted(sorted(s) for s in sets[: self.max_latents])
        self.undetermined = []
        for i, j in combinations(range(p), 2):
            # A pair that shares one source has no edge of its own.
            if self.dependent[i, j] and (i, j) not in parent:
                self._remaining_edge(i, j, passed)

    def _remaining_edge(self, x, y, passed):
        """Edge between two children of a latent beside a third that is pure."""
        best = None
        for z in range(self.X.shape[1]):
            if (x, y, z) not in passed or not any(
                {x, y, z} <= set(c) for c in self.children
            ):
                continue
            values = self._edge_p_values(x, y, z)
            if values is not None and (best is None or values.max() > best.max()):
                best = values
        if best is None:
            self.undetermined.append((x, y))
            return
        none, forward, backward = best
        if none > self.alpha:
            return
        effect, cause = (y, x) if forward >= backward else (x, y)
        mask = self.mask_B.copy()
        mask[effect, cause] = True
        if max(forward, backward) > self.alpha and self._possible(effect, cause):
            self.mask_B = mask
            self.decisions.append(
                (f"edge {cause}->{effect}", float(max(forward, backward)))
            )
        else:
            self.undetermined.append((x, y))

    def _edge_p_values(self, x, y, z):
        """p-values of no edge, x -> y and y -> x, given that z shares only L."""
        X = self.X
        C = np.cov(X[:, [x, y, z]], rowvar=False, bias=True)
        ratio = _geometric_ratio(X[:, x], X[:, z])
        other = _geometric_ratio(X[:, y], X[:, z])
        squares = [
            r * c for r, c in ((ratio, C[0, 2]), (other, C[1, 2]))
            if 0 < r * c < C[2, 2]
        ]  # fmt: skip
        if not squares:
            return None
        a_z = np.sqrt(np.mean(squares))
        a_x, a_y = C[0, 2] / a_z, C[1, 2] / a_z
        if a_x**2 >= C[0, 0] or a_y**2 >= C[1, 1]:
            return None
        none = self.test(X[:, y] - a_y / a_z * X[:, z], X[:, x])
        b = (C[0, 1] - a_x * a_y) / (C[0, 0] - a_x**2)
        forward = X[:, y] - b * X[:, x] - (a_y - b * a_x) / a_z * X[:, z]
        b = (C[0, 1] - a_x * a_y) / (C[1, 1] - a_y**2)
        backward = X[:, x] - b * X[:, y] - (a_x - b * a_y) / a_z * X[:, z]
        return np.array(
            [none, self.test(forward, X[:, x]), self.test(backward, X[:, y])]
        )


def _geometric_ratio(x, z):
    """Ratio a_z / a_x of a shared source from the cumulants of orders 3 and 4."""
    x, z = (x - x.mean()) / x.std(), (z - z.mean()) / z.std()
    c3 = [np.mean(x * x * z), np.mean(x * z * z)]
    r = np.mean(x * z)
    c4 = [
        np.mean(x**3 * z) - 3 * r,
        np.mean(x**2 * z**2) - 1 - 2 * r * r,
        np.mean(x * z**3) - 3 * r,
    ]
    # Total least squares through the origin; weights are inverse variances of the
    # cumulants of Gaussian columns.
    points = np.array([[c3[0], c3[1]], [c4[0], c4[1]], [c4[1], c4[2]]]) / np.sqrt(
        [[15.0], [96.0], [96.0]]
    )
    axis = np.linalg.svd(points)[2][0]
    return axis[1] / axis[0] if abs(axis[0]) > 1e-12 else 0.0
