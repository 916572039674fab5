"""NestedTensorClustering and NestedTensorPCA."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skstruct.datasets import make_nested_tensor
from skstruct.random_matrix import spike_shrink
from skstruct.tensor import NestedTensorClustering, NestedTensorPCA
from skstruct.tensor import _nested_core as core
from skstruct.tensor import _nested_kernels as kernels
from skstruct.tensor._nested_clustering import two_means
from tests.reference import nested as ref

BOTH = pytest.mark.parametrize("cls", [NestedTensorClustering, NestedTensorPCA])
METHODS = pytest.mark.parametrize("method", ["projection", "tensor", "unfolding"])


def small(seed=0, **params):
    options = {"beta_T": 2.0, "beta_M": 4.0, "random_state": seed, **params}
    return make_nested_tensor(60, 25, 6, **options)


def classes(seed, n_classes, n=200, p=100, m=20, view_sd=0.4, spread=0.6):
    """Classes in general position (rank n_classes), gains of norm one."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(max(n_classes, 1), size=n)
    centers = rng.standard_normal((max(n_classes, 1), p)) * (n_classes > 0)
    h = rng.uniform(0.5, 1.5, m)
    h /= np.linalg.norm(h)
    M = centers[labels] + spread * rng.standard_normal((n, p))
    return M[:, :, None] * h + view_sd * rng.standard_normal((n, p, m)), labels, h


# ------------------------------------------------------------------ kernels


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 9),
    p=st.integers(1, 9),
    m=st.integers(1, 6),
    single=st.booleans(),
    block=st.sampled_from([1, 7, 2**16]),
)
def test_passes_equal_plain_sums(n, p, m, single, block):
    rng = np.random.default_rng(n + 10 * p + 100 * m)
    X = rng.standard_normal((n, p, m))
    X = X.astype(np.float32) if single else X
    T, w = X.astype(float), rng.standard_normal(m)
    u, v = rng.standard_normal(p), rng.standard_normal(n)
    precision = rng.uniform(0.5, 2, m)
    before = core._BLOCK
    core._BLOCK = block
    try:
        assert_allclose(core.view_gram(X), np.einsum("jik,jil->kl", T, T), atol=1e-12)
        assert_allclose(core.weighted_mean(X, w), T @ w, atol=1e-12)
        assert_allclose(
            core.weighted_energy(X, precision),
            np.einsum("jik,k->j", T**2, precision), atol=1e-12,
        )  # fmt: skip
        assert_allclose(
            core.contract_rank_one(X, u, v), np.einsum("jik,i,j->k", T, u, v),
            atol=1e-12,
        )  # fmt: skip
    finally:
        core._BLOCK = before


@pytest.mark.parametrize("m", [2, 16, 17, 32, 45, 80, 81])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gram_matrix_in_panels_equals_one_product(m, dtype):
    # More rows than one block, and a last block that is cut.
    X = np.random.default_rng(m).standard_normal((70, 67_000 // (70 * m) * 2 + 3, m))
    X = X.astype(dtype)
    assert X.size > core._BLOCK
    G = core.view_gram(X)
    rows = X.reshape(-1, m).astype(float)
    assert_allclose(G, rows.T @ rows, rtol=1e-13, atol=1e-13 * len(rows))
    assert_allclose(G, G.T, rtol=1e-14)


@settings(max_examples=30, deadline=None)
@given(m=st.integers(3, 12), seed=st.integers(0, 10**6), steps=st.integers(0, 40))
def test_likelihood_steps_equal_plain_ones(m, seed, steps):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((50, 1)) * rng.standard_normal(m)
    H = np.corrcoef((X + rng.standard_normal((50, m))).T)
    g, noise = kernels.maximise_likelihood(H, 0.0, steps)
    expected = ref.one_factor_steps(H, kernels.FILLS, kernels.POWER_STEPS, steps, 1e-6)
    assert_allclose(g, expected[0], rtol=1e-9, atol=1e-12)
    assert_allclose(noise, expected[1], rtol=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    small=st.integers(1, 40),
    extra=st.integers(0, 60),
    spikes=st.lists(st.floats(0.5, 50), max_size=4),
    noise=st.sampled_from([0.1, 0.3, 1.0]),
)
def test_noise_level_equals_the_plain_iteration(small, extra, spikes, noise):
    large = small + extra
    rng = np.random.default_rng(small * 100 + extra)
    A = noise * rng.standard_normal((small, large))
    for k, strength in enumerate(spikes[:small]):
        A[k, k] += strength * np.sqrt(large)
    spectrum = core.Spectrum(A)
    tau, rank = core.noise_and_rank(spectrum, A.shape)
    expected = ref.noise_and_rank(spectrum.values, spectrum.energy, A.shape)
    assert_allclose(tau, expected[0], rtol=1e-9)
    assert rank == expected[1]


def test_noise_level_without_noise_is_zero():
    assert core.noise_and_rank(core.Spectrum(np.diag([3.0, 0, 0, 0])), (4, 4)) == (0, 1)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 12), p=st.integers(1, 12), rank=st.integers(0, 12))
