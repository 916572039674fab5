"""Instances of the imputers for the common tests."""

from skstruct.impute import SoftImputer, SoftImputerCV, SVTImputer, SVTImputerCV
from tests.instances import RankDesign, Spec
from tests.reference.svt import planted


def _planted(seed):
    return planted(seed)[0], None, {}


_KINDS = ("F", "strided", "readonly", "memmap", "float32", "int", "bool", "sparse")

INSTANCES = {
    SVTImputer: Spec(
        factories=[
            SVTImputer,
            lambda: SVTImputer(n_components=2, transform_method="fold-in", scale=True),
            lambda: SVTImputer("screenot", impute_only=True, svd_solver="full"),
        ],
        kinds=_KINDS,
        outputs=("transform", "score"),
        rank_designs=[
            RankDesign(
                name=method,
                make=_planted,
                estimator=lambda method=method: SVTImputer(transform_method=method),
                grid={"n_components": range(1, 11)},
                truth={"n_components": 5},
            )
            for method in ("project", "fold-in")
        ],
    ),
    SVTImputerCV: Spec(
        factories=[lambda: SVTImputerCV([0, 1, 2], cv=3, random_state=0)],
        kinds=_KINDS,
        outputs=("transform", "score"),
        no_rank="It chooses its own rank over entries; tests/impute/test_cv.py.",
    ),
    SoftImputer: Spec(
        factories=[
            lambda: SoftImputer(random_state=0),
            lambda: SoftImputer(0.5, 2, debias=True, impute_only=False, random_state=0),
            lambda: SoftImputer(0.0, 1, transform_method="project", random_state=0),
            lambda: SoftImputer(1.0, solver="svd", impute_only=False, max_iter=300),
            lambda: SoftImputer(solver="svt", max_iter=300, tol=1e-3),
        ],
        kinds=_KINDS,
        outputs=("transform", "score"),
        rank_designs=[
            RankDesign(
                name="alpha-rank",
                make=_planted,
                estimator=lambda: SoftImputer(alpha_relative=True, random_state=0),
                grid={"alpha": [0.0, 0.02, 0.1], "n_components": range(3, 9)},
                truth={"n_components": 5},
            )
        ],
    ),
    SoftImputerCV: Spec(
        factories=[lambda: SoftImputerCV(n_alphas=4, cv=3, random_state=0)],
        kinds=_KINDS,
        outputs=("transform", "score"),
        no_rank="It chooses its own penalty over entries; tests/impute/test_cv.py.",
    ),
}
