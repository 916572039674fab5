"""The held-out score mechanisms, the download cache and shared helpers."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from skstruct._base import deterministic_signs
from skstruct._scores import (
    canonical_rotation,
    cross_prediction,
    gaussian_log_density,
    hidden_block_error,
    hidden_columns,
    hidden_entries,
)
from skstruct.datasets._fetch import fetch_file, get_data_home


def test_hidden_entries_leave_one_per_row_and_do_not_depend_on_blocks():
    observed = np.random.default_rng(0).random((50, 12)) < 0.4
    hidden = hidden_entries(observed, 0.5, 3)
    assert not (hidden & ~observed).any()
    counts = observed.sum(axis=1)
    want = np.minimum(np.rint(0.5 * counts), np.maximum(counts - 1, 0))
    assert (hidden.sum(axis=1) == want).all()
    rng = np.random.default_rng(3)
    blocks = [hidden_entries(observed[i : i + 17], 0.5, rng) for i in range(0, 50, 17)]
    np.testing.assert_array_equal(np.vstack(blocks), hidden)


def test_hidden_columns_are_a_fixed_share():
    hidden = hidden_columns(10, 0.3, 0)
    assert hidden.sum() == 3
    np.testing.assert_array_equal(hidden, hidden_columns(10, 0.3, 0))
    assert hidden_columns(2, 0.9, 0).sum() == 1


def test_hidden_block_error_shows_no_hidden_value():
    X = np.arange(12.0).reshape(3, 4)
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 2] = mask[0, 0] = True

    def predict(visible, given):
        assert np.isnan(visible[mask]).all()
        assert given is not None
        return np.full(X.shape, 2.0)

    assert hidden_block_error(X, mask, predict) == -np.mean([4.0**2, 2.0**2])


def test_cross_prediction_is_its_formula_and_punishes_noise():
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, 5000, 3))
    B[:, 0] = 0.8 * A[:, 0] + 0.6 * B[:, 0]
    rho = np.array([0.8, 0.3, 0.3])
    a, b = A[:, 0], B[:, 0]
    first = 1.6 * np.mean(a * b) - 0.64 * (np.mean(a**2) + np.mean(b**2)) / 2
    assert_allclose(cross_prediction(A[:, :1], B[:, :1], rho[:1]), first)
    assert first > 0.5
    assert cross_prediction(A, B, rho) < first  # overfitted directions cost


def test_gaussian_log_density_equals_scipy():
    rng = np.random.default_rng(0)
    C = np.cov(rng.standard_normal((3, 50)))
    x = rng.standard_normal(3)
    d2 = x @ np.linalg.solve(C, x)
    got = gaussian_log_density(d2, np.linalg.slogdet(C)[1], 3)
    assert_allclose(got, multivariate_normal(np.zeros(3), C).logpdf(x))


def test_signs_make_the_largest_entry_positive():
    U = np.array([[1.0, -3.0, 2.0], [-2.0, 1.0, -2.0]])
    V = np.ones((4, 3))
    flipped, partner = deterministic_signs(U, V)
    np.testing.assert_array_equal(flipped, [[-1, 3, 2], [2, -1, -2]])
    np.testing.assert_array_equal(partner[0], [-1, -1, 1])
    assert deterministic_signs(np.zeros((3, 0))).shape == (3, 0)


def test_fetch_reads_the_cache_and_checks_it(tmp_path, monkeypatch):
    content = b"original"
    good = hashlib.sha256(content).hexdigest()
    (tmp_path / "file.bin").write_bytes(content)
    options = {"data_home": tmp_path}
    assert fetch_file("file.bin", "http://x", good, **options).read_bytes() == content
    with pytest.raises(OSError, match="has sha256 .*, expected 0000"):
        fetch_file("file.bin", "http://x", "0000", **options)
    with pytest.raises(OSError, match=r"from http://x/none .* folder .* as none.bin"):
        fetch_file(
            "none.bin", "http://x/none", good, download_if_missing=False, **options
        )
    monkeypatch.setenv("SKSTRUCT_DATA", str(tmp_path / "elsewhere"))
    assert get_data_home() == tmp_path / "elsewhere"


def test_fetch_downloads_verifies_and_names_the_way_out(tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(b"data")
    good = hashlib.sha256(b"data").hexdigest()
    home = tmp_path / "home"
    path = fetch_file("a.bin", source.as_uri(), good, data_home=home)
    assert path.read_bytes() == b"data"
    assert [p.name for p in home.iterdir()] == ["a.bin"]
    with pytest.raises(OSError, match="The download of .* expected 0000"):
        fetch_file("b.bin", source.as_uri(), "0000", data_home=home)
    with pytest.raises(OSError, match="could not be downloaded .* as c.bin"):
        fetch_file("c.bin", (tmp_path / "no").as_uri(), good, data_home=home)
    assert not (home / "c.bin").exists()


def test_canonical_rotation_is_cca_of_the_scores():
    rng = np.random.default_rng(0)
    T = rng.standard_normal((60, 3)) * [1e-6, 1.0, 1e6]  # scales are no obstacle
    U = T[:, :2] @ rng.standard_normal((2, 3)) + rng.standard_normal((60, 3))
    T, U = T - T.mean(axis=0), U - U.mean(axis=0)
    Gx, Gy, rho = canonical_rotation(T.T @ T / 60, U.T @ U / 60, T.T @ U / 60)
    A, B = T @ Gx, U @ Gy
    assert_allclose(A.T @ A / 60, np.eye(3), atol=1e-9)
    assert_allclose(B.T @ B / 60, np.eye(3), atol=1e-9)
    assert_allclose(A.T @ B / 60, np.diag(rho), atol=1e-9)
    expected = np.linalg.svd(np.linalg.qr(T)[0].T @ np.linalg.qr(U)[0])[1]
    assert_allclose(rho, expected, atol=1e-9)
    # On training rows the score is the sum of squared correlations.
    assert_allclose(cross_prediction(A, B, rho), np.sum(rho**2))


def test_canonical_rotation_gives_zero_to_zero_components():
    S = np.diag([2.0, 0.0])
    Gx, Gy, rho = canonical_rotation(S, S, np.diag([1.0, 0.0]))
    assert_allclose(rho, [0.5, 0.0])
    assert np.isfinite(Gx).all() and np.isfinite(Gy).all() and np.all(Gx[1] == 0)
    zero = np.zeros((2, 2))
    assert_allclose(canonical_rotation(zero, zero, zero)[2], 0.0)
