"""Instances of barycentric subspace analysis for the common tests."""

import numpy as np

from skstruct.decomposition import BarycentricSubspaceAnalysis
from skstruct.model_selection import one_standard_error
from tests.instances import RankDesign, Spec


def three_directions(seed, n=150, dimension=7, k=3):
    """Points of a sphere around k directions through a random point, with noise."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((dimension + 1, k + 1)))[0]
    v = rng.standard_normal((n, k)) * np.linspace(0.6, 0.4, k)
    t = np.linalg.norm(v, axis=1, keepdims=True)
    X = np.hstack([np.cos(t), np.sin(t) / t * v]) @ Q.T
    X = X + 0.1 * rng.standard_normal(X.shape)
    return X / np.linalg.norm(X, axis=1, keepdims=True), None, {}


def _design(name, refit=True, **options):
    return RankDesign(
        name=name,
        refit=refit,
        make=three_directions,
        estimator=lambda: BarycentricSubspaceAnalysis(manifold="sphere", **options),
        grid={"n_components": range(1, 7)},
        truth={"n_components": 3},
        cv=5,
    )


INSTANCES = {
    BarycentricSubspaceAnalysis: Spec(
        # The zero rows of some checks are on no sphere; the checks of scikit-learn run
        # on the other geometries, test_barycentric.py has those of the sphere.
        factories=[
            BarycentricSubspaceAnalysis,
            lambda: BarycentricSubspaceAnalysis(
                1, manifold="hyperbolic", normalize=True, strategy="pure", p=1.0
            ),
            lambda: BarycentricSubspaceAnalysis(
                1,
                manifold="hyperbolic",
                normalize=True,
                references="optimized",
                strategy="flag",
                tol=1e-4,
            ),
            lambda: BarycentricSubspaceAnalysis(
                weights="convex", output="weights", strategy="exchange"
            ),
        ],
        outputs=("transform", "score", "residuals"),
        rank_designs=[
            _design("optimized", references="optimized", strategy="pure"),
            # Four noisy samples span a tilted subspace: a fifth really predicts a
            # little better, by less than one standard error.
            _design("samples", refit=one_standard_error, strategy="exchange"),
        ],
    ),
}
