"""Exact and stochastic canonical correlation analysis beside their peers."""

import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
from scipy.linalg import blas
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical

from benchmarks._harness import (
    case,
    environment,
    measure,
    peak_memory_mb,
    run_in_environment,
)
from benchmarks.peers import _stochastic_table as captured
from skstruct.cross_decomposition import StochasticCCA, StochasticPLS
from skstruct.metrics import svcca, svcca_matrix

PACKAGES = ()

_ZOO_EXACT = """
import time, warnings
warnings.simplefilter("ignore")
from cca_zoo.linear import CCA, PLS
from cca_zoo.stochastic import StochasticCCAEY
views = [data["X"], data["Y"]]
K = int(data["K"])
makers = {
    "CCA": lambda: CCA(n_components=K),
    "PLS": lambda: PLS(n_components=K),
    "StochasticCCAEY": lambda: StochasticCCAEY(
        n_components=K, batch_size=128, max_iter=30, random_state=0
    ),
}
for name in str(data["methods"]).split(","):
    times = []
    for _ in range(1 if name.startswith("Stochastic") else int(data["repeats"])):
        start = time.perf_counter()
        model = makers[name]().fit(views)
        times.append(time.perf_counter() - start)
    out[name + "_seconds"] = np.median(times)
    out[name + "_x"], out[name + "_y"] = model.weights_
"""

_GENOTYPES = """
import numpy as np
def write_genotypes(path, n, p, q, n_components=10, seed=0):
    # Minor-allele counts 0, 1, 2 of two chromosomes whose frequencies drift along
    # n_components ancestries; the second view measures these with noise.
    rng = np.random.default_rng(seed)
    ancestry = rng.standard_normal((n, n_components))
    X = np.lib.format.open_memmap(path, mode="w+", dtype=np.int8, shape=(n, p))
    for start in range(0, p, 2000):
        width = min(2000, p - start)
        frequency = rng.uniform(0.05, 0.5, width)
        drift = 0.15 * rng.standard_normal((n_components, width))
        logit = np.log(frequency / (1 - frequency)) + ancestry @ drift
        chance = 1 / (1 + np.exp(-logit))
        X[:, start : start + width] = rng.binomial(2, chance)
    X.flush()
    loading = rng.standard_normal((n_components, q)) * np.linspace(
        1.5, 0.5, n_components)[:, None]
    return (ancestry @ loading + 2 * rng.standard_normal((n, q))).astype(np.float32)
"""
exec(_GENOTYPES)


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [
            _exact_case(quick),
            _pls_case(quick),
            *_captured_cases(quick),
            _genotype_case(quick),
            _svcca_case(quick),
            _svcca_matrix_case(quick),
        ]
    return [c for c in cases if c is not None]


def _views(quick):
    """Views with the canonical correlations of the halves of the digits."""
    n, sizes = (2000, (50, 40)) if quick else (20_000, (200, 150))
    correlations = captured.cca_similarity(*captured.digits_halves()).correlations
    return captured.planted(n, sizes, correlations, 100, 1)


def _syrk(X, Y):
    """One symmetric rank-n update with both views side by side."""
    J = np.asfortranarray(np.hstack([X, Y]).T)
    return lambda: blas.dsyrk(1.0, J)


def _reference(X, Y, K):
    """Canonical correlations from QR decompositions."""
    Q1, Q2 = (np.linalg.qr(V - V.mean(axis=0))[0] for V in (X, Y))
    return np.linalg.svd(Q1.T @ Q2, compute_uv=False)[:K]


def _paired_correlations(T, U):
    return np.array([np.corrcoef(t, u)[0, 1] for t, u in zip(T.T, U.T)])


