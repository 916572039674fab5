"""Barycentric subspaces beyond constant curvature, and with constrained weights."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import expm, logm
from scipy.optimize import minimize, minimize_scalar

from skstruct._karcher import barycenters, project_on_span
from skstruct._manifolds import (
    BUILT_IN,
    AffineInvariantSPD,
    resolve_manifold,
    sym_to_vec,
    vec_to_sym,
)
from skstruct.decomposition import BarycentricSubspaceAnalysis as BSA
from skstruct.decomposition._barycentric_kernels import (
    nonnegative_programme,
    simplex_projections,
)
from tests._data import shared_data
from tests.reference import barycentric as ref


def _spd(n, d, seed=0, spread=0.7):
    rng = np.random.default_rng(seed)
    S = spread * rng.standard_normal((n, d, d))
    return np.array([expm((A + A.T) / 2) for A in S])


def _random(name, n=12, seed=0):
    """Points of a built-in manifold in the layout of its input."""
    rng = np.random.default_rng(seed)
    if name.startswith("spd"):
        return _spd(n, 3, seed)
    if name == "kendall_planar_triangles":
        return rng.standard_normal((n, 3, 2))
    if name == "spectra":
        return np.sort(rng.standard_normal((n, 4)), axis=1)
    kind = {v: k for k, v in ref.NAMES.items()}[name]
    return ref.random_points(kind, n, 3, rng, 0.6)


# -- the manifolds ---------------------------------------------------------------------


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_exponential_inverts_logarithm_and_lengths_are_distances(name):
    manifold = resolve_manifold(name)
    X = _random(name)
    Y = manifold.encode(X.reshape(len(X), -1))
    x = Y[:1]
    v = manifold.log(x, Y)
    assert_allclose(manifold.exp(np.repeat(x, len(Y), 0), v), Y, atol=1e-12)
    lengths = np.sqrt(manifold.inner(np.repeat(x, len(Y), 0), v, v)[:, 0])
    assert_allclose(lengths, manifold.dist(x, Y), atol=1e-12)
    assert_allclose(manifold.dist(Y, x), manifold.dist(x, Y), atol=1e-12)
    again = manifold.encode(manifold.decode(Y))
    assert_allclose(again, Y, atol=1e-10)
    mean = manifold.mean(Y, np.ones(len(Y)))
    logs = manifold.log(mean[None], Y).mean(axis=0, keepdims=True)
    assert np.sqrt(manifold.inner(mean[None], logs, logs)[0, 0]) < 1e-12


def test_affine_invariant_hessian_equals_finite_differences():
    manifold = AffineInvariantSPD()
    x, y = _spd(2, 3)
    x, y = x.reshape(1, 9), y.reshape(1, 9)
    root, inverse = manifold.roots(x)
    w, U = manifold.whitened(inverse, y)
    K, h = manifold.hessian_factors(w, U)
    H = (K * h[:, None, :]) @ np.swapaxes(K, 1, 2)
    v = np.random.default_rng(0).standard_normal(6)
    tangent = (root @ vec_to_sym(v[None]) @ root).reshape(1, 9)

    def f(t):
        return manifold.dist(manifold.exp(x, t * tangent), y)[0] ** 2 / 2

    e = 1e-3
    second = (-f(2 * e) + 16 * f(e) - 30 * f(0) + 16 * f(-e) - f(-2 * e)) / (12 * e**2)
    assert_allclose(v @ H[0] @ v, second, rtol=1e-7)


def test_isometry_of_symmetric_matrices():
    S = _spd(5, 4)
    assert_allclose(vec_to_sym(sym_to_vec(S)), S)
    assert_allclose(
        np.linalg.norm(sym_to_vec(S), axis=1), np.linalg.norm(S, axis=(1, 2))
    )


def test_triangles_are_a_sphere_of_radius_one_half():
    manifold = resolve_manifold("kendall_planar_triangles")
    Z = np.random.default_rng(0).standard_normal((2, 3, 2))
    z = Z[..., 0] + 1j * Z[..., 1]
    z = z - z.mean(axis=1, keepdims=True)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    # Kendall's distance of planar shapes of unit size.
    want = np.arccos(abs(np.vdot(z[0], z[1])))
    Y = manifold.encode(Z.reshape(2, 6))
    assert_allclose(manifold.dist(Y[:1], Y[1:]), want)
    turned = 3 * np.exp(0.7j) * z[0] + 5
    again = np.stack([turned.real, turned.imag], axis=1).reshape(1, 6)
    assert_allclose(manifold.encode(again), Y[:1], atol=1e-12)


# -- affine-invariant matrices ---------------------------------------------------------


def test_geodesic_of_two_matrices_is_their_span():
    manifold = AffineInvariantSPD()
    S = _spd(12, 3)
    rows = S.reshape(12, 9)
    x, lam, converged = project_on_span(manifold, rows[:2], rows)
    assert converged.all()
    velocity = manifold.log(rows[:1], rows[1:2])
    for j in range(2, 12):

        def f(t, j=j):
            return manifold.dist(manifold.exp(rows[:1], t * velocity), rows[[j]])[0]

        found = minimize_scalar(f, bracket=(0, 1), tol=1e-12)
        assert_allclose(manifold.dist(x[[j]], rows[[j]])[0], found.fun, rtol=1e-9)
        assert_allclose(lam[j], [1 - found.x, found.x], atol=1e-5)


def test_projection_on_three_matrices_equals_simplex_search():
    manifold = AffineInvariantSPD()
    rows = _spd(8, 3, 2).reshape(8, 9)
    x, lam, converged = project_on_span(manifold, rows[:3], rows)
    assert converged.all()
    logs = manifold.log(x[:, None], rows[None, :3])
    gradient = np.einsum("ni,nid->nd", lam, logs)
    assert np.sqrt(manifold.inner(x, gradient, gradient)).max() < 1e-11

    def f(c, y, start):
        weights = np.array([[1 - c.sum(), *c]])
        return manifold.dist(barycenters(manifold, rows[:3], weights, start)[0], y)[0]

    options = {"xatol": 1e-9, "fatol": 1e-12}
    for j in (4, 6):
        found = minimize(f, [0.3, 0.3], args=(rows[[j]], x[[j]]), method="Nelder-Mead",
                         options=options)  # fmt: skip
        assert_allclose(manifold.dist(x[[j]], rows[[j]])[0], found.fun, rtol=1e-8)


def test_commuting_matrices_are_flat():
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    logs = 0.5 * rng.standard_normal((10, 3))
    S = np.einsum("ab,nb,cb->nac", Q, np.exp(logs), Q)
    flat = BSA(2, strategy="pure").fit(logs)
    for name in ("spd_log_euclidean", "spd_affine_invariant"):
        bsa = BSA(2, manifold=name, strategy="forward").fit(S)
        same = BSA(2, strategy="forward").fit(logs)
        assert_array_equal(bsa.reference_indices_, same.reference_indices_)
        assert_allclose(
            bsa.unexplained_variance_, same.unexplained_variance_, atol=1e-12
        )
    assert flat.unexplained_variance_[-1] <= same.unexplained_variance_[-1]


@pytest.mark.parametrize("name", ["spd_log_euclidean", "spd_affine_invariant"])
def test_matrices_in_both_layouts(name):
    S = _spd(10, 3)
    a = BSA(2, manifold=name).fit(S)
    b = BSA(2, manifold=name).fit(S.reshape(10, 9))
    assert_allclose(a.transform(S), b.transform(S.reshape(10, 9)))
    assert a.references_.shape == (3, 3, 3) and b.references_.shape == (3, 9)
    assert a.mean_.shape == (3, 3)
    assert_allclose(a.references_, S[a.reference_indices_], atol=1e-10)
    T = a.transform(S)
    assert_allclose(a.inverse_transform(T), a.project(S), atol=1e-8)
    assert np.isfinite(a.score(S))


def test_log_euclidean_is_flat_in_the_logarithm():
    S = _spd(15, 3)
    logs = sym_to_vec(np.array([logm(A).real for A in S]))
    a = BSA(2, manifold="spd_log_euclidean", references="optimized").fit(S)
    b = BSA(2, references="optimized").fit(logs)
    assert_allclose(a.unexplained_variance_, b.unexplained_variance_, rtol=1e-9)


def test_affine_invariant_results_do_not_change_under_congruence():
    S = _spd(6, 2)
    A = np.array([[2.0, 0.3], [-0.5, 1.0]])
    for strategy in ("forward", "pure", "flag", "exchange", "backward"):
        a = BSA(1, manifold="spd_affine_invariant", strategy=strategy).fit(S)
        b = BSA(1, manifold="spd_affine_invariant", strategy=strategy).fit(A @ S @ A.T)
        assert_array_equal(a.reference_indices_, b.reference_indices_)
        assert_allclose(a.unexplained_variance_, b.unexplained_variance_, rtol=1e-7)
    want = min(
        np.mean(a.residuals(S, 1) ** 2)
        for i in range(6)
        for j in range(i)
        for a in [
            BSA(1, manifold="spd_affine_invariant", init_references=[i, j]).fit(S)
        ]
    )
    pure = BSA(1, manifold="spd_affine_invariant", strategy="pure").fit(S)
    assert_allclose(pure.unexplained_variance_[-1], want, rtol=1e-9)


# -- convex weights and spectra --------------------------------------------------------


def test_nonnegative_programme_fulfils_the_optimality_conditions():
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 9):
        for rank in (n, max(1, n - 2)):
            A = rng.standard_normal((rank, n))
            Q, c = A.T @ A, A.T @ rng.standard_normal(rank)
            u = np.empty(n)
            nonnegative_programme(Q, c, u)
            slope = c - Q @ u
            assert (u >= 0).all()
            assert slope.max() <= 1e-10 * max(1, np.abs(c).max())
            assert_allclose(slope * u, 0, atol=1e-10)


def test_convex_weights_equal_a_constrained_solver():
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((4, 5)), rng.standard_normal((20, 5))
    lam = np.empty((20, 4))
    simplex_projections(X @ X.T, Y @ X.T, np.sum(Y**2, axis=1), lam)
    assert (lam >= 0).all()
    assert_allclose(lam.sum(axis=1), 1)
    for y, w in zip(Y, lam):
        found = minimize(
            lambda u, y=y: np.sum((u @ X - y) ** 2),
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda u: u.sum() - 1},
            options={"ftol": 1e-14},
        )
        assert np.sum((w @ X - y) ** 2) <= found.fun + 1e-9


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_convex_fit_uses_corners_and_stays_in_the_hull(offset):
    rng = np.random.default_rng(0)
    corners = np.array([[0.0, 0, 1], [6, 0, 1], [0, 6, 1]])
    mix = rng.dirichlet(np.ones(3), 40)
    X = offset + np.vstack([corners, mix @ corners])
    bsa = BSA(2, weights="convex", output="weights", strategy="exchange").fit(X)
    assert sorted(bsa.reference_indices_) == [0, 1, 2]
    lam = bsa.transform(X)
    assert_allclose(lam @ bsa.references_, X, atol=1e-6)
    outside = offset + np.array([[9.0, -2, 1]])
    assert_allclose(bsa.project(outside), offset + np.array([[6.0, 0, 1]]), atol=1e-6)
    affine = BSA(2, strategy="pure").fit(X)
    assert affine.unexplained_variance_[-1] <= bsa.unexplained_variance_[-1] + 1e-9


def test_spectra_stay_sorted_and_are_nearest():
    rng = np.random.default_rng(0)
    Y = np.sort(rng.standard_normal((30, 5)), axis=1)
    bsa = BSA(2, manifold="spectra").fit(Y)
    x = bsa.project(Y)
    assert (np.diff(x, axis=1) >= -1e-12).all()
    flat = BSA(2, init_references=bsa.reference_indices_).fit(Y)
    free = flat.project(Y)
    unsorted = (np.diff(free, axis=1) < -1e-9).any(axis=1)
    assert 0 < unsorted.sum() < 30  # both cases are tested
    assert_allclose(x[~unsorted], free[~unsorted], atol=1e-10)
    R = bsa.references_
    for j in np.flatnonzero(unsorted):
        found = minimize(
            lambda c, j=j: np.sum((R[0] + c @ (R[1:] - R[0]) - Y[j]) ** 2),
            np.zeros(2),
            constraints={
                "type": "ineq",
                "fun": lambda c: np.diff(R[0] + c @ (R[1:] - R[0])),
            },
            options={"ftol": 1e-14},
        )
        assert_allclose(np.sum((x[j] - Y[j]) ** 2), found.fun, rtol=1e-6)


def test_matrices_and_their_eigenvalues_are_the_same_spectra():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((9, 4, 4))
    A = A + A.transpose(0, 2, 1)
    a = BSA(1, manifold="spectra").fit(A)
    b = BSA(1, manifold="spectra").fit(np.linalg.eigvalsh(A))
    assert_allclose(a.transform(A), b.transform(np.linalg.eigvalsh(A)))
    assert a.n_features_in_ == 4


def test_three_kinds_of_networks_give_one_reference_each():
    """Stars, double stars and complete graphs on ten nodes, weights with noise."""
    right = 0
    for seed in range(10):
        X = networks(seed)
        bsa = BSA(2, manifold="spectra", strategy="pure").fit(X)
        kinds = np.repeat([0, 1, 2], [6, 5, 4])
        right += sorted(kinds[bsa.reference_indices_]) == [0, 1, 2]
    assert right == 10


def networks(seed):
    """Adjacency matrices: 6 stars, 5 double stars, 4 complete graphs."""
    rng = np.random.default_rng(seed)
    star, double = np.zeros((10, 10)), np.zeros((10, 10))
    star[0, 1:] = double[0, 1:6] = double[5, 6:] = 1
    graphs = [star] * 6 + [double] * 5 + [np.triu(np.ones((10, 10)), 1)] * 4
    noisy = np.array([g * (1 + 0.05 * rng.standard_normal(g.shape)) for g in graphs])
    return noisy + noisy.transpose(0, 2, 1)


# -- a manifold of the caller's --------------------------------------------------------


class _OwnSphere:
    """The protocol, by formulas of its own."""

    dim = 3

    def log(self, x, y):
        c = np.clip(np.sum(x * y, axis=-1, keepdims=True), -1, 1)
        u = y - c * x
        norm = np.linalg.norm(u, axis=-1, keepdims=True)
        return (
            np.where(norm > 0, np.arctan2(norm, c) / np.where(norm > 0, norm, 1), 1) * u
        )

    def exp(self, x, v):
        t = np.linalg.norm(v, axis=-1, keepdims=True)
        y = np.cos(t) * x + np.sinc(t / np.pi) * v
        return y / np.linalg.norm(y, axis=-1, keepdims=True)

    def dist(self, x, y):
        return np.linalg.norm(self.log(x, y), axis=-1)


def test_protocol_object_equals_the_closed_forms_of_the_sphere():
    Y = ref.random_points(1, 12, 3, np.random.default_rng(0), 0.5)
    own = BSA(2, manifold=_OwnSphere(), output="weights").fit(Y)
    built_in = BSA(2, manifold="sphere", output="weights").fit(Y)
    assert_array_equal(own.reference_indices_, built_in.reference_indices_)
    assert_allclose(
        own.unexplained_variance_, built_in.unexplained_variance_, rtol=1e-7
    )
    assert_allclose(own.transform(Y), built_in.transform(Y), atol=1e-4)
    assert_allclose(own.mean_, built_in.mean_, atol=1e-10)
    own.set_params(output="coordinates")
    assert_allclose(own.inverse_transform(own.transform(Y)), own.project(Y), atol=1e-7)
    assert_allclose(own.score(Y), built_in.score(Y), rtol=1e-4)


def test_protocol_object_may_refuse_points():
    class Picky(_OwnSphere):
        def check_points(self, X):
            raise ValueError("Row 0 is not one of mine.")

    with pytest.raises(ValueError, match="not one of mine"):
        BSA(1, manifold=Picky()).fit(np.eye(4))


# -- real shapes -----------------------------------------------------------------------


def test_optic_nerve_triangles_run_through_a_pipeline():
    path = shared_data("flag_bsa", "optical_nerves.txt")
    # x and y of the landmarks S, T and I.
    table = np.loadtxt(path, skiprows=1, usecols=(1, 2, 4, 5, 10, 11), delimiter="\t")
    triangles = table.reshape(-1, 3, 2)
    bsa = BSA(1, manifold="kendall_planar_triangles", strategy="pure").fit(triangles)
    assert bsa.references_.shape == (2, 3, 2)
    assert bsa.explained_variance_ratio_[-1] > 0.3
    assert_allclose(
        bsa.residuals(5 * triangles + 3), bsa.residuals(triangles), atol=1e-9
    )


def test_matrices_go_through_a_grid_search_as_they_are():
    from sklearn.model_selection import GridSearchCV

    S = _spd(30, 3)
    bsa = BSA(manifold="spd_log_euclidean", references="optimized")
    search = GridSearchCV(bsa, {"n_components": [1, 2, 3]}, cv=3).fit(S)
    assert search.transform(S).shape == (30, search.best_params_["n_components"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
