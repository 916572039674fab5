"""Instances of the averages of flags for the common tests."""

import numpy as np

from skstruct.subspace import FlagKMeans, FlagMean, FlagMedian, SubspaceMean
from tests.instances import RankDesign, Spec

_NO_DIMENSION = (
    "The type of a flag says which subspaces are averaged; it is part of the question."
)


def unit_rows(table):
    """(n, p) -> frames (n, p, 1); a zero row becomes the first unit vector."""
    table = np.asarray(table)
    X = table.astype(np.float32 if table.dtype == np.float32 else np.float64)
    X[np.all(X == 0, axis=1), 0] = 1.0
    return (X / np.linalg.norm(X, axis=1, keepdims=True))[:, :, None]


def stacks(seed=0):
    """Columns around a frame, not orthonormal; independent also when cut to 0 and 1."""
    rng = np.random.default_rng(seed)
    center = np.linalg.qr(rng.standard_normal((9, 3)))[0]
    return center + 0.1 * rng.standard_normal((12, 9, 3)), None


def mixed_dimensions(seed):
    """60 frames of 3 to 6 dimensions around a common 4-dimensional subspace."""
    rng = np.random.default_rng(seed)
    common = np.linalg.qr(rng.standard_normal((20, 4)))[0]
    frames = []
    for d in rng.integers(3, 7, size=60):
        pool = np.hstack([common[:, rng.permutation(4)], rng.standard_normal((20, 2))])
        pool = pool[:, :d] + 0.1 * rng.standard_normal((20, d))
        frames.append(np.linalg.qr(pool)[0])
    return frames, None, {}


def clusters(seed):
    """45 flags in three clusters."""
    rng = np.random.default_rng(seed)
    centers = np.linalg.qr(rng.standard_normal((3, 8, 3)))[0]
    frames = np.repeat(centers, 15, axis=0)
    noise = 0.15 * rng.standard_normal(frames.shape)
    return np.linalg.qr(frames + noise)[0], None, {}


_COMMON = {
    "data": stacks,
    "adapt": unit_rows,
}

INSTANCES = {
    FlagMean: Spec(
        factories=[
            lambda: FlagMean((1,), orthonormalize=True),
            lambda: FlagMean(
                1,
                metric="nested",
                n_init=3,
                orthonormalize=True,
                oriented=True,
                random_state=0,
            ),
        ],
        outputs=("transform", "score"),
        no_rank=_NO_DIMENSION,
        **_COMMON,
    ),
    FlagMedian: Spec(
        factories=[
            lambda: FlagMedian((1,), n_init=2, orthonormalize=True, random_state=0)
        ],
        outputs=("transform", "score"),
        no_rank=_NO_DIMENSION,
        **_COMMON,
    ),
    SubspaceMean: Spec(
        factories=[
            lambda: SubspaceMean(1, orthonormalize=True),
            lambda: SubspaceMean(1, loss="l1", orthonormalize=True),
        ],
        outputs=("transform", "score"),
        rank_designs=[
            RankDesign(
                name="mixed-dimensions",
                make=mixed_dimensions,
                estimator=SubspaceMean,
                grid={"n_components": range(1, 8)},
                truth={"n_components": 4},
                cv=5,
            )
        ],
        **_COMMON,
    ),
    FlagKMeans: Spec(
        factories=[
            lambda: FlagKMeans(2, (1,), n_init=3, orthonormalize=True, random_state=0),
            lambda: FlagKMeans(
                3, 1, centers="median", n_init=2, orthonormalize=True, random_state=0
            ),
        ],
        outputs=("predict", "transform", "score"),
        expected_failed_checks={
            "check_sample_weight_equivalence_on_dense_data": (
                "Seeds are drawn by position, so that repeated rows in another order "
                "start elsewhere than weighted rows, as in scikit-learn's KMeans."
            )
        },
        rank_designs=[
            RankDesign(
                name=centers,
                make=clusters,
                estimator=lambda centers=centers: FlagKMeans(
                    flag_type=(1, 3), centers=centers, n_init=3, random_state=0
                ),
                grid={"n_clusters": range(1, 6)},
                truth={"n_clusters": 3},
            )
            for centers in ("mean", "median")
        ],
        **_COMMON,
    ),
}
