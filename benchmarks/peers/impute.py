"""Matrix completion and thresholds beside their peers."""

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.model_selection import GridSearchCV

from benchmarks._harness import (
    case,
    environment,
    measure,
    peak_memory_mb,
    run_in_environment,
)
from skstruct.impute import SoftImputer, SoftImputerCV, SVTImputer, SVTImputerCV
from skstruct.impute._soft_solver import Observations
from skstruct.random_matrix import optimal_hard_threshold, screenot_threshold

PACKAGES = ("numba",)

_RATINGS = """
import numpy as np
from scipy import sparse
def ratings(n, p, n_observed, rank=10):
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((n, rank)), rng.standard_normal((p, rank))
    flat = np.unique(rng.integers(0, n * p, int(1.03 * n_observed)))
    flat = np.sort(rng.permutation(flat)[:n_observed])
    i, j = flat // p, flat % p
    x = np.einsum("tk,tk->t", A[i], B[j]) / np.sqrt(rank)
    x += rng.standard_normal(x.size)
    return sparse.csr_array((x, (i, j)), shape=(n, p))
"""
exec(_RATINGS)


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            _ratings_case(quick),
            _dense_case(quick),
            _digits_case(quick),
            _transform_case(quick),
            _threshold_case(quick),
        ]


def _objective(X, imputer):
    loss = imputer.loss_curve_[-1]
    return {"objective": loss, "rank": imputer.n_components_, "n_iter": imputer.n_iter_}


def _ratings_case(quick):
    """6040 x 3700 with 890,000 entries; the peer in R is recorded in external_*."""
    size = (604, 370, 20_000) if quick else (6040, 3700, 890_000)
    X = ratings(*size)  # noqa: F821 - from the text above
    imputer = SoftImputer(20.0, 10, center=None, random_state=0)
    measured = measure({"skstruct SoftImputer": lambda: imputer.fit(X)})
    observations = Observations(X)
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((X.shape[0], 10)))[0]
    V = np.linalg.qr(rng.standard_normal((X.shape[1], 10)))[0]

    def passes():
        # One residual pass and the two tall products of an iteration.
        R = observations.residual(U, np.ones(10), V)
        return R @ V, R.T @ U

    floor = measure({"floor": passes}, repeats=7)["floor"]["seconds"]
    entry = measured["skstruct SoftImputer"]
    entry["peak_memory_mb"] = _fit_memory_mb(size)
    entry["note"] = (
        f"fit adds this much to a process that holds X "
        f"({(X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 2**20:.0f} MB)"
    )
    return case(
        "SoftImputer on sparse ratings, rank 10, alpha 20",
        f"{size[0]} x {size[1]}, {size[2]} entries; floor: residual pass and two tall "
        "products, for each iteration",
        measured,
        {"skstruct SoftImputer": _objective(X, imputer)},
        ours="skstruct SoftImputer",
        floor_seconds=floor * imputer.n_iter_,
    )


def _fit_memory_mb(size):
    code = _RATINGS + (
        "from skstruct.impute import SoftImputer\n"
        "import resource\n"
        "SoftImputer(1.0, 2, random_state=0).fit(ratings(60, 37, 900))\n"
        f"X = ratings{size}\n"
    )
    fit = "SoftImputer(20.0, 10, center=None, random_state=0).fit(X)\n"
    # The peak of making X is above that of holding it: hold ballast of that size.
    return peak_memory_mb(code + _RESIDENT + fit + _RESIDENT_AFTER)


_RESIDENT = """
import gc
gc.collect()
def status(key):
    with open("/proc/self/status") as f:
        return [int(l.split()[1]) for l in f if l.startswith(key)][0] / 1024
with open("/proc/self/clear_refs", "w") as f:
    f.write("5")
before = status("VmRSS")
"""
_RESIDENT_AFTER = """
grown = status("VmHWM") - before
class _Usage:
    ru_maxrss = grown * 1024
resource.getrusage = lambda who: _Usage
"""


