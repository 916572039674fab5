"""IncrementalGaussianMixture: streams, inference, bad input."""

import ast
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.preprocessing import StandardScaler

import skstruct
from skstruct.datasets import make_gaussian_stream
from skstruct.mixture import IncrementalGaussianMixture
from tests._data import shared_data
from tests.reference import mixture as ref


@pytest.fixture(scope="module")
def fitted():
    X = make_gaussian_stream(600, 5, n_components=3, random_state=0).X
    return X, IncrementalGaussianMixture(delta=0.5, beta=1e-4).fit(X)


@pytest.mark.parametrize("solver", ["precision", "cholesky"])
@pytest.mark.parametrize("chunks", [2, 7, 600])
def test_any_chunking_equals_fit(solver, chunks):
    X = make_gaussian_stream(600, 5, random_state=1).X
    # A first row with holes would be filled with the means of its batch.
    X[10::50, 2] = np.nan
    options = {"beta": 0.01, "solver": solver, "forgetting": 0.999, "v_min": 50}
    options.update(init_variance=np.full(5, 2.0), missing="marginal")
    whole = IncrementalGaussianMixture(**options).fit(X)
    parts = IncrementalGaussianMixture(**options)
    for batch in np.array_split(X, chunks):
        parts.partial_fit(batch)
    assert parts.n_components_ == whole.n_components_ > 3
    assert parts.n_samples_seen_ == 600
    for name in ("means_", "precisions_", "counts_", "log_dets_", "ages_"):
        assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-9)
    assert_allclose(parts.score_samples(X), whole.score_samples(X), rtol=1e-9)


def test_fit_then_partial_fit_equals_fit_on_everything():
    X = make_gaussian_stream(400, 3, random_state=2).X
    model = IncrementalGaussianMixture(init_variance=0.5)
    first = IncrementalGaussianMixture(init_variance=0.5).fit(X[:150])
    assert_allclose(
        first.partial_fit(X[150:]).precisions_, model.fit(X).precisions_, rtol=1e-9
    )


def test_scaling_of_features_changes_no_label():
    X = make_gaussian_stream(800, 4, random_state=0).X
    X[:200, 1] = X[0, 1]
    scale = 10.0 ** np.array([-6, 0, 3, 8])
    for options in ({}, {"refine": 3}, {"reg_covar": 1e-2, "solver": "cholesky"}):
        plain = IncrementalGaussianMixture(**options).fit(X)
        scaled = IncrementalGaussianMixture(**options).fit(X * scale)
        assert_array_equal(plain.predict(X), scaled.predict(X * scale))
        assert_allclose(
            plain.score(X), scaled.score(X * scale) + np.log(scale).sum(), rtol=1e-8
        )


def test_densities_equal_those_of_explicit_covariances(fitted):
    X, model = fitted
    want = ref.log_density(X, model.weights_, model.means_, model.covariances_)
    assert_allclose(model.score_samples(X), want, atol=1e-10)
    assert model.score(X) == pytest.approx(want.mean())
    D2 = model.mahalanobis(X)
    e = X[:, None] - model.means_
    assert_allclose(D2, np.einsum("nki,kij,nkj->nk", e, model.precisions_, e))
    proba = model.predict_proba(X)
    assert_allclose(proba.sum(axis=1), 1)
    assert_array_equal(proba.argmax(axis=1), model.predict(X))
    K, D = model.means_.shape
    n_parameters = K * (D + D * (D + 1) / 2) + K - 1
    assert model.aic(X) == pytest.approx(2 * n_parameters - 2 * want.sum())
    assert model.bic(X) == pytest.approx(n_parameters * np.log(600) - 2 * want.sum())


