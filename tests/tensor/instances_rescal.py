"""Instances of the relational models for the common tests."""

import numpy as np

from skstruct.datasets import make_relational_communities
from skstruct.tensor import RESCAL, NonnegativeRESCAL, RESCALRankSelector
from tests.instances import RankDesign, Spec


def to_slices(X):
    """(n, p) -> (n, s, s), zero padded."""
    n, p = X.shape
    side = int(np.ceil(np.sqrt(p)))
    out = np.zeros((n, side * side), dtype=X.dtype)
    out[:, :p] = X
    return out.reshape(n, side, side)


def relational(seed=0):
    data = make_relational_communities(
        12, 10, n_components=2, noise="multiplicative", random_state=seed
    )
    return data.X, None


def _planted(**options):
    def make(seed):
        data = make_relational_communities(
            40, 15, n_components=4, random_state=seed, **options
        )
        return data.X, None, {}

    return make


_DESIGNS = {
    "gaussian-poisson": {"noise": "poisson", "noise_level": 1.0},
    "dense-10": {"design": "dense", "noise": "multiplicative", "noise_level": 0.1},
    "dense-30": {"design": "dense", "noise": "multiplicative", "noise_level": 0.3},
}


def _rank_designs(estimator):
    return [
        RankDesign(
            name=name,
            make=_planted(**options),
            estimator=estimator,
            grid={"n_components": [2, 3, 4, 5, 6]},
            truth={"n_components": 4},
        )
        for name, options in _DESIGNS.items()
    ]


_TRIPLES = ("predict", "decision_function")

INSTANCES = {
    RESCAL: Spec(
        factories=[
            lambda: RESCAL(2, alpha_A=0.01, alpha_R=0.01, random_state=0),
            lambda: RESCAL(
                1, init="random", n_init=4, orthonormalize=True, random_state=0
            ),
        ],
        data=relational,
        adapt=to_slices,
        outputs=("transform", "score"),
        rank_designs=_rank_designs(lambda: RESCAL(random_state=0)),
        hidden=_TRIPLES,
    ),
    NonnegativeRESCAL: Spec(
        factories=[
            lambda: NonnegativeRESCAL(2, random_state=0),
            lambda: NonnegativeRESCAL(2, solver="mu", init="nndsvd", max_iter=200),
            lambda: NonnegativeRESCAL(
                2, alpha_A=0.1, alpha_R=0.1, l1_A=0.1, memory_limit=0, random_state=0
            ),
        ],
        data=relational,
        adapt=to_slices,
        outputs=("transform", "score"),
        rank_designs=_rank_designs(lambda: NonnegativeRESCAL(random_state=0)),
        hidden=_TRIPLES,
    ),
    RESCALRankSelector: Spec(
        factories=[
            lambda: RESCALRankSelector(
                [1, 2],
                estimator=NonnegativeRESCAL(max_iter=60, n_init=1),
                n_perturbations=3,
                random_state=0,
            )
        ],
        data=relational,
        adapt=to_slices,
        outputs=("transform",),
        no_rank="It chooses its own rank; tests/tensor/test_rescal_rank.py.",
    ),
}
