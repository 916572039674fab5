"""Import cost, read-only installations, and kernels as plain Python."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import skstruct

ROOT = Path(skstruct.__file__).parents[1]


def run(code, **env):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_import_is_light():
    found = run("""
        import sys, skstruct
        heavy = {"numba", "matplotlib", "networkx", "sklearn", "scipy", "pandas"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        assert "impute" in dir(skstruct)
        import skstruct.metrics, skstruct.plotting
        assert not {"matplotlib", "networkx"} & set(sys.modules)
    """)
    assert found.returncode == 0, found.stderr


def test_unknown_submodule_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = skstruct.nothing


def test_fit_without_any_writable_cache_folder(tmp_path):
    """numba raises at decoration when it finds no folder; ours falls back."""
    found = run(
        """
        import logging
        logging.basicConfig(level=logging.INFO)
        from numba.core import caching
        for impl in (caching.CacheImpl, *caching.CacheImpl.__subclasses__()):
            impl._locator_classes = []
        from skstruct.impute import SVTImputer
        import numpy as np
        X = np.random.default_rng(0).standard_normal((30, 5))
        assert SVTImputer(n_components=2).fit_transform(X).shape == (30, 5)
        """,
        HOME=str(tmp_path),
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("No folder is writable for numba") == 1


def test_kernels_as_plain_python_equal_the_compiled_ones(tmp_path):
    """The same numbers without compilation, where indices out of range would raise."""
    code = """
        import numpy as np, warnings
        from skstruct.impute import SoftImputer, SVTImputerCV
        rng = np.random.default_rng(0)
        X = rng.standard_normal((25, 2)) @ rng.standard_normal((2, 8))
        X += 0.1 * rng.standard_normal(X.shape)
        X[rng.random(X.shape) < 0.5] = np.nan
        X[:, 0] = 1.0
        a = SoftImputer(0.3, 2, store_rows=True, random_state=0).fit(X)
        b = SVTImputerCV([0, 1, 2], cv=2, random_state=0).fit(X)
        out = [a.transform(X).sum(), a.predict_entries([0, 1], [1, 2]).sum(),
               b.transform(X).sum(), b.mse_path_.sum(), a.score(X)]
        print(repr([float(v) for v in out]))
    """
    plain = run(code, NUMBA_DISABLE_JIT="1")
    compiled = run(code)
    assert plain.returncode == 0, plain.stderr
    assert compiled.returncode == 0, compiled.stderr
    assert eval(plain.stdout) == pytest.approx(eval(compiled.stdout), rel=1e-9)


def test_fastmath_flags_that_break_nan_are_refused():
    from skstruct._jit import jit

    with pytest.raises(ValueError, match="fastmath is limited"):
        jit(fastmath=True)
    with pytest.raises(ValueError, match="nnan"):
        jit(fastmath={"nnan"})
