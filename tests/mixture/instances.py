"""Instances of the incremental mixtures for the common tests."""

import numpy as np

from skstruct.mixture import (
    IncrementalGaussianMixture,
    IncrementalGaussianMixtureClassifier,
    IncrementalGaussianMixtureRegressor,
    MiniBatchGaussianMixture,
)
from tests.instances import RankDesign, Spec, default_data

_WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "Learning is sequential: a row of weight 2 makes one step, two copies make "
        "two, and the order of the rows matters."
    )
}


def _labelled(seed):
    X, _ = default_data(seed)
    return X, (X[:, 0] > 0).astype(int)


def _targets(seed):
    X, _ = default_data(seed)
    return X, X[:, :2] + X[:, 2:4] ** 2


def _clusters(seed):
    """Four Gaussians in five dimensions, about three deviations apart."""
    rng = np.random.default_rng(seed)
    centers = 3 * rng.standard_normal((4, 5))
    factors = np.eye(5) + 0.4 * rng.standard_normal((4, 5, 5))
    labels = rng.integers(0, 4, 900)
    noise = rng.standard_normal((900, 5))
    X = centers[labels] + np.einsum("nij,nj->ni", factors[labels], noise)
    return X, None, {}


INSTANCES = {
    IncrementalGaussianMixture: Spec(
        factories=[
            IncrementalGaussianMixture,
            lambda: IncrementalGaussianMixture(
                delta=1.0, beta=0.01, assignment="hard", update="igmn"
            ),
            lambda: IncrementalGaussianMixture(
                solver="cholesky",
                v_min=10,
                missing="marginal",
                shuffle=True,
                random_state=0,
            ),
        ],
        outputs=("score_samples", "predict_proba", "score"),
        expected_failed_checks=_WEIGHTS,
        no_rank="delta and beta decide the number; tests/mixture/test_incremental.py.",
    ),
    IncrementalGaussianMixtureClassifier: Spec(
        factories=[
            IncrementalGaussianMixtureClassifier,
            lambda: IncrementalGaussianMixtureClassifier(
                target="onehot", delta=1.0, shuffle=True, random_state=0
            ),
        ],
        data=_labelled,
        outputs=("predict", "predict_proba", "score"),
        kinds=("F", "strided", "readonly", "memmap", "float32"),
        expected_failed_checks=_WEIGHTS,
        no_rank="delta and beta decide the number of components.",
    ),
    IncrementalGaussianMixtureRegressor: Spec(
        factories=[
            IncrementalGaussianMixtureRegressor,
            lambda: IncrementalGaussianMixtureRegressor(
                delta=1.0, solver="cholesky", shuffle=True, random_state=0
            ),
        ],
        data=_targets,
        outputs=("predict", "score"),
        expected_failed_checks=_WEIGHTS,
        no_rank="delta and beta decide the number of components.",
    ),
    MiniBatchGaussianMixture: Spec(
        factories=[
            lambda: MiniBatchGaussianMixture(random_state=0),
            lambda: MiniBatchGaussianMixture(2, batch_size=10, random_state=0),
        ],
        outputs=("score_samples", "predict_proba", "score"),
        rank_designs=[
            RankDesign(
                name="clusters",
                make=_clusters,
                estimator=lambda: MiniBatchGaussianMixture(random_state=0),
                grid={"n_components": range(1, 8)},
                truth={"n_components": 4},
            )
        ],
    ),
}
