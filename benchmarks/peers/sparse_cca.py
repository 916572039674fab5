"""Sparse canonical correlation beside its peers, with test correlations."""

import warnings

import numpy as np
from sklearn.cross_decomposition import CCA, PLSCanonical

from benchmarks._harness import (
    case,
    environment,
    measure,
    peak_memory_mb,
    run_in_environment,
)
from skstruct.cross_decomposition import (
    MultiviewSparseCCA,
    SparseCCA,
    permutation_test,
)

PACKAGES = ("numba",)

_ZOO = """
import time, warnings
warnings.simplefilter("ignore")
from cca_zoo.sparse import IPLSCCA, PMDCCA
from sklearn.preprocessing import StandardScaler
views = [data[f"view{i}"] for i in range(int(data["n_views"]))]
times = []
for _ in range(int(data["repeats"])):
    start = time.perf_counter()
    model = MODEL.fit([StandardScaler().fit_transform(view) for view in views])
    times.append(time.perf_counter() - start)
out["seconds"] = np.median(times)
out["all_seconds"] = np.array(times)
out["n_iter"] = model.n_iter_
for i, w in enumerate(model.weights_):
    out[f"w{i}"] = w
"""


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            _pmd_case(quick),
            _ipls_case(quick),
            _three_views_case(quick),
            _wide_case(quick),
            _permutation_case(quick),
        ]