@pytest.mark.parametrize("known", [[3], [0, 4], [4, 1, 0], [0, 1, 2, 3], []])
@pytest.mark.parametrize("solver", ["precision", "cholesky"])
def test_conditionals_equal_those_of_explicit_covariances(known, solver):
    """Weights, means, covariances and the marginal density, to 1e-10."""
    X = make_gaussian_stream(300, 5, n_components=3, random_state=0).X
    model = IncrementalGaussianMixture(beta=1e-4, solver=solver).fit(X)
    parts = model.weights_, model.means_, model.covariances_
    if not known:
        holes = np.full((2, 5), np.nan)
        prior_mean = model.weights_ @ model.means_
        assert_allclose(model.predict_missing(holes), [prior_mean] * 2)
        return
    found = model.conditional(known, X[:6, known])
    for i in range(6):
        r, means, covs = ref.conditional(X[i, known], np.array(known), *parts)
        assert_allclose(found.weights_[i], r, atol=1e-10)
        assert_allclose(found.means_[i], means, atol=1e-10)
        assert_allclose(found.covariances_, covs, atol=1e-10)
        mean = r @ means
        between = means - mean
        cov = np.tensordot(r, covs, axes=1) + (between.T * r) @ between
        assert_allclose(found.mean()[i], mean, atol=1e-10)
        assert_allclose(found.covariance()[i], cov, atol=1e-10)
        assert_allclose(found.std()[i], np.sqrt(np.diag(cov)), atol=1e-10)
        marginal = ref.log_density(
            X[i : i + 1, known],
            parts[0],
            parts[1][:, known],
            parts[2][:, known][:, :, known],
        )
        assert_allclose(found.log_density_[i], marginal[0], atol=1e-10)
    # p(known) p(unknown | known) = p(all)
    unknown = np.setdiff1d(np.arange(5), known)
    assert_allclose(
        found.log_density_ + found.score_samples(X[:6, unknown]),
        model.score_samples(X[:6]),
        atol=1e-10,
    )


def test_conditional_samples_have_the_conditional_moments(fitted):
    X, model = fitted
    found = model.conditional([0, 1], np.repeat(X[:1, :2], 20_000, axis=0))
    drawn = found.sample(random_state=0)
    assert_allclose(drawn.mean(axis=0), found.mean()[0], atol=0.1)
    assert_allclose(np.cov(drawn.T), found.covariance()[0], rtol=0.1, atol=0.1)


def test_known_variables_by_mask_and_name(fitted):
    pd = pytest.importorskip("pandas")
    X, model = fitted
    want = model.conditional([1, 3], X[:3, [1, 3]]).mean()
    mask = np.array([False, True, False, True, False])
    assert_allclose(model.conditional(mask, X[:3, [1, 3]]).mean(), want)
    named = IncrementalGaussianMixture(delta=0.5, beta=1e-4).fit(
        pd.DataFrame(X, columns=list("abcde"))
    )
    assert_allclose(named.conditional(["b", "d"], X[:3, [1, 3]]).mean(), want)
    with pytest.raises(ValueError, match="names that fit did not see: \\['z'\\]"):
        named.conditional(["z"], X[:3, :1])


def test_predict_missing_fills_conditional_means(fitted):
    X, model = fitted
    Y = X[:40].copy()
    rng = np.random.default_rng(0)
    holes = rng.random(Y.shape) < 0.4
    Y[holes] = np.nan
    before = Y.copy()
    filled = model.predict_missing(Y)
    assert_array_equal(Y, before)
    assert_array_equal(filled[~holes], X[:40][~holes])
    for i in range(40):
        if holes[i].any() and not holes[i].all():
            known = np.flatnonzero(~holes[i])
            want = model.conditional(known, X[i : i + 1, known]).mean()[0]
            assert_allclose(filled[i, holes[i]], want)
    assert_array_equal(model.impute(Y), filled)
    error = np.mean((filled - X[:40])[holes] ** 2)
    assert error < 0.5 * np.mean((X.mean(axis=0) - X[:40])[holes] ** 2)


def test_marginal_densities_of_rows_with_holes():
    X = make_gaussian_stream(300, 3, random_state=0).X
    model = IncrementalGaussianMixture(missing="marginal").fit(X)
    Y = X[:5].copy()
    Y[:, 1] = np.nan
    want = model.conditional([0, 2], X[:5][:, [0, 2]]).log_density_
    assert_allclose(model.score_samples(Y), want)
    assert_allclose(model.predict_proba(Y).sum(axis=1), 1)


def test_learning_with_holes_keeps_the_spread():
    """Filling alone would shrink the covariance; the expectation step does not."""
    rng = np.random.default_rng(0)
    C = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, 0.3], [0.0, 0.3, 1.0]])
    X = rng.multivariate_normal([1, 2, 3], C, size=4000)
    X[rng.random(X.shape) < 0.3] = np.nan
    model = IncrementalGaussianMixture(
        beta=0, missing="marginal", init_variance=1.0
    ).fit(X)
    # The pass fills early rows from a rough estimate: a bias of a few per cent.
    assert_allclose(model.covariances_[0], C, atol=0.1)
    assert_allclose(model.means_[0], [1, 2, 3], atol=0.06)
    refined = IncrementalGaussianMixture(
        beta=0, missing="marginal", init_variance=1.0, refine=10
    ).fit(X)
    assert np.abs(refined.covariances_[0] - C).max() < 0.08


