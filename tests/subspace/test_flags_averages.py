"""Means and medians of flags and subspaces, clusters, motions."""

import logging
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from skstruct._flags import random_frame
from skstruct.subspace import (
    FlagKMeans,
    FlagMean,
    FlagMedian,
    SubspaceMean,
    flag_distance,
    flag_to_se3,
    se3_to_flag,
)
from skstruct.subspace._averaging import Samples, mean_of_flags, median_of_flags
from tests.reference import flags as ref

TYPES = [(1,), (3,), (1, 3), (1, 2, 4)]


def around(rng, n, p, k, spread):
    center = random_frame(p, k, rng)
    return np.linalg.qr(center + spread * rng.standard_normal((n, p, k)))[0], center


def turned(frames, flag_type, rng):
    """The same flags in other frames."""
    frames = frames.copy()
    for a, b in zip((0, *flag_type), flag_type):
        turn = random_frame(b - a, b - a, rng, len(frames))
        frames[:, :, a:b] = frames[:, :, a:b] @ turn
    return frames


@pytest.mark.parametrize("metric", ["block", "nested"])
@pytest.mark.parametrize("flag_type", TYPES)
@pytest.mark.parametrize("p", [5, 40])
def test_mean_equals_riemannian_descent(flag_type, metric, p):
    rng = np.random.default_rng(p + len(flag_type))
    frames, _ = around(rng, 12, p, flag_type[-1], 0.3)
    mean = FlagMean(flag_type, metric=metric).fit(frames)
    start = np.linalg.qr(mean.frame_ + 0.05 * rng.standard_normal(mean.frame_.shape))[0]
    _, cost = ref.stiefel_descent(
        lambda U: ref.mean_cost(U, frames, flag_type, metric=metric),
        lambda U: ref.mean_gradient(U, frames, flag_type, metric=metric),
        start,
    )
    assert_allclose(mean.cost_, cost, rtol=1e-10)
    assert_allclose(np.sum(mean.distances_**2), mean.cost_, rtol=1e-12)


@pytest.mark.parametrize("flag_type", TYPES)
def test_median_equals_riemannian_descent(flag_type):
    rng = np.random.default_rng(7)
    frames, _ = around(rng, 12, 8, flag_type[-1], 0.3)
    weights = rng.uniform(0.5, 2, size=12)
    median = FlagMedian(flag_type).fit(frames, sample_weight=weights)
    _, cost = ref.stiefel_descent(
        lambda U: ref.median_cost(U, frames, flag_type, weights),
        lambda U: ref.median_gradient(U, frames, flag_type, weights),
        median.frame_,
    )
    assert_allclose(median.cost_, cost, rtol=1e-10)
    start = FlagMean(flag_type).fit(frames, sample_weight=weights).frame_
    _, cost = ref.stiefel_descent(
        lambda U: ref.median_cost(U, frames, flag_type, weights),
        lambda U: ref.median_gradient(U, frames, flag_type, weights),
        start,
    )
    assert_allclose(median.cost_, cost, rtol=1e-9)


@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.floats(0.05, 3.0))
@settings(max_examples=25, deadline=None)
def test_costs_never_rise_and_flags_are_what_counts(seed, flag_type, spread):
    rng = np.random.default_rng(seed)
    frames, _ = around(rng, 9, 7, flag_type[-1], spread)
    w = np.ones(9)
    samples = Samples(frames, flag_type, "block")
    start = random_frame(7, flag_type[-1], rng)
    mean = mean_of_flags(samples, w, start, tol=1e-12, max_iter=500)
    assert np.all(np.diff(mean.path) >= -1e-12 * mean.path[0])
    median = median_of_flags(samples, w, start, eps=1e-6, tol=1e-7, max_iter=500)
    assert np.all(np.diff(median.path) >= -1e-11 * abs(median.path[0]))
    other = Samples(turned(frames, flag_type, rng), flag_type, "block")
    again = mean_of_flags(other, w, other.start(w), tol=1e-14, max_iter=2000)
    same = mean_of_flags(samples, w, samples.start(w), tol=1e-14, max_iter=2000)
    assert_allclose(again.cost, same.cost, rtol=1e-9)


