"""Structured sparse NMF of spectra with missing bands."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold

from skstruct._scores import hidden_columns
from skstruct.datasets import make_hyperspectral_scene
from skstruct.decomposition import (
    StructuredSparseNMF,
    fcls,
    nnls_abundances,
    spatial_affinity,
    unmix,
)
from skstruct.impute import SoftImputer
from skstruct.metrics import unmixing_scores
from skstruct.model_selection import one_standard_error
from tests.decomposition.test_ss_nmf import FORMS, quiet_fit, reference_objective
from tests.reference import ss_nmf as ref


def holed(X, share, seed=0):
    """X with NaN in a share of the cells, but in no row everywhere."""
    rng = np.random.default_rng(seed)
    X = X.copy()
    holes = rng.random(X.shape) < share
    holes[np.arange(len(X)), rng.integers(0, X.shape[1], len(X))] = False
    X[holes] = np.nan
    return X


def scene(seed=0, shape=(15, 16), **options):
    options = {"n_bands": 40, "n_endmembers": 3, **options}
    return make_hyperspectral_scene(shape, random_state=seed, **options)


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.sampled_from(["vca", "random"]),
    st.sampled_from([0.02, 0.3, 0.6]),
)
@pytest.mark.parametrize("form", FORMS)
def test_objective_of_the_known_cells_never_rises(form, seed, K, init, share):
    data = scene(seed, (7, 8), n_bands=30, snr=15)
    X = holed(data.X, share, seed)
    before = X.copy()
    model = StructuredSparseNMF(
        K, image_shape=(7, 8), init=init, tol=0, max_iter=25, random_state=0,
        **FORMS[form],
    )  # fmt: skip
    quiet_fit(model, X)
    assert_array_equal(X, before)
    curve = model.loss_curve_
    assert np.all(np.diff(curve) <= 1e-10 * curve[0])
    assert_allclose(model.objective_, curve[-1])
    assert_allclose(reference_objective(model, X), curve[-1], rtol=1e-9)
    error = np.sqrt(np.nansum((X - model.embedding_ @ model.components_) ** 2))
    assert_allclose(model.reconstruction_err_, error, rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_abundances_are_those_of_the_known_bands(dtype):
    X, _, M = ref.small_image(1, L=12)
    X = holed(X, 0.4).astype(dtype)
    found, summed = nnls_abundances(X, M), fcls(X, M)
    assert found.dtype == summed.dtype == dtype
    for x, a, b in zip(X, found, summed):
        known = ~np.isnan(x)
        assert_allclose(a, nnls_abundances(x[None, known], M[:, known])[0], atol=1e-6)
        assert_allclose(b, fcls(x[None, known], M[:, known])[0], atol=1e-6)


def test_transform_is_the_convex_optimum_with_and_without_a_graph():
    data = scene(12, (6, 7), n_bands=10)
    model = StructuredSparseNMF(3, image_shape=(6, 7), graph_weight=0.2).fit(data.X)
    X, M = holed(data.X, 0.3), model.components_
    want = ref.convex_abundances(X, M, np.zeros((42, 42)), 0.0, 0.1)
    assert_allclose(model.transform(X), want, atol=1e-6)
    W = spatial_affinity(data.X, (6, 7))
    want = ref.convex_abundances(X, M, W.toarray(), 0.2, 0.1)
    assert_allclose(model.transform(X, affinity=W), want, atol=3e-6)
    # One pixel alone has columns without any value.
    assert_allclose(model.transform(X[3:4])[0], model.transform(X)[3], atol=1e-12)


def test_fit_stops_where_neither_factor_can_be_improved():
    data = scene(3, (8, 9), n_bands=20)
    X = holed(data.X, 0.3)
    model = StructuredSparseNMF(
        3, image_shape=(8, 9), graph_weight=0.2, tol=1e-14, max_iter=5000
    )
    model.fit(X)
    A, M = model.embedding_, model.components_
    want = ref.convex_abundances(X, M, model.affinity_.toarray(), 0.2, 0.1)
    assert_allclose(A, want, atol=1e-4)
    # Along the sphere no gradient is left, or one that points below zero.
    gradient = -(A.T @ np.nan_to_num(X - A @ M))
    gradient -= np.sum(gradient * M, axis=1, keepdims=True) * M
    assert np.abs(gradient[M > 0]).max() < 1e-3
    assert gradient[M == 0].min(initial=0.0) > -1e-3


def test_missing_cells_of_exact_factors_are_recovered():
    rng = np.random.default_rng(0)
    X = rng.dirichlet(np.full(3, 0.4), 300) @ rng.random((3, 40))
    model = StructuredSparseNMF(3, alpha=0, tol=1e-12, max_iter=3000, random_state=0)
    A = model.fit_transform(holed(X, 0.3))
    assert np.abs(A @ model.components_ - X).max() < 1e-3 * X.max()


def test_missing_bands_cost_little_and_filling_them_first_costs_more():
    errors = {"complete": [], "missing": [], "filled first": []}
    for seed in range(3):
        data = make_hyperspectral_scene(snr=20, random_state=seed)
        X = holed(data.X, 0.3, seed)
        filled = np.maximum(SoftImputer().fit_transform(X), 0)
        for name, table in zip(errors, (data.X, X, filled)):
            model = StructuredSparseNMF(image_shape=(40, 40), random_state=0)
            M = model.fit(table).components_
            errors[name].append(unmixing_scores(data.endmembers, M).mean_sad)
    mean = {name: np.mean(values) for name, values in errors.items()}
    assert mean["missing"] < 1.5 * mean["complete"]
    assert mean["missing"] < mean["filled first"]


def test_search_finds_the_planted_rank():
    found = []
    for seed in range(10):
        data = make_hyperspectral_scene((20, 20), n_bands=60, random_state=seed)
        search = GridSearchCV(
            StructuredSparseNMF(n_init=2, tol=1e-5, random_state=0),
            {"n_components": [2, 3, 4, 5, 6]},
            cv=KFold(4, shuffle=True, random_state=seed),
            refit=one_standard_error,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            search.fit(holed(data.X, 0.2, seed))
        found.append(search.best_params_["n_components"])
    assert sum(rank == 4 for rank in found) >= 9, found


def test_score_is_the_error_of_the_known_hidden_cells():
    data = scene(4)
    model = StructuredSparseNMF(3, image_shape=data.image_shape).fit(data.X)
    X, M = holed(data.X, 0.3), model.components_
    hidden = hidden_columns(40, model.score_holdout, model.score_random_state)
    A = nnls_abundances(X[:, ~hidden], M[:, ~hidden])
    want = -np.nanmean((X - A @ M)[:, hidden] ** 2)
    assert_allclose(model.score(X), want, rtol=1e-10)
    # Pixels of which nothing is seen, or nothing can be compared, do not count.
    useless = np.full((2, 40), np.nan)
    useless[0, hidden] = 0.5
    useless[1, ~hidden] = 0.5
    assert_allclose(model.score(np.vstack([X, useless])), want, rtol=1e-10)
    with pytest.raises(ValueError, match="No entry can be hidden"):
        model.score(useless)


def test_threads_and_single_precision():
    data = scene(5)
    X = holed(data.X, 0.2)
    options = {"image_shape": data.image_shape, "random_state": 0}
    one = StructuredSparseNMF(3, n_jobs=1, **options).fit(X)
    two = StructuredSparseNMF(3, n_jobs=2, **options).fit(X)
    assert_array_equal(one.components_, two.components_)
    half = StructuredSparseNMF(3, **options).fit(X.astype(np.float32))
    assert half.components_.dtype == np.float32
    assert_allclose(half.components_, one.components_, atol=2e-3)


def test_unmix_leaves_out_pixels_without_data():
    data = make_hyperspectral_scene((12, 14), n_bands=30, random_state=0)
    cube = holed(data.X, 0.1).reshape(12, 14, 30)
    cube[:2] = np.nan
    found = unmix(cube, 3, random_state=0)
    assert np.isnan(found.abundances[:2]).all()
    assert_allclose(found.abundances[2:].sum(axis=2), 1.0)
    mask = np.ones((12, 14), dtype=bool)
    mask[:2] = False
    same = unmix(cube, 3, mask=mask, random_state=0)
    assert_array_equal(same.abundances, found.abundances)
    with pytest.raises(ValueError, match="leaves no pixel that has a value"):
        unmix(np.full((2, 2, 3), np.nan), 1)


def test_errors_name_what_is_missing():
    X = holed(np.random.default_rng(0).random((20, 6)), 0.2)
    model = StructuredSparseNMF(2, random_state=0)
    column, row, infinite, negative = X.copy(), X.copy(), X.copy(), X.copy()
    column[:, 4] = np.nan
    row[7] = np.nan
    infinite[0, 0] = np.inf
    negative[0, 0] = -1
    for bad, message in (
        (column, r"Columns \[4\] of X have no known value"),
        (row, r"Rows \[7\] of X have no known value"),
        (infinite, "Input X contains infinity"),
        (negative, "Negative values in data passed to"),
        (sparse.csr_array(X), "sparse and contains NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(bad)
    with pytest.raises(ValueError, match="contains NaN, which solver='mu' refuses"):
        StructuredSparseNMF(2, solver="mu").fit(X)
    with pytest.raises(ValueError, match="Rows"):
        quiet_fit(model, X).transform(row)
    with pytest.raises(ValueError, match="sparse and contains NaN"):
        nnls_abundances(sparse.csr_array(row), np.ones((2, 6)))
