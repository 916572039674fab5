"""Averages of flags, robust PCA and principal subspaces."""

import numpy as np

from skstruct.datasets import make_noisy_flags
from skstruct.decomposition import PrincipalSubspaceAnalysis, RobustFlagPCA
from skstruct.subspace import FlagMean, FlagMedian, flag_distance


class Averages:
    """Mean and median by dimension."""

    params = [10, 200, 5000]
    param_names = ("n_features",)

    def setup(self, n_features):
        self.data = make_noisy_flags(
            100, n_features, noise=0.1, n_outliers=10, random_state=0
        )
        self.mean, self.median = FlagMean((1, 3)), FlagMedian((1, 3))

    def time_mean(self, n_features):
        self.mean.fit(self.data.X)

    def time_median(self, n_features):
        self.median.fit(self.data.X)

    def time_distances(self, n_features):
        flag_distance(self.data.X, self.data.X, (1, 3))

    def peakmem_mean(self, n_features):
        self.mean.fit(self.data.X)

    def track_median_error(self, n_features):
        frame = self.median.fit(self.data.X).frame_
        return float(flag_distance(frame, self.data.center, (1, 3)))


class Robust:
    """Robust PCA by criterion."""

    params = ["nested", "reconstruction", "variance", "dual"]
    param_names = ("kind",)

    def setup(self, kind):
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((500, 30)) * np.linspace(5, 0.5, 30)
        self.X[:50] = 10 * rng.standard_normal((50, 30))
        nested = kind == "nested"
        self.pca = RobustFlagPCA(
            5,
            construction="nested" if nested else "block",
            criterion="reconstruction" if nested else kind,
            random_state=0,
        )

    def time_fit(self, kind):
        self.pca.fit(self.X)

    def track_objective(self, kind):
        return self.pca.fit(self.X).objective_


class PrincipalSubspaces:
    """The exact choice of a type."""

    params = [50, 500]
    param_names = ("n_features",)

    def setup(self, n_features):
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((2 * n_features, n_features))
        self.X *= np.linspace(3, 1, n_features)

    def time_fit(self, n_features):
        PrincipalSubspaceAnalysis().fit(self.X)
