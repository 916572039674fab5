"""SparseCCA against R's PMA, slow references, theory and bad input."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.cross_decomposition import PLSSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from skstruct._linalg import leading_triplets
from skstruct.cross_decomposition import SparseCCA
from skstruct.cross_decomposition._sparse_views import (
    compress_rows,
    cross_starts,
    random_start,
    row_factors,
    standard_view,
)
from skstruct.datasets import load_nutrimouse
from tests._data import shared_data
from tests.cross_decomposition.instances_sparse_cca import planted_views, two_views
from tests.reference.sparse_cca import ipls, pmd, standardize

REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="module")
def mice():
    return load_nutrimouse()


def _agree(a, b, atol):
    """Columns equal up to sign."""
    signs = np.where(np.sum(a * b, axis=0) < 0, -1.0, 1.0)
    np.testing.assert_allclose(a, b * signs, atol=atol, rtol=0)


def test_equals_the_weights_of_r_pma(mice):
    """PMA 1.2-4: CCA(x, z, penaltyx=.3, penaltyz=.3, K=3, niter=2000)."""
    U, V = (
        np.loadtxt(REFERENCE / f"pma_nutrimouse_{name}.csv", delimiter=",")
        for name in "uv"
    )
    cca = SparseCCA(3).fit(mice.gene, mice.lipid)
    _agree(cca.x_weights_, U, 1e-6)
    _agree(cca.y_weights_, V, 1e-6)
    np.testing.assert_allclose(cca.correlations_, [0.8802, 0.8461, 0.8477], atol=5e-5)
    assert cca.n_nonzero_.tolist() == [[16, 2], [15, 3], [16, 2]]
    np.testing.assert_allclose(cca.d_, [104.1884, 115.4477, 92.39239], rtol=1e-6)


def test_packaged_data_is_the_original(mice):
    original = np.load(shared_data("nutrimouse", "nutrimouse.npz"))
    np.testing.assert_array_equal(mice.gene, original["gene"])
    np.testing.assert_array_equal(mice.lipid, original["lipid"])
    for name in ("diet", "genotype", "gene_names", "lipid_names"):
        assert list(mice[name]) == list(original[name])


def test_frames_carry_names():
    frames = load_nutrimouse(as_frame=True)
    cca = SparseCCA().fit(frames.gene, frames.lipid)
    assert list(cca.feature_names_in_) == frames.gene_names
    assert frames.lipid.shape == (40, 21)
    assert cca.get_feature_names_out().tolist() == ["sparsecca0"]


@pytest.mark.parametrize(("n", "p", "q"), [(40, 60, 30), (30, 20, 25), (200, 12, 9)])
@pytest.mark.parametrize("ratio", [0.25, 0.6, 1.0])
def test_pmd_equals_slow_reference(n, p, q, ratio):
    X, Y = planted_views(3, n=n, sizes=(p, q), block=4)
    cca = SparseCCA(3, l1_ratio=ratio, tol=1e-13, max_iter=3000).fit(X, Y)
    bounds = [max(1.0, ratio * np.sqrt(size)) for size in (p, q)]
    U, V, d = pmd(standardize(X), standardize(Y), bounds, 3)
    _agree(cca.x_weights_, U, 1e-8)
    _agree(cca.y_weights_, V, 1e-8)
    np.testing.assert_allclose(cca.d_, d, rtol=1e-9)


@pytest.mark.parametrize(("n", "p", "q"), [(40, 60, 30), (200, 12, 9)])
@pytest.mark.parametrize(("alpha", "ratio"), [(0.25, 1.0), (0.1, 0.7)])
def test_ipls_equals_slow_reference(n, p, q, alpha, ratio):
    X, Y = planted_views(4, n=n, sizes=(p, q), block=4)
    cca = SparseCCA(2, method="ipls", alpha=alpha, en_ratio=ratio, tol=1e-12)
    cca.fit(X, Y)
    U, V = ipls(standardize(X, 0), standardize(Y, 0), (alpha,) * 2, (ratio,) * 2, 2)
    _agree(cca.x_weights_, U, 1e-6)
    _agree(cca.y_weights_, V, 1e-6)


def test_without_a_bound_it_is_pls_svd():
    X, Y = two_views(5)
    cca = SparseCCA(2, l1_ratio=1.0, tol=1e-13, max_iter=5000).fit(X, Y)
    plain = PLSSVD(2).fit(X, Y)
    _agree(cca.x_weights_, plain.x_weights_, 1e-9)
    _agree(cca.y_weights_, plain.y_weights_, 1e-9)


def test_ipls_without_penalty_is_canonical_correlation():
    """Two elastic nets without penalty alternate to the leading canonical pair."""
    X, Y = two_views(6)
    cca = SparseCCA(2, method="ipls", alpha=0.0, tol=1e-12, max_iter=5000).fit(X, Y)
    Qx, Qy = (np.linalg.qr(A - A.mean(axis=0))[0] for A in (X, Y))
    rho = np.linalg.svd(Qx.T @ Qy, compute_uv=False)
    np.testing.assert_allclose(cca.correlations_, rho[:2], atol=1e-8)


def test_criterion_never_decreases(mice):
    runs = [(mice.gene, mice.lipid), *(planted_views(seed) for seed in range(4))]
    n_values = 0
    for X, Y in runs:
        for ratio in (0.15, 0.3, 0.7):
            for positive in (False, True):
                cca = SparseCCA(3, l1_ratio=ratio, positive=positive).fit(X, Y)
                for curve, d in zip(cca.objective_curves_, cca.d_):
                    assert np.all(np.diff(curve) >= -1e-10 * curve[-1])
                    assert curve[-1] == d
                    n_values += curve.size
    assert n_values > 300


def test_weights_keep_their_norms(mice):
    cca = SparseCCA(3, l1_ratio=(0.2, 0.4)).fit(mice.gene, mice.lipid)
    for W, ratio in ((cca.x_weights_, 0.2), (cca.y_weights_, 0.4)):
        np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1.0, rtol=1e-12)
        bound = max(1.0, ratio * np.sqrt(len(W)))
        assert np.all(np.abs(W).sum(axis=0) <= bound * (1 + 1e-9))


@pytest.mark.parametrize("method", ["pmd", "ipls"])
@pytest.mark.parametrize("deflation", ["hotelling", "projection"])
def test_attributes_describe_the_scores(method, deflation, mice):
    cca = SparseCCA(3, method=method, deflation=deflation, alpha=0.3)
    X, Y = mice.gene, mice.lipid
    T, S = cca.fit(X, Y).transform(X, Y)
    found = [np.corrcoef(t, s)[0, 1] for t, s in zip(T.T, S.T)]
    np.testing.assert_allclose(cca.correlations_, found, atol=1e-12)
    assert np.all(cca.correlations_ >= 0)
    np.testing.assert_array_equal(T, cca.transform(X))
    np.testing.assert_array_equal(cca.fit_transform(X, Y), T)
    if method == "ipls":
        np.testing.assert_allclose(T.std(axis=0), 1.0, rtol=1e-9)
    if deflation == "projection":
        for Z in (T, S):
            corr = np.corrcoef(Z.T) - np.eye(3)
            assert np.abs(corr).max() < 1e-8
    Z = (X - cca.x_mean_) / cca.x_scale_
    np.testing.assert_allclose(
        cca.x_loadings_, np.linalg.lstsq(T, Z, rcond=None)[0].T, atol=1e-9
    )
    np.testing.assert_allclose(
        cca.inverse_transform(T), T @ cca.x_loadings_.T * cca.x_scale_ + cca.x_mean_
    )
    centered = Y - Y.mean(axis=0)
    fitted = T @ np.linalg.lstsq(T, centered, rcond=None)[0] + Y.mean(axis=0)
    np.testing.assert_allclose(cca.predict(X), fitted, atol=1e-9)
    # On the training rows the score is the sum of squared canonical correlations.
    n = len(X)
    Qt, Qs = (np.linalg.qr(Z - Z.mean(axis=0))[0] for Z in (T, S))
    rho2 = np.linalg.svd(Qt.T @ Qs, compute_uv=False) ** 2
    np.testing.assert_allclose(cca.score(X, Y), rho2.sum() * (n - 1) / n, rtol=0.03)


@pytest.mark.parametrize("method", ["pmd", "ipls"])
def test_order_of_rows_and_columns_does_not_matter(method, mice):
    X, Y = mice.gene, mice.lipid
    cca = SparseCCA(3, method=method, alpha=0.3, tol=1e-10).fit(X, Y)
    rng = np.random.default_rng(0)
    rows, px, py = (rng.permutation(size) for size in (40, 120, 21))
    other = SparseCCA(3, method=method, alpha=0.3, tol=1e-10)
    other.fit(X[rows][:, px], Y[rows][:, py])
    np.testing.assert_allclose(other.x_weights_, cca.x_weights_[px], atol=1e-7)
    np.testing.assert_allclose(other.y_weights_, cca.y_weights_[py], atol=1e-7)


@pytest.mark.parametrize("method", ["pmd", "ipls"])
def test_units_and_offsets_do_not_matter(method, mice):
    X, Y = mice.gene, mice.lipid
    cca = SparseCCA(2, method=method, alpha=0.3).fit(X, Y)
    other = SparseCCA(2, method=method, alpha=0.3).fit(1e6 * X - 3e7, 1e-9 * Y + 1e-7)
    np.testing.assert_allclose(other.x_weights_, cca.x_weights_, atol=1e-6)
    np.testing.assert_allclose(other.y_weights_, cca.y_weights_, atol=1e-6)


@pytest.mark.parametrize("method", ["pmd", "ipls"])
@pytest.mark.parametrize("scale", [True, False])
def test_sparse_input_equals_dense(method, scale):
    rng = np.random.default_rng(0)
    X, Y = planted_views(1, n=60, sizes=(90, 40))
    X = np.where(rng.random(X.shape) < 0.7, 0.0, X + 2)
    X[:, 17] = 0.0
    Y[:, 5] = 3.0
    options = {"method": method, "scale": scale, "alpha": 0.25, "tol": 1e-11}
    dense = SparseCCA(2, **options).fit(X, Y)
    for first in (sparse.csr_array(X), sparse.csc_matrix(X), sparse.coo_array(X)):
        other = SparseCCA(2, **options).fit(first, Y)
        np.testing.assert_allclose(other.x_weights_, dense.x_weights_, atol=1e-8)
        np.testing.assert_allclose(other.y_weights_, dense.y_weights_, atol=1e-8)
        np.testing.assert_allclose(
            other.transform(first), dense.transform(X), atol=1e-7
        )
        np.testing.assert_allclose(other.score(first, Y), dense.score(X, Y), atol=1e-8)
    both = SparseCCA(2, **options).fit(sparse.csr_array(X), sparse.csr_array(Y))
    np.testing.assert_allclose(both.y_weights_, dense.y_weights_, atol=1e-8)
    assert not both.x_weights_[17].any() and not both.y_weights_[5].any()


@pytest.mark.parametrize("deflation", ["hotelling", "projection"])
def test_tall_views_are_compressed_without_a_change(deflation, monkeypatch):
    X, Y = planted_views(2, n=300, sizes=(30, 20), block=4)
    X[:, 3] = 1.0
    options = {"l1_ratio": 0.9, "deflation": deflation, "tol": 1e-12}
    views = [standard_view(A, scale=True, ddof=1) for A in (X, Y)]
    assert compress_rows(views)[0].shape == (50, 30)
    for method in ("pmd", "ipls"):
        short = SparseCCA(2, method=method, **options).fit(X, Y)
        with monkeypatch.context() as m:
            m.setattr(
                "skstruct.cross_decomposition._sparse_cca.compress_rows", lambda v: v
            )
            full = SparseCCA(2, method=method, **options).fit(X, Y)
        np.testing.assert_allclose(short.x_weights_, full.x_weights_, atol=1e-7)
        np.testing.assert_allclose(short.correlations_, full.correlations_, atol=1e-9)
        assert short.x_weights_[3].any() == full.x_weights_[3].any() == False  # noqa: E712


def test_start_is_the_singular_vector_however_computed():
    for n, p, q in [(40, 90, 70), (40, 90, 12), (40, 12, 90), (60, 30, 20)]:
        X, Y = planted_views(2, n=n, sizes=(p, q), block=4)
        x, y = (standard_view(A, scale=True, ddof=1) for A in (X, Y))
        expected = np.linalg.svd(x.rows @ y.rows.T)[2][:3].T
        factors = row_factors([x, y])
        for options, tol in ({"factors": factors}, 1e-8), ({}, 1e-5):
            S, T = cross_starts(x, y, 3, **options)
            V = y.correlate(S)
            _agree(V, expected, tol)
            np.testing.assert_allclose(T, y.rows.T @ V, atol=1e-8)


@pytest.mark.parametrize("sizes", [(90, 70), (90, 12)])
def test_random_starts_are_unit_weights_and_their_scores(sizes):
    _, Y = planted_views(2, n=40, sizes=sizes, block=4)
    for A in (Y, sparse.csr_array(Y)):
        y = standard_view(A, scale=True, ddof=1)
        s, t = random_start(y, 0)
        v = y.correlate(s)
        assert np.linalg.norm(v) == pytest.approx(1.0)
        np.testing.assert_allclose(t, y.scores(v), atol=1e-12)
        assert abs(v @ y.correlate(random_start(y, 1)[0])) < 0.9


def test_leading_triplets_of_larger_matrices():
    """From this size on a single triplet comes from iterations."""
    rng = np.random.default_rng(0)
    for M in (
        rng.standard_normal((200, 180)),
        rng.standard_normal((200, 300)) * np.geomspace(1, 1e-5, 300),
        1e-70 * rng.standard_normal((160, 160)),
    ):
        U, s, Vt = np.linalg.svd(M)
        for k in (1, 2):
            left, values, right = leading_triplets(M, k)
            np.testing.assert_allclose(values, s[:k], rtol=1e-10)
            _agree(left, U[:, :k], 1e-8)
            _agree(right, Vt[:k].T, 1e-8)
    assert leading_triplets(np.zeros((160, 170)), 1)[1] == 0


def test_starts_of_very_different_sizes():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 50)) * np.where(np.arange(50) < 1, 1e3, 1.0)
    Y = rng.standard_normal((30, 40)) * np.where(np.arange(40) < 1, 1e3, 1.0)
    x, y = (standard_view(A, scale=False, ddof=1) for A in (X, Y))
    expected = np.linalg.svd(x.rows @ y.rows.T)[2][:2].T
    S, _ = cross_starts(x, y, 2, factors=row_factors([x, y]))
    _agree(y.correlate(S), expected, 1e-5)


@pytest.mark.parametrize("size", [1e-75, 1e-60, 1e60])
def test_starts_of_tiny_and_huge_views(size):
    """Starts are the same, and their scores follow the unit of the view."""
    X, Y = planted_views(1, n=40, sizes=(60, 50))
    starts = []
    for unit in (1.0, size):
        x, y = (standard_view(unit * A, scale=False, ddof=1) for A in (X, Y))
        S, T = cross_starts(x, y, 2, factors=row_factors([x, y]))
        starts.append((y.correlate(S), T / unit))
    plain, scaled = starts
    for one, other in zip(scaled, plain):
        _agree(one, other, 1e-6)


def test_views_whose_products_overflow():
    X, Y = planted_views(1, n=40, sizes=(60, 50))
    for A, B, name in ((1e90 * X, Y, "X"), (X, 1e90 * Y, "y")):
        with pytest.raises(ValueError, match=f"{name} has a centred column of norm"):
            SparseCCA(scale=False).fit(A, B)
        assert SparseCCA().fit(A, B).correlations_[0] > 0.5


def test_planted_columns_are_found():
    X, Y = planted_views(0, n=200, sizes=(1000, 800), block=10)
    for options in ({"l1_ratio": (0.09, 0.1)}, {"method": "ipls", "alpha": 0.2}):
        cca = SparseCCA(2, **options).fit(X, Y)
        for W in (cca.x_weights_, cca.y_weights_):
            blocks = {frozenset((np.flatnonzero(w) // 10).tolist()) for w in W.T}
            assert blocks == {frozenset([0]), frozenset([1])}
            assert np.all(np.count_nonzero(W, axis=0) >= 7)


def test_later_components_also_start_from_what_earlier_ones_leave(monkeypatch):
    """On these data the singular vectors of the whole lead to a lower optimum."""
    from skstruct.cross_decomposition import _sparse_cca

    X, Y = planted_views(3, rank=3)
    both = SparseCCA(2, l1_ratio=0.25).fit(X, Y)

    def undeflated_only(*args, middle=None, **options):
        S, T = cross_starts(*args, middle=middle, **options)
        return (0 * S, 0 * T) if middle is not None else (S, T)

    monkeypatch.setattr(_sparse_cca, "cross_starts", undeflated_only)
    one = SparseCCA(2, l1_ratio=0.25).fit(X, Y)
    assert both.d_[0] == one.d_[0] and both.d_[1] > 1.05 * one.d_[1]


def test_more_starts_never_lower_the_criterion():
    X, Y = planted_views(7, n=40, sizes=(60, 50), loading=0.5)
    one = SparseCCA(l1_ratio=0.2).fit(X, Y)
    many = SparseCCA(l1_ratio=0.2, n_init=20, random_state=0).fit(X, Y)
    assert many.d_[0] >= one.d_[0] * (1 - 1e-9)
    # On these data the extra starts do find a better optimum.
    assert many.d_[0] > one.d_[0] * 1.001


def test_positive_weights():
    X, Y = planted_views(1)
    Y[:, :8] *= -1
    for options in ({"l1_ratio": 0.3}, {"method": "ipls", "alpha": 0.1}):
        cca = SparseCCA(2, positive=(True, False), **options).fit(X, Y)
        assert np.all(cca.x_weights_ >= 0) and np.any(cca.y_weights_ < 0)
        cca = SparseCCA(positive=True, **options).fit(X, Y)
        assert np.all(cca.x_weights_ >= 0) and np.all(cca.y_weights_ >= 0)


def test_nothing_positive_is_a_zero_component():
    z = np.arange(10.0)[:, None]
    cca = SparseCCA(positive=True)
    with pytest.warns(UserWarning, match=r"component\(s\) \[0\] are zero"):
        cca.fit(z, -z)
    assert cca.correlations_[0] == 0 and cca.score(z, -z) == 0


@pytest.mark.parametrize("name", ["duplicates", "constant", "binary", "one column"])
@pytest.mark.parametrize("method", ["pmd", "ipls"])
def test_degenerate_data_gives_finite_results(name, method):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20, 6)), rng.standard_normal((20, 4))
    if name == "duplicates":
        X = np.repeat(X[:, :1], 6, axis=1)
        Y = np.repeat(X[:, :1], 4, axis=1)
    elif name == "constant":
        X[:, 1:4], Y[:, 2] = 5.0, 1e300
        X[:, 0] *= 1e180
        Y[:, 0] *= 1e-180
    elif name == "binary":
        X, Y = np.eye(20)[:, :6], np.eye(20)[:, 2:6]
    else:
        X, Y = X[:, :1], Y[:, 0]
    for ratio in (1e-3, 0.41, 0.5, 1.0):
        cca = SparseCCA(method=method, l1_ratio=ratio, alpha=0.01).fit(X, Y)
        assert np.isfinite(cca.x_weights_).all() and np.isfinite(cca.y_weights_).all()
        assert np.isfinite(cca.score(X, Y)) and np.isfinite(cca.predict(X)).all()
    if name == "constant":
        assert not cca.x_weights_[1:4].any() and cca.y_weights_[2] == 0
    if name == "duplicates":
        np.testing.assert_allclose(cca.correlations_, 1.0)


def test_views_without_variance_are_a_zero_component():
    with pytest.warns(UserWarning, match="are zero"):
        cca = SparseCCA().fit(np.ones((5, 3)), np.arange(10.0).reshape(5, 2))
    assert not cca.x_weights_.any() and cca.correlations_[0] == 0


def test_penalty_that_kills_everything(mice):
    cca = SparseCCA(2, method="ipls", alpha=0.95)
    with pytest.warns(UserWarning, match="alpha=0.95 is too large; alpha_max_"):
        cca.fit(mice.gene, mice.lipid)
    assert not cca.x_weights_.any() and not cca.y_weights_.any()
    np.testing.assert_array_equal(cca.correlations_, 0.0)
    assert cca.score(mice.gene, mice.lipid) == 0.0
    np.testing.assert_allclose(
        cca.predict(mice.gene), np.tile(mice.lipid.mean(axis=0), (40, 1))
    )
    bound = cca.alpha_max_[0]
    below = SparseCCA(method="ipls", alpha=(bound * (1 - 1e-6), 0.1))
    assert below.fit(mice.gene, mice.lipid).n_nonzero_[0, 0] == 1
    np.testing.assert_allclose(below.alpha_max_[0], bound, rtol=1e-12)
    second = below.alpha_max_[1]
    with pytest.warns(UserWarning, match="are zero"):
        SparseCCA(method="ipls", alpha=(bound * (1 - 1e-6), second * (1 + 1e-6))).fit(
            mice.gene, mice.lipid
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 5}, "n_components=5 must be at most min.*=4"),
        ({"n_components": 5, "deflation": "projection"}, "n_samples - 1.*=4"),
        ({"l1_ratio": (0.3, 1.5)}, r"l1_ratio=\(0.3, 1.5\) must lie in \(0, 1\]"),
        ({"l1_ratio": [0.3, 0.3, 0.3]}, "must be one value or a pair"),
        ({"l1_ratio": 0}, "'l1_ratio' parameter"),
        ({"alpha": (-1, 0.3), "method": "ipls"}, r"alpha=\(-1, 0.3\) must lie in \[0"),
        ({"en_ratio": (0.0, 1.0)}, r"en_ratio=.* must lie in \(0, 1\]"),
        ({"method": "mai"}, "'method' parameter"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        SparseCCA(**options).fit(*two_views())


def test_bad_data():
    X, Y = two_views()
    cca = SparseCCA()
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[30, 29"):
        cca.fit(X, Y[:-1])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        cca.fit(np.where(X > 1, np.nan, X), Y)
    with pytest.raises(ValueError, match="Input y contains infinity"):
        cca.fit(X, np.where(Y > 1, np.inf, Y))
    with pytest.raises(ValueError, match="1 sample"):
        cca.fit(X[:1], Y[:1])
    with pytest.raises(ValueError, match="requires y"):
        cca.fit(X, None)
    cca.fit(X, Y)
    with pytest.raises(ValueError, match="y has 2 columns"):
        cca.score(X, Y[:, :2])
    with pytest.raises(ValueError, match="x_scores has 2 columns"):
        cca.inverse_transform(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="needs dense views"):
        SparseCCA(method="ipls", deflation="projection").fit(sparse.csr_array(X), Y)


@pytest.mark.parametrize("method", ["pmd", "ipls"])
def test_too_few_iterations_warn(method):
    X, Y = planted_views(0, loading=0.3)
    first = "before" if method == "pmd" else "above"
    for max_iter, moved in ((1, first), (2, "above")):
        message = f"component 0 stopped at max_iter={max_iter} .*{moved}"
        with pytest.warns(ConvergenceWarning, match=message):
            SparseCCA(method=method, max_iter=max_iter, tol=1e-12).fit(X, Y)


@pytest.mark.parametrize(
    "estimator", [SparseCCA(), SparseCCA(method="ipls", alpha=0.2)], ids=["pmd", "ipls"]
)
def test_score_is_negative_on_noise_at_every_rank(estimator):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, Y = rng.standard_normal((80, 100)), rng.standard_normal((80, 60))
        search = GridSearchCV(estimator, {"n_components": [1, 2, 3, 4]}, cv=4)
        scores = search.fit(X, Y).cv_results_["mean_test_score"]
        assert np.all(scores < 0)


def test_a_step_in_front_of_a_regression():
    X, Y = planted_views(0)
    pipeline = make_pipeline(SparseCCA(2), Ridge())
    assert cross_val_score(pipeline, X, Y[:, :16], cv=3).mean() > 0.3
    names = pipeline.set_output(transform="pandas").fit(X, Y)[:-1].transform(X).columns
    assert list(names) == ["sparsecca0", "sparsecca1"]


def test_many_columns_need_no_cross_product():
    """The cross-product would have 1.8e9 entries, 14 GB."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 60_000)).astype(np.float32)
    Y = rng.standard_normal((20, 30_000)).astype(np.float32)
    z = 3 * rng.standard_normal(20)
    X[:, 5] += z
    Y[:, 7] += z
    cca = SparseCCA(l1_ratio=1e-3).fit(X, Y)
    assert cca.n_nonzero_.tolist() == [[1, 1]]
    assert cca.transform(X).dtype == np.float32


def test_callbacks_and_log(caplog):
    with caplog.at_level("INFO", logger="skstruct.cross_decomposition"):
        SparseCCA(2, verbose=1).fit(*two_views())
    assert len(caplog.records) == 2
