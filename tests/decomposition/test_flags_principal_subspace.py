"""Principal subspace analysis: exact selection, likelihood, reductions."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from skstruct.decomposition import PrincipalSubspaceAnalysis
from skstruct.decomposition import _principal_subspace_types as types
from tests._data import shared_data
from tests.reference import flags as ref


def glass():
    table = np.loadtxt(shared_data("flag_bsa", "glass.csv"), delimiter=",")[:, 1:10]
    return (table - table.mean(axis=0)) / table.std(axis=0)


@st.composite
def spectra(draw):
    p = draw(st.integers(1, 12))
    n = draw(st.integers(p + 1, 2000))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    spread = draw(st.sampled_from([0.05, 0.5, 2.0]))
    return np.sort(np.exp(spread * rng.standard_normal(p)))[::-1].copy(), n


@given(spectra(), st.sampled_from(["bic", "aic"]))
@settings(max_examples=40, deadline=None)
def test_programme_equals_enumeration(spectrum, criterion):
    values, n = spectrum
    p, a = values.size, types.price(criterion, n)
    found = types.best_type(values, n, a, floor=1e-12, last_start=p - 1)
    best = min(ref.psa_criterion(values, g, n, a) for g in ref.compositions(p))
    assert_allclose(ref.psa_criterion(values, found, n, a), best, rtol=1e-12)
    got = types.information(values, found, n, a, 1e-12)
    assert_allclose(got, best, rtol=1e-12)


@given(spectra(), st.integers(1, 4), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_programme_with_bounds_equals_enumeration(spectrum, max_blocks, q):
    values, n = spectrum
    p, a = values.size, np.log(n)
    allowed = [g for g in ref.compositions(p) if len(g) <= max_blocks]
    found = types.best_type(
        values, n, a, floor=1e-12, last_start=p - 1, max_blocks=max_blocks
    )
    best = min(ref.psa_criterion(values, g, n, a) for g in allowed)
    assert len(found) <= max_blocks
    assert_allclose(ref.psa_criterion(values, found, n, a), best, rtol=1e-12)
    if q < p and max_blocks > 1:
        allowed = [g for g in allowed if g[-1] == p - q]
        found = types.best_type(
            values, n, a, floor=1e-12, first_start=q, last_start=q,
            max_blocks=max_blocks,
        )  # fmt: skip
        best = min(ref.psa_criterion(values, g, n, a) for g in allowed)
        assert found[-1] == p - q
        assert_allclose(ref.psa_criterion(values, found, n, a), best, rtol=1e-12)


def test_glass():
    """Published criteria of the glass data, and the best type of all."""
    X = glass()
    for gamma, bic in [((1, 1, 1, 1, 1, 4), 4922.97), ((5, 4), 4920.28)]:
        fitted = PrincipalSubspaceAnalysis(gamma).fit(X)
        assert_allclose(fitted.bic_, bic, atol=0.005)
    for rule in ("bic", "hierarchical"):
        best = PrincipalSubspaceAnalysis(rule).fit(X)
        assert best.flag_type_ == (2, 3, 2, 1, 1)
        assert_allclose(best.bic_, 3846.12, atol=0.005)


def test_types_appear_as_samples_grow():
    """Population eigenvalues 10, 9, 7, 4, 0.5: pooled with few samples."""
    population = np.array([10, 9, 7, 4, 0.5])
    rng = np.random.default_rng(0)
    found = []
    for n in (50, 50_000):
        X = rng.standard_normal((n, 5)) * np.sqrt(population)
        found.append(PrincipalSubspaceAnalysis().fit(X).flag_type_)
    assert len(found[0]) < 5
    assert found[1] == (1, 1, 1, 1, 1)


def test_hierarchical_meets_nested_types():
    values = np.array([10.0, 9.5, 4.0, 3.9, 1.0])
    chain = types.merge_order(values, 4)
    assert chain == [(1, 1, 1, 1, 1), (1, 1, 2, 1), (2, 2, 1), (4, 1), (5,)]
    kept = types.merge_order(values, 2, 2)
    assert all(sum(g[:-1]) == 2 for g in kept)
    assert len(types.merge_order(np.array([2.0, 1.0, 0.0, 0.0]), 1)) == 2


def test_pair_rule():
    assert_allclose(types.relative_gap_threshold(1000), 0.2097, atol=1e-4)
    assert_allclose(types.relative_gap_threshold(100), 0.4575, atol=1e-4)
    # It is the gap at which BIC changes its mind on two eigenvalues.
    for gap, blocks in [(0.205, 1), (0.215, 2)]:
        values = np.array([1.0, 1.0 - gap])
        a = np.log(1000)
        found = types.best_type(values, 1000, a, floor=1e-12, last_start=1)
        assert len(found) == blocks


def test_density_is_gaussian_and_likelihood_is_its_sum():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 5)) + 3
    for rotation in (None, "varimax"):
        psa = PrincipalSubspaceAnalysis((2, 1, 2), rotation=rotation).fit(X)
        C = psa.get_covariance()
        want = multivariate_normal(psa.mean_, C).logpdf(X)
        assert_allclose(psa.score_samples(X), want, rtol=1e-10)
        assert_allclose(psa.get_precision() @ C, np.eye(5), atol=1e-10)
        n_params = 5 + 3 + 10 - 1 - 0 - 1
        log_likelihood = want.sum()
        assert_allclose(psa.bic_, -2 * log_likelihood + np.log(60) * n_params)
        assert_allclose(psa.aic_, -2 * log_likelihood + 2 * n_params)


def test_reduces_to_probabilistic_pca():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((100, 6)) @ rng.standard_normal((6, 6))
    n, p, q = 100, 6, 2
    psa = PrincipalSubspaceAnalysis("ppca", n_components=q).fit(X)
    assert psa.flag_type_ == (1, 1, 4)
    pca = PCA(q).fit(X)
    # scikit-learn divides by n - 1.
    assert_allclose(psa.get_covariance() * n / (n - 1), pca.get_covariance())
    assert_allclose(np.abs(psa.transform(X)), np.abs(pca.transform(X)))
    full = PrincipalSubspaceAnalysis((1,) * p).fit(X)
    assert_allclose(full.get_covariance(), np.cov(X.T, bias=True))
    assert PrincipalSubspaceAnalysis("ippca", n_components=3).fit(X).flag_type_ == (
        3,
        3,
    )
    ppca = PrincipalSubspaceAnalysis("ppca").fit(X)
    best = min(
        PrincipalSubspaceAnalysis("ppca", n_components=k).fit(X).bic_
        for k in range(1, p)
    )
    assert ppca.bic_ == best


def test_varimax_makes_loadings_sparse():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((4000, 6)) * [3, 3, 3, 1, 1, 1]
    plain = PrincipalSubspaceAnalysis((3, 3)).fit(X)
    turned = PrincipalSubspaceAnalysis((3, 3), rotation="varimax").fit(X)
    assert np.sum(turned.components_**4) > np.sum(plain.components_**4)
    assert np.abs(turned.components_).max(axis=1).min() > 0.99
    assert_allclose(turned.get_covariance(), plain.get_covariance(), atol=1e-10)
    assert np.all(turned.components_[np.arange(3), np.argmax(
        np.abs(turned.components_), axis=1)] > 0)  # fmt: skip


def test_few_samples_force_the_null_space_into_the_noise():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((8, 12))
    for rule in ("bic", "aic", "hierarchical", "ppca", "ippca"):
        with pytest.warns(UserWarning, match="X has rank 7 after centring"):
            psa = PrincipalSubspaceAnalysis(rule).fit(X)
        assert psa.flag_type_[-1] >= 6
        assert np.isfinite(psa.score(X))
        assert psa.noise_variance_ > 1e-3 * psa.eigenvalues_[0]
    with (
        pytest.warns(UserWarning, match="rank 7"),
        pytest.raises(ValueError, match="n_components=7 must be at most rank"),
    ):
        PrincipalSubspaceAnalysis(n_components=7).fit(X)
    with pytest.warns(UserWarning, match="rank 7"):
        psa = PrincipalSubspaceAnalysis((9, 3)).fit(X)
    assert_allclose(psa.components_ @ psa.components_.T, np.eye(9), atol=1e-10)
    assert np.isfinite(psa.score(X))


def test_isotropic_and_constant_data():
    rng = np.random.default_rng(5)
    with pytest.warns(UserWarning, match="No direction stands out"):
        psa = PrincipalSubspaceAnalysis().fit(rng.standard_normal((100, 4)))
    assert psa.n_components_ == 0
    assert psa.transform(np.zeros((2, 4))).shape == (2, 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        psa = PrincipalSubspaceAnalysis().fit(np.ones((5, 3)))
    assert any("All rows of X are equal" in str(w.message) for w in caught)
    assert np.isfinite(psa.score(np.ones((2, 3))))


def test_explained_variance_adds_up():
    rng = np.random.default_rng(6)
    X = rng.standard_normal((50, 4)) * [4, 2, 1, 1]
    psa = PrincipalSubspaceAnalysis((1, 1, 2)).fit(X)
    total = psa.explained_variance_.sum() + 2 * psa.noise_variance_
    assert_allclose(total, X.var(axis=0).sum())
    assert_allclose(psa.explained_variance_ratio_, psa.explained_variance_ / total)
    T = psa.transform(X)
    back = psa.inverse_transform(T)
    assert_allclose(psa.transform(back), T)


def test_messages():
    X = np.random.default_rng(7).standard_normal((20, 4))
    cases = [
        ({"flag_type": (1, 2)}, r"\(1, 2\) has sum 3, but n_features=4: here a type l"),
        ({"flag_type": (0, 4)}, "must list positive multiplicities"),
        ({"flag_type": (2, 2), "n_components": 2}, "not used when flag_type is a tup"),
        ({"n_components": 4}, "n_components=4 must be at most rank"),
        ({"n_components": 1, "max_blocks": 1}, "max_blocks=1 contradicts"),
        ({"flag_type": "mdl"}, "'flag_type' parameter"),
        ({"max_blocks": 0}, "'max_blocks' parameter"),
    ]
    for params, message in cases:
        with pytest.raises(ValueError, match=message):
            PrincipalSubspaceAnalysis(**params).fit(X)
    with pytest.raises(ValueError, match="n_features = 1"):
        PrincipalSubspaceAnalysis(n_components=1).fit(X[:, :1])
    fitted = PrincipalSubspaceAnalysis((1, 3)).fit(X)
    with pytest.raises(ValueError, match=r"must have shape \(n_samples, 1\)"):
        fitted.inverse_transform(X)