def planted(n, sizes, *, loadings=(1.2, 1.0), block=20, seed=0):
    """Latent variables, each in a block of columns of every view, in unit noise."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, len(loadings)))
    views = [rng.standard_normal((n, p)) for p in sizes]
    for view in views:
        for k, loading in enumerate(loadings):
            view[:, block * k : block * (k + 1)] += loading * z[:, [k]]
    return views


def _standard(train, test):
    """Test rows, standardised by the training rows."""
    return [(B - A.mean(axis=0)) / A.std(axis=0) for A, B in zip(train, test)]


def _quality(scores, weights):
    """Test correlations, averaged over pairs of views, and nonzero weights."""
    found = {}
    for k in range(scores[0].shape[1]):
        pairs = np.corrcoef([Z[:, k] for Z in scores])
        above = pairs[np.triu_indices(len(scores), 1)]
        found[f"test_corr_{k + 1}"] = float(np.nan_to_num(above).mean())
    found["nonzeros"] = sum(np.count_nonzero(w) for w in weights)
    return found


def _zoo(model, views, repeats):
    python = environment("cca-zoo", ["cca-zoo==4.0.1"])
    payload = {f"view{i}": view for i, view in enumerate(views)}
    payload |= {"n_views": np.array(len(views)), "repeats": np.array(repeats)}
    out = run_in_environment(python, _ZOO.replace("MODEL", model), payload)
    out["all_seconds"] = [round(float(t), 5) for t in np.ravel(out["all_seconds"])]
    weights = [out.pop(f"w{i}") for i in range(len(views))]
    return {**out, "version": "4.0.1"}, weights


def _again(measured, name, program, repeats):
    """Repeat ours after the peer: the machine may have been busier before."""
    later = measure({name: program}, repeats=repeats, warmup=False)[name]
    times = [*measured[name]["all_seconds"], *later["all_seconds"]]
    measured[name] |= {"seconds": float(np.median(times)), "all_seconds": times}


def _floor(X, Y, n_passes):
    """Standardised copies, the Gram matrices of the start, and passes per half-step."""

    def passes():
        rows = []
        for A in (X, Y):
            Z = A.T.copy()
            Z -= A.mean(axis=0)[:, None]
            rows.append((Z, Z.T @ Z))
        for _ in range(n_passes):
            for Z, G in rows:
                Z @ G[0]
        return rows

    return measure({"floor": passes}, repeats=7)["floor"]["seconds"]


def _sizes(quick):
    return (60, (500, 400)) if quick else (200, (5000, 4000))


def _pmd_case(quick):
    n, sizes = _sizes(quick)
    X, Y = planted(n, sizes)
    test = planted(1000, sizes, seed=1)
    ratios = tuple(float(1.05 * np.sqrt(20 / p)) for p in sizes)
    ours = SparseCCA(2, l1_ratio=ratios)
    plain = PLSCanonical(2)
    cca = CCA(2)
    # Ours and cca-zoo each in a loop of its own, one process after the other.
    measured = measure({"skstruct SparseCCA": lambda: ours.fit(X, Y)}, repeats=9)
    name = "cca-zoo PMDCCA"
    measured[name], weights = _zoo(
        f"PMDCCA(2, l1_bound={list(ratios)}, random_state=0)",
        [X, Y],
        1 if quick else 5,
    )
    _again(measured, "skstruct SparseCCA", lambda: ours.fit(X, Y), 9)
    measured |= measure({"scikit-learn PLSCanonical": lambda: plain.fit(X, Y)})
    measured |= measure(
        {"scikit-learn CCA": lambda: cca.fit(X, Y)}, repeats=1, warmup=False
    )
    quality = {
        "skstruct SparseCCA": _quality(
            ours.transform(*test), [ours.x_weights_, ours.y_weights_]
        ),
        **{
            f"scikit-learn {type(m).__name__}": _quality(
                m.transform(*test), [m.x_rotations_, m.y_rotations_]
            )
            for m in (plain, cca)
        },
    }
    held = _standard([X, Y], test)
    quality[name] = _quality([A @ w for A, w in zip(held, weights)], weights)
    return case(
        "Penalised matrix decomposition, two components",
        f"{n} x {sizes[0]} and {n} x {sizes[1]}, blocks of 20 columns with loadings "
        "1.2 and 1.0, unit noise; cca-zoo's time includes StandardScaler. Floor: "
        "standardised copies, two Gram matrices, four passes over the data",
        measured,
        quality,
        ours="skstruct SparseCCA",
        floor_seconds=_floor(X, Y, 4),
    )


def _ipls_case(quick):
    n, sizes = _sizes(quick)
    X, Y = planted(n, sizes)
    test = planted(1000, sizes, seed=1)
    ours = SparseCCA(2, method="ipls", alpha=0.1)
    measured = measure({"skstruct SparseCCA": lambda: ours.fit(X, Y)}, repeats=9)
    quality = {
        "skstruct SparseCCA": _quality(
            ours.transform(*test), [ours.x_weights_, ours.y_weights_]
        )
    }
    held = _standard([X, Y], test)
    name = "cca-zoo IPLSCCA"
    measured[name], weights = _zoo(
        "IPLSCCA(2, alpha=0.1, random_state=0)", [X, Y], 1 if quick else 3
    )
    _again(measured, "skstruct SparseCCA", lambda: ours.fit(X, Y), 9)
    measured[name]["note"] = f"{int(measured[name]['n_iter'])} iterations"
    quality[name] = _quality([A @ w for A, w in zip(held, weights)], weights)
    return case(
        "Iterative penalised least squares, lasso with alpha 0.1, two components",
        f"{n} x {sizes[0]} and {n} x {sizes[1]}, the same data. Floor as above",
        measured,
        quality,
        ours="skstruct SparseCCA",
        floor_seconds=_floor(X, Y, 4),
    )


def _three_views_case(quick):
    n, sizes = (60, (300, 200, 100)) if quick else (200, (3000, 2000, 1000))
    views, test = planted(n, sizes), planted(1000, sizes, seed=1)
    ratios = [float(1.05 * np.sqrt(20 / p)) for p in sizes]
    ours = MultiviewSparseCCA(2, l1_ratio=ratios)
    measured = measure({"skstruct MultiviewSparseCCA": lambda: ours.fit(views)})
    quality = {
        "skstruct MultiviewSparseCCA": _quality(
            ours.transform_views(test), ours.weights_
        )
    }
    held = _standard(views, test)
    name = "cca-zoo PMDCCA"
    measured[name], weights = _zoo(
        f"PMDCCA(2, l1_bound={ratios}, random_state=0)", views, 1 if quick else 5
    )
    _again(measured, "skstruct MultiviewSparseCCA", lambda: ours.fit(views), 9)
    quality[name] = _quality([A @ w for A, w in zip(held, weights)], weights)
    return case(
        "Three sparse views, two components",
        f"{n} x {sizes}, blocks as above",
        measured,
        quality,
        ours="skstruct MultiviewSparseCCA",
    )


# The highest use of memory that getrusage tells may be that of the parent process.
_OWN_PEAK = """
class _Usage:
    with open("/proc/self/status") as f:
        ru_maxrss = [int(l.split()[1]) for l in f if l.startswith("VmHWM")][0]
