"""StructuredSparseNMF: monotone, reductions, equivariances, recovery, messages."""

import logging
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from skstruct.datasets import fetch_jasper_ridge, make_hyperspectral_scene
from skstruct.decomposition import (
    StructuredSparseNMF,
    fcls,
    nnls_abundances,
    spatial_affinity,
    unmix,
    vca,
)
from skstruct.decomposition._ss_nmf_solver import (
    Graph,
    Problem,
    objective,
    sweep_pass,
    update_endmembers,
)
from skstruct.metrics import unmixing_scores
from skstruct.model_selection import ImageBlockKFold, one_standard_error
from tests._data import shared_data
from tests.reference import ss_nmf as ref


def quiet_fit(model, X, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, **kwargs)


def scene(seed=0, shape=(15, 16), **kwargs):
    kwargs = {"n_bands": 40, "n_endmembers": 3, **kwargs}
    return make_hyperspectral_scene(shape, random_state=seed, **kwargs)


FORMS = {
    "nmf": {"alpha": 0, "graph_weight": 0},
    "lasso": {"alpha": 0.1, "graph_weight": 0},
    "half": {"alpha": 0.03, "sparsity_norm": 0.5, "graph_weight": 0},
    "graph": {"alpha": 0, "graph_weight": 0.3},
    "graph-lasso": {"alpha": 0.1, "graph_weight": 0.1},
    "graph-half": {"alpha": 0.03, "sparsity_norm": 0.5, "graph_weight": 0.1},
    "free-norm": {"alpha": 0, "graph_weight": 0, "endmember_norm": None},
    "exact": {"alpha": 0, "sum_to_one": "exact"},
    "exact-half": {"alpha": 0.01, "sparsity_norm": 0.5, "sum_to_one": "exact"},
    "soft": {"alpha": 0, "sum_to_one": "soft"},
    "soft-half": {
        "alpha": 0.01,
        "sparsity_norm": 0.5,
        "sum_to_one": "soft",
        "delta": 3,
    },
}


def reference_objective(model, X, A=None):
    W = None if model.affinity_ is None else model.affinity_.toarray()
    return ref.objective(
        X,
        model.embedding_ if A is None else A,
        model.components_,
        W,
        model.graph_weight,
        model.alpha,
        model.sparsity_norm,
        model.delta if model.sum_to_one == "soft" else 0.0,
    )


