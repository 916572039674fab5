"""The kernels as plain Python, where indices out of range would raise."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import skstruct

CODE = """
import warnings
import numpy as np
from scipy import sparse
from skstruct.datasets import make_relational_communities
from skstruct.tensor import RESCAL, NonnegativeRESCAL
warnings.simplefilter("ignore")
X = make_relational_communities(6, 33, n_components=2, random_state=0).X
X[X < 0.05] = 0.0
X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
out = []
for make, data in (
    (NonnegativeRESCAL, X[:2]),
    (RESCAL, X),
    (NonnegativeRESCAL, [sparse.csr_array(x) for x in X[:2]]),
    (RESCAL, X[:2]),
):
    model = make(2, n_init=1, max_iter=2, random_state=0).fit(data)
    out += [model.reconstruct().sum(), model.transform(data).sum(), model.score(data)]
out.append(model.fold_in(np.ones((2, 6)), np.ones((2, 6))).sum())
print(repr([float(v) for v in out]))
"""


def test_plain_python_gives_the_numbers_of_the_compiled_kernels():
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        env={
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",
            "PYTHONPATH": str(Path(skstruct.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    compiled = {}
    with warnings.catch_warnings():
        exec(CODE, compiled)
    assert eval(run.stdout) == pytest.approx(compiled["out"], rel=1e-6)
