"""Instances of the causal estimators for the common tests."""

import numpy as np

from skstruct.causal import CumulantLvLiNGAM, CumulantPairwise
from skstruct.datasets import make_latent_lingam
from tests.instances import RankDesign, Spec


def _table(seed):
    rng = np.random.default_rng(seed)
    X = rng.exponential(size=(120, 4))
    X[:, 1] += 0.8 * X[:, 0]
    X[:, 2] -= 0.7 * X[:, 1]
    return X, None


def _planted(design):
    def make(seed):
        data = make_latent_lingam(design, n_samples=3000, random_state=seed)
        return data.X, None, {}

    return make


def _quick(**params):
    return CumulantLvLiNGAM(moments="pair", n_restarts=0, random_state=0, **params)


INSTANCES = {
    CumulantLvLiNGAM: Spec(
        factories=[_quick, lambda: _quick(method="olc", max_latents=1)],
        data=_table,
        # transform has no column where no latent is found; test_lvlingam.py has it.
        outputs=("score",),
        kinds=("F", "strided", "readonly", "memmap", "float32", "int"),
        rank_designs=[
            RankDesign(
                name=name,
                make=_planted(name),
                estimator=_quick,
                grid={"max_latents": [0, 1, 2, 3]},
                truth={"max_latents": truth},
                cv=2,
            )
            for name, truth in (("D1", 1), ("D2", 2))
        ],
    ),
    CumulantPairwise: Spec(
        factories=[CumulantPairwise],
        data=_table,
        outputs=("pairwise_matrix", "score"),
        kinds=("F", "strided", "readonly", "memmap", "float32", "int"),
        no_rank="A pair of variables has a structure, not a rank.",
    ),
}