@settings(max_examples=15, deadline=None)
@example(343, 5, "spa", 2, 0.2)
@example(1, 4, "spa", 1, 0.2)
@given(
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.sampled_from(["vca", "spa", "random", "nndsvda"]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([0.0, 0.2]),
)
@pytest.mark.parametrize("form", FORMS)
def test_objective_never_rises(form, seed, K, init, n_inner, dark):
    data = scene(seed, (7, 8), n_bands=12, snr=15)
    X = data.X * (np.random.default_rng(seed).random(len(data.X)) >= dark)[:, None]
    model = StructuredSparseNMF(
        K, image_shape=(7, 8), init=init, n_init=2, n_inner=n_inner, max_iter=40,
        tol=0, random_state=seed, **FORMS[form],
    )  # fmt: skip
    quiet_fit(model, X)
    curve = model.loss_curve_
    assert len(curve) == model.n_iter_ <= 40
    assert np.all(np.diff(curve) <= 1e-10 * curve[0])
    assert np.isfinite(model.components_).all() and model.components_.min() >= 0
    assert np.isfinite(model.embedding_).all() and model.embedding_.min() >= 0
    assert_allclose(model.objective_, reference_objective(model, X), rtol=1e-8)
    assert_allclose(model.objective_, curve[-1])


@pytest.mark.parametrize("form", FORMS)
def test_attributes_of_each_form(form):
    data = scene()
    model = StructuredSparseNMF(3, image_shape=data.image_shape, **FORMS[form])
    A = quiet_fit(model, data.X).embedding_
    M = model.components_
    assert_allclose(
        model.reconstruction_err_, np.linalg.norm(data.X - A @ M), rtol=1e-10
    )
    if form not in ("free-norm",) and not model.sum_to_one:
        assert_allclose(np.linalg.norm(M, axis=1), 1.0)
    mass = A.sum(axis=0) * np.linalg.norm(M, axis=1)
    assert np.all(np.diff(mass) <= 0)
    if model.sum_to_one == "exact":
        assert_allclose(A.sum(axis=1), 1.0)
    if model.sum_to_one == "soft" and form == "soft":
        assert_allclose(A.sum(axis=1), 1.0, atol=0.02)
    assert_allclose(model.inverse_transform(A), A @ M)
    assert model.affinity_.nnz > 0 and model.sigma_ > 0
    names = model.get_feature_names_out()
    assert list(names[:2]) == ["structuredsparsenmf0", "structuredsparsenmf1"]


def test_plain_form_reaches_at_least_the_fit_of_sklearn():
    data = scene(1, snr=30)
    peer = NMF(3, init="nndsvda", max_iter=2000, tol=1e-8).fit(data.X)
    model = StructuredSparseNMF(
        3, alpha=0, graph_weight=0, init="nndsvda", tol=1e-9, max_iter=2000
    )
    quiet_fit(model, data.X)
    assert model.reconstruction_err_ <= peer.reconstruction_err_ * (1 + 1e-4)


def test_multiplicative_updates_reach_the_same_lasso_solution():
    data = scene(2, (8, 9), n_bands=15)
    shared = {"alpha": 0.1, "graph_weight": 0.1, "image_shape": (8, 9), "init": "spa"}
    fast = StructuredSparseNMF(3, tol=1e-12, max_iter=3000, **shared)
    slow = StructuredSparseNMF(3, solver="mu", tol=1e-9, max_iter=5000, **shared)
    quiet_fit(fast, data.X)
    quiet_fit(slow, data.X)
    assert fast.objective_ <= slow.objective_
    assert slow.objective_ <= 1.05 * fast.objective_


@pytest.mark.parametrize("form", ["nmf", "half", "graph-lasso", "soft"])
def test_multiplicative_updates_fall_without_normalisation(form):
    data = scene(3, (8, 9), n_bands=15)
    params = {**FORMS[form], "endmember_norm": None, "image_shape": (8, 9)}
    model = StructuredSparseNMF(
        3, solver="mu", init="spa", max_iter=100, tol=0, **params
    )
    quiet_fit(model, data.X)
    curve = model.loss_curve_
    assert np.all(np.diff(curve) <= 1e-9 * curve[0])


def test_multiplicative_updates_return_the_best_iterate():
    data = scene(4, (8, 9), n_bands=15)
    model = StructuredSparseNMF(
        3, solver="mu", alpha=0.5, init="spa", max_iter=200, tol=0
    )
    quiet_fit(model, data.X)
    assert_allclose(model.objective_, model.loss_curve_.min())
    assert_allclose(model.objective_, reference_objective(model, data.X))


def test_free_scale_makes_the_penalty_void():
    """Small A and large M: the reason for unit endmembers."""
    data = scene(5)
    lengths = []
    for norm in ("l2", None):
        model = StructuredSparseNMF(
            3, alpha=0.5, graph_weight=0, endmember_norm=norm, init="spa",
            max_iter=200, tol=0,
        )  # fmt: skip
        quiet_fit(model, data.X)
        lengths.append(np.linalg.norm(model.components_, axis=1).mean())
    assert lengths[1] > 10 * lengths[0]


def test_order_of_pixels_and_bands_does_not_matter():
    data = scene(6)
    rng = np.random.default_rng(0)
    W = spatial_affinity(data.X, data.image_shape)
    init = vca(data.X, 3, random_state=0)
    model = StructuredSparseNMF(3, init=init, tol=1e-12, max_iter=2000)
    base = quiet_fit(clone(model), data.X, affinity=W)
    rows, columns = rng.permutation(len(data.X)), rng.permutation(data.X.shape[1])
    turned = clone(model).set_params(init=init[:, columns])
    quiet_fit(turned, data.X[rows][:, columns], affinity=W[rows][:, rows])
    assert_allclose(turned.objective_, base.objective_, rtol=1e-7)
    assert_allclose(turned.components_, base.components_[:, columns], atol=1e-3)
    assert_allclose(turned.embedding_, base.embedding_[rows], atol=1e-2)


def test_scaling_the_data_and_the_lasso_together_scales_the_abundances():
    data = scene(7)
    model = StructuredSparseNMF(
        3,
        image_shape=data.image_shape,
        graph_weight=0.05,
        tol=1e-11,
        max_iter=2000,
        random_state=0,
    )
    A = model.fit_transform(data.X)
    # The heat weights compare distances to their own mean and stay the same.
    B = clone(model).set_params(alpha=0.3).fit_transform(3 * data.X)
    assert_allclose(B, 3 * A, rtol=1e-4, atol=1e-4)


def test_positions_give_the_same_graph_as_the_image_shape():
    data = scene(8)
    rng = np.random.default_rng(0)
    positions = np.argwhere(np.ones(data.image_shape))
    by_shape = StructuredSparseNMF(3, image_shape=data.image_shape, random_state=0)
    by_shape.fit(data.X)
    other = StructuredSparseNMF(3, random_state=0).fit(data.X, positions=positions + 9)
    assert_array_equal(by_shape.affinity_.toarray(), other.affinity_.toarray())
    assert_allclose(by_shape.sigma_, other.sigma_)
    part = rng.permutation(len(data.X))[:100]
    half = StructuredSparseNMF(3, random_state=0, edge_weights="binary")
    half.fit(data.X[part], positions=positions[part])
    full = spatial_affinity(data.X, data.image_shape, edge_weights="binary").toarray()
    assert_array_equal(half.affinity_.toarray(), full[part][:, part])


def test_large_graphs_are_given_back_whole(monkeypatch):
    """The weights are put away during the fit where they take much memory."""
    from skstruct.decomposition import _ss_nmf_solver as solver

    data = scene(8)
    model = StructuredSparseNMF(3, image_shape=data.image_shape, random_state=0)
    usual = clone(model).fit(data.X)
    monkeypatch.setattr(solver.Graph, "redundant", True)
    frugal = clone(model).fit(data.X)
    assert_array_equal(frugal.affinity_.toarray(), usual.affinity_.toarray())
    assert_array_equal(frugal.components_, usual.components_)


def test_mask_fits_the_region_alone():
    data = scene(9)
    mask = np.zeros(data.image_shape, bool)
    mask[2:12, 3:14] = True
    mask[5, 5] = False
    X = data.X[mask.ravel()]
    model = StructuredSparseNMF(3, image_shape=data.image_shape, mask=mask)
    assert model.fit_transform(X).shape == (mask.sum(), 3)
    positions = StructuredSparseNMF(3).fit(X, positions=np.argwhere(mask))
    assert_allclose(model.affinity_.toarray(), positions.affinity_.toarray())


def test_knn_graph_and_sparse_input():
    data = scene(10)
    model = StructuredSparseNMF(
        3, affinity="knn", n_neighbors=5, init="spa", tol=1e-12, max_iter=2000
    )
    dense = quiet_fit(clone(model), data.X)
    W = dense.affinity_
    assert abs(W - W.T).max() == 0 and np.diff(W.indptr).min() >= 5
    X = sparse.csr_array(np.where(data.X < 0.15, 0, data.X))
    loose = quiet_fit(clone(model), X)
    same = quiet_fit(clone(model), X.toarray())
    assert_allclose(loose.objective_, same.objective_, rtol=1e-8)
    assert_allclose(loose.score(X), same.score(X.toarray()), rtol=1e-4)
    with pytest.raises(ValueError, match="needs a dense X"):
        model.set_params(affinity="window").fit(X)


@pytest.mark.parametrize(
    ("snr", "limit"), [("inf", (0.02, 0.04)), (20, (0.03, 0.05)), (10, (0.1, 0.13))]
)
def test_recovery_of_planted_scenes(snr, limit):
    """Limits are about twice the means over seeds: a wrong material costs 0.3."""
    for seed in range(3):
        data = make_hyperspectral_scene(snr=snr, random_state=seed)
        model = StructuredSparseNMF(image_shape=(40, 40), random_state=0).fit(data.X)
        scores = unmixing_scores(
            data.endmembers, model.components_, data.abundances, model.abundances()
        )
        assert scores.mean_sad < limit[0]
        assert scores.mean_rmse < limit[1]


def test_graph_lowers_the_error_of_the_maps_in_noise():
    errors = {}
    for weight in (0.0, 0.1):
        errors[weight] = []
        for seed in range(3):
            data = make_hyperspectral_scene(snr=10, random_state=seed)
            model = StructuredSparseNMF(
                image_shape=(40, 40), alpha=0.2, graph_weight=weight, random_state=0
            ).fit(data.X)
            A = model.abundances()
            scores = unmixing_scores(
                data.endmembers, model.components_, data.abundances, A
            )
            errors[weight].append(scores.mean_rmse)
    assert np.mean(errors[0.1]) < 0.8 * np.mean(errors[0.0])


def test_calibration_finds_the_lengths_where_the_model_holds():
    data = make_hyperspectral_scene(snr=30, random_state=1)
    model = StructuredSparseNMF(image_shape=(40, 40), random_state=0).fit(data.X)
    A, M = model.abundances(method="calibrate", return_endmembers=True)
    plain = model.abundances()
    for maps in (A, plain, model.abundances(data.X, method="fcls")):
        assert_allclose(maps.sum(axis=1), 1.0)
    scores = unmixing_scores(data.endmembers, M, data.abundances, A)
    rough = unmixing_scores(data.endmembers, M, data.abundances, plain)
    assert scores.mean_rmse < rough.mean_rmse
    lengths = np.linalg.norm(M[scores.permutation], axis=1)
    assert_allclose(lengths, np.linalg.norm(data.endmembers, axis=1), rtol=0.15)


def test_rows_of_zeros_stay_zero():
    data = scene(11)
    X = data.X.copy()
    X[[0, 17]] = 0
    model = StructuredSparseNMF(3, image_shape=data.image_shape, graph_weight=0)
    A = model.fit_transform(X)
    assert_array_equal(A[[0, 17]], 0)
    for method in ("normalize", "calibrate"):
        assert_array_equal(model.abundances(method=method)[[0, 17]], 0)
    assert np.isfinite(model.transform(X)).all()


def test_transform_is_the_convex_optimum_with_and_without_a_graph():
    data = scene(12, (6, 7), n_bands=10)
    model = StructuredSparseNMF(3, image_shape=(6, 7), graph_weight=0.2).fit(data.X)
    M = model.components_
    W = np.zeros((42, 42))
    want = ref.convex_abundances(data.X, M, W, 0.0, 0.1)
    assert_allclose(model.transform(data.X), want, atol=1e-6)
    W = spatial_affinity(data.X, (6, 7))
    want = ref.convex_abundances(data.X, M, W.toarray(), 0.2, 0.1)
    assert_allclose(model.transform(data.X, image_shape=(6, 7)), want, atol=2e-6)
    assert_allclose(model.transform(data.X, affinity=W), want, atol=2e-6)
    model.set_params(alpha=0)
    assert_allclose(model.transform(data.X), nnls_abundances(data.X, M), atol=1e-12)
    model.set_params(sum_to_one="exact")
    assert_allclose(model.transform(data.X), fcls(data.X, M), atol=1e-12)


def test_transform_with_the_square_root_is_a_local_minimum():
    data = scene(13, (6, 7), n_bands=10)
    model = StructuredSparseNMF(
        3, alpha=0.02, sparsity_norm=0.5, graph_weight=0, init="spa"
    ).fit(data.X)
    A = model.transform(data.X)
    base = reference_objective(model, data.X, A)
    rng = np.random.default_rng(0)
    for _ in range(50):
        near = np.maximum(A + 1e-3 * rng.standard_normal(A.shape) * (A > 0), 0)
        assert reference_objective(model, data.X, near) >= base


def test_transform_takes_a_library_set_by_hand():
    data = scene(14)
    model = StructuredSparseNMF(alpha=0)
    model.components_ = data.endmembers
    A = model.transform(data.clean)
    assert_allclose(A, data.abundances, atol=1e-6)


def test_grid_search_with_image_blocks_slices_the_positions():
    data = make_hyperspectral_scene((30, 31), random_state=0)
    positions = np.argwhere(np.ones((30, 31)))
    search = GridSearchCV(
        StructuredSparseNMF(n_init=2, random_state=0),
        {"n_components": [2, 3, 4, 5]},
        cv=ImageBlockKFold(4, image_shape=(30, 31), random_state=0),
        refit=one_standard_error,
    ).fit(data.X, positions=positions)
    assert search.best_params_ == {"n_components": 4}
    pipe = make_pipeline(MaxAbsScaler(), StructuredSparseNMF(2, random_state=0))
    assert pipe.fit_transform(data.X).shape == (930, 2)


def test_search_over_image_tiles_finds_the_planted_rank():
    """Nine of ten scenes: the chance of a fold with a pixel-poor endmember remains."""
    shape, found = (24, 24), []
    for seed in range(10):
        data = make_hyperspectral_scene(shape, n_bands=60, snr=20, random_state=seed)
        positions = np.column_stack(np.unravel_index(np.arange(len(data.X)), shape))
        search = GridSearchCV(
            StructuredSparseNMF(n_init=2, tol=1e-5, random_state=0),
            {"n_components": [2, 3, 4, 5, 6]},
            cv=ImageBlockKFold(4, image_shape=shape, random_state=seed),
            refit=one_standard_error,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            search.fit(data.X, positions=positions)
        assert search.best_estimator_.affinity_.nnz > 0
        found.append(search.best_params_["n_components"])
    assert sum(rank == 4 for rank in found) >= 9, found


def test_plain_reconstruction_would_choose_the_largest_rank():
    """Why score hides bands: on the same folds the plain error always falls."""
    data = make_hyperspectral_scene((24, 24), n_bands=80, random_state=0)
    plain = []
    for K in (3, 4, 5, 6):
        total = 0.0
        for train, test in KFold(3, shuffle=True, random_state=0).split(data.X):
            model = StructuredSparseNMF(K, alpha=0, random_state=0)
            M = quiet_fit(model, data.X[train]).components_
            A = nnls_abundances(data.X[test], M)
            total += np.sum((data.X[test] - A @ M) ** 2)
        plain.append(total)
    assert np.all(np.diff(plain) < 0)


def test_score_depends_on_the_data_and_the_components_alone():
    data = scene(15)
    model = StructuredSparseNMF(3, image_shape=data.image_shape).fit(data.X)
    assert model.score(data.X) == model.score(data.X)
    assert model.score(data.X) < 0
    other = clone(model).set_params(image_shape=None, alpha=5.0)
    other.components_ = model.components_
    assert other.score(data.X) == model.score(data.X)
    other.components_ = model.components_[:1]
    assert other.score(data.X) < model.score(data.X)


def test_threads_do_not_change_the_bits():
    from threadpoolctl import threadpool_limits

    data = scene(16)
    found = []
    for n_jobs, blas in ((None, 1), (2, 2), (2, 1)):
        model = StructuredSparseNMF(
            3, image_shape=data.image_shape, n_jobs=n_jobs, random_state=3
        )
        with threadpool_limits(blas):
            found.append(model.fit(data.X).components_)
    assert_array_equal(found[0], found[1])
    assert_array_equal(found[0], found[2])


def test_callbacks_and_log(caplog):
    data = scene(17)
    model = StructuredSparseNMF(3, image_shape=data.image_shape, verbose=1)
    with caplog.at_level(logging.INFO, logger="skstruct.decomposition"):
        model.fit(data.X)
    assert len(caplog.records) == model.n_iter_
    assert "StructuredSparseNMF iteration 0: objective" in caplog.text


def test_progress_callback_sees_every_iteration():
    callback = pytest.importorskip("sklearn.callback")
    data = scene(17)
    model = StructuredSparseNMF(3, image_shape=data.image_shape, tol=0, max_iter=7)
    model.set_callbacks(callback.ProgressBar())
    assert model.fit(data.X).n_iter_ == 7


def test_unmix_brings_the_maps_into_image_shape():
    data = make_hyperspectral_scene((12, 14), n_bands=30, random_state=0)
    cube = np.rint(4000 * data.X).reshape(12, 14, 30).astype(np.uint16)
    before = cube.copy()
    found = unmix(cube, 4, random_state=0)
    assert_array_equal(cube, before)
    assert found.abundances.shape == (12, 14, 4)
    assert_allclose(found.abundances.sum(axis=2), 1.0)
    assert found.scale == cube.max()
    mask = np.ones((12, 14), bool)
    mask[:3] = False
    part = unmix(cube, 3, mask=mask, method="fcls", random_state=0)
    assert np.isnan(part.abundances[:3]).all()
    assert_allclose(part.abundances[3:].sum(axis=2), 1.0)
    # Calibrated endmembers are in the units of the cube.
    fitted = part.abundances[mask] @ part.endmembers
    assert np.linalg.norm(fitted - cube[mask]) < 0.2 * np.linalg.norm(cube[mask])
    for bad, message in (
        (np.ones((3, 4)), "got 2 dimensions"),
        (np.zeros((3, 4, 5)), "no positive entry"),
    ):
        with pytest.raises(ValueError, match=message):
            unmix(bad, 2)
    with pytest.raises(ValueError, match="mask must be boolean of shape"):
        unmix(cube, 2, mask=np.ones((3, 3), bool))
    with pytest.raises(ValueError, match="leaves no pixel"):
        unmix(cube, 2, mask=np.zeros((12, 14), bool))


# -- bad input -------------------------------------------------------------------

X12 = np.random.default_rng(0).random((12, 6))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"image_shape": (3, 5)}, "X has 12 rows.*asks for 15.*positions"),
        ({"image_shape": (3, 4), "mask": np.eye(3, 4, dtype=bool)}, "asks for 3"),
        ({"image_shape": (3, 4), "window": 2}, "window=2 must be odd"),
        ({"affinity": "window"}, "affinity='window' needs image_shape"),
        ({"affinity": "precomputed"}, "needs the matrix"),
        ({"sum_to_one": "exact"}, "constant L1 norm 1, so the lasso is void"),
        ({"sum_to_one": "exact", "alpha": 0, "solver": "mu"}, "needs solver='cd'"),
        ({"sum_to_one": True}, "must be False, 'soft' or 'exact'"),
        ({"sparsity_norm": 0.7}, "sparsity_norm=0.7 must be 1"),
        ({"n_components": 7}, r"n_components=7 must be at most .*=6"),
        ({"n_components": 7, "init": "spa"}, r"n_components=7 must be at most"),
        ({"init": np.ones((3, 6))}, r"init must have shape .* = \(4, 6\)"),
        ({"init": -np.ones((4, 6))}, "init must not be negative"),
        ({"alpha": -1}, "'alpha' parameter"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        StructuredSparseNMF(**params).fit(X12)


def test_more_components_than_bands_is_legal_for_random_starts():
    model = StructuredSparseNMF(7, init="random", alpha=0, random_state=0)
    quiet_fit(model, X12)
    assert model.components_.shape == (7, 6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda W: W[:5], r"affinity must have shape .*\(12, 12\)"),
        (lambda W: np.triu(W), "must be symmetric"),
        (lambda W: -W, "must not be negative"),
        (lambda W: sparse.csr_array(W * np.nan), "NaN"),
    ],
)
def test_bad_affinity(make, message):
    with pytest.raises(ValueError, match=message):
        StructuredSparseNMF(2).fit(X12, affinity=make(np.ones((12, 12))))


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (np.zeros((12, 3)), "positions must have shape"),
        (np.zeros((12, 2)), "same coordinates"),
        (np.full((12, 2), 0.5), "integer pixel coordinates"),
    ],
)
def test_bad_positions(positions, message):
    with pytest.raises(ValueError, match=message):
        StructuredSparseNMF(2).fit(X12, positions=positions)


