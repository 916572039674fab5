"""SoftImputer: the convex optimum, its rank-capped relatives, and new rows."""

import logging
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skstruct.impute import SoftImputer, soft_impute_path
from tests.reference import svt as ref


def centred(seed, **kwargs):
    X, truth = ref.planted(seed, **kwargs)
    return X - np.nanmean(X, axis=0), truth


def to_csr(X):
    known = ~np.isnan(X)
    return sparse.csr_array((X[known], np.nonzero(known)), shape=X.shape)


def estimate(imputer, X):
    return imputer.set_params(impute_only=False).transform(X)


@pytest.mark.parametrize("solver", ["als", "svd"])
@pytest.mark.parametrize("missing", [0.2, 0.7], ids=["dense", "holes"])
@pytest.mark.parametrize("make", [np.asarray, to_csr], ids=["array", "csr"])
def test_convex_optimum(solver, missing, make):
    """Equal to the proximal iteration run to its end, and certified by duality."""
    X, _ = centred(0, n=60, p=30, missing=missing)
    alpha = 3.0
    Z = ref.soft_impute(X, alpha)
    optimum = ref.soft_objective(X, Z, alpha)
    assert optimum - ref.soft_dual_bound(X, Z, alpha) < 1e-9 * optimum
    imputer = SoftImputer(
        alpha, center=None, solver=solver, tol=1e-16, max_iter=5000, random_state=0
    ).fit(make(X))
    assert_allclose(imputer.loss_curve_[-1], optimum, rtol=1e-7)
    assert imputer.duality_gap_ < 1e-7 * optimum
    assert_allclose(estimate(imputer, make(X)), Z, atol=1e-5)


def test_optimality_against_an_interior_point_solver():
    cp = pytest.importorskip("cvxpy")
    X, _ = centred(1, n=15, p=10, missing=0.4)
    known = ~np.isnan(X)
    Z = cp.Variable(X.shape)
    fit = 0.5 * cp.sum_squares(cp.multiply(known, Z - np.where(known, X, 0)))
    problem = cp.Problem(cp.Minimize(fit + 1.5 * cp.norm(Z, "nuc")))
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10)
    imputer = SoftImputer(1.5, center=None, tol=1e-16, max_iter=2000, random_state=0)
    assert_allclose(imputer.fit(X).loss_curve_[-1], problem.value, rtol=1e-7)