def test_spectrum_equals_the_svd(n, p, rank):
    rng = np.random.default_rng(n * p)
    A = rng.standard_normal((n, min(rank, n, p))) @ rng.standard_normal(
        (min(rank, n, p), p)
    )
    if rank >= min(n, p):
        A = rng.standard_normal((n, p))
    spectrum = core.Spectrum(A)
    s = np.linalg.svd(A, compute_uv=False)
    assert_allclose(spectrum.values, s, atol=2e-7 * max(s[0], 1))
    r = min(n, p)
    U, values, V = spectrum.triplets(r)
    clear = values > 1e-4 * max(values[0], 1e-300)
    assert_allclose(
        (V[:, clear] * values[clear]) @ U[:, clear].T, A, atol=1e-5 * max(s[0], 1)
    )
    assert_allclose(U[:, clear].T @ U[:, clear], np.eye(clear.sum()), atol=1e-8)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=12))
def test_two_means_is_the_best_cut(numbers):
    x = np.array(numbers, dtype=float)[:, None]
    labels, centers = two_means(x)
    inertia = np.sum((x - centers[labels]) ** 2)
    best = np.inf
    for cut in np.unique(x)[:-1]:
        left, right = x[x <= cut], x[x > cut]
        cost = np.sum((left - left.mean()) ** 2) + np.sum((right - right.mean()) ** 2)
        best = min(best, cost)
    if len(np.unique(x)) > 1:
        assert_allclose(inertia, best, atol=1e-9)
    assert np.isfinite(centers).all()


def test_view_noise_is_a_stationary_point_of_the_likelihood():
    data = small(view_noise=np.array([1, 2, 0.5, 1, 3, 1]))
    G = core.view_gram(data.X)
    H = G / (60 * 25)
    g, noise = core.view_noise(G, 60 * 25)

    def deviance(g, noise):
        C = np.outer(g, g) + np.diag(noise)
        return np.linalg.slogdet(C)[1] + np.trace(np.linalg.solve(C, H))

    best = deviance(g, noise)
    rng = np.random.default_rng(0)
    for _ in range(30):
        dg, dn = rng.standard_normal((2, 6)) * 1e-3
        assert deviance(g * (1 + dg), noise * np.exp(dn)) >= best - 1e-9


# ------------------------------------------------------------- against slow twins


@pytest.mark.parametrize("center", [False, True])
@BOTH
def test_projection_equals_plain_svds(cls, center):
    X = small().X
    z, A, noise = ref.projection(X)
    A = A - center * A.mean(axis=0)
    found = cls(n_components=2, view_noise="homoscedastic", center=center,
                shrinkage=None).fit(X)  # fmt: skip
    assert_allclose(found.view_weights_, z, atol=1e-10)
    assert_allclose(found.view_loadings_, z, atol=1e-10)
    assert_allclose(found.noise_variance_, noise, rtol=1e-10)
    assert_allclose(found.view_noise_variances_, noise, rtol=1e-10)
    s, Vt = np.linalg.svd(A, full_matrices=False)[1:]
    assert_allclose(found.singular_values_, s[:2], rtol=1e-8)
    assert_allclose(np.abs(np.sum(found.components_ * Vt[:2], axis=1)), 1, rtol=1e-8)
    assert_allclose(found.transform(X), A @ found.components_.T, atol=1e-10)


@pytest.mark.parametrize("loss", ["frobenius", "operator", "nuclear"])
def test_shrinkage_is_that_of_the_weighted_mean(loss):
    X = small(n_clusters=3).X
    pca = NestedTensorPCA(shrinkage=loss).fit(X)
    assert pca.n_components_ == 2
    tau = np.sqrt(pca.projected_noise_variance_)
    s = np.linalg.svd(X @ pca.view_weights_, compute_uv=False)
    assert_allclose(pca.singular_values_, s[:2])
    want = spike_shrink(s, (60, 25), sigma=tau, loss=loss)[:2]
    assert_allclose(pca.shrunk_singular_values_, want)
    assert_allclose(np.linalg.norm(pca.embedding_, axis=0), want)


