"""Distances of flags against dense projectors, angles and metric axioms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import subspace_angles

from skstruct._flags import polar, random_frame
from skstruct.subspace import _distances as module
from skstruct.subspace import flag_distance
from tests.reference import flags as ref

METRICS = sorted(module._METRICS)


@st.composite
def flag_pairs(draw):
    k = draw(st.integers(1, 4))
    dims = draw(st.lists(st.integers(1, 5), min_size=1, max_size=k, unique=True))
    flag_type = tuple(sorted(dims))
    p = draw(st.integers(flag_type[-1], 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    U = ref.random_flags(rng, 3, p, flag_type[-1])
    # From far apart to nearly equal.
    size = 10.0 ** draw(st.integers(-9, 1))
    W = np.linalg.qr(U[:2] + size * rng.standard_normal(U[:2].shape))[0]
    return U, W, flag_type


@pytest.mark.parametrize("metric", ["block", "nested"])
@pytest.mark.parametrize("size", [2e-3, 1e-3, 5e-4, 2e-4])
def test_near_flags_keep_their_digits(size, metric):
    """About where the distance stops being read off the products of the frames."""
    rng = np.random.default_rng(0)
    U = ref.random_flags(rng, 200, 3, 3)
    W = np.linalg.qr(U + size * rng.standard_normal(U.shape))[0]
    for F, G in zip(U, W):
        got = flag_distance(F[None], G[None], (2, 3), metric=metric)[0, 0]
        want = ref.distance(F, G, (2, 3), metric, False)
        assert_allclose(got, want, rtol=5e-10)


@given(flag_pairs(), st.sampled_from(["block", "nested"]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_chordal_distances_equal_dense_projectors(pair, metric, complement):
    U, W, flag_type = pair
    got = flag_distance(U, W, flag_type, metric=metric, complement=complement)
    want = [[ref.distance(F, G, flag_type, metric, complement) for G in W] for F in U]
    assert_allclose(got, want, rtol=1e-9, atol=1e-14)


@given(flag_pairs())
@settings(max_examples=40, deadline=None)
def test_the_other_distances_equal_their_definitions(pair):
    U, W, flag_type = pair
    a = np.mean(np.array(flag_type)[:, None] > np.arange(flag_type[-1]), axis=0)
    for i, F in enumerate(U):
        for j, G in enumerate(W):
            angles = subspace_angles(F, G)
            P = ref.averaged_projector(F, flag_type)
            Q = ref.averaged_projector(G, flag_type)
            blocks = zip(ref.blocks(F, flag_type), ref.blocks(G, flag_type))
            want = {
                "projection": np.linalg.norm(np.sin(angles)),
                "containment": np.linalg.norm(angles),
                "schubert": np.linalg.norm(angles),
                "multilevel": np.linalg.norm(P - Q),
                "arc": np.sqrt(sum(np.sum(subspace_angles(*b) ** 2) for b in blocks)),
            }
            for metric, value in want.items():
                got = flag_distance(U, W, flag_type, metric=metric)[i, j]
                assert_allclose(got, value, rtol=1e-7, atol=1e-14, err_msg=metric)
            # The nuclear norm cancels in the definition, not in ours.
            nuclear = np.linalg.norm((F * np.sqrt(a)).T @ (G * np.sqrt(a)), "nuc")
            got = flag_distance(F, G, flag_type, metric="bures-wasserstein")
            assert_allclose(got**2, 2 * (a.sum() - nuclear), rtol=1e-7, atol=1e-13)


def test_bures_wasserstein_equals_the_distance_of_covariances():
    rng = np.random.default_rng(0)
    U, W = random_frame(6, 3, rng), random_frame(6, 2, rng)
    a, b = np.array([3.0, 2.0, 0.5]), np.array([1.0, 0.25])
    A, B = (U * a) @ U.T, (W * b) @ W.T
    root = (U * np.sqrt(a)) @ U.T
    # A^(1/2) B A^(1/2) has the rank of B; the other eigenvalues are rounding.
    middle = np.linalg.eigvalsh(root @ B @ root)[-2:]
    want = np.trace(A) + np.trace(B) - 2 * np.sqrt(middle).sum()
    got = flag_distance(
        U, W, (1, 2, 3), metric="bures-wasserstein", flag_type_other=(1, 2),
        weights=a, weights_other=b,
    )  # fmt: skip
    assert_allclose(got**2, want, rtol=1e-7)


@pytest.mark.parametrize("metric", METRICS)
def test_invariance_zero_and_symmetry(metric):
    """Rotations inside blocks mean nothing; a flag has distance 0 to itself."""
    rng = np.random.default_rng(1)
    flag_type = (2, 5)
    U, W = random_frame(9, 5, rng, 4), random_frame(9, 5, rng, 4)
    turned = U.copy()
    for block in (slice(0, 2), slice(2, 5)):
        m = block.stop - block.start
        turned[:, :, block] = U[:, :, block] @ random_frame(m, m, rng)
    D = flag_distance(U, W, flag_type, metric=metric)
    assert D.shape == (4, 4)
    assert_allclose(flag_distance(turned, W, flag_type, metric=metric), D, atol=1e-12)
    assert_allclose(flag_distance(W, U, flag_type, metric=metric), D.T, atol=1e-12)
    own = np.diag(flag_distance(U, turned, flag_type, metric=metric))
    assert_allclose(own, 0.0, atol=5e-15)
    Q = random_frame(9, 9, rng)
    assert_allclose(
        flag_distance(Q @ U, Q @ W, flag_type, metric=metric), D, atol=1e-12
    )


@pytest.mark.parametrize("metric", sorted({*METRICS} - {"containment"}))
def test_triangle_inequality(metric):
    rng = np.random.default_rng(2)
    U = random_frame(5, 3, rng, 12)
    D = flag_distance(U, U, (1, 3), metric=metric)
    assert np.all(D[:, None, :] <= D[:, :, None] + D[None, :, :] + 1e-12)


def test_different_dimensions():
    rng = np.random.default_rng(3)
    U = random_frame(8, 5, rng)
    inside = U[:, :5] @ random_frame(5, 2, rng)
    options = {"flag_type": (5,), "flag_type_other": (2,)}
    assert flag_distance(U, inside, metric="containment", **options) < 1e-7
    schubert = flag_distance(U, inside, metric="schubert", **options)
    assert_allclose(schubert, np.sqrt(3) * np.pi / 2)
    projection = flag_distance(U, inside, metric="projection", **options)
    assert_allclose(projection, np.sqrt(3 / 2))
    dense = np.linalg.norm(U @ U.T - inside @ inside.T) / np.sqrt(2)
    assert_allclose(projection, dense)


def test_tiles_do_not_matter(monkeypatch):
    rng = np.random.default_rng(4)
    U, W = random_frame(7, 3, rng, 9), random_frame(7, 3, rng, 5)
    whole = {m: flag_distance(U, W, (1, 3), metric=m) for m in METRICS}
    monkeypatch.setattr(module, "_TILE_BYTES", 1)
    for metric, D in whole.items():
        assert_allclose(flag_distance(U, W, (1, 3), metric=metric), D, atol=1e-14)


def test_single_precision_frames_count_as_orthonormal():
    rng = np.random.default_rng(5)
    U = random_frame(20, 4, rng).astype(np.float32)
    assert flag_distance(U, U, (1, 4)) < 1e-14


@pytest.mark.parametrize("shape", [(6, 2), (40, 30), (5, 7, 3)])
def test_polar_factor(shape):
    rng = np.random.default_rng(0)
    M = rng.standard_normal(shape)
    U = polar(M)
    left, _, right = np.linalg.svd(M, full_matrices=False)
    assert_allclose(U, left @ right, atol=1e-12)
    # Without full rank: still orthonormal, still the maximiser of tr(M'U).
    M[..., -1] = M[..., 0]
    U = polar(M)
    gram = np.swapaxes(U, -1, -2) @ U
    assert_allclose(gram, np.broadcast_to(np.eye(shape[-1]), gram.shape), atol=1e-10)
    nuclear = np.linalg.svd(M, compute_uv=False).sum(-1)
    assert_allclose(np.sum(M * U, axis=(-2, -1)), nuclear, rtol=1e-8)


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8, 1e12])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (10, 3), (64, 8)])
def test_polar_factor_of_small_ill_conditioned_matrices(shape, condition):
    rng = np.random.default_rng(1)
    p, k = shape
    U, V = random_frame(p, k, rng), random_frame(k, k, rng)
    M = 1e-200 * (U * np.geomspace(1.0, 1.0 / condition, k)) @ V.T
    found = polar(M)
    assert_allclose(found.T @ found, np.eye(k), atol=1e-14 * k)
    # A polar factor moves by the relative error of the smallest singular value.
    assert_allclose(found, U @ V.T, atol=3e-15 * k * condition)


def test_messages():
    U, W = np.eye(5)[:, :3], np.eye(5)[:, :3]
    with pytest.raises(ValueError, match=r"Frame 1 of U is not orthonormal.*0.21"):
        flag_distance(np.stack([U, 1.1 * U]), W, (1, 3))
    with pytest.raises(ValueError, match="needs 4 columns, but U have 3"):
        flag_distance(U, W, (1, 4))
    with pytest.raises(ValueError, match="dimensions 5 and 4"):
        flag_distance(U, np.eye(4)[:, :3], (1, 3))
    with pytest.raises(ValueError, match=r"\(3, 1\) must be positive and strictly inc"):
        flag_distance(U, W, (3, 1))
    with pytest.raises(ValueError, match="increasing tuple of dimensions"):
        flag_distance(U, W, (1.5, 2))
    with pytest.raises(ValueError, match="'multilevel' compares different types"):
        flag_distance(U, W, (1, 3), flag_type_other=(2, 3))
    with pytest.raises(ValueError, match="complement=True is defined for 'block'"):
        flag_distance(U, W, (1, 3), metric="arc", complement=True)
    with pytest.raises(ValueError, match="weights apply to"):
        flag_distance(U, W, (1, 3), weights=np.ones(3))
    with pytest.raises(ValueError, match="one entry for each of the 3 columns"):
        flag_distance(U, W, (1, 3), metric="multilevel", weights=[1.0])
    with pytest.raises(ValueError, match="finite and nonnegative"):
        flag_distance(U, W, (1, 3), metric="multilevel", weights=[1.0, -1.0, 0.0])
    with pytest.raises(ValueError, match="'metric' parameter"):
        flag_distance(U, W, (1, 3), metric="geodesic")
    with pytest.raises(ValueError, match="3 columns in dimension 2"):
        flag_distance(np.ones((2, 3)), np.ones((2, 3)), (1,))
    with pytest.raises(ValueError, match="got an array of shape"):
        flag_distance(np.ones((2, 2, 2, 2)), W, (1,))