def test_sampling_returns_the_mixture():
    X = make_gaussian_stream(2000, 3, n_components=2, random_state=3).X
    model = IncrementalGaussianMixture(delta=0.3, beta=1e-6, refine=5).fit(X)
    drawn, labels = model.sample(20_000, random_state=0)
    assert drawn.shape == (20_000, 3)
    assert_allclose(np.bincount(labels) / 20_000, model.weights_, atol=0.02)
    assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=0.15)
    again, _ = model.set_params(random_state=0).sample(20_000)
    assert_array_equal(again, drawn)


def test_forgetting_follows_a_drift():
    data = make_gaussian_stream(4000, 4, n_components=1, drift=40.0, random_state=0)
    scores = {}
    for f in (1.0, 0.98):
        model = IncrementalGaussianMixture(beta=0, forgetting=f, init_variance=1.0)
        scores[f] = model.fit(data.X).means_[0]
    behind = {f: np.linalg.norm(m - data.final_means[0]) for f, m in scores.items()}
    assert behind[0.98] < 1.5
    assert behind[1.0] > 15


@pytest.mark.parametrize("seed", range(3))
def test_one_pass_comes_close_to_batch_em(seed):
    """Within 0.05 nats after a grid on a part of the training rows; with refinement
    within 0.01, and the planted number of components."""
    X = make_gaussian_stream(12_000, 8, random_state=seed).X
    train, test = X[:6000], X[6000:]
    em = GaussianMixture(5, n_init=3, random_state=0).fit(train).score(test)
    search = GridSearchCV(
        IncrementalGaussianMixture(),
        {"delta": np.sqrt([0.1, 0.3, 1.0]), "beta": [0, 1e-9, 1e-6, 1e-3]},
        cv=[(np.arange(4500), np.arange(4500, 6000))],
    ).fit(train)
    assert search.score(test) > em - 0.05
    refined = IncrementalGaussianMixture(delta=0.3, beta=1e-6, refine=10).fit(train)
    assert refined.score(test) > em - 0.01
    assert refined.n_components_ == 5
    assert refined.n_created_ > 5


def test_grid_search_over_the_cap():
    X = make_gaussian_stream(3000, 4, n_components=3, random_state=5).X
    search = GridSearchCV(
        IncrementalGaussianMixture(beta=1e-6),
        {"max_components": [1, 2, 3, 6], "delta": [0.1, 0.3, 1.0]},
        cv=KFold(3),
    ).fit(X)
    assert search.best_params_["max_components"] >= 3
    assert search.best_estimator_.n_components_ <= 6


def test_refinement_never_lowers_its_objective():
    X = make_gaussian_stream(2000, 5, separation=1.5, random_state=0).X
    model = IncrementalGaussianMixture(delta=1.0, beta=1e-3, refine=25).fit(X)
    curve = model.refine_objective_
    assert curve.shape == (25,)
    assert np.all(np.diff(curve) > -1e-9 * abs(curve[0]))
    weights = np.ones(len(X))
    weights[1::2] = 0
    half = IncrementalGaussianMixture(
        init_variance=model.init_variance_, beta=1e-3, refine=5
    )
    a = half.fit(X, sample_weight=weights).score(X)
    assert a == pytest.approx(half.fit(X[::2]).score(X), abs=1e-9)


def test_merging_reaches_a_number_and_keeps_moments():
    X = make_gaussian_stream(3000, 3, n_components=3, random_state=1).X
    model = IncrementalGaussianMixture(delta=0.2, beta=1e-4).fit(X)
    assert model.n_components_ > 3

    def moments(m):
        mean = m.weights_ @ m.means_
        second = m.covariances_ + m.means_[:, :, None] * m.means_[:, None, :]
        return mean, np.tensordot(m.weights_, second, axes=1)

    before, total = moments(model), model.counts_.sum()
    model.merge_components(3)
    assert model.n_components_ == 3
    assert_allclose(model.counts_.sum(), total)
    for a, b in zip(moments(model), before):
        assert_allclose(a, b, atol=1e-9)
    assert model.merge_components(threshold=1e-6).n_components_ == 3
    assert model.merge_components(1).n_components_ == 1
    model.partial_fit(X[:10])
    with pytest.raises(ValueError, match="needs n_components or threshold"):
        model.merge_components()


