"""Structured sparse NMF beside other ways to unmix an image."""

import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from sklearn.decomposition import NMF

from benchmarks._harness import (
    case,
    environment,
    measure,
    peak_memory_mb,
    run_in_environment,
)
from skstruct.datasets import fetch_jasper_ridge
from skstruct.decomposition import (
    StructuredSparseNMF,
    fcls,
    nnls_abundances,
    spatial_affinity,
    vca,
)
from skstruct.decomposition._ss_nmf_solver import (
    Graph,
    Problem,
    chunks_of,
    objective,
    sweep_pass,
    update_endmembers,
)
from skstruct.metrics import unmixing_scores

PACKAGES = ("numba",)

# Its simplex search uses parts of SciPy and NumPy that are gone.
_PYSPTOOLS = [
    "pysptools==0.15.0",
    "numpy==1.23.5",
    "scipy==1.9.3",
    "scikit-learn<1.3",
    "matplotlib<3.8",
    "cvxopt<1.4",
    "setuptools<81",
]

_BIG = """
import numpy as np
def big_image(path, side, bands=200):
    rng = np.random.default_rng(0)
    M = rng.random((4, bands))
    X = np.memmap(path, np.float32, "w+", shape=(side * side, bands))
    for first in range(0, len(X), side):
        A = rng.dirichlet(np.full(4, 0.5), side)
        noise = 0.05 * rng.standard_normal((side, bands))
        X[first : first + side] = np.maximum(A @ M + noise, 0) / 2
    X.flush()
"""
exec(_BIG)


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            _jasper_case(quick, crop=False),
            _jasper_case(quick, crop=True),
            _early_case(quick),
            _plain_case(quick),
            _abundance_case(quick),
            _memmap_case(quick),
        ]


def _jasper(crop):
    local = Path(__file__).parents[3] / "shared" / "data" / "originals"
    data = fetch_jasper_ridge(data_home=local if local.exists() else None)
    X, A, shape = data.X, data.abundances, data.image_shape
    if crop:
        part = (slice(20, 70), slice(30, 80))
        X = X.reshape(*shape, -1)[part].reshape(2500, -1)
        A = A.reshape(*shape, -1)[part].reshape(2500, -1)
        shape = (50, 50)
    return np.ascontiguousarray(X), A, data.endmembers, shape


def _scores(M_true, A_true, M, A):
    total = A.sum(axis=1, keepdims=True)
    A = np.divide(A, total, out=np.zeros_like(A), where=total > 0)
    found = unmixing_scores(M_true, M, A_true, A)
    return {"sad": found.mean_sad, "rmse": found.mean_rmse}


def _passes(X, K):
    """One reading of X with its two products, the least an iteration can do."""
    right = np.random.default_rng(0).random((X.shape[1], K)).astype(X.dtype)

    def products():
        P = 0.0
        for rows in chunks_of(X):
            block = X[rows]
            P = P + (block @ right).T @ block
        return P

    return products


def _jasper_case(quick, crop):
    X, A_true, M_true, shape = _jasper(crop)
    if quick and not crop:
        X, A_true, shape = X[:3000], A_true[:3000], (30, 100)
    repeats = 1 if quick else 3

    def ours(**params):
        return StructuredSparseNMF(
            4, image_shape=shape, random_state=0, **params
        ).fit(X)  # fmt: skip

    def vca_fcls():
        M = vca(X, 4, random_state=0)
        return M, fcls(X, M)

    def sklearn_nmf(solver):
        model = NMF(
            4, solver=solver, init="nndsvdar", max_iter=200, tol=0, random_state=0
        )
        return model, model.fit_transform(X)

    measured = measure(
        {
            "skstruct": ours,
            "skstruct, n_init=1": lambda: ours(n_init=1),
            "skstruct, no graph": lambda: ours(graph_weight=0),
            "skstruct, no graph, square root": lambda: ours(
                graph_weight=0, sparsity_norm=0.5, alpha=0.05
            ),
            "multiplicative updates, same objective, 300 iterations": lambda: ours(
                solver="mu", n_init=1, tol=0
            ),
            "VCA + FCLS (skstruct)": vca_fcls,
            "scikit-learn NMF (cd), 200 iterations": lambda: sklearn_nmf("cd"),
            "scikit-learn NMF (mu), 200 iterations": lambda: sklearn_nmf("mu"),
        },
        repeats=repeats,
    )
    quality = {}
    for name, entry in measured.items():
        result = entry.pop("result")
        if isinstance(result, StructuredSparseNMF):
            quality[name] = {
                **_scores(M_true, A_true, result.components_, result.embedding_),
                "n_iter": result.n_iter_,
            }
            if result.alpha == 0.1 and result.graph_weight > 0:
                quality[name]["objective"] = result.objective_
            if name == "skstruct":
                n_iter = result.n_iter_
        elif isinstance(result[0], NMF):
            quality[name] = _scores(M_true, A_true, result[0].components_, result[1])
        else:
            quality[name] = _scores(M_true, A_true, *result)
    spread = []
    for seed in range(2 if quick else 10):
        model = StructuredSparseNMF(4, image_shape=shape, random_state=seed).fit(X)
        spread.append(_scores(M_true, A_true, model.components_, model.embedding_))
    for key in ("sad", "rmse"):
        quality["skstruct"][f"{key}_worst_of_10"] = max(s[key] for s in spread)
        quality["skstruct"][f"{key}_best_of_10"] = min(s[key] for s in spread)
    peer = _nfindr(X, shape)
    measured["pysptools NFINDR + FCLS"] = {
        "seconds": peer["seconds"],
        "version": "0.15.0",
        "note": "in an environment with NumPy 1.23 and SciPy 1.9",
    }
    quality["pysptools NFINDR + FCLS"] = _scores(
        M_true, A_true, peer["M"], peer["A"].reshape(len(X), -1)
    )
    floor = measure({"floor": _passes(X, 4)}, repeats=15)["floor"]["seconds"]
    return case(
        f"Unmixing Jasper Ridge, {'crop' if crop else 'full scene'}, 4 endmembers",
        f"{shape[0]} x {shape[1]} pixels, 198 bands; floor: reading X with two "
        "products, for each iteration after the choice of the start",
        measured,
        quality,
        floor_seconds=floor * n_iter,
    )


