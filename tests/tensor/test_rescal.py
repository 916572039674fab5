"""RESCAL and NonnegativeRESCAL: fits, missing cells, prediction, messages."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold

from skstruct._scores import block_holdout
from skstruct.datasets import load_family_trees, make_relational_communities
from skstruct.metrics import factor_match_score
from skstruct.tensor import RESCAL, NonnegativeRESCAL
from tests.reference import rescal as ref


def communities(seed=0, n=30, m=8, k=3, **options):
    return make_relational_communities(
        n, m, n_components=k, random_state=seed, **options
    )


def quiet(model, X, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, **kwargs)


def to_csr(X):
    return [sparse.csr_array(x) for x in X]


VARIANTS = {
    "hals": lambda **kw: NonnegativeRESCAL(3, random_state=0, **kw),
    "mu": lambda **kw: NonnegativeRESCAL(3, solver="mu", random_state=0, **kw),
    "als": lambda **kw: RESCAL(3, random_state=0, **kw),
    "als random": lambda **kw: RESCAL(3, init="random", random_state=0, **kw),
    "hals penalised": lambda **kw: NonnegativeRESCAL(
        3, alpha_A=0.2, alpha_R=0.1, l1_A=0.1, random_state=0, **kw
    ),
    "mu penalised": lambda **kw: NonnegativeRESCAL(
        3, solver="mu", alpha_A=0.2, alpha_R=0.1, l1_A=0.1, random_state=0, **kw
    ),
    "als penalised": lambda **kw: RESCAL(
        3, alpha_A=0.2, alpha_R=0.1, random_state=0, **kw
    ),
    "hals streamed": lambda **kw: NonnegativeRESCAL(
        3, memory_limit=0, random_state=0, **kw
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_the_objective_never_rises(name, missing):
    X = communities(noise="multiplicative", noise_level=0.3).X
    X[np.random.default_rng(0).uniform(size=X.shape) < missing] = np.nan
    model = quiet(VARIANTS[name](max_iter=60), X)
    history = model.objective_history_
    assert history.size == model.n_iter_ + 1
    assert np.diff(history).max() <= 1e-11 * np.nansum(X**2)


@pytest.mark.parametrize("solver", ["hals", "mu"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_monotone_from_badly_scaled_starts(solver, scale):
    X = communities(1, noise="multiplicative").X
    for seed in range(5):
        rng = np.random.default_rng(seed)
        A, R = scale * rng.uniform(size=(30, 3)), rng.uniform(size=(8, 3, 3))
        model = NonnegativeRESCAL(3, solver=solver, init="custom", max_iter=25)
        quiet(model, X, A_init=A, R_init=R)
        assert np.diff(model.objective_history_).max() <= 1e-11 * np.sum(X**2)
        assert model.objective_history_[0] < np.sum(X**2)


def test_alternating_least_squares_is_monotone_from_bad_starts():
    X = communities(1, noise="multiplicative").X
    for scale in (1e-3, 1e3):
        A = scale * np.random.default_rng(0).standard_normal((30, 3))
        model = quiet(RESCAL(3, init="custom", max_iter=40), X, A_init=A)
        assert np.diff(model.objective_history_).max() <= 1e-11 * np.sum(X**2)


@pytest.mark.parametrize("name", VARIANTS)
def test_reported_error_and_objective_are_those_of_the_factors(name):
    X = communities(2, noise="multiplicative").X
    model = quiet(VARIANTS[name](max_iter=50), X)
    residual = np.linalg.norm(X - model.reconstruct())
    assert_allclose(model.reconstruction_err_, residual, rtol=1e-9)


def test_exact_data_is_solved_by_plain_rescal_in_two_iterations():
    rng = np.random.default_rng(0)
    X = ref.model(rng.standard_normal((40, 4)), rng.standard_normal((6, 4, 4)))
    model = quiet(RESCAL(4, max_iter=2, random_state=0), X)
    assert model.reconstruction_err_ < 1e-13 * np.linalg.norm(X)


def test_separable_groups_are_recovered():
    """Each group has exclusive members: the factors are unique."""
    rng = np.random.default_rng(0)
    A = rng.uniform(0.2, 1, size=(40, 4)) * np.repeat(np.eye(4), 10, axis=0)
    A[::10] = rng.uniform(size=(4, 4))
    X = ref.model(A, rng.uniform(size=(8, 4, 4)))
    model = quiet(NonnegativeRESCAL(4, tol=1e-12, max_iter=3000, random_state=0), X)
    assert model.reconstruction_err_ < 1e-4 * np.linalg.norm(X)
    assert factor_match_score(A, model.components_) > 0.999


def test_penalties_balance_the_factors():
    """At an optimum no common rescaling of A and R lowers the penalties."""
    X = communities(1, noise="multiplicative").X
    for model in (VARIANTS["hals"](), VARIANTS["als"]()):
        quiet(model.set_params(alpha_A=2.0, alpha_R=0.5), X)
        A = (
            model._solver_entities
            if hasattr(model, "_solver_entities")
            else (model.components_ * model._gauge)
        )
        R = model.inverse_transform(model.transform(X))
        R = np.linalg.pinv(A) @ R @ np.linalg.pinv(A).T
        assert_allclose(2.0 * np.sum(A**2), 2 * 0.5 * np.sum(R**2), rtol=1e-3)


def test_hals_in_fifty_iterations_matches_mu_in_four_hundred():
    X = communities(0, 60, 10, 5, noise="multiplicative").X
    rng = np.random.default_rng(1)
    A, R = rng.uniform(size=(60, 5)), rng.uniform(size=(10, 5, 5))
    start = {"A_init": A, "R_init": R}
    options = {"init": "custom", "tol": 0.0}
    hals = quiet(NonnegativeRESCAL(5, max_iter=50, **options), X, **start)
    mu = quiet(NonnegativeRESCAL(5, solver="mu", max_iter=400, **options), X, **start)
    assert hals.reconstruction_err_ <= mu.reconstruction_err_


def test_a_stationary_point_satisfies_the_optimality_conditions():
    X = communities(3, noise="multiplicative").X
    model = quiet(NonnegativeRESCAL(3, tol=0, max_iter=3000, random_state=0), X)
    F, E = ref.terms(X, model.components_, model.relations_)
    slope = model.components_ @ E - F
    scale = np.abs(F).max()
    assert slope.min() > -1e-4 * scale
    assert np.abs(slope * model.components_).max() < 1e-4 * scale


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("name", ["hals", "mu", "als penalised", "hals streamed"])
def test_sparse_equals_dense(name, missing):
    X = communities(4).X
    X[X < np.median(X)] = 0
    X[np.random.default_rng(0).uniform(size=X.shape) < missing] = np.nan
    dense = quiet(VARIANTS[name](max_iter=20), X)
    slices = to_csr(X)
    before = [x.copy() for x in slices]
    wide = sparse.csr_array(X.reshape(8, -1))
    for data in (slices, tuple(x.tocoo() for x in slices), [X[0], *slices[1:]], wide):
        other = quiet(VARIANTS[name](max_iter=20), data)
        assert_allclose(other.reconstruct(), dense.reconstruct(), atol=1e-10)
        assert_allclose(other.transform(data), dense.transform(X), atol=1e-8)
        assert_allclose(other.score(data), dense.score(X), atol=1e-8)
    for x, y in zip(slices, before):
        assert (abs(x - y).nnz == 0) or missing
        assert_array_equal(x.indices, y.indices)
        assert_array_equal(x.data, y.data)


def test_flat_and_listed_dense_slices_are_the_same_data():
    X = communities().X
    want = quiet(VARIANTS["hals"](max_iter=20), X).components_
    for data in (X.reshape(8, -1), list(X), X.tolist()):
        assert_array_equal(quiet(VARIANTS["hals"](max_iter=20), data).components_, want)


def test_memory_limit_and_memmap_do_not_change_the_result(tmp_path):
    X = communities(5, noise="multiplicative").X
    path = tmp_path / "slices.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    want = quiet(VARIANTS["hals"](max_iter=20), X)
    got = quiet(VARIANTS["hals streamed"](max_iter=20), mapped)
    assert_allclose(got.reconstruct(), want.reconstruct(), rtol=1e-8)


@pytest.mark.parametrize("make", [NonnegativeRESCAL, RESCAL])
def test_missing_cells_of_exact_data_are_recovered(make):
    data = communities(0, 40, 15, 4)
    X = data.X.copy()
    hidden = np.random.default_rng(0).uniform(size=X.shape) < 0.3
    X[hidden] = np.nan
    model = quiet(make(4, tol=1e-9, max_iter=1000, random_state=0), X)
    error = (model.reconstruct() - data.truth)[hidden]
    assert np.linalg.norm(error) < 1e-3 * np.linalg.norm(data.truth[hidden])
    again = model.transform(X).reshape(model.relations_.shape)
    assert_allclose(again, model.relations_, atol=1e-6 * model.relations_.max())


@pytest.mark.parametrize("form", [np.asarray, to_csr], ids=["dense", "sparse"])
@pytest.mark.parametrize("make", [NonnegativeRESCAL, RESCAL])
def test_missing_diagonal_is_the_same_as_nan_there(make, form):
    X = communities(6).X
    X[X < 0.05] = 0
    nan, junk = X.copy(), X.copy()
    index = np.arange(30)
    nan[:, index, index], junk[:, index, index] = np.nan, 7.0
    options = {"random_state": 0, "max_iter": 30}
    want = quiet(make(3, **options), form(nan))
    got = quiet(make(3, missing_diagonal=True, **options), form(junk))
    assert_allclose(got.components_, want.components_, atol=1e-10)
    assert_allclose(got.transform(form(junk)), want.transform(form(nan)), atol=1e-8)
    assert_allclose(got.score(form(junk)), want.score(form(nan)), atol=1e-8)


@pytest.mark.parametrize("name", ["hals", "als"])
def test_transform_of_the_training_slices_gives_their_relations(name):
    X = communities(7, noise="multiplicative").X
    model = quiet(VARIANTS[name](), X)
    R = model.transform(X)
    assert_allclose(R.reshape(8, 3, 3), model.relations_, atol=1e-6 * R.max())
    assert_allclose(model.inverse_transform(R), model.reconstruct(), atol=1e-6)
    assert_allclose(model.reconstruct(2), model.reconstruct()[2])
    assert model.get_feature_names_out().size == 9


@pytest.mark.parametrize("name", ["hals penalised", "als penalised"])
def test_transform_keeps_the_penalty_of_the_relations(name):
    X = communities(7, noise="multiplicative").X
    model = quiet(VARIANTS[name](), X)
    R = model.transform(X).reshape(8, 3, 3)
    assert_allclose(R, model.relations_, atol=1e-6 * R.max())


def test_orthonormal_gauge_leaves_the_model():
    X = communities(7, noise="multiplicative").X
    plain = quiet(RESCAL(3, alpha_A=0.1, alpha_R=0.1), X)
    ortho = quiet(RESCAL(3, alpha_A=0.1, alpha_R=0.1, orthonormalize=True), X)
    assert_allclose(ortho.components_.T @ ortho.components_, np.eye(3), atol=1e-12)
    assert_allclose(ortho.reconstruct(), plain.reconstruct(), atol=1e-10)
    assert_allclose(ortho.score(X), plain.score(X), rtol=1e-9)
    assert_allclose(ortho.inverse_transform(ortho.transform(X)), ortho.reconstruct())


def test_output_gauge():
    data = communities(8, noise="multiplicative")
    model = quiet(VARIANTS["hals"](), data.X)
    assert_allclose(model.components_.sum(axis=0), 1.0)
    total = model.relations_.sum(axis=0)
    flow = total.sum(axis=0) + total.sum(axis=1)
    assert (np.diff(flow) <= 0).all()
    # R is the flow between groups: its sum is that of the model.
    assert_allclose(total.sum(), model.reconstruct().sum(), rtol=1e-9)


def test_scaling_the_data_scales_the_relations():
    X = communities(9, noise="multiplicative").X
    one, thousand = quiet(VARIANTS["hals"](), X), quiet(VARIANTS["hals"](), 1000 * X)
    assert_allclose(thousand.components_, one.components_, rtol=1e-6, atol=1e-9)
    assert_allclose(thousand.relations_, 1000 * one.relations_, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["hals", "als"])
def test_permuting_entities_permutes_rows(name):
    X = communities(10, noise="multiplicative").X
    order = np.random.default_rng(0).permutation(30)
    A = np.random.default_rng(1).uniform(size=(30, 3))
    model = VARIANTS[name](max_iter=30).set_params(init="custom")
    one = quiet(model, X, A_init=A).reconstruct()
    two = quiet(model, X[:, order][:, :, order], A_init=A[order]).reconstruct()
    assert_allclose(two, one[:, order][:, :, order], rtol=1e-6, atol=1e-9)


def test_an_entity_without_flows_is_in_no_group():
    X = communities(11).X
    X[:, 4], X[:, :, 4] = 0.0, 0.0
    for solver in ("hals", "mu"):
        model = NonnegativeRESCAL(3, solver=solver, random_state=0, max_iter=50)
        assert_array_equal(quiet(model, X).components_[4], np.zeros(3))


def test_symmetric_relations_stay_symmetric():
    X = communities(12, noise="multiplicative").X
    X = X + X.transpose(0, 2, 1)
    for solver in ("hals", "mu"):
        model = NonnegativeRESCAL(3, solver=solver, symmetric=True, random_state=0)
        quiet(model.set_params(max_iter=60), X)
        R = model.relations_
        assert_allclose(R, R.transpose(0, 2, 1), atol=1e-10 * R.max())
        assert np.diff(model.objective_history_).max() <= 1e-11 * np.sum(X**2)


@pytest.mark.parametrize("form", [np.asarray, to_csr], ids=["dense", "sparse"])
def test_compression_ends_at_the_quality_of_the_full_fit(form):
    X = communities(13, 120, 6, 4, noise="multiplicative", noise_level=0.2).X
    full = quiet(NonnegativeRESCAL(4, random_state=0), form(X))
    small = quiet(NonnegativeRESCAL(4, compress=True, random_state=0), form(X))
    assert small.reconstruction_err_ < 1.002 * full.reconstruction_err_
    assert np.diff(small.objective_history_).max() <= 1e-11 * np.sum(X**2)


@pytest.mark.parametrize("solver", ["hals", "mu"])
def test_nndsvd_starts_well(solver):
    X = communities(14, noise="multiplicative").X
    options = {"solver": solver, "random_state": 0, "max_iter": 1}
    good = quiet(NonnegativeRESCAL(3, init="nndsvd", **options), X)
    chance = quiet(NonnegativeRESCAL(3, n_init=1, **options), X)
    assert good.reconstruction_err_ < 0.7 * chance.reconstruction_err_


def test_float32_is_kept():
    X = communities(15).X.astype(np.float32)
    model = quiet(VARIANTS["hals"](), X)
    assert model.components_.dtype == model.relations_.dtype == np.float32
    double = quiet(VARIANTS["hals"](), X.astype(float))
    assert_allclose(model.reconstruction_err_, double.reconstruction_err_, rtol=0.05)


# ------------------------------------------------------------------- prediction


@pytest.mark.parametrize("name", ["hals", "als"])
def test_fold_in_finds_a_known_entity_again(name):
    data = communities(16)
    model = quiet(VARIANTS[name](tol=1e-10, max_iter=2000), data.X)
    for i in (0, 13):
        entity = model.fold_in(data.X[:, i, :], data.X[:, :, i])
        assert_allclose(entity, model.components_[i], atol=1e-3)


def test_fold_in_is_a_nonnegative_regression():
    data = communities(16, noise="multiplicative", noise_level=0.5)
    model = quiet(VARIANTS["hals"](), data.X)
    rng = np.random.default_rng(0)
    rows, cols = rng.uniform(size=(2, 8, 30))
    A, R = model.components_, model.relations_
    design = np.concatenate(
        [np.concatenate([(r @ A.T).T for r in R]), np.concatenate([A @ r for r in R])]
    )
    want = optimize.nnls(design, np.concatenate([rows.ravel(), cols.ravel()]))[0]
    assert_allclose(model.fold_in(rows, cols), want, atol=1e-6 * want.max())


def test_decision_function_scores_triples():
    trees = load_family_trees()
    model = quiet(RESCAL(10, random_state=0), trees.X)
    full = model.reconstruct()
    triples = np.argwhere(trees.X > -1)[:, [1, 0, 2]]
    s, r, o = triples.T
    assert_allclose(model.decision_function(triples), full[r, s, o], atol=1e-12)
    few = triples[[5, 900, 17]]
    s, r, o = few.T
    assert_allclose(model.decision_function(few), full[r, s, o], atol=1e-12)
    assert_array_equal(model.predict(few, 0.2), full[r, s, o] >= 0.2)


def test_top_triples_are_the_largest_scores(monkeypatch):
    model = quiet(RESCAL(6, random_state=0), load_family_trees().X)
    triples, scores = model.top_triples(3, size=30)
    full = model.reconstruct(3)
    assert_allclose(scores, np.sort(full.ravel())[::-1][:30], atol=1e-12)
    assert_allclose(full[triples[:, 0], triples[:, 2]], scores, atol=1e-12)
    assert (triples[:, 1] == 3).all()
    assert len(model.top_triples(0, size=10_000)[0]) == 24 * 24


@pytest.mark.parametrize("call", [
    ("decision_function", np.zeros((2, 2), int), "triples must have shape"),
    ("decision_function", np.zeros((2, 3)), "must hold integers"),
    ("decision_function", [[0, 8, 0]], r"triples\[0\] has relation 8"),
    ("decision_function", [[0, 0, 0], [0, 0, -1]], r"triples\[1\] has object -1"),
    ("top_triples", 8, "relation=8 must be an integer in"),
    ("reconstruct", 1.5, "relation=1.5"),
    ("inverse_transform", np.ones((2, 8)), "8 columns, expected n_components"),
    ("transform", np.ones((2, 4, 4)), "4 features, but NonnegativeRESCAL is expecting"),
    ("transform", [sparse.eye_array(4)], "4 features, but"),
    ("transform", -np.ones((2, 30, 30)), "slice 0 has minimum -1"),
    ("score", np.zeros((2, 30, 30)), "X is zero"),
], ids=str)  # fmt: skip
def test_messages_of_the_methods(call):
    model = quiet(VARIANTS["hals"](max_iter=5), communities().X)
    name, argument, text = call
    with pytest.raises(ValueError, match=text):
        getattr(model, name)(argument)


def test_more_messages_of_the_methods():
    model = quiet(VARIANTS["hals"](max_iter=5), communities().X)
    with pytest.raises(ValueError, match="size=0"):
        model.top_triples(0, size=0)
    good = np.ones((8, 30))
    with pytest.raises(ValueError, match=r"rows has shape \(7, 30\)"):
        model.fold_in(good[:7], good)
    with pytest.raises(ValueError, match="cols has minimum -1"):
        model.fold_in(good, -good)
    model.set_params(score_folds=31)
    with pytest.raises(
        ValueError, match="score_folds=31 must be at most n_entities=30"
    ):
        model.score(communities().X)


# ------------------------------------------------------------------------ score


@pytest.mark.parametrize("folds", [2, 3])
@pytest.mark.parametrize("form", [np.asarray, to_csr], ids=["dense", "sparse"])
def test_block_holdout_equals_the_plain_loop(folds, form):
    rng = np.random.default_rng(0)
    X, A = rng.uniform(size=(4, 11, 11)), rng.uniform(size=(11, 3))
    model = NonnegativeRESCAL(3)
    want = ref.block_holdout(X, A, model._score_relations, folds, 5)
    got = block_holdout(form(X), A, model._score_relations, folds, 5)
    assert_allclose(got, want, rtol=1e-6)


def test_block_holdout_with_missing_cells_is_near_that_of_all_cells():
    data = communities(17, 40, 10, 4, noise="multiplicative")
    model = quiet(NonnegativeRESCAL(4, random_state=0), data.X[:6])
    test = data.X[6:]
    full = model.score(test)
    holes = test.copy()
    holes[np.random.default_rng(0).uniform(size=test.shape) < 0.1] = np.nan
    assert abs(model.score(holes) - full) < 0.02
    assert full < model.set_params(score_method="full").score(test) <= 1


def test_full_score_never_falls_with_the_rank_but_block_score_does():
    X = communities(18, 40, 15, 4, noise="poisson", noise_level=1.0).X
    found = {"full": [], "block": []}
    for k in range(2, 9):
        model = quiet(RESCAL(k, random_state=0), X[:10])
        for method in found:
            model.set_params(score_method=method)
            found[method].append(model.score(X[10:]))
    assert np.argmax(found["full"]) == 6
    assert np.argmax(found["block"]) == 2


def test_grid_search_over_sparse_slices_finds_the_rank():
    X = communities(19, 40, 15, 4, noise="poisson", noise_level=1.0).X
    search = GridSearchCV(
        NonnegativeRESCAL(random_state=0),
        {"n_components": [2, 3, 4, 5]},
        cv=KFold(3, shuffle=True, random_state=0),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(to_csr(X))
    assert search.best_params_ == {"n_components": 4}


# ----------------------------------------------------------------------- inputs


GOOD = np.ones((3, 4, 4)) + np.arange(4)


def _with(t, i, j, value):
    X = GOOD.copy()
    X[t, i, j] = value
    return X


@pytest.mark.parametrize(("X", "text"), [
    (_with(1, 0, 2, -3.5), "slice 1 has minimum -3.5"),
    (to_csr(_with(2, 0, 2, -3.5)), "slice 2 has minimum -3.5"),
    (_with(1, 0, 2, np.inf), r"infinity \(slice 1\)"),
    (to_csr(_with(1, 0, 2, np.inf)), r"infinity \(slice 1\)"),
    (_with(2, slice(None), slice(None), np.nan), "Slice 2 has no observed cell"),
    (to_csr(_with(2, slice(None), slice(None), np.nan)), "Slice 2 has no observed"),
    (np.ones((3, 4, 5)), "must be square"),
    ([sparse.csr_array(np.ones((4, 5)))] * 2, "must be square"),
    ([np.ones((4, 4)), np.ones((5, 5))], r"slice 1 has \(5, 5\), slice 0 has \(4, 4\)"),
    ([sparse.eye_array(4), sparse.eye_array(5)], r"slice 1 has \(5, 5\)"),
    ([sparse.eye_array(4), np.ones(4)], "expected 2 axes"),
    (np.ones((3, 5)), "square number of columns"),
    (sparse.csr_array(np.ones((3, 5))), "square number of columns"),
    (np.ones((2, 2, 3, 3)), "Expected 3D array"),
    (np.ones(3), "Expected 3D|Reshape your data|Expected 2D"),
    (np.ones((0, 4, 4)), "minimum of 1"),
    (np.ones((2, 0, 0)), "no entities"),
    ([], "Expected|0 sample|Found array"),
], ids=range(18))  # fmt: skip
def test_messages_of_bad_slices(X, text):
    with pytest.raises(ValueError, match=text):
        NonnegativeRESCAL(2).fit(X)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("form", [np.asarray, to_csr], ids=["dense", "sparse"])
@pytest.mark.parametrize(("scale", "word"), [(1e200, "large"), (1e-200, "small")])
def test_values_that_cannot_be_squared(form, scale, word):
    with pytest.raises(ValueError, match=f"too {word} to be squared"):
        RESCAL(2).fit(form(scale * GOOD))


@pytest.mark.parametrize("scale", [1e120, 1e-120])
def test_extreme_but_usable_scales(scale):
    X = communities().X
    for name in ("hals", "als"):
        model = quiet(VARIANTS[name](max_iter=20), X)
        scaled = quiet(VARIANTS[name](max_iter=20), scale * X)
        assert_allclose(scaled.reconstruct() / scale, model.reconstruct(), rtol=1e-3)


def test_messages_of_bad_parameters():
    for parameters in (
        {"n_components": 0}, {"solver": "sgd"}, {"tol": -1.0}, {"score_folds": 1},
        {"alpha_A": -1}, {"n_init": 0}, {"inner_iter": 0},
    ):  # fmt: skip
        (name,) = parameters
        with pytest.raises(ValueError, match=name):
            NonnegativeRESCAL(**parameters).fit(GOOD)
    with pytest.raises(ValueError, match="compress=True"):
        NonnegativeRESCAL(2, compress=True).fit(_with(0, 0, 0, np.nan))
    with pytest.raises(
        ValueError, match="symmetric=True needs symmetric slices: slice 0"
    ):
        NonnegativeRESCAL(2, symmetric=True).fit(GOOD)
    with pytest.raises(ValueError, match="n_components=5 must be at most"):
        RESCAL(5).fit(GOOD)


@pytest.mark.parametrize("make", [NonnegativeRESCAL, RESCAL])
def test_messages_of_starts(make):
    with pytest.raises(ValueError, match="needs A_init"):
        make(2, init="custom").fit(GOOD)
    with pytest.raises(ValueError, match="need init='custom'"):
        make(2).fit(GOOD, A_init=np.ones((4, 2)))
    with pytest.raises(
        ValueError, match=r"A_init has shape \(3, 2\), expected \(4, 2\)"
    ):
        make(2, init="custom").fit(GOOD, A_init=np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"R_init has shape \(1, 2, 2\)"):
        make(2, init="custom").fit(
            GOOD, A_init=np.ones((4, 2)), R_init=np.ones((1, 2, 2))
        )
    if make is NonnegativeRESCAL:
        with pytest.raises(ValueError, match="A_init has the negative value -1"):
            make(2, init="custom").fit(GOOD, A_init=-np.ones((4, 2)))


@pytest.mark.parametrize("form", [np.asarray, to_csr], ids=["dense", "sparse"])
def test_all_zero_slices_give_zeros_and_a_warning(form):
    X = form(np.zeros((2, 5, 5)))
    with pytest.warns(UserWarning, match="All observed cells of X are zero"):
        model = NonnegativeRESCAL(2).fit(X)
    assert model.reconstruction_err_ == 0
    assert not model.reconstruct().any() and not model.transform(X).any()
    assert not RESCAL(2).fit(X).reconstruct().any()


@pytest.mark.filterwarnings("ignore:NonnegativeRESCAL stopped")
@pytest.mark.filterwarnings("ignore:.*groups died")
def test_more_groups_than_entities_is_a_warning():
    model = NonnegativeRESCAL(5, random_state=0)
    with pytest.warns(UserWarning, match="n_components=5 is larger than n_entities=4"):
        model.fit(GOOD)
    model = RESCAL(5, alpha_A=0.1, alpha_R=0.1, random_state=0)
    with pytest.warns(UserWarning, match="only the penalties"):
        model.fit(GOOD)
    assert np.isfinite(model.reconstruct()).all()


def test_dead_groups_stand_last_with_a_warning():
    X = communities().X
    A = np.random.default_rng(0).uniform(size=(30, 3))
    R = np.ones((8, 3, 3))
    A[:, 0], R[:, 0], R[:, :, 0] = 0.0, 0.0, 0.0
    model = NonnegativeRESCAL(3, init="custom", max_iter=10, tol=1)
    with pytest.warns(UserWarning, match="1 of 3 groups died"):
        model.fit(X, A_init=A, R_init=R)
    assert_array_equal(model.components_[:, 2], 0.0)
    assert not model.relations_[:, 2].any() and not model.relations_[:, :, 2].any()
    assert np.isfinite(model.transform(X)).all() and np.isfinite(model.score(X))


def test_no_convergence_is_a_warning():
    with pytest.warns(ConvergenceWarning, match="max_iter=2 iterations.*tol=1e-06"):
        NonnegativeRESCAL(3, max_iter=2, random_state=0).fit(communities().X)
    with pytest.warns(ConvergenceWarning, match="RESCAL stopped after max_iter=1"):
        RESCAL(3, max_iter=1).fit(communities(noise="multiplicative").X)


def test_iterations_are_logged_and_seen_by_callbacks(caplog):
    caplog.set_level("INFO", logger="skstruct")
    quiet(NonnegativeRESCAL(3, random_state=0, max_iter=20, verbose=1), communities().X)
    assert "NonnegativeRESCAL iteration" in caplog.text


@pytest.mark.parametrize("solver", ["hals", "mu"])
def test_restarts_do_not_depend_on_n_jobs(solver):
    X = communities(20, noise="multiplicative").X
    found = [
        quiet(
            NonnegativeRESCAL(
                3, solver=solver, n_init=6, n_jobs=n_jobs, max_iter=40, random_state=0
            ),
            X,
        )
        for n_jobs in (1, 2)
    ]
    assert_array_equal(found[0].components_, found[1].components_)
    assert_array_equal(found[0].relations_, found[1].relations_)