def _exact_case(quick):
    X, Y = _views(quick)
    K = 5
    reference = _reference(X, Y, K)
    measured = measure(
        {"skstruct StochasticCCA, exact": lambda: StochasticCCA(
            K, solver="exact").fit(X, Y), "floor": _syrk(X, Y)},
        repeats=3 if quick else 7,
    )  # fmt: skip
    floor = measured.pop("floor")["seconds"]
    stochastic = {
        "skstruct StochasticCCA, ey, 5 epochs": lambda: StochasticCCA(
            K, solver="ey", batch_size=128, max_iter=5, tol=0.0, random_state=0
        ).fit(X, Y)
    }
    measured |= measure(stochastic, repeats=1)
    peer = {"scikit-learn CCA": lambda: CCA(K, max_iter=2000).fit(X, Y)}
    measured |= measure(peer, repeats=1, warmup=False)
    python = environment("cca-zoo", ["cca-zoo==4.0.1"])
    methods = "CCA,StochasticCCAEY"
    payload = {"X": X, "Y": Y, "K": np.array(K), "methods": np.array(methods),
               "repeats": np.array(3)}  # fmt: skip
    out = run_in_environment(python, _ZOO_EXACT, payload)
    scores = {name: entry["result"].transform(X, Y) for name, entry in measured.items()}
    for name in methods.split(","):
        program = f"cca-zoo {name}"
        measured[program] = {"seconds": out[f"{name}_seconds"], "version": "4.0.1"}
        scores[program] = X @ out[f"{name}_x"], Y @ out[f"{name}_y"]
    measured["cca-zoo StochasticCCAEY"]["note"] = "30 epochs, batch size 128"
    quality = {}
    for name, (T, U) in scores.items():
        rho = np.sort(_paired_correlations(T, U))[::-1]
        quality[name] = {
            "largest error of a correlation": np.abs(rho - reference).max(),
            "captured": captured.proportion_correlation_captured(T, U, reference),
        }
    return case(
        "Canonical correlations, 5 components",
        f"{X.shape[0]} x ({X.shape[1]}, {Y.shape[1]}), condition 100, correlations as "
        "in the digits; floor: one symmetric rank-n update with both views",
        measured,
        quality,
        ours="skstruct StochasticCCA, exact",
        floor_seconds=floor,
    )


def _pls_case(quick):
    X, Y = _views(quick)
    K = 5
    reference = np.linalg.svd(X.T @ Y / (len(X) - 1), compute_uv=False)[:K]
    measured = measure(
        {
            "skstruct StochasticPLS, exact": lambda: StochasticPLS(
                K, solver="exact", scale=False
            ).fit(X, Y),
            "scikit-learn PLSSVD": lambda: PLSSVD(K, scale=False).fit(X, Y),
            "floor": lambda: X.T @ Y,
        },
        repeats=3 if quick else 7,
    )
    floor = measured.pop("floor")["seconds"]
    peer = {"scikit-learn PLSCanonical": lambda: PLSCanonical(
        K, scale=False).fit(X, Y)}  # fmt: skip
    measured |= measure(peer, repeats=1, warmup=False)
    python = environment("cca-zoo", ["cca-zoo==4.0.1"])
    payload = {"X": X, "Y": Y, "K": np.array(K), "methods": np.array("PLS"),
               "repeats": np.array(3)}  # fmt: skip
    out = run_in_environment(python, _ZOO_EXACT, payload)
    weights = {
        name: (e["result"].x_weights_, e["result"].y_weights_)
        for name, e in measured.items()
    }
    measured["cca-zoo PLS"] = {"seconds": out["PLS_seconds"], "version": "4.0.1"}
    weights["cca-zoo PLS"] = out["PLS_x"], out["PLS_y"]
    measured["scikit-learn PLSCanonical"]["note"] = "other deflation: agrees in the 1st"
    quality = {}
    for name, (u, v) in weights.items():
        u, v = (w / np.linalg.norm(w, axis=0) for w in (u, v))
        s = np.einsum("ik,ik->k", X @ u, Y @ v) / (len(X) - 1)
        quality[name] = {"largest error of a covariance": np.abs(s - reference).max()}
    return case(
        "Partial least squares, 5 components",
        f"{X.shape[0]} x ({X.shape[1]}, {Y.shape[1]}); floor: the product X'Y",
        measured,
        quality,
        ours="skstruct StochasticPLS, exact",
        floor_seconds=floor,
    )


def _captured_cases(quick):
    """The recorded table; the seconds are of batches of 20."""
    if quick or not captured.PATH.exists():
        return []
    cells = json.loads(captured.PATH.read_text())["cells"]
    groups = dict.fromkeys(tuple(key.split(", ")[:2]) for key in cells)
    cases = [_captured_case(cells, name, int(epochs)) for name, epochs in groups]
    return [c for c in cases if c is not None]


