# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from scipy.io import loadmat
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ._fetch import fetch_file

_JASPER_NAME = "jasperRidge2_R198.mat"
_JASPER_URL = (
    "https://raw.githubusercontent.com/MeiShaohui/"
    "Spectral-Variability-Augmented-Sparse-Unmixing/"
    "9d0ce1f384d5d395374e0c24d44e49485bcb1d80/data/jasperRidge2_R198.mat"
)
_JASPER_SHA256 = "7dd702f9958510f35c7fee35f7f18ecfca393c9eebd39bddf6c9b7d147754caa"

# Edges of the nominal spectral range of the sensor, and its number of channels.
_AVIRIS = (380.0, 2500.0, 224)


def fetch_jasper_ridge(*, data_home=None, download_if_missing=True):
    """Load the Jasper Ridge scene with reference endmembers and abundances.

    100 x 100 pixels with 198 bands of an AVIRIS image (NASA/JPL), with reference
    spectra and abundances of tree, water, dirt and road. A file of 3 MB is downloaded
    once.

    Parameters
    ----------
    data_home : str or path, default=None
        Cache folder; None: the environment variable ``SKSTRUCT_DATA``, else
        ``~/skstruct_data``.
    download_if_missing : bool, default=True
        Whether the file may be downloaded.

    Returns
    -------
    data : Bunch
        ``X`` (10000, 198): pixels in C order, divided by the global maximum;
        ``image_shape`` (100, 100); ``endmembers`` (4, 198) on the scale of X;
        ``abundances`` (10000, 4), rows sum to one; ``names`` of the endmembers;
        ``bands`` (198,): kept of the 224 channels, counted from 1; ``wavelengths``
        (198,): nominal, evenly spaced over the range of the sensor, in nanometres;
        ``scale``: the maximum that X was divided by.

    Raises
    ------
    OSError
        If the file is absent and cannot be downloaded, or differs from the original.

    Notes
    -----
    The reference does not reproduce the image: ``||X - A M|| / ||X||`` is 0.16, since
    shade and variation within a class are not part of it.

    References
    ----------
    Zhu, Wang, Xiang, Fan, Pan (2014), Structured sparse method for hyperspectral
    unmixing, ISPRS Journal of Photogrammetry and Remote Sensing 88. Zhu (2017),
    Hyperspectral unmixing: ground truth labeling, datasets, benchmark performances and
    survey, arXiv 1708.05125.

    Examples
    --------
    >>> from skstruct.datasets import fetch_jasper_ridge
    >>> data = fetch_jasper_ridge()  # doctest: +SKIP
    >>> data.X.shape  # doctest: +SKIP
    (10000, 198)
    """
    path = fetch_file(
        _JASPER_NAME,
        _JASPER_URL,
        _JASPER_SHA256,
        data_home=data_home,
        download_if_missing=download_if_missing,
    )
    content = loadmat(path)
    shape = int(content["nRow"].item()), int(content["nCol"].item())
    scale = float(content["Y"].max())
    bands = content["SlectBands"].ravel().astype(int)
    low, high, channels = _AVIRIS
    return Bunch(
        X=_pixels(content["Y"], shape) / scale,
        image_shape=shape,
        endmembers=np.ascontiguousarray(content["M"].T),
        abundances=_pixels(content["A"], shape),
        names=[str(entry.item()).split("-")[-1] for entry in content["cood"].ravel()],
        bands=bands,
        wavelengths=low + (bands - 1) * (high - low) / (channels - 1),
        scale=scale,
    )


def _pixels(table, shape):
    """(bands, pixels) in column-major pixel order to (pixels, bands) in C order."""
    cube = table.T.reshape(shape[1], shape[0], -1).transpose(1, 0, 2)
    return np.ascontiguousarray(cube.reshape(shape[0] * shape[1], -1), dtype=float)


