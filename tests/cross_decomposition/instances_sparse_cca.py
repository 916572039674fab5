"""Instances of the sparse canonical correlation classes for the common tests."""

import numpy as np

from skstruct.cross_decomposition import MultiviewSparseCCA, SparseCCA
from tests.instances import RankDesign, Spec


def two_views(seed=0):
    """30 rows, 6 and 4 columns, two related pairs of columns."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((30, 2)) * [1.5, 1.0]
    X = z @ rng.standard_normal((2, 6)) + 0.5 * rng.standard_normal((30, 6))
    Y = z @ rng.standard_normal((2, 4)) + 0.5 * rng.standard_normal((30, 4))
    return X, Y


def three_views(seed=0):
    X, Y = two_views(seed)
    return np.hstack([X, Y, X[:, :3] - Y[:, :3]]), None


def planted_views(seed, *, n=100, sizes=(150, 100), rank=2, block=8, loading=1.2):
    """Disjoint blocks of columns that share one latent variable each."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, rank))
    views = [rng.standard_normal((n, p)) for p in sizes]
    for view in views:
        for k in range(rank):
            view[:, block * k : block * (k + 1)] += loading * z[:, [k]]
    return views


def _pair(rank, **options):
    return lambda seed: (*planted_views(seed, rank=rank, **options), {})


def _stack(rank, sizes):
    def make(seed):
        views = planted_views(seed, rank=rank, sizes=sizes)
        return np.hstack(views), None, {}

    return make


_KINDS = ("F", "strided", "readonly", "memmap", "float32", "int", "bool")
_RANKS = {"n_components": [1, 2, 3, 4]}
_SIZES = (60, 50, 40)

INSTANCES = {
    SparseCCA: Spec(
        factories=[
            SparseCCA,
            lambda: SparseCCA(l1_ratio=(0.7, 0.8), n_init=3, random_state=0),
            lambda: SparseCCA(l1_ratio=0.8, deflation="projection"),
            lambda: SparseCCA(method="ipls", alpha=0.2, en_ratio=0.7),
        ],
        data=two_views,
        outputs=("transform", "predict", "score"),
        kinds=(*_KINDS, "sparse"),
        rank_designs=[
            *(
                RankDesign(
                    name=f"pmd-{rank}",
                    make=_pair(rank),
                    estimator=lambda: SparseCCA(l1_ratio=0.25),
                    grid=_RANKS,
                    truth={"n_components": rank},
                )
                for rank in (1, 2, 3)
            ),
            *(
                RankDesign(
                    name=f"ipls-{rank}",
                    make=_pair(rank),
                    estimator=lambda: SparseCCA(method="ipls", alpha=0.2),
                    grid=_RANKS,
                    truth={"n_components": rank},
                )
                for rank in (1, 2, 3)
            ),
            RankDesign(
                name="pmd-bound-and-rank",
                make=_pair(2),
                estimator=SparseCCA,
                grid={"n_components": [1, 2, 3], "l1_ratio": [0.1, 0.3, 0.8]},
                truth={"n_components": 2, "l1_ratio": 0.3},
            ),
        ],
    ),
    MultiviewSparseCCA: Spec(
        factories=[
            MultiviewSparseCCA,
            lambda: MultiviewSparseCCA(l1_ratio=0.8, n_init=3, random_state=0),
        ],
        data=three_views,
        outputs=("transform", "score"),
        kinds=_KINDS,
        rank_designs=[
            *(
                RankDesign(
                    name=f"three-views-{rank}",
                    make=_stack(rank, _SIZES),
                    estimator=lambda: MultiviewSparseCCA(
                        l1_ratio=0.45, view_sizes=_SIZES
                    ),
                    grid=_RANKS,
                    truth={"n_components": rank},
                )
                for rank in (1, 2, 3)
            ),
            # Bounds that are too small for the blocks split them over components; the
            # score finds the bound and the rank together.
            RankDesign(
                name="three-views-bound-and-rank",
                make=_stack(2, _SIZES),
                estimator=lambda: MultiviewSparseCCA(view_sizes=_SIZES),
                grid={"n_components": [1, 2, 3], "l1_ratio": [0.2, 0.45, 0.8]},
                truth={"n_components": 2, "l1_ratio": 0.45},
            ),
        ],
    ),
}