def test_tensor_method_is_the_best_rank_one_approximation():
    X = small(beta_T=1.0, beta_M=2.0).X
    pca = NestedTensorPCA(1, method="tensor", view_noise="homoscedastic", tol=1e-14,
                          shrinkage=None, max_iter=2000).fit(X)  # fmt: skip
    assert np.all(np.diff(pca.loss_curve_) >= -1e-12)
    assert_allclose(pca.lambda_, pca.loss_curve_[-1], rtol=1e-8)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(5):
        start = [rng.standard_normal(k) for k in (25, 60, 6)]
        found.append(ref.power_iteration(X, *start))
    value, u, _, w = max(found, key=lambda f: f[0])
    assert_allclose(pca.lambda_, value, rtol=1e-8)
    assert_allclose(abs(pca.components_[0] @ u), 1, atol=1e-6)
    assert_allclose(abs(pca.view_weights_ @ w), 1, atol=1e-6)


def test_unfolding_method_is_the_svd_of_the_unfolding():
    X = small(beta_T=4.0).X
    pca = NestedTensorPCA(2, method="unfolding", view_noise="homoscedastic",
                          shrinkage=None).fit(X)  # fmt: skip
    U, s, _ = np.linalg.svd(X.reshape(60, -1), full_matrices=False)
    assert_allclose(pca.singular_values_, s[:2], rtol=1e-8)
    assert_allclose(np.abs(pca.embedding_), np.abs(U[:, :2] * s[:2]), atol=1e-8)
    assert_allclose(pca.transform(X), pca.embedding_, atol=1e-8)
    want = (U[:, :2] * s[:2] @ (U[:, :2].T @ X.reshape(60, -1) / s[:2, None])).ravel()
    assert_allclose(pca.inverse_transform(pca.embedding_).ravel(), want, atol=1e-8)


@pytest.mark.parametrize("view_noise", ["homoscedastic", "diag"])
def test_scores_are_log_densities_of_whole_samples(view_noise):
    data = make_nested_tensor(40, 3, 4, beta_T=2.0, beta_M=5.0, random_state=0)
    train, test = data.X[:30], data.X[30:]
    model = NestedTensorClustering(2, view_noise=view_noise).fit(train)
    want = ref.mixture_log_density(
        test, np.bincount(model.labels_) / 30, model.cluster_centers_,
        model.view_weights_, model.view_loadings_, model._density_noise,
        model.view_noise_variances_,
    )  # fmt: skip
    assert_allclose(model.score_samples(test), want, rtol=1e-8)
    assert_allclose(model.score(test), want.mean())
    within = sum(
        np.sum((A - A.mean(axis=0)) ** 2)
        for A in (train[model.labels_ == k] @ model.view_weights_ for k in (0, 1))
    )
    assert_allclose(model._density_noise, within / (3 * (30 - 2)))

    pca = NestedTensorPCA(1, view_noise=view_noise).fit(train)
    A = train @ pca.view_weights_
    energy, first = np.sum(A**2), np.linalg.norm(A, 2) ** 2
    u = pca.components_[0]
    noise = (energy - first) / (30 * 2)
    C = noise * np.eye(3) + (first / 30 - noise) * np.outer(u, u)
    # With this covariance of the mean in place of tau^2 times the identity.
    L = pca.view_loadings_
    D = np.diag(pca.view_noise_variances_)
    whole = np.kron(np.eye(3), D) + np.kron(
        C - pca.view_weights_ @ D @ pca.view_weights_ * np.eye(3), np.outer(L, L)
    )
    rows = test.reshape(10, -1)
    want = -0.5 * (
        np.sum(rows * np.linalg.solve(whole, rows.T).T, axis=1)
        + np.linalg.slogdet(2 * np.pi * whole)[1]
    )
    assert_allclose(pca.score_samples(test), want, rtol=1e-8)


# --------------------------------------------------------------- what it can do


