"""The simulated scenes keep their promises; the loader says what is missing."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skstruct.datasets import fetch_jasper_ridge, make_hyperspectral_scene


@pytest.mark.parametrize("snr", [30, 20, 10])
def test_noise_has_the_stated_power(snr):
    scene = make_hyperspectral_scene((50, 60), snr=snr, clip=False, random_state=0)
    noise = scene.X - scene.clean
    found = 10 * np.log10(np.mean(scene.clean**2) / np.mean(noise**2))
    # 360,000 values: the power is known to 0.24 per cent, or 0.01 dB.
    assert_allclose(found, snr, atol=0.05)
    clipped = make_hyperspectral_scene((50, 60), snr=snr, random_state=0)
    assert_array_equal(clipped.X, np.maximum(scene.X, 0))


def test_scene_without_noise_is_the_linear_model():
    scene = make_hyperspectral_scene(
        (9, 14), n_endmembers=5, n_bands=30, snr="inf", random_state=3
    )
    assert_allclose(scene.X, scene.abundances @ scene.endmembers)
    assert_allclose(scene.abundances.sum(axis=1), 1.0)
    assert scene.abundances.min() >= 0
    assert scene.endmembers.min() > 0 and scene.endmembers.max() == 1
    assert scene.image_shape == (9, 14) and scene.wavelengths.shape == (30,)
    again = make_hyperspectral_scene(
        (9, 14), n_endmembers=5, n_bands=30, snr="inf", random_state=3
    )
    assert_array_equal(scene.X, again.X)


def test_maps_are_smooth_and_every_material_has_a_pure_pixel():
    scene = make_hyperspectral_scene(random_state=1)
    maps = scene.abundances.reshape(40, 40, 4)
    assert np.abs(np.diff(maps, axis=0)).max() < 0.35
    assert maps.max(axis=(0, 1)).min() > 0.95


def test_shade_scales_whole_pixels():
    bright = make_hyperspectral_scene(snr="inf", random_state=2)
    dark = make_hyperspectral_scene(snr="inf", shade=0.4, random_state=2)
    ratio = dark.X / (dark.abundances @ dark.endmembers)
    assert_allclose(ratio, ratio[:, :1] * np.ones(120))
    assert_allclose([ratio.min(), ratio.max()], [0.6, 1.0], atol=1e-9)
    assert_allclose(bright.abundances, dark.abundances)


def test_absent_file_names_address_and_folder(tmp_path):
    with pytest.raises(OSError, match="https://raw.*jasperRidge2_R198.mat.*as jasper"):
        fetch_jasper_ridge(data_home=tmp_path, download_if_missing=False)
    (tmp_path / "jasperRidge2_R198.mat").write_bytes(b"something else")
    with pytest.raises(OSError, match="has sha256"):
        fetch_jasper_ridge(data_home=tmp_path)
