"""Theory of the nested model against listed values, a slow twin and simulation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skstruct.datasets import make_nested_tensor
from skstruct.random_matrix import bbp_alignment
from skstruct.tensor import (
    NestedTensorPCA,
    nested_rank_one_theory,
    unfolding_theory,
    weighted_mean_theory,
)
from skstruct.tensor._nested_theory import rank_one_alignment_map, two_class_accuracy
from tests.reference import nested as ref

PAPER = (150, 300, 60)


@pytest.mark.parametrize(
    ("beta_T", "beta_M", "value", "alignments"),
    [
        (2, 3, 6.416, (0.962, 0.971, 0.997)),
        (1, 3, 3.332, (0.943, 0.955, 0.988)),
        (2, 1.5, 3.826, (0.845, 0.870, 0.991)),
    ],
)
def test_rank_one_theory_equals_listed_values(beta_T, beta_M, value, alignments):
    found, q = nested_rank_one_theory((120, 90, 60), beta_T, beta_M)
    assert_allclose(found, value, atol=5.1e-4)
    assert_allclose(q, alignments, atol=5.1e-4)


@pytest.mark.parametrize("beta", [1.16, 1.2, 1.5, 2.0, 3.0, 10.0])
def test_large_beta_M_is_the_plain_spiked_tensor(beta):
    # beta_T -> 0 at fixed beta_T beta_M leaves no noise but that of the views. The
    # closed forms of the cubic tensor: Seddik, Guillaud, Couillet (2021).
    root = np.sqrt(3 * (3 * beta**2 - 4) ** 3) / beta
    value = np.sqrt(beta**2 / 2 + 2 + root / 18)
    alignment = (
        np.sqrt(9 * beta**2 - 12 + root) + np.sqrt(9 * beta**2 + 36 + root)
    ) / (6 * np.sqrt(2) * beta)
    found, q = nested_rank_one_theory((70, 70, 70), 1e-5, beta * 1e5)
    assert_allclose(found, value, rtol=1e-6)
    assert_allclose(q, alignment, rtol=1e-6)


def test_no_solution_below_the_threshold():
    assert nested_rank_one_theory((70, 70, 70), 1e-4, 1.1e4) == (0.0, (0.0, 0.0, 0.0))
    assert nested_rank_one_theory(PAPER, 0.0, 3.0) == (0.0, (0.0, 0.0, 0.0))
    assert nested_rank_one_theory(PAPER, 3.0, 0.0) == (0.0, (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("shape", "beta_T", "beta_M"),
    [
        ((120, 90, 60), 2.0, 1.0),
        (PAPER, 3.0, 0.8),
        ((50, 300, 20), 0.4, 5.0),
        ((300, 50, 200), 1.0, 2.0),
        ((10, 20, 1000), 2.0, 2.0),
    ],
)
def test_curve_of_solutions_equals_fixed_point_and_root_search(shape, beta_T, beta_M):
    value, q = nested_rank_one_theory(shape, beta_T, beta_M)
    slow = ref.rank_one_theory(shape, beta_T, beta_M, 0.97 * value, 1.5 * value)
    assert_allclose(value, slow[0], rtol=1e-8)
    assert_allclose(q, slow[1], rtol=1e-6)


def test_two_limits_of_the_rank_one_theory():
    # Noise-free views: the spiked matrix.
    _, (x, y, z) = nested_rank_one_theory(PAPER, 1e3, 2.0)
    theta = 2.0 * np.sqrt(450 / 300)
    assert_allclose((x**2, y**2), bbp_alignment(theta, PAPER[:2]), atol=1e-4)
    assert z > 0.9999
    # Alignments never exceed what the true view weights give.
    for beta_T, beta_M in [(0.5, 2), (1, 1.5), (3, 1), (0.3, 6)]:
        y = nested_rank_one_theory(PAPER, beta_T, beta_M)[1][1]
        assert y**2 <= weighted_mean_theory(PAPER, beta_T, beta_M) + 1e-9


def test_map_of_alignments_equals_single_calls():
    beta_T, beta_M = np.array([0.5, 1.0, 3.0]), np.array([0.5, 1.5, 2.0, 4.0])
    found = rank_one_alignment_map(PAPER, beta_T, beta_M)
    want = [[nested_rank_one_theory(PAPER, t, m)[1][1] for m in beta_M] for t in beta_T]
    assert_allclose(found, want, atol=2e-4)


def test_published_accuracies():
    # (mu, h) -> accuracies of unfolding, tensor and weighted mean, as published.
    for mu, h, *want in [
        (1.5, 1.0, 0.500, 0.857, 0.862),
        (2.0, 0.5, 0.500, 0.716, 0.797),
        (2.0, 1.0, 0.811, 0.946, 0.947),
        (3.0, 0.5, 0.500, 0.933, 0.940),
        (1.5, 1.5, 0.866, 0.912, 0.913),
    ]:
        alignments = (
            np.sqrt(unfolding_theory(PAPER, h, mu)["alignment_squared"]),
            nested_rank_one_theory(PAPER, h, mu)[1][1],
            np.sqrt(weighted_mean_theory(PAPER, h, mu)),
        )
        assert_allclose(two_class_accuracy(alignments), want, atol=1.1e-3)


def test_weighted_mean_theory_is_its_formula():
    for shape in [PAPER, (300, 150, 60)]:
        n1, n2, n3 = shape
        c1, c2 = n1 / (n1 + n2), n2 / (n1 + n2)
        for beta_T, beta_M in [(0.3, 2.0), (1.0, 1.0), (2.0, 5.0)]:
            noise = beta_T**2 + (n1 + n2) / (n1 + n2 + n3)
            r = beta_M**2 * beta_T**2 / noise
            want = max(1 - (c2 / r) * (r + c1) / (r + c2), 0)
            assert_allclose(
                weighted_mean_theory(shape, beta_T, beta_M), want, atol=1e-12
            )
    assert weighted_mean_theory(PAPER, 0.0, 3.0) == 0
    assert weighted_mean_theory(PAPER, np.inf, 3.0) > weighted_mean_theory(PAPER, 5, 3)


@pytest.mark.parametrize("shape", [(600, 400, 200), (100, 900, 30)])
@pytest.mark.parametrize("beta_M", [1.0, 1.5, 3.0])
def test_unfolding_threshold_is_where_the_eigenvalue_leaves_the_bulk(shape, beta_M):
    threshold = unfolding_theory(shape, 1.0, beta_M)["threshold"]
    unit = np.sqrt(np.prod(shape)) / sum(shape)

    def at(factor):
        return unfolding_theory(shape, np.sqrt(factor * threshold * unit), beta_M)

    below, above = at(0.999), at(1.02)
    assert below["alignment_squared"] == 0
    assert below["spike"] == below["edge"]
    assert above["alignment_squared"] > 0
    assert_allclose(above["rho"], 1.02 * threshold)
    assert above["spike"] > above["edge"]
    # They meet to second order at the threshold.
    near = at(1.0001)
    assert_allclose(near["spike"], near["edge"], rtol=1e-7)
    small = 0.9 * (shape[0] * shape[1] / sum(shape[:2]) ** 2) ** 0.25
    assert np.isinf(unfolding_theory(shape, 1.0, small)["threshold"])


def test_unfolding_spectrum_and_alignment_in_simulation():
    shape = (300, 200, 100)
    for rho, beta_M in [(0.1, 1.5), (2.0, 1.5), (4.0, 3.0)]:
        beta_T = np.sqrt(rho * np.sqrt(np.prod(shape)) / sum(shape))
        theory = unfolding_theory(shape, beta_T, beta_M)
        X, y, _, _ = ref.paper_design(0, shape, beta_M, beta_T)
        T2 = X.reshape(200, -1)
        values, vectors = np.linalg.eigh(T2 @ T2.T)
        assert_allclose(values[-1], theory["spike"], rtol=0.05)
        if theory["alignment_squared"] > 0:
            assert_allclose(values[-2], theory["edge"], rtol=0.05)
            cosine = abs(vectors[:, -1] @ y) / np.sqrt(200)
            assert_allclose(cosine, np.sqrt(theory["alignment_squared"]), atol=0.03)


def test_broadcasting_equals_single_calls():
    beta_T, beta_M = np.array([[0.5], [2.0]]), np.array([0.4, 1.0, 3.0])
    found = unfolding_theory(PAPER, beta_T, beta_M)
    for i in range(2):
        for j in range(3):
            one = unfolding_theory(PAPER, beta_T[i, 0], beta_M[j])
            assert all(isinstance(v, float) for v in one.values())
            for key, value in one.items():
                assert_allclose(found[key][i, j], value)
    grid = weighted_mean_theory(PAPER, beta_T, beta_M)
    assert grid.shape == (2, 3)
    assert_allclose(grid[1, 2], weighted_mean_theory(PAPER, 2.0, 3.0))


@pytest.mark.parametrize(("beta_T", "beta_M"), [(1.0, 2.0), (2.0, 1.5), (1.0, 3.0)])
def test_rank_one_alignments_within_two_hundredths_of_simulation(beta_T, beta_M):
    # n_T = 510; the mean of six draws has a standard error of about .008.
    want = nested_rank_one_theory(PAPER, beta_T, beta_M)[1]
    found = []
    for seed in range(6):
        X, y, z, x = ref.paper_design(seed, PAPER, beta_M, beta_T)
        pca = NestedTensorPCA(1, method="tensor", view_noise="homoscedastic").fit(X)
        v = pca.embedding_[:, 0] / np.linalg.norm(pca.embedding_)
        found.append(
            [
                abs(pca.components_[0] @ x),
                abs(v @ y) / np.sqrt(300),
                abs(pca.view_weights_ @ z),
            ]
        )
    assert_allclose(np.mean(found, axis=0), want, atol=0.02)


@pytest.mark.parametrize(
    "theory", [nested_rank_one_theory, unfolding_theory, weighted_mean_theory]
)
def test_bad_arguments_are_named(theory):
    with pytest.raises(ValueError, match=r"shape=\(3, 4\) must be three positive"):
        theory((3, 4), 1.0, 1.0)
    with pytest.raises(ValueError, match="shape=5 must be three positive"):
        theory(5, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"shape=\(3, 4, 0\)"):
        theory((3, 4, 0), 1.0, 1.0)
    with pytest.raises(ValueError, match="beta_M=-1.0 must be nonnegative"):
        theory(PAPER, 1.0, -1.0)
    with pytest.raises(ValueError, match="beta_T=nan must be nonnegative"):
        theory(PAPER, np.nan, 1.0)


def test_simulator_has_the_planted_ratios():
    data = make_nested_tensor(
        200, 100, 20, beta_T=1.5, beta_M=[4.0, 3.0], n_clusters=3,
        view_noise=np.r_[5.0, np.ones(19)], random_state=0,
    )  # fmt: skip
    s = np.linalg.svd(data.signal, compute_uv=False)
    assert_allclose(s[:2], [4, 3], rtol=0.15)  # clusters are not exactly equal
    assert s[2] < 1e-12
    assert_allclose(np.linalg.norm(data.view_weights), 1)
    unit = 1 / np.sqrt(320)
    deviations = data.X.std(axis=(0, 1))
    assert deviations[0] > 4 * unit
    again = make_nested_tensor(20, 10, 4, random_state=3)
    np.testing.assert_array_equal(
        again.X, make_nested_tensor(20, 10, 4, random_state=3).X
    )
    none = make_nested_tensor(20, 10, 4, n_clusters=1, random_state=0)
    assert not none.signal.any()
    assert none.rank == 0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"beta_M": [1.0, 2.0]}, "n_clusters - 1=1 entries"),
        ({"n_clusters": 8, "n_features": 3}, "n_clusters=8 must be at most"),
        ({"view_noise": [1.0]}, "view_noise must be a number or have n_views=60"),
        ({"view_weights": np.zeros(60)}, "not all zero"),
        ({"view_weights": np.ones(3)}, "view_weights must have n_views=60"),
        ({"beta_T": -1.0}, "'beta_T' parameter"),
    ],
)
def test_simulator_names_bad_arguments(params, message):
    with pytest.raises(ValueError, match=message):
        make_nested_tensor(**params)