@pytest.mark.parametrize(
    ("mu", "h"), [(1.25, 1.0), (1.0, 1.5), (2.0, 0.5), (1.5, 1.0), (3.0, 0.5)]
)
def test_accuracy_is_that_of_known_view_weights(mu, h):
    own, oracle, expected = [], [], []
    with warnings.catch_warnings():
        # At (1.0, 1.5) single draws lie below the edge.
        warnings.filterwarnings("ignore", "There is no spike")
        for seed in range(10):
            X, y, z, _ = ref.paper_design(seed, mu=mu, h=h)
            model = NestedTensorClustering().fit(X)
            own.append(ref.accuracy(model.labels_, y))
            v = np.linalg.svd(X @ z, full_matrices=False)[0][:, 0]
            oracle.append(ref.accuracy(np.sign(v), y))
            expected.append(model.predicted_accuracy_)
    assert abs(np.mean(own) - np.mean(oracle)) < 0.01
    assert abs(np.mean(expected) - np.mean(own)) < 0.03


def test_two_ruined_views_do_not_matter():
    """Two of 20 views with noise 6 and 3 instead of .5."""
    sds = np.r_[6.0, 3.0, np.full(18, 0.5)]
    plain, ours = [], []
    for seed in range(3):
        X, labels, h = classes(seed, 2, view_sd=sds)
        model = NestedTensorClustering(random_state=0).fit(X)
        ours.append(ref.accuracy(model.labels_, labels))
        # The best weights are h / sd^2.
        best = h / sds**2
        cosine = model.view_weights_ @ best / np.linalg.norm(best)
        assert cosine > 0.999
        assert_allclose(np.sqrt(model.view_noise_variances_), sds, rtol=0.03)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            other = NestedTensorClustering(
                view_noise="homoscedastic", random_state=0
            ).fit(X)
        plain.append(ref.accuracy(other.labels_, labels))
    assert min(ours) >= 0.99
    assert np.mean(plain) < 0.65


@pytest.mark.parametrize("n_classes", [0, 1, 2, 3, 4])
def test_noise_levels_ratios_and_rank_within_three_percent(n_classes):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is no spike")
        for seed in range(3):
            X = classes(seed, n_classes)[0]
            pca = NestedTensorPCA().fit(X)
            assert pca.rank_ == n_classes
            assert_allclose(np.sqrt(pca.noise_variance_), 0.4, rtol=0.03)
            tau = np.sqrt(0.6**2 + 0.4**2)
            assert_allclose(np.sqrt(pca.projected_noise_variance_), tau, rtol=0.03)
            # s_Z = .6 and sigma_W = .4 in units where they are 1/sqrt(n_M), 1/sqrt(n_T)
            beta_T = 0.6 / 0.4 * np.sqrt(300 / 320)
            assert_allclose(pca.beta_T_, beta_T, rtol=0.03)


def test_beta_M_and_alignments_are_those_of_the_design():
    found = []
    for seed in range(10):
        X, y, z, x = ref.paper_design(seed, mu=2.0, h=1.0)
        pca = NestedTensorPCA().fit(X)
        v = pca.embedding_[:, 0] / np.linalg.norm(pca.embedding_[:, 0])
        true = [abs(pca.components_[0] @ x), abs(v @ y) / np.sqrt(300),
                abs(pca.view_weights_ @ z)]  # fmt: skip
        found.append([pca.beta_T_, pca.beta_M_[0], *true, *pca.alignments_])
    beta_T, beta_M, *cosines = np.mean(found, axis=0)
    assert_allclose([beta_T, beta_M], [1, 2], rtol=0.03)
    assert_allclose(cosines[3:], cosines[:3], atol=0.02)


def test_tensor_and_unfolding_expect_their_own_limits():
    X, y, _, _ = ref.paper_design(0, mu=3.0, h=2.5)
    for method in ("tensor", "unfolding"):
        pca = NestedTensorPCA(1, method=method).fit(X)
        v = pca.embedding_[:, 0] / np.linalg.norm(pca.embedding_)
        assert_allclose(abs(v @ y) / np.sqrt(300), pca.alignments_[1], atol=0.03)


def test_predicted_accuracy_of_two_classes_in_general_position():
    expected, got = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        labels = np.arange(200) % 2
        # Both classes on the same side of the origin: two components.
        centers = np.stack(
            [np.r_[3.0, 1.1, np.zeros(58)], np.r_[3.0, -1.1, np.zeros(58)]]
        )
        M = centers[labels] + rng.standard_normal((200, 60))
        X = M[:, :, None] * np.ones(5) + 0.5 * rng.standard_normal((200, 60, 5))
        model = NestedTensorClustering(2, n_components=2, random_state=0).fit(X)
        expected.append(model.predicted_accuracy_)
        got.append(ref.accuracy(model.labels_, labels))
    assert_allclose(np.mean(expected), np.mean(got), atol=0.03)
    assert NestedTensorClustering(3, random_state=0).fit(X).predicted_accuracy_ is None


