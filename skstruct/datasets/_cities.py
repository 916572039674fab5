# SPDX-License-Identifier: BSD-3-Clause

import csv
from importlib import resources

import numpy as np
from sklearn.utils import Bunch


def load_world_cities():
    """Load 50 large cities as points of the unit sphere.

    Returns
    -------
    data : Bunch
        ``data`` of shape (50, 3), unit vectors (x through 0° N 0° E, z through the
        north pole); ``latitude`` and ``longitude`` of shape (50,) in degrees;
        ``names`` of shape (50,).

    Notes
    -----
    Positions are a part of the SimpleMaps basic world cities table (CC BY 4.0), in
    the selection of the MIT-licensed package geomstats 2.8.0.

    Examples
    --------
    >>> from skstruct.datasets import load_world_cities
    >>> cities = load_world_cities()
    >>> cities.data.shape, str(cities.names[0])
    ((50, 3), 'Tokyo')
    """
    source = resources.files(__package__) / "data" / "world_cities.csv"
    rows = list(csv.DictReader(source.read_text(encoding="utf-8").splitlines()))
    latitude = np.array([float(row["lat"]) for row in rows])
    longitude = np.array([float(row["lng"]) for row in rows])
    a, b = np.deg2rad(latitude), np.deg2rad(longitude)
    points = np.column_stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    return Bunch(
        data=points,
        latitude=latitude,
        longitude=longitude,
        names=np.array([row["city"] for row in rows]),
    )
