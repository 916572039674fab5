"""Sparse canonical correlation."""

import numpy as np

from skstruct.cross_decomposition import (
    MultiviewSparseCCA,
    SparseCCA,
    permutation_test,
)


def planted(n, sizes):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, 2))
    views = [rng.standard_normal((n, p)) for p in sizes]
    for view in views:
        for k, loading in enumerate((1.2, 1.0)):
            view[:, 20 * k : 20 * (k + 1)] += loading * z[:, [k]]
    return views


class Fit:
    """Fit by shape: wide and tall."""

    params = (["pmd", "ipls"], [(200, 5000, 4000), (5000, 200, 150)])
    param_names = ("method", "shape")
    timeout = 120

    def setup(self, method, shape):
        n, *sizes = shape
        self.X, self.Y = planted(n, sizes)
        ratios = tuple(min(1.0, 1.05 * np.sqrt(20 / p)) for p in sizes)
        self.cca = SparseCCA(2, method=method, l1_ratio=ratios, alpha=0.1)
        self.cca.fit(self.X, self.Y)

    def time_fit(self, method, shape):
        self.cca.fit(self.X, self.Y)

    def time_score(self, method, shape):
        self.cca.score(self.X, self.Y)

    def peakmem_fit(self, method, shape):
        self.cca.fit(self.X, self.Y)

    def track_nonzeros(self, method, shape):
        return int(self.cca.n_nonzero_.sum())


class Others:
    """Several views, and permutations."""

    def setup(self):
        self.views = planted(100, (1000, 800, 600))
        self.multi = MultiviewSparseCCA(2, l1_ratio=0.15).fit(self.views)

    def time_three_views(self):
        self.multi.fit(self.views)

    def time_permutations(self):
        permutation_test(
            SparseCCA(l1_ratio=0.15), *self.views[:2], [{}], random_state=0
        )