def _early_case(quick):
    """The plain descent of the literature from a single start, and the minimum.

    Figures of single runs that were stopped early are easily taken for those of the
    model.
    """
    X, A_true, M_true, shape = _jasper(quick)
    graph = Graph.of(spatial_affinity(X, shape), X.dtype).banded()
    n_iter = 20 if quick else 100
    rows, quality = {}, {}

    def descent(alpha, lam, seed):
        problem = Problem(X, graph, lam, alpha, False)
        M = vca(X, 4, random_state=seed)
        A = problem.laid_out(fcls(X, M))
        M /= np.linalg.norm(M, axis=1, keepdims=True)
        for _ in range(n_iter):
            P, Q, sums = sweep_pass(problem, A, M)
            update_endmembers(P, Q, M, unit=True, n_inner=1)
        return A, M, objective(problem, A, M, sums=sums, P=P, Q=Q)

    for alpha, lam in ((0.05, 0.0), (0.2, 0.0), (0.2, 0.1)):
        setting = f"alpha={alpha}, graph_weight={lam}"
        for seed in range(1 if quick else 5):
            name = f"{setting}: {n_iter} plain iterations, seed {seed}"
            start = time.perf_counter()
            A, M, value = descent(alpha, lam, seed)
            rows[name] = {"seconds": time.perf_counter() - start}
            quality[name] = {**_scores(M_true, A_true, M, A), "objective": value}
        name = f"{setting}: minimum"
        start = time.perf_counter()
        model = StructuredSparseNMF(
            4, alpha=alpha, graph_weight=lam, image_shape=shape, tol=1e-8,
            max_iter=1000, random_state=0,
        ).fit(X)  # fmt: skip
        rows[name] = {"seconds": time.perf_counter() - start}
        quality[name] = {
            **_scores(M_true, A_true, model.components_, model.embedding_),
            "objective": model.objective_,
        }
    return case(
        "Jasper Ridge, stopped early against the minimum",
        f"{shape[0]} x {shape[1]} pixels, 198 bands; updates without extrapolation "
        "from one start of vertex component analysis",
        rows,
        quality,
        ours=name,
    )


def _nfindr(X, shape):
    script = f"""
import time
import numpy as np
from pysptools.eea import NFINDR
from pysptools.abundance_maps import FCLS
np.random.seed(0)
cube = data["X"].reshape({shape[0]}, {shape[1]}, -1)
start = time.perf_counter()
out["M"] = NFINDR().extract(cube, 4)
out["A"] = FCLS().map(cube, out["M"])
out["seconds"] = time.perf_counter() - start
"""
    return run_in_environment(environment("pysptools", _PYSPTOOLS), script, {"X": X})


def _plain_case(quick):
    """The same problem for both: no graph, no penalty, free lengths."""
    X, _, _, _ = _jasper(quick)

    def ours(max_iter=200):
        return StructuredSparseNMF(
            4, alpha=0, graph_weight=0, endmember_norm=None, init="nndsvda",
            max_iter=max_iter, tol=0,
        ).fit(X)  # fmt: skip

    def sklearn_nmf(solver):
        return NMF(4, solver=solver, init="nndsvda", max_iter=200, tol=0).fit(X)

    # The limit of both phases with which ours is as good as the peer at the end.
    goal = sklearn_nmf("cd").reconstruction_err_
    as_good = next(i for i in range(1, 201) if ours(i).reconstruction_err_ <= goal)
    measured = measure(
        {
            "skstruct": ours,
            "skstruct, until as good as scikit-learn (cd)": lambda: ours(as_good),
            "scikit-learn NMF (cd)": lambda: sklearn_nmf("cd"),
            "scikit-learn NMF (mu)": lambda: sklearn_nmf("mu"),
        },
        repeats=1 if quick else 3,
    )
    quality = {
        name: {"residual": entry["result"].reconstruction_err_}
        for name, entry in measured.items()
    }
    for entry in measured.values():
        entry["note"] = f"{entry.pop('result').n_iter_} iterations"
    floor = measure({"floor": _passes(X, 4)}, repeats=15)["floor"]["seconds"]
    return case(
        "Plain NMF, the same problem and start, 200 iterations each (ours: on "
        "compressed data and on X)",
        f"{len(X)} x 198, 4 components",
        measured,
        quality,
        floor_seconds=200 * floor,
    )


