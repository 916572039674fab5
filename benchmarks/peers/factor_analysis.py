"""Factor models beside lavaan, semopy, factor_analyzer, psych and scikit-learn."""

import shutil
import subprocess
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import FactorAnalysis
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from benchmarks._harness import (
    case,
    environment,
    measure,
    peak_memory_mb,
    run_in_environment,
)
from skstruct.datasets import load_holzinger_swineford, make_factor_model
from skstruct.factor_analysis import (
    ConfirmatoryFactorAnalysis,
    CorrelationThresholding,
    ExploratoryFactorAnalysis,
    correlation_threshold_path,
)

PACKAGES = ("numba", "networkx")
# The peers' pins: factor_analyzer calls an argument that scikit-learn 1.6 renamed.
_REQUIREMENTS = (
    "factor-analyzer==0.5.1",
    "semopy==2.3.11",
    "scikit-learn<1.6",
    "pandas<2.3",
    "setuptools<81",
)


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            _small_cfa_case(),
            _large_cfa_case(quick),
            _path_case(1000 if quick else 5000),
            _scaling_case(quick),
            _efa_case(quick),
            *_recovery_cases(quick),
        ]


# Confirmatory ------------------------------------------------------------------

_SEMOPY = """
import signal, time, warnings
import pandas as pd
import semopy
warnings.simplefilter("ignore")
X, A = data["X"], data["A"]
frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
text = "\\n".join(
    f"f{k} =~ " + " + ".join(f"x{i}" for i in A[:, k].nonzero()[0])
    for k in range(A.shape[1])
)
def stop(*args):
    raise TimeoutError
signal.signal(signal.SIGALRM, stop)
signal.alarm(int(data["limit"]))
start = time.perf_counter()
try:
    model = semopy.Model(text)
    model.fit(frame)
    out["seconds"] = time.perf_counter() - start
    out["chi2"] = float(semopy.calc_stats(model)["chi2"].iloc[0])
except TimeoutError:
    out["seconds"], out["chi2"] = time.perf_counter() - start, np.nan
"""
# Seconds after which a peer is stopped; its time is then a lower bound.
_LIMIT = 240

_LAVAAN = """
suppressMessages(library(lavaan))
d <- read.csv("{folder}/X.csv")
m <- readLines("{folder}/model.txt")
t <- system.time(f <- cfa(m, d, std.lv = TRUE))["elapsed"]
cat(t, fitMeasures(f, "chisq"), as.character(packageVersion("lavaan")), "\\n")
"""


