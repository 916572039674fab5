"""Robust flag PCA: objectives, monotonicity, reductions, robustness, manifolds."""

import logging
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.stats import cauchy, multivariate_t
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score

from skstruct._flags import level_weights, random_frame
from skstruct._manifolds import Sphere
from skstruct.decomposition import RobustFlagPCA
from skstruct.decomposition import _robust_flag_pca_solver as solver
from skstruct.decomposition._robust_flag_pca_kernels import (
    block_weights,
    nested_weights,
    weiszfeld_pass,
)
from skstruct.subspace import flag_distance
from tests.decomposition.instances_flags import planted
from tests.reference import flags as ref


def table_data():
    """The small table of the published comparison."""
    return np.random.RandomState(189).rand(5, 100).T


def smoothed(r, eps):
    return np.where(r > eps, r, (r**2 / eps + eps) / 2)


def span_gap(U, V):
    return flag_distance(U, V, U.shape[1])


# -- kernels --------------------------------------------------------------------------


@given(
    st.integers(1, 30), st.integers(1, 4), st.sampled_from([(1,), (2,), (1, 3)]),
    st.booleans(), st.integers(0, 10**6),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_weights_equal_their_formula(n, b, flag_type, reconstruction, seed):
    rng = np.random.default_rng(seed)
    k, eps = flag_type[-1], 0.3
    U = random_frame(5, k, rng, b)
    X = rng.standard_normal((n, 5)) * rng.integers(0, 2, size=(n, 1))
    T = np.ascontiguousarray(np.einsum("np,bpk->nbk", X, U))
    want = T.copy()
    norm2 = np.sum(X**2, axis=1)
    W, values = np.empty((n, b, len(flag_type))), np.empty(b)
    edges = np.array((0, *flag_type))
    block_weights(T, norm2, edges, eps, reconstruction, True, W, values)
    criterion = "reconstruction" if reconstruction else "variance"
    for s in range(b):
        r = ref.robust_terms(X, U[s], flag_type, criterion)
        assert_allclose(W[:, s].T, 1 / np.maximum(r, eps), rtol=1e-7)
        assert_allclose(values[s], smoothed(r, eps).sum(), rtol=1e-10)
    want *= np.repeat(W, np.diff(edges), axis=2)
    assert_allclose(T, want)


def test_nested_weights_and_weiszfeld_equal_their_formulas():
    rng = np.random.default_rng(0)
    X, U = rng.standard_normal((20, 6)), random_frame(6, 3, rng)
    w = np.empty(20)
    flag_type = (1, 3)
    value = nested_weights(X @ U, np.sum(X**2, axis=1), solver.gamma_of(flag_type),
                           1e-9, w)  # fmt: skip
    r = np.linalg.norm(X - X @ ref.averaged_projector(U, flag_type), axis=1)
    assert_allclose(value, r.sum())
    assert_allclose(w, 1 / r)
    assert_allclose(value, ref.nested_objective(X, U, flag_type))
    center, out = X.mean(axis=0), np.empty(6)
    total = weiszfeld_pass(X, center, 1e-9, out)
    d = np.linalg.norm(X - center, axis=1)
    assert_allclose(total, d.sum())
    assert_allclose(out, (X / d[:, None]).sum(0) / (1 / d).sum())


def test_geometric_median_is_stationary():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((51, 4)) ** 3
    m = solver.geometric_median(X, tol=1e-12, max_iter=5000)
    units = (X - m) / np.linalg.norm(X - m, axis=1, keepdims=True)
    assert np.linalg.norm(units.sum(axis=0)) < 1e-8
    # At a data point with more than half of the mass.
    X[:30] = X[0]
    assert_allclose(solver.geometric_median(X), X[0], atol=1e-6)
    assert_allclose(solver.geometric_median(np.ones((5, 3))), 1.0)


# -- objectives -----------------------------------------------------------------------


def test_the_published_table_is_reached():
    X = table_data()
    options = {"construction": "block", "center": "mean", "random_state": 0}
    l1 = RobustFlagPCA(
        flag_type=(1, 2), criterion="variance", n_init=3000, **options
    ).fit(X)
    assert_allclose(l1.objective_, 54.690021348, atol=2e-8)
    lad = RobustFlagPCA(2, n_init=20, **options).fit(X)
    assert lad.objective_ <= 42.886
    single = RobustFlagPCA(
        flag_type=(1, 2), criterion="variance", n_init=1, **options
    ).fit(X)
    assert single.objective_ < l1.objective_


@pytest.mark.parametrize("criterion", ["variance", "reconstruction", "dual"])
@pytest.mark.parametrize("flag_type", [(2,), (1, 2), (1, 3)])
def test_objective_is_the_sum_of_its_terms_and_monotone(criterion, flag_type):
    X = table_data()
    pca = RobustFlagPCA(
        flag_type=flag_type, criterion=criterion, construction="block", n_init=2,
        random_state=0, max_iter=2000,
    ).fit(X)  # fmt: skip
    Z = X - pca.mean_
    if criterion == "dual":
        Z = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    r = ref.robust_terms(Z, pca.frame_, flag_type, criterion)
    assert_allclose(pca.objective_, r.sum(), rtol=1e-8)
    change = np.diff(pca.objective_path_)
    worse = -change if criterion == "variance" else change
    assert np.all(worse <= 1e-12 * pca.objective_)
    assert_allclose(pca.frame_.T @ pca.frame_, np.eye(flag_type[-1]), atol=1e-12)
    eps = 1e-7 * np.median(np.linalg.norm(Z, axis=1))
    w = 1 / np.maximum(r, eps)
    assert_allclose(pca.weights_, w / w.max(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("flag_type", [(1, 2), (1, 2, 3), (2, 4)])
def test_nested_construction_equals_steepest_descent(flag_type):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((80, 6)) * [5, 4, 3, 1, 1, 1] * rng.gamma(1, 1, (80, 1))
    pca = RobustFlagPCA(
        flag_type=flag_type, center="mean", n_init=1, tol=1e-13, max_iter=3000
    ).fit(X)
    Z = X - X.mean(axis=0)
    start = np.linalg.svd(Z)[2][: flag_type[-1]].T
    _, value = ref.stiefel_descent(
        lambda U: ref.nested_objective(Z, U, flag_type),
        lambda U: ref.nested_gradient(Z, U, flag_type),
        start,
        tol=1e-9,
    )
    assert_allclose(pca.objective_, value, rtol=1e-8)


def test_eigenvectors_and_polar_steps_find_the_same_subspace(monkeypatch):
    rng = np.random.default_rng(4)
    X = planted(0, 0.1)[0]
    for construction in ("nested", "block"):
        pca = RobustFlagPCA(3, construction=construction, n_init=1, tol=1e-12)
        exact = pca.fit(X).frame_
        monkeypatch.setattr(solver, "_EIGEN_LIMIT", 0)
        polar = RobustFlagPCA(
            3, construction=construction, n_init=1, tol=1e-13, max_iter=5000
        ).fit(X)
        monkeypatch.undo()
        assert span_gap(exact, polar.frame_) < 1e-4
        assert_allclose(pca.objective_, polar.objective_, rtol=1e-8)
    del rng


def test_row_space_reduction_changes_nothing():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((20, 4)) @ rng.standard_normal((4, 60))
    X += 0.1 * rng.standard_normal(X.shape)
    wide = RobustFlagPCA(3, n_init=1, tol=1e-12).fit(X)
    # The same rows in coordinates of their own span.
    Q = np.linalg.qr((X - wide.mean_).T)[0]
    thin = RobustFlagPCA(3, n_init=1, tol=1e-12, center=None).fit((X - wide.mean_) @ Q)
    assert_allclose(wide.objective_, thin.objective_, rtol=1e-9)
    assert span_gap(wide.frame_, Q @ thin.frame_) < 1e-5


def test_dual_finds_the_hyperplane_among_many_outliers():
    rng = np.random.default_rng(6)
    inliers = rng.standard_normal((100, 9)) @ random_frame(10, 9, rng).T
    X = np.vstack([inliers, rng.standard_normal((100, 10))])
    dual = RobustFlagPCA(
        1, criterion="dual", construction="block", center=None, random_state=0
    ).fit(X)
    normal = np.linalg.svd(inliers)[2][-1]
    assert abs(dual.components_[0] @ normal) > 1 - 1e-6
    labels = np.repeat([0, 1], 100)
    assert roc_auc_score(labels, dual.outlier_scores_) > 0.999
    assert_allclose(dual.residuals(X), dual.outlier_scores_)
    assert np.all(dual.outlier_scores_ <= 1 + 1e-12)


# -- reductions and equivariances -----------------------------------------------------


def test_rows_of_equal_residuals_give_pca():
    """Mirror images of the noise leave no row more weight than another."""
    rng = np.random.default_rng(7)
    T = rng.standard_normal((200, 2)) * [4, 2]
    signs = np.sign(rng.standard_normal((200, 2)))
    X = np.hstack([T, 0.5 * signs])
    X = np.vstack([X, X * [1, 1, -1, 1], X * [1, 1, 1, -1], X * [1, 1, -1, -1]])
    robust = RobustFlagPCA(2, center="mean", construction="block", n_init=1).fit(X)
    pca = PCA(2).fit(X)
    assert span_gap(robust.frame_, pca.components_.T) < 1e-6


@pytest.mark.parametrize("params", [
    {"n_components": 2},
    {"n_components": 2, "construction": "block"},
    {"flag_type": (1, 2), "construction": "block", "criterion": "variance"},
    {"n_components": 2, "construction": "block", "criterion": "dual"},
])  # fmt: skip
def test_equivariances(params):
    rng = np.random.default_rng(8)
    X = planted(1, 0.1)[0]
    options = {"n_init": 1, "tol": 1e-12, "max_iter": 3000, **params}
    base = RobustFlagPCA(**options).fit(X)
    order = rng.permutation(len(X))
    shuffled = RobustFlagPCA(**options).fit(X[order])
    assert span_gap(base.frame_, shuffled.frame_) < 1e-4
    Q = random_frame(15, 15, rng)
    moved = RobustFlagPCA(**options).fit(3.0 * X @ Q.T + 7.0)
    assert span_gap(Q @ base.frame_, moved.frame_) < 1e-4
    factor = 1.0 if params.get("criterion") == "dual" else 3.0
    assert_allclose(moved.objective_, factor * base.objective_, rtol=1e-6)


def test_one_fit_gives_all_ranks_nearly():
    X = planted(2)[0]
    nested = RobustFlagPCA(4, random_state=0).fit(X)
    assert nested.flag_type_ == (1, 2, 3, 4)
    for k in (1, 2, 3):
        alone = RobustFlagPCA(k, construction="block", random_state=0).fit(X)
        assert span_gap(nested.frame_[:, :k], alone.frame_) < 0.25


# -- robustness -----------------------------------------------------------------------


def test_outliers_do_not_turn_the_subspace():
    rng = np.random.default_rng(9)
    inliers = rng.standard_normal((450, 3)) * np.sqrt([5, 1, 0.1])
    outliers = rng.standard_normal((50, 3)) * np.sqrt([0.1, 0.1, 5])
    X = np.vstack([inliers, 2 * outliers])
    truth = np.eye(3)[:, :2]
    robust = RobustFlagPCA(2, random_state=0).fit(X)
    pca = PCA(2).fit(X)
    assert flag_distance(robust.frame_, truth, (1, 2)) < 0.15
    assert flag_distance(pca.components_.T, truth, (1, 2)) > 0.5


def test_digits_among_digits():
    digits = load_digits()
    rng = np.random.default_rng(0)
    zeros = rng.permutation(np.flatnonzero(digits.target == 0))[:90]
    others = rng.permutation(np.flatnonzero(digits.target != 0))[:10]
    X = digits.data[np.concatenate([zeros, others])]
    labels = np.repeat([0, 1], [90, 10])
    robust = RobustFlagPCA(flag_type=(1, 2, 5), random_state=0).fit(X)
    pca = PCA(5).fit(X)
    plain = np.linalg.norm(X - pca.inverse_transform(pca.transform(X)), axis=1)
    auc = roc_auc_score(labels, robust.outlier_scores_)
    assert auc > roc_auc_score(labels, plain)
    assert auc > 0.95


def test_planted_groups_of_columns():
    """The flag type experiment: groups of columns in three orthogonal subspaces."""
    rng = np.random.RandomState(42)
    X = 0.1 * rng.standard_normal((300, 10))
    for rows, columns in [
        (slice(0, 150), [0, 1]), (slice(150, 200), [2, 3, 4]), (slice(200, 300), [5, 6])
    ]:  # fmt: skip
        n = rows.stop - rows.start
        X[rows, columns[0] : columns[-1] + 1] += rng.standard_normal((n, len(columns)))
    pca = RobustFlagPCA(
        flag_type=(2, 5, 7), criterion="variance", construction="block", n_init=100,
        center=None, random_state=0,
    ).fit(X)  # fmt: skip
    inside = np.linalg.norm(np.delete(pca.frame_, [7, 8, 9], axis=0)) ** 2
    assert inside > 6.9


def test_auto_takes_the_best_held_out_score():
    X = planted(3, 0.1)[0]
    pca = RobustFlagPCA("auto", n_init=1).fit(X)
    assert pca.n_components_ == 3
    assert np.argmax(pca.n_components_scores_) == 2


@pytest.mark.parametrize("params", [
    {}, {"scale": True}, {"construction": "block", "criterion": "dual"},
    {"construction": "block", "criterion": "variance"},
])  # fmt: skip
def test_density_is_a_product_of_cauchy_densities(params):
    rng = np.random.default_rng(10)
    X = rng.standard_normal((300, 4)) * [3, 1, 0.5, 0.5] + 2
    pca = RobustFlagPCA(1, random_state=0, **params).fit(X)
    Z = (X - pca.mean_) / pca.scale_
    U = pca.frame_
    if params.get("criterion") == "dual":
        # The rows extend in the complement of the normal.
        U = pca._signal
        assert_allclose(pca.frame_.T @ U, 0.0, atol=1e-12)
    T = Z @ U
    rest = Z @ np.linalg.qr(U, mode="complete")[0][:, U.shape[1] :]
    want = -np.log(pca.scale_).sum()
    for t in T.T:
        # The maximum likelihood scale.
        scale = cauchy.fit(t, floc=0)[1]
        want = want + cauchy(scale=scale).logpdf(t)
    d = rest.shape[1]

    def loss(log_scale):
        return -multivariate_t(
            np.zeros(d), np.exp(2 * log_scale) * np.eye(d), df=1
        ).logpdf(rest).sum()  # fmt: skip

    best = minimize_scalar(loss, bounds=(-5, 3), method="bounded").x
    want = want + multivariate_t(
        np.zeros(d), np.exp(2 * best) * np.eye(d), df=1
    ).logpdf(rest)
    assert_allclose(pca.score_samples(X), want, atol=1e-3)
    assert_allclose(pca.score(X), want.mean(), atol=1e-6)


def test_transform_and_back():
    X = planted(4)[0]
    for params in ({}, {"scale": True}, {"center": "median"}):
        pca = RobustFlagPCA(3, n_init=1, **params).fit(X)
        T = pca.transform(X)
        back = pca.inverse_transform(T)
        assert_allclose(pca.transform(back), T, atol=1e-10)
        Z = (X - back) / pca.scale_
        assert_allclose(pca.residuals(X), np.linalg.norm(Z, axis=1), atol=1e-10)
        assert_allclose(pca.outlier_scores_, pca.residuals(X))
    assert RobustFlagPCA().fit(X[:, :5]).n_components_ == 4


# -- manifolds ------------------------------------------------------------------------


class SphereProtocol:
    """A user's own sphere."""

    dim = 4

    def __init__(self):
        self.sphere = Sphere()

    def log(self, x, y):
        return self.sphere.log(x, y)

    def exp(self, x, v):
        return self.sphere.exp(x, v)

    def dist(self, x, y):
        return self.sphere.dist(x, y)


def circle(rng, n=120):
    """Points near a great circle of the sphere in five dimensions, and outliers."""
    Q = random_frame(5, 2, rng)
    angle = 0.6 * rng.standard_normal(n)
    Y = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ Q.T
    Y += 0.03 * rng.standard_normal(Y.shape)
    return Y / np.linalg.norm(Y, axis=1, keepdims=True), Q


def test_sphere():
    rng = np.random.default_rng(11)
    Y, Q = circle(rng)
    pca = RobustFlagPCA(1, manifold="sphere", random_state=0).fit(Y)
    assert abs(pca.mean_ @ pca.components_[0]) < 1e-10
    plane = np.column_stack([pca.mean_, pca.components_[0]])
    assert span_gap(plane, Q) < 0.05
    back = pca.inverse_transform(pca.transform(Y))
    assert_allclose(np.linalg.norm(back, axis=1), 1.0)
    assert np.linalg.norm(back - Y, axis=1).mean() < 0.08
    own = RobustFlagPCA(1, manifold=SphereProtocol(), random_state=0).fit(Y)
    assert_allclose(own.score(Y), pca.score(Y), rtol=1e-8)
    scores = [
        RobustFlagPCA(k, manifold="sphere", n_init=1).fit(Y[::2]).score(Y[1::2])
        for k in (1, 2, 3)
    ]
    assert np.argmax(scores) == 0


@pytest.mark.parametrize(
    "manifold", ["spd_log_euclidean", "spd_affine_invariant", "hyperbolic"]
)
def test_coordinates_are_isometric(manifold):
    rng = np.random.default_rng(12)
    if manifold == "hyperbolic":
        v = rng.standard_normal((40, 3))
        Y = np.hstack([np.sqrt(1 + np.sum(v**2, axis=1, keepdims=True)), v])
        full = 3
    else:
        A = rng.standard_normal((40, 2, 2))
        Y = A @ np.swapaxes(A, 1, 2) + 0.5 * np.eye(2)
        full = 3
    pca = RobustFlagPCA(full - 1, manifold=manifold, n_init=1).fit(Y)
    Z, outside = pca._tangent().coordinates(Y.reshape(40, -1))
    space = pca._tangent()
    points = space.manifold.encode(Y.reshape(40, -1))
    dist = space.manifold.dist(space.base[None], points)
    assert_allclose(np.linalg.norm(Z, axis=1), dist, rtol=1e-7)
    assert_allclose(outside, 0.0, atol=1e-6)
    assert_allclose(space.points(Z), Y.reshape(40, -1), rtol=1e-6, atol=1e-8)
    # The median: unit vectors towards the points cancel.
    units = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    assert np.linalg.norm(units.sum(axis=0)) < 1e-4


def test_euclidean_manifold_is_the_plain_method():
    X = planted(5)[0]
    flat = RobustFlagPCA(3, manifold="euclidean", n_init=1).fit(X)
    plain = RobustFlagPCA(3, n_init=1).fit(X)
    assert_allclose(flat.mean_, plain.mean_, atol=1e-5)
    assert_allclose(flat.score(X), plain.score(X), rtol=1e-5)


# -- degenerate data, messages --------------------------------------------------------


@pytest.mark.parametrize("params", [
    {"n_components": 1}, {"flag_type": (1, 2), "construction": "block"},
    {"n_components": 1, "construction": "block", "criterion": "dual"},
    {"n_components": 1, "construction": "block", "criterion": "variance"},
])  # fmt: skip
@pytest.mark.parametrize("kind", ["constant", "line", "duplicates", "huge", "tiny"])
def test_degenerate_rows_give_finite_results(params, kind):
    rng = np.random.default_rng(13)
    X = {
        "constant": np.ones((8, 4)),
        "line": np.outer(np.arange(8.0), [1, 2, 3, 4]),
        "duplicates": np.repeat(rng.standard_normal((2, 4)), 4, axis=0),
        "huge": 1e150 * rng.standard_normal((8, 4)),
        "tiny": 1e-150 * rng.standard_normal((8, 4)),
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pca = RobustFlagPCA(random_state=0, **params).fit(X)
    for result in (pca.components_, pca.transform(X), pca.score_samples(X)):
        assert np.isfinite(result).all()
    assert_allclose(
        pca.components_ @ pca.components_.T, np.eye(pca.n_components_), atol=1e-8
    )


def test_iterations_are_logged_and_bounded(caplog):
    X = planted(6)[0]
    with caplog.at_level(logging.INFO, logger="skstruct.decomposition"):
        RobustFlagPCA(2, verbose=1).fit(X)
    assert "RobustFlagPCA iteration 1" in caplog.text
    with pytest.warns(ConvergenceWarning, match="max_iter=2 reweightings"):
        RobustFlagPCA(2, max_iter=2, n_init=1).fit(X)


def test_messages():
    X = planted(7)[0]
    cases = [
        ({"criterion": "dual"}, "construction='nested' needs criterion='reconstr"),
        ({"n_components": 15}, r"n_components=15 must be at most min\(n_samples"),
        ({"flag_type": (2, 15)}, "must be at most min"),
        ({"flag_type": (2, 2)}, "strictly increasing"),
        ({"flag_type": (1, 2), "n_components": 3}, "contradicts the last dimension"),
        ({"n_components": 2, "init": np.eye(3)}, r"init must have shape \(15, 2\)"),
        ({"n_components": 0}, "n_components"),
        ({"n_components": 2, "manifold": "torus"}, "manifold='torus' must be one of"),
        ({"n_components": 2, "manifold": "sphere", "scale": True}, "scale=False"),
        ({"n_components": 2, "manifold": "sphere", "center": None}, "center=None"),
    ]
    for params, message in cases:
        with pytest.raises(ValueError, match=message):
            RobustFlagPCA(**params).fit(X)
    with pytest.raises(TypeError, match="has no log, exp, dist, dim"):
        RobustFlagPCA(2, manifold=3).fit(X)
    with pytest.raises(ValueError, match=r"Row 0.*norm|row 0.*norm"):
        RobustFlagPCA(2, manifold="sphere").fit(X)
    with pytest.raises(ValueError, match="NaN"):
        RobustFlagPCA(2).fit(np.where(X > 5, np.nan, X))
    with pytest.raises(ValueError, match="n_features = 1"):
        RobustFlagPCA().fit(X[:, :1])
    fitted = RobustFlagPCA(2, n_init=1).fit(X)
    with pytest.raises(ValueError, match=r"must have shape \(n_samples, 2\)"):
        fitted.inverse_transform(X)
    assert level_weights((1, 3)).tolist() == [1.0, 0.5, 0.5]
