"""Similarity of representations: facts, an independent twin, bad input."""

import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits

from skstruct.metrics import (
    cca_similarity,
    proportion_correlation_captured,
    pwcca,
    svcca,
    svcca_matrix,
)
from skstruct.metrics._representation_similarity import _principal_basis
from tests.reference import representation_similarity as reference


def layers(seed, n=400, d=(12, 17), shared=5):
    """Two representations with a common part and spectra that decay."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n, shared))
    return [
        signal @ rng.standard_normal((shared, p))
        + rng.standard_normal((n, p)) * np.linspace(1, 0.02, p)
        + rng.standard_normal(p)
        for p in d
    ]


def random_rotation(seed, d):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


@given(
    seed=st.integers(0, 1000),
    d1=st.integers(1, 12),
    d2=st.integers(1, 12),
    shared=st.integers(1, 4),
    threshold=st.floats(0.3, 0.999),
)
@settings(max_examples=25, deadline=None)
def test_equals_the_covariance_twin(seed, d1, d2, shared, threshold):
    A, B = layers(seed, 100, (d1, d2), shared)
    similarity, rho, n_kept = reference.svcca(A, B, threshold)
    found = svcca(A, B, threshold)
    assert found.n_kept == n_kept
    assert_allclose(found.correlations, rho, atol=1e-7)
    assert_allclose(found.similarity, similarity, atol=1e-7)
    assert_allclose(
        cca_similarity(A, B).correlations,
        reference.canonical_scores(A, B)[0],
        atol=1e-7,
    )
    assert_allclose(pwcca(A, B), reference.pwcca(A, B), atol=1e-7)


def test_correlations_are_cosines_of_the_angles_between_subspaces():
    A, B = layers(0)
    rho = cca_similarity(A, B).correlations
    angles = subspace_angles(A - A.mean(axis=0), B - B.mean(axis=0))
    assert_allclose(rho, np.cos(angles)[::-1], atol=1e-12)
    assert np.all(np.diff(rho) <= 0) and rho.size == 12


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.99, 1.0])
def test_equal_representations(threshold):
    A, _ = layers(1)
    for B in (A, A + 7.0, -3.0 * A, A @ random_rotation(0, 12), A[:, ::-1]):
        found = svcca(A, B, threshold)
        assert_allclose(found.correlations, 1.0, atol=1e-10)
        assert found.n_kept[0] == found.n_kept[1]
    assert_allclose(cca_similarity(A, A).similarity, 1.0, atol=1e-12)
    assert_allclose(pwcca(A, A), 1.0, atol=1e-12)


def test_invariance_to_rotation_scale_and_shift():
    A, B = layers(2)
    plain = svcca(A, B)
    for scale in (1e-160, 1e-3, 1e160):
        moved = svcca(scale * (A @ random_rotation(1, 12) + 3.0), B - 5.0)
        assert moved.n_kept == plain.n_kept
        assert_allclose(moved.correlations, plain.correlations, atol=1e-9)


def test_maps_inside_the_kept_subspace_change_nothing_and_others_do():
    A, B = layers(3)
    plain = svcca(A, B)
    k = plain.n_kept[0]
    U, s, Vt = np.linalg.svd(A - A.mean(axis=0), full_matrices=False)
    assert k < 12
    mix = np.random.default_rng(0).standard_normal((k, k))
    kept_only = U[:, :k] * s[:k] @ mix @ Vt[:k]
    B_kept = reference.reduced(B, 0.99)
    found = svcca(kept_only, B_kept, threshold=1.0)
    assert found.n_kept == plain.n_kept
    assert_allclose(found.correlations, plain.correlations, atol=1e-9)
    # A map of the neurons that blows up a small direction.
    stretched = A * np.geomspace(1, 100, 12)
    assert abs(svcca(stretched, B).similarity - svcca(A, B).similarity) > 0.01
    # Without the reduction no invertible map matters, extreme scales included.
    for extreme in (A * np.geomspace(1e-250, 1e250, 12), A * 1e300, A * 1e-290):
        assert_allclose(
            cca_similarity(extreme, B).correlations,
            cca_similarity(A, B).correlations,
            atol=1e-10,
        )
    assert_allclose(
        cca_similarity(stretched, B).correlations,
        cca_similarity(A, B).correlations,
        atol=1e-10,
    )


def test_symmetry():
    A, B = layers(4, d=(15, 15))
    assert_allclose(svcca(A, B).similarity, svcca(B, A).similarity, atol=1e-12)
    assert svcca(A, B).n_kept == svcca(B, A).n_kept[::-1]
    assert_allclose(cca_similarity(A, B).similarity, cca_similarity(B, A).similarity)
    # The layer whose neurons weigh is the first of two of one size...
    assert abs(pwcca(A, B) - pwcca(B, A)) > 1e-3
    # ... and the smaller one otherwise, where a dead neuron does not count.
    A, B = layers(4)
    assert_allclose(pwcca(A, B), pwcca(B, A), atol=1e-12)
    wide = np.hstack([A, np.ones((400, 9))])
    assert_allclose(pwcca(B, wide), pwcca(A, B), atol=1e-12)


def test_pwcca_depends_on_the_neurons_of_the_smaller_layer_only():
    A, B = layers(5)
    mixing = np.random.default_rng(0).standard_normal((17, 17))
    assert_allclose(pwcca(A, B @ mixing), pwcca(A, B), atol=1e-10)
    assert_allclose(pwcca(-0.1 * A + 4, B), pwcca(A, B), atol=1e-10)
    assert abs(pwcca(A @ random_rotation(0, 12), B) - pwcca(A, B)) > 1e-4
    # A large mean is not activity.
    assert_allclose(pwcca(A + 1e6, B), pwcca(A, B), atol=1e-8)


def test_value_of_pure_noise():
    rng = np.random.default_rng(0)
    found = [
        cca_similarity(rng.standard_normal((600, 22)), rng.standard_normal((600, 30)))
        for _ in range(20)
    ]
    squares = np.mean([f.correlations**2 for f in found])
    # The mean square is 30 / 599 in expectation; 440 values, deviation about 2 %.
    assert_allclose(squares, found[0].noise_level ** 2, rtol=0.06)
    assert_allclose(found[0].noise_level, np.sqrt(30 / 599))
    similarity = np.mean([f.similarity for f in found])
    assert_allclose(similarity, 0.20, atol=0.01)
    assert similarity < found[0].noise_level


@pytest.mark.parametrize("function", [partial(svcca, threshold=1.0), cca_similarity])
def test_warnings_of_few_samples(function):
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((61, 12)), rng.standard_normal((61, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(A, B)
    with pytest.warns(UserWarning, match="B has 12 directions on 60 .*more than 60 in"):
        assert function(B[:60], A[:60]).similarity < 1
    with pytest.warns(UserWarning, match="A has 12 directions on 13 .* 1 whatever"):
        found = function(A[:13], B[:13])
    assert_allclose(found.similarity, 1.0)
    assert found.noise_level == 1.0
    with pytest.warns(UserWarning, match="A has 9 directions on 10 inputs"):
        found = function(A[:10], B[:10])
    assert_allclose(found.similarity, 1.0)


def test_warnings_point_at_the_caller():
    A = np.random.default_rng(0).standard_normal((10, 12))
    for call in (
        lambda: svcca(A, A, 1.0),
        lambda: cca_similarity(A, A),
        lambda: pwcca(A, A),
        lambda: svcca_matrix([A], threshold=1.0),
    ):
        with pytest.warns(UserWarning, match="9 directions on 10") as caught:
            call()
        assert [w.filename for w in caught] == [__file__]


def test_dead_neurons():
    A, B = layers(6)
    for constant in (0.0, 0.1, -1e9):
        dead = np.hstack([np.full((400, 2), constant), A, np.full((400, 1), constant)])
        for function in (cca_similarity, svcca):
            assert_allclose(
                function(dead, B).correlations, function(A, B).correlations, atol=1e-10
            )
            assert function(dead, B).n_kept == function(A, B).n_kept
        assert_allclose(pwcca(dead, B), pwcca(A, B), atol=1e-10)
        # A network evaluated in single precision.
        single = dead.astype(np.float32)
        assert cca_similarity(single, B.astype(np.float32)).n_kept == (12, 17)
    # Repeated neurons add no direction.
    assert cca_similarity(np.hstack([A, A[:, :4]]), B).n_kept == (12, 17)
    for function in (svcca, cca_similarity):
        with pytest.warns(UserWarning, match="A is constant over the inputs"):
            found = function(np.full((400, 3), 0.1), B)
        assert found.similarity == found.noise_level == 0.0
        assert found.correlations.size == 0 and found.n_kept[0] == 0
    with pytest.warns(UserWarning, match="B is constant"):
        assert pwcca(A, np.ones((400, 2))) == 0.0
    with pytest.warns(UserWarning, match=r"list_A\[1\] is constant"):
        S = svcca_matrix([A, np.zeros((400, 5))], [B])
    assert S[1, 0] == 0 < S[0, 0]


def test_number_of_directions_kept():
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((200, 5)) - 0.0)[0]
    U = np.linalg.qr(U - U.mean(axis=0))[0]
    powers = np.array([0.5, 0.3, 0.15, 0.04, 0.01])
    A = (U * np.sqrt(powers)) @ random_rotation(0, 5)
    for threshold, k in [(0.4, 1), (0.6, 2), (0.9, 3), (0.96, 4), (0.995, 5), (1, 5)]:
        assert svcca(A, A, threshold).n_kept == (k, k)


@pytest.mark.parametrize("shape", [(300, 60), (60, 300)])
@pytest.mark.parametrize("threshold", [0.9, 0.99, 1 - 1e-7])
def test_bases_are_orthonormal_for_the_worst_spectrum(shape, threshold):
    # One direction with all but 1 - threshold of the variance, equal small ones.
    rng = np.random.default_rng(0)
    n, d = shape
    m = min(shape)
    left = rng.standard_normal((n, m))
    U = np.linalg.qr(left - left.mean(axis=0))[0]
    V = np.linalg.qr(rng.standard_normal((d, m)))[0]
    s = np.full(m, np.sqrt(1.05 / threshold * (1 - threshold) / (m - 1)))
    s[0] = 1.0
    A = (U * s) @ V.T
    Q = _principal_basis(A, threshold, "A").C
    assert 1 < Q.shape[1] < m
    assert_allclose(Q.T @ Q, np.eye(Q.shape[1]), atol=1e-10)
    assert_allclose(Q.sum(axis=0), 0, atol=1e-10)


def test_kinds_of_input_and_unchanged_arrays():
    A, B = layers(7)
    A, B = A.astype(np.float32), B.astype(np.float32)
    wide, before = np.repeat(A, 2, axis=1), A.copy()
    for function in (
        lambda X, Y: svcca(X, Y).similarity,
        lambda X, Y: cca_similarity(X, Y).similarity,
        pwcca,
    ):
        expected = function(A.astype(float), B.astype(float))
        for kind in (A, np.asfortranarray(A), wide[:, ::2], A.tolist()):
            assert_allclose(function(kind, B), expected, rtol=1e-6)
        locked = A.copy()
        locked.flags.writeable = False
        assert_allclose(function(locked, B), expected, rtol=1e-6)
        integers = np.rint(8 * A).astype(int)
        assert_allclose(function(integers, B), function(integers + 0.0, B))
    assert_array_equal(A, before)


def test_matrix_equals_pairs():
    A, B = layers(8)
    X = load_digits().data[:400]
    first, second = [A, X, np.tanh(A)], [B, X[:, ::-1] > 7]
    S = svcca_matrix(first, second)
    assert S.shape == (3, 2)
    expected = [[svcca(P, Q).similarity for Q in second] for P in first]
    assert_allclose(S, expected, atol=1e-12)
    own = svcca_matrix(first, threshold=0.9)
    assert_array_equal(own, own.T)
    assert_allclose(np.diag(own), 1.0, atol=1e-10)
    assert_allclose(own, svcca_matrix(first, first, threshold=0.9), atol=1e-12)
    assert_allclose(svcca_matrix(np.stack([A, A]), [A, A]), 1.0)


def test_n_jobs_does_not_change_a_bit():
    first, second = layers(9, d=(20, 30)), layers(10, d=(25, 15))
    one = svcca_matrix(first, second, n_jobs=1)
    assert_array_equal(one, svcca_matrix(first, second, n_jobs=2))
    assert_array_equal(svcca_matrix(first), svcca_matrix(first, n_jobs=2))


def test_one_warning_for_a_matrix():
    rng = np.random.default_rng(0)
    few = [rng.standard_normal((50, d)) for d in (5, 20, 60)]
    match = r"list_B\[2\] has 49 directions on 50 inputs: .* 1 whatever"
    with pytest.warns(UserWarning, match=match) as caught:
        svcca_matrix(few[:2], few, threshold=1.0)
    assert len(caught) == 1


def test_proportion_of_correlation_captured():
    A, B = layers(11)
    rho, scores_a = reference.canonical_scores(A, B)
    _, scores_b = reference.canonical_scores(B, A)
    Z1, Z2 = scores_a[:, :3], scores_b[:, :3]
    share = proportion_correlation_captured
    assert_allclose(share(Z1, Z2, rho), 1.0)
    # Order and number of further reference values do not matter.
    assert_allclose(share(Z1, Z2, rho[::-1]), 1.0)
    # Invariant to a linear map of either side and to a shift.
    mix = np.random.default_rng(0).standard_normal((3, 3))
    assert_allclose(share(Z1 @ mix + 5, Z2 * [1e-9, 1, 1e9], rho), 1.0)
    # Missing components count zero; wrong ones what they correlate.
    assert_allclose(share(Z1 * [1, 0, 1], Z2, rho), (rho[0] + rho[2]) / rho[:3].sum())
    assert_allclose(share(Z1[:, [0, 0, 1]], Z2, rho), rho[:2].sum() / rho[:3].sum())
    assert_allclose(share(scores_a[:, 1:4], scores_b[:, 1:4], rho),
                    rho[1:4].sum() / rho[:3].sum())  # fmt: skip
    assert share(0 * Z1, Z2, rho) == 0.0
    # Single components against the plain correlation.
    expected = abs(np.corrcoef(A[:, 0], B[:, 0])[0, 1]) / rho[0]
    assert_allclose(share(A[:, :1], B[:, :1], rho), expected)
    # Scores that are close to collinear.
    close = Z1 @ np.array([[1, 1, 1], [0, 1e-6, 0], [0, 0, 1e-6]])
    assert_allclose(share(close, Z2, rho), 1.0, atol=1e-8)


def test_messages_of_bad_input():
    A, B = np.eye(4), np.eye(5)
    for function in (svcca, cca_similarity, pwcca):
        with pytest.raises(ValueError, match="A has 4 rows, B has 5"):
            function(A, B)
        with pytest.raises(ValueError, match="Input B contains NaN"):
            function(A, np.full((4, 2), np.nan))
        with pytest.raises(ValueError, match="A contains infinity"):
            function(np.full((4, 2), np.inf), A)
        with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
            function(A[0], A)
        with pytest.raises(ValueError, match="dim 4"):
            function(np.zeros((4, 2, 2, 3)), A)
        with pytest.raises(ValueError, match="minimum of 2 is required"):
            function(A[:1], A[:1])
    for threshold in (0, -0.5, 1.001, np.nan):
        with pytest.raises(ValueError, match=r"threshold=.* must be in \(0, 1\]"):
            svcca(A, A, threshold)
        with pytest.raises(ValueError, match="threshold"):
            svcca_matrix([A], threshold=threshold)
    with pytest.raises(TypeError, match="threshold"):
        svcca(A, A, "0.99")
    with pytest.raises(ValueError, match="list_A is empty"):
        svcca_matrix([])
    with pytest.raises(ValueError, match="list_B is empty"):
        svcca_matrix([A], [])
    with pytest.raises(ValueError, match=r"list_B\[1\] has 5 rows, but list_A\[0\] h"):
        svcca_matrix([A], [A, B])
    with pytest.raises(ValueError, match=r"list_A\[1\] contains NaN"):
        svcca_matrix([A, A * np.nan])
    with pytest.raises(ValueError, match=r"list_A must be a list .* shape \(4, 4\)"):
        svcca_matrix(A)


def test_messages_of_bad_proportions():
    Z, rho = np.random.default_rng(0).standard_normal((9, 2)), [0.5, 0.4]
    share = proportion_correlation_captured
    with pytest.raises(ValueError, match=r"equal shapes, got \(9, 2\) and \(9, 1\)"):
        share(Z, Z[:, :1], rho)
    with pytest.raises(ValueError, match="at least n_components=2 correlations .*1,"):
        share(Z, Z, [0.5])
    with pytest.raises(ValueError, match=r"got shape \(2, 1\)"):
        share(Z, Z, [[0.5], [0.4]])
    with pytest.raises(ValueError, match=r"reference\[1\]=1.2 is not in \[0, 1\]"):
        share(Z, Z, [0.5, 1.2])
    with pytest.raises(ValueError, match="no positive correlation"):
        share(Z, Z, [0.0, 0.0])
    with pytest.raises(ValueError, match="Z2 contains NaN"):
        share(Z, Z * np.nan, rho)
    with pytest.raises(ValueError, match="reference contains NaN"):
        share(Z, Z, [0.5, np.nan])
