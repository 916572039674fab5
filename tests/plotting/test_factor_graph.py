"""The display draws what the estimator found."""

import matplotlib
import numpy as np
import pytest

from skstruct.datasets import load_holzinger_swineford
from skstruct.factor_analysis import CorrelationThresholding
from skstruct.plotting import FactorGraphDisplay

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def fitted():
    frame = load_holzinger_swineford(as_frame=True).data
    return CorrelationThresholding().fit(frame)


def test_graph_has_every_variable_and_edge(fitted):
    display = FactorGraphDisplay.from_estimator(fitted)
    assert list(display.positions_) == [f"x{i}" for i in range(1, 10)]
    R = np.abs(fitted.correlation_)
    n_edges = np.sum(np.triu(R > fitted.threshold_, 1))
    assert len(display.ax_.lines) == n_edges
    assert "3 factors" in display.ax_.get_title()
    xy = np.array(list(display.positions_.values()))
    gaps = np.linalg.norm(xy[:, None] - xy, axis=2) + np.eye(9)
    assert gaps.min() > 0.1


def test_path_shows_the_choice(fitted):
    display = FactorGraphDisplay.from_estimator(fitted, kind="path")
    assert display.figure_ is display.ax_.figure
    assert any("3 factors" in text.get_text() for text in display.ax_.texts)


def test_scaled_similarity_gets_a_threshold_of_its_own():
    X = load_holzinger_swineford(24).data
    ct = CorrelationThresholding(similarity="auto", refine="assign").fit(X)
    display = FactorGraphDisplay.from_estimator(ct)
    assert len(display.ax_.lines) == pytest.approx(48, abs=1)
    other = FactorGraphDisplay.from_estimator(ct, threshold=0.5)
    assert len(other.ax_.lines) < 48


def test_bad_requests_are_named(fitted):
    with pytest.raises(ValueError, match="kind='tree'"):
        FactorGraphDisplay.from_estimator(fitted, kind="tree")
    fitted.n_features_in_, before = 301, fitted.n_features_in_
    try:
        with pytest.raises(ValueError, match="301 variables"):
            FactorGraphDisplay.from_estimator(fitted)
    finally:
        fitted.n_features_in_ = before


@pytest.fixture(autouse=True)
def _close():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
