"""The development data beside the checkout; tests skip with a reason without it."""

import os
from pathlib import Path

import pytest


def shared_data(*parts):
    """Path of a file of the development data, else skip the test."""
    root = os.environ.get("SKSTRUCT_SHARED_DATA")
    folder = Path(root) if root else Path(__file__).parents[2] / "shared" / "data"
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"development data {'/'.join(parts)} is not beside the checkout")
    return path