@pytest.mark.parametrize("missing", [0.2, 0.8])
@pytest.mark.parametrize(
    ("solver", "alpha", "rank"),
    # No rank limit with "svd": its proximal step is then on a set that is not convex.
    [("als", 0.0, 3), ("als", 2.0, None), ("als", 1.0, 4), ("svd", 2.0, None)],
)
def test_objective_never_rises(missing, alpha, rank, solver):
    X, _ = centred(2, missing=missing)
    imputer = SoftImputer(
        alpha, rank, center=None, solver=solver, tol=1e-9, max_iter=50, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        imputer.fit(X)
    curve = imputer.loss_curve_
    assert len(curve) > 3
    assert np.all(np.diff(curve) <= 1e-10 * curve[0])


def test_no_penalty_and_rank_is_least_squares():
    """Hard-Impute: every row and column solves its own least squares problem."""
    X, _ = centred(0, n=100, p=40, rank=3, noise=0.1)
    imputer = SoftImputer(
        0.0, 3, center=None, tol=1e-18, max_iter=2000, store_rows=True, random_state=0
    ).fit(X)
    T, V = imputer.embedding_, imputer.components_.T
    residual = np.where(np.isnan(X), 0.0, X - T @ V.T)
    scale = np.abs(X[~np.isnan(X)]).sum()
    assert np.abs(residual @ V).max() < 1e-8 * scale
    assert np.abs(residual.T @ T).max() < 1e-8 * scale
    assert np.isnan(imputer.duality_gap_)


def test_transform_returns_the_fitted_row_of_training_rows():
    X, _ = centred(3)
    imputer = SoftImputer(
        2.0, tol=1e-16, max_iter=2000, store_rows=True, random_state=0
    ).fit(X)
    fitted = imputer.embedding_ @ imputer.components_ + imputer.mean_
    assert_allclose(estimate(imputer, X), fitted, atol=1e-6)


def test_alpha_max_is_where_the_solution_vanishes():
    X, _ = centred(0)
    top = np.linalg.norm(np.nan_to_num(X), 2)
    below = SoftImputer(0.999 * top, center=None, random_state=0).fit(X)
    assert_allclose(below.alpha_max_, top)
    assert below.n_components_ == 1
    with pytest.warns(UserWarning, match="not below alpha_max_"):
        above = SoftImputer(1.001 * top, center=None, random_state=0).fit(X)
    assert above.n_components_ == 0
    assert_allclose(estimate(above, X[:2]), 0.0)
    relative = SoftImputer(0.999, alpha_relative=True, center=None).fit(X)
    assert_allclose(relative.alpha_, below.alpha_)


def test_debias_is_least_squares_on_the_products():
    for missing in (0.2, 0.7):
        X, _ = centred(0, missing=missing)
        plain = SoftImputer(5.0, center=None, store_rows=True, random_state=0).fit(X)
        U = plain.embedding_ / plain.singular_values_
        want = ref.debiased_values(X, U, plain.components_.T)
        got = SoftImputer(5.0, center=None, debias=True, random_state=0).fit(X)
        assert_allclose(got.singular_values_, np.sort(want)[::-1], rtol=1e-6)


def test_debias_lowers_the_error_at_large_penalties():
    X, truth = ref.planted(0, noise=0.1)
    holes = np.isnan(X)
    errors = []
    for refit in (False, True):
        imputer = SoftImputer(12.0, debias=refit, random_state=0).fit(X)
        errors.append(np.sqrt(np.mean((imputer.transform(X) - truth)[holes] ** 2)))
    assert errors[1] < 0.6 * errors[0]


def test_exact_completion_by_iterative_svt():
    """200 x 100, rank 5, half observed, no noise: recovered to the tolerance."""
    X, truth = ref.planted(0, n=200, p=100, noise=0.0)
    imputer = SoftImputer(
        solver="svt", center=None, tol=1e-4, max_iter=500, random_state=0
    ).fit(X)
    assert imputer.n_components_ == 5
    error = np.linalg.norm(estimate(imputer, X) - truth) / np.linalg.norm(truth)
    assert error < 1e-3
    assert imputer.loss_curve_[-1] <= 1e-4


def test_nuclear_norm_completes_only_with_enough_entries():
    """r (n + p - r) degrees of freedom: five times as many entries suffice at this
    size, as many do not."""
    errors = {}
    for factor in (1.0, 5.0):
        n, p, r = 80, 80, 3
        share = factor * r * (n + p - r) / (n * p)
        X, truth = ref.planted(0, n=n, p=p, rank=r, noise=0.0, missing=1 - share)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            imputer = SoftImputer(
                0.01, center=None, tol=1e-10, max_iter=1000, random_state=0
            ).fit(X)
        error = estimate(imputer, X) - truth
        errors[factor] = np.linalg.norm(error) / np.linalg.norm(truth)
    assert errors[5.0] < 0.01
    assert errors[1.0] > 0.2


def test_path_is_warm_started_and_equals_single_fits():
    X, _ = centred(0)
    alphas, factors, n_iters = soft_impute_path(
        X, n_alphas=8, tol=1e-8, max_iter=1000, random_state=0
    )
    assert np.all(np.diff(alphas) < 0)
    top = np.linalg.norm(np.nan_to_num(X), 2)
    assert_allclose(alphas[[0, -1]], [0.99 * top, top / 100])
    for k in (2, 5):
        U, d, V = factors[k]
        single = SoftImputer(
            alphas[k], center=None, tol=1e-8, max_iter=1000, random_state=1
        ).fit(X)
        assert_allclose(
            ref.soft_objective(X, (U * d) @ V.T, alphas[k]),
            single.loss_curve_[-1],
            rtol=1e-6,
        )
        assert_allclose(U.T @ U, np.eye(d.size), atol=1e-10)
    assert n_iters.shape == (8,)


def test_warm_start_needs_fewer_iterations():
    X, _ = centred(0)
    imputer = SoftImputer(1.0, 5, warm_start=True, tol=1e-10, random_state=0).fit(X)
    cold = imputer.n_iter_
    assert imputer.fit(X).n_iter_ < cold


@pytest.mark.parametrize("missing", [0.3, 0.9])
def test_sparse_equals_dense(missing):
    X, _ = ref.planted(0, missing=missing)
    options = {"alpha": 1.0, "tol": 1e-12, "max_iter": 1000, "random_state": 0}
    dense = SoftImputer(**options).fit(X)
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        S = kind(to_csr(X))
        imputer = SoftImputer(**options).fit(S)
        assert_allclose(imputer.transform(S), dense.transform(X), atol=1e-4)
        assert_allclose(imputer.score(S), dense.score(X), rtol=1e-3)


def test_explicit_zeros_of_a_sparse_matrix_are_observations():
    X = sparse.csr_array(([0.0, 1.0, 2.0, 0.0], ([0, 0, 1, 2], [0, 1, 0, 1])), (3, 2))
    imputer = SoftImputer(0.1, random_state=0).fit(X)
    assert imputer.p_observed_ == 4 / 6
    assert_allclose(imputer.mean_, [1.0, 0.5])


def test_predict_entries_at_any_pairs():
    X, _ = ref.planted(0)
    imputer = SoftImputer(
        1.0, tol=1e-12, max_iter=1000, store_rows=True, bounds=(-1, 1), random_state=0
    ).fit(to_csr(X))
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 200, 50), rng.integers(0, 40, 50)
    want = estimate(imputer, to_csr(X))[rows, columns]
    assert_allclose(imputer.predict_entries(rows, columns), want, atol=1e-5)
    assert np.abs(imputer.predict_entries(rows, columns)).max() <= 1
    with pytest.raises(ValueError, match=r"columns must be in \[0, 40\), got 0 to 40"):
        imputer.predict_entries([0, 0], [0, 40])


