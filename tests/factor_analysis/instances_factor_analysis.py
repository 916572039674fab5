"""Instances of the factor models for the common tests."""

import numpy as np

from skstruct.datasets import make_factor_model
from skstruct.factor_analysis import (
    ConfirmatoryFactorAnalysis,
    CorrelationThresholding,
    ExploratoryFactorAnalysis,
)
from tests.instances import RankDesign, Spec


def _planted(seed):
    data = make_factor_model(
        400, n_factors=3, items_per_factor=4, random_state=seed, factor_corr=0.2
    )
    return data.X, None, {}


class _Gap:
    """Equal to every threshold between two correlations of the population."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __eq__(self, other):
        return self.low <= other <= self.high

    __hash__ = None

    def __repr__(self):
        return f"[{self.low}, {self.high}]"


def _blocks(seed):
    """Correlations are at least .49 within factors and at most .162 across."""
    data = make_factor_model(
        400,
        n_factors=3,
        items_per_factor=4,
        loadings=(0.7, 0.9),
        factor_corr=0.2,
        random_state=seed,
    )
    return data.X, None, {}


INSTANCES = {
    CorrelationThresholding: Spec(
        factories=[
            CorrelationThresholding,
            lambda: CorrelationThresholding("ebic", thresholds=20, scores="bartlett"),
            lambda: CorrelationThresholding(similarity="auto", refine="score"),
            lambda: CorrelationThresholding("plateau", method="uls"),
        ],
        outputs=("transform", "score"),
        rank_designs=[
            RankDesign(
                name="threshold",
                make=_blocks,
                estimator=CorrelationThresholding,
                grid={"threshold": list(np.arange(0.05, 0.95, 0.05))},
                truth={"threshold": _Gap(0.162, 0.49)},
            )
        ],
    ),
    ConfirmatoryFactorAnalysis: Spec(
        # Some of scikit-learn's checks have two columns only: one loading is the
        # largest pattern that fits all. test_confirmatory.py has the real ones.
        factories=[
            lambda: ConfirmatoryFactorAnalysis([[0]]),
            lambda: ConfirmatoryFactorAnalysis([[0]], method="uls"),
            lambda: ConfirmatoryFactorAnalysis([[0]], missing="fiml", orthogonal=True),
        ],
        outputs=("transform", "score"),
        no_rank="Its pattern, and so its number of factors, is given.",
    ),
    ExploratoryFactorAnalysis: Spec(
        factories=[
            lambda: ExploratoryFactorAnalysis(1, random_state=0),
            lambda: ExploratoryFactorAnalysis(2, rotation="varimax"),
            lambda: ExploratoryFactorAnalysis(2, rotation="geomin", random_state=0),
        ],
        outputs=("transform", "score"),
        rank_designs=[
            RankDesign(
                name="n_components",
                make=_planted,
                estimator=lambda: ExploratoryFactorAnalysis(1, rotation=None),
                grid={"n_components": range(1, 7)},
                truth={"n_components": 3},
            )
        ],
    ),
}
