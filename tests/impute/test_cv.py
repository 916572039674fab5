"""Choice of rank and penalty over hidden entries, and biscale."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from skstruct.impute import SoftImputerCV, SVTImputer, SVTImputerCV, biscale
from skstruct.model_selection import EntrywiseKFold
from tests.impute.test_soft import to_csr
from tests.reference import svt as ref


def test_svt_cv_finds_the_planted_rank():
    found = [SVTImputerCV(random_state=s).fit(ref.planted(s)[0]).n_components_
             for s in range(10)]  # fmt: skip
    assert sum(rank == 5 for rank in found) >= 9, found


def test_svt_cv_errors_are_those_of_single_fits():
    X, _ = ref.planted(0)
    cv = EntrywiseKFold(3, random_state=1)
    search = SVTImputerCV([0, 2, 5], cv=cv).fit(X)
    for fold, (_, test) in enumerate(cv.split(X)):
        for i, rank in enumerate((0, 2, 5)):
            hidden = np.where(test, np.nan, X)
            out = SVTImputer(n_components=rank).fit(hidden).transform(hidden)
            want = np.mean((out - X)[test] ** 2)
            assert_allclose(search.mse_path_[i, fold], want, rtol=1e-8)
    final = SVTImputer(n_components=search.n_components_).fit(X)
    assert_allclose(search.transform(X), final.transform(X))


@pytest.mark.parametrize("make", [np.asarray, to_csr], ids=["dense", "csr"])
def test_soft_cv_is_near_the_best_penalty(make):
    """The error against the truth is within 5 % of the best penalty of the grid."""
    from skstruct.impute import SoftImputer

    X, truth = ref.planted(0)
    search = SoftImputerCV(n_alphas=10, cv=3, random_state=0).fit(make(X))
    holes = np.isnan(X)

    def error(alpha):
        out = SoftImputer(alpha, random_state=0).fit_transform(X)
        return np.sqrt(np.mean((out - truth)[holes] ** 2))

    errors = {alpha: error(alpha) for alpha in search.alphas_}
    assert errors[search.alpha_] < 1.05 * min(errors.values())
    assert search.mse_path_.shape == (10, 3)


def test_cv_grids_are_checked():
    X, _ = ref.planted(0)
    with pytest.raises(ValueError, match="largest n_components=41 must be at most"):
        SVTImputerCV([1, 41]).fit(X)
    with pytest.raises(ValueError, match="n_components must be nonnegative integers"):
        SVTImputerCV([-1, 2]).fit(X)
    with pytest.raises(ValueError, match="alphas must be nonnegative, got -1"):
        SoftImputerCV([1.0, -1.0]).fit(X)


def test_biscale_standardises_rows_and_columns_together():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 25)) * rng.uniform(0.5, 3, (60, 1))
    X = X * rng.uniform(0.2, 5, 25) + rng.normal(0, 4, (60, 1)) + rng.normal(0, 9, 25)
    X[rng.random(X.shape) < 0.3] = np.nan
    out = biscale(X, max_iter=1000)
    i, j = np.nonzero(~np.isnan(X))
    back = out.X[i, j] * out.row_scale[i] * out.col_scale[j]
    assert_allclose(back + out.row_mean[i] + out.col_mean[j], X[i, j])
    # Stationarity: weighted row and column means zero, mean squares one.
    assert_allclose(np.nanmean(out.X, axis=0), 0, atol=1e-6)
    assert_allclose(np.nanmean(out.X, axis=1), 0, atol=1e-6)
    assert_allclose(np.nanmean(out.X**2, axis=0), 1, atol=1e-6)
    assert_allclose(np.nanmean(out.X**2, axis=1), 1, atol=1e-6)
    S = biscale(to_csr(X), max_iter=1000)
    assert sparse.issparse(S.X)
    assert_allclose(S.row_mean, out.row_mean, atol=1e-10)


@pytest.mark.parametrize("cls", [SVTImputerCV, SoftImputerCV])
def test_a_table_in_which_nothing_can_be_hidden(cls):
    with pytest.raises(ValueError, match="hides no entry of X.*n_features=1"):
        cls().fit(np.arange(20.0)[:, None])


def test_biscale_parts_can_be_switched_off():
    X = np.random.default_rng(0).normal(3, 2, (30, 6))
    out = biscale(X, row_center=False, row_scale=False)
    assert_allclose(out.col_mean, X.mean(axis=0))
    assert_allclose(out.col_scale, X.std(axis=0))
    assert not out.row_mean.any()
    with pytest.warns(Warning, match="biscale stopped after max_iter=1 sweeps"):
        biscale(X, max_iter=1)
    with pytest.raises(ValueError, match="no observed entry"):
        biscale(np.full((3, 3), np.nan))
