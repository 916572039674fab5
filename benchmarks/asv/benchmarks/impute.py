"""Matrix estimation."""

import numpy as np
from scipy import sparse

from skstruct.datasets import make_low_rank_with_missing
from skstruct.impute import SoftImputer, SVTImputer


class Dense:
    """Fit and transform by size and missing share."""

    params = ([(500, 100), (5000, 300)], [0.2, 0.7])
    param_names = ("shape", "missing")
    timeout = 120

    def setup(self, shape, missing):
        data = make_low_rank_with_missing(*shape, missing=missing, random_state=0)
        self.X, self.truth = data.X, data.truth
        self.svt = SVTImputer(n_components=5).fit(self.X)
        self.soft = SoftImputer(alpha_relative=True, alpha=0.15, random_state=0)
        self.soft.fit(self.X)

    def time_svt_fit(self, shape, missing):
        self.svt.fit(self.X)

    def time_soft_fit(self, shape, missing):
        self.soft.fit(self.X)

    def time_soft_transform(self, shape, missing):
        self.soft.transform(self.X)

    def peakmem_soft_fit(self, shape, missing):
        self.soft.fit(self.X)

    def track_soft_rmse(self, shape, missing):
        holes = np.isnan(self.X)
        error = (self.soft.transform(self.X) - self.truth)[holes]
        return float(np.sqrt(np.mean(error**2)))


class Ratings:
    """A sparse matrix with a fixed rank."""

    def setup(self):
        rng = np.random.default_rng(0)
        i, j = rng.integers(0, 3000, 300_000), rng.integers(0, 1500, 300_000)
        A, B = rng.standard_normal((3000, 8)), rng.standard_normal((1500, 8))
        x = np.einsum("tk,tk->t", A[i], B[j]) + rng.standard_normal(i.size)
        self.X = sparse.coo_array((x, (i, j)), shape=(3000, 1500)).tocsr()
        self.soft = SoftImputer(20.0, 8, store_rows=True, random_state=0).fit(self.X)
        self.rows = rng.integers(0, 3000, 1_000_000)
        self.columns = rng.integers(0, 1500, 1_000_000)

    def time_fit(self):
        self.soft.fit(self.X)

    def time_predict_entries(self):
        self.soft.predict_entries(self.rows, self.columns)

    def peakmem_fit(self):
        self.soft.fit(self.X)
