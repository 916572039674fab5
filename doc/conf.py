"""Sphinx configuration; the build needs no network."""

import os
import re
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import skstruct
from skstruct import datasets

project = "skstruct"
author = "The skstruct developers"
copyright = "2026, The skstruct developers (BSD-3-Clause)"
version = release = skstruct.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "changes"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
}
html_sidebars = {"index": [], "install": [], "choosing": []}
suppress_warnings = ["myst.header"]
html_title = "skstruct"

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False


def examples_without_data():
    """Examples whose downloads are not in the cache; shown, but not run."""
    for path in sorted(Path(__file__).parents[1].glob("examples/*/plot_*.py")):
        for name in set(re.findall(r"\bfetch_\w+", path.read_text())):
            try:
                getattr(datasets, name)(download_if_missing=False)
            except OSError:
                yield path.stem
                break


_skipped = "".join(rf"(?!{stem}\.py)" for stem in examples_without_data())

sphinx_gallery_conf = {
    "filename_pattern": rf"/{_skipped}plot_",
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # The quickstart is a script with its own output, not a page of the gallery.
    "ignore_pattern": r"quickstart\.py",
    "within_subsection_order": "FileNameSortKey",
    "show_memory": False,
    "download_all_examples": False,
    "abort_on_example_error": True,
    "min_reported_time": 5,
}