def _captured_case(cells, name, epochs):
    views = captured.load(name)
    if views is None:
        return None
    X, Y = views
    found = {b: cells.get(f"{name}, {epochs}, {b}", {}) for b in captured.BATCHES}

    def program(function, **setting):
        return lambda: function(
            X, Y, captured.K, batch_size=20, n_epochs=epochs, seed=0, **setting
        )

    programs = {"skstruct": lambda: captured.ours(X, Y, 20, epochs, 0)}
    for rule, (function, _) in captured.RULES.items():
        if rule in found[20]:
            programs[rule] = program(function, **found[20][rule]["setting"])
    measured = measure(programs, repeats=3)
    for peer in captured.PROGRAMS[captured.run_zoo]:
        if peer in found[20]:
            step = found[20][peer].get("setting", {"step": 0.2})["step"]
            seconds, failed = captured.zoo_seconds(X, Y, 20, epochs, step)
            measured[peer] = {"seconds": seconds, "version": "4.0.1"}
            if failed:
                measured[peer]["note"] = f"{failed} of 3 timed runs diverged on the way"
    quality = {}
    for peer in measured:
        shares = {b: found[b][peer]["shares"] for b in found if peer in found[b]}
        quality[peer] = {f"median, batch {b}": np.median(shares[b]) for b in shares}
        quality[peer] |= {f"worst, batch {b}": min(shares[b]) for b in shares}
    return case(
        f"Share of the correlation captured, {epochs} epoch(s)",
        f"{name}, {X.shape[0]} x ({X.shape[1]}, {Y.shape[1]}), 5 components, 10 seeds; "
        "published rules with the best setting of a grid; seconds for batches of 20",
        measured,
        quality,
        ours="skstruct",
    )


def _genotype_case(quick):
    """Partial least squares of a file of bytes."""
    n, p, q, K = (800, 4000, 20, 5) if quick else (3300, 50_000, 80, 5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "genotypes.npy")
        Y = write_genotypes(path, n, p, q)  # noqa: F821 - from the text above
        np.save(Path(folder, "y.npy"), Y)
        X = np.load(path, mmap_mode="r")
        load = (
            "import numpy as np\nimport warnings\nwarnings.simplefilter('ignore')\n"
            "from skstruct.cross_decomposition import StochasticPLS\n"
            f"X = np.load({str(path)!r}, mmap_mode='r')\n"
            f"Y = np.load({str(Path(folder, 'y.npy'))!r})\n"
        )
        stream = {"solver": "ey", "batch_size": 100, "tol": 0.0, "random_state": 0}
        ours = {
            "skstruct StochasticPLS, auto": {},
            "skstruct StochasticPLS, ey, 1 epoch": {**stream, "max_iter": 1},
            "skstruct StochasticPLS, ey, 5 epochs": {**stream, "max_iter": 5},
        }

        def cross_product():
            """Singular vectors of X'Y, block by block."""
            Ys = (Y - Y.mean(axis=0)) / Y.std(axis=0, ddof=1)
            C = np.empty((p, q))
            for start in range(0, p, 2000):
                block = X[:, start : start + 2000].astype(np.float32)
                block -= block.mean(axis=0)
                block /= block.std(axis=0, ddof=1)
                C[start : start + 2000] = block.T @ Ys
            U, s, Vt = np.linalg.svd(C / (n - 1), full_matrices=False)
            return U[:, :K], Vt[:K].T, s[:K]

        def read():
            return sum(
                int(X[start : start + 256].sum(dtype=np.int64))
                for start in range(0, n, 256)
            )

        measured = measure(
            {
                name: lambda options=options: StochasticPLS(K, **options).fit(X, Y)
                for name, options in ours.items()
            }
            | {"numpy, X'Y in blocks and its SVD": cross_product},
            repeats=1,
            warmup=False,
        )
        for name, options in ours.items():
            measured[name]["peak_memory_mb"] = peak_memory_mb(
                f"{load}StochasticPLS({K}, **{options!r}).fit(X, Y)\n"
            )
        floor = measure({"f": read}, repeats=3)["f"]["seconds"]
        exact = measured["numpy, X'Y in blocks and its SVD"]["result"]
        quality = {}
        for name, entry in measured.items():
            found = entry["result"]
            u = found[0] if isinstance(found, tuple) else found.x_weights_
            v = found[1] if isinstance(found, tuple) else found.y_weights_
            u, v = np.linalg.qr(u)[0], np.linalg.qr(v)[0]
            # Singular values of u'Cv, C from its own best approximation and beyond.
            C = _standardized_product(X, Y, u) @ v
            s = np.linalg.svd(C, compute_uv=False)
            quality[name] = {"captured": s.sum() / exact[2].sum()}
    return case(
        "Partial least squares of a file of bytes, 5 components",
        f"int8 memory map {n} x {p} and {q} columns, 10 planted ancestries; peak "
        "memory of the whole process, pages of the mapped file included; floor: one "
        "pass that sums the bytes",
        measured,
        quality,
        ours="skstruct StochasticPLS, ey, 5 epochs",
        floor_seconds=floor,
    )


