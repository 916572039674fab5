"""Retrieval of mates by cosine."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skstruct.metrics import _retrieval, mate_retrieval_score


def by_hand(A, B):
    """Top-1 share and mean reciprocal rank with loops; no ties."""
    first, reciprocal = 0, 0.0
    for i, a in enumerate(A):
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in B]
        rank = 1 + sum(c > cosines[i] for c in cosines)
        first += rank == 1
        reciprocal += 1 / rank
    return first / len(A), reciprocal / len(A)


@pytest.mark.parametrize("block", [1, 100, 2**22])
def test_equals_loops(block, monkeypatch):
    monkeypatch.setattr(_retrieval, "_BLOCK_ENTRIES", block)
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 5))
    B = A + 0.7 * rng.standard_normal(A.shape)
    scores = mate_retrieval_score(A, B)
    assert_allclose((scores.a_to_b, scores.mrr_a_to_b), by_hand(A, B))
    assert_allclose((scores.b_to_a, scores.mrr_b_to_a), by_hand(B, A))
    assert 0.2 < scores.a_to_b < 0.95


def test_scale_rotation_and_order_do_not_matter():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((30, 4))
    B = A + 0.5 * rng.standard_normal(A.shape)
    want = mate_retrieval_score(A, B)
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    order = rng.permutation(30)
    lengths = rng.uniform(1e-200, 1e200, (30, 1))
    got = mate_retrieval_score((lengths * A @ Q)[order], (B @ Q)[order])
    for name in want:
        assert got[name] == pytest.approx(want[name])
    swapped = mate_retrieval_score(B, A)
    assert swapped.a_to_b == want.b_to_a and swapped.mrr_b_to_a == want.mrr_a_to_b


def test_ties_count_by_their_average():
    same = mate_retrieval_score(np.ones((4, 2)), np.ones((4, 2)))
    assert same.a_to_b == pytest.approx(1 / 4)
    assert same.mrr_a_to_b == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4]))
    # Rows 0 and 1 are twins: each is first in half of the orders.
    A = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    twins = mate_retrieval_score(A, A)
    assert twins.a_to_b == pytest.approx(2 / 3)
    assert twins.mrr_a_to_b == pytest.approx((0.75 + 0.75 + 1) / 3)


def test_rows_of_zeros_find_nothing_by_chance():
    zero = mate_retrieval_score(
        np.zeros((5, 3)), np.random.default_rng(0).random((5, 3))
    )
    assert zero.a_to_b == pytest.approx(1 / 5) and zero.b_to_a == pytest.approx(1 / 5)
    one = mate_retrieval_score([[2.0]], [[3]])
    assert one.a_to_b == one.mrr_b_to_a == 1.0


@pytest.mark.parametrize(
    ("A", "B", "message"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), r"same shape, got \(3, 2\) and \(4, 2\)"),
        (np.ones((3, 2)), np.ones((3, 1)), "same shape"),
        (np.ones((3, 2)), np.full((3, 2), np.nan), "B contains NaN"),
        (np.full((3, 2), np.inf), np.ones((3, 2)), "A contains infinity"),
        (np.ones((0, 2)), np.ones((0, 2)), "0 sample"),
        (np.ones(3), np.ones(3), "Expected 2D array"),
    ],
)
def test_bad_input(A, B, message):
    with pytest.raises(ValueError, match=message):
        mate_retrieval_score(A, B)
