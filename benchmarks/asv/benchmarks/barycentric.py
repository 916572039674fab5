"""Barycentric subspaces."""

import numpy as np

from skstruct.decomposition import BarycentricSubspaceAnalysis


def points(manifold, n, dimension):
    rng = np.random.default_rng(0)
    v = 0.6 * rng.standard_normal((n, dimension)) * np.linspace(1, 0.3, dimension)
    if manifold == "euclidean":
        return v
    if manifold == "sphere":
        Y = np.column_stack([np.ones(n), v])
        return Y / np.linalg.norm(Y, axis=1, keepdims=True)
    return np.column_stack([np.sqrt(1 + np.sum(v**2, axis=1)), v])


class Samples:
    """Search for references among the samples."""

    params = (["euclidean", "sphere", "hyperbolic"], ["pure", "flag", "exchange"])
    param_names = ("manifold", "strategy")

    def setup(self, manifold, strategy):
        self.X = points(manifold, 80, 9)
        self.bsa = BarycentricSubspaceAnalysis(
            2, manifold=manifold, strategy=strategy
        ).fit(self.X)

    def time_fit(self, manifold, strategy):
        self.bsa.fit(self.X)

    def track_variance(self, manifold, strategy):
        return float(self.bsa.unexplained_variance_[-1])


class Many:
    """Greedy references among many samples, and new points."""

    params = ["sphere", "hyperbolic"]
    param_names = ("manifold",)

    def setup(self, manifold):
        self.X = points(manifold, 3000, 9)
        self.bsa = BarycentricSubspaceAnalysis(3, manifold=manifold).fit(self.X)

    def time_forward(self, manifold):
        self.bsa.fit(self.X)

    def peakmem_forward(self, manifold):
        self.bsa.fit(self.X)

    def time_transform(self, manifold):
        self.bsa.transform(self.X)


class Optimized:
    """Free references."""

    params = (["euclidean", "sphere", "hyperbolic"], ["pure", "flag", "forward"])
    param_names = ("manifold", "strategy")

    def setup(self, manifold, strategy):
        self.X = points(manifold, 1000, 20)
        self.bsa = BarycentricSubspaceAnalysis(
            3, manifold=manifold, references="optimized", strategy=strategy, tol=1e-8
        )

    def time_fit(self, manifold, strategy):
        self.bsa.fit(self.X)


class Matrices:
    """Affine-invariant projections."""

    def setup(self):
        A = np.random.default_rng(0).standard_normal((60, 4, 8))
        self.S = A @ A.transpose(0, 2, 1)
        self.bsa = BarycentricSubspaceAnalysis(
            2, manifold="spd_affine_invariant", init_references=[0, 1, 2]
        ).fit(self.S)

    def time_transform(self):
        self.bsa.transform(self.S)
