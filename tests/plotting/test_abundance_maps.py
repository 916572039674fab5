"""Maps and spectra: what is drawn, and what is refused."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose

from skstruct.datasets import make_hyperspectral_scene
from skstruct.decomposition import StructuredSparseNMF
from skstruct.metrics import match_endmembers
from skstruct.plotting import AbundanceMapDisplay


@pytest.fixture
def fitted():
    scene = make_hyperspectral_scene((10, 12), n_endmembers=3, random_state=0)
    model = StructuredSparseNMF(3, image_shape=(10, 12), random_state=0)
    return scene, model.fit(scene.X)


def test_maps_and_spectra(fitted):
    scene, model = fitted
    order = match_endmembers(scene.endmembers, model.components_)
    display = AbundanceMapDisplay.from_estimator(
        model,
        order=order,
        wavelengths=scene.wavelengths,
        names=["a", "b", "c"],
        reference_endmembers=scene.endmembers,
    )
    assert display.axes_.shape == (2, 3)
    for k, (image, below) in enumerate(display.axes_.T):
        assert image.get_title() == "abc"[k]
        drawn = image.images[0]
        assert drawn.get_clim() == (0, 1)
        want = model.abundances()[:, order[k]].reshape(10, 12)
        assert_allclose(drawn.get_array(), want)
        reference, found = below.lines
        assert_allclose(found.get_xdata(), scene.wavelengths)
        assert_allclose(found.get_ydata(), model.components_[order[k]])
        # The reference is shown at the same length.
        assert_allclose(np.linalg.norm(reference.get_ydata()), 1.0)
    plt.close(display.figure_)


def test_masked_pixels_are_blank_and_missing_bands_break_the_line():
    scene = make_hyperspectral_scene((10, 12), n_endmembers=2, random_state=0)
    mask = np.ones((10, 12), bool)
    mask[:2] = False
    model = StructuredSparseNMF(2, image_shape=(10, 12), mask=mask, random_state=0)
    model.fit(scene.X[mask.ravel()])
    wavelengths = scene.wavelengths + 500 * (np.arange(120) >= 60)
    display = AbundanceMapDisplay.from_estimator(model, wavelengths=wavelengths)
    shown = np.ma.filled(display.axes_[0, 0].images[0].get_array(), np.nan)
    assert np.isnan(shown[:2]).all() and np.isfinite(shown[2:]).all()
    assert np.isnan(display.axes_[1, 0].lines[0].get_ydata()).sum() == 1
    plt.close(display.figure_)


def test_errors(fitted):
    scene, model = fitted
    maps, spectra = np.ones((3, 4, 2)), np.ones((2, 5))
    with pytest.raises(ValueError, match="abundances must have shape"):
        AbundanceMapDisplay.from_arrays(maps, spectra[:1])
    with pytest.raises(ValueError, match="wavelengths must have 5 entries, got 4"):
        AbundanceMapDisplay(maps, spectra, wavelengths=range(4))
    with pytest.raises(ValueError, match="reference_endmembers must have shape"):
        AbundanceMapDisplay(maps, spectra, reference_endmembers=spectra[:1])
    display = AbundanceMapDisplay(maps, spectra)
    with pytest.raises(ValueError, match=r"plot\(axes=...\)"):
        display.plot(object())
    with pytest.raises(ValueError, match=r"axes must have shape \(2, 2\)"):
        display.plot(axes=np.empty((1, 2)))
    with pytest.raises(ValueError, match="has 20 pixels, the estimator was fitted on"):
        AbundanceMapDisplay.from_estimator(model, image_shape=(4, 5))
    bare = StructuredSparseNMF(2, random_state=0).fit(scene.X)
    with pytest.raises(ValueError, match="image_shape is not known"):
        AbundanceMapDisplay.from_estimator(bare)
