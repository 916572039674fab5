"""Exact and streaming canonical correlation, partial least squares."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse

from skstruct.cross_decomposition import MultiviewCCA, StochasticCCA, StochasticPLS
from skstruct.metrics import proportion_correlation_captured


def planted(n, sizes, correlations=(0.9, 0.8, 0.7, 0.6, 0.5), seed=0):
    """Views that share scores of given correlations, in mixed columns."""
    rng = np.random.default_rng(seed)
    root = np.sqrt(correlations)
    shared = rng.standard_normal((n, len(root)))
    views = []
    for p in sizes:
        X = rng.standard_normal((n, p))
        X[:, : len(root)] = root * shared + np.sqrt(1 - root**2) * X[:, : len(root)]
        mixing = np.linalg.qr(rng.standard_normal((p, p)))[0]
        views.append(X @ (np.geomspace(1, 0.1, p)[:, None] * mixing))
    return views


class Exact:
    """One pass over the rows, by estimator and shape: tall and wide."""

    params = (["cca", "pls", "multiview"], [(20_000, 200, 150), (500, 1200, 900)])
    param_names = ("kind", "shape")
    timeout = 120

    def setup(self, kind, shape):
        n, *sizes = shape
        X, Y = planted(n, sizes)
        if kind == "multiview":
            self.model = MultiviewCCA(5, reg=0.1, view_sizes=sizes, solver="exact")
            self.data = (np.hstack([X, Y]),)
        else:
            self.model = (
                StochasticCCA(5, reg=0.1, solver="exact")
                if kind == "cca"
                else StochasticPLS(5, solver="exact")
            )
            self.data = (X, Y)

    def time_fit(self, kind, shape):
        self.model.fit(*self.data)

    def peakmem_fit(self, kind, shape):
        self.model.fit(*self.data)


class Streaming:
    """Two epochs of stochastic steps, by batch size and storage of the first view."""

    params = ([20, 100], ["dense", "sparse"])
    param_names = ("batch_size", "storage")
    timeout = 120

    def setup(self, batch_size, storage):
        warnings.simplefilter("ignore")
        self.X, self.Y = planted(8000, (300, 200))
        if storage == "sparse":
            kept = np.random.default_rng(1).random(self.X.shape) < 0.1
            self.X = sparse.csr_array(self.X * kept)
        self.model = StochasticCCA(
            5, solver="ey", batch_size=batch_size, max_iter=2, random_state=0
        )

    def time_fit(self, batch_size, storage):
        self.model.fit(self.X, self.Y)

    def time_partial_fit(self, batch_size, storage):
        stream = StochasticCCA(5, solver="ey", batch_size=batch_size, random_state=0)
        for start in range(0, 4000, 500):
            rows = slice(start, start + 500)
            stream.partial_fit(self.X[rows], self.Y[rows])

    def track_captured(self, batch_size, storage):
        exact = StochasticCCA(5, solver="exact").fit(self.X, self.Y).correlations_
        scores = self.model.fit(self.X, self.Y).transform(self.X, self.Y)
        return proportion_correlation_captured(*scores, exact)


class MemoryMap:
    """Partial least squares of a file of bytes, read in batches."""

    timeout = 120

    def setup(self):
        warnings.simplefilter("ignore")
        n, p, q = 2000, 10_000, 20
        rng = np.random.default_rng(0)
        ancestry = rng.standard_normal((n, 5))
        chance = 1 / (1 + np.exp(-ancestry @ (0.3 * rng.standard_normal((5, p)))))
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name, "counts.npy")
        np.save(path, rng.binomial(2, chance).astype(np.int8))
        self.X = np.load(path, mmap_mode="r")
        self.Y = ancestry @ rng.standard_normal((5, q)) + rng.standard_normal((n, q))
        self.model = StochasticPLS(
            5, solver="ey", batch_size=100, max_iter=1, random_state=0
        )

    def teardown(self):
        del self.X
        self.folder.cleanup()

    def time_fit(self):
        self.model.fit(self.X, self.Y)

    def peakmem_fit(self):
        self.model.fit(self.X, self.Y)