def test_held_out_score_beats_a_wrong_model():
    data = small(n_clusters=3)
    train, test = data.X[:40], data.X[40:]
    scores = {
        k: NestedTensorClustering(k, random_state=0).fit(train).score(test)
        for k in (1, 2, 3)
    }
    assert scores[3] > scores[2] > scores[1]


# ---------------------------------------------------------------- equivariances


@METHODS
@BOTH
def test_scale(cls, method):
    X = small().X
    one = cls(method=method).fit(X)
    for scale in (1e-20, 1e20):
        other = cls(method=method).fit(scale * X)
        assert_allclose(other.view_weights_, one.view_weights_, atol=1e-8)
        assert_allclose(other.embedding_ / scale, one.embedding_, atol=1e-7)
        assert_allclose(other.beta_T_, one.beta_T_)
        assert_allclose(other.beta_M_, one.beta_M_, atol=1e-7)
        shift = -X[0].size * np.log(scale)
        assert_allclose(other.score(scale * X), one.score(X) + shift, rtol=1e-8)


@METHODS
@BOTH
def test_order_and_sign_of_views_and_order_of_samples(cls, method):
    X = small(view_noise=np.array([1, 2, 0.5, 1, 1, 1])).X
    one = cls(method=method).fit(X)
    views = np.array([3, 0, 5, 1, 2, 4])
    other = cls(method=method).fit(X[:, :, views])
    assert_allclose(other.view_weights_, one.view_weights_[views], atol=1e-7)
    assert_allclose(other.embedding_, one.embedding_, atol=1e-7)
    samples = np.random.default_rng(0).permutation(60)
    other = cls(method=method).fit(X[samples])
    assert_allclose(other.view_weights_, one.view_weights_, atol=1e-7)
    assert_allclose(other.embedding_, one.embedding_[samples], atol=1e-7)
    if cls is NestedTensorClustering:
        same = other.labels_ == one.labels_[samples]
        assert same.all() or not same.any()
    # A view upside down has the opposite weight, up to the sign of all.
    flipped = X.copy()
    flipped[:, :, 1] *= -1
    other = cls(method=method).fit(flipped)
    weights = one.view_weights_ * np.array([1, -1, 1, 1, 1, 1])
    weights *= np.sign(weights.sum())
    assert_allclose(other.view_weights_, weights, atol=1e-7)
    assert other.view_weights_.sum() >= 0


@METHODS
def test_units_of_single_views(method):
    X = small().X
    units = np.array([1.0, 1e-3, 1e3, 10.0, 1.0, 0.1])
    one, other = (NestedTensorClustering(method=method).fit(T) for T in (X, X * units))
    np.testing.assert_array_equal(other.labels_, one.labels_)
    assert_allclose(other.beta_T_, one.beta_T_, rtol=1e-6)
    assert_allclose(other.beta_M_, one.beta_M_, rtol=1e-6)
    weights = one.view_weights_ / units
    assert_allclose(other.view_weights_, weights / np.linalg.norm(weights), atol=1e-7)
    shift = 25 * np.log(units).sum()
    assert_allclose(other.score(X * units), one.score(X) - shift, rtol=1e-7)


@pytest.mark.parametrize("loud", [1e2, 1e3])
def test_a_deafening_view_among_few(loud):
    for seed in range(5):
        data = make_nested_tensor(
            100, 60, 4, beta_T=2.0, beta_M=3.0, view_weights=np.ones(4),
            view_noise=np.array([loud, 1, 1, 1]), random_state=seed,
        )  # fmt: skip
        weights = NestedTensorClustering().fit(data.X).view_weights_
        best = np.array([loud**-2, 1, 1, 1])
        assert weights @ best / np.linalg.norm(best) > 0.99


def test_rotation_of_features():
    X = small().X
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((25, 25)))[0]
    one, other = (
        NestedTensorPCA().fit(X),
        NestedTensorPCA().fit(np.einsum("jik,il->jlk", X, Q)),
    )
    assert_allclose(np.abs(other.components_), np.abs(one.components_ @ Q), atol=1e-8)
    assert_allclose(other.score(np.einsum("jik,il->jlk", X, Q)), one.score(X))


def test_sign_rule():
    pca = NestedTensorPCA(3, shrinkage=None).fit(small().X)
    rows = np.abs(pca.components_).argmax(axis=1)
    assert np.all(pca.components_[np.arange(3), rows] > 0)