@pytest.mark.parametrize("Average", [FlagMean, FlagMedian])
def test_invariance_to_rotations_inside_blocks_and_signs(Average):
    rng = np.random.default_rng(0)
    flag_type = (1, 3, 4)
    frames, _ = around(rng, 30, 10, 4, 0.2)
    first = Average(flag_type).fit(frames)
    second = Average(flag_type).fit(turned(frames, flag_type, rng))
    assert flag_distance(first.frame_, second.frame_, flag_type) < 1e-7
    # Blocks are turned to the axes of the samples, so the frames agree too.
    assert_allclose(first.frame_, second.frame_, atol=1e-5)
    Q = random_frame(10, 10, rng)
    third = Average(flag_type).fit(Q @ frames)
    assert flag_distance(Q @ first.frame_, third.frame_, flag_type) < 1e-7


def test_the_published_curves():
    """Distance of the estimates to the centre in the averaging experiments."""
    errors = []
    for sigma in np.arange(0.02, 0.83, 0.1):
        frames, center = ref.averaging_design(100, sigma, seed=1)
        mean = FlagMean((1, 3)).fit(frames)
        errors.append(flag_distance(mean.frame_, center, (1, 3)))
    assert_allclose([errors[0], errors[-1]], [0.0022, 0.0938], atol=1e-4)
    assert np.all(np.diff(errors) > 0)
    for share, of_mean, of_median in [(5, 0.0166, 0.00016), (19, 0.0443, 0.00018)]:
        sigmas = [0.001] * (100 - share) + [1.0] * share
        frames, center = ref.averaging_design(100, sigmas, seed=2)
        mean = FlagMean((1, 3)).fit(frames).frame_
        median = FlagMedian((1, 3)).fit(frames).frame_
        assert_allclose(flag_distance(mean, center, (1, 3)), of_mean, atol=1e-4)
        assert_allclose(flag_distance(median, center, (1, 3)), of_median, atol=1e-5)


def test_one_subspace_is_the_leading_singular_subspace():
    rng = np.random.default_rng(1)
    frames = random_frame(9, 3, rng, 15)
    w = rng.uniform(size=15)
    mean = FlagMean(3).fit(frames, sample_weight=w)
    P = np.einsum("j,jpa,jqa->pq", w, frames, frames)
    values, V = np.linalg.eigh(P)
    assert flag_distance(mean.frame_, V[:, -3:], 3) < 1e-6
    assert_allclose(mean.cost_, 3 * w.sum() - values[-3:].sum())


def test_weights_are_repetitions_and_a_single_flag_is_its_own_mean():
    rng = np.random.default_rng(2)
    frames, _ = around(rng, 6, 7, 3, 0.4)
    w = np.array([1, 2, 0, 3, 1, 1])
    for Average in (FlagMean, FlagMedian):
        one = Average((1, 3)).fit(frames, sample_weight=w)
        two = Average((1, 3)).fit(np.repeat(frames, w, axis=0))
        assert flag_distance(one.frame_, two.frame_, (1, 3)) < 1e-6
        alone = Average((1, 3)).fit(frames[:1])
        assert alone.cost_ < 1e-10
        assert_allclose(alone.transform(frames[:1]), 0.0, atol=1e-12)


def test_large_dimension_needs_no_square_matrix(monkeypatch):
    rng = np.random.default_rng(3)
    frames, center = around(rng, 6, 3000, 4, 0.002)
    monkeypatch.setattr(np, "eye", _small_eye)
    mean = FlagMean((1, 4)).fit(frames)
    assert flag_distance(mean.frame_, center, (1, 4)) < flag_distance(
        frames[0], center, (1, 4)
    )