def test_penalty_zero_without_rank_is_refused():
    X, _ = ref.planted(0)
    with pytest.raises(ValueError, match="alpha=0 needs n_components"):
        SoftImputer(0.0).fit(X)
    with pytest.raises(
        ValueError, match="The 'alpha' parameter of SoftImputer must be"
    ):
        SoftImputer(-1.0).fit(X)
    with pytest.raises(ValueError, match="n_components=41 must be at most"):
        SoftImputer(1.0, 41).fit(X)


def test_convergence_warning_names_quantity_and_bound():
    X, _ = ref.planted(0)
    with pytest.warns(ConvergenceWarning, match=r"relative change of Z .* above tol"):
        imputer = SoftImputer(0.5, max_iter=2, tol=1e-12, random_state=0).fit(X)
    assert imputer.n_iter_ == 2
    assert not imputer.converged_


def test_verbose_goes_to_the_log(caplog):
    X, _ = ref.planted(0)
    with caplog.at_level(logging.INFO, logger="skstruct"):
        SoftImputer(5.0, verbose=1, random_state=0).fit(X)
    assert "SoftImputer iteration 1: objective" in caplog.text
    assert {record.name for record in caplog.records} == {"skstruct.impute"}


def test_callbacks_see_iterations_and_can_stop():
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

    X, _ = ref.planted(0)
    stop = StopAtThree()
    imputer = SoftImputer(0.5, tol=1e-14, random_state=0).set_callbacks(stop)
    with pytest.warns(ConvergenceWarning):
        imputer.fit(X)
    assert stop.seen == imputer.n_iter_ == 3


def test_hostile_scales_stay_finite():
    X, _ = ref.planted(0)
    for factor in (1e-150, 1e150):
        imputer = SoftImputer(random_state=0).fit(factor * X)
        assert np.isfinite(imputer.transform(factor * X)).all()
        assert imputer.n_components_ > 0
    constant = np.ones((10, 4))
    constant[0, 0] = np.nan
    with pytest.warns(UserWarning, match="rank 0"):
        out = SoftImputer(scale=True, random_state=0).fit_transform(constant)
    assert_allclose(out, 1.0)