# ------------------------------------------------------------------- input forms


@METHODS
@BOTH
def test_flattened_form_equals_three_axes(cls, method):
    X = small().X
    flat = X.reshape(60, -1)
    deep = cls(method=method).fit(X)
    wide = cls(method=method, n_views=6).fit(flat)
    assert wide.n_features_in_ == 150
    np.testing.assert_array_equal(wide.embedding_, deep.embedding_)
    np.testing.assert_array_equal(wide.transform(flat), deep.transform(X))
    assert wide.score(flat) == deep.score(X)
    back = wide.inverse_transform(wide.embedding_)
    assert back.shape == flat.shape
    np.testing.assert_array_equal(
        back.reshape(X.shape), deep.inverse_transform(deep.embedding_)
    )


def test_pipelines_and_data_frames():
    X = small(n_clusters=3).X
    names = [f"f{i}v{k}" for i in range(25) for k in range(6)]
    table = pd.DataFrame(X.reshape(60, -1), columns=names)
    pipeline = make_pipeline(StandardScaler(), NestedTensorPCA(n_views=6))
    pipeline.set_output(transform="pandas")
    found = pipeline.fit_transform(table)
    assert list(found.columns) == ["nestedtensorpca0", "nestedtensorpca1"]
    assert list(pipeline[0].feature_names_in_) == names
    search = GridSearchCV(
        make_pipeline(
            StandardScaler(), NestedTensorClustering(n_views=6, random_state=0)
        ),
        {"nestedtensorclustering__n_clusters": [1, 2, 3, 4]},
    ).fit(table)
    assert search.best_params_ == {"nestedtensorclustering__n_clusters": 3}


@BOTH
def test_new_samples(cls):
    data = small(n_clusters=3)
    model = cls(**({"n_clusters": 3} if cls is NestedTensorClustering else {}))
    model.fit(data.X[:40])
    assert_allclose(model.transform(data.X[:40]), model.embedding_, atol=1e-10)
    if cls is NestedTensorClustering:
        np.testing.assert_array_equal(model.predict(data.X[:40]), model.labels_)
        held_out = model.predict(data.X[40:])
        table = np.zeros((3, 3))
        np.add.at(table, (held_out, data.labels[40:]), 1)
        assert table.max(axis=1).sum() >= 18
    hidden = 2.0 * data.signal[:, :, None] * data.view_weights
    error = model.inverse_transform(model.transform(data.X[40:])) - hidden[40:]
    assert np.sum(error**2) < 0.3 * np.sum(hidden[40:] ** 2)


@METHODS
def test_float32_sums_in_float64(method):
    # A large constant makes float32 sums lose the signal.
    X = (small().X + 100).astype(np.float32)
    single = NestedTensorPCA(1, method=method, center=True).fit(X)
    double = NestedTensorPCA(1, method=method, center=True).fit(X.astype(float))
    assert single.embedding_.dtype == single.transform(X).dtype == np.float32
    assert_allclose(single.view_weights_, double.view_weights_, atol=1e-9)
    assert_allclose(single.embedding_, double.embedding_, atol=1e-5)


def test_memory_map_is_read_in_blocks(tmp_path):
    X = small().X
    path = tmp_path / "X.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    a, b = NestedTensorPCA().fit(mapped), NestedTensorPCA().fit(X)
    np.testing.assert_array_equal(a.embedding_, b.embedding_)
    assert a.score(mapped) == b.score(X)
    read = NestedTensorPCA()._read(mapped, reset=True)
    assert np.shares_memory(read, mapped)  # no copy is made


# ------------------------------------------------------------- degenerate data


def test_one_view_is_the_spiked_matrix():
    rng = np.random.default_rng(0)
    A = np.outer(np.sign(rng.standard_normal(100)), rng.standard_normal(40))
    A += rng.standard_normal(A.shape)
    pca = NestedTensorPCA(shrinkage="operator").fit(A[:, :, None])
    assert_allclose(pca.view_weights_, [1.0])
    assert np.isnan(pca.noise_variance_)
    assert np.isnan(pca.beta_T_)
    s = np.linalg.svd(A, compute_uv=False)
    tau = np.sqrt(pca.projected_noise_variance_)
    assert_allclose(pca.shrunk_singular_values_, spike_shrink(
        s, A.shape, sigma=tau, loss="operator")[:1])  # fmt: skip
    assert_allclose(pca.beta_M_, pca.shrunk_singular_values_ / (tau * np.sqrt(140)))
    assert np.isfinite(pca.score(A[:, :, None]))
    for method in ("tensor", "unfolding"):
        other = NestedTensorPCA(method=method, shrinkage="operator").fit(A[:, :, None])
        assert_allclose(other.embedding_, pca.embedding_, atol=1e-8)


