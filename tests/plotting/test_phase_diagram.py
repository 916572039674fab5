"""PhaseDiagramDisplay."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skstruct.datasets import make_nested_tensor
from skstruct.plotting import PhaseDiagramDisplay
from skstruct.tensor import (
    NestedTensorClustering,
    nested_rank_one_theory,
    unfolding_theory,
    weighted_mean_theory,
)

SHAPE = (150, 300, 60)


@pytest.mark.parametrize("method", ["projection", "tensor", "unfolding"])
def test_map_is_the_theory_of_the_method(method):
    display = PhaseDiagramDisplay.from_theory(
        SHAPE, method=method, beta_M=[1.0, 2.0, 4.0], rho_T=[0.05, 1.0]
    )
    for i, rho in enumerate(display.rho_T_):
        beta_T = np.sqrt(rho * np.sqrt(np.prod(SHAPE)) / sum(SHAPE))
        for j, beta_M in enumerate(display.beta_M_):
            if method == "projection":
                want = np.sqrt(weighted_mean_theory(SHAPE, beta_T, beta_M))
            elif method == "tensor":
                want = nested_rank_one_theory(SHAPE, beta_T, beta_M)[1][1]
            else:
                theory = unfolding_theory(SHAPE, beta_T, beta_M)
                want = np.sqrt(theory["alignment_squared"])
            assert_allclose(display.alignment_[i, j], want, atol=2e-4)


def test_data_are_marked_where_their_ratios_are():
    import matplotlib.pyplot as plt

    data = make_nested_tensor(beta_T=1.0, beta_M=3.0, random_state=0)
    model = NestedTensorClustering().fit(data.X)
    display = PhaseDiagramDisplay.from_estimator(model)
    rho = model.beta_T_**2 * 510 / np.sqrt(150 * 300 * 60)
    assert_allclose(display.point_, (model.beta_M_[0], rho))
    marks = [line for line in display.ax_.lines if line.get_marker() == "*"]
    assert_allclose(marks[0].get_xydata()[0], display.point_)
    assert "your data are here" in [t.get_text() for t in display.ax_.texts]
    # Signals beyond the usual range are still inside the map.
    far = PhaseDiagramDisplay.from_theory(SHAPE, point=(30.0, 100.0))
    assert far.beta_M_[-1] > 30
    assert far.rho_T_[-1] > 100
    plt.close("all")


@pytest.mark.parametrize("n_views", [1, 4])
def test_unknown_and_infinite_ratios_are_at_the_border(n_views):
    import matplotlib.pyplot as plt

    M = np.random.default_rng(0).standard_normal((60, 20))
    M += 2 * np.sign(M[:, :1])
    X = M[:, :, None] * np.ones(n_views)
    model = NestedTensorClustering().fit(X)
    display = PhaseDiagramDisplay.from_estimator(model, method="tensor")
    assert np.isfinite(display.point_).all()
    assert np.isfinite(display.alignment_).all()
    plt.close("all")


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="method='cp' must be one of"):
        PhaseDiagramDisplay.from_theory(SHAPE, method="cp")
    with pytest.raises(ValueError, match="beta_M must be a vector of positive"):
        PhaseDiagramDisplay.from_theory(SHAPE, beta_M=[0.0, 1.0])
    with pytest.raises(ValueError, match="rho_T must be a vector of positive"):
        PhaseDiagramDisplay.from_theory(SHAPE, rho_T=[[1.0]])