def test_other_errors():
    with pytest.raises(ValueError, match="Negative values in data passed to"):
        StructuredSparseNMF(2).fit(-X12)
    with pytest.raises(ValueError, match="set affinity='precomputed' or 'auto'"):
        StructuredSparseNMF(2, affinity="knn").fit(X12, affinity=np.eye(12))
    model = StructuredSparseNMF(2, random_state=0).fit(X12)
    with pytest.raises(ValueError, match="Negative values in data passed to"):
        model.transform(-X12)
    with pytest.raises(ValueError, match="method='fcls' needs X"):
        model.abundances(method="fcls")
    with pytest.raises(ValueError, match="method='sum' must be"):
        model.abundances(method="sum")
    with pytest.raises(ValueError, match="X has 3 columns, the model 2 components"):
        model.inverse_transform(np.ones((1, 3)))
    with pytest.raises(ValueError, match="No entry can be hidden"):
        StructuredSparseNMF(1).fit(X12[:, :1]).score(X12[:, :1])


def test_soft_sum_with_the_lasso_warns_once():
    model = StructuredSparseNMF(2, sum_to_one="soft", random_state=0)
    with pytest.warns(UserWarning, match="nearly a constant") as caught:
        model.fit(X12)
    assert sum("nearly" in str(w.message) for w in caught) == 1