def test_two_views_have_equal_noise():
    X = make_nested_tensor(80, 30, 2, beta_T=2.0, beta_M=4.0, random_state=0).X
    a = NestedTensorClustering(view_noise="diag").fit(X)
    b = NestedTensorClustering(view_noise="homoscedastic").fit(X)
    np.testing.assert_array_equal(a.embedding_, b.embedding_)
    assert_allclose(a.view_noise_variances_, a.noise_variance_)


@pytest.mark.parametrize("view_noise", ["diag", "homoscedastic"])
@METHODS
def test_views_without_noise(method, view_noise):
    M = np.random.default_rng(0).standard_normal((50, 20))
    M += 2 * np.sign(M[:, :1])
    X = M[:, :, None] * np.array([1.0, 2.0, 0.5, 1.0])
    model = NestedTensorClustering(method=method, view_noise=view_noise).fit(X)
    weights = np.array([1.0, 2.0, 0.5, 1.0]) / 2.5
    assert_allclose(model.view_weights_, weights, atol=1e-6)
    assert model.beta_T_ == np.inf
    assert_allclose(model.noise_variance_, 0, atol=1e-12)
    assert np.isfinite(model.beta_M_).all()
    assert np.isfinite(model.score(X))


def test_noise_free_low_rank_tensor_has_no_floor():
    rng = np.random.default_rng(0)
    M = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 12))
    X = M[:, :, None] * np.array([1.0, 2.0, 0.5])
    pca = NestedTensorPCA().fit(X)
    assert pca.rank_ == 2
    assert_allclose(pca.inverse_transform(pca.transform(X)), X, atol=1e-7)
    assert np.isfinite(pca.score(X))


def test_precise_views_are_not_floored():
    """Noise of one percent is estimated, where a floor of .001 would stop at three."""
    sds = np.array([0.01, 0.02, 0.01, 0.03, 0.01, 0.05])
    rng = np.random.default_rng(0)
    M = rng.standard_normal((200, 100))
    X = M[:, :, None] * np.linspace(1, 2, 6) + sds * rng.standard_normal((200, 100, 6))
    with pytest.warns(UserWarning, match="no spike above the noise edge"):
        pca = NestedTensorPCA().fit(X)
    assert_allclose(np.sqrt(pca.view_noise_variances_), sds, rtol=0.05)


def test_a_view_that_is_always_zero_is_ignored():
    X = small().X.copy()
    X[:, :, 2] = 0
    model = NestedTensorClustering().fit(X)
    assert abs(model.view_weights_[2]) < 1e-6
    assert np.isfinite(model.score(X))
    rest = NestedTensorClustering().fit(np.delete(X, 2, axis=2))
    assert_allclose(np.delete(model.view_weights_, 2), rest.view_weights_, atol=1e-5)


@BOTH
def test_no_spike_gives_a_warning_and_a_usable_result(cls):
    X = make_nested_tensor(60, 40, 5, n_clusters=1, random_state=0).X
    with pytest.warns(UserWarning, match="no spike above the noise edge: the largest"):
        model = cls().fit(X)
    assert model.rank_ == 0
    assert model.n_components_ == 1
    assert model.embedding_.any()
    assert np.isfinite(model.score(X))
    assert not model.beta_M_.any()
    if cls is NestedTensorClustering:
        assert set(model.labels_) == {0, 1}
        assert model.predicted_accuracy_ == 0.5
        with pytest.warns(UserWarning, match="no spike"):
            assert cls(4, random_state=0).fit(X).n_components_ == 3


def test_components_below_the_edge_are_zero_with_a_warning():
    X = small().X
    with pytest.warns(UserWarning, match="n_components=3 exceeds the number rank_=1"):
        pca = NestedTensorPCA(3).fit(X)
    assert not pca.embedding_[:, 1:].any()
    assert NestedTensorPCA(3, shrinkage=None).fit(X).embedding_[:, 1:].any()


# ----------------------------------------------------------------------- errors