def _data_sets():
    for load in (load_iris, load_wine, load_breast_cancer):
        yield load.__name__, lambda load=load: load().data
    for name in ("ecoli", "ionosphere", "vehicle"):
        yield name, lambda name=name: _uci(name)[0]


def _uci(name):
    path = shared_data("figmn_uci", f"{name}.csv")
    table = np.genfromtxt(path, delimiter=",", dtype=str, skip_header=1)
    return table[:, :-1].astype(float), table[:, -1]


@pytest.mark.parametrize(("name", "load"), list(_data_sets()))
@pytest.mark.parametrize("update", ["exact", "igmn"])
def test_every_precision_is_positive_definite(name, load, update):
    X = StandardScaler().fit_transform(load())
    for phi in (0.01, 0.1, 0.5, 1.0, 4.0):
        for beta in (0, 1e-6, 1e-2):
            model = IncrementalGaussianMixture(
                delta=phi**0.5, beta=beta, update=update, max_components=60
            )
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                model.fit(X)
            np.linalg.cholesky(model.precisions_)
            assert np.isfinite(model.score(X))


def test_published_program_would_lose_what_ours_keeps():
    """On breast-cancer the published step must give way at many points."""
    X = StandardScaler().fit_transform(load_breast_cancer().data)
    model = IncrementalGaussianMixture(delta=0.5**0.5, update="igmn").fit(X)
    assert model.n_fallbacks_ >= 20
    assert IncrementalGaussianMixture(delta=0.5**0.5).fit(X).n_fallbacks_ == 0


def test_constant_features_and_repeated_points_are_finite():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    X[:, 1] = 0.1
    same = np.repeat([[1.0, 2.0]], 300, axis=0)
    for solver in ("precision", "cholesky"):
        for data in (X, same):
            model = IncrementalGaussianMixture(solver=solver).fit(data)
            assert np.isfinite(model.score_samples(data)).all()
            assert np.all(model.init_variance_ > 0)


@pytest.mark.parametrize("scale", [1e-155, 1e-150, 1e90, 1e98])
def test_hostile_scales_stay_finite(scale):
    X = scale * make_gaussian_stream(150, 4, n_components=2, random_state=0).X
    holes = np.where(np.eye(150, 4) > 0, np.nan, X)
    for options in (
        {},
        {"solver": "cholesky"},
        {"refine": 2},
        {"update": "igmn"},
        {"reg_covar": 0.0},
    ):
        model = IncrementalGaussianMixture(**options).fit(X)
        for found in (
            model.score_samples(X),
            model.predict_missing(holes),
            model.covariances_,
        ):
            assert np.isfinite(found).all()
    far = model.predict_proba(np.full((1, 4), 1e99))
    assert_allclose(far.sum(), 1)


def test_unit_weights_and_zero_weights():
    X = make_gaussian_stream(300, 3, random_state=0).X
    options = {"init_variance": 1.0}
    plain = IncrementalGaussianMixture(**options).fit(X)
    ones = IncrementalGaussianMixture(**options).fit(X, sample_weight=np.ones(300))
    assert_array_equal(plain.precisions_, ones.precisions_)
    weights = np.tile([1.0, 0.0], 150)
    half = IncrementalGaussianMixture(**options).fit(X, sample_weight=weights)
    assert_array_equal(
        half.means_, IncrementalGaussianMixture(**options).fit(X[::2]).means_
    )


def test_single_row_with_known_variance():
    model = IncrementalGaussianMixture(init_variance=[1.0, 4.0]).partial_fit([[1, 2]])
    assert model.n_components_ == 1
    want = multivariate_normal([1, 2], [[1, 0], [0, 4]]).logpdf([0, 0])
    assert_allclose(model.score_samples([[0, 0]]), want)


