"""MultiviewSparseCCA and the permutation test."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skstruct.cross_decomposition import (
    MultiviewSparseCCA,
    SparseCCA,
    permutation_test,
)
from skstruct.cross_decomposition import _multiview_sparse_solver as solver
from skstruct.cross_decomposition._sparse_views import row_factors, standard_view
from skstruct.datasets import load_nutrimouse
from tests.cross_decomposition.instances_sparse_cca import planted_views
from tests.reference.sparse_cca import multiview_pmd, standardize

SIZES = (40, 30, 25)


def test_equals_slow_reference():
    views = planted_views(0, sizes=SIZES)
    for ratio in (0.3, 0.7):
        cca = MultiviewSparseCCA(3, l1_ratio=ratio, tol=1e-15, max_iter=5000)
        cca.fit(views)
        bounds = [max(1.0, ratio * np.sqrt(p)) for p in SIZES]
        expected = multiview_pmd([standardize(X) for X in views], bounds, 3)
        for W, E in zip(cca.weights_, expected):
            signs = np.sign(np.sum(W * E, axis=0))
            np.testing.assert_allclose(W, E * signs, atol=1e-6)


def test_two_views_are_sparse_cca():
    mice = load_nutrimouse()
    two = SparseCCA(3, tol=1e-12).fit(mice.gene, mice.lipid)
    both = MultiviewSparseCCA(3, tol=1e-14).fit([mice.gene, mice.lipid])
    np.testing.assert_allclose(both.weights_[0], two.x_weights_, atol=1e-6)
    np.testing.assert_allclose(both.weights_[1], two.y_weights_, atol=1e-6)
    np.testing.assert_allclose(both.correlations_, two.correlations_, atol=1e-7)
    np.testing.assert_allclose(
        both.score([mice.gene, mice.lipid]), two.score(mice.gene, mice.lipid), atol=1e-6
    )


def test_lists_and_stacked_views_agree():
    views = planted_views(1, sizes=SIZES)
    stacked = np.hstack(views)
    a = MultiviewSparseCCA(2).fit(views)
    b = MultiviewSparseCCA(2, view_sizes=SIZES).fit(stacked)
    np.testing.assert_array_equal(a.transform(views), b.transform(stacked))
    np.testing.assert_array_equal(a.transform(stacked), b.transform(views))
    assert a.score(views) == b.score(stacked)
    Z = a.transform_views(views)
    np.testing.assert_allclose(np.mean(Z, axis=0), a.transform(views))
    pairs = [
        np.corrcoef(Z[i][:, 1], Z[j][:, 1])[0, 1] for i, j in [(0, 1), (0, 2), (1, 2)]
    ]
    np.testing.assert_allclose(a.correlations_[1], np.mean(pairs))


def test_criterion_never_decreases_and_bounds_hold():
    for seed in range(5):
        views = planted_views(seed, sizes=SIZES, loading=0.6)
        cca = MultiviewSparseCCA(3, l1_ratio=[0.2, 0.5, 1.0]).fit(views)
        for curve in cca.objective_curves_:
            assert np.all(np.diff(curve) >= -1e-10 * curve[-1])
        for W, ratio in zip(cca.weights_, (0.2, 0.5, 1.0)):
            np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1.0)
            bound = max(1.0, ratio * np.sqrt(len(W)))
            assert np.all(np.abs(W).sum(axis=0) <= bound * (1 + 1e-9))


def test_joint_start_beats_the_start_of_each_view_alone():
    """Each view has a stronger direction of its own, which the views do not share."""
    better, sizes = 0, (40, 50, 60)
    bounds = [0.3 * np.sqrt(p) for p in sizes]
    for seed in range(10):
        rng = np.random.default_rng(1000 + seed)
        views = planted_views(seed, n=60, sizes=sizes, rank=1, block=5, loading=1.0)
        for view in views:
            view[:, 10:20] += 1.2 * rng.standard_normal((60, 1))
        standard = [standard_view(X, scale=True, ddof=1) for X in views]
        alone = [PCA(1).fit(v.dense()).components_[0] for v in standard]
        first = standard[0].scores(alone[0])
        signs = [np.sign(first @ v.scores(w)) for v, w in zip(standard, alone)]
        found = [
            solver.multiview_component(
                standard, start, bounds=bounds, positive=[False] * 3,
                max_iter=500, tol=1e-8,
                earlier=([np.zeros((p, 0)) for p in sizes], np.zeros((3, 3, 0))),
            ).strength
            for start in (
                solver.joint_starts(standard, 1)[0],
                [w * s for w, s in zip(alone, signs)],
            )
        ]  # fmt: skip
        assert found[0] >= found[1] * (1 - 1e-6)
        better += found[0] > 1.05 * found[1]
    assert better >= 2


def test_start_however_computed(monkeypatch):
    views = planted_views(2, n=30, sizes=(150, 120, 100))
    standard = [standard_view(X, scale=True, ddof=1) for X in views]
    rng = np.random.default_rng(0)
    for earlier in (None, [rng.standard_normal((30, 2)) for _ in views]):
        expected = solver.joint_starts(
            standard, 2, factors=row_factors(standard), earlier=earlier
        )
        with monkeypatch.context() as m:
            m.setattr(solver, "DENSE", 10)
            others = [
                solver.joint_starts(standard, 2, earlier=earlier),
                solver.joint_starts(
                    standard, 2, factors=row_factors(standard), earlier=earlier
                ),
            ]
        for found in others:
            for a, b in zip(found, expected):
                sign = np.sign(a[0] @ b[0])
                for u, v in zip(a, b):
                    np.testing.assert_allclose(u, sign * v, atol=1e-5)


def test_positive_starts_and_constant_columns():
    views = planted_views(3, sizes=SIZES)
    views[1][:, 4] = 7.0
    cca = MultiviewSparseCCA(2, positive=True, n_init=3, random_state=0).fit(views)
    assert all(np.all(W >= 0) for W in cca.weights_)
    assert not cca.weights_[1][4].any()
    one = MultiviewSparseCCA(2, positive=True).fit(views)
    assert cca.d_[0] >= one.d_[0] * (1 - 1e-6)


def test_score_is_negative_on_noise_at_every_rank():
    for seed in range(4):
        X = np.random.default_rng(seed).standard_normal((80, 100))
        search = GridSearchCV(
            MultiviewSparseCCA(view_sizes=[40, 30, 30]),
            {"n_components": [1, 2, 3, 4]},
            cv=4,
        )
        assert np.all(search.fit(X).cv_results_["mean_test_score"] < 0)


def test_pipeline():
    views = planted_views(4, sizes=SIZES)
    pipeline = make_pipeline(MultiviewSparseCCA(2, view_sizes=SIZES), Ridge())
    X = np.hstack(views)
    assert pipeline.fit(X, X[:, :16]).score(X, X[:, :16]) > 0.4


def test_multiview_errors():
    views = planted_views(5, sizes=SIZES)
    X = np.hstack(views)
    with pytest.raises(ValueError, match=r"n_components=26 must be at most .*=25"):
        MultiviewSparseCCA(26).fit(views)
    with pytest.raises(ValueError, match="sum to 90, but X has n_features=95"):
        MultiviewSparseCCA(view_sizes=[40, 30, 20]).fit(X)
    with pytest.raises(ValueError, match="at least 2 views, got 1"):
        MultiviewSparseCCA().fit(views[:1])
    with pytest.raises(ValueError, match="l1_ratio=.* one for each of 3 views"):
        MultiviewSparseCCA(l1_ratio=[0.3, 0.3]).fit(views)
    with pytest.raises(ValueError, match=r"l1_ratio=.* must lie in \(0, 1\]"):
        MultiviewSparseCCA(l1_ratio=[0.3, 0.3, 2]).fit(views)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MultiviewSparseCCA().fit([views[0], views[1][:-1]])
    with pytest.raises(ValueError, match=r"Input X\[1\] contains NaN"):
        MultiviewSparseCCA().fit([views[0], np.where(views[1] > 1, np.nan, views[1])])
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        MultiviewSparseCCA().fit([X[:1], X[:1]])
    with pytest.warns(ConvergenceWarning, match="component 0 stopped at max_iter=1"):
        MultiviewSparseCCA(max_iter=1, tol=1e-12).fit(views)
    constant = [np.ones((10, 3)), np.ones((10, 4))]
    with pytest.warns(UserWarning, match=r"component\(s\) \[0\] are zero"):
        cca = MultiviewSparseCCA().fit(constant)
    assert cca.correlations_[0] == 0 and cca.score(constant) == 0


def _noise(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((30, 40)), rng.standard_normal((30, 20))


def test_permutation_test_finds_the_relation():
    X, Y = planted_views(0, n=60, rank=1)
    grid = [{"l1_ratio": r} for r in (0.05, 0.3, 1.0)]
    test = permutation_test(SparseCCA(3), X, Y, grid, random_state=0)
    assert test.best_index == np.argmax(test.z_scores)
    assert test.best_params == grid[test.best_index]
    assert test.permuted_correlations.shape == (3, 25)
    np.testing.assert_array_equal(test.p_values, 0.0)
    np.testing.assert_allclose(test.p_values_corrected, 1 / 26)
    for params, found in zip(grid, test.correlations):
        fitted = SparseCCA(**params).fit(X, Y)
        np.testing.assert_allclose(fitted.correlations_[0], found, atol=1e-9)
    c, b = test.correlations, test.permuted_correlations
    F = lambda r: np.log((1 + r) / (1 - r))  # noqa: E731
    z = (F(c) - F(b).mean(axis=1)) / (F(b).std(axis=1, ddof=1) + 0.05)
    np.testing.assert_allclose(test.z_scores, z)


def test_p_values_are_uniform_without_a_relation():
    p = [
        permutation_test(
            SparseCCA(l1_ratio=0.4), *_noise(seed), [{}],
            n_permutations=19, random_state=seed,
        ).p_values_corrected[0]
        for seed in range(60)
    ]  # fmt: skip
    # Uniform on 1/20 .. 1: a mean of 0.525 with a standard error of 0.037.
    assert 0.41 < np.mean(p) < 0.64 and np.mean(np.array(p) <= 0.1) < 0.25


@pytest.mark.parametrize("options", [{}, {"method": "ipls", "alpha": 0.3}])
def test_fast_permutations_equal_refits(options, monkeypatch):
    from skstruct.cross_decomposition import _permutation

    X, Y = _noise(1)
    cca = SparseCCA(**options)
    grid = [{"scale": True}, {"scale": False}]
    fast = permutation_test(cca, X, Y, grid, n_permutations=6, random_state=3)
    monkeypatch.setattr(
        _permutation,
        "_sparse_cca_runner",
        lambda candidates, *views: _permutation._runner(
            candidates, views, stacked=False
        ),
    )
    slow = permutation_test(cca, X, Y, grid, n_permutations=6, random_state=3)
    np.testing.assert_allclose(
        fast.permuted_correlations, slow.permuted_correlations, atol=1e-6
    )


def test_permutations_do_not_depend_on_n_jobs_and_serve_other_classes():
    X, Y = _noise(2)
    for estimator, args in (
        (SparseCCA(), (X, Y)),
        (MultiviewSparseCCA(view_sizes=[20, 20]), (X, None)),
    ):
        grid = [{"l1_ratio": 0.3}, {"l1_ratio": 0.6}]
        one, two = (
            permutation_test(
                estimator, *args, grid, n_permutations=4, random_state=0, n_jobs=n_jobs
            )
            for n_jobs in (1, 2)
        )
        for name in ("correlations", "permuted_correlations", "z_scores"):
            np.testing.assert_array_equal(one[name], two[name])
    a = permutation_test(
        MultiviewSparseCCA(), [X, Y], None, [{}], n_permutations=3, random_state=0
    )
    b = permutation_test(SparseCCA(), X, Y, [{}], n_permutations=3, random_state=0)
    np.testing.assert_allclose(
        a.permuted_correlations, b.permuted_correlations, atol=1e-5
    )


def test_perfect_correlations_give_finite_z_scores():
    z = np.arange(12.0)[:, None]
    test = permutation_test(SparseCCA(), z, 2 * z, [{}], random_state=0)
    assert test.correlations[0] == pytest.approx(1.0)
    assert np.isfinite(test.z_scores).all()
    one = permutation_test(SparseCCA(), z, 2 * z, [{}], n_permutations=1)
    assert np.isfinite(one.z_scores).all()


def test_permutation_test_errors():
    X, Y = _noise(3)
    with pytest.raises(ValueError, match=r"grid=\[\] must be a list"):
        permutation_test(SparseCCA(), X, Y, [])
    with pytest.raises(ValueError, match="grid=.* must be a list"):
        permutation_test(SparseCCA(), X, Y, {"l1_ratio": [0.3]})
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        permutation_test(SparseCCA(), X, Y[:-1], [{}])
    with pytest.raises(ValueError, match="'l1_ratio' parameter"):
        permutation_test(SparseCCA(), X, Y, [{"l1_ratio": 2.0}])
    with pytest.raises(ValueError, match="must be None for MultiviewSparseCCA"):
        permutation_test(MultiviewSparseCCA(), X, Y, [{}])
    with pytest.raises(ValueError, match="needs y, the second view"):
        permutation_test(SparseCCA(), X, None, [{}])
    with pytest.raises(ValueError, match="'n_permutations' parameter"):
        permutation_test(SparseCCA(), X, Y, [{}], n_permutations=0)
