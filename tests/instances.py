"""How the common tests build each public estimator.

Every test sub-package has one or more ``instances*.py`` that define a dictionary
``INSTANCES``: class -> :class:`Spec`. A public class without an entry fails
``test_common.py``, and so does an entry without a public class.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class RankDesign:
    """A planted design on which GridSearchCV must find the rank."""

    make: Callable[[int], tuple]
    """seed -> (X, y or None, fit_params dict)."""
    estimator: Callable[[], Any]
    grid: dict
    truth: dict
    """Best parameters that count as right, e.g. {"n_components": 5}."""
    cv: Any = 3
    refit: Any = True
    """True or one_standard_error (or a partial of it)."""
    name: str = ""
    n_seeds: int = 10
    n_right: int = 9


def default_data(seed=0):
    """A well-conditioned small table: 30 rows, 6 columns, rank 2 plus noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 6))
    return X + 0.3 * rng.standard_normal(X.shape), None


@dataclass
class Spec:
    """What the common tests need to know of one class."""

    factories: list
    """Zero-argument functions, one per solver or form; small sizes."""
    data: Callable = default_data
    """seed -> (X, y or None), float64 C order; input of the estimator itself."""
    outputs: tuple = ("transform",)
    """Methods whose result is compared between input kinds and n_jobs."""
    kinds: tuple = ("F", "strided", "readonly", "memmap", "float32", "int", "bool")
    """Further input kinds that must give the same result; add "sparse" if allowed."""
    expected_failed_checks: dict = field(default_factory=dict)
    """check name -> one sentence of reason."""
    adapt: Callable | None = None
    """For 3-d estimators: 2-d table -> 3-d array (see ``flat``)."""
    hidden: tuple = ()
    """With `adapt`: methods that take something else than slices."""
    min_checks: int = 40
    rank_designs: list = field(default_factory=list)
    no_rank: str = ""
    """One sentence why the class has no rank to be searched."""


def collect():
    """Merge the INSTANCES of every ``tests/*/instances*.py``."""
    merged = {}
    for package in sorted(Path(__file__).parent.iterdir()):
        if not (package / "__init__.py").exists():
            continue
        for module in pkgutil.iter_modules([str(package)]):
            if module.name.startswith("instances"):
                name = f"tests.{package.name}.{module.name}"
                found = importlib.import_module(name).INSTANCES
                doubled = merged.keys() & found.keys()
                assert not doubled, f"{name} repeats {doubled}"
                merged.update(found)
    return merged


def public_estimators():
    """Every BaseEstimator subclass in the ``__all__`` of a public sub-module."""
    from sklearn.base import BaseEstimator

    import skstruct

    classes = {}
    for sub in skstruct._SUBMODULES:
        module = getattr(skstruct, sub)
        for name in module.__all__:
            item = getattr(module, name)
            if isinstance(item, type) and issubclass(item, BaseEstimator):
                classes[item] = f"skstruct.{sub}.{name}"
    return classes
