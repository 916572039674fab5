"""Instances of primal-dual sparse CCA for the common tests."""

from skstruct.cross_decomposition import PrimalDualSparseCCA
from tests.instances import RankDesign, Spec
from tests.reference.primal_dual import planted


def _design(seed, rank):
    return *planted(seed, n=100, p=60, q=50, rank=rank), {}


INSTANCES = {
    PrimalDualSparseCCA: Spec(
        factories=[
            lambda: PrimalDualSparseCCA(random_state=0),
            lambda: PrimalDualSparseCCA(
                2, alpha=0.5, alpha_dual=0.7, kernel="rbf", seeds=[1, 0, 2]
            ),
            lambda: PrimalDualSparseCCA(alpha=0.5, seeds="random", random_state=0),
        ],
        data=lambda seed=0: planted(seed, n=30, p=12, q=9, block=3),
        outputs=("transform", "predict", "score"),
        kinds=(*Spec([]).kinds, "sparse"),
        rank_designs=[
            RankDesign(
                name=f"rank-{rank}",
                make=lambda seed, rank=rank: _design(seed, rank),
                estimator=lambda: PrimalDualSparseCCA(random_state=0),
                grid={"n_components": range(1, 5)},
                truth={"n_components": rank},
            )
            for rank in (1, 2, 3)
        ],
    )
}
