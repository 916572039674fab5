"""Instances of the incremental mixtures for the common tests."""

from skstruct.mixture import (
    IncrementalGaussianMixture,
)
from tests.instances import Spec

_WEIGHTS = (
    "Learning is sequential: a row of weight 2 makes one step, two copies make two, "
    "and the order of the rows matters."
)

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
        expected_failed_checks={
            "check_sample_weight_equivalence_on_dense_data": _WEIGHTS
        },
        no_rank="delta and beta decide the number; tests/mixture/test_incremental.py.",
    ),
}