def test_non_convergence_warns():
    with pytest.warns(
        ConvergenceWarning, match="in five iterations, after 6 iterations"
    ):
        StructuredSparseNMF(3, max_iter=6, tol=1e-12, random_state=0).fit(X12)


def test_dead_components_are_seeded_again():
    """A start with two equal spectra of nothing in the data comes back to life."""
    data = scene(18)
    init = vca(data.X, 3, random_state=0)
    init[2] = 0
    init[2, 0] = 1e-6
    model = StructuredSparseNMF(3, init=init, alpha=0.05, graph_weight=0)
    model.fit(data.X)
    assert np.all(model.embedding_.sum(axis=0) > 0)
    curve = model.loss_curve_
    assert np.all(np.diff(curve) <= 1e-10 * curve[0])
    scores = unmixing_scores(data.endmembers, model.components_)
    assert scores.mean_sad < 0.1


def test_components_that_the_data_cannot_fill_warn():
    """Exact fit by one spectrum: no residual is left to seed the other one with."""
    X = np.outer(np.linspace(0.5, 1, 12), [1.0, 2.0, 0.0])
    model = StructuredSparseNMF(2, init=[[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]], alpha=0)
    with pytest.warns(UserWarning, match=r"\[1\] have no abundance in any sample"):
        model.fit(X)
    assert_allclose(model.inverse_transform(model.embedding_), X)
    assert_allclose(np.linalg.norm(model.components_, axis=1), 1.0)


