"""PrimalDualSparseCCA: components, projections, seeds, input."""

import logging
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from skstruct.cross_decomposition import PrimalDualSparseCCA
from skstruct.cross_decomposition._primal_dual_solver import PrimalView
from skstruct.metrics import mate_retrieval_score
from tests._data import shared_data
from tests.reference import primal_dual as ref

SEEDS = [3, 8, 1]


def data(seed=0, **kwargs):
    X, y = ref.planted(seed, **kwargs)
    return X + 3.0, y - 2.0


def laplacian(a, b):
    return np.exp(-np.abs(a - b).sum() / 30)


@pytest.mark.parametrize(
    ("kernel", "params"),
    [
        ("linear", {}),
        ("rbf", {"gamma": 0.02}),
        ("poly", {"degree": 2, "coef0": 3.0, "gamma": 0.1}),
        (laplacian, {}),
    ],
    ids=["linear", "rbf", "poly", "callable"],
)
def test_components_are_those_of_the_reference(kernel, params):
    X, y = data()
    K = pairwise_kernels(y, metric=kernel, **params)
    cca = PrimalDualSparseCCA(3, kernel=kernel, seeds=SEEDS, alpha=0.8, **params)
    cca.fit(X, y)
    Xc, Kc = X - X.mean(axis=0), ref.center_kernel(K)
    coef, dual, W, Z, correlations = ref.fit(Xc, Kc, SEEDS, alpha=0.8)
    assert_array_equal(cca.seeds_, SEEDS)
    for got, want in (
        (cca.coef_, coef),
        (cca.dual_coef_, dual),
        (cca.x_weights_, W),
        (cca.y_weights_, Z),
        (cca.correlations_, correlations),
    ):
        assert_allclose(got, want, atol=1e-6 * np.abs(want).max())
    assert_array_equal(cca.n_nonzero_, np.count_nonzero(coef, axis=0))
    assert_array_equal(cca.n_nonzero_dual_, np.count_nonzero(dual, axis=0))
    assert np.all(cca.dual_gap_ <= 1e-6 * cca.objective_)

    # New rows: centred by the training means on both sides.
    X_new, y_new = data(9, n=7)
    rows = pairwise_kernels(y_new, y, metric=kernel, **params)
    H = np.eye(len(K)) - 1 / len(K)
    T, S = cca.transform(X_new, y_new)
    assert_allclose(T, (X_new - X.mean(axis=0)) @ W, atol=1e-6 * np.abs(T).max())
    assert_allclose(S, (rows - K.mean(axis=0)) @ H @ Z, atol=1e-6 * np.abs(S).max())
    assert_allclose(cca.transform(X_new), T)

    given = PrimalDualSparseCCA(3, kernel="precomputed", seeds=SEEDS, alpha=0.8)
    given.fit(X, K)
    assert_allclose(given.transform(X_new, rows)[1], S, atol=1e-6 * np.abs(S).max())
    assert given.score(X_new, rows) == pytest.approx(cca.score(X_new, y_new), abs=1e-6)


def test_penalties_are_as_documented():
    X, y = data()
    Xc, K = X - X.mean(axis=0), ref.center_kernel(y @ y.T)
    mu, gamma = ref.penalties(Xc, K, 4, 0.3, 0.7, 0.6)
    relative = PrimalDualSparseCCA(
        seeds=[4], alpha=0.7, alpha_dual=0.6, trade_off=0.3
    ).fit(X, y)
    assert_allclose((relative.mu_[0], relative.gamma_dual_[0]), (mu, gamma))
    absolute = PrimalDualSparseCCA(
        seeds=[4], mu=mu, gamma_dual=gamma, trade_off=0.3
    ).fit(X, y)
    assert_allclose(absolute.coef_, relative.coef_, atol=1e-9)
    w = relative.coef_[:, 0]
    # Undo the scaling: e of the seed is 1 in the program.
    e = relative.dual_coef_[:, 0]
    length_e = e[4]
    e = e / length_e
    length_w = _least_squares_scale(Xc, K, w, e, mu, 0.3)
    value = ref.objective(Xc, K, 4, length_w * w, e, mu, gamma, 0.3)
    assert value == pytest.approx(relative.objective_[0], rel=1e-6)