def _dense_case(quick):
    """Dense matrix with holes: the same convex problem for both programs."""
    n, p, missing, alpha = (100, 40, 0.5, 8.0) if quick else (1000, 300, 0.5, 25.0)
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((n, 5)) @ rng.standard_normal((5, p)) / np.sqrt(5)
    X = truth + 0.3 * rng.standard_normal(truth.shape)
    holes = rng.random(X.shape) < missing
    X[holes] = np.nan

    def objective(Z):
        residual = np.where(holes, 0.0, X - Z)
        return 0.5 * np.sum(residual**2) + alpha * np.linalg.norm(Z, "nuc")

    imputer = SoftImputer(alpha, center=None, impute_only=False, random_state=0)
    measured = measure({"skstruct SoftImputer": lambda: imputer.fit_transform(X)})
    python = environment(
        "fancyimpute", ["fancyimpute==0.7.0", "scikit-learn<1.6", "setuptools<81"]
    )
    script = f"""
import time
from fancyimpute import SoftImpute
times = []
for _ in range(3):
    start = time.perf_counter()
    solver = SoftImpute(shrinkage_value={alpha}, max_iters=500,
                        convergence_threshold=1e-4, verbose=False,
                        init_fill_method="zero")
    Z = solver.fit_transform(data["X"])
    times.append(time.perf_counter() - start)
out["seconds"] = np.median(times)
out["filled"] = Z
"""
    peer = run_in_environment(python, script, {"X": X})
    # It returns observed entries unchanged: the low-rank part is one more shrinkage.
    U, s, Vt = np.linalg.svd(peer.pop("filled"), full_matrices=False)
    Z = (U * np.maximum(s - alpha, 0)) @ Vt
    measured["fancyimpute SoftImpute"] = {**peer, "version": "0.7.0"}
    quality = {
        name: {
            "objective": objective(estimate),
            "rmse_hidden": np.sqrt(np.mean((estimate - truth)[holes] ** 2)),
        }
        for name, estimate in [
            ("skstruct SoftImputer", measured["skstruct SoftImputer"]["result"]),
            ("fancyimpute SoftImpute", Z),
        ]
    }
    return case(
        f"Nuclear-norm completion, alpha {alpha}",
        f"dense {n} x {p}, rank 5, {missing:.0%} missing",
        measured,
        quality,
        ours="skstruct SoftImputer",
    )


