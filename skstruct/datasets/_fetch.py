"""Downloads of original files into a cache folder."""

# SPDX-License-Identifier: BSD-3-Clause

import hashlib
import os
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen


def get_data_home(data_home=None):
    """Folder of the cached downloads.

    Parameters
    ----------
    data_home : str or path, default=None
        None: the environment variable ``SKSTRUCT_DATA``, else ``~/skstruct_data``.

    Returns
    -------
    folder : pathlib.Path
        Not created here.
    """
    if data_home is None:
        data_home = os.environ.get("SKSTRUCT_DATA", Path.home() / "skstruct_data")
    return Path(data_home).expanduser()


def fetch_file(name, url, sha256, *, data_home=None, download_if_missing=True):
    """Path of a cached file, downloaded and verified when it is not there.

    Parameters
    ----------
    name : str
        File name in the cache folder.
    url : str
        Public address of the original file.
    sha256 : str
        Checksum of the original file; a file that differs is refused.
    data_home : str or path, default=None
    download_if_missing : bool, default=True

    Returns
    -------
    path : pathlib.Path

    Raises
    ------
    OSError
        If the file is absent and cannot be downloaded, or its checksum is wrong. The
        message names the address and the folder, so that it can be put there by hand.
    """
    path = get_data_home(data_home) / name
    if not path.exists():
        advice = f"Put the file from {url} into the folder {path.parent} as {name}."
        if not download_if_missing:
            raise OSError(f"{name} is not in the cache. {advice}")
        try:
            with urlopen(url, timeout=60) as response:
                content = response.read()
        except (URLError, OSError) as error:
            raise OSError(
                f"{name} could not be downloaded ({error}). {advice}"
            ) from error
        _verify(content, sha256, f"The download of {url}")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written under another name first: an interrupted run leaves no half file.
        partial = path.with_suffix(path.suffix + f".{os.getpid()}.part")
        partial.write_bytes(content)
        partial.replace(path)
        return path
    _verify(path.read_bytes(), sha256, f"{path}")
    return path


def _verify(content, sha256, what):
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise OSError(f"{what} has sha256 {found}, expected {sha256}.")
