"""Link prediction by hidden cells."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator

from skstruct.datasets import (
    fetch_kinship,
    fetch_nations,
    fetch_umls,
    load_family_trees,
    make_relational_communities,
)
from skstruct.model_selection import EntrywiseKFold
from skstruct.tensor import RESCAL, NonnegativeRESCAL, cross_validate_entries
from tests._data import shared_data


class Recorder(BaseEstimator):
    """Keeps what it was shown; predicts the subject's number."""

    seen = []

    def fit(self, X):
        self.seen.append(X)
        return self

    def decision_function(self, triples):
        self.seen.append(triples)
        return triples[:, 0].astype(float)


@pytest.fixture(autouse=True)
def _fresh():
    Recorder.seen.clear()


def test_parts_cover_the_observed_cells_once():
    X = np.arange(48.0).reshape(3, 4, 4)
    X[1, 2, 3] = np.nan
    before = X.copy()
    got = cross_validate_entries(Recorder(), X, cv=5, random_state=0)
    assert_array_equal(X, before)
    assert {name: v.shape for name, v in got.items()} == {
        "test_score": (5,), "fit_time": (5,), "score_time": (5,),
    }  # fmt: skip
    shown, asked = Recorder.seen[::2], Recorder.seen[1::2]
    triples = np.concatenate(asked)
    assert len(np.unique(triples, axis=0)) == len(triples) == 47
    assert {len(part) for part in asked} == {9, 10}
    for data, part, value in zip(shown, asked, got["test_score"]):
        s, r, o = part.T
        assert np.isnan(data[r, s, o]).all()
        assert np.isnan(data).sum() == len(part) + 1
        assert_allclose(value, -np.mean((X[r, s, o] - s) ** 2))


def test_hiding_as_zeros_dense_and_sparse():
    X = np.random.default_rng(0).poisson(1.0, (3, 5, 5)).astype(float)
    options = {"cv": 4, "hide": "zero", "random_state": 0}
    dense = cross_validate_entries(Recorder(), X, **options)["test_score"]
    shown = Recorder.seen[::2]
    Recorder.seen = []
    slices = [sparse.csr_array(x) for x in X]
    got = cross_validate_entries(Recorder(), slices, **options)["test_score"]
    assert_allclose(got, dense)
    for one, other in zip(shown, Recorder.seen[::2]):
        assert_array_equal(one, np.stack([x.toarray() for x in other]))
    assert_array_equal(X, np.stack([x.toarray() for x in slices]))


def test_splitter_scorers_and_jobs():
    X = load_family_trees().X
    model = RESCAL(8, alpha_A=0.5, alpha_R=0.5, tol=1e-2, random_state=0)
    cv = EntrywiseKFold(3, random_state=0)
    values = {}
    for scoring in ("roc_auc", "average_precision", lambda y, s: float(len(y))):
        found = [
            cross_validate_entries(model, X, cv=cv, scoring=scoring, n_jobs=n_jobs)
            for n_jobs in (1, 2)
        ]
        assert_array_equal(found[0]["test_score"], found[1]["test_score"])
        values[scoring] = found[0]["test_score"]
    assert values["roc_auc"].mean() > 0.7
    assert list(values.values())[2].sum() <= X.size


def test_the_rank_of_planted_cells_is_found():
    X = make_relational_communities(
        30, 6, n_components=3, noise="multiplicative", noise_level=0.2, random_state=0
    ).X
    scores = []
    for k in (2, 3, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = NonnegativeRESCAL(k, random_state=0, max_iter=100)
            found = cross_validate_entries(model, X, cv=3, random_state=0)
        scores.append(found["test_score"].mean())
    assert np.argmax(scores) == 1


@pytest.mark.parametrize(
    ("name", "fetch", "rank", "normalize", "bound"),
    [
        ("dnations.mat", fetch_nations, 13, False, 0.79),
        ("alyawarradata.mat", fetch_kinship, 100, True, 0.94),
        ("uml.mat", fetch_umls, 100, False, 0.95),
    ],
)
def test_link_prediction_by_the_published_protocol(name, fetch, rank, normalize, bound):
    """Ten folds of cells set to zero, rank and ridge of the published script."""
    X = fetch(data_home=shared_data("originals", name).parent).X
    model = RESCAL(rank, alpha_A=10, alpha_R=10, max_iter=12, tol=1e-4, random_state=0)
    options = {"scoring": "average_precision", "hide": "zero", "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cross_validate_entries(model, X, cv=10, normalize=normalize, **options)
    assert found["test_score"].mean() >= bound


@pytest.mark.parametrize(("options", "text"), [
    ({"cv": 1}, "cv"),
    ({"cv": 100}, "cv=100 is larger than the number of cells, 27"),
    ({"scoring": "accuracy"}, "scoring"),
    ({"hide": "mean"}, "hide"),
])  # fmt: skip
def test_messages(options, text):
    with pytest.raises(ValueError, match=text):
        cross_validate_entries(Recorder(), np.ones((3, 3, 3)), **options)


def test_messages_of_sparse_slices():
    X = [sparse.eye_array(4)] * 2
    with pytest.raises(ValueError, match="Sparse slices need hide='zero'"):
        cross_validate_entries(Recorder(), X)
    with pytest.raises(ValueError, match="Sparse slices need an integer cv"):
        cross_validate_entries(Recorder(), X, hide="zero", cv=EntrywiseKFold(2))