def _least_squares_scale(X, K, w, e, mu, tau):
    """The best multiple of w, which has one sign pattern."""
    u, v = tau * X @ w, (1 - tau) * K @ e
    return (u @ v - mu * np.abs(w).sum() / 2) / (u @ u)


def test_training_scores_are_orthonormal_and_reported():
    X, y = data()
    cca = PrimalDualSparseCCA(3, seeds=SEEDS, kernel="rbf", gamma=0.02).fit(X, y)
    T, S = cca.transform(X, y)
    assert_allclose(T.T @ T, np.eye(3), atol=1e-9)
    assert_allclose(S.T @ S, np.eye(3), atol=1e-9)
    assert_allclose((T * S).sum(axis=0), cca.score_correlations_, atol=1e-9)
    assert np.all(cca.score_correlations_ > 0) and np.all(cca.correlations_ > 0)
    # On the training rows the score is the sum of squared canonical correlations.
    canonical = np.linalg.svd(T.T @ S, compute_uv=False)
    assert cca.score(X, y) == pytest.approx(np.sum(canonical**2))
    # Projection on an orthonormal basis: least squares.
    centred = y - y.mean(axis=0)
    assert_allclose(cca.predict(X), y.mean(axis=0) + T @ (T.T @ centred), atol=1e-9)
    back = cca.inverse_transform(T)
    assert_allclose(back, X.mean(axis=0) + T @ (T.T @ (X - X.mean(axis=0))), atol=1e-9)
    assert cca.fit_transform(X, y).shape == (60, 3)


def test_linear_kernel_has_weights_on_features():
    X, y = data()
    cca = PrimalDualSparseCCA(2, seeds=SEEDS).fit(X, y)
    centred = y - y.mean(axis=0)
    assert_allclose(cca.y_feature_weights_, centred.T @ cca.y_weights_)
    assert_allclose(
        cca.transform(X, y)[1], centred @ cca.y_feature_weights_, atol=1e-12
    )
    rbf = PrimalDualSparseCCA(2, seeds=SEEDS, kernel="rbf").fit(X, y)
    assert not hasattr(rbf, "y_feature_weights_") and not hasattr(cca, "y_fit_")


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_row_order_and_feature_order(kernel):
    X, y = data(1)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(len(X)), rng.permutation(X.shape[1])
    position = np.argsort(rows)
    first = PrimalDualSparseCCA(3, seeds=SEEDS, kernel=kernel).fit(X, y)
    second = PrimalDualSparseCCA(3, seeds=position[SEEDS], kernel=kernel)
    second.fit(X[rows][:, columns], y[rows])
    assert_allclose(second.coef_, first.coef_[columns], atol=1e-8)
    assert_allclose(second.dual_coef_, first.dual_coef_[rows], atol=1e-8)
    assert_allclose(second.x_weights_, first.x_weights_[columns], atol=1e-8)
    assert_allclose(second.y_weights_, first.y_weights_[rows], atol=1e-8)
    third = PrimalDualSparseCCA(2, n_candidates=None, kernel=kernel, random_state=1)
    fourth = PrimalDualSparseCCA(2, n_candidates=None, kernel=kernel, random_state=2)
    third.fit(X, y)
    fourth.fit(X[rows], y[rows])
    assert_array_equal(rows[fourth.seeds_], third.seeds_)
    assert_allclose(fourth.coef_, third.coef_, atol=1e-8)


@pytest.mark.parametrize(("a", "b"), [(1e3, 1e-2), (1e-150, 1e120), (1e160, 1e-140)])
def test_units_do_not_matter(a, b):
    X, y = data(2)
    first = PrimalDualSparseCCA(2, seeds=SEEDS).fit(X, y)
    second = PrimalDualSparseCCA(2, seeds=SEEDS).fit(a * X, b * y)
    assert_allclose(second.correlations_, first.correlations_, rtol=1e-8)
    assert_allclose(a * second.coef_, first.coef_, atol=1e-8)
    T, S = second.transform(a * X, b * y)
    T0, S0 = first.transform(X, y)
    assert_allclose(T, T0, atol=1e-8)
    assert_allclose(S, S0, atol=1e-8)
    assert np.isfinite(second.predict(a * X)).all()


