"""MiniBatchGaussianMixture: stepwise EM."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skstruct.datasets import make_gaussian_stream
from skstruct.mixture import MiniBatchGaussianMixture
from tests.reference import mixture as ref


def test_one_component_is_the_running_mean_and_covariance():
    """kappa = 1, t0 = 0: step 1/(t+1) averages all batches after the first equally."""
    X = make_gaussian_stream(2000, 4, n_components=1, random_state=0).X
    model = MiniBatchGaussianMixture(
        kappa=1.0, t0=0, reg_covar=0, shuffle=False, max_iter=1, batch_size=200, tol=0
    ).fit(X)
    # The first step has size 1 and forgets the start.
    assert_allclose(model.means_[0], X.mean(axis=0), rtol=1e-10)
    assert_allclose(model.covariances_[0], np.cov(X.T, bias=True), rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_close_to_batch_em(seed):
    X = make_gaussian_stream(8000, 8, random_state=seed).X
    em = GaussianMixture(5, n_init=3, random_state=0).fit(X[:4000]).score(X[4000:])
    model = MiniBatchGaussianMixture(5, random_state=0).fit(X[:4000])
    assert model.score(X[4000:]) > em - 0.01
    assert model.converged_


def test_large_means_do_not_cancel():
    X = make_gaussian_stream(2000, 3, n_components=2, random_state=0).X
    near = MiniBatchGaussianMixture(2, random_state=0).fit(X)
    far = MiniBatchGaussianMixture(2, random_state=0).fit(X + 1e7)
    assert_allclose(near.covariances_, far.covariances_, rtol=1e-4)


def test_partial_fit_learns_a_stream():
    X = make_gaussian_stream(6000, 5, n_components=3, random_state=4).X
    model = MiniBatchGaussianMixture(3, random_state=0)
    first = model.partial_fit(X[:500]).score(X[5000:])
    for batch in np.array_split(X[500:5000], 9):
        model.partial_fit(batch)
    assert model.n_samples_seen_ == 5000
    em = GaussianMixture(3, n_init=3, random_state=0).fit(X[:5000]).score(X[5000:])
    assert model.score(X[5000:]) > max(first, em - 0.02)


def test_density_methods():
    X = make_gaussian_stream(600, 4, n_components=2, random_state=0).X
    model = MiniBatchGaussianMixture(2, random_state=0).fit(X)
    parts = model.weights_, model.means_, model.covariances_
    assert_allclose(model.score_samples(X), ref.log_density(X, *parts), atol=1e-9)
    assert_allclose(model.precisions_ @ model.covariances_, [np.eye(4)] * 2, atol=1e-9)
    assert_allclose(model.log_dets_, np.linalg.slogdet(model.covariances_)[1])
    assert model.n_components_ == 2
    found = model.conditional([0, 2], X[:3][:, [0, 2]])
    r, means, _ = ref.conditional(X[0, [0, 2]], np.array([0, 2]), *parts)
    assert_allclose(found.mean()[0], r @ means)
    assert model.sample(5)[0].shape == (5, 4)


def test_repeated_points_and_more_components_than_clusters():
    X = np.repeat(np.eye(3), 100, axis=0)
    model = MiniBatchGaussianMixture(6, random_state=0, reg_covar=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X)
    assert np.isfinite(model.score_samples(X)).all()
    assert_allclose(model.weights_.sum(), 1)


def test_same_bits_for_every_number_of_jobs():
    X = make_gaussian_stream(500, 3, random_state=0).X
    a, b = (
        MiniBatchGaussianMixture(3, n_jobs=n, random_state=0).fit(X).score_samples(X)
        for n in (1, 2)
    )
    assert_array_equal(a, b)


def test_warnings_and_errors():
    X = make_gaussian_stream(500, 3, random_state=0).X
    with pytest.warns(ConvergenceWarning, match="raise max_iter or tol"):
        MiniBatchGaussianMixture(3, max_iter=2, tol=1e-12, random_state=1).fit(X)
    with pytest.raises(ValueError, match="n_components=9 must be at most n_samples=5"):
        MiniBatchGaussianMixture(9).fit(X[:5])
    with pytest.raises(ValueError, match="'kappa' parameter"):
        MiniBatchGaussianMixture(kappa=0.3).fit(X)
    model = MiniBatchGaussianMixture().fit(X)
    with pytest.raises(ValueError, match="2 features"):
        model.partial_fit(X[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        model.score_samples(np.where(X == X[0], np.nan, X))
