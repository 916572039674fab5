"""Exploratory factor analysis against theory and scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import FactorAnalysis

from skstruct.datasets import load_holzinger_swineford, make_factor_model
from skstruct.factor_analysis import (
    ConfirmatoryFactorAnalysis,
    ExploratoryFactorAnalysis,
)
from skstruct.factor_analysis._exploratory_solver import _concentrated, _derivatives
from skstruct.factor_analysis._rotation import (
    geomin,
    oblique,
    orthogonal,
    promax,
    quartimin,
    rotate,
)

ROTATIONS = (
    None, "varimax", "quartimax", "promax", "oblimin", "quartimin", "geomin",
)  # fmt: skip


def _hs(n_tests=24):
    return load_holzinger_swineford(n_tests).data


def _standardised(efa):
    return efa.loadings_ / efa.scale_[:, None]


def test_derivatives_of_the_concentrated_likelihood():
    R = np.corrcoef(_hs(9), rowvar=False)
    x = np.log(np.random.default_rng(0).uniform(0.3, 0.8, 9))

    def at(x):
        F, values, vectors, _ = _concentrated(R, np.exp(x), 3)
        return F, _derivatives(values, vectors, 3)

    steps = 1e-5 * np.eye(9)
    numeric = np.array([at(x + h)[0] - at(x - h)[0] for h in steps]) / 2e-5
    gradient, hessian, _ = at(x)[1]
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)
    twice = np.array([at(x + h)[1][0] - at(x - h)[1][0] for h in steps]) / 2e-5
    np.testing.assert_allclose(hessian, twice, atol=1e-7)


@pytest.mark.parametrize("d", [1, 4, 5])
def test_agrees_with_scikit_learn_and_factanal(d):
    X = _hs()
    efa = ExploratoryFactorAnalysis(d, rotation=None).fit(X)
    other = FactorAnalysis(d, tol=1e-10, max_iter=20000).fit(X)
    # Its EM crawls and stops short by up to 5e-3; it can never be above.
    assert efa.score(X) == pytest.approx(other.score(X), abs=1e-2)
    assert efa.score(X) >= other.score(X) - 1e-9
    # Minima of R's factanal, which stops at 1e-8 or so.
    want = {1: 3.98315883777, 4: 0.911821716616, 5: 0.70559272802}[d]
    R = efa.correlation_
    assert efa._objective - np.linalg.slogdet(R)[1] - 24 == pytest.approx(
        want, abs=1e-8
    )
    L = _standardised(efa)
    canonical = L.T @ (L / (efa.noise_variance_ / efa.scale_**2)[:, None])
    np.testing.assert_allclose(canonical, np.diag(np.diag(canonical)), atol=1e-6)
    # At the maximum the model reproduces the variances.
    np.testing.assert_allclose(np.diag(efa.get_covariance()), X.var(axis=0), rtol=1e-5)


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_rotation_changes_neither_covariance_nor_score(rotation):
    X = _hs()
    plain = ExploratoryFactorAnalysis(4, rotation=None).fit(X)
    efa = ExploratoryFactorAnalysis(4, rotation=rotation, random_state=0).fit(X)
    assert efa.score(X) == pytest.approx(plain.score(X), abs=1e-9)
    np.testing.assert_allclose(efa.get_covariance(), plain.get_covariance(), atol=1e-8)
    signs = np.where(plain.loadings_.sum(axis=0) < 0, -1, 1)
    canonical = plain.loadings_ * signs / plain.rotation_matrix_.diagonal()
    np.testing.assert_allclose(
        canonical @ efa.rotation_matrix_, efa.loadings_, atol=1e-8
    )
    np.testing.assert_allclose(np.diag(efa.factor_corr_), 1, atol=1e-12)
    assert (efa.loadings_.sum(axis=0) > 0).all()
    assert efa.fit_indices()["n_parameters"] == 24 * 4 + 24 - 6
    assert efa.fit_indices()["dof"] == 186
    assert "factor3" in efa.summary()


@pytest.mark.parametrize("criterion", [quartimin, geomin])
def test_oblique_criteria(criterion):
    rng = np.random.default_rng(0)
    L = rng.standard_normal((12, 3))
    numeric = np.zeros_like(L)
    for i in np.ndindex(L.shape):
        h = np.zeros_like(L)
        h[i] = 1e-6
        numeric[i] = (criterion(L + h)[0] - criterion(L - h)[0]) / 2e-6
    np.testing.assert_allclose(criterion(L)[1], numeric, rtol=1e-5, atol=1e-8)
    # The criterion of random loadings is flat; these have a structure.
    L = ExploratoryFactorAnalysis(3, rotation=None).fit(_hs(9)).loadings_
    T, f = oblique(L, criterion, np.eye(3))
    np.testing.assert_allclose(np.sum(T**2, axis=0), 1, atol=1e-12)
    assert f < criterion(L)[0]
    # Stationary: no small turn of one factor lowers the criterion.
    for i, j in [(0, 1), (1, 2), (2, 0)]:
        for h in (-1e-3, 1e-3):
            turned = T.copy()
            turned[:, i] += h * T[:, j]
            turned /= np.sqrt(np.sum(turned**2, axis=0))
            assert criterion(L @ np.linalg.inv(turned).T)[0] >= f - 1e-9


def test_perfect_simple_structure_is_recovered():
    data = make_factor_model(10, n_factors=3, items_per_factor=5, random_state=0)
    mix = np.linalg.cholesky(data.factor_corr)
    L = data.loadings @ mix  # an orthogonal form of the same model
    spin = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    for method in ("oblimin", "geomin", "promax"):
        M, corr = rotate(L @ spin, method, rng=np.random.RandomState(0))
        found = np.abs(L @ spin @ M)
        own = np.argmax(found, axis=1)
        assert len(set(own.reshape(3, 5)[:, 0])) == 3
        assert (own.reshape(3, 5) == own.reshape(3, 5)[:, :1]).all()
        off = np.sort(found, axis=1)[:, :2]
        # Geomin's constant and promax's power leave a little.
        assert off.max() < (1e-5 if method == "oblimin" else 0.1)
        if method == "oblimin":
            np.testing.assert_allclose(np.abs(corr - np.eye(3)).max(), 0.2, atol=1e-5)


def test_orthogonal_rotations_are_orthogonal_and_better():
    L = np.random.default_rng(0).standard_normal((20, 4))
    A = L / np.linalg.norm(L, axis=1)[:, None]
    for varimax in (True, False):
        T = orthogonal(L, varimax)
        np.testing.assert_allclose(T.T @ T, np.eye(4), atol=1e-10)

        def value(B, varimax=varimax):
            squares = B**2
            spread = np.sum(squares**2)
            return spread - varimax * np.sum(squares.sum(axis=0) ** 2) / len(B)

        best = value(A @ T)
        assert best > value(A)
        for i, j in [(0, 1), (1, 3), (2, 3)]:
            for h in (-1e-3, 1e-3):
                turn = np.eye(4)
                turn[[i, j], [i, j]] = np.cos(h)
                turn[i, j], turn[j, i] = np.sin(h), -np.sin(h)
                assert value(A @ T @ turn) <= best + 1e-9
    M, corr = promax(L)
    np.testing.assert_allclose(np.linalg.inv(M.T @ M), corr, atol=1e-8)


def test_one_factor_is_the_confirmatory_model():
    X = _hs(9)
    efa = ExploratoryFactorAnalysis(1).fit(X)
    cfa = ConfirmatoryFactorAnalysis(np.ones((9, 1))).fit(X)
    np.testing.assert_allclose(efa.loadings_, cfa.loadings_, atol=1e-6)
    assert efa.fit_indices() == pytest.approx(cfa.fit_indices())


def test_estimates_are_scale_equivariant():
    X = _hs(9)
    s = np.random.default_rng(0).uniform(0.01, 100, 9)
    a, b = (ExploratoryFactorAnalysis(3, random_state=0).fit(Z) for Z in (X, X * s))
    np.testing.assert_allclose(b.loadings_, a.loadings_ * s[:, None], rtol=1e-4)


def test_more_variables_than_rows_and_heywood_cases_stay_finite():
    data = make_factor_model(30, n_factors=2, items_per_factor=25, random_state=0)
    efa = ExploratoryFactorAnalysis(2, random_state=0).fit(data.X)
    assert np.isfinite(efa.loadings_).all() and np.isnan(efa.fit_indices()["chi2"])
    with pytest.warns(UserWarning, match="Heywood"):
        many = ExploratoryFactorAnalysis(12, rotation=None).fit(_hs())
    assert many.heywood_.size and np.isfinite(many.loadings_).all()


def test_too_many_factors():
    X = _hs(9)
    with pytest.raises(
        ValueError, match="n_components=10 must be at most n_features=9"
    ):
        ExploratoryFactorAnalysis(10).fit(X)
    with pytest.warns(UserWarning, match="not identified"):
        efa = ExploratoryFactorAnalysis(7, rotation=None).fit(X)
    assert np.isfinite(efa.score(X))


def test_matrix_input():
    X = _hs(9)
    S = np.cov(X, rowvar=False, ddof=0)
    a = ExploratoryFactorAnalysis(3, random_state=0).fit(X)
    b = ExploratoryFactorAnalysis(3, corr="precomputed", random_state=0)
    b.fit(S, n_samples=301)
    np.testing.assert_allclose(a.loadings_, b.loadings_, atol=1e-6)


def test_three_rows_leave_no_noise():
    X = np.random.default_rng(0).standard_normal((3, 10))
    with pytest.warns(UserWarning, match="Heywood"):
        efa = ExploratoryFactorAnalysis(2, rotation=None).fit(X)
    assert np.isfinite(efa.loadings_).all() and np.isfinite(efa.score(X))