def test_zero_data_and_a_huge_penalty_give_zero_abundances():
    for X, alpha in ((np.zeros((12, 6)), 0.1), (X12, 1e6)):
        with pytest.warns(UserWarning, match="no abundance"):
            model = StructuredSparseNMF(2, alpha=alpha, random_state=0).fit(X)
        assert_array_equal(model.embedding_, 0)
        assert np.isfinite(model.components_).all()


@pytest.mark.parametrize("factor", [1e-150, 1e150, 1e-3])
def test_extreme_units_stay_finite(factor):
    model = StructuredSparseNMF(2, alpha=0, random_state=0)
    quiet_fit(model, X12 * factor)
    assert np.isfinite(model.components_).all()
    assert np.isfinite(model.embedding_).all()


# -- Jasper Ridge ----------------------------------------------------------------


def test_loader_reads_the_original_file_in_image_order():
    folder = shared_data("originals", "jasperRidge2_R198.mat").parent
    data = fetch_jasper_ridge(data_home=folder)
    crop = np.load(shared_data("jasper_ridge", "jasper_ridge_50x50.npz"))
    window = (slice(30, 80), slice(20, 70))
    image = data.X.reshape(100, 100, 198)
    maps = data.abundances.reshape(100, 100, 4)
    # The crop was cut from the transposed image.
    assert_allclose(image.transpose(1, 0, 2)[window] * data.scale, crop["X"])
    assert_allclose(maps.transpose(1, 0, 2)[window], crop["abundances"], atol=1e-6)
    assert_allclose(data.endmembers, crop["endmembers"])
    assert data.names == list(crop["names"])
    assert_array_equal(data.bands, crop["bands"])
    error = data.X - data.abundances @ data.endmembers
    assert_allclose(np.linalg.norm(error) / np.linalg.norm(data.X), 0.16, atol=0.005)


