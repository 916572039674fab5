"""SVTImputer and the thresholds of random matrix theory."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from skstruct.datasets import make_fairness_clusters
from skstruct.impute import SVTImputer
from skstruct.random_matrix import (
    marchenko_pastur_median,
    optimal_hard_threshold,
    screenot_threshold,
    usvt_threshold,
)
from tests.reference import svt as ref


@pytest.mark.parametrize(
    ("beta", "omega"),
    [(0.05, 1.51934), (0.1, 1.60877), (0.25, 1.83687), (0.5, 2.17119),
     (0.75, 2.50143), (1.0, 2.85836)],
)  # fmt: skip
def test_unknown_noise_factor_equals_published_values(beta, omega):
    # Gavish & Donoho (2014), table of omega(beta); s = 1 gives the factor itself.
    shape = (round(1000 * beta), 1000)
    tau = optimal_hard_threshold(np.ones(shape[0]), shape)
    assert_allclose(tau, omega, atol=1e-5)


def test_marchenko_pastur_median_halves_simulated_spectra():
    rng = np.random.default_rng(0)
    for n, p in [(1000, 200), (800, 800)]:
        s = np.linalg.svd(rng.standard_normal((n, p)), compute_uv=False)
        share = np.mean(s**2 / n < marchenko_pastur_median(p / n))
        assert abs(share - 0.5) < 0.01


def test_known_noise_threshold_uses_the_larger_side():
    # 4/sqrt(3) sqrt(n) sigma for square matrices; symmetric in the shape.
    assert_allclose(
        optimal_hard_threshold([1.0], (50, 50), sigma=2.0), 8 / np.sqrt(3) * np.sqrt(50)
    )
    a = optimal_hard_threshold([1.0], (50, 200), sigma=1.0)
    assert a == optimal_hard_threshold([1.0], (200, 50), sigma=1.0)
    assert a > np.sqrt(200) + np.sqrt(50)  # above the noise edge


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_screenot_equals_grid_scan_at_every_scale(scale):
    rng = np.random.default_rng(1)
    n, p, k = 120, 60, 8
    E = rng.standard_normal((n, p)) * np.linspace(0.5, 2, p)
    X = E + 30 * np.outer(np.ones(n), np.ones(p)) / np.sqrt(n * p)
    s = np.linalg.svd(X, compute_uv=False)
    tau = screenot_threshold(scale * s, X.shape, k)
    assert_allclose(tau / scale, ref.screenot_scan(s, X.shape, k), rtol=2e-4)


def test_universal_thresholds_are_their_formulas():
    p, n = 0.3, 500
    assert_allclose(usvt_threshold((n, 50), p), 2.01 * np.sqrt(n * p))
    q = p * 0.1 + p * (1 - p) * 0.9
    assert_allclose(
        usvt_threshold((50, n), p, noise_variance=0.1), 2.01 * np.sqrt(n * q)
    )
    assert usvt_threshold((n, 50), 1.0, rule="fairness") == 0.0


@pytest.mark.parametrize("threshold", ["gavish-donoho", "screenot", "chatterjee"])
def test_white_noise_has_rank_zero(threshold):
    for seed in range(5):
        X = np.random.default_rng(seed).standard_normal((300, 60))
        with pytest.warns(UserWarning, match="rank 0"):
            imputer = SVTImputer(threshold).fit(X)
        assert imputer.n_components_ == 0
        assert_allclose(imputer.transform(X), np.tile(X.mean(axis=0), (300, 1)))


@pytest.mark.parametrize("threshold", ["gavish-donoho", "screenot"])
def test_strong_signals_are_counted_and_hidden_ones_are_not(threshold):
    n, p = 400, 100
    edge = np.sqrt(n) + np.sqrt(p)
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((n, 4)))[0]
    V = np.linalg.qr(rng.standard_normal((p, 4)))[0]
    for strengths, rank in [((4, 3, 2.5, 2), 4), ((3, 2, 0.3, 0.3), 2)]:
        X = (U * (edge * np.array(strengths))) @ V.T + rng.standard_normal((n, p))
        assert SVTImputer(threshold, center=None).fit(X).n_components_ == rank


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("solver", ["full", "covariance_eigh", "arpack", "randomized"])
@pytest.mark.parametrize("tall", [True, False])
def test_projection_equals_truncated_svd(make, solver, tall):
    X, _ = ref.planted(0, n=150, p=70, noise=0.01)
    X = X if tall else np.ascontiguousarray(X.T)
    if make is sparse.csr_array:
        known = ~np.isnan(X)
        given = sparse.csr_array((X[known], np.nonzero(known)), shape=X.shape)
    else:
        given = X
    imputer = SVTImputer(n_components=4, clip=False, svd_solver=solver, random_state=0)
    tol = 1e-9 if solver != "randomized" else 2e-2
    assert_allclose(
        imputer.fit(given).transform(given), ref.svt_estimate(X, 4), atol=tol
    )


def test_paper_form_without_centre():
    X, _ = ref.planted(3)
    imputer = SVTImputer(n_components=3, center=None, clip=False)
    want = ref.svt_estimate(X, 3, center=False)
    assert_allclose(imputer.fit_transform(X), want, atol=1e-10)


def test_equals_principal_components_on_complete_data():
    from sklearn.decomposition import PCA

    X = np.random.default_rng(0).standard_normal((80, 12))
    pca = PCA(3).fit(X)
    want = pca.inverse_transform(pca.transform(X))
    got = SVTImputer(n_components=3, clip=False).fit_transform(X)
    assert_allclose(got, want, atol=1e-10)


def test_fold_in_is_the_ridge_regression_on_observed_entries():
    X, _ = ref.planted(1)
    imputer = SVTImputer(n_components=5, transform_method="fold-in", clip=False).fit(X)
    rows = X[:6] - imputer.mean_
    V = imputer.components_.T
    want = [ref.fold_in(row, V, np.full(5, 1e-2)) for row in rows]
    assert_allclose(imputer.transform(X[:6]) - imputer.mean_, want, atol=1e-10)


def test_fold_in_beats_projection_on_unseen_rows():
    X, truth = ref.planted(2, n=300)
    errors = {}
    for method in ("project", "fold-in"):
        imputer = SVTImputer(n_components=5, transform_method=method).fit(X[:250])
        error = imputer.transform(X[250:]) - truth[250:]
        errors[method] = np.sqrt(np.mean(error**2))
    assert errors["fold-in"] < 0.8 * errors["project"]


def test_column_fractions_correct_unequal_missing_rates():
    rng = np.random.default_rng(0)
    truth = np.outer(rng.standard_normal(1000), np.ones(200))
    share = np.linspace(0.3, 1, 200)
    X = np.where(rng.random(truth.shape) < share, truth, np.nan)

    def slopes(fraction):
        imputer = SVTImputer(
            n_components=1, center=None, clip=False, observed_fraction=fraction
        )
        estimate = imputer.fit_transform(X)
        return np.array(
            [np.polyfit(truth[:, 0], column, 1)[0] for column in estimate.T]
        )

    def imbalance(fraction):
        gains = slopes(fraction)
        return gains[-50:].mean() - gains[:50].mean()

    assert abs(imbalance("column")) < 0.05  # the same gain for every column
    assert imbalance("matrix") > 0.5  # proportional to the observed share


# observed -> rule -> (rank, mean squared error on unobserved entries), from one draw
# of an independent implementation; over draws the ranks vary by about two (near the
# edge of the noise by four) and the errors by about .02.
_FAIRNESS = {
    0.1: {"gavish-donoho": (0, 0.347), "screenot": (0, 0.347), "fairness": (22, 0.546)},
    0.3: {"gavish-donoho": (6, 0.225), "screenot": (5, 0.238), "fairness": (24, 0.328)},
    0.5: {"gavish-donoho": (9, 0.127), "screenot": (9, 0.127), "fairness": (29, 0.265)},
    0.9: {
        "gavish-donoho": (10, 0.0706),
        "screenot": (10, 0.0706),
        "fairness": (49, 0.351),
    },
}


@pytest.mark.parametrize("observed", list(_FAIRNESS))
@pytest.mark.filterwarnings("ignore:.*rank 0")
def test_fairness_design_ranks_and_errors(observed):
    """The published design: 10 clusters of 100 people, 50 features, noise 0.1."""
    data = make_fairness_clusters(observed=observed, random_state=0)
    common = {"center": None, "bounds": (-1, 1)}
    holes = np.isnan(data.X)

    def error(imputer):
        return np.mean((imputer.transform(data.X) - data.truth)[holes] ** 2)

    for rule, (rank, mse) in _FAIRNESS[observed].items():
        options = {"noise_variance": 0.1} if rule == "fairness" else {"max_rank": 15}
        if rule == "gavish-donoho":
            options = {}
        imputer = SVTImputer(rule, **options, **common).fit(data.X)
        assert abs(imputer.n_components_ - rank) <= 4
        assert abs(error(imputer) - mse) < 0.04

    # The universal constant keeps nothing; told the noise bound it needs most entries.
    assert SVTImputer("chatterjee", **common).fit(data.X).n_components_ == 0
    bounded = SVTImputer("chatterjee", noise_variance=0.1, **common).fit(data.X)
    assert bounded.n_components_ == 0 if observed < 0.9 else bounded.n_components_ >= 8


def test_rank_zero_gives_the_centre_with_a_warning():
    X, _ = ref.planted(0)
    with pytest.warns(UserWarning, match="No singular value exceeds the threshold"):
        imputer = SVTImputer(1e6).fit(X)
    out = imputer.transform(X[:3])
    assert_allclose(out, np.tile(np.nanmean(X, axis=0), (3, 1)))


def test_a_row_with_nothing_observed_becomes_the_centre():
    X, _ = ref.planted(0)
    for method in ("project", "fold-in"):
        imputer = SVTImputer(n_components=3, transform_method=method).fit(X)
        out = imputer.transform(np.full((1, X.shape[1]), np.nan))
        assert_allclose(out[0], np.nanmean(X, axis=0))


def test_columns_never_observed():
    X, _ = ref.planted(0)
    X[:, [1, 7]] = np.nan
    with pytest.warns(UserWarning, match=r"dropped from the output: \[.*1.*7.*\]"):
        imputer = SVTImputer(n_components=2).fit(X)
    assert imputer.transform(X).shape == (200, 38)
    assert list(imputer.get_feature_names_out()) == [
        f"x{j}" for j in range(40) if j not in (1, 7)
    ]
    with pytest.warns(UserWarning, match="set to 0"):
        kept = SVTImputer(n_components=2, keep_empty_features=True).fit(X)
    out = kept.transform(X)
    assert out.shape == X.shape
    assert not out[:, [1, 7]].any()
    assert len(kept.get_feature_names_out()) == 40


def test_missing_values_marker_and_impute_only():
    X, _ = ref.planted(0)
    marked = np.where(np.isnan(X), -99.0, X)
    a = SVTImputer(n_components=3, impute_only=True).fit(X).transform(X)
    b = SVTImputer(n_components=3, impute_only=True, missing_values=-99.0)
    assert_allclose(b.fit(marked).transform(marked), a)
    known = ~np.isnan(X)
    np.testing.assert_array_equal(a[known], X[known])
    assert not np.isnan(a).any()


def test_score_hides_the_same_entries_for_all_candidates():
    X, _ = ref.planted(0)
    first = SVTImputer(n_components=5).fit(X)
    assert first.score(X) == first.score(X)
    assert first.set_params(score_random_state=1).score(X) != first.set_params(
        score_random_state=0
    ).score(X)


def test_store_rows_and_predict_entries():
    X, _ = ref.planted(0)
    imputer = SVTImputer(n_components=4, store_rows=True).fit(X)
    full = imputer.transform(X)
    rows, columns = np.array([0, 5, 199]), np.array([3, 39, 0])
    assert_allclose(imputer.predict_entries(rows, columns), full[rows, columns])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 41}, r"n_components=41 must be at most min\(n_samples, "
                               r"n_features\)=40"),
        ({"bounds": (1, 0)}, r"bounds=\(1, 0\) must be \(low, high\) with low < high"),
        ({"threshold": "best"}, "The 'threshold' parameter of SVTImputer must be"),
        ({"threshold": -1.0}, "The 'threshold' parameter of SVTImputer must be"),
        ({"score_holdout": 1.0}, "The 'score_holdout' parameter"),
    ],
)  # fmt: skip
def test_bad_parameters(params, message):
    X, _ = ref.planted(0)
    with pytest.raises(ValueError, match=message):
        SVTImputer(**params).fit(X)


def test_bad_data():
    X, _ = ref.planted(0)
    infinite = X.copy()
    infinite[3, 2] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        SVTImputer().fit(infinite)
    with pytest.raises(ValueError, match="has no observed entry"):
        SVTImputer().fit(np.full((5, 3), np.nan))
    with pytest.raises(ValueError, match="has no observed entry"):
        SVTImputer().fit(sparse.csr_array((5, 3)))
    with pytest.raises(ValueError, match="could not convert string to float"):
        SVTImputer().fit(np.array([["a", "b"], ["c", "d"]]))
    imputer = SVTImputer(n_components=2).fit(X)
    with pytest.raises(ValueError, match="X has 39 features, but SVTImputer is expect"):
        imputer.transform(X[:, :39])
    with pytest.raises(ValueError, match="score needs rows with two observed"):
        imputer.score(np.where(np.arange(40) == 0, 1.0, np.full((3, 40), np.nan)))
    with pytest.raises(AttributeError, match="store_rows=True"):
        imputer.predict_entries([0], [0])
