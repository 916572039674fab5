"""RelationsDisplay and RankStabilityDisplay."""

import warnings

import matplotlib
import numpy as np
import pytest

from skstruct.plotting import RankStabilityDisplay, RelationsDisplay

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture
def display():
    rng = np.random.default_rng(0)
    A = np.kron(np.eye(3), np.array([[0.7], [0.2], [0.1]]))[::-1]
    return RelationsDisplay(
        A, rng.uniform(size=(12, 3, 3)), entity_names=[f"e{i}" for i in range(9)]
    )


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_entities_are_sorted_by_group_then_membership(display):
    np.testing.assert_array_equal(display.labels_, np.repeat([2, 1, 0], 3))
    np.testing.assert_array_equal(display.order_, [8, 7, 6, 5, 4, 3, 2, 1, 0])


def test_groups(display):
    ax = display.plot().ax_
    assert ax.get_yticklabels()[0].get_text() == "e8"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["A", "B", "C"]
    # Every column is shown relative to its largest member.
    assert ax.images[0].get_array().max(axis=0).tolist() == [1, 1, 1]


def test_relations(display):
    axes = display.plot(kind="relations", relations=[3, 5]).ax_
    assert len(axes) == 2 and axes[1].get_title() == "5"
    np.testing.assert_array_equal(axes[0].images[0].get_array(), display.relations[3])
    with pytest.raises(ValueError, match="relations holds 12"):
        display.plot(kind="relations", relations=[12])
    with pytest.raises(ValueError, match="2 relations need as many axes"):
        display.plot(plt.subplots()[1], kind="relations", relations=[3, 5])


def test_flows_are_shares_when_asked(display):
    ax = display.plot(kind="flows", pairs=[(0, 1)], share=True).ax_
    want = display.relations[:, 0, 1] / display.relations.sum(axis=(1, 2))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), want)
    assert ax.get_legend().get_texts()[0].get_text() == "A → B"
    assert len(display.plot(kind="flows").ax_.lines) == 5
    with pytest.raises(ValueError, match=r"pairs holds \(0, 3\)"):
        display.plot(kind="flows", pairs=[(0, 3)])


def test_bad_names_and_kinds(display):
    with pytest.raises(ValueError, match="kind='pie'"):
        display.plot(kind="pie")
    with pytest.raises(ValueError, match="entity_names must have 9 entries, got 2"):
        RelationsDisplay(display.components, display.relations, entity_names=["a", "b"])


def test_from_fitted_models():
    from skstruct.datasets import make_relational_communities
    from skstruct.tensor import RESCALRankSelector

    X = make_relational_communities(20, 6, n_components=2, random_state=0).X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        selector = RESCALRankSelector([1, 2], n_perturbations=3, random_state=0).fit(X)
    for kind in ("groups", "relations", "flows"):
        shown = RelationsDisplay.from_estimator(selector, kind=kind)
        assert shown.figure_ is np.ravel(shown.ax_)[0].figure
    shown = RankStabilityDisplay.from_estimator(selector)
    np.testing.assert_array_equal(
        shown.ax_.lines[0].get_ydata(), selector.silhouette_min_
    )
    np.testing.assert_array_equal(
        shown.error_ax_.lines[0].get_ydata(), selector.relative_error_
    )