_eye = np.eye


def _small_eye(n, *args, **kwargs):
    assert n < 3000
    return _eye(n, *args, **kwargs)


def test_median_may_rest_on_a_sample():
    rng = np.random.default_rng(4)
    frames, _ = around(rng, 8, 6, 2, 0.3)
    frames = np.concatenate([frames, np.repeat(frames[:1], 20, axis=0)])
    median = FlagMedian((1, 2)).fit(frames)
    assert flag_distance(median.frame_, frames[0], (1, 2)) < 1e-6
    assert_allclose(median.weights_.sum(), 1.0)
    assert median.weights_[8:].min() > 100 * median.weights_[1:8].max()


@pytest.mark.parametrize("init", ["svd", "euclidean", "random", "array"])
def test_starts(init):
    rng = np.random.default_rng(5)
    frames, center = around(rng, 20, 8, 3, 0.1)
    frames = turned(frames, (1, 3), rng)
    start = center if init == "array" else init
    mean = FlagMean((1, 3), init=start, n_init=4, random_state=0).fit(frames)
    assert_allclose(mean.cost_, FlagMean((1, 3)).fit(frames).cost_, rtol=1e-9)


def test_iterations_are_logged_and_bounded(caplog):
    rng = np.random.default_rng(6)
    frames = random_frame(10, 4, rng, 20)
    with caplog.at_level(logging.INFO, logger="skstruct.subspace"):
        FlagMean((1, 2, 4), verbose=1).fit(frames)
    assert "FlagMean iteration 1" in caplog.text
    with pytest.warns(ConvergenceWarning, match="max_iter=1 iterations before tol"):
        FlagMean((1, 2, 4), max_iter=1).fit(frames)


# -- subspaces of different dimensions ------------------------------------------------


def mixed(rng, n=15, p=9):
    common = random_frame(p, 2, rng)
    return [
        np.linalg.qr(np.hstack([common, rng.standard_normal((p, d))]))[0]
        for d in rng.integers(0, 4, size=n)
    ]


def test_subspace_mean_is_optimal_over_all_dimensions():
    rng = np.random.default_rng(0)
    frames = mixed(rng)
    w = rng.uniform(0.5, 1.5, size=len(frames))

    def cost(U):
        return sum(
            wj * np.sum((U @ U.T - F @ F.T) ** 2) / 2 for wj, F in zip(w, frames)
        )

    best = SubspaceMean().fit(frames, sample_weight=w)
    assert_allclose(best.cost_, cost(best.frame_), rtol=1e-10)
    costs = []
    for s in range(1, 9):
        fitted = SubspaceMean(s).fit(frames, sample_weight=w)
        costs.append(fitted.cost_)
        assert_allclose(fitted.cost_, cost(fitted.frame_), rtol=1e-10)
        _, found = ref.stiefel_descent(
            cost,
            lambda U: -2 * sum(wj * F @ (F.T @ U) for wj, F in zip(w, frames)),
            fitted.frame_,
        )
        assert_allclose(found, fitted.cost_, rtol=1e-10)
    assert best.cost_ == pytest.approx(min(costs))
    assert best.n_components_ == 1 + int(np.argmin(costs)) == 2


def test_subspace_median_resists_outliers_and_falls():
    rng = np.random.default_rng(1)
    frames = mixed(rng, n=20)
    outliers = [random_frame(9, 3, rng) for _ in range(6)]
    common = SubspaceMean().fit(frames).frame_
    error = {}
    for loss in ("l1", "l2"):
        fitted = SubspaceMean(2, loss=loss).fit(frames + outliers)
        error[loss] = flag_distance(fitted.frame_, common, 2)
    assert error["l1"] < error["l2"] / 3
    costs = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for steps in range(1, 8):
            fitted = SubspaceMean(2, loss="l1", max_iter=steps, tol=0).fit(frames)
            costs.append(fitted.cost_)
    assert np.all(np.diff(costs) <= 1e-12)
    with pytest.warns(ConvergenceWarning, match="max_iter=1 reweightings"):
        SubspaceMean(2, loss="l1", max_iter=1).fit(frames + outliers)