def _lavaan(X, A):
    """Seconds, chi-squared and version of R's lavaan, or None without it."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        names = [f"x{i}" for i in range(X.shape[1])]
        np.savetxt(
            Path(folder, "X.csv"), X, delimiter=",", header=",".join(names), comments=""
        )
        lines = [
            f"f{k} =~ " + " + ".join(names[i] for i in np.flatnonzero(A[:, k]))
            for k in range(A.shape[1])
        ]
        Path(folder, "model.txt").write_text("\n".join(lines) + "\n")
        script = Path(folder, "run.R")
        script.write_text(_LAVAAN.format(folder=folder))
        command = ["Rscript", str(script)]
        try:
            found = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_LIMIT
            )
        except subprocess.TimeoutExpired:
            return _LIMIT, np.nan, ""
    if found.returncode:
        return None
    seconds, chi2, version = found.stdout.split()[-3:]
    return float(seconds), float(chi2), version


def _peer_quality(measured, quality, name, chi2):
    if np.isnan(chi2):
        measured[name]["note"] = f"stopped after {_LIMIT} s, unfinished"
    else:
        quality[name] = {"chi2": chi2}


def _cfa_case(title, data, X, A, *, repeats):
    cfa = ConfirmatoryFactorAnalysis(A)
    measured = measure({"skstruct": lambda: cfa.fit(X)}, repeats=repeats)
    quality = {"skstruct": {"chi2": cfa.fit_indices()["chi2"]}}
    python = environment("factor", _REQUIREMENTS)
    payload = {"X": X, "A": A, "limit": np.array(_LIMIT)}
    semopy = run_in_environment(python, _SEMOPY, payload)
    measured["semopy 2.3.11"] = {"seconds": semopy["seconds"]}
    _peer_quality(measured, quality, "semopy 2.3.11", semopy["chi2"])
    lavaan = _lavaan(X, A)
    if lavaan is not None:
        seconds, chi2, version = lavaan
        measured["R lavaan"] = {"seconds": seconds, "version": version}
        _peer_quality(measured, quality, "R lavaan", chi2)
    # What no program avoids: the covariance matrix and one factorisation of the
    # information matrix.
    q = cfa._n_parameters()
    B = np.eye(q) + 0.1

    def passes():
        centred = X - X.mean(axis=0)
        return centred.T @ centred, np.linalg.cholesky(B)

    floor = measure({"floor": passes}, repeats=7)["floor"]["seconds"]
    return case(title, data, measured, quality, floor_seconds=floor)


def _small_cfa_case():
    X = load_holzinger_swineford().data
    A = np.kron(np.eye(3, dtype=int), np.ones((3, 1), dtype=int))
    return _cfa_case(
        "Confirmatory model of nine tests, three factors",
        "Holzinger-Swineford, 301 x 9",
        X,
        A,
        repeats=15,
    )


def _large_cfa_case(quick):
    d, n = (5, 500) if quick else (27, 2369)
    data = make_factor_model(
        n, n_factors=d, items_per_factor=5, factor_corr=0.3, random_state=0
    )
    return _cfa_case(
        f"Confirmatory model of {5 * d} indicators, {d} factors",
        f"simulated, {n} x {5 * d}; floor: covariance matrix and one Cholesky factor "
        "of the information matrix",
        data.X,
        data.support.astype(int),
        repeats=3,
    )


# The path ----------------------------------------------------------------------


def _blocks(p, n=500, seed=0):
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.standard_normal((n, p // 20), dtype=np.float32), 20, axis=1)
    X *= 0.75
    X += 0.66 * rng.standard_normal((n, p), dtype=np.float32)
    return X


def _networkx_path(R, thresholds):
    import networkx as nx

    found = []
    for tau in thresholds:
        adjacency = np.abs(R) > tau
        np.fill_diagonal(adjacency, False)
        cliques = list(nx.find_cliques(nx.from_numpy_array(adjacency)))
        count = np.zeros(len(R), dtype=int)
        for clique in cliques:
            count[clique] += 1
        found.append(sum(len(c) > 1 and (count[c] == 1).any() for c in cliques))
    return found


def _path_case(p):
    R = np.corrcoef(_blocks(p), rowvar=False)
    R = (R + R.T) / 2
    # networkx enumerates all maximal cliques: only high thresholds are feasible.
    few = np.linspace(0.35, 0.95, 5)
    small = np.ascontiguousarray(R[:1000, :1000])
    measured = measure(
        {
            "skstruct": lambda: correlation_threshold_path(R, 100),
            "skstruct, 1000 variables, 5 thresholds": lambda: (
                correlation_threshold_path(small, few)
            ),
            "networkx.find_cliques, the same 5": lambda: _networkx_path(small, few),
        },
        repeats=3,
    )
    floor = measure({"floor": lambda: np.abs(R).sum()}, repeats=5)["floor"]["seconds"]
    path = measured["skstruct"]["result"]
    return case(
        f"Structures at 100 thresholds, {p} variables",
        f"{p // 20} factors of 20 variables, 500 rows; from the correlation matrix; "
        "floor: one pass over it",
        measured,
        {"skstruct": {"structures": len(path)}},
        floor_seconds=floor,
    )


_MEMORY = """
import numpy as np
from benchmarks.peers.factor_analysis import _blocks, _path_from_rows
_path_from_rows(_blocks(200))
X = _blocks({p})
def status(key):
    with open("/proc/self/status") as f:
        return [int(l.split()[1]) for l in f if l.startswith(key)][0] / 1024
with open("/proc/self/clear_refs", "w") as f:
    f.write("5")
before = status("VmRSS")
_path_from_rows(X)
grown = status("VmHWM") - before
class _Usage:
    ru_maxrss = grown * 1024
