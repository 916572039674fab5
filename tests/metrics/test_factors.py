"""Metrics that belong to no single family."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skstruct.metrics import (
    factor_match_score,
    lipschitz_ratios,
    structural_hamming_distance,
)


def test_factor_match_is_one_up_to_order_sign_and_scale():
    rng = np.random.default_rng(0)
    A = [rng.standard_normal((n, 4)) for n in (6, 7, 8)]
    order = [2, 0, 3, 1]
    B = [F[:, order] * rng.choice([-3, 0.2], 4) for F in A]
    score, found = factor_match_score(A, B, return_permutation=True)
    assert_allclose(score, 1.0)
    assert list(np.array(order)[found]) == [0, 1, 2, 3]


def test_factor_match_penalties():
    A = np.eye(4)[:, :3]
    assert factor_match_score(A, A[:, :2]) == pytest.approx(2 / 3)
    assert factor_match_score(A, np.eye(4)[:, [0, 1, 3]]) == pytest.approx(2 / 3)
    assert factor_match_score(A, A * [1, 1, 0]) == pytest.approx(2 / 3)
    # weights 1 and 2 agree to one half
    half = factor_match_score(A, A, weights_A=np.ones(3), weights_B=2 * np.ones(3))
    assert half == pytest.approx(0.5)
    tiny = factor_match_score(1e-200 * A, 1e200 * A)
    assert tiny == pytest.approx(1.0)
    with pytest.raises(ValueError, match="Mode 0 has 4 rows in A and 3 in B"):
        factor_match_score(A, np.eye(3))
    with pytest.raises(ValueError, match="A has 2 modes, B has 1"):
        factor_match_score([A, A], [A])
    with pytest.raises(ValueError, match="Give both weights"):
        factor_match_score(A, A, weights_A=np.ones(3))


def test_structural_hamming_distance_counts_pairs():
    true = np.zeros((4, 4))
    true[1, 0] = true[2, 1] = 0.8
    found = true.copy()
    assert structural_hamming_distance(true, found) == 0
    found[1, 0], found[0, 1] = 0.0, 0.5  # reversed
    found[3, 2] = 0.05  # extra, weak
    assert structural_hamming_distance(true, found) == 2
    assert structural_hamming_distance(true, found, threshold=0.1) == 1
    assert structural_hamming_distance(true, found, count_reversed_twice=True) == 3
    found[2, 1] = found[1, 2] = np.nan  # undetermined differs from an arrow
    assert structural_hamming_distance(true, found) == 3
    assert structural_hamming_distance(found, found) == 0


def test_structural_hamming_distance_refuses_what_is_no_graph():
    with pytest.raises(ValueError, match="A must be square"):
        structural_hamming_distance(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="diagonal of A_true must be zero"):
        structural_hamming_distance(np.eye(2), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="NaN in one direction only"):
        structural_hamming_distance(np.zeros((2, 2)), [[0, np.nan], [0, 0]])
    with pytest.raises(ValueError, match="equal shapes"):
        structural_hamming_distance(np.zeros((2, 2)), np.zeros((3, 3)))


def test_lipschitz_ratios_of_all_pairs():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((20, 4))
    Z[7] = Z[3]
    F = rng.standard_normal((20, 2))
    ratios, skipped = lipschitz_ratios(F, Z, return_n_skipped=True)
    want = [
        np.linalg.norm(F[i] - F[j]) / np.abs(Z[i] - Z[j]).sum()
        for i in range(20)
        for j in range(i + 1, 20)
        if (i, j) != (3, 7)
    ]
    assert skipped == 1
    assert_allclose(np.sort(ratios), np.sort(want))
    drawn = lipschitz_ratios(F, Z, 500, random_state=0)
    assert np.isin(np.round(drawn, 10), np.round(want, 10)).all()
    one = lipschitz_ratios(Z @ np.ones(4), Z, p_out=1, p_in=1)
    assert one.max() <= 1 + 1e-12  # a linear functional with weights of size one


def test_projection_is_lipschitz_with_the_inverse_observed_fraction():
    """||row_a - row_b||_2 <= ||z_a - z_b||_1 / p for the thresholding map."""
    from skstruct.datasets import make_fairness_clusters
    from skstruct.impute import SVTImputer

    data = make_fairness_clusters(observed=0.3, cluster_size=20, random_state=0)
    imputer = SVTImputer(n_components=6, center=None, clip=False).fit(data.X)
    ratios = lipschitz_ratios(imputer.transform(data.X), np.nan_to_num(data.X))
    assert ratios.max() <= 1 / imputer.p_observed_
    with pytest.raises(ValueError, match="p_in == 0.5, must be >= 1"):
        lipschitz_ratios(data.labels, np.nan_to_num(data.X), p_in=0.5)