def test_a_list_and_an_array_agree():
    rng = np.random.default_rng(2)
    frames = random_frame(8, 3, rng, 10)
    one, two = SubspaceMean(3).fit(frames), SubspaceMean(3).fit(list(frames))
    assert_allclose(one.frame_, two.frame_)
    assert_allclose(one.transform(frames), two.transform(list(frames)))
    wide = [F if i % 2 else np.hstack([F, _missing(F)]) for i, F in enumerate(frames)]
    assert_allclose(
        FlagMean((1, 3)).fit(wide).frame_, FlagMean((1, 3)).fit(frames).frame_
    )


def _missing(F):
    return np.linalg.qr(F, mode="complete")[0][:, F.shape[1] : F.shape[1] + 1]


def test_nothing_shared():
    frames = np.eye(6)[:, :, None].swapaxes(0, 1)
    with pytest.warns(UserWarning, match="shared by half of the subspaces"):
        assert SubspaceMean().fit(frames).n_components_ == 1


# -- clusters -------------------------------------------------------------------------


@pytest.mark.parametrize("centers", ["mean", "median"])
def test_clusters_are_found(centers):
    rng = np.random.default_rng(0)
    planted = random_frame(8, 3, rng, 4)
    truth = rng.integers(0, 4, size=80)
    frames = np.linalg.qr(planted[truth] + 0.1 * rng.standard_normal((80, 8, 3)))[0]
    frames = turned(frames, (1, 3), rng)
    clusters = FlagKMeans(4, (1, 3), centers=centers, random_state=0).fit(frames)
    assert adjusted_rand_score(truth, clusters.labels_) == 1.0
    assert np.array_equal(clusters.predict(frames), clusters.labels_)
    D = clusters.transform(frames)
    own = D[np.arange(80), clusters.labels_]
    loss = own**2 if centers == "mean" else own
    assert_allclose(clusters.inertia_, loss.sum(), rtol=1e-6)
    for c in range(4):
        Average = FlagMean if centers == "mean" else FlagMedian
        alone = Average((1, 3)).fit(frames[clusters.labels_ == c])
        assert flag_distance(alone.frame_, clusters.cluster_centers_[c], (1, 3)) < 1e-4


def test_fewer_different_flags_than_clusters():
    frames = np.repeat(np.eye(4)[:2], [3, 3], axis=0)[:, :, None]
    clusters = FlagKMeans(3, random_state=0).fit(frames)
    assert set(clusters.labels_) == {0, 1, 2}
    assert clusters.inertia_ < 1e-20
    assert np.isfinite(clusters.score(frames))


# -- motions --------------------------------------------------------------------------


def motions(rng, n, spread=1.0):
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, :3, :3] = Rotation.from_rotvec(
        spread * rng.standard_normal((n, 3))
    ).as_matrix()
    T[:, :3, 3] = 5 * spread * rng.standard_normal((n, 3))
    return T


def test_motions_survive_the_round_trip():
    T = motions(np.random.default_rng(0), 200)
    T[0] = np.eye(4)
    frames = se3_to_flag(T)
    assert_allclose(np.swapaxes(frames, 1, 2) @ frames, _eye(3)[None].repeat(200, 0),
                    atol=1e-13)  # fmt: skip
    assert_allclose(flag_to_se3(frames), T, atol=1e-12)
    assert_allclose(flag_to_se3(se3_to_flag(T[3], scale=7.0), scale=7.0), T[3],
                    atol=1e-12)  # fmt: skip