resource.getrusage = lambda who: _Usage
"""


def _path_from_rows(X):
    """Correlations by blocks, none kept, and the path."""
    from skstruct.factor_analysis._cliques import (
        even_grid,
        levels_of_data,
        path_of_levels,
    )

    Z = X - X.mean(axis=0)
    Z /= np.linalg.norm(Z, axis=0)
    grid = even_grid(100)
    return path_of_levels(levels_of_data(Z, grid), grid, 2)


def _scaling_case(quick):
    sizes = (500, 1000, 2000) if quick else (2500, 5000, 10000, 20000)
    measured = {}
    for p in sizes:
        X = _blocks(p)
        found = measure({"x": lambda X=X: _path_from_rows(X)}, repeats=1 + (p < 6000))
        measured[f"skstruct, {p} variables"] = found["x"]
    largest = f"skstruct, {sizes[-1]} variables"
    memory = peak_memory_mb(_MEMORY.format(p=sizes[-1]))
    measured[largest]["peak_memory_mb"] = memory
    measured[largest]["note"] = (
        f"fit adds this much: {memory * 2**20 / sizes[-1] ** 2:.2f} p^2 bytes"
    )
    seconds = [measured[f"skstruct, {p} variables"]["seconds"] for p in sizes]
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    X = _blocks(sizes[-1])
    left = X[:, : min(1000, sizes[-1])].T.copy()

    def block():
        return left @ X

    # Half of all blocks: the products alone.
    one = measure({"floor": block}, repeats=2)["floor"]["seconds"]
    floor = one * sizes[-1] / len(left) / 2
    return case(
        "Structures at 100 thresholds from the rows, correlations by blocks",
        f"500 rows; floor: the products of half the blocks; exponent in p {slope:.2f}",
        measured,
        {largest: {"exponent": slope}},
        ours=largest,
        floor_seconds=floor,
    )


# Exploratory -------------------------------------------------------------------

_FACTOR_ANALYZER = """
import time, warnings
from factor_analyzer import FactorAnalyzer
warnings.simplefilter("ignore")
start = time.perf_counter()
fa = FactorAnalyzer(int(data["d"]), rotation="oblimin", method="ml")
fa.fit(data["X"])
out["seconds"] = time.perf_counter() - start
out["unique"] = fa.get_uniquenesses()
out["loadings"] = fa.loadings_ if fa.phi_ is None else fa.loadings_
out["phi"] = np.eye(int(data["d"])) if fa.phi_ is None else fa.phi_
"""

_PSYCH = """
suppressMessages(library(psych))
d <- as.matrix(read.csv("{folder}/X.csv"))
t <- system.time(f <- suppressWarnings(suppressMessages(
  fa(d, {d}, rotate = "quartimin", fm = "ml"))))["elapsed"]
cat(t, as.character(packageVersion("psych")), "\\n")
write.table(cbind(unclass(f$loadings) %*% t(chol(f$Phi)), f$uniquenesses),
  "{folder}/out.txt", row.names = FALSE, col.names = FALSE)
