"""Instances of robust flag PCA and principal subspaces for the common tests."""

import numpy as np

from skstruct.decomposition import PrincipalSubspaceAnalysis, RobustFlagPCA
from tests.instances import RankDesign, Spec


def planted(seed, outliers=0.0):
    """Three directions in 15 dimensions with noise, and isotropic gross outliers."""
    rng = np.random.default_rng(seed)
    W = np.linalg.qr(rng.standard_normal((15, 3)))[0] * [4.0, 3.0, 2.0]
    X = rng.standard_normal((200, 3)) @ W.T + 0.5 * rng.standard_normal((200, 15))
    gross = rng.random(200) < outliers
    X[gross] = 10.0 * rng.standard_normal((int(gross.sum()), 15))
    return X, None, {}


def _design(name, estimator, outliers=0.0):
    return RankDesign(
        name=name,
        make=lambda seed: planted(seed, outliers),
        estimator=estimator,
        grid={"n_components": range(1, 7)},
        truth={"n_components": 3},
        cv=5,
    )


def _robust(**params):
    return lambda: RobustFlagPCA(n_init=1, **params)


INSTANCES = {
    RobustFlagPCA: Spec(
        factories=[
            lambda: RobustFlagPCA(random_state=0),
            lambda: RobustFlagPCA(
                1, construction="block", scale=True, center="median", random_state=0
            ),
            lambda: RobustFlagPCA(
                1, construction="block", criterion="variance", n_init=2, random_state=0
            ),
            lambda: RobustFlagPCA(
                1, construction="block", criterion="dual", n_init=1, center="mean"
            ),
        ],
        outputs=("transform", "score_samples", "residuals"),
        rank_designs=[
            _design("clean", _robust()),
            _design("outliers", _robust(), 0.15),
            _design("block", _robust(construction="block"), 0.1),
        ],
    ),
    PrincipalSubspaceAnalysis: Spec(
        factories=[
            PrincipalSubspaceAnalysis,
            lambda: PrincipalSubspaceAnalysis("hierarchical", rotation="varimax"),
            lambda: PrincipalSubspaceAnalysis("ppca", n_components=1),
        ],
        outputs=("transform", "score_samples"),
        rank_designs=[
            _design("ppca", lambda: PrincipalSubspaceAnalysis("ppca")),
            _design("bic", PrincipalSubspaceAnalysis),
        ],
    ),
}