def _abundance_case(quick):
    X, _, M, shape = _jasper(True)
    X = X[:500] if quick else X
    shape = (10, 50) if quick else shape
    measured = measure(
        {
            "skstruct fcls": lambda: fcls(X, M),
            "skstruct nnls_abundances": lambda: nnls_abundances(X, M),
            "scipy nnls, pixel by pixel": lambda: np.array(
                [nnls(M.T, x)[0] for x in X]
            ),
        },
        repeats=5,
    )

    def error(A):
        return {
            "residual": np.linalg.norm(X - A @ M),
            "sum_error": np.abs(A.sum(axis=1) - 1).max(),
        }

    quality = {name: error(entry.pop("result")) for name, entry in measured.items()}
    script = f"""
import time
from pysptools.abundance_maps import FCLS, NNLS
cube = data["X"].reshape({shape[0]}, {shape[1]}, -1)
for name, method in (("fcls", FCLS), ("nnls", NNLS)):
    start = time.perf_counter()
    out[name] = method().map(cube, data["M"])
    out[name + "_seconds"] = time.perf_counter() - start
"""
    peer = run_in_environment(
        environment("pysptools", _PYSPTOOLS), script, {"X": X, "M": M}
    )
    for name in ("fcls", "nnls"):
        full = f"pysptools {name.upper()}"
        measured[full] = {"seconds": peer[f"{name}_seconds"], "version": "0.15.0"}
        quality[full] = error(peer[name].reshape(len(X), -1))
    return case(
        "Abundances for known endmembers",
        f"{len(X)} pixels, 198 bands, 4 endmembers",
        measured,
        quality,
        ours="skstruct fcls",
    )


def _memmap_case(quick):
    """An image on disk; the time of an iteration against reading it."""
    side, bands = (200, 200) if quick else (1000, 200)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "image.f32")
        big_image(path, side)  # noqa: F821 - from the text above
        X = np.memmap(path, np.float32, "r", shape=(side * side, bands))

        def fit(max_iter):
            return StructuredSparseNMF(
                4, image_shape=(side, side), n_init=1, max_iter=max_iter, tol=0,
                random_state=0,
            ).fit(X)  # fmt: skip

        measured = measure(
            {
                "20 more iterations": lambda: fit(30),
                "10 iterations and the start": lambda: fit(10),
                "two products": _passes(X, 4),
            },
            repeats=1 if quick else 5,
        )
        short = measured["10 iterations and the start"]["seconds"]
        iteration = (measured["20 more iterations"]["seconds"] - short) / 20
        model = measured["20 more iterations"]["result"]
        edges, factors = model.affinity_.nnz, model.embedding_.nbytes
        grown = _memory_mb(path, side, bands)
    products = measured["two products"]["seconds"]
    rows = {
        "skstruct": {
            "seconds": iteration,
            "peak_memory_mb": grown,
            "note": "memory: private pages that fit adds to the mapped X; 12 bytes an "
            f"edge and the factors are {(12 * edges + factors) / 2**20:.0f} MB",
        },
        "reading X with its two products": {"seconds": products},
        "start and graph, once": {"seconds": short - 10 * iteration},
    }
    return case(
        "One iteration on an image in a memory map, float32",
        f"{side} x {side} pixels, {bands} bands; floor: reading X once with the two "
        "products",
        rows,
        {},
        floor_seconds=products,
    )


def _memory_mb(path, side, bands):
    """Growth of the process's private memory during fit, sampled every 3 ms."""
    code = f"""
import threading, time
import numpy as np
from skstruct.decomposition import StructuredSparseNMF
import warnings
warnings.simplefilter("ignore")
small = np.random.default_rng(0).random((400, {bands})).astype(np.float32)
for window in (3, 7):
    # Small and large graphs are swept by different kernels, which are loaded once.
    StructuredSparseNMF(4, image_shape=(20, 20), window=window, max_iter=3).fit(small)
X = np.memmap({path!r}, np.float32, "r", shape=({side * side}, {bands}))
def private():
    with open("/proc/self/status") as f:
        return [int(l.split()[1]) for l in f if l.startswith("RssAnon")][0] / 1024
before, peak, running = private(), [0.0], [True]
def watch():
    while running[0]:
        peak[0] = max(peak[0], private())
        time.sleep(0.003)
thread = threading.Thread(target=watch)
thread.start()
StructuredSparseNMF(4, image_shape=({side}, {side}), max_iter=10, tol=0).fit(X)
running[0] = False
thread.join()
grown = peak[0] - before
class _Usage:
    ru_maxrss = grown * 1024
resource.getrusage = lambda who: _Usage
"""
    return peak_memory_mb(code)
