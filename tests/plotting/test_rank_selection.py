"""RankSelectionDisplay shows what the search found."""

import builtins

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from skstruct.impute import SoftImputer, SVTImputer
from skstruct.model_selection import one_standard_error
from skstruct.plotting import RankSelectionDisplay
from tests.reference.svt import planted

pytest.importorskip("matplotlib").use("Agg")


@pytest.fixture(autouse=True)
def _close():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_from_search_agrees_with_the_search():
    X = planted(0)[0]
    search = GridSearchCV(SVTImputer(), {"n_components": [1, 3, 5, 7]}, cv=3).fit(X)
    display = RankSelectionDisplay.from_search(search)
    assert display.ranks_[display.best_index_] == search.best_params_["n_components"]
    np.testing.assert_allclose(display.mean_, search.cv_results_["mean_test_score"])
    index = one_standard_error(search.cv_results_)
    simplest = search.cv_results_["param_n_components"][index]
    assert display.ranks_[display.one_standard_error_index_] == simplest
    drawn = display.ax_.lines[0].get_ydata()
    np.testing.assert_allclose(drawn, display.mean_)
    assert display.ax_.get_xlabel() == "n_components"


def test_one_line_per_other_combination():
    X = planted(0)[0]
    grid = {"n_components": [3, 5], "alpha": [0.1, 1.0]}
    search = GridSearchCV(SoftImputer(random_state=0), grid, cv=2).fit(X)
    display = RankSelectionDisplay.from_search(search)
    assert set(display.scores) == {"alpha=0.1", "alpha=1.0"}
    assert display.mean_.max() == search.best_score_
    search.cv_results_ = {
        key: np.concatenate([value] * 5)
        for key, value in search.cv_results_.items()
        if key != "params"
    }
    search.cv_results_["param_alpha"] = np.arange(20.0)
    with pytest.raises(ValueError, match="at most 8 lines"):
        RankSelectionDisplay.from_search(search)


def test_from_arrays_sorts_the_grid_and_takes_a_second_axis():
    scores = np.array([[-1.0, -1.2], [-3.0, -3.1], [-2.0, -2.2]])
    display = RankSelectionDisplay.from_arrays(
        [5, 1, 3], scores, secondary=("silhouette", [0.1, 0.2, 0.3])
    ).plot()
    assert list(display.ranks_) == [1, 3, 5]
    assert display.best_index_ == 2
    assert len(display.figure_.axes) == 2
    with pytest.raises(ValueError, match="scores must have shape"):
        RankSelectionDisplay.from_arrays([1, 2], scores)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def no_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    display = RankSelectionDisplay.from_arrays([1, 2], [[0.0], [1.0]])
    with pytest.raises(ImportError, match=r"skstruct\[plot\]"):
        display.plot()