def test_average_of_motions():
    rng = np.random.default_rng(1)
    center = motions(rng, 1)[0]
    noisy = center @ motions(rng, 200, spread=0.05)
    mean = FlagMean((1, 2, 3), oriented=True).fit(se3_to_flag(noisy))
    found = flag_to_se3(mean.frame_)
    turn = Rotation.from_matrix(found[:3, :3].T @ center[:3, :3]).magnitude()
    assert turn < 0.02
    assert np.linalg.norm(found[:3, 3] - center[:3, 3]) < 0.1
    assert_allclose(found[:3, :3] @ found[:3, :3].T, _eye(3), atol=1e-12)
    assert np.all(np.sum(mean.frame_ * se3_to_flag(noisy).mean(0), axis=0) > 0)


# -- messages -------------------------------------------------------------------------


def test_messages():
    rng = np.random.default_rng(0)
    frames = random_frame(6, 3, rng, 5)
    bent = frames.copy()
    bent[3, :, 0] *= 1.01
    with pytest.raises(ValueError, match=r"Frame 3 of X is not orthonormal.*0\.02"):
        FlagMean((1, 3)).fit(bent)
    FlagMean((1, 3), orthonormalize=True).fit(bent)
    with pytest.raises(ValueError, match="needs 4 columns, but X have 3"):
        FlagMean((1, 4)).fit(frames)
    with pytest.raises(ValueError, match="Expected 3D array"):
        FlagMean((1, 3)).fit(frames[0])
    with pytest.raises(ValueError, match="Frame 1 of X has shape"):
        FlagMean((1, 3)).fit([frames[0], frames[1][:, :2]])
    with pytest.raises(ValueError, match="Frame 0 of X has linearly dependent"):
        FlagMean((1, 3), orthonormalize=True).fit(np.ones((2, 4, 3)))
    with pytest.raises(ValueError, match=r"init must be a frame of shape \(6, 3\)"):
        FlagMean((1, 3), init=np.eye(6)).fit(frames)
    with pytest.raises(ValueError, match="one entry for each of the 5 frames"):
        FlagMean((1, 3)).fit(frames, sample_weight=np.ones(4))
    with pytest.raises(ValueError, match="nonnegative, got -1 at 2"):
        FlagMean((1, 3)).fit(frames, sample_weight=[1, 1, -1, 1, 1])
    with pytest.raises(ValueError, match="not be zero for all"):
        FlagMean((1, 3)).fit(frames, sample_weight=np.zeros(5))
    with pytest.raises(ValueError, match="n_samples=5 should be >= n_clusters=8"):
        FlagKMeans(8).fit(frames)
    with pytest.raises(ValueError, match="X has 5 features, but FlagMean"):
        FlagMean((1, 3)).fit(frames).transform(random_frame(5, 3, rng, 2))
    with pytest.raises(ValueError, match="NaN"):
        FlagMean((1, 3)).fit(np.where(frames > 0.5, np.nan, frames))
    mixed_dims = [frames[0], random_frame(5, 2, rng)]
    with pytest.raises(ValueError, match="Frame 1 of X lies in dimension 5"):
        SubspaceMean().fit(mixed_dims)
    with pytest.raises(ValueError, match="Frame 2 of X is not orthonormal"):
        SubspaceMean().fit([frames[0][:, :2], frames[1], 2 * frames[2]])
    with pytest.raises(ValueError, match="n_components=7 must be at most n_features=6"):
        SubspaceMean(7).fit(frames)
    with pytest.raises(ValueError, match="X has 5 features"):
        SubspaceMean(2).fit(frames).transform([random_frame(5, 2, rng)])
    with pytest.raises(ValueError, match="Matrix 1 of motions is no rigid motion"):
        se3_to_flag(np.stack([np.eye(4), np.diag([1, 1, -1, 1.0])]))
    with pytest.raises(ValueError, match="shape"):
        se3_to_flag(np.eye(3))
    with pytest.raises(ValueError, match="Frame 0 of frames is not the image"):
        flag_to_se3(-np.eye(4)[:, :3])
    with pytest.raises(ValueError, match="shape"):
        flag_to_se3(np.eye(3))