def test_shift_does_not_matter():
    X, y = data(2)
    first = PrimalDualSparseCCA(2, seeds=SEEDS).fit(X, y)
    second = PrimalDualSparseCCA(2, seeds=SEEDS).fit(X + 1e5, y - 1e5)
    assert_allclose(second.coef_, first.coef_, atol=1e-6)


def sparse_data(seed=0, n=60, p=3000, q=200):
    rng = np.random.default_rng(seed)
    topics = rng.random((n, 4)) < 0.4
    X = rng.poisson(0.02 + 0.3 * topics @ (rng.random((4, p)) < 0.05))
    y = rng.poisson(0.05 + 0.5 * topics @ (rng.random((4, q)) < 0.1))
    return X.astype(float), y.astype(float)


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_views(make, monkeypatch):
    X, y = sparse_data()
    want = PrimalDualSparseCCA(4, seeds=[0, 5, 9, 17]).fit(X, y)
    gathered, gather = [], PrimalView.gather

    def spy(self, chosen):
        assert sparse.issparse(self.columns)
        gathered.append(chosen.size)
        return gather(self, chosen)

    monkeypatch.setattr(PrimalView, "gather", spy)
    cca = PrimalDualSparseCCA(4, seeds=[0, 5, 9, 17]).fit(make(X), make(y))
    # Only working sets are ever dense.
    assert max(gathered) < 300
    monkeypatch.undo()
    assert_allclose(cca.coef_, want.coef_, atol=1e-8 * np.abs(want.coef_).max())
    for got, expected in zip(cca.transform(make(X), make(y)), want.transform(X, y)):
        assert_allclose(got, expected, atol=1e-8)
    assert_allclose(cca.predict(make(X)), want.predict(X), atol=1e-8)
    assert cca.score(make(X), make(y)) == pytest.approx(want.score(X, y))
    rbf = PrimalDualSparseCCA(2, kernel="rbf", seeds=[0, 5]).fit(make(X), make(y))
    dense = PrimalDualSparseCCA(2, kernel="rbf", seeds=[0, 5]).fit(X, y)
    assert_allclose(rbf.coef_, dense.coef_, atol=1e-8 * np.abs(dense.coef_).max())


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_constant_columns_have_weight_zero(make):
    X, y = data()
    X[:, [2, 20]] = 0.1, -7.0
    y[:, 3] = 0.3
    cca = PrimalDualSparseCCA(3, seeds=SEEDS, alpha=0.1).fit(make(X), y)
    assert not np.any(cca.coef_[[2, 20]])
    assert not np.any(cca.x_weights_[[2, 20]])
    assert not np.any(cca.y_feature_weights_[3])
    assert np.count_nonzero(cca.coef_) > 30


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_views_without_any_variance(kernel):
    X, y = data(n=12)
    for X0, y0 in ((np.ones_like(X), y), (X, np.full_like(y, 0.1))):
        with pytest.warns(UserWarning, match="2 of n_components=2 components are zero"):
            cca = PrimalDualSparseCCA(2, kernel=kernel, random_state=0).fit(X0, y0)
        assert cca.n_components_ == 0 and cca.score(X0, y0) == 0.0
        assert not np.any(cca.transform(X0, y0))


@pytest.mark.parametrize("seeds", ["random", "max_corr", [0, 1, 2]])
def test_penalties_that_kill_everything(seeds):
    X, y = data(n=20)
    cca = PrimalDualSparseCCA(2, alpha=50, seeds=seeds, random_state=0)
    with pytest.warns(UserWarning, match="2 of n_components=2 .* lower alpha=50"):
        cca.fit(X, y)
    assert_array_equal(cca.correlations_, [0, 0])
    assert_array_equal(cca.score_correlations_, [0, 0])
    assert_array_equal(cca.seeds_, [-1, -1])
    assert_array_equal(cca.n_nonzero_, [0, 0])
    T, S = cca.transform(X, y)
    assert T.shape == S.shape == (20, 2) and not T.any() and not S.any()
    assert cca.score(X, y) == 0.0
    assert_allclose(cca.predict(X), np.tile(y.mean(axis=0), (20, 1)))


