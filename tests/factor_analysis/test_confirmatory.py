"""Confirmatory factor analysis against lavaan, derivatives and closed forms."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from skstruct.datasets import load_holzinger_swineford, make_factor_model
from skstruct.factor_analysis import ConfirmatoryFactorAnalysis
from skstruct.factor_analysis._kernels import drop_losses, em_rows, row_score_tests
from skstruct.factor_analysis._missing import MissingLikelihood
from skstruct.factor_analysis._moments import Moments
from skstruct.factor_analysis._solver import (
    LeastSquares,
    Likelihood,
    Params,
    Quadratic,
    Support,
    _slopes,
    covariance,
    expectation,
    hessian,
    m_step,
    precision,
    run_em,
    run_lbfgs,
    run_newton,
    standard_start,
)
from tests.factor_analysis.lavaan_reference import LAVAAN

THREE = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def _hs():
    return load_holzinger_swineford().data


def _on_pattern(table, mask):
    return table[mask]


# lavaan ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 0])
def test_agrees_with_lavaan(seed):
    X = _hs()
    if seed is not None:
        X = np.random.default_rng(seed).permutation(X)
    cfa = ConfirmatoryFactorAnalysis(THREE).fit(X)
    found = cfa.fit_indices()
    for name, value in {
        "chi2": 85.305522,
        "dof": 24,
        "cfi": 0.930560,
        "tli": 0.895839,
        "rmsea": 0.092121,
        "rmsea_ci_lower": 0.071418,
        "rmsea_ci_upper": 0.113678,
        "srmr": 0.065205,
        "loglike": -3737.744927,
        "aic": 7517.489853,
        "bic": 7595.339169,
    }.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    errors = cfa.standard_errors()
    upper = np.triu_indices(3, 1)
    # lavaan's own optimizer stops at about 4e-6.
    for got, name in [
        (cfa.loadings_[cfa.support_], "loadings"),
        (errors["loadings"][cfa.support_], "loadings_se"),
        (cfa.noise_variance_, "noise"),
        (errors["noise_variance"], "noise_se"),
        (cfa.factor_corr_[upper], "corr"),
        (errors["factor_corr"][upper], "corr_se"),
    ]:
        np.testing.assert_allclose(got, LAVAAN[name], atol=1e-5, err_msg=name)
    assert np.isnan(errors["loadings"][~cfa.support_]).all()


def test_standardised_and_observed_errors_agree_with_lavaan():
    cfa = ConfirmatoryFactorAnalysis(THREE).fit(_hs())
    s = cfa.standard_errors(standardized=True)
    np.testing.assert_allclose(
        s["loadings"][cfa.support_], LAVAAN["std_loadings_se"], atol=1e-5
    )
    np.testing.assert_allclose(s["noise_variance"], LAVAAN["std_noise_se"], atol=1e-5)
    o = cfa.standard_errors(information="observed")
    np.testing.assert_allclose(
        o["loadings"][cfa.support_], LAVAAN["observed_loadings_se"], atol=1e-5
    )
    np.testing.assert_allclose(
        o["noise_variance"], LAVAAN["observed_noise_se"], atol=1e-5
    )


def test_modification_indices_agree_with_lavaan():
    cfa = ConfirmatoryFactorAnalysis(THREE).fit(_hs())
    found = cfa.modification_indices()
    assert np.array_equal(np.isnan(found), cfa.support_)
    np.testing.assert_allclose(found.T[~cfa.support_.T], LAVAAN["mi"], atol=2e-4)
    assert found[8, 0] == pytest.approx(36.411, abs=1e-3)
    assert found[6, 0] == pytest.approx(18.631, abs=1e-3)


def test_least_squares_agrees_with_lavaan():
    cfa = ConfirmatoryFactorAnalysis(THREE, method="uls").fit(_hs())
    assert cfa.fit_indices()["chi2"] == pytest.approx(72.0982, abs=1e-4)
    assert cfa.fit_indices()["baseline_chi2"] == pytest.approx(1880.152, abs=1e-3)
    np.testing.assert_allclose(
        cfa.loadings_[cfa.support_], LAVAAN["uls_loadings"], atol=1e-5
    )
    np.testing.assert_allclose(cfa.noise_variance_, LAVAAN["uls_noise"], atol=1e-5)


def _with_holes():
    X = _hs()
    for i in range(1, 10):
        X[i - 1 :: 7 + i, i - 1] = np.nan
    return X


def test_full_information_agrees_with_lavaan():
    cfa = ConfirmatoryFactorAnalysis(THREE, missing="fiml").fit(_with_holes())
    found = cfa.fit_indices()
    for name, value in {
        "chi2": 82.037827,
        "baseline_chi2": 801.798655,
        "cfi": 0.924213,
        "tli": 0.886319,
        "rmsea": 0.089633,
        "loglike": -3426.071349,
    }.items():
        assert found[name] == pytest.approx(value, abs=1e-4), name
    errors = cfa.standard_errors(information="observed")
    for got, name in [
        (cfa.loadings_[cfa.support_], "fiml_loadings"),
        (cfa.noise_variance_, "fiml_noise"),
        (cfa.mean_, "fiml_mean"),
        (errors["loadings"][cfa.support_], "fiml_loadings_se"),
        (errors["noise_variance"], "fiml_noise_se"),
    ]:
        np.testing.assert_allclose(got, LAVAAN[name], atol=3e-5, err_msg=name)
    with pytest.raises(ValueError, match="Modification indices"):
        cfa.modification_indices()


def test_full_information_without_holes_is_maximum_likelihood():
    X = _hs()
    a = ConfirmatoryFactorAnalysis(THREE).fit(X)
    b = ConfirmatoryFactorAnalysis(THREE, missing="fiml").fit(X)
    np.testing.assert_array_equal(a.loadings_, b.loadings_)


# Derivatives -------------------------------------------------------------------


def _problem(seed=0, p=7, d=3):
    rng = np.random.default_rng(seed)
    mask = rng.random((p, d)) < 0.5
    mask[np.arange(d), np.arange(d)] = True
    A = rng.standard_normal((p, 2 * p))
    S = A @ A.T / (2 * p)
    corr = np.corrcoef(rng.standard_normal((d, 8)))
    params = Params(mask * rng.uniform(0.2, 0.9, (p, d)), corr, rng.uniform(0.3, 1, p))
    return S, Support(mask), params


def _vector(params, support):
    return np.concatenate(
        [
            params.loadings[support.rows, support.columns],
            params.noise,
            params.corr[support.upper],
        ]
    )


def _params(theta, support):
    nnz, p, d = support.nnz, support.p, support.d
    loadings = np.zeros((p, d))
    loadings[support.rows, support.columns] = theta[:nnz]
    corr = np.eye(d)
    corr[support.upper] = theta[nnz + p :]
    corr.T[support.upper] = corr[support.upper]
    return Params(loadings, corr, theta[nnz : nnz + p])


@pytest.mark.parametrize("kind", ["ml", "uls", "fiml"])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_and_hessian_are_the_derivatives(kind, seed):
    S, support, params = _problem(seed)
    if kind == "fiml":
        X = np.random.default_rng(seed).standard_normal((60, support.p))
        X[np.random.default_rng(seed + 1).random(X.shape) < 0.15] = np.nan
        problem = MissingLikelihood(X)
    else:
        problem = Likelihood(S) if kind == "ml" else LeastSquares(S)
    theta = _vector(params, support)
    steps = 1e-5 * np.eye(theta.size)

    def value(t):
        return problem.value(_params(t, support))

    def gradient(t):
        at = _params(t, support)
        return _slopes(problem.linearise(at)[0], at, support, False)[0]

    numeric = np.array([value(theta + h) - value(theta - h) for h in steps]) / 2e-5
    np.testing.assert_allclose(gradient(theta), numeric, atol=2e-7)
    twice = np.array([gradient(theta + h) - gradient(theta - h) for h in steps]) / 2e-5
    if kind == "fiml":
        found = 2 * problem.observed_information(params, support, False)[0]
    else:
        found = hessian(problem, params, support)
    np.testing.assert_allclose(found, twice, atol=2e-6)


def test_quadratic_form_is_its_trace():
    S, support, params = _problem(4)
    theta = _vector(params, support)
    steps = 1e-6 * np.eye(theta.size)
    slopes = [
        (
            covariance(_params(theta + h, support))
            - covariance(_params(theta - h, support))
        )
        / 2e-6
        for h in steps
    ]
    want = [[0.5 * np.sum((S @ a @ S) * b) for a in slopes] for b in slopes]
    np.testing.assert_allclose(Quadratic(params, support)(S), want, rtol=1e-6)


def test_expectation_agrees_with_dense_formulas():
    S, _, params = _problem(5)
    e = expectation(Moments(S), params)
    W = np.linalg.inv(covariance(params))
    np.testing.assert_allclose(precision(params), W, atol=1e-10)
    assert e.F == pytest.approx(-np.linalg.slogdet(W)[1] + np.sum(W * S))
    assert Likelihood(S).value(params) == pytest.approx(e.F)
    B = params.corr @ params.loadings.T @ W
    np.testing.assert_allclose(e.T, S @ B.T, atol=1e-10)
    np.testing.assert_allclose(
        e.C, params.corr - B @ params.loadings @ params.corr + B @ S @ B.T, atol=1e-10
    )


def test_moments_through_rows_and_through_the_matrix():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((10, 300)) / np.sqrt(10)
    A = rng.standard_normal((300, 40)) * (rng.random((300, 40)) < 0.05)
    S = Z.T @ Z
    for moments in (Moments(S), Moments(S, Z), Moments(None, Z)):
        np.testing.assert_allclose(moments.times(A), S @ A, atol=1e-10)
        np.testing.assert_allclose(moments.times(A[:, :2] + 1), S @ (A[:, :2] + 1))
        np.testing.assert_allclose(moments.block([1, 3], [0, 5]), S[[1, 3]][:, [0, 5]])
        np.testing.assert_allclose(moments.diag, np.diag(S))


# Kernels -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_row_kernels_equal_their_twins(seed):
    S, support, params = _problem(seed)
    e = expectation(Moments(S), params)
    mask, p, d = support.mask, support.p, support.d
    L, noise = np.zeros((p, d)), np.empty(p)
    floor = np.full(p, 1e-3)
    em_rows(e.C, e.T, support.indptr, support.columns, np.diag(S), floor, L, noise)
    losses = np.empty((p, d))
    drop_losses(L, e.C, noise, mask, losses)
    W = precision(params)
    G = params.loadings @ params.corr
    WG, GWG = W @ G, G.T @ W @ G
    slope = -(params.loadings @ e.C - e.T) / params.noise[:, None]
    tests = np.empty((p, d))
    row_score_tests(slope, np.diag(W).copy(), WG, GWG, mask, tests)
    for i in range(p):
        s = np.flatnonzero(mask[i])
        beta = np.linalg.solve(e.C[np.ix_(s, s)], e.T[i, s])
        np.testing.assert_allclose(L[i, s], beta, rtol=1e-8)
        assert noise[i] == pytest.approx(max(S[i, i] - beta @ e.T[i, s], 1e-3))
        inverse = np.linalg.inv(e.C[np.ix_(s, s)])
        for a, k in enumerate(s):
            loss = np.log1p(beta[a] ** 2 / (inverse[a, a] * noise[i]))
            assert losses[i, k] == pytest.approx(loss)
        w, wg = W[i, i], WG[i]
        H = np.empty((s.size + 1, s.size + 1))
        H[:-1, :-1] = w * GWG[np.ix_(s, s)] + np.outer(wg[s], wg[s])
        H[:-1, -1] = H[-1, :-1] = w * wg[s]
        H[-1, -1] = w**2 / 2
        for k in range(d):
            if mask[i, k]:
                assert losses[i, k] < np.inf and tests[i, k] == 0
                continue
            b = np.append(w * GWG[s, k] + wg[s] * wg[k], w * wg[k])
            left = w * GWG[k, k] + wg[k] ** 2 - b @ np.linalg.solve(H, b)
            assert tests[i, k] == pytest.approx(slope[i, k] ** 2 / left, rel=1e-6)
            assert losses[i, k] == np.inf


def test_profiled_score_tests_never_exceed_modification_indices():
    cfa = ConfirmatoryFactorAnalysis(THREE).fit(_hs())
    params = cfa._standardised_params()
    R = cfa.correlation_
    e = expectation(Moments(R), params)
    slope = -(params.loadings @ e.C - e.T) / params.noise[:, None]
    W = precision(params)
    G = params.loadings @ params.corr
    tests = np.empty((9, 3))
    row_score_tests(slope, np.diag(W).copy(), W @ G, G.T @ W @ G, cfa.support_, tests)
    off = ~cfa.support_
    assert np.all(301 * tests[off] <= cfa.modification_indices()[off] * (1 + 1e-6))


# Solvers -----------------------------------------------------------------------


def _planted(seed=0, n=400, **kwargs):
    data = make_factor_model(
        n,
        n_factors=3,
        items_per_factor=4,
        cross_loadings=1,
        random_state=seed,
        **kwargs,
    )
    R = np.corrcoef(data.X, rowvar=False)
    return R, Support(data.support), data


@pytest.mark.parametrize("orthogonal", [False, True])
def test_em_is_monotone(orthogonal):
    R, support, _ = _planted()
    moments, floor = Moments(R), np.full(12, 1e-4)
    params = standard_start(moments, support)
    values = []
    for _ in range(60):
        e = expectation(moments, params)
        values.append(e.F)
        params = m_step(moments, e, support, floor, orthogonal)
    assert np.all(np.diff(values) <= 1e-12)
    fast = run_em(
        moments, standard_start(moments, support), support, floor,
        n_steps=60, orthogonal=orthogonal,
    )  # fmt: skip
    assert fast.F <= values[-1] + 1e-12


@pytest.mark.parametrize("orthogonal", [False, True])
def test_all_solvers_reach_the_same_optimum(orthogonal):
    R, support, _ = _planted(1)
    moments, floor = Moments(R), np.full(12, 1e-4)
    start = standard_start(moments, support)
    em = run_em(
        moments, start, support, floor,
        n_steps=5000, tol=1e-14, orthogonal=orthogonal,
    )  # fmt: skip
    options = {"tol": 1e-13, "max_iter": 500, "orthogonal": orthogonal}
    newton = run_newton(Likelihood(R), em.params, support, floor, **options)
    rough = run_em(moments, start, support, floor, n_steps=5, orthogonal=orthogonal)
    lbfgs = run_lbfgs(moments, rough.params, support, floor, **options)
    assert newton.converged and lbfgs.converged
    for fit in (em, lbfgs):
        assert fit.F == pytest.approx(newton.F, abs=1e-9)
        np.testing.assert_allclose(fit.params.noise, newton.params.noise, atol=2e-4)


def test_estimates_are_scale_equivariant_and_follow_the_columns():
    X = _hs()
    rng = np.random.default_rng(0)
    s, shift, order = rng.uniform(0.01, 100, 9), rng.normal(size=9), rng.permutation(9)
    a = ConfirmatoryFactorAnalysis(THREE).fit(X)
    b = ConfirmatoryFactorAnalysis(THREE).fit(X * s + shift)
    np.testing.assert_allclose(b.loadings_, a.loadings_ * s[:, None], rtol=1e-6)
    np.testing.assert_allclose(b.noise_variance_, a.noise_variance_ * s**2, rtol=1e-6)
    where = np.argsort(order)
    c = ConfirmatoryFactorAnalysis([[int(where[i]) for i in f] for f in THREE])
    c.fit(X[:, order])
    np.testing.assert_allclose(c.loadings_, a.loadings_[order], atol=1e-7)
    flipped = ConfirmatoryFactorAnalysis(THREE).fit(-X)
    np.testing.assert_allclose(flipped.loadings_, a.loadings_, atol=1e-8)


def test_large_models_go_through_lbfgs():
    data = make_factor_model(300, n_factors=60, items_per_factor=5, random_state=0)
    cfa = ConfirmatoryFactorAnalysis(data.support, max_iter=500).fit(data.X)
    assert cfa._n_parameters() > 2000 and cfa.converged_
    on = data.support
    # Sampling error of a loading is about 0.05 at 300 rows.
    assert np.sqrt(np.mean((cfa.loadings_ - data.loadings)[on] ** 2)) < 0.08


def test_standard_errors_are_those_of_repeated_sampling():
    found, errors = [], []
    for seed in range(40):
        data = make_factor_model(300, n_factors=2, items_per_factor=3, random_state=5)
        rng = np.random.default_rng(seed)
        X = rng.multivariate_normal(np.zeros(6), data.covariance, size=300)
        cfa = ConfirmatoryFactorAnalysis(data.support).fit(X)
        found.append(cfa.loadings_[cfa.support_])
        errors.append(cfa.standard_errors()["loadings"][cfa.support_])
    ratio = np.std(found, axis=0) / np.mean(errors, axis=0)
    # 40 draws know a standard deviation to 11 %: three of these, on the mean.
    assert abs(np.mean(ratio) - 1) < 0.15


def test_full_information_beats_dropping_rows():
    gain = []
    for seed in range(5):
        data = make_factor_model(
            250, n_factors=2, items_per_factor=4, random_state=seed
        )
        X = data.X.copy()
        X[np.random.default_rng(seed).random(X.shape) < 0.2] = np.nan
        error = {}
        for missing in ("fiml", "listwise"):
            cfa = ConfirmatoryFactorAnalysis(data.support, missing=missing).fit(X)
            error[missing] = np.sum((cfa.loadings_ - data.loadings) ** 2)
        gain.append(error["listwise"] / error["fiml"])
    # A row is complete with probability .8^8 = .17.
    assert np.median(gain) > 2


# Rows --------------------------------------------------------------------------


def test_scores_and_density_agree_with_dense_formulas():
    X = _hs()
    cfa = ConfirmatoryFactorAnalysis(THREE).fit(X)
    sigma = cfa.get_covariance()
    np.testing.assert_allclose(cfa.get_precision(), np.linalg.inv(sigma), atol=1e-9)
    want = stats.multivariate_normal(cfa.mean_, sigma).logpdf(X)
    np.testing.assert_allclose(cfa.score_samples(X), want, rtol=1e-9)
    assert cfa.score(X) == pytest.approx(want.mean())
    assert cfa.loglike_ == pytest.approx(want.sum())
    B = cfa.factor_corr_ @ cfa.loadings_.T @ np.linalg.inv(sigma)
    np.testing.assert_allclose(cfa.transform(X), (X - cfa.mean_) @ B.T, atol=1e-9)
    np.testing.assert_allclose(
        cfa.score_determinacy(), np.diag(B @ sigma @ B.T), atol=1e-9
    )
    bartlett = ConfirmatoryFactorAnalysis(THREE, scores="bartlett").fit(X)
    exact = bartlett.inverse_transform(np.eye(3))
    np.testing.assert_allclose(bartlett.transform(exact), np.eye(3), atol=1e-9)


def test_rows_with_holes_are_scored_by_what_they_have():
    X = _hs()
    cfa = ConfirmatoryFactorAnalysis(THREE, missing="pairwise").fit(X)
    Y = X[:20].copy()
    Y[::2, 4] = np.nan
    seen = np.delete(np.arange(9), 4)
    density = stats.multivariate_normal(
        cfa.mean_[seen], cfa.get_covariance()[np.ix_(seen, seen)]
    )
    found = cfa.score_samples(Y)
    np.testing.assert_allclose(found[::2], density.logpdf(Y[::2][:, seen]), rtol=1e-9)
    np.testing.assert_allclose(found[1::2], cfa.score_samples(X[1:20:2]), rtol=1e-12)
    assert np.isfinite(cfa.transform(Y)).all()
    with pytest.raises(ValueError, match="NaN"):
        ConfirmatoryFactorAnalysis(THREE).fit(Y)


@pytest.mark.parametrize("kind", ["F", "strided", "readonly", "float32"])
def test_input_kinds_of_a_real_pattern(kind):
    X = _hs()
    Y = {
        "F": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=1)[:, ::2],
        "readonly": X.copy(),
        "float32": X.astype(np.float32),
    }[kind]
    Y.flags.writeable = kind != "readonly"
    a, b = (ConfirmatoryFactorAnalysis(THREE).fit(Z) for Z in (X, Y))
    np.testing.assert_allclose(a.loadings_, b.loadings_, atol=1e-5)
    assert b.transform(Y).dtype == Y.dtype


# Inputs ------------------------------------------------------------------------


def test_names_go_in_and_out():
    frame = load_holzinger_swineford(as_frame=True).data
    named = {"visual": ["x1", "x2", "x3"], "verbal": ["x4", "x5", "x6"]}
    cfa = ConfirmatoryFactorAnalysis(named).set_output(transform="pandas").fit(frame)
    assert list(cfa.transform(frame).columns) == ["visual", "verbal"]
    table = pd.DataFrame(cfa.support_, index=frame.columns, columns=list(named))
    again = ConfirmatoryFactorAnalysis(table).fit(frame)
    np.testing.assert_array_equal(again.loadings_, cfa.loadings_)
    lists = ConfirmatoryFactorAnalysis([["x1", "x2", "x3"], [3, 4, 5]]).fit(frame)
    np.testing.assert_array_equal(lists.loadings_, cfa.loadings_)
    assert list(lists.get_feature_names_out()) == ["factor0", "factor1"]
    text = cfa.summary()
    assert "visual ~ verbal" in text and "    x5" in text and "CFI" in text
    assert "x9" in cfa.summary(standardized=True)
    assert list(cfa.unassigned_) == [6, 7, 8]


def test_matrix_input_is_the_same_model():
    X = _hs()
    a = ConfirmatoryFactorAnalysis(THREE).fit(X)
    for S in (np.cov(X, rowvar=False, ddof=0), np.corrcoef(X, rowvar=False)):
        b = ConfirmatoryFactorAnalysis(THREE, corr="precomputed").fit(S, n_samples=301)
        assert b.fit_indices()["chi2"] == pytest.approx(a.fit_indices()["chi2"])
        scale = np.sqrt(np.diag(S)) / a.scale_
        np.testing.assert_allclose(b.loadings_, a.loadings_ * scale[:, None], rtol=1e-6)
    S = np.cov(X, rowvar=False, ddof=0)
    b = ConfirmatoryFactorAnalysis(THREE, corr="precomputed", method="uls")
    assert b.fit(S, n_samples=301).fit_indices()["chi2"] == pytest.approx(
        72.0982, abs=1e-4
    )


def test_rank_correlations_and_callables():
    X = _hs()
    spearman = ConfirmatoryFactorAnalysis(THREE, corr="spearman").fit(X)
    want = stats.spearmanr(X).statistic
    np.testing.assert_allclose(spearman.correlation_, want, atol=1e-12)
    called = ConfirmatoryFactorAnalysis(
        THREE, corr=lambda Z: stats.spearmanr(Z).statistic
    ).fit(X)
    np.testing.assert_allclose(called.loadings_, spearman.loadings_, atol=1e-8)


def test_pairwise_correlations_are_those_of_common_rows():
    X = _with_holes()
    cfa = ConfirmatoryFactorAnalysis(THREE, missing="pairwise").fit(X)
    want = pd.DataFrame(X).corr().to_numpy()
    np.testing.assert_allclose(cfa.correlation_, want, atol=1e-10)


def test_heywood_case_is_flagged_once_and_finite():
    L = np.array([[1.0], [0.6], [0.5], [0.4]])
    R = L @ L.T
    np.fill_diagonal(R, 1.0)
    R[0, 1] = R[1, 0] = 0.7
    cfa = ConfirmatoryFactorAnalysis([[0, 1, 2, 3]], corr="precomputed")
    with pytest.warns(ConvergenceWarning, match="Heywood") as caught:
        cfa.fit(R, n_samples=200)
    assert len(caught) == 1
    assert list(cfa.heywood_) == [0]
    assert (
        np.isfinite(cfa.loadings_).all()
        and np.isfinite(list(cfa.fit_indices().values())).all()
    )
    assert "Heywood" in cfa.summary()


def test_unidentified_solution_gives_nan_errors_and_a_reason():
    # Two uncorrelated factors with two indicators each: any split of r is as good.
    R = np.kron(np.eye(2), np.full((2, 2), 0.5)) + 0.5 * np.eye(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        cfa = ConfirmatoryFactorAnalysis(
            [[0, 1], [2, 3]], corr="precomputed", orthogonal=True
        ).fit(R, n_samples=100)
    with pytest.warns(UserWarning, match="singular"):
        errors = cfa.standard_errors()
    assert np.isnan(errors["loadings"]).all()
    np.testing.assert_allclose(cfa.get_covariance(), R, atol=1e-5)


def test_more_variables_than_rows():
    data = make_factor_model(30, n_factors=4, items_per_factor=10, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        cfa = ConfirmatoryFactorAnalysis(data.support).fit(data.X)
    f = cfa.fit_indices()
    assert np.isnan([f["chi2"], f["cfi"], f["rmsea"]]).all()
    assert np.isfinite([f["srmr"], f["aic"], f["bic"]]).all()


def test_just_identified_model_fits_perfectly():
    data = make_factor_model(200, n_factors=1, items_per_factor=3, random_state=0)
    f = ConfirmatoryFactorAnalysis([[0, 1, 2]]).fit(data.X).fit_indices()
    assert f["dof"] == 0 and f["rmsea"] == 0 and f["tli"] == 1 and f["cfi"] == 1
    assert f["chi2"] == pytest.approx(0, abs=1e-6)


def _fit(X, pattern=THREE, n_samples=None, **kwargs):
    return ConfirmatoryFactorAnalysis(pattern, **kwargs).fit(X, n_samples=n_samples)


def _fit_matrix(R):
    return _fit(R, corr="precomputed", n_samples=50)


def _emptied(X):
    return np.where(np.arange(9) == 4, np.nan, X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X: _fit(np.where(np.arange(9) == 4, 2.5, X)), "Column 4 is constant"),
        (lambda X: _fit(X[:2]), "2 sample"),
        (lambda X: _fit(X[:, :1]), "1 feature"),
        (lambda X: _fit(X, np.ones((8, 2))), r"=9, n_factors\), got \(8, 2\)"),
        (lambda X: _fit(X, 2 * np.ones((9, 2))), "zeros and ones"),
        (lambda X: _fit(X, [[0, 1, 2], []]), "no variable for factor 1"),
        (lambda X: _fit(X, np.eye(9)[:, :3] * [1, 1, 0]), "no variable for factor 2"),
        (lambda X: _fit(X, [[0, 1, 9]]), "column 9 for factor 0.*from 0 to 8"),
        (lambda X: _fit(X, [["x1"]]), "X has no column names"),
        (lambda X: _fit(X, np.ones((9, 5))), "64 free parameters.*only 45"),
        (lambda X: _fit(X, corr="precomputed"), "n_samples"),
        (lambda X: _fit(X, corr="precomputed", n_samples=9), "square"),
        (lambda X: _fit_matrix(1.5 - np.eye(9) / 2), r"\|entry\| <= 1"),
        (lambda X: _fit_matrix(np.triu(np.ones((9, 9))) + np.eye(9)), "symmetric"),
        (lambda X: _fit(X, missing="fiml", method="uls"), "missing='fiml'"),
        (lambda X: _fit(X, missing="drop"), "missing"),
        (lambda X: _fit(_emptied(X), missing="fiml"), "Column 4"),
        (lambda X: _fit(_emptied(X), missing="pairwise"), "Column 4"),
        (lambda X: _fit(_emptied(X), missing="listwise"), "0 complete"),
        (lambda X: _fit(X).standard_errors(information="both"), "information"),
        (lambda X: _fit(X).inverse_transform(np.ones((2, 4))), r"\(n_samples, 3\)"),
        (lambda X: _fit(X, method="uls").modification_indices(), "method='ml'"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(_hs())


def test_constant_column_is_named_in_a_frame():
    frame = load_holzinger_swineford(as_frame=True).data
    frame["x5"] = 1.0
    with pytest.raises(ValueError, match="Column 'x5' is constant"):
        ConfirmatoryFactorAnalysis(THREE).fit(frame)


def test_collinear_columns_are_named():
    X = _hs()
    X[:, 1] = 2 * X[:, 0]
    with pytest.warns() as caught:
        ConfirmatoryFactorAnalysis(THREE).fit(X)
    first, second = (str(w.message) for w in caught)
    assert "Columns 0 and 1 are perfectly correlated" in first
    assert "Heywood" in second


def test_callback_can_watch_the_fit(caplog):
    with caplog.at_level("INFO", logger="skstruct"):
        ConfirmatoryFactorAnalysis(THREE, verbose=1).fit(_hs())
    assert "skstruct.factor_analysis" in {r.name for r in caplog.records}
