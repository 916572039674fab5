"""Speed, memory and quality of unmixing over commits."""

from skstruct.datasets import make_hyperspectral_scene
from skstruct.decomposition import (
    StructuredSparseNMF,
    fcls,
    nnls_abundances,
    spatial_affinity,
    vca,
)
from skstruct.metrics import unmixing_scores


class Unmixing:
    """The estimator on images of two sizes, with and without the graph."""

    params = ([50, 100], [0.0, 0.03], ["float64", "float32"])
    param_names = ("side", "graph_weight", "dtype")

    def setup(self, side, graph_weight, dtype):
        self.scene = make_hyperspectral_scene((side, side), n_bands=200, random_state=0)
        self.X = self.scene.X.astype(dtype)
        self.model = StructuredSparseNMF(
            4, graph_weight=graph_weight, image_shape=(side, side), random_state=0
        ).fit(self.X)

    def time_fit(self, side, graph_weight, dtype):
        self.model.fit(self.X)

    def time_transform(self, side, graph_weight, dtype):
        self.model.transform(self.X)

    def time_score(self, side, graph_weight, dtype):
        self.model.score(self.X)

    def peakmem_fit(self, side, graph_weight, dtype):
        self.model.fit(self.X)

    def track_iterations(self, side, graph_weight, dtype):
        return self.model.n_iter_

    def track_spectral_angle(self, side, graph_weight, dtype):
        scores = unmixing_scores(self.scene.endmembers, self.model.components_)
        return scores.mean_sad


class Tools:
    """Abundances, endmembers and graph of a 100 x 100 image."""

    def setup(self):
        scene = make_hyperspectral_scene((100, 100), n_bands=200, random_state=0)
        self.X, self.M = scene.X, scene.endmembers
        fcls(self.X[:10], self.M)
        spatial_affinity(self.X[:100], (10, 10))

    def time_fcls(self):
        fcls(self.X, self.M)

    def time_nnls_abundances(self):
        nnls_abundances(self.X, self.M)

    def time_vca(self):
        vca(self.X, 4, random_state=0)

    def time_spatial_affinity(self):
        spatial_affinity(self.X, (100, 100))