resource.getrusage = lambda who: _Usage
"""


def _wide_case(quick):
    n, sizes = (50, (5000, 1000)) if quick else (200, (100_000, 20_000))
    X, Y = planted(n, sizes)
    test = planted(300, sizes, seed=1)
    ratios = tuple(float(1.05 * np.sqrt(20 / p)) for p in sizes)
    ours = SparseCCA(2, l1_ratio=ratios)
    measured = measure({"skstruct SparseCCA": lambda: ours.fit(X, Y)})
    quality = {
        "skstruct SparseCCA": _quality(
            ours.transform(*test), [ours.x_weights_, ours.y_weights_]
        )
    }
    held = _standard([X, Y], test)
    name = "cca-zoo PMDCCA"
    measured[name], weights = _zoo(
        f"PMDCCA(2, l1_bound={list(ratios)}, random_state=0)", [X, Y], 1
    )
    quality[name] = _quality([A @ w for A, w in zip(held, weights)], weights)
    measured["skstruct SparseCCA"]["peak_memory_mb"] = peak_memory_mb(
        "import numpy as np\n"
        "from skstruct.cross_decomposition import SparseCCA\n"
        "rng = np.random.default_rng(0)\n"
        f"X = rng.standard_normal(({n}, {sizes[0]}))\n"
        f"Y = rng.standard_normal(({n}, {sizes[1]}))\n"
        f"SparseCCA(2, l1_ratio={ratios}, max_iter=20).fit(X, Y)\n" + _OWN_PEAK
    )
    measured["skstruct SparseCCA"]["note"] = (
        f"memory of a process with the data ({(X.nbytes + Y.nbytes) / 2**20:.0f} MB); "
        f"the cross-product would take {sizes[0] * sizes[1] * 8 / 2**30:.1f} GB"
    )
    return case(
        "Many columns",
        f"{n} x {sizes[0]} and {n} x {sizes[1]}, blocks as above. Floor as above",
        measured,
        quality,
        ours="skstruct SparseCCA",
        floor_seconds=_floor(X, Y, 4),
    )


def _permutation_case(quick):
    """One call against a loop of fits: there is no peer in Python."""
    n, sizes = (60, (200, 100)) if quick else (100, (2000, 1000))
    X, Y = planted(n, sizes)
    grid = [{"l1_ratio": r} for r in (0.05, 0.1, 0.2, 0.4)]
    n_permutations = 25

    def together():
        return permutation_test(
            SparseCCA(), X, Y, grid, n_permutations=n_permutations, random_state=0
        )

    def loop():
        rng = np.random.RandomState(0)
        orders = [np.arange(n), *(rng.permutation(n) for _ in range(n_permutations))]
        return [
            [SparseCCA(**p).fit(X, Y[order]).correlations_[0] for order in orders]
            for p in grid
        ]

    measured = measure(
        {"skstruct permutation_test": together, "loop over SparseCCA.fit": loop}
    )
    found = measured["skstruct permutation_test"]["result"]
    single = np.array(measured["loop over SparseCCA.fit"]["result"])
    return case(
        "Permutation test, 25 permutations of four penalties",
        f"{n} x {sizes[0]} and {n} x {sizes[1]}",
        measured,
        {
            "skstruct permutation_test": {
                "mean_permuted_corr": found.permuted_correlations.mean()
            },
            "loop over SparseCCA.fit": {"mean_permuted_corr": single[:, 1:].mean()},
        },
        ours="skstruct permutation_test",
    )