def test_dual_penalty_that_lets_everything_in():
    """A centred kernel times ones is zero: no component, and no NaN."""
    X, y = data(n=20)
    cca = PrimalDualSparseCCA(alpha_dual=1e-9, random_state=0)
    with pytest.warns(UserWarning, match="raise alpha_dual=1e-09"):
        cca.fit(X, y)
    assert cca.n_components_ == 0 and not cca.transform(X).any()


def test_a_seed_without_component_is_skipped():
    X, y = data()
    Xc, K = X - X.mean(axis=0), ref.center_kernel(y @ y.T)
    alone = [PrimalDualSparseCCA(alpha=1.6, seeds=[k], tol=1e-9) for k in range(len(X))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dead = [k for k, cca in enumerate(alone) if not cca.fit(X, y).n_components_]
    assert 0 < len(dead) < len(X)
    alive = [k for k in range(len(X)) if k not in dead]
    # The optimum over e alone leaves no feature above the penalty.
    mu, gamma = ref.penalties(Xc, K, dead[0], alpha=1.6)
    _, e = ref.solve(0 * Xc[:, :1], K, dead[0], mu, gamma, tol=1e-6)
    assert np.abs(0.5 * Xc.T @ K @ e).max() <= mu * (1 + 1e-6)
    with pytest.warns(UserWarning, match=rf"1 seeds were skipped.*\[{dead[0]}\]"):
        cca = PrimalDualSparseCCA(alpha=1.6, seeds=[dead[0], alive[0]]).fit(X, y)
    assert_array_equal(cca.seeds_, [alive[0]])


def test_exhausted_views_stop():
    """Three directions in y: the fourth component cannot exist."""
    X, _ = data()
    y = np.random.default_rng(0).standard_normal((60, 3))
    y = np.hstack([y, y[:, :1] + y[:, 1:2]])
    with pytest.warns(UserWarning, match="1 of n_components=4 components are zero"):
        cca = PrimalDualSparseCCA(4, alpha=0.1, random_state=0).fit(X, y)
    assert cca.n_components_ == 3 and np.isfinite(cca.x_weights_).all()
    assert not cca.transform(X)[:, 3].any()


def test_chosen_seed_correlates_most_without_its_row():
    X, y = data(3)
    K = ref.center_kernel(y @ y.T)
    best = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(len(X)):
            cca = PrimalDualSparseCCA(seeds=[k]).fit(X, y)
            u = np.delete((X - X.mean(axis=0)) @ cca.coef_[:, 0], k)
            v = np.delete(K @ cca.dual_coef_[:, 0], k)
            best.append(np.corrcoef(u, v)[0, 1] if u.any() else -1)
    cca = PrimalDualSparseCCA(n_candidates=None, random_state=0).fit(X, y)
    assert cca.seeds_[0] == np.argmax(best)
    few = PrimalDualSparseCCA(n_candidates=5, random_state=0)
    assert cca.correlations_[0] >= 0.5 and few.fit(X, y).seeds_[0] >= 0


def test_a_planted_outlier_is_not_chosen_as_its_own_proof():
    """A row that is extreme in both views correlates them by itself; chosen with its
    own row counted, it would win, and the shared block would be missed."""
    X, y = data(4, rank=1)
    X[7, 39] += 60.0
    y[7, 29] += 60.0
    cca = PrimalDualSparseCCA(n_candidates=None, random_state=0).fit(X, y)
    assert cca.seeds_[0] != 7
    assert set(np.argsort(-np.abs(cca.coef_[:, 0]))[:3]) <= set(range(5))
    seventh = PrimalDualSparseCCA(seeds=[7]).fit(X, y)
    assert seventh.correlations_[0] > 0.95 > cca.correlations_[0]


def test_candidates_in_parallel_give_the_same_bits():
    X, y = data(5)
    options = {"seeds": "max_corr", "n_candidates": 6, "random_state": 0}
    one = PrimalDualSparseCCA(2, **options).fit(X, y)
    two = PrimalDualSparseCCA(2, n_jobs=2, **options).fit(X, y)
    assert_array_equal(one.coef_, two.coef_)
    assert_array_equal(one.y_weights_, two.y_weights_)


def test_random_seeds_are_distinct_and_drawn_by_random_state():
    X, y = data(6)
    fits = [
        PrimalDualSparseCCA(10, seeds="random", random_state=s, alpha=0.3).fit(X, y)
        for s in (0, 0, 1)
    ]
    assert np.unique(fits[0].seeds_).size == 10
    assert_array_equal(fits[0].seeds_, fits[1].seeds_)
    assert not np.array_equal(fits[0].seeds_, fits[2].seeds_)


def test_signs_follow_the_seed():
    X, y = data()
    cca = PrimalDualSparseCCA(3, seeds=SEEDS).fit(X, y)
    assert cca.dual_coef_.min() == 0
    assert np.all(cca.dual_coef_[SEEDS, range(3)] > 0)


def test_no_relation_scores_negative_at_every_rank():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, y = rng.standard_normal((80, 50)), rng.standard_normal((80, 40))
        for rank in (1, 3, 5):
            for seeds in ("random", "max_corr"):
                cca = PrimalDualSparseCCA(
                    rank, seeds=seeds, n_candidates=5, random_state=0
                )
                assert cross_val_score(cca, X, y, cv=3).mean() < 0


def test_stopping_early_is_reported():
    X, y = data()
    with pytest.warns(ConvergenceWarning, match="max_iter=2 .* duality gap .* tol="):
        cca = PrimalDualSparseCCA(seeds=[3], max_iter=2, alpha=0.1).fit(X, y)
    assert cca.dual_gap_[0] > 1e-6 * cca.objective_[0] and cca.n_iter_ == 2


def test_step_of_a_pipeline():
    X, y = data()
    model = make_pipeline(PrimalDualSparseCCA(2, seeds=SEEDS), Ridge(1e-3))
    assert model.fit(X, y).predict(X).shape == y.shape
    one = PrimalDualSparseCCA(seeds=[2]).fit(X, y[:, 0])
    assert one.predict(X).shape == (60,)
    frame = PrimalDualSparseCCA(2, seeds=SEEDS).set_output(transform="pandas")
    names = ["primaldualsparsecca0", "primaldualsparsecca1"]
    assert list(frame.fit_transform(X, y).columns) == names


def test_components_are_logged(caplog):
    X, y = data()
    with caplog.at_level(logging.INFO, logger="skstruct.cross_decomposition"):
        PrimalDualSparseCCA(2, seeds=SEEDS, verbose=1).fit(X, y)
    assert len(caplog.records) == 2


def test_a_callback_stops_between_components():
    pytest.importorskip("sklearn.callback")

    class StopAtTwo:
        seen = 0

        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            if context.task_name == "iteration":
                self.seen += 1
                return self.seen == 2
            return False

        def teardown(self, estimator, context):
            pass

    X, y = data()
    cca = PrimalDualSparseCCA(3, seeds=SEEDS).set_callbacks(StopAtTwo()).fit(X, y)
    assert cca.n_components_ == 2 and cca.transform(X).shape == (60, 3)
    assert not cca.transform(X)[:, 2].any()


def test_precomputed_kernel_in_a_grid_search():
    X, y = data()
    search = GridSearchCV(
        PrimalDualSparseCCA(kernel="precomputed", random_state=0),
        {"n_components": [1, 2]},
        error_score="raise",
    )
    with pytest.raises(ValueError, match=r"shape \(48, 60\).*48 .*GridSearchCV"):
        search.fit(X, y @ y.T)


K = np.eye(60)


@pytest.mark.parametrize(
    ("params", "change", "message"),
    [
        ({}, lambda X, y: (X[:-1], y), "inconsistent numbers of samples"),
        ({}, lambda X, y: (np.where(X > 4, np.nan, X), y), "X contains NaN"),
        ({}, lambda X, y: (X, np.where(y > 0, np.inf, y)), "y contains infinity"),
        ({}, lambda X, y: (X[:1], y[:1]), "minimum of 2 is required"),
        ({}, lambda X, y: (X, None), "requires y to be passed"),
        ({"n_components": 31}, lambda X, y: (X, y),
         r"n_components=31 must be at most min\(n_features, n_samples - 1, n_targets"),
        ({"n_components": 40, "kernel": "rbf"}, lambda X, y: (X[:20], y[:20]),
         r"n_components=40 must be at most min\(n_features, n_samples - 1\)=19"),
        ({"n_components": 2}, lambda X, y: (X, y[:, 0]), "n_targets.=1"),
        ({"kernel": "precomputed"}, lambda X, y: (X, y),
         r"shape \(60, 30\).*GridSearchCV"),
        ({"kernel": "precomputed"}, lambda X, y: (X, K + np.eye(60, k=1)),
         r"symmetric, but entry \(0, 1\) of K is 1 and entry \(1, 0\) is 0"),
        ({"kernel": "poly", "degree": 300}, lambda X, y: (X, y), "not finite"),
        ({"seeds": [0, 60]}, lambda X, y: (X, y), "between 0 and n_samples - 1=59"),
        ({"seeds": [0, -1]}, lambda X, y: (X, y), "between 0 and"),
        ({"seeds": [4, 4]}, lambda X, y: (X, y), "distinct"),
        ({"seeds": [4], "n_components": 2}, lambda X, y: (X, y),
         "1 entries, which is fewer than n_components=2"),
        ({"seeds": [0.5]}, lambda X, y: (X, y), "list of row numbers"),
        ({"alpha": 0}, lambda X, y: (X, y), "'alpha' parameter"),
        ({"alpha_dual": 0.0}, lambda X, y: (X, y), "'alpha_dual' parameter"),
        ({"trade_off": 1.0}, lambda X, y: (X, y), "'trade_off' parameter"),
        ({"kernel": "unknown"}, lambda X, y: (X, y), "'kernel' parameter"),
        ({"seeds": "best"}, lambda X, y: (X, y), "'seeds' parameter"),
    ],
)  # fmt: skip
def test_bad_input(params, change, message):
    X, y = change(*data())
    with pytest.raises(ValueError, match=message):
        PrimalDualSparseCCA(**params).fit(X, y)


def test_bad_new_rows():
    X, y = data()
    cca = PrimalDualSparseCCA(random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="y has 29 columns, .* fitted with 30"):
        cca.transform(X, y[:, 1:])
    with pytest.raises(ValueError, match="39 features"):
        cca.score(X[:, 1:], y)
    kernel = PrimalDualSparseCCA(kernel="precomputed", random_state=0).fit(X, y @ y.T)
    with pytest.raises(ValueError, match="y has 59 columns, .* fitted with 60"):
        kernel.score(X[:5], (y @ y.T)[:5, 1:])


@pytest.mark.parametrize(
    ("name", "n_train", "words", "low"), [("fr", 200, 110, 0.80), ("es", 100, 60, 0.76)]
)
def test_retrieval_of_translated_manual_pages(name, n_train, words, low):
    """The range of the published prototype, 0.82-0.89, less the spread of seeds."""
    with np.load(
        shared_data("manpages_bitext", f"en_{name}.npz"), allow_pickle=True
    ) as f:
        views = [
            sparse.csr_array(
                (f[f"{lang}_data"], f[f"{lang}_indices"], f[f"{lang}_indptr"]),
                shape=tuple(f[f"{lang}_shape"]),
            )
            for lang in ("en", name)
        ]
    order = np.random.default_rng(0).permutation(views[0].shape[0])
    train, test = order[:n_train], order[n_train:]
    weighting = [TfidfTransformer().fit(view[train]) for view in views]
    train, test = (
        [tfidf.transform(view[rows]) for tfidf, view in zip(weighting, views)]
        for rows in (train, test)
    )
    cca = PrimalDualSparseCCA(40, random_state=0).fit(*train)
    found = mate_retrieval_score(*cca.transform(*test))
    assert min(found.a_to_b, found.b_to_a) >= low
    assert np.median(cca.n_nonzero_) <= words
    assert np.all(cca.dual_gap_ <= 1e-6 * cca.objective_)
