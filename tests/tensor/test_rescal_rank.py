"""The number of groups by stability: matching, silhouettes, choices, seeds."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.metrics import silhouette_samples

from skstruct.datasets import (
    fetch_nations,
    fetch_trade_flows,
    make_relational_communities,
)
from skstruct.tensor import NonnegativeRESCAL, RESCALRankSelector
from skstruct.tensor._rescal_rank import match_groups, silhouettes
from tests._data import shared_data


def quiet(selector, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return selector.fit(X)


@pytest.mark.parametrize("centroid", ["median", "mean"])
def test_permuted_copies_match_perfectly(centroid):
    rng = np.random.default_rng(0)
    A = rng.uniform(size=(20, 5))
    permutations = [rng.permutation(5) for _ in range(6)]
    scales = rng.uniform(0.1, 10, size=(6, 5))
    stack = np.stack([A[:, p] * s for p, s in zip(permutations, scales)])
    orders, C = match_groups(stack, 2, centroid=centroid)
    for p, order in zip(permutations, orders):
        assert_array_equal(p[order], permutations[2])
    want = A[:, permutations[2]]
    assert_allclose(C, want / np.linalg.norm(want, axis=0), rtol=1e-12)
    matched = np.stack([s[:, order] for s, order in zip(stack, orders)])
    assert_allclose(silhouettes(matched), 1.0, atol=1e-6)


def test_silhouettes_equal_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    matched = np.abs(np.eye(8)[:, :3] + 0.3 * rng.standard_normal((5, 8, 3)))
    units = matched / np.linalg.norm(matched, axis=1, keepdims=True)
    points = units.transpose(2, 0, 1).reshape(15, 8)
    angle = np.arccos(np.clip(points @ points.T, -1, 1))
    np.fill_diagonal(angle, 0)
    each = silhouette_samples(angle, np.repeat(np.arange(3), 5), metric="precomputed")
    assert_allclose(silhouettes(matched), each.reshape(3, 5).mean(axis=1), rtol=1e-7)


def test_silhouettes_of_one_group_and_of_dead_groups():
    assert_array_equal(silhouettes(np.ones((4, 6, 1))), [1.0])
    dead = np.zeros((3, 6, 2))
    dead[:, 0, 0] = 1.0
    assert np.isfinite(silhouettes(dead)).all()
    assert_array_equal(silhouettes(np.zeros((3, 6, 2))) <= 0, True)


@pytest.mark.parametrize(("n", "m", "k"), [(40, 8, 4), (70, 10, 7)])
def test_gaussian_communities(n, m, k):
    X = make_relational_communities(n, m, n_components=k, random_state=0).X
    selector = quiet(RESCALRankSelector([k - 1, k, k + 1], random_state=0), X)
    assert selector.n_components_ == k
    assert selector.silhouette_min_[1] >= 0.95 - 0.005
    assert selector.silhouette_min_[2] < 0
    assert selector.relative_error_[1] < 0.01
    assert selector.best_estimator_.components_.shape == (n, k)
    # Refined on the data itself: no worse than the consensus.
    error = selector.reconstruction_err_ / np.linalg.norm(X)
    assert error <= selector.relative_error_[1] * 1.001


def _nations():
    folder = shared_data("originals", "dnations.mat").parent
    return np.nan_to_num(fetch_nations(data_home=folder).X)


def test_nations_have_four_groups():
    selector = quiet(RESCALRankSelector(range(2, 7), random_state=0), _nations())
    assert selector.n_components_ == 4
    assert selector.silhouette_min_[2] > 0.98
    assert selector.silhouette_min_[3] < 0.5


@pytest.fixture(scope="module")
def trade():
    folder = shared_data("originals", "trade_data_tensor.mat").parent
    data = fetch_trade_flows(data_home=folder)
    return np.nan_to_num(data.X), list(data.countries)


def test_annual_trade_has_the_five_groups_of_the_paper(trade):
    X, countries = trade
    annual = X.reshape(35, 12, 23, 23).sum(axis=1)
    with pytest.warns(UserWarning, match="ends in 8 groups, which are stable too"):
        selector = RESCALRankSelector(range(2, 9), random_state=0).fit(annual)
    assert selector.n_components_ == 5
    A, R = selector.components_, selector.relations_

    def led_by(name, share=0.0):
        (group,) = np.flatnonzero(
            (A.argmax(axis=0) == countries.index(name)) & (A.max(axis=0) > share)
        )
        return group

    usa = led_by("United States", 0.8)
    china = led_by("China,P.R.: Mainland", 0.5)
    america = led_by("Canada")
    europe = next(
        g for g in range(5) if countries[A[:, g].argmax()] in ("Germany", "France")
    )
    assert len({usa, china, america, europe}) == 4
    (asia,) = set(range(5)) - {usa, china, america, europe}
    members = {countries[i] for i in np.argsort(-A[:, asia])[:4]}
    assert {"Japan", "Korea, Republic of"} <= members
    assert countries.index("Mexico") in np.argsort(-A[:, america])[:3]
    share = R / R.sum(axis=(1, 2), keepdims=True)
    early, late = share[:5].mean(axis=0), share[-5:].mean(axis=0)
    assert early[europe, europe] - late[europe, europe] > 0.08
    assert early[china].sum() < 0.06
    assert late[china, asia] > 0.1 and late[china, usa] > 0.05


def test_monthly_trade_has_five_groups(trade):
    selector = quiet(RESCALRankSelector([4, 5, 6], random_state=0), trade[0])
    assert selector.n_components_ == 5
    assert_allclose(selector.relative_error_[1], 0.296, atol=0.002)


def test_bit_equal_for_every_n_jobs_and_for_a_part_of_the_range():
    X = make_relational_communities(15, 5, n_components=2, random_state=0).X
    model = NonnegativeRESCAL(max_iter=30, n_init=2)
    options = {"estimator": model, "n_perturbations": 3, "random_state": 0}
    one = quiet(RESCALRankSelector([1, 2, 3], n_jobs=1, **options), X)
    two = quiet(RESCALRankSelector([3, 2, 1], n_jobs=2, **options), X)
    for name in ("components_", "relations_", "silhouette_min_", "relative_error_"):
        assert_array_equal(getattr(one, name), getattr(two, name))
    part = quiet(RESCALRankSelector([2], **options), X)
    assert part.silhouette_min_[0] == one.silhouette_min_[1]


def test_an_interrupted_run_resumes(tmp_path, monkeypatch):
    from skstruct.tensor import _rescal_rank as module

    X = make_relational_communities(12, 4, n_components=2, random_state=0).X
    options = {
        "estimator": NonnegativeRESCAL(max_iter=20, n_init=1),
        "n_perturbations": 3,
        "memory": str(tmp_path),
        "random_state": 0,
    }
    want = quiet(RESCALRankSelector([2], **options), X)
    calls = []
    fit = NonnegativeRESCAL.fit

    def counted(self, *args, **kwargs):
        calls.append(self.n_components)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(NonnegativeRESCAL, "fit", counted)
    again = quiet(RESCALRankSelector([2, 3], **options), X)
    assert calls == [3, 3, 3]
    assert again.silhouette_min_[0] == want.silhouette_min_[0]
    assert module._perturbed_fit is not None


@pytest.mark.parametrize("perturbation", ["uniform", "poisson"])
def test_sparse_counts_and_missing_cells(perturbation):
    data = make_relational_communities(
        20, 6, n_components=2, noise="poisson", noise_level=0.1, random_state=0
    )
    options = {
        "perturbation": perturbation,
        "n_perturbations": 3,
        "random_state": 0,
        "estimator": NonnegativeRESCAL(n_init=1, max_iter=100),
    }
    slices = [sparse.csr_array(x) for x in data.X]
    selector = quiet(RESCALRankSelector([1, 2], **options), slices)
    assert selector.n_components_ == 2
    assert selector.transform(slices).shape == (6, 4)
    X = data.X.copy()
    X[:, range(20), range(20)] = np.nan
    holes = quiet(RESCALRankSelector([1, 2], **options), X)
    assert np.isfinite(holes.components_).all()
    options["estimator"] = NonnegativeRESCAL(n_init=1, max_iter=50, symmetric=True)
    even = quiet(RESCALRankSelector([2], **options), data.X + data.X.transpose(0, 2, 1))
    assert_allclose(even.relations_, even.relations_.transpose(0, 2, 1), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:NonnegativeRESCAL stopped")
def test_warnings_of_the_choice():
    rng = np.random.default_rng(0)
    X = make_relational_communities(
        15, 4, n_components=5, design="dense", random_state=0
    ).X
    X = X * rng.uniform(0.5, 1.5, X.shape)
    options = {
        "estimator": NonnegativeRESCAL(n_init=1, max_iter=300),
        "n_perturbations": 4,
        "random_state": 0,
    }
    selector = RESCALRankSelector([1, 5], min_silhouette=0.99, **options)
    with pytest.warns(UserWarning, match="No number of groups above 1 reaches"):
        selector.fit(X)
    assert selector.n_components_ == 1
    selector = RESCALRankSelector([1, 5], min_silhouette=-1.0, **options)
    with pytest.warns(UserWarning, match="Weak evidence for 5 groups"):
        selector.fit(X)


@pytest.mark.parametrize(("parameters", "text"), [
    ({"n_components_range": []}, "non-empty"),
    ({"n_components_range": [0, 1]}, "at least 1"),
    ({"n_components_range": [1.5]}, "integers of at least 1"),
    ({"n_perturbations": 1}, "n_perturbations"),
    ({"noise": 0.0}, "noise"),
    ({"perturbation": "gauss"}, "perturbation"),
])  # fmt: skip
def test_messages(parameters, text):
    parameters = {"n_components_range": [1, 2], **parameters}
    with pytest.raises(ValueError, match=text):
        RESCALRankSelector(**parameters).fit(np.ones((2, 3, 3)))


def test_messages_of_data_and_estimator():
    with pytest.raises(ValueError, match="there are no groups"):
        RESCALRankSelector([1, 2]).fit(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="slice 0 has minimum -1"):
        RESCALRankSelector([1, 2]).fit(-np.ones((2, 3, 3)))
    from skstruct.tensor import RESCAL

    with pytest.raises(TypeError, match="must be a NonnegativeRESCAL, got RESCAL"):
        RESCALRankSelector([1, 2], estimator=RESCAL()).fit(np.ones((2, 3, 3)))
