"""Speed, memory and accuracy of the nested tensor family over commits."""

import warnings

import numpy as np

from skstruct.datasets import make_nested_tensor
from skstruct.random_matrix import estimate_rank
from skstruct.tensor import (
    NestedTensorClustering,
    NestedTensorPCA,
    nested_rank_one_theory,
)


class Fit:
    params = (["projection", "tensor", "unfolding"], [2, 4])
    param_names = ("method", "n_clusters")

    def setup(self, method, n_clusters):
        warnings.simplefilter("ignore")
        self.data = make_nested_tensor(
            beta_M=3.0, n_clusters=n_clusters, random_state=0
        )
        self.model = NestedTensorClustering(n_clusters, method=method, random_state=0)

    def time_fit(self, method, n_clusters):
        self.model.fit(self.data.X)

    def peakmem_fit(self, method, n_clusters):
        self.model.fit(self.data.X)

    def track_purity(self, method, n_clusters):
        labels = self.model.fit(self.data.X).labels_
        table = np.zeros((n_clusters, n_clusters))
        np.add.at(table, (labels, self.data.labels), 1)
        return table.max(axis=1).sum() / len(labels)


class LargeFit:
    params = ["float64", "float32"]
    param_names = ("dtype",)

    def setup(self, dtype):
        warnings.simplefilter("ignore")
        X = np.random.default_rng(0).standard_normal((1000, 500, 50))
        self.X = X.astype(dtype)
        self.model = NestedTensorPCA(2).fit(self.X)

    def time_fit(self, dtype):
        self.model.fit(self.X)

    def time_score(self, dtype):
        self.model.score(self.X)

    def time_transform(self, dtype):
        self.model.transform(self.X)


class Theory:
    def setup(self):
        self.A = np.random.default_rng(0).standard_normal((400, 200))

    def time_rank_one(self):
        nested_rank_one_theory((150, 300, 60), 1.0, 2.0)

    def time_estimate_rank(self):
        estimate_rank(self.A)

    def time_estimate_rank_permutation(self):
        estimate_rank(self.A, method="permutation", random_state=0)
