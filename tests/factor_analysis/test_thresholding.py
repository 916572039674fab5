"""Choice of the structure, completion and what happens when nothing is found."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV

from skstruct.datasets import load_holzinger_swineford, make_factor_model
from skstruct.factor_analysis import (
    ConfirmatoryFactorAnalysis,
    CorrelationThresholding,
    correlation_threshold_path,
)
from skstruct.factor_analysis._completion import (
    Candidate,
    Completer,
    efa_similarity,
    parallel_analysis,
    smc_similarity,
)
from skstruct.factor_analysis._moments import Moments
from tests.reference.factor_analysis import columns

RULES = ("bic", "ebic", "aic", "cv", "plateau")


def _hs(n_tests=9):
    return load_holzinger_swineford(n_tests).data


def _planted(seed=0, n=500, **kwargs):
    options = {"n_factors": 4, "items_per_factor": 6, **kwargs}
    return make_factor_model(n, random_state=seed, **options)


def _fit(*args, X, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CorrelationThresholding(*args, **kwargs).fit(X)


# Holzinger and Swineford -------------------------------------------------------


def test_path_of_nine_tests_has_the_textbook_structure():
    X = _hs()
    textbook = {frozenset(c) for c in [(0, 1, 2), (3, 4, 5), (6, 7, 8)]}
    path = correlation_threshold_path(np.corrcoef(X, rowvar=False))
    found = [s for s in path if columns(s.support) == textbook]
    assert len(found) == 1
    assert found[0].threshold == pytest.approx(0.2954, abs=1e-4)
    assert columns(CorrelationThresholding(0.295).fit(X).support_) == textbook


def test_bic_takes_the_structure_with_crossing_tests():
    ct = CorrelationThresholding().fit(_hs())
    assert columns(ct.support_) == {
        frozenset(c) for c in [(0, 1, 2, 8), (0, 3, 4, 5, 8), (6, 7, 8)]
    }
    assert ct.threshold_ == pytest.approx(0.195, abs=1e-3)
    assert ct.fit_indices()["cfi"] == pytest.approx(0.975, abs=5e-4)
    assert ct.path_[0].keys() == {
        "threshold", "tau_high", "similarity", "n_components", "n_loadings", "bic",
        "criterion", "converged", "heywood",
    }  # fmt: skip
    best = min(ct.path_, key=lambda e: np.nan_to_num(e["bic"], nan=np.inf))
    assert best["threshold"] == ct.threshold_
    assert best["bic"] == pytest.approx(ct.fit_indices()["bic"])


def test_final_fit_is_the_confirmatory_one():
    X = _hs()
    ct = CorrelationThresholding().fit(X)
    cfa = ConfirmatoryFactorAnalysis(ct.support_).fit(X)
    np.testing.assert_allclose(ct.loadings_, cfa.loadings_, atol=1e-6)
    assert ct.fit_indices() == pytest.approx(cfa.fit_indices())


def test_completion_assigns_all_24_tests():
    pure = _fit(X=_hs(24))
    full = _fit(X=_hs(24), similarity="auto", refine="score")
    assert full.unassigned_.size == 0
    assert full.n_components_ == 4
    assert full.fit_indices()["cfi"] == pytest.approx(0.940, abs=2e-3)
    assert full.fit_indices()["bic"] < pure.fit_indices()["bic"]
    assert full.score(_hs(24)) > pure.score(_hs(24))


# Recovery ----------------------------------------------------------------------


@pytest.mark.parametrize("cross", [0, 1])
def test_bic_finds_the_planted_support(cross):
    """At n = 1000 the sampling error of r is a third of half the gap."""
    right = [
        columns(_fit(X=data.X, thresholds=99).support_) == columns(data.support)
        for data in (_planted(s, 1000, cross_loadings=cross) for s in range(5))
    ]
    assert sum(right) >= 4


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_finds_clear_factors(rule):
    data = _planted(3, 1000, loadings=(0.75, 0.85))
    ct = _fit(rule, X=data.X, thresholds=40)
    assert columns(ct.support_) == columns(data.support)


def test_information_criterion_survives_correlated_factors():
    data = _planted(
        0, 1000, n_factors=5, items_per_factor=5, factor_corr=0.5, loadings=(0.6, 0.9)
    )
    assert _fit(X=data.X, thresholds=99).n_components_ == 5


def test_completion_recovers_weak_and_strong_loadings():
    """The pure method has no threshold that suits both."""
    data = _planted(
        100,
        1000,
        n_factors=5,
        items_per_factor=6,
        factor_corr=0.4,
        loadings=(0.35, 0.8),
    )
    ct = _fit(X=data.X, similarity="auto", refine="score")
    assert ct.unassigned_.size == 0
    assert ct.n_components_ == 5
    hits = (ct.support_.T.astype(int) @ data.support).max(axis=1).sum()
    f1 = 2 * hits / (ct.support_.sum() + data.support.sum())
    assert f1 >= 0.97


@pytest.mark.parametrize("similarity", ["smc", "efa"])
def test_scaled_similarities_do_not_depend_on_the_loadings(similarity):
    data = _planted(0, 5000, loadings=(0.35, 0.85), factor_corr=0.4)
    R = np.corrcoef(data.X, rowvar=False)
    S = smc_similarity(R) if similarity == "smc" else efa_similarity(R, 5000)
    own = np.argmax(data.support, axis=1)
    within = (own[:, None] == own) & ~np.eye(24, dtype=bool)
    across = own[:, None] != own
    assert S[within].min() > S[across].max()
    assert np.abs(R)[within].min() < np.abs(R)[across].max()


def test_parallel_analysis_counts_the_factors():
    assert parallel_analysis(np.corrcoef(_planted(0).X, rowvar=False), 500) == 4
    assert parallel_analysis(np.eye(10), 200) == 1


# Completion --------------------------------------------------------------------


def _completer(data, min_items=2):
    R = np.corrcoef(data.X, rowvar=False)
    return Completer(
        Moments(R), len(data.X), orthogonal=False, min_noise=1e-4,
        min_items=min_items, gamma=0.5,
    )  # fmt: skip


def test_bic_falls_in_every_batch_of_assignments():
    data = _planted(1, 500, loadings=(0.4, 0.8))
    work = _completer(data)
    mask = data.support.copy()
    mask[2::6] = mask[3::6] = mask[4::6] = False
    c = Candidate(mask)
    work.start(c)
    work.em(c, 8)
    values = [(c.nnz, work.bic(c))]
    em = work.em

    def watched(c, *args, **kwargs):
        em(c, *args, **kwargs)
        values.append((c.nnz, work.bic(c)))

    work.em = watched
    work._assign_rounds(c)
    assert c.nnz > values[0][0]
    assert np.all(np.diff([v for _, v in values]) < 0)
    assert columns(c.mask) == columns(data.support)


@pytest.mark.parametrize("seed", range(3))
def test_each_factor_keeps_a_variable_of_its_own(seed):
    data = _planted(seed, 300, cross_loadings=3, loadings=(0.4, 0.8))
    ct = _fit(X=data.X, similarity="auto", refine="score")
    alone = ct.support_[ct.support_.sum(axis=1) == 1]
    assert alone.any(axis=0).all()


@pytest.mark.parametrize("refine", ["none", "score", "marker"])
def test_turning_variables_around_changes_nothing(refine):
    data = _planted(2, 400, loadings=(0.4, 0.8))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], 24)
    similarity = "correlation" if refine == "none" else "auto"
    a, b = (
        _fit(X=X, similarity=similarity, refine=refine)
        for X in (data.X, data.X * signs)
    )
    assert np.array_equal(a.support_, b.support_)
    np.testing.assert_allclose(np.abs(a.loadings_), np.abs(b.loadings_), atol=1e-5)


def test_small_factors_are_deleted():
    data = _planted(0, 300, loadings=(0.4, 0.8))
    ct = _fit(X=data.X, similarity="auto", refine="assign", min_items=4)
    assert ct.support_.sum(axis=0).min() >= 4


def test_marker_keeps_one_pure_variable_a_factor():
    ct = _fit(X=_hs(24), similarity="auto", refine="marker")
    alone = ct.support_[ct.support_.sum(axis=1) == 1]
    assert alone.any(axis=0).all()
    assert ct.fit_indices()["cfi"] > 0.95


# Contract ----------------------------------------------------------------------


def test_grid_search_over_thresholds():
    data = _planted(0, 500, loadings=(0.75, 0.85))
    search = GridSearchCV(
        CorrelationThresholding(), {"threshold": np.arange(0.1, 1.0, 0.1)}, cv=3
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(data.X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert columns(search.best_estimator_.support_) == columns(data.support)


def test_nothing_found_is_the_independence_model():
    X = np.random.default_rng(0).standard_normal((200, 5))
    with pytest.warns(UserWarning, match="no clique of 2 variables.*largest"):
        ct = CorrelationThresholding(0.9).fit(X)
    assert ct.n_components_ == 0 and ct.loadings_.shape == (5, 0)
    want = -0.5 * np.mean(
        np.sum((X - X.mean(0)) ** 2 / X.var(0) + np.log(2 * np.pi * X.var(0)), axis=1)
    )
    assert ct.score(X) == pytest.approx(want)
    assert ct.fit_indices()["chi2"] == pytest.approx(ct.fit_indices()["baseline_chi2"])
    with pytest.raises(ValueError, match=r"largest \|r\| is .* smaller threshold"):
        ct.transform(X)
    assert "0 factors" in ct.summary()


def test_rules_fall_back_to_one_factor():
    X = np.random.default_rng(0).standard_normal((100, 4))
    with pytest.warns(UserWarning, match="one factor on all variables"):
        ct = CorrelationThresholding(thresholds=[0.9]).fit(X)
    assert ct.support_.all() and ct.n_components_ == 1 and np.isnan(ct.threshold_)
    with pytest.warns(UserWarning, match="not identified"):
        two = CorrelationThresholding().fit(X[:, :2] + X[:, 2:3])
    assert two.n_components_ == 1
    np.testing.assert_allclose(
        two.get_covariance(),
        np.cov(X[:, :2] + X[:, 2:3], rowvar=False, ddof=0),
        atol=1e-5,
    )


def test_structures_that_are_not_identified_are_skipped():
    # Four pairs through one variable: 19 parameters for 15 moments.
    R = np.eye(5)
    R[0, 1:] = R[1:, 0] = 0.45
    ct = CorrelationThresholding(thresholds=[0.2], corr="precomputed")
    with pytest.warns(UserWarning, match="No threshold gives an identified"):
        ct.fit(R, n_samples=100)
    assert ct.n_components_ == 1
    assert np.isnan(ct.path_[0]["bic"]) and ct.path_[0]["n_components"] == 4
    with pytest.warns(UserWarning, match="19 parameters for 15"):
        forced = CorrelationThresholding(0.2, corr="precomputed").fit(R, n_samples=100)
    assert np.isfinite(forced.loadings_).all()


def test_thousands_of_variables_never_form_the_correlation_matrix():
    data = make_factor_model(
        300,
        n_factors=160,
        items_per_factor=20,
        factor_corr=0.0,
        loadings=(0.75, 0.9),
        random_state=0,
    )
    # Noise reaches |r| = sqrt(2 log(p^2 / 2) / n) = 0.32; factors start at .56.
    ct = _fit(0.37, X=data.X)
    assert ct.correlation_ is None
    assert ct.n_components_ == 160
    assert columns(ct.support_) == columns(data.support)
    assert np.isfinite(ct.score(data.X))
    assert np.isnan(ct.fit_indices()["srmr"])
    with pytest.raises(ValueError, match="limited to 3000"):
        _fit(X=data.X, refine="score")


def test_threads_do_not_change_the_result():
    X = _hs(24)
    for options in ({}, {"similarity": "auto", "refine": "score"}):
        a, b = (_fit(X=X, n_jobs=k, **options) for k in (1, 2))
        assert a.path_ == b.path_ or [e["bic"] for e in a.path_] == pytest.approx(
            [e["bic"] for e in b.path_], nan_ok=True, rel=0, abs=0
        )
        np.testing.assert_array_equal(a.loadings_, b.loadings_)


def test_graph_is_handed_over():
    frame = load_holzinger_swineford(as_frame=True).data
    graph = CorrelationThresholding().fit(frame).to_networkx()
    assert graph.nodes["x9"]["factors"] == [0, 1, 2]
    r = np.corrcoef(frame["x1"], frame["x2"])[0, 1]
    assert graph.edges["x1", "x2"]["weight"] == pytest.approx(r)
    scaled = CorrelationThresholding(similarity="smc").fit(frame)
    with pytest.raises(ValueError, match="similarity 'smc'"):
        scaled.to_networkx()
    assert scaled.to_networkx(0.3).number_of_nodes() == 9


def test_missing_entries():
    data = _planted(0, 600, loadings=(0.75, 0.85))
    X = data.X.copy()
    X[np.random.default_rng(0).random(X.shape) < 0.05] = np.nan
    for missing in ("pairwise", "listwise"):
        ct = CorrelationThresholding(missing=missing, thresholds=40).fit(X)
        assert adjusted_rand_score(
            np.argmax(ct.support_, 1), np.argmax(data.support, 1)
        ) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.0}, "threshold"),
        ({"threshold": "best"}, "threshold"),
        ({"thresholds": [0.5, 1.0]}, r"\[0, 1\), got 1"),
        ({"min_clique_size": 1}, "min_clique_size"),
        ({"min_items": 1}, "min_items"),
        ({"threshold": "cv", "corr": "precomputed"}, "needs rows"),
    ],
)
def test_bad_parameters_are_named(options, message):
    X = np.corrcoef(_hs(), rowvar=False)
    with pytest.raises(ValueError, match=message):
        CorrelationThresholding(**options).fit(X, n_samples=301)


def test_smc_needs_more_rows_than_variables():
    X = np.random.default_rng(0).standard_normal((10, 12))
    with pytest.raises(ValueError, match="10 rows and 12 variables"):
        CorrelationThresholding(similarity="smc").fit(X)


def test_constant_column_is_named():
    frame = load_holzinger_swineford(as_frame=True).data
    frame["x3"] = 4.0
    with pytest.raises(ValueError, match="'x3' is constant"):
        CorrelationThresholding().fit(frame)


def test_heywood_warning_only_for_the_chosen_structure():
    # On the path of these data there are Heywood cases; the chosen fit has none.
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        ct = CorrelationThresholding().fit(_hs())
    assert any(entry["heywood"] for entry in ct.path_)


@pytest.mark.parametrize("options", [{}, {"similarity": "auto", "refine": "score"}])
@pytest.mark.parametrize("seed", range(4))
def test_degenerate_tables_give_finite_models(options, seed):
    """Copies of columns, few rows, units from 1e-8 to 1e8."""
    rng = np.random.default_rng(seed)
    n, p = [(16, 10), (4, 2), (3, 8), (20, 5)][seed]
    X = rng.standard_normal((n, p)) * 10.0 ** rng.integers(-8, 8, p)
    X[:, 0] = X[:, -1]
    ct = _fit(X=X, **options)
    assert np.isfinite(ct.loadings_).all() and np.isfinite(ct.score(X))
    assert np.isfinite(ct.transform(X)).all()
    assert (ct.noise_variance_ > 0).all()