@validate_params(
    {
        "image_shape": [tuple, list],
        "n_endmembers": [Interval(Integral, 1, None, closed="left")],
        "n_bands": [Interval(Integral, 1, None, closed="left")],
        "snr": [Interval(Real, None, None, closed="neither"), StrOptions({"inf"})],
        "clip": ["boolean"],
        "shade": [Interval(Real, 0, 1, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_hyperspectral_scene(
    image_shape=(40, 40),
    *,
    n_endmembers=4,
    n_bands=120,
    snr=20.0,
    clip=True,
    shade=0.0,
    random_state=None,
):
    """Simulate an image of smoothly mixed spectra.

    Parameters
    ----------
    image_shape : tuple of two ints, default=(40, 40)
        Rows and columns.
    n_endmembers : int, default=4
        Number of spectra that are mixed.
    n_bands : int, default=120
        Number of bands from 400 to 2500 nm.
    snr : float or "inf", default=20.0
        Signal-to-noise ratio in dB: white Gaussian noise of variance
        ``mean(X^2) / 10^(snr / 10)``. "inf": no noise.
    clip : bool, default=True
        Whether negative values are set to zero. False leaves them, for looking at the
        noise alone.
    shade : float in [0, 1), default=0.0
        Brightness varies smoothly over the image down to ``1 - shade``.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    scene : Bunch
        ``X`` (n_pixels, n_bands), pixels in C order, noise-free values in [0, 1];
        ``clean``, the same without noise; ``abundances`` (n_pixels, n_endmembers),
        rows sum to one; ``endmembers`` (n_endmembers, n_bands); ``wavelengths``
        (n_bands,); ``image_shape``.

    Notes
    -----
    Abundances are squared Gaussian bumps around as many centres, divided by their sum.
    Spectra are smooth: a continuum with broad reflection maxima and narrower
    absorption bands, as of vegetation, soils and minerals.

    Examples
    --------
    >>> from skstruct.datasets import make_hyperspectral_scene
    >>> scene = make_hyperspectral_scene(random_state=0)
    >>> scene.X.shape, scene.abundances.shape, scene.endmembers.shape
    ((1600, 120), (1600, 4), (4, 120))
    """
    rng = check_random_state(random_state)
    rows, columns = image_shape
    abundances = _smooth_maps(rng, rows, columns, n_endmembers)
    wavelengths = np.linspace(400.0, 2500.0, n_bands)
    endmembers = _smooth_spectra(rng, np.linspace(0, 1, n_bands), n_endmembers)
    clean = abundances @ endmembers
    if shade > 0:
        field = _smooth_maps(rng, rows, columns, 2)[:, 0]
        field = (field - field.min()) / max(np.ptp(field), 1e-12)
        clean *= 1.0 - shade * field[:, None]
    X = clean.copy()
    if snr != "inf" and np.isfinite(snr):
        variance = np.mean(clean**2) / 10 ** (snr / 10)
        X += np.sqrt(variance) * rng.standard_normal(X.shape)
    if clip:
        np.maximum(X, 0.0, out=X)
    return Bunch(
        X=X,
        clean=clean,
        abundances=abundances,
        endmembers=endmembers,
        wavelengths=wavelengths,
        image_shape=(int(rows), int(columns)),
    )


def _smooth_maps(rng, rows, columns, K):
    """Centres spread over the image, one per cell of a grid, in random order."""
    side = int(np.ceil(np.sqrt(K)))
    cells = rng.permutation(side * side)[:K]
    centres = (np.column_stack([cells // side, cells % side]) + 0.5) / side
    centres += 0.15 / side * rng.uniform(-1, 1, size=centres.shape)
    r, c = np.meshgrid(
        (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns,
        indexing="ij",
    )  # fmt: skip
    points = np.column_stack([r.ravel(), c.ravel()])
    d2 = ((points[:, None] - centres) ** 2).sum(axis=2)
    width = 0.45 / side
    # The largest exponent is taken out, so that no pixel far from all underflows.
    log_maps = -d2 / width**2
    maps = np.exp(log_maps - log_maps.max(axis=1, keepdims=True))
    return maps / maps.sum(axis=1, keepdims=True)


def _smooth_spectra(rng, x, K):
    spectra = np.empty((K, x.size))
    for k in range(K):
        spectrum = rng.uniform(0.1, 0.3) + rng.uniform(-0.1, 0.2) * x
        for _ in range(3):
            centre, width = rng.uniform(0, 1), rng.uniform(0.08, 0.25)
            spectrum += rng.uniform(0.2, 0.6) * np.exp(-(((x - centre) / width) ** 2))
        for _ in range(2):
            centre, width = rng.uniform(0, 1), rng.uniform(0.02, 0.05)
            depth = rng.uniform(0.2, 0.5)
            spectrum *= 1 - depth * np.exp(-(((x - centre) / width) ** 2))
        spectra[k] = np.maximum(spectrum, 0.01)
    return spectra / spectra.max()