"""


def _psych(X, d):
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(
            Path(folder, "X.csv"), X, delimiter=",", comments="",
            header=",".join(f"x{i}" for i in range(X.shape[1])),
        )  # fmt: skip
        script = Path(folder, "run.R")
        script.write_text(_PSYCH.format(folder=folder, d=d))
        found = subprocess.run(
            ["Rscript", str(script)], capture_output=True, text=True, check=False
        )
        if found.returncode:
            return None
        seconds, version = found.stdout.split()[-2:]
        table = np.loadtxt(Path(folder, "out.txt"))
    return float(seconds), version, table[:, :-1], table[:, -1]


def _log_density(X, loadings, unique):
    """Mean training log-density of standardised rows under a factor model."""
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    sigma = loadings @ loadings.T + np.diag(np.maximum(unique, 1e-6))
    p = sigma.shape[0]
    R = Z.T @ Z / len(Z)
    trace = np.sum(np.linalg.inv(sigma) * R)
    return -0.5 * (p * np.log(2 * np.pi) + np.linalg.slogdet(sigma)[1] + trace)


def _efa_case(quick):
    d, items, n = (4, 6, 400) if quick else (12, 8, 2000)
    data = make_factor_model(
        n, n_factors=d, items_per_factor=items, factor_corr=0.3, random_state=0,
        loadings=(0.4, 0.8),
    )  # fmt: skip
    X = data.X
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    ours = ExploratoryFactorAnalysis(d, random_state=0)
    plain = FactorAnalysis(d, rotation="varimax", tol=1e-8, max_iter=5000)
    measured = measure(
        {
            "skstruct, quartimin, 5 starts": lambda: ours.fit(Z),
            "scikit-learn FactorAnalysis, varimax": lambda: plain.fit(Z),
        },
        repeats=3,
    )
    quality = {
        "skstruct, quartimin, 5 starts": {
            "log density": ours.score(Z),
            "loading F1": _support_f1(data.support, _large(ours, Z)),
        },
        "scikit-learn FactorAnalysis, varimax": {
            "log density": plain.score(Z),
            "loading F1": _support_f1(data.support, np.abs(plain.components_.T) > 0.3),
        },
    }
    python = environment("factor", _REQUIREMENTS)
    other = run_in_environment(python, _FACTOR_ANALYZER, {"X": Z, "d": np.array(d)})
    name = "factor_analyzer 0.5.1, oblimin"
    measured[name] = {"seconds": other["seconds"]}
    half = other["loadings"] @ np.linalg.cholesky(other["phi"])
    quality[name] = {
        "log density": _log_density(Z, half, other["unique"]),
        "loading F1": _support_f1(data.support, np.abs(other["loadings"]) > 0.3),
    }
    psych = _psych(Z, d)
    if psych is not None:
        seconds, version, half, unique = psych
        measured["R psych fa, quartimin"] = {"seconds": seconds, "version": version}
        quality["R psych fa, quartimin"] = {
            "log density": _log_density(Z, half, unique)
        }

    def passes():
        return np.linalg.eigh(Z.T @ Z / n)

    floor = measure({"floor": passes}, repeats=7)["floor"]["seconds"]
    return case(
        f"Maximum likelihood factors with a rotation, {d} of {d * items} variables",
        f"simulated, {n} x {d * items}, loadings .4 to .8; floor: correlations and one "
        "eigendecomposition; log density of the training rows",
        measured,
        quality,
        ours="skstruct, quartimin, 5 starts",
        floor_seconds=floor,
    )


# Recovery ----------------------------------------------------------------------


def _large(efa, X, cut=0.3):
    return np.abs(efa.loadings_ / X.std(axis=0)[:, None]) > cut


def _support_f1(truth, found):
    """F1 of the support after the best matching of columns."""
    if found.shape[1] == 0:
        return 0.0
    shared = truth.T.astype(int) @ found.astype(int)
    rows, columns = linear_sum_assignment(-shared)
    return 2 * shared[rows, columns].sum() / (truth.sum() + found.sum())


_DESIGNS = {
    "phi .5, n 500": {"factor_corr": 0.5},
    "loadings .3-.8": {"loadings": (0.3, 0.8)},
    "loadings .35-.8, phi .4, n 1000": {
        "loadings": (0.35, 0.8),
        "factor_corr": 0.4,
        "n_samples": 1000,
    },
    "cross-loadings .3-.5": {"cross_loadings": 1},
    "d 12, p 96, random signs, n 600": {
        "n_factors": 12,
        "items_per_factor": 8,
        "random_signs": True,
        "n_samples": 600,
    },
    "bifactor": {"kind": "bifactor", "loadings": (0.35, 0.6), "factor_corr": 0.0},
    "second order, phi .5-.8, n 1000": {"kind": "second order", "n_samples": 1000},
}


def _simulate(seed, kind="plain", **options):
    """Rows, support and covariance of a design."""
    rng = np.random.default_rng(seed)
    d = options["n_factors"]
    if kind == "second order":
        a = rng.uniform(0.7, 0.9, size=d)
        options["factor_corr"] = np.where(np.eye(d, dtype=bool), 1.0, np.outer(a, a))
    data = make_factor_model(random_state=seed, **options)
    covariance = data.covariance
    if kind == "bifactor":
        # A general factor beside the groups, all uncorrelated.
        general = rng.uniform(0.4, 0.7, size=len(covariance))
        covariance = data.loadings @ data.loadings.T + np.outer(general, general)
        np.fill_diagonal(covariance, 1.0)
    half = np.linalg.cholesky(covariance).T
    X = rng.standard_normal((options["n_samples"], len(half))) @ half
    return X, data.support, covariance


def _models():
    models = {
        "CT": CorrelationThresholding(thresholds=99),
        "CT, auto, score": CorrelationThresholding(similarity="auto", refine="score"),
    }
    for rotation in ("varimax", "quartimin", "promax", "geomin"):
        models[f"EFA, {rotation}"] = rotation
    return models


def _recovery_cases(quick):
    cases = []
    for name, change in _DESIGNS.items():
        options = {
            "n_samples": 500,
            "n_factors": 5,
            "items_per_factor": 6,
            "loadings": (0.5, 0.85),
            "factor_corr": 0.2,
            **change,
        }
        seeds = range(100, 102 if quick else 108)
        cases.append(_recovery_case(name, options, seeds))
    return [*cases, _tests_case()]


def _tests_case():
    """Real data with a key: the 24 tests, five kinds by their authors."""
    X = load_holzinger_swineford(24).data
    key = np.repeat(range(5), (4, 5, 4, 6, 5))
    folds = KFold(5, shuffle=True, random_state=0)
    search = GridSearchCV(
        ExploratoryFactorAnalysis(1, rotation=None),
        {"n_components": range(1, 9)},
        cv=folds,
    ).fit(X)
    models = _models()
    for label, model in models.items():
        if isinstance(model, str):
            models[label] = ExploratoryFactorAnalysis(
                search.best_params_["n_components"], rotation=model, random_state=0
            )
    measured = measure({k: partial(m.fit, X) for k, m in models.items()})
    quality = {}
    for label, model in models.items():
        L = np.abs(model.loadings_ / model.scale_[:, None])
        fit = model.fit_indices()
        quality[label] = {
            "d": model.n_components_,
            "unassigned": model.unassigned_.size,
            "ARI": adjusted_rand_score(key, np.argmax(L, axis=1)),
            "CFI": fit["cfi"],
            "RMSEA": fit["rmsea"],
            "SRMR": fit["srmr"],
            "held-out": cross_val_score(model, X, cv=folds).mean(),
        }
    return case(
        "Real data: 24 tests of Holzinger and Swineford",
        "301 x 24; ARI of the largest loading against the five kinds of the authors; "
        "held-out: 5 folds, all learnt anew but the number of factors of EFA",
        measured,
        quality,
        ours="CT, auto, score",
    )


def _recovery_case(name, options, seeds):
    d, n = options["n_factors"], options["n_samples"]
    totals, seconds = {}, {}
    for seed in seeds:
        X, truth, covariance = _simulate(seed, **options)
        rng = np.random.default_rng(seed + 1000)
        test = rng.multivariate_normal(np.zeros(len(truth)), covariance, size=2000)
        search = GridSearchCV(
            ExploratoryFactorAnalysis(1, rotation=None),
            {"n_components": range(max(1, d - 3), d + 4)},
            cv=5,
        )
        rank = search.fit(X).best_params_["n_components"]
        for label, model in _models().items():
            if isinstance(model, str):
                model = ExploratoryFactorAnalysis(rank, rotation=model, random_state=0)
            timed = measure({"x": partial(model.fit, X)}, repeats=1, warmup=False)
            found = model.support_ if label.startswith("CT") else _large(model, X)
            row = (
                model.n_components_ == d,
                _support_f1(truth, found),
                model.fit_indices()["cfi"],
                model.score(test),
            )
            totals.setdefault(label, []).append(row)
            seconds.setdefault(label, []).append(timed["x"]["seconds"])
    measured = {k: {"seconds": float(np.median(v))} for k, v in seconds.items()}
    quality = {
        label: dict(
            zip(
                ("right d", "support F1", "CFI", "held-out"),
                np.mean(rows, axis=0),
                strict=True,
            )
        )
        for label, rows in totals.items()
    }
    return case(
        f"Recovery: {name}",
        f"{n} x {d * options['items_per_factor']}, d = {d}, {len(seeds)} seeds; EFA "
        "with |loading| > .3 and its number of factors by 5-fold likelihood, whose "
        "time is not counted; held-out: log-density per new row",
        measured,
        quality,
        ours="CT, auto, score",
    )
