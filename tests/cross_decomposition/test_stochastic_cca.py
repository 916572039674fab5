"""Exact and streaming canonical correlation: closed forms, streams, errors."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg, sparse
from sklearn.cross_decomposition import PLSSVD
from sklearn.datasets import load_digits

from skstruct.cross_decomposition import MultiviewCCA, StochasticCCA, StochasticPLS
from skstruct.cross_decomposition._ey_plain import (
    PlainSteps,
    eckart_young_gradient,
    eckart_young_loss,
)
from skstruct.cross_decomposition._ey_solver import EckartYoungStream
from skstruct.metrics import proportion_correlation_captured
from tests.cross_decomposition.instances_stochastic_cca import planted_views
from tests.reference import eckart_young_stream as twin
from tests.reference import stochastic_cca as ref


def _views(seed=0, n=300, sizes=(12, 9)):
    return planted_views(seed, n, sizes, (0.9, 0.7, 0.5))


def _digits():
    images = load_digits().images
    X, Y = images[:, :, :4].reshape(-1, 32), images[:, :, 4:].reshape(-1, 32)
    return X[:, X.std(axis=0) > 0], Y[:, Y.std(axis=0) > 0]


@pytest.mark.parametrize("reg", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("sizes", [(12, 9), (12, 9, 7)])
def test_exact_solution_is_that_of_the_dense_eigenvalue_problem(reg, sizes):
    views = _views(sizes=sizes)
    model = MultiviewCCA(3, reg=reg, view_sizes=sizes).fit(np.hstack(views))
    assert_allclose(model.eigenvalues_, ref.eigenvalues(views, reg, 3), rtol=1e-10)


def test_correlations_of_the_digits_halves():
    # Known values of the left against the right halves, standardised.
    found = StochasticCCA(5).fit(*_digits()).correlations_
    assert_allclose(found, [0.8161, 0.8021, 0.6953, 0.6766, 0.6328], atol=6e-5)


def test_scores_are_uncorrelated_with_unit_variance():
    X, Y = _views()
    T, U = StochasticCCA(3).fit(X, Y).transform(X, Y)
    assert_allclose(np.cov(T.T), np.eye(3), atol=1e-10)
    assert_allclose(np.cov(U.T), np.eye(3), atol=1e-10)


def test_pls_is_the_svd_of_the_cross_covariance():
    X, Y = _views()
    pls, peer = StochasticPLS(3).fit(X, Y), PLSSVD(3).fit(X, Y)
    assert_allclose(
        np.abs(np.sum(pls.x_weights_ * peer.x_weights_, axis=0)), 1.0, atol=1e-10
    )
    assert_allclose(pls.x_weights_.T @ pls.x_weights_, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_pls_by_products_equals_pls_by_the_joint_covariance(scale, shift):
    X, Y = _views()
    X, Y = X + shift, Y - shift
    X[:, 2] = 7.0
    joint = StochasticPLS(3, scale=scale).fit(X, Y)
    for store in (np.asarray, sparse.csr_array, np.asfortranarray):
        cross = StochasticPLS(3, scale=scale, solver="exact").fit(store(X), store(Y))
        for name in (
            "x_weights_", "y_weights_", "x_loadings_", "correlations_", "eigenvalues_",
            "x_mean_", "x_scale_",
        ):  # fmt: skip
            a, b = getattr(cross, name), getattr(joint, name)
            assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())
        assert_allclose(cross.score(X, Y), joint.score(X, Y), rtol=1e-8)
    with pytest.raises(ValueError, match="kept no running statistics"):
        cross.partial_fit(X, Y)


@pytest.mark.parametrize("shift", [0.0, 1e2, 1e6])
def test_large_means_cost_no_more_digits_than_they_must(shift):
    """Products about a provisional centre, against rows that are centred first."""
    X, Y = _views(n=3000)
    # Sorted by the first column: the first block is not like the rest.
    order = np.argsort(X[:, 0])
    X, Y = X[order] + shift, Y[order] + shift
    found = StochasticCCA(3).fit(X, Y).correlations_
    # The digits that the sum itself has dropped are lost for both.
    Q, R = (np.linalg.qr(V - V.mean(axis=0))[0] for V in (X, Y))
    expected = np.linalg.svd(Q.T @ R, compute_uv=False)[:3]
    assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
@pytest.mark.parametrize("make", [StochasticCCA, StochasticPLS])
@pytest.mark.parametrize("solver", ["exact", "auto"])
def test_sums_tell_an_entry_that_is_not_finite(make, solver, value):
    X, Y = _views()
    Y[5, 2] = value
    message = "too large" if value == 1e200 else "Input y contains"
    with pytest.raises(ValueError, match=message):
        make(2, solver=solver).fit(X, Y)


def test_fewer_rows_than_columns_equals_the_covariance_solution():
    X, Y = _views(n=40, sizes=(60, 50))
    wide = StochasticCCA(3, reg=0.3).fit(X, Y)
    assert_allclose(wide.eigenvalues_, ref.eigenvalues([X, Y], 0.3, 3), rtol=1e-8)


@pytest.mark.parametrize(
    ("make", "solver", "n", "sizes", "taken"),
    [
        (StochasticCCA, "auto", 300, (12, 9), "covariance"),
        (StochasticCCA, "auto", 500, (3000, 2000), "rows"),
        (StochasticCCA, "auto", 9000, (3000, 2000), "ey"),
        (StochasticCCA, "exact", 9000, (3000, 2000), "covariance"),
        (StochasticPLS, "auto", 300, (12, 9), "covariance"),
        (StochasticPLS, "exact", 300, (12, 9), "cross"),
        (StochasticPLS, "exact", 50, (900, 800), "rows"),
        (StochasticPLS, "auto", 2000, (20_000, 400), "cross"),
        (StochasticPLS, "auto", 2000, (20_000, 1000), "ey"),
        (StochasticPLS, "exact", 2000, (20_000, 1000), "cross"),
        (StochasticPLS, "ey", 2000, (12, 9), "ey"),
        (StochasticPLS, "ey", 200, (12, 9), "covariance"),
    ],
)
def test_the_smallest_problem_is_solved(make, solver, n, sizes, taken):
    model = make(2, solver=solver)
    assert model._resolved_solver(sizes, model._checked_regs(2), n) == taken


@pytest.mark.parametrize("make", [StochasticCCA, StochasticPLS])
def test_partial_fit_in_any_order_equals_fit(make):
    X, Y = _views()
    whole = make(3).fit(X, Y)
    cuts = np.split(np.random.default_rng(0).permutation(len(X)), [1, 7, 130, 131])
    parts = make(3)
    for rows in cuts:
        parts.partial_fit(X[rows], Y[rows])
    assert parts.n_samples_seen_ == len(X)
    assert_allclose(parts.correlations_, whole.correlations_, rtol=1e-8)
    assert_allclose(parts.x_weights_, whole.x_weights_, atol=1e-8)
    assert_allclose(parts.y_weights_, whole.y_weights_, atol=1e-8)


@pytest.mark.parametrize("reg", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("sizes", [(12, 9), (12, 9, 7)])
def test_loss_and_gradient_equal_the_formulas(reg, sizes):
    views = _views(sizes=sizes)
    A, B = ref.matrices(views, reg)
    batch = [(V - V.mean(axis=0)) / V.std(axis=0, ddof=1) for V in views]
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((p, 3)) for p in sizes]
    W, regs, n1 = np.vstack(weights), [reg] * len(sizes), len(views[0]) - 1
    assert_allclose(
        eckart_young_loss(batch, weights, regs, normalizer=n1),
        ref.loss(W, A, B),
        rtol=1e-10,
    )
    found = eckart_young_gradient(batch, weights, regs, normalizer=n1)
    expected = ref.gradient(W, A, B)
    assert_allclose(
        np.vstack(found), expected, rtol=1e-10, atol=1e-10 * abs(expected).max()
    )


def test_the_optimum_is_that_of_the_eigenvalues():
    views = _views()
    A, B = ref.matrices(views, 0.2)
    values, U = linalg.eigh(A, B)
    W = U[:, :-4:-1] * np.sqrt(values[:-4:-1])
    model = StochasticCCA(3, reg=0.2).fit(*views)
    assert_allclose(model.loss_curve_[-1], ref.loss(W, A, B), rtol=1e-10)


def test_halves_of_a_batch_give_an_unbiased_gradient():
    """Over all splits of few rows into batches the mean gradient is nearer to that of
    all rows than with one batch for both factors."""
    views = _views(n=2000)
    batch = [(V - V.mean(axis=0)) / V.std(axis=0) for V in views]
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((V.shape[1], 2)) for V in views]
    regs = [0.0, 0.0]
    whole = np.vstack(eckart_young_gradient(batch, weights, regs))
    error = {}
    for unbiased in (False, True):
        mean = np.zeros_like(whole)
        rng = np.random.default_rng(1)
        for _ in range(3000):
            rows = rng.integers(2000, size=8)
            part = [V[rows] for V in batch]
            mean += np.vstack(
                eckart_young_gradient(part, weights, regs, unbiased=unbiased)
            )
        error[unbiased] = np.linalg.norm(mean / 3000 - whole) / np.linalg.norm(whole)
    assert error[True] < 0.1 < error[False]


@pytest.mark.parametrize("batch_size", [5, 20, 50, 100])
def test_one_epoch_on_the_digits_halves(batch_size):
    X, Y = _digits()
    exact = StochasticCCA(5).fit(X, Y).correlations_
    captured = []
    for seed in range(3):
        model = StochasticCCA(
            5, solver="ey", batch_size=batch_size, max_iter=1, random_state=seed
        ).fit(X, Y)
        captured.append(proportion_correlation_captured(*model.transform(X, Y), exact))
    assert np.median(captured) >= 0.93


def test_many_epochs_on_the_digits_halves():
    X, Y = _digits()
    exact = StochasticCCA(5).fit(X, Y).correlations_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = StochasticCCA(
            5, solver="ey", batch_size=50, max_iter=20, random_state=0
        ).fit(X, Y)
    assert proportion_correlation_captured(*model.transform(X, Y), exact) >= 0.97


@pytest.mark.parametrize("batch_size", [2, 17])
def test_heavy_tails_give_no_nan(batch_size):
    rng = np.random.default_rng(0)
    X = rng.standard_t(1, (600, 8))
    Y = np.exp(2 * rng.standard_normal((600, 6)))
    Y[:, 0] = rng.random(600) < 0.01
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = StochasticCCA(
            2, solver="ey", batch_size=batch_size, max_iter=2, random_state=0
        ).fit(X, Y)
    assert np.isfinite(model.x_weights_).all() and np.isfinite(model.y_weights_).all()


def test_sparse_rows_equal_dense_rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((700, 20)) * (rng.random((700, 20)) < 0.2)
    Y = X[:, :6] + rng.standard_normal((700, 6))
    options = {"solver": "ey", "max_iter": 2, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dense = StochasticCCA(2, **options).fit(X, Y)
        rows = StochasticCCA(2, **options).fit(sparse.csr_array(X), Y)
    assert_allclose(rows.correlations_, dense.correlations_, atol=1e-6)
    exact = StochasticCCA(2).fit(X, Y)
    filled = StochasticCCA(2).fit(sparse.csr_array(X), sparse.csr_array(Y))
    assert_allclose(filled.x_weights_, exact.x_weights_, atol=1e-10)


def test_plain_steps_are_the_published_ones():
    """SGD with Nesterov's momentum and Adam, two steps each, on the plain gradient."""
    views = _views()
    A, B = ref.matrices(views, 0.2)
    n = len(views[0])
    # Blocks whose products over n rows are the covariances of the reference.
    batch = [
        (V - V.mean(axis=0)) / V.std(axis=0, ddof=1) * np.sqrt(n / (n - 1))
        for V in views
    ]
    start = np.random.default_rng(0).standard_normal((21, 2)) * 0.1
    regs, split = [0.2, 0.2], [12]
    for rule, momentum in (("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0)):
        steps = PlainSteps(
            np.split(start, split), regs, rule=rule, learning_rate=0.01,
            momentum=momentum, unbiased=False,
        )  # fmt: skip
        W, velocity, first, second = start.copy(), 0.0, 0.0, 0.0
        for t in (1, 2):
            steps.step(batch)
            g = ref.gradient(W, A, B)
            if rule == "sgd":
                velocity = momentum * velocity + g
                W = W - 0.01 * (g + momentum * velocity)
            else:
                first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
                W = W - 0.01 * (first / (1 - 0.9**t)) / (
                    np.sqrt(second / (1 - 0.999**t)) + 1e-8
                )
            assert_allclose(np.vstack(steps.W), W, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_plain_steps_improve_on_their_start(solver):
    X, Y = _views(n=4000, sizes=(60, 50))
    plain = StochasticCCA(
        2, solver=solver, learning_rate=0.003, max_iter=1, random_state=0
    ).fit(X, Y)
    exact = StochasticCCA(2).fit(X, Y).correlations_
    stream = StochasticCCA(2, solver="ey", random_state=0)
    start = stream.partial_fit(X[:480], Y[:480]).transform(X, Y)
    found = plain.transform(X, Y)
    assert proportion_correlation_captured(
        *found, exact
    ) > proportion_correlation_captured(*start, exact)


@pytest.mark.parametrize("reg", [0.0, 0.2, 1.0])
def test_steps_with_all_rows_reach_the_eigenvalues(reg):
    X, Y = _views(n=1200, sizes=(40, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = StochasticCCA(
            2, reg=reg, solver="ey", batch_size=1200, max_iter=150, tol=0.0,
            n_iter_no_change=150, random_state=0,
        ).fit(X, Y)  # fmt: skip
    assert_allclose(model.eigenvalues_, ref.eigenvalues([X, Y], reg, 2), rtol=1e-6)


def test_a_stream_learns_more_than_its_start():
    X, Y = _views(n=6000, sizes=(40, 30))
    exact = StochasticCCA(3).fit(X, Y).correlations_
    stream = StochasticCCA(3, solver="ey", batch_size=50, random_state=0)
    captured = []
    for start in range(0, 6000, 300):
        rows = slice(start, start + 300)
        stream.partial_fit(X[rows], Y[rows])
        found = stream.transform(X, Y)
        captured.append(proportion_correlation_captured(*found, exact))
    assert captured[-1] > 0.995 > captured[0]


def test_a_stream_that_is_stored_goes_on_with_the_same_bits():
    X, Y = _views(n=1500)
    whole = StochasticCCA(2, solver="ey", batch_size=50)
    stored = StochasticCCA(2, solver="ey", batch_size=50)
    for start in range(0, 1500, 250):
        rows = slice(start, start + 250)
        whole.partial_fit(X[rows], Y[rows])
        stored = pickle.loads(pickle.dumps(stored.partial_fit(X[rows], Y[rows])))
    assert_array_equal(whole.x_weights_, stored.x_weights_)


def test_single_rows_wait_for_company():
    X, Y = _views(n=400)
    stream = StochasticCCA(2, solver="ey", batch_size=50).partial_fit(X[:390], Y[:390])
    before = stream.x_weights_.copy()
    stream.partial_fit(X[390:391], Y[390:391])
    assert_array_equal(stream.x_weights_, before)
    stream.partial_fit(X[391:392], Y[391:392])
    assert np.any(stream.x_weights_ != before)
    assert stream.n_samples_seen_ == 392


def test_the_guard_takes_back_what_diverges():
    """A memory that claims correlations above 1: back to a snapshot, slower."""
    views = _views(n=600)
    rows = [(V - V.mean(axis=0)) / V.std(axis=0) for V in views]
    stream = EckartYoungStream(
        [V[:300] for V in rows], [0.0, 0.0], 2, batch_size=50, learning_rate=0.4
    )
    good = [W.copy() for W in stream.W]
    stream.H[0][:, 1] *= 10
    stream.H[1][:, 0] *= 10
    stream.step([V[350:400] for V in rows])
    assert stream.restarts == 1 and stream.learning_rate == 0.2
    for _ in range(20):
        stream.step([V[400:500] for V in rows])
    assert stream.restarts == 1
    T, U = (V @ W for V, W in zip(rows, stream.W))
    S, R = (V @ W for V, W in zip(rows, good))
    exact = StochasticCCA(2).fit(*views).correlations_
    after = proportion_correlation_captured(T, U, exact)
    assert after > 0.9 * proportion_correlation_captured(S, R, exact)


def _state(stream):
    """W, A W and Cov W of the fast solver, up to the signs of components."""
    E = [stream._between(H, i) for i, H in enumerate(stream.H)]
    F = [H[:, i] for i, H in enumerate(stream.H)]
    return [np.vstack(part) for part in (stream.W, E, F)]


def _assert_twins(stream, twin, rtol):
    signs = np.sign(np.sum(np.vstack(stream.W) * np.vstack(twin.W), axis=0))
    for found, expected in zip(_state(stream), (twin.W, twin.E, twin.F)):
        expected = np.vstack(expected) * signs
        assert_allclose(found, expected, atol=rtol * np.abs(expected).max(), rtol=0)
    assert_allclose(stream.eigenvalues, twin.eigenvalues, rtol=rtol)
    assert stream.learning_rate == twin.rate


def _run_twins(views, reg, batch_size, *, spoil=None, learning_rate=0.4):
    """The fast solver after each batch is the plain one; returns the fast one."""
    n_w = 64
    rows = [(V - V.mean(axis=0)) / V.std(axis=0) for V in views]
    warm = [V[:n_w] for V in rows]
    batches = [
        [V[start : start + batch_size] for V in rows]
        for start in range(n_w, len(rows[0]), batch_size)
    ]
    if spoil is not None:
        batches[spoil] = [1e5 * V for V in batches[spoil]]
    regs = [reg] * len(views)
    options = {"batch_size": batch_size, "learning_rate": learning_rate}
    stream = EckartYoungStream(warm, regs, 2, **options)
    for batch, expected in zip(
        batches, twin.stream(warm, batches, regs, 2, **options), strict=True
    ):
        stream.step(batch)
        _assert_twins(stream, expected, 1e-8)
    return stream


@pytest.mark.parametrize("batch_size", [5, 20, 64])
@pytest.mark.parametrize("reg", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("sizes", [(12, 9), (12, 9, 7), (80, 9)])
def test_the_stream_equals_its_plain_twin(sizes, reg, batch_size):
    views = _views(n=64 + 40 * batch_size, sizes=sizes)
    stream = _run_twins(views, reg, batch_size, spoil=10)
    assert stream.n_cut == 1 and stream.restarts == 0


def test_the_stream_equals_its_plain_twin_through_restarts():
    rng = np.random.default_rng(0)
    views = [rng.standard_t(1, (464, p)) for p in (12, 9)]
    assert _run_twins(views, 0.0, 5, learning_rate=10.0).restarts > 0


def _streamed(X, Y, batches=range(0, 6000, 250)):
    stream = StochasticCCA(3, solver="ey", batch_size=50, random_state=0)
    for start in batches:
        rows = slice(start, start + 250)
        stream.partial_fit(X[rows], Y[rows])
    return stream


@pytest.mark.parametrize(
    ("rows", "scale"), [(50, 1e6), (250, 10.0), (1, 1e6), (1, 30.0), (50, 1e150)]
)
@pytest.mark.parametrize("store", [np.asarray, sparse.csr_array])
def test_absurd_rows_do_not_spoil_the_memory(rows, scale, store):
    X, Y = _views(n=6000, sizes=(20, 15))
    exact = StochasticCCA(3).fit(X, Y).correlations_
    expected = _streamed(X, Y).transform(X, Y)
    spoiled, other = X.copy(), Y.copy()
    spoiled[3000 : 3000 + rows] *= scale
    other[3000 : 3000 + rows] *= scale
    with pytest.warns(UserWarning, match="cut to their mean length"):
        found = _streamed(store(spoiled), other).transform(X, Y)
    lost = proportion_correlation_captured(
        *expected, exact
    ) - proportion_correlation_captured(*found, exact)
    assert lost < 0.005


def test_heavy_tails_of_finite_variance_are_not_cut():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((6000, 3))
    X, Y = (np.hstack([z, rng.standard_t(3, (6000, 9))]) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream = _streamed(X, Y)
    assert stream._stream["stream"]["n_cut"] == 0


def test_infinite_variances_in_a_stream_give_no_nan():
    rng = np.random.default_rng(0)
    X = rng.standard_t(1, (6000, 8))
    Y = np.exp(3 * rng.standard_normal((6000, 6)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in (np.float32, np.float64):
            stream = _streamed(X.astype(dtype), Y.astype(dtype))
            assert np.isfinite(stream.x_weights_).all()
            assert np.isfinite(stream.y_weights_).all()


@pytest.mark.parametrize("make", [StochasticCCA, StochasticPLS])
def test_score_is_negative_on_noise_at_every_rank(make):
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((400, 10)), rng.standard_normal((400, 8))
    for k in (1, 3, 5):
        model = make(k).fit(X[:200], Y[:200])
        assert model.score(X[200:], Y[200:]) < 0


def test_constant_columns_have_weight_zero():
    X, Y = _views()
    X[:, 3], Y[:, 0] = 5.0, 0.1
    for solver in ("exact", "ey"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = StochasticCCA(2, solver=solver, max_iter=1).fit(X, Y)
        assert_array_equal(model.x_weights_[3], 0.0)
        assert_array_equal(model.y_weights_[0], 0.0)


def test_bad_input():
    X, Y = _views()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        StochasticCCA().fit(X, Y[:-1])
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        StochasticCCA().fit(X[:1], Y[:1])
    with pytest.raises(ValueError, match="NaN"):
        StochasticCCA().fit(np.where(X > 2, np.nan, X), Y)
    with pytest.raises(ValueError, match=r"n_components=10 .*n_targets=9"):
        StochasticCCA(10).fit(X, Y)
    with pytest.raises(ValueError, match="one for each of the 2 views"):
        StochasticCCA(reg=[0.1, 0.2, 0.3]).fit(X, Y)
    model = StochasticCCA().partial_fit(X, Y)
    with pytest.raises(ValueError, match="5 features"):
        model.partial_fit(X[:, :5], Y)
    with pytest.raises(ValueError, match="y has 4 columns"):
        model.partial_fit(X, Y[:, :4])
    with pytest.warns(UserWarning, match="Set reg"):
        StochasticCCA().fit(X[:9], Y[:9])
    with pytest.raises(ValueError, match="partial_fit works with solver"):
        StochasticCCA(solver="adam").partial_fit(X, Y)


def test_multiview_input():
    views = _views(sizes=(5, 4, 3))
    listed = MultiviewCCA(2).fit(views)
    stacked = MultiviewCCA(2, view_sizes=[5, 4, 3]).fit(np.hstack(views))
    assert_allclose(listed.transform(views), stacked.transform(np.hstack(views)))
    with pytest.raises(ValueError, match="sum to 9"):
        MultiviewCCA(view_sizes=[5, 4]).fit(np.hstack(views))
    with pytest.raises(ValueError, match="at least 2 views"):
        MultiviewCCA().fit([views[0]])
