"""Speed, memory and quality of the incremental mixtures over commits."""

import numpy as np

from skstruct.datasets import make_gaussian_stream
from skstruct.mixture import (
    IncrementalGaussianMixture,
    IncrementalGaussianMixtureRegressor,
    MiniBatchGaussianMixture,
)


class OneComponent:
    """Points of a single component."""

    params = ([10, 50, 200, 784], ["precision", "cholesky"])
    param_names = ("n_features", "solver")

    def setup(self, n_features, solver):
        n = max(200, 2_000_000 // n_features**2)
        self.X = np.random.default_rng(0).standard_normal((n, n_features))
        self.model = IncrementalGaussianMixture(
            beta=0, init_variance=1.0, solver=solver
        )
        self.model.fit(self.X[:100])

    def time_fit(self, n_features, solver):
        self.model.fit(self.X)

    def peakmem_fit(self, n_features, solver):
        self.model.fit(self.X)


class Stream:
    """Five Gaussians in eight dimensions."""

    params = ["one pass", "refined", "stepwise"]
    param_names = ("learner",)

    def setup(self, learner):
        X = make_gaussian_stream(10_000, 8, random_state=0).X
        self.train, self.test = X[:5000], X[5000:]
        self.model = {
            "one pass": IncrementalGaussianMixture(delta=0.3, beta=1e-6),
            "refined": IncrementalGaussianMixture(delta=0.3, beta=1e-6, refine=10),
            "stepwise": MiniBatchGaussianMixture(5, random_state=0),
        }[learner].fit(self.train)

    def time_fit(self, learner):
        self.model.fit(self.train)

    def time_score(self, learner):
        self.model.score(self.test)

    def track_held_out_log_density(self, learner):
        return self.model.score(self.test)

    def track_n_components(self, learner):
        return self.model.n_components_


class Regression:
    """Prediction from the joint density."""

    def setup(self):
        rng = np.random.default_rng(0)
        self.X = rng.uniform(-2, 2, size=(4000, 3))
        self.y = np.sin(2 * self.X[:, 0]) + self.X[:, 1] ** 2 / 2 - self.X[:, 2]
        self.model = IncrementalGaussianMixtureRegressor(
            delta=0.3, beta=0.01, max_components=60
        ).fit(self.X[:2000], self.y[:2000])

    def time_predict_with_std(self):
        self.model.predict(self.X[2000:], return_std=True)

    def track_r2(self):
        return self.model.score(self.X[2000:], self.y[2000:])
