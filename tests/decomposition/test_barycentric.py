"""Barycentric subspaces against dense projections, closed forms, other solvers."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA

from skstruct._manifolds import BUILT_IN, resolve_manifold
from skstruct.datasets import load_world_cities
from skstruct.decomposition import BarycentricSubspaceAnalysis as BSA
from tests.reference import barycentric as ref

KINDS = (0, 1, -1)


def _points(kind, n=14, dimension=4, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    return ref.random_points(kind, n, dimension, rng, spread)


# -- samples as references -------------------------------------------------------------


@pytest.mark.parametrize("p", [2.0, 1.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_searches_equal_enumeration_with_dense_projections(kind, p):
    # The formulas of the reference are good to 1e-8 at points of the span itself,
    # which small powers of the distance make visible.
    rtol = 1e-10 if p == 2 else 1e-6
    for seed in range(3):
        Y = _points(kind, seed=seed)
        weights = np.random.default_rng(seed).random(len(Y))
        for k in (1, 2):
            common = {"manifold": ref.NAMES[kind], "p": p}
            pure = BSA(k, strategy="pure", **common).fit(Y, sample_weight=weights)
            want, subset = ref.pure(kind, Y, k + 1, p, weights)
            assert tuple(sorted(pure.reference_indices_)) == subset
            assert_allclose(pure.unexplained_variance_[-1], want, rtol=rtol)
            flag = BSA(k, strategy="flag", **common).fit(Y, sample_weight=weights)
            want, order = ref.flag(kind, Y, k + 1, p, weights)
            assert tuple(flag.reference_indices_) == order
            assert_allclose(flag.auv_, want, rtol=rtol)
            greedy = BSA(k, **common).fit(Y, sample_weight=weights)
            assert tuple(greedy.reference_indices_) == ref.forward(
                kind, Y, k + 1, p, weights
            )


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10_000),
    dimension=st.integers(2, 6),
    spread=st.sampled_from([1e-3, 0.3, 1.0, 4.0]),
)
def test_residuals_equal_dense_projections(kind, seed, dimension, spread):
    Y = _points(kind, 9, dimension, seed, spread)
    bsa = BSA(2, manifold=ref.NAMES[kind]).fit(Y)
    X = Y[bsa.reference_indices_]
    for level in range(3):
        want = ref.distances(kind, Y, X[: level + 1])
        # The formulas of the reference lose digits to the Lorentz product.
        size = np.abs(Y).max() ** 2
        atol = (1e-7 if kind < 0 else 1e-9) * size
        assert_allclose(bsa.residuals(Y, level), want, rtol=1e-7, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
def test_strategies_are_ordered_by_their_objectives(kind):
    Y = _points(kind, 25, 5, 3)
    fits = {
        s: BSA(2, manifold=ref.NAMES[kind], strategy=s, n_init=3, random_state=0).fit(Y)
        for s in ("forward", "backward", "exchange", "pure", "flag")
    }
    variance = {s: f.unexplained_variance_[-1] for s, f in fits.items()}
    assert variance["pure"] == min(variance.values())
    assert variance["exchange"] <= variance["forward"]
    assert fits["flag"].auv_ == min(f.auv_ for f in fits.values())
    for fit in fits.values():
        assert (np.diff(fit.unexplained_variance_) <= 0).all()
        assert_allclose(fit.residuals(fit.references_), 0, atol=1e-7)


def test_backward_from_given_references_removes_the_cheapest():
    Y = _points(1, 20, 6, 1)
    start = [2, 5, 7, 11]
    bsa = BSA(1, manifold="sphere", strategy="backward", init_references=start).fit(Y)
    left = set(start)
    for size in (4, 3, 2):
        worst = min(left, key=lambda i: ref.cost(1, Y, sorted(left - {i})))
        if size == 2:
            assert bsa.reference_indices_[1] == worst
        left -= {worst}
    assert [bsa.reference_indices_[0]] == list(left)


def test_cities_pair_and_great_circle():
    """Optimal pair of 50 world cities, and the optimal great circle."""
    cities = load_world_cities()
    bsa = BSA(1, manifold="sphere", strategy="pure").fit(cities.data)
    assert sorted(bsa.reference_indices_) == [19, 49]
    assert_allclose(bsa.unexplained_variance_[-1], 0.186560, atol=5e-7)
    circle = BSA(1, manifold="sphere", references="optimized", strategy="pure")
    assert_allclose(
        circle.fit(cities.data).unexplained_variance_[-1], 0.186509, atol=5e-7
    )
    assert ref.pure(1, cities.data, 2)[1] == (19, 49)


@pytest.mark.parametrize("kind", KINDS)
def test_same_result_for_every_n_jobs_and_row_order(kind):
    Y = _points(kind, 30, 4)
    order = np.random.default_rng(0).permutation(30)
    for strategy in ("pure", "flag"):
        bsa = BSA(2, manifold=ref.NAMES[kind], strategy=strategy)
        one = clone(bsa).fit(Y)
        two = clone(bsa).set_params(n_jobs=2).fit(Y)
        assert_array_equal(one.reference_indices_, two.reference_indices_)
        assert one.n_evaluations_ == two.n_evaluations_
        mixed = clone(bsa).fit(Y[order])
        assert_array_equal(order[mixed.reference_indices_], one.reference_indices_)


def test_ties_go_to_the_smallest_index_set():
    # Both diagonals of a square leave the same variance.
    square = np.array([[1.0, 1], [1, -1], [-1, -1], [-1, 1]])
    bsa = BSA(1, strategy="pure").fit(np.vstack([square, square]))
    assert sorted(bsa.reference_indices_) == [0, 2]


@pytest.mark.parametrize(
    "strategy", ["forward", "pure", "flag", "exchange", "backward"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_duplicates_are_skipped_as_dependent(kind, strategy):
    Y = np.repeat(_points(kind, 5, 3), 3, axis=0)
    bsa = BSA(3, manifold=ref.NAMES[kind], strategy=strategy).fit(Y)
    assert len(set(bsa.reference_indices_ // 3)) == 4
    with pytest.warns(UserWarning, match="dimension 1 only, less than n_components=3"):
        small = BSA(3, manifold=ref.NAMES[kind], strategy=strategy).fit(Y[:6])
    assert small.transform(Y).shape == (15, 1)
    assert small.n_components_ == 1


def test_antipodal_points_span_a_line_only():
    rng = np.random.default_rng(0)
    Y = _points(1, 8, 3)
    Y[1] = -Y[0]
    bsa = BSA(2, manifold="sphere", init_references=[0]).fit(Y)
    assert 1 not in bsa.reference_indices_
    with pytest.warns(UserWarning, match="dimension 0 only"):
        BSA(1, manifold="sphere").fit(np.array([[1.0, 0, 0], [-1.0, 0, 0]]))
    # At the antipode of the only reference the distance is pi, not 0.
    one = BSA(1, manifold="sphere").fit(Y)
    x = one.references_[:1]
    assert_allclose(one.residuals(-x, level=0), np.pi)
    # Orthogonal to the span: a quarter of the circle away, and no NaN.
    away = np.linalg.svd(one.references_)[2][2:3]
    assert_allclose(one.residuals(away), np.pi / 2)
    assert np.isfinite(one.transform(away)).all()
    assert np.isfinite(rng.random())


def test_sample_weights_are_repetitions_and_zero_leaves_out():
    Y = _points(-1, 12, 3)
    weights = np.array([0, 1, 2, 3, 1, 0, 2, 1, 1, 3, 1, 2])
    for references in ("samples", "optimized"):
        bsa = BSA(2, manifold="hyperbolic", references=references, strategy="flag")
        a = clone(bsa).fit(Y, sample_weight=weights)
        b = clone(bsa).fit(np.repeat(Y, weights, axis=0))
        assert_allclose(a.unexplained_variance_, b.unexplained_variance_, rtol=1e-9)
        assert_allclose(a.project(Y), b.project(Y), atol=1e-6)
    bsa.set_params(references="samples").fit(Y, sample_weight=weights)
    assert not {0, 5} & set(bsa.reference_indices_)


def test_only_candidates_become_references():
    Y = _points(1, 60, 4)
    bsa = BSA(2, manifold="sphere", strategy="pure", n_candidates=6, random_state=0)
    chosen = set(bsa.fit(Y).reference_indices_)
    drawn = np.sort(np.random.RandomState(0).permutation(60)[:6])
    assert chosen <= set(drawn)
    costs = {
        s: ref.cost(1, Y, drawn[list(s)])
        for s in [(a, b, c) for a in range(6) for b in range(a) for c in range(b)]
    }
    assert_allclose(bsa.unexplained_variance_[-1], min(costs.values()), rtol=1e-10)


def test_low_powers_find_one_reference_in_each_cluster():
    """Three clusters on a sphere with as many uniform outliers.

    The published experiment: clusters of 10 points at the corners of an equilateral
    triangle of side 90 degrees, deviation 10 degrees, and 30 outliers.
    """
    right = {2.0: 0, 1.0: 0, 0.1: 0}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        Y = np.repeat(np.eye(6)[:3], 10, axis=0)
        Y = Y + np.deg2rad(10) * rng.standard_normal(Y.shape)
        Y = np.vstack([Y, rng.standard_normal((30, 6))])
        Y /= np.linalg.norm(Y, axis=1, keepdims=True)
        for p in right:
            bsa = BSA(2, manifold="sphere", strategy="pure", p=p).fit(Y)
            clusters = sorted(i // 10 for i in bsa.reference_indices_)
            right[p] += clusters == [0, 1, 2]
    assert min(right[0.1], right[1.0]) >= 5 > right[2.0]


# -- weights, coordinates, means -------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_zeros_of_the_weighted_logarithms(kind):
    Y = _points(kind, 30, 5, spread=0.5)
    bsa = BSA(3, manifold=ref.NAMES[kind], output="weights").fit(Y)
    lam, x = bsa.transform(Y), bsa.project(Y)
    assert_allclose(lam.sum(axis=1), 1)
    manifold = resolve_manifold(ref.NAMES[kind])
    logs = manifold.log(x[:, None], bsa.references_[None])
    gradient = np.einsum("ni,nid->nd", lam, logs)
    assert np.abs(gradient).max() <= 1e-12 * np.abs(lam).max()
    # Points near the references are given back by their weights.
    near = np.abs(lam).max(axis=1) < 1
    assert near.sum() > 5
    assert_allclose(bsa.inverse_transform(lam[near]), x[near], atol=1e-9)


@pytest.mark.parametrize("kind", [1, -1])
def test_weighted_means_to_1e_12(kind):
    rng = np.random.default_rng(0)
    Y = _points(kind, 20, 6)
    manifold = resolve_manifold(ref.NAMES[kind])
    bsa = BSA(4, manifold=ref.NAMES[kind], strategy="forward").fit(Y)
    lam = rng.random((50, 5))
    x = bsa.barycenter(lam)
    logs = manifold.log(x[:, None], bsa.references_[None])
    gradient = np.einsum("ni,nid->nd", lam / lam.sum(axis=1, keepdims=True), logs)
    assert np.abs(gradient).max() < 1e-12
    weights = rng.random(20)
    mean = bsa.fit(Y, sample_weight=weights).mean_
    assert np.abs(weights @ manifold.log(mean[None], Y)).max() < 1e-12 * weights.sum()


@pytest.mark.parametrize("references", ["samples", "optimized"])
@pytest.mark.parametrize("kind", KINDS)
def test_coordinates_are_normal_and_nested(kind, references):
    Y = _points(kind, 30, 5, spread=0.4)
    bsa = BSA(3, manifold=ref.NAMES[kind], references=references, strategy="flag")
    T = bsa.fit(Y).transform(Y)
    x = bsa.project(Y)
    assert_allclose(bsa.inverse_transform(T), x, atol=1e-12)
    # Distances from the origin of the coordinates are lengths.
    manifold = resolve_manifold(ref.NAMES[kind])
    origin = bsa.inverse_transform(np.zeros((1, 3)))
    assert_allclose(manifold.dist(origin, x), np.linalg.norm(T, axis=1), atol=1e-12)
    assert_allclose(origin, bsa.project(bsa.mean_[None]), atol=1e-12)
    if kind == 0:
        for level in (1, 2):
            low = np.hstack([T[:, :level], np.zeros((30, 3 - level))])
            moved = bsa.inverse_transform(low) - bsa.project(Y, level)
            assert_allclose(moved - moved[:1], 0, atol=1e-10)


def test_weights_at_infinity_have_unit_norm_and_a_warning():
    X = np.array([[1.0, 0, 0], [0, 1.0, 0], [1, 1, 0.3]])
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    bsa = BSA(1, manifold="sphere", output="weights", init_references=[0, 1]).fit(X)
    # Half way to the antipodes the logarithms are parallel and of equal length.
    x = np.array([[1.0, -1.0, 0]]) / np.sqrt(2)
    lam = bsa.transform(x)
    assert_allclose(lam.sum(), 1)
    # theta_0 = theta_1 = pi/2 for the pole of a symmetric triple.
    tri = np.array([[1.0, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, 1.0]])
    bsa = BSA(1, manifold="sphere", output="weights", init_references=[0, 1]).fit(tri)
    angle = np.deg2rad(240)
    y = np.array([[np.cos(angle), np.sin(angle), 0]])
    # From there both references are 120 degrees away on opposite sides.
    assert_allclose(bsa.transform(y), [[0.5, 0.5]], atol=1e-12)
    line = np.deg2rad(150)
    y = np.array([[np.cos(line + np.pi / 2), np.sin(line + np.pi / 2), 0]])
    assert np.isfinite(bsa.transform(y)).all()


# -- optimised references --------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["forward", "backward", "pure", "flag"])
@pytest.mark.parametrize("shape", [(40, 6), (12, 30)])
def test_euclidean_optimum_is_principal_component_analysis(strategy, shape):
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape) * np.linspace(2, 0.5, shape[1]) + 100
    bsa = BSA(3, references="optimized", strategy=strategy).fit(X)
    pca = PCA(3).fit(X)
    T = bsa.transform(X)
    signs = np.sign(np.sum(T * pca.transform(X), axis=0))
    assert_allclose(T * signs, pca.transform(X), atol=1e-8)
    values = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    tails = [values[i:].sum() for i in range(4)]
    assert_allclose(bsa.unexplained_variance_, tails, rtol=1e-9)
    assert_allclose(bsa.auv_, sum(tails), rtol=1e-9)
    assert_allclose(bsa.project(X), pca.inverse_transform(pca.transform(X)), atol=1e-8)


@pytest.mark.parametrize("kind", [1, -1])
def test_extrinsic_optimum_is_an_eigenproblem(kind):
    Y = _points(kind, 50, 4)
    bsa = BSA(2, manifold=ref.NAMES[kind], references="optimized", cost="extrinsic")
    frame = bsa.fit(Y).frame_
    J = np.diag([kind, 1, 1, 1, 1.0])
    assert_allclose(frame.T @ J @ frame, np.diag([kind, 1, 1.0]), atol=1e-10)
    C = Y.T @ Y @ J
    residual = C @ frame - frame * np.sum(frame * (J @ C @ frame), axis=0) * [
        kind,
        1,
        1,
    ]
    assert_allclose(residual, 0, atol=1e-9 * np.abs(C).max())


@pytest.mark.parametrize("spread", [0.3, 1.0])
@pytest.mark.parametrize("kind", [1, -1])
def test_flag_and_single_level_are_local_optima_of_another_solver(kind, spread):
    scale = spread * np.array([1.0, 0.7, 0.4, 0.2])
    Y = ref.random_points(kind, 60, 4, np.random.default_rng(1), scale)
    common = {"manifold": ref.NAMES[kind], "references": "optimized", "tol": 1e-13}
    flag = BSA(2, strategy="flag", max_iter=2000, **common).fit(Y)
    assert_allclose(sum(ref.levels_of_frame(kind, Y, flag.frame_)), flag.auv_)
    better = ref.minimise_over_frames(kind, Y, flag.frame_, sum)
    assert better > flag.auv_ * (1 - 1e-8)
    assert (np.diff(flag.objective_history_) <= 0).all()
    single = BSA(2, strategy="pure", max_iter=2000, **common).fit(Y)
    best = single.unexplained_variance_[-1]
    better = ref.minimise_over_frames(kind, Y, single.frame_, lambda c: c[-1])
    assert better > best * (1 - 1e-8)
    assert (np.diff(single.objective_history_) <= 0).all()
    forward = BSA(2, strategy="forward", **common).fit(Y)
    backward = BSA(2, strategy="backward", **common).fit(Y)
    assert flag.auv_ <= min(forward.auv_, backward.auv_, single.auv_)
    assert best <= min(
        f.unexplained_variance_[-1] for f in (flag, forward, backward)
    ) * (1 + 1e-9)
    assert_allclose(backward.unexplained_variance_[-1], best, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_flag_does_not_depend_on_the_frame_of_the_data(kind):
    Y = _points(kind, 50, 4, spread=0.6)
    rng = np.random.default_rng(5)
    Q = np.linalg.qr(rng.standard_normal((4 + (kind > 0),) * 2))[0]
    if kind < 0:
        Z = np.column_stack([Y[:, 0], Y[:, 1:] @ Q])
        t = 0.8  # and a boost
        boost = np.array([[np.cosh(t), np.sinh(t)], [np.sinh(t), np.cosh(t)]])
        Z[:, :2] = Z[:, :2] @ boost
    else:
        Z = Y @ Q
    # Reweighting for p = 1 is slow where points come to lie in the subspace.
    for p, tol, rtol in [(2.0, 1e-10, 1e-7), (1.0, 1e-6, 1e-3)]:
        bsa = BSA(2, manifold=ref.NAMES[kind], references="optimized", p=p,
                  strategy="flag", tol=tol)  # fmt: skip
        a, b = clone(bsa).fit(Y), clone(bsa).fit(Z)
        assert_allclose(a.auv_, b.auv_, rtol=rtol)
    sampled = BSA(2, manifold=ref.NAMES[kind], strategy="pure")
    assert_array_equal(
        clone(sampled).fit(Y).reference_indices_,
        clone(sampled).fit(Z).reference_indices_,
    )


@pytest.mark.parametrize("kind", [1, -1])
def test_concentrated_data_agree_with_euclidean(kind):
    v = 1e-4 * np.random.default_rng(0).standard_normal((40, 4)) * [4, 3, 2, 1]
    Y = np.column_stack([np.sqrt(1 - kind * np.sum(v**2, axis=1)), v])
    for strategy in ("pure", "flag", "forward", "backward"):
        curved = BSA(2, manifold=ref.NAMES[kind], references="optimized",
                     strategy=strategy).fit(Y)  # fmt: skip
        values = np.linalg.eigvalsh(np.cov(v.T, bias=True))[::-1]
        tails = [values[i:].sum() for i in range(3)]
        assert_allclose(curved.unexplained_variance_, tails, rtol=1e-5)


def test_optimised_references_span_the_subspace():
    for kind in KINDS:
        Y = _points(kind, 40, 5, spread=0.5)
        bsa = BSA(3, manifold=ref.NAMES[kind], references="optimized").fit(Y)
        for level in range(4):
            want = ref.distances(kind, Y, bsa.references_[: level + 1])
            assert_allclose(bsa.residuals(Y, level), want, atol=1e-6)
        assert bsa.reference_indices_ is None


def test_more_features_than_samples_change_nothing():
    for kind in (1, -1):
        Y = _points(kind, 15, 4, spread=0.5)
        wide = np.hstack([Y, np.zeros((15, 60))])
        for options in (
            {"strategy": "pure"},
            {"references": "optimized", "strategy": "flag"},
        ):
            a = BSA(2, manifold=ref.NAMES[kind], **options).fit(Y)
            b = BSA(2, manifold=ref.NAMES[kind], **options).fit(wide)
            assert_allclose(a.unexplained_variance_, b.unexplained_variance_, rtol=1e-7)
            assert_allclose(b.project(wide)[:, :5], a.project(Y), atol=1e-4)


def test_stopping_early_is_said():
    from sklearn.exceptions import ConvergenceWarning

    Y = _points(-1, 40, 6)
    bsa = BSA(2, manifold="hyperbolic", references="optimized", strategy="flag",
              max_iter=2)  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="max_iter=2 .* above tol=1e-10"):
        bsa.fit(Y)
    assert not bsa.converged_


# -- score -----------------------------------------------------------------------------


def test_score_is_the_density_of_probabilistic_components_in_flat_space():
    from scipy.stats import multivariate_normal

    X = np.random.default_rng(0).standard_normal((60, 5)) * [3, 2, 1, 0.5, 0.5]
    bsa = BSA(2, references="optimized").fit(X)
    pca = PCA(2).fit(X)
    values = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    V = pca.components_
    S = values[2:].mean() * (np.eye(5) - V.T @ V) + (V.T * values[:2]) @ V
    want = multivariate_normal(X.mean(axis=0), S).logpdf(X).mean()
    assert_allclose(bsa.score(X), want, rtol=1e-9)


def test_score_of_the_full_space_has_no_residual():
    Y = _points(1, 30, 2, spread=0.3)
    bsa = BSA(2, manifold="sphere", references="optimized").fit(Y)
    assert_allclose(bsa.residuals(Y), 0, atol=1e-7)
    assert np.isfinite(bsa.score(Y))


# -- input -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "X", "message"),
    [
        ({"manifold": "sphere"}, [[1.0, 0], [0.6, 0.9], [0, 1]],
         "Row 1 of X is not on the manifold: its norm is 1.0816.*normalize=True"),
        ({"manifold": "sphere", "normalize": True}, [[1.0, 0], [0, 0], [0, 1]],
         "Row 1 .* norm is 0"),
        ({"manifold": "hyperbolic"}, [[1.0, 0], [2, 1], [1, 0]],
         "Row 1 .* Lorentz square is -3"),
        ({"manifold": "hyperbolic"}, [[1.0, 0], [-1, 0], [1, 0]], "Row 1 .* x0 > 0"),
        ({"manifold": "spd_affine_invariant"}, [[1.0, 0, 0, 1], [1, 0, 1, 1]] * 2,
         "Row 1 .* asymmetry is 1"),
        ({"manifold": "spd_log_euclidean"}, [[1.0, 0, 0, 1], [1, 2, 2, 1]] * 2,
         "Row 1 .* smallest eigenvalue is -1"),
        ({"manifold": "spd_log_euclidean"}, np.ones((4, 5)), "5 numbers a row"),
        ({"manifold": "spectra"}, [[1.0, 2, 3], [1, 3, 2], [0, 0, 0]],
         "Row 1 .* largest descent is 1"),
        ({"manifold": "spectra"}, np.ones((3, 2, 4)), "symmetric matrices"),
        ({"manifold": "kendall_planar_triangles"}, np.ones((4, 6)),
         "Row 0 .* size is 0"),
        ({"manifold": "kendall_planar_triangles"}, np.ones((4, 3)), "3 numbers"),
        ({"manifold": "torus"}, np.eye(4), "manifold='torus' must be one of"),
        ({"n_components": 4}, np.eye(4), "n_components=4 must be at most n_samples"),
        ({"n_components": 5}, np.ones((9, 3)),
         "n_components=5 must be at most the dimension .*dimension=3"),
        ({"references": "optimized", "strategy": "exchange"}, np.eye(4),
         "needs references='samples'"),
        ({"cost": "extrinsic"}, np.eye(4), "needs references='optimized'"),
        ({"cost": "extrinsic", "references": "optimized", "p": 1.0}, np.eye(4),
         "needs p=2, got p=1.0"),
        ({"references": "optimized", "manifold": "spectra"}, np.eye(4),
         "constant curvature"),
        ({"weights": "convex", "manifold": "sphere"}, np.eye(4), "needs a flat space"),
        ({"init_references": [0, 1], "strategy": "pure"}, np.eye(4), "init_references"),
        ({"init_references": [0, 9]}, np.eye(4), "must be different row numbers"),
        ({"init_references": [0, 0]}, np.eye(4), "must be different row numbers"),
        ({"init_references": [0, 1, 2, 3]}, np.eye(4), "needs 1 to n_components"),
        ({"init_references": [0.5]}, np.eye(4), "list of row numbers"),
        ({"n_candidates": 2}, np.eye(4), "n_candidates=2 must be at least"),
        ({"strategy": "pure", "max_evals": 10}, np.eye(4),
         r"C\(4, 3\) subsets.*max_evals=10.*'exchange' or 'forward'"),
        ({"strategy": "flag", "max_evals": 10}, np.eye(4), "'exchange' or 'forward'"),
        ({"p": 0.0}, np.eye(4), "'p' parameter"),
        ({"manifold": "euclidean"}, 1e120 * np.eye(4), "row 0, column 0; absolute"),
    ],
)  # fmt: skip
def test_bad_input_is_named(options, X, message):
    with pytest.raises(ValueError, match=message):
        BSA(**options).fit(np.asarray(X))


def test_bad_calls_are_named():
    Y = _points(1, 10, 3)
    bsa = BSA(2, manifold="sphere").fit(Y)
    with pytest.raises(ValueError, match="level=3 must be an integer from 0 to"):
        bsa.residuals(Y, level=3)
    with pytest.raises(ValueError, match="X has 3 coordinates"):
        bsa.inverse_transform(np.ones((2, 3)))
    with pytest.raises(ValueError, match="weights has 2 columns, but 3"):
        bsa.barycenter([1.0, 2.0])
    with pytest.raises(ValueError, match="Row 0 of weights sums to 0"):
        bsa.barycenter([1.0, -1.0, 0.0])
    with pytest.raises(ValueError, match="sample_weight has 1 positive"):
        bsa.fit(Y, sample_weight=np.eye(10)[0])
    with pytest.raises(TypeError, match="has no exp, dist"):
        BSA(manifold=type("Half", (), {"log": None, "dim": 2})()).fit(Y)


def test_normalize_mends_rows():
    Y = _points(1, 20, 3)
    want = BSA(2, manifold="sphere").fit(Y).transform(Y)
    got = BSA(2, manifold="sphere", normalize=True).fit(3 * Y)
    assert_allclose(got.transform(0.5 * Y), want, atol=1e-12)
    H = _points(-1, 20, 3)
    off = H * [1.5, 1, 1, 1]
    mended = BSA(1, manifold="hyperbolic", normalize=True).fit(off)
    assert_array_equal(
        mended.reference_indices_,
        BSA(1, manifold="hyperbolic").fit(H).reference_indices_,
    )


def test_every_built_in_manifold_is_documented():
    for name in BUILT_IN:
        assert f'"{name}"' in BSA.__doc__


def test_number_of_subsets_looked_at():
    Y = _points(0, 12, 4)
    bsa = BSA(2, strategy="pure").fit(Y)
    assert bsa.n_evaluations_ >= comb(12, 3)


def _extremes(kind):
    rng = np.random.default_rng(0)
    yield "tiny", ref.random_points(kind, 12, 4, rng, 1e-9)
    yield "wide", ref.random_points(kind, 12, 4, rng, 1e3)
    yield "constant", np.repeat(ref.random_points(kind, 1, 4, rng), 8, axis=0)
    yield "two rows", ref.random_points(kind, 2, 4, rng)
    yield "one dimension", ref.random_points(kind, 9, 1, rng)
    yield "doubled", np.repeat(ref.random_points(kind, 5, 4, rng), 2, axis=0)
    if kind == 0:
        yield "far", 1e8 + rng.standard_normal((15, 4))
        yield "large", 1e60 * rng.standard_normal((15, 4))
        yield "zero", np.zeros((6, 3))
    if kind == 1:
        Y = rng.standard_normal((10, 4))
        Y /= np.linalg.norm(Y, axis=1, keepdims=True)
        yield "antipodes", np.vstack([Y, -Y])
        angle = np.arange(12) * np.pi / 6
        yield "circle", np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])


@pytest.mark.filterwarnings("ignore:.*span a subspace")
@pytest.mark.filterwarnings("ignore:.*stopped after")
@pytest.mark.parametrize("references", ["samples", "optimized"])
@pytest.mark.parametrize("kind", KINDS)
def test_extreme_inputs_stay_finite(kind, references):
    for name, X in _extremes(kind):
        top = min(X.shape[1] - abs(kind), len(X) - 1)
        for strategy in ("forward", "backward", "flag", "pure"):
            for p in (2.0, 0.5):
                bsa = BSA(min(2, top), manifold=ref.NAMES[kind], p=p, max_iter=30,
                          references=references, strategy=strategy).fit(X)  # fmt: skip
                for found in (
                    bsa.transform(X),
                    bsa.project(X),
                    bsa.residuals(X),
                    bsa.unexplained_variance_,
                    bsa.explained_variance_ratio_,
                    bsa.score(X),
                ):
                    assert np.isfinite(found).all(), (name, strategy, p)


def test_constant_rows_span_nothing_and_say_so():
    for kind in KINDS:
        X = np.repeat(_points(kind, 1, 3), 6, axis=0)
        for references in ("samples", "optimized"):
            bsa = BSA(2, manifold=ref.NAMES[kind], references=references)
            with pytest.warns(UserWarning, match="dimension 0 only"):
                bsa.fit(X)
            assert bsa.transform(X).shape == (6, 0)
            assert_allclose(bsa.residuals(X), 0, atol=1e-7)