def test_jasper_ridge_full_scene():
    """The default against vertex component analysis and against scikit-learn."""
    data = fetch_jasper_ridge(
        data_home=shared_data("originals", "jasperRidge2_R198.mat").parent
    )

    def errors(M, A):
        A = A / np.maximum(A.sum(axis=1, keepdims=True), 1e-300)
        scores = unmixing_scores(data.endmembers, M, data.abundances, A)
        return scores.mean_sad, scores.mean_rmse

    found = []
    for seed in range(10):
        model = StructuredSparseNMF(4, image_shape=(100, 100), random_state=seed)
        A = model.fit_transform(data.X)
        found.append(errors(model.components_, A))
    found = np.array(found)
    assert np.all(found.max(axis=0) <= 1.2 * found.min(axis=0))
    M = vca(data.X, 4, random_state=0)
    peer = NMF(4, init="nndsvdar", max_iter=200, tol=0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        W = peer.fit_transform(data.X)
    for other in (errors(M, fcls(data.X, M)), errors(peer.components_, W)):
        assert np.all(found.max(axis=0) < np.array(other))


def test_jasper_ridge_crop():
    """Better than its start by far, and nearly the same from every seed."""
    crop = np.load(shared_data("jasper_ridge", "jasper_ridge_50x50.npz"))
    X = crop["X"].reshape(-1, 198) / crop["scale"]
    truth = crop["abundances"].reshape(-1, 4)
    found = []
    for seed in range(10):
        model = StructuredSparseNMF(4, image_shape=(50, 50), random_state=seed).fit(X)
        scores = unmixing_scores(
            crop["endmembers"], model.components_, truth, model.abundances()
        )
        found.append((scores.mean_sad, scores.mean_rmse))
    found = np.array(found)
    assert np.all(found.max(axis=0) <= 1.2 * found.min(axis=0))
    M = vca(X, 4, random_state=0)
    start = unmixing_scores(crop["endmembers"], M, truth, fcls(X, M))
    assert found[:, 0].max() < 0.6 * start.mean_sad
    assert found[:, 1].max() < 0.6 * start.mean_rmse


def test_jasper_ridge_stopped_early_looks_better_than_the_minimum():
    """Good figures of a strong lasso come from runs that are far from the minimum.

    A hundred plain iterations from single starts spread widely and reach small errors;
    the minimum, the same from all of them, has large ones.
    """
    data = fetch_jasper_ridge(
        data_home=shared_data("originals", "jasperRidge2_R198.mat").parent
    )
    X = data.X

    def errors(A, M):
        A = A / np.maximum(A.sum(axis=1, keepdims=True), 1e-300)
        scores = unmixing_scores(data.endmembers, M, data.abundances, A)
        return scores.mean_sad, scores.mean_rmse

    problem = Problem(X, Graph.of(None, X.dtype), 0.0, 0.2, False)
    early, values = [], []
    for seed in (0, 1):
        M = vca(X, 4, random_state=seed)
        A = problem.laid_out(fcls(X, M))
        M /= np.linalg.norm(M, axis=1, keepdims=True)
        for _ in range(100):
            P, Q, sums = sweep_pass(problem, A, M)
            update_endmembers(P, Q, M, unit=True, n_inner=1)
        early.append(errors(A, M))
        values.append(objective(problem, A, M, sums=sums, P=P, Q=Q))
    # The one start passes spectra near the reference, the other does not.
    assert early[1][0] < 0.07 and early[1][1] < 0.055
    assert early[0][0] > 0.15 and early[0][1] > 0.15
    models = [
        StructuredSparseNMF(4, alpha=0.2, tol=1e-8, max_iter=1000, random_state=s)
        for s in (0, 1)
    ]
    for model in models:
        A = model.fit_transform(X)
        assert_allclose(model.objective_, 7098.86, atol=0.01)
        assert min(values) > model.objective_ + 10
        assert errors(A, model.components_)[0] > 0.15
