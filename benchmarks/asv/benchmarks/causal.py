"""Causal discovery."""

import warnings

import numpy as np

from skstruct.causal import CumulantAccumulator, CumulantLvLiNGAM, CumulantPairwise
from skstruct.datasets import make_latent_lingam


class Graph:
    """Fit by method and size."""

    params = ([(5, 1000), (10, 5000)], ["gmm", "olc"])
    param_names = ("shape", "method")
    timeout = 300

    def setup(self, shape, method):
        warnings.simplefilter("ignore")
        p, n = shape
        self.data = make_latent_lingam(
            n_samples=n, n_features=p, n_latents=1, random_state=0
        )
        self.model = CumulantLvLiNGAM(method=method, random_state=0)
        self.model.fit(self.data.X)

    def time_fit(self, shape, method):
        self.model.fit(self.data.X)

    def peakmem_fit(self, shape, method):
        self.model.fit(self.data.X)

    def track_wrong_edges(self, shape, method):
        true = self.data.adjacency_matrix != 0
        return int(np.sum(true != (self.model.effects_ != 0)))


class Pairs:
    """All pairs of a table, and the stream of their cumulants."""

    def setup(self):
        self.X = make_latent_lingam(
            n_samples=20_000, n_features=10, n_latents=1, random_state=0
        ).X
        CumulantPairwise().fit(self.X[:1000])

    def time_pairwise(self):
        CumulantPairwise().fit(self.X)

    def time_accumulator(self):
        CumulantAccumulator(max_order=6).partial_fit(self.X)