def _standardized_product(X, Y, u):
    """``u' X' Y / (n - 1)`` of standardised views, X a memory map."""
    n, p = X.shape
    Ys = (Y - Y.mean(axis=0)) / Y.std(axis=0, ddof=1)
    out = np.zeros((u.shape[1], Y.shape[1]))
    for start in range(0, p, 2000):
        block = X[:, start : start + 2000].astype(np.float64)
        block -= block.mean(axis=0)
        block /= block.std(axis=0, ddof=1)
        out += u[start : start + 2000].T @ (block.T @ Ys)
    return out / (n - 1)


def _layers(n, d, number, seed):
    """Rectified mixtures, with noise, of the same signals of decaying strength."""
    signal = np.random.default_rng(0).standard_normal((n, 60)) * np.geomspace(
        1, 0.05, 60
    )
    rng = np.random.default_rng(seed)
    return [
        np.maximum(
            signal @ rng.standard_normal((60, d)) + 0.1 * rng.standard_normal((n, d)), 0
        )
        for _ in range(number)
    ]


def _plain_svcca(A, B, threshold=0.99):
    """The method as published: two SVDs, then covariances and inverse roots."""
    reduced = []
    for V in (A, B):
        V = V - V.mean(axis=0)
        U, s, _ = np.linalg.svd(V, full_matrices=False)
        share = np.cumsum(s**2) / np.sum(s**2)
        k = int(np.searchsorted(share, threshold)) + 1
        reduced.append(U[:, :k] * s[:k])
    roots = []
    for V in reduced:
        d, W = np.linalg.eigh(V.T @ V)
        roots.append((W / np.sqrt(d)) @ W.T)
    T = roots[0] @ (reduced[0].T @ reduced[1]) @ roots[1]
    return float(np.linalg.svd(T, compute_uv=False).mean())


def _svcca_case(quick):
    n, d = (1000, 64) if quick else (10_000, 256)
    A, B = _layers(n, d, 2, 0)
    programs = {
        "skstruct svcca": lambda: svcca(A, B).similarity,
        "numpy, SVDs and inverse roots": lambda: _plain_svcca(A, B),
    }
    measured = measure(programs)
    quality = {name: {"similarity": e["result"]} for name, e in measured.items()}
    return case(
        "Similarity of two layers (SVCCA)",
        f"{n} inputs, {d} neurons each; floor: one symmetric rank-n update with both",
        measured,
        quality,
        ours="skstruct svcca",
        floor_seconds=measure({"f": _syrk(A, B)}, repeats=7)["f"]["seconds"],
    )


def _svcca_matrix_case(quick):
    n, d, number = (500, 32, 3) if quick else (4000, 128, 8)
    first, second = _layers(n, d, number, 1), _layers(n, d, number, 2)
    programs = {
        "skstruct svcca_matrix": lambda: svcca_matrix(first, second),
        "skstruct svcca_matrix, n_jobs=2": lambda: svcca_matrix(
            first, second, n_jobs=2
        ),
        "numpy, pair by pair": lambda: np.array(
            [[_plain_svcca(A, B) for B in second] for A in first]
        ),
    }
    measured = measure(programs, repeats=1 if quick else 3)
    quality = {name: {"mean similarity": e["result"].mean()}
               for name, e in measured.items()}  # fmt: skip
    return case(
        "Similarities of all layers of two networks",
        f"{number} x {number} layers, {n} inputs, {d} neurons each",
        measured,
        quality,
        ours="skstruct svcca_matrix",
    )