def test_bad_input_is_named():
    X = np.random.default_rng(0).standard_normal((20, 3))
    new = IncrementalGaussianMixture
    hole = X.copy()
    hole[3, 1] = np.nan
    cases = [
        (lambda: new().fit(hole), "NaN"),
        (lambda: new().fit(np.where(np.isnan(hole), np.inf, hole)), "infinity"),
        (lambda: new().fit(X * 1e150), "at most 1e\\+100"),
        (lambda: new().fit(X[:1]), "n_samples=1"),
        (lambda: new().partial_fit(X[:1]), "give init_variance"),
        (lambda: new().fit(X).partial_fit(X[:, :2]), "2 features"),
        (lambda: new().fit(X, sample_weight=-np.ones(20)), "value -1.0 in row 0"),
        (lambda: new().fit(X, sample_weight=np.zeros(20)), "zero in all rows"),
        (lambda: new().fit(X, sample_weight=np.ones(3)), r"expected \(20,\)"),
        (lambda: new(init_variance=[1, 2]).fit(X), r"shape \(3,\)"),
        (lambda: new(init_variance=[1, -2, 1]).fit(X), "-2.0 in column 1"),
        (lambda: new(delta=0).fit(X), "'delta' parameter"),
        (lambda: new(beta=2).fit(X), "'beta' parameter"),
        (lambda: new(update="igmn", solver="cholesky").fit(X), "needs solver="),
        (
            lambda: new().fit(X).set_params(solver="cholesky").partial_fit(X),
            "solver must not change",
        ),
        (lambda: new().fit(X).conditional([0, 1, 2], X), "none is unknown"),
        (lambda: new().fit(X).conditional([5], X[:, :1]), "n_features_in_=3"),
        (lambda: new().fit(X).conditional([0], X[:, :2]), "2 columns"),
        (lambda: new().fit(X).conditional([True], X[:, :2]), r"shape \(3,\)"),
        (lambda: new().fit(X).sample(0), "n_samples=0"),
        (lambda: new().fit(X).merge_components(0), "n_components=0"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="must be integers"):
        new().fit(X).conditional([0.5], X[:, :1])


def test_kernels_as_plain_python_equal_the_compiled_ones():
    """The same numbers without compilation, where indices out of range would raise."""
    code = """
        import numpy as np
        from skstruct.datasets import make_gaussian_stream
        from skstruct.mixture import IncrementalGaussianMixture
        from skstruct.mixture import _stream
        X = make_gaussian_stream(120, 3, random_state=0).X
        out = []
        for options in ({}, {"solver": "cholesky"}, {"update": "igmn"},
                        {"assignment": "hard", "forgetting": 0.98, "v_min": 9},
                        {"reg_covar": 0.5}, {"refresh_every": 7}):
            model = IncrementalGaussianMixture(beta=0.01, **options).fit(X)
            out += [model.score(X), model.log_dets_.sum(), model.n_created_]
        _stream.BLOCK_FROM = 1
        model = IncrementalGaussianMixture(beta=0.01, v_min=9).fit(X)
        out += [model.score(X), model.n_pruned_]
        print(repr([float(v) for v in out]))
    """
    root = Path(skstruct.__file__).parents[1]
    found = []
    for plain in ("1", "0"):
        env = {**os.environ, "PYTHONPATH": str(root), "NUMBA_DISABLE_JIT": plain}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(ast.literal_eval(done.stdout))
    assert_allclose(*found, rtol=1e-9)


def test_callbacks_see_the_pass_and_the_steps_and_can_stop():
    pytest.importorskip("sklearn.callback")

    class StopAtThree:
        max_estimator_depth = 0

        def __init__(self):
            self.seen = 0

        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            if context.task_name == "iteration":
                self.seen += 1
                return self.seen == 3
            return False

        def teardown(self, estimator, context):
            pass

    X = make_gaussian_stream(200, 2, random_state=0).X
    stop = StopAtThree()
    model = IncrementalGaussianMixture(refine=9).set_callbacks(stop).fit(X)
    assert stop.seen == 3
    # The first report is the pass itself.
    assert model.refine_objective_.shape == (2,)


def test_verbose_goes_to_the_log(caplog):
    X = make_gaussian_stream(200, 2, random_state=0).X
    with caplog.at_level("INFO", logger="skstruct.mixture"):
        IncrementalGaussianMixture(refine=2, verbose=1).fit(X)
    assert [r.name for r in caplog.records] == ["skstruct.mixture"] * 3