@BOTH
def test_bad_data_is_named(cls):
    X = small().X
    name = cls.__name__
    for value, text in ((np.nan, "NaN"), (np.inf, "infinity")):
        bad = X.copy()
        bad[3, 2, 1] = value
        with pytest.raises(ValueError, match=f"Input X contains {text}"):
            cls().fit(bad)
        model = cls().fit(X)
        for method in ("transform", "score"):
            with pytest.raises(ValueError, match=f"Input X contains {text}"):
                getattr(model, method)(bad)
    for factor in (1e120, 1e200):
        with pytest.raises(ValueError, match="whose squares overflow: rescale X"):
            cls().fit(factor * X)
    with pytest.raises(ValueError, match="X is constant: all entries are zero"):
        cls().fit(np.zeros((5, 4, 3)))
    with pytest.raises(ValueError, match="X is constant: all samples are the same"):
        cls().fit(np.full((5, 4, 3), 0.1))
    with pytest.raises(ValueError, match="X is constant: all samples are the same"):
        cls(center=True).fit(np.tile(X[:1], (5, 1, 1)))
    with pytest.raises(ValueError, match=r"got 2D array of shape \(60, 25\).*n_views"):
        cls().fit(X[:, :, 0])
    with pytest.raises(ValueError, match="got 1D array"):
        cls().fit(X[:, 0, 0])
    with pytest.raises(ValueError, match="1 sample"):
        cls().fit(X[:1])
    with pytest.raises(TypeError, match="Sparse data was passed"):
        cls(n_views=5).fit(sparse.csr_array(X[:, :, 0]))
    with pytest.raises(ValueError, match="n_views=5, but X has 6 views"):
        cls(n_views=5).fit(X)
    with pytest.raises(ValueError, match="25 columns, which n_views=4 does not divide"):
        cls(n_views=4).fit(X[:, :, 0])
    model = cls().fit(X)
    with pytest.raises(
        ValueError, match=f"X has 5 views, but {name} was fitted with 6"
    ):
        model.transform(X[:, :, :5])
    with pytest.raises(ValueError, match=f"X has 24 features, but {name} is expecting"):
        model.transform(X[:, :24])
    with pytest.raises(ValueError, match="X has 2 columns, but n_components_=1"):
        model.inverse_transform(np.ones((3, 2)))


@BOTH
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_views": 0}, "The 'n_views' parameter"),
        ({"n_components": 0}, "The 'n_components' parameter"),
        ({"n_components": 26}, r"n_components=26 must be at most min\(n_samples, "
                               "n_features\\)=25"),
        ({"method": "parafac"}, "The 'method' parameter"),
        ({"shrinkage": "l1"}, "The 'shrinkage' parameter"),
        ({"view_noise": "full"}, "The 'view_noise' parameter"),
        ({"tol": -1}, "The 'tol' parameter"),
        ({"max_iter": 0}, "The 'max_iter' parameter"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(cls, params, message):
    with pytest.raises(ValueError, match=message):
        cls(**params).fit(small().X)


@BOTH
def test_components_of_centred_samples_are_fewer(cls):
    X = small().X[:10]
    message = r"n_components=10 must be at most min\(n_samples - 1, n_features\)=9"
    with pytest.raises(ValueError, match=message):
        cls(n_components=10, center=True).fit(X)
    assert cls(n_components=9, center=True, shrinkage=None).fit(X).n_components_ == 9


@BOTH
def test_a_second_fit_forgets_the_first(cls):
    X = small().X
    fresh = cls().fit(X)
    model = cls(method="unfolding").fit(X[:, :20])
    model.set_params(method="tensor").fit(X)
    model.set_params(method="projection").fit(X)
    assert vars(model).keys() == vars(fresh).keys()
    np.testing.assert_array_equal(model.transform(X), fresh.transform(X))


def test_more_clusters_than_samples():
    with pytest.raises(ValueError, match="n_clusters=61 must be at most n_samples=60"):
        NestedTensorClustering(61).fit(small().X)
    with pytest.raises(ValueError, match="The 'n_clusters' parameter"):
        NestedTensorClustering(0).fit(small().X)


def test_unfinished_iteration_says_so():
    with pytest.warns(
        ConvergenceWarning, match="max_iter=1 iterations with a relative"
    ):
        NestedTensorPCA(1, method="tensor", max_iter=1).fit(small().X)


def test_callbacks_see_the_iterations(capsys):
    from sklearn.callback import ProgressBar

    pca = NestedTensorPCA(1, method="tensor").set_callbacks(ProgressBar())
    pca.fit(small().X)
    plain = NestedTensorPCA(1, method="tensor").fit(small().X)
    np.testing.assert_array_equal(pca.embedding_, plain.embedding_)