def _digits_case(quick):
    X = load_digits().data[: 300 if quick else None]
    rng = np.random.default_rng(0)
    hidden = rng.random(X.shape) < 0.3
    Y = np.where(hidden, np.nan, X)

    def soft():
        search = GridSearchCV(
            SoftImputer(bounds=(0, 16), keep_empty_features=True, random_state=0),
            {"alpha": [15, 30, 45], "n_components": [10, 20, 30]},
            cv=3,
        )
        return search.fit(Y).transform(Y)

    def fixed():
        imputer = SoftImputer(
            30.0, 30, bounds=(0, 16), keep_empty_features=True, random_state=0
        )
        return imputer.fit_transform(Y)

    def svt():
        imputer = SVTImputerCV(
            bounds=(0, 16), transform_method="fold-in", keep_empty_features=True,
            random_state=0,
        )  # fmt: skip
        return imputer.fit_transform(Y)

    def clusters():
        completed = fixed()
        groups = KMeans(20, n_init=3, random_state=0).fit_predict(completed)
        imputer = SoftImputerCV(
            [5, 10, 20], n_components=min(15, len(X) // 60), cv=3, bounds=(0, 16),
            keep_empty_features=True, random_state=0,
        )  # fmt: skip
        for group in np.unique(groups):
            rows = groups == group
            completed[rows] = imputer.fit_transform(Y[rows])
        return completed

    measured = measure(
        {
            "skstruct SoftImputer": fixed,
            "skstruct SoftImputerCV within 20 clusters": clusters,
            "skstruct SoftImputer, grid search": soft,
            "skstruct SVTImputerCV": svt,
            "SimpleImputer": lambda: SimpleImputer(
                keep_empty_features=True
            ).fit_transform(Y),
            "KNNImputer": lambda: KNNImputer(keep_empty_features=True).fit_transform(Y),
            "IterativeImputer (BayesianRidge)": lambda: IterativeImputer(
                random_state=0, keep_empty_features=True
            ).fit_transform(Y),
        },
        repeats=1 if quick else 3,
    )
    quality = {
        name: {"rmse_hidden": np.sqrt(np.mean((entry["result"] - X)[hidden] ** 2))}
        for name, entry in measured.items()
    }
    return case(
        "Digits with 30 % of the pixels missing at random",
        f"{X.shape[0]} x {X.shape[1]}",
        measured,
        quality,
        ours="skstruct SoftImputer",
    )


def _transform_case(quick):
    n, p, rank = (5000, 500, 10) if quick else (100_000, 500, 10)
    rng = np.random.default_rng(0)
    V = np.linalg.qr(rng.standard_normal((p, rank)))[0]
    X = 5 * rng.standard_normal((n, rank)) @ V.T + rng.standard_normal((n, p))
    X[rng.random(X.shape) < 0.3] = np.nan
    Z, mask = np.nan_to_num(X), (~np.isnan(X)).astype(float)
    pairs = rng.standard_normal((p, rank * (rank + 1) // 2))
    project = SVTImputer(n_components=rank).fit(X[:2000])
    soft = SoftImputer(20.0, rank, random_state=0).fit(X[:2000])
    measured = measure(
        {
            "skstruct SVTImputer.transform": lambda: project.transform(X),
            "its two products (Z V) V'": lambda: (Z @ V) @ V.T,
            "skstruct SoftImputer.transform": lambda: soft.transform(X),
            "its products, with all row Gram matrices": lambda: (
                mask @ pairs,
                (Z @ V) @ V.T,
            ),
        }
    )
    return case(
        "transform of new rows, rank 10, 30 % missing",
        f"{n} x {p}",
        measured,
        {},
        ours="skstruct SVTImputer.transform",
        floor_seconds=measured["its two products (Z V) V'"]["seconds"],
    )


def _threshold_case(quick):
    n, p, k = 600, 300, 20
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((n, p)) * np.linspace(0.5, 2, p)
    U = np.linalg.qr(rng.standard_normal((n, 4)))[0]
    V = np.linalg.qr(rng.standard_normal((p, 4)))[0]
    X = noise + (U * [150, 120, 100, 80]) @ V.T
    s = np.linalg.svd(X, compute_uv=False)
    measured = measure(
        {
            "skstruct screenot_threshold": lambda: screenot_threshold(s, X.shape, k),
            "skstruct optimal_hard_threshold": lambda: optimal_hard_threshold(
                s, X.shape
            ),
            "skstruct optimal_hard_threshold, sigma known": lambda: (
                optimal_hard_threshold(s, X.shape, sigma=1.3)
            ),
        }
    )
    python = environment("thresholds", ["screenot", "optht", "setuptools<81"])
    script = f"""
import time
from optht import optht
from screenot.ScreeNOT import adaptiveHardThresholding
X = data["X"]
start = time.perf_counter()
_, tau, rank = adaptiveHardThresholding(X, {k})
out["screenot_seconds"] = time.perf_counter() - start
out["screenot_tau"], out["screenot_rank"] = tau, rank
s = np.linalg.svd(X, compute_uv=False)
start = time.perf_counter()
out["optht_rank"] = optht(X, sv=s)
out["optht_seconds"] = time.perf_counter() - start
out["optht_known_rank"] = optht(X, sv=s, sigma=1.3)
"""
    peer = run_in_environment(python, script, {"X": X})
    quality = {
        name: {"threshold": entry["result"], "rank": np.sum(s > entry["result"])}
        for name, entry in measured.items()
    }
    measured["screenot"] = {
        "seconds": peer["screenot_seconds"],
        "note": "time includes its SVD",
    }
    measured["optht"] = {"seconds": peer["optht_seconds"]}
    measured["optht, sigma known"] = {
        "seconds": peer["optht_seconds"],
        "note": "scales with the wrong side of the matrix",
    }
    quality["screenot"] = {
        "threshold": peer["screenot_tau"],
        "rank": peer["screenot_rank"],
    }
    quality["optht"] = {"rank": peer["optht_rank"]}
    quality["optht, sigma known"] = {"rank": peer["optht_known_rank"]}
    return case(
        "Thresholds in noise of unequal variance, true rank 4",
        f"{n} x {p}",
        measured,
        quality,
        ours="skstruct screenot_threshold",
    )
