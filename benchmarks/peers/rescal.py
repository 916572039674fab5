"""Relational factorizations beside their peers."""

import warnings

import numpy as np
from scipy import sparse

from benchmarks._harness import case, environment, measure, run_in_environment
from skstruct._jit import jit
from skstruct.datasets import make_relational_communities
from skstruct.tensor import RESCAL, NonnegativeRESCAL, RESCALRankSelector

PACKAGES = ("numba",)


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            _iteration_case(quick, 500, 20, 10),
            _iteration_case(quick, 1000, 10, 10),
            _months_case(quick),
            _sparse_case(quick, 20, 200_000, 10),
            _sparse_case(quick, 20, 200_000, 5),
            _sparse_case(quick, 5, 1_000_000, 10),
            _quality_case(quick),
            _als_case(quick),
            _parafac_case(quick),
            _ensemble_case(quick),
        ]


def _fixed(k, n_iter, **options):
    """Exactly n_iter iterations from one start."""
    options = {"n_init": 1, "random_state": 0, "tol": 0.0, **options}
    return NonnegativeRESCAL(k, max_iter=n_iter, **options)


def _relative(model, X):
    return {"relative_error": model.reconstruction_err_ / np.linalg.norm(X)}


def _per_iteration(programs, products, few, many, repeats=5):
    """Seconds of one iteration and of the two products, from interleaved rounds.

    A round runs short fits, long fits and as many products as the long fits have more
    iterations, in turn: a busy machine slows all of them alike. `products` holds ways
    to form the two products; the floor is the fastest.
    """

    def repeated(form):
        for _ in range(many - few):
            form()

    rounds = {way: lambda form=form: repeated(form) for way, form in products.items()}
    for name, make in programs.items():
        rounds[f"{name}, few"] = lambda make=make: make(few)
        rounds[f"{name}, many"] = lambda make=make: make(many)
    found = measure(rounds, repeats=repeats)
    span = many - few
    measured = {}
    for name in programs:
        short, long = found[f"{name}, few"], found[f"{name}, many"]
        # A fit that converges on the way would seem faster than it is.
        assert (short["result"].n_iter_, long["result"].n_iter_) == (few, many)
        gaps = [
            (b - a) / span
            for a, b in zip(short["all_seconds"], long["all_seconds"], strict=True)
        ]
        measured[name] = {
            "seconds": float(np.median(gaps)),
            "all_seconds": [round(gap, 6) for gap in gaps],
            "result": long["result"],
            "note": "one iteration, from fits of two lengths",
        }
    ways = {
        way: {
            "seconds": found[way]["seconds"] / span,
            "all_seconds": [round(s / span, 6) for s in found[way]["all_seconds"]],
        }
        for way in products
    }
    if len(ways) > 1:
        measured |= ways
    return measured, min(way["seconds"] for way in ways.values())


def _solvers(X, k):
    return {
        "skstruct HALS": lambda i: _fixed(k, i).fit(X),
        "skstruct MU": lambda i: _fixed(k, i, solver="mu").fit(X),
    }


def _iteration_case(quick, n, m, k):
    n, m = (60, 4) if quick else (n, m)
    X = make_relational_communities(
        n, m, n_components=k, noise="multiplicative", noise_level=0.3, random_state=0
    ).X
    A = np.random.default_rng(0).uniform(size=(n, k))
    measured, floor = _per_iteration(
        _solvers(X, k), {"floor": lambda: [(x @ A, x.T @ A) for x in X]}, 5, 25
    )
    return case(
        "One iteration, dense",
        f"{m} x {n} x {n}, {k} groups; floor: X_t A and X_t' A",
        measured,
        {name: _relative(e["result"], X) for name, e in measured.items()},
        ours="skstruct HALS",
        floor_seconds=floor,
    )


def _months_case(quick):
    """Many small slices, of the size of the trade tensor."""
    m, n, k = (60 if quick else 420), 23, 5
    X = make_relational_communities(
        n, m, n_components=k, noise="multiplicative", noise_level=0.3, random_state=0
    ).X
    A = np.random.default_rng(0).uniform(size=(n, k))
    measured, floor = _per_iteration(
        _solvers(X, k),
        {"floor": lambda: (X @ A, X.transpose(0, 2, 1) @ A)},
        20,
        80,
    )
    return case(
        "One iteration, many small slices",
        f"{m} x {n} x {n}, {k} groups; floor: X_t A and X_t' A as batched products",
        measured,
        {name: _relative(e["result"], X) for name, e in measured.items()},
        ours="skstruct HALS",
        floor_seconds=floor,
    )


def _sparse_case(quick, m, nnz, k):
    n = 500 if quick else 10_000
    if quick:
        nnz //= 40
    rng = np.random.default_rng(0)
    X = [
        sparse.random_array((n, n), density=nnz / m / n / n, rng=rng, format="csr")
        for _ in range(m)
    ]
    A = rng.uniform(size=(n, k))
    tall = sparse.vstack(X).tocsr()
    flipped = sparse.vstack([x.T for x in X]).tocsr()
    filled = [x[np.diff(x.indptr) > 0] for x in (tall, flipped)]
    outs = [np.empty((x.shape[0], k)) for x in filled]
    lanes = (0.0,) * k

    def bare():
        for x, out in zip(filled, outs, strict=True):
            _plain_product(x.indptr, x.indices, x.data, A, lanes, out)

    measured, floor = _per_iteration(
        _solvers(X, k),
        {
            "two products, SciPy": lambda: (tall @ A, flipped @ A),
            "two products, SciPy, non-empty rows": lambda: [x @ A for x in filled],
            "two products, non-empty rows, compiled for the rank": bare,
        },
        5,
        35,
    )
    return case(
        "One iteration, sparse",
        f"{m} slices, n={n}, {nnz} nonzeros, {k} groups; floor: the fastest way to "
        "form the two products",
        measured,
        {},
        ours="skstruct HALS",
        floor_seconds=floor,
    )


@jit(fastmath={"reassoc", "contract"})
def _plain_product(indptr, indices, data, A, lanes, out):
    """Sparse product into an array that is kept; its rank is known when compiled."""
    k = len(lanes)
    for r in range(out.shape[0]):
        c, end = indptr[r], indptr[r + 1]
        for a in range(k):
            out[r, a] = 0.0
        while c + 3 < end:
            x0, x1, x2, x3 = data[c], data[c + 1], data[c + 2], data[c + 3]
            j0, j1, j2, j3 = (
                indices[c],
                indices[c + 1],
                indices[c + 2],
                indices[c + 3],
            )
            for a in range(k):
                out[r, a] += (x0 * A[j0, a] + x1 * A[j1, a]) + (
                    x2 * A[j2, a] + x3 * A[j3, a]
                )
            c += 4
        while c < end:
            for a in range(k):
                out[r, a] += data[c] * A[indices[c], a]
            c += 1


def _quality_case(quick):
    """Same start, 50 iterations of coordinate descent against 400 multiplicative."""
    n, m, k = (30, 6, 3) if quick else (60, 10, 5)
    X = make_relational_communities(
        n, m, n_components=k, noise="multiplicative", noise_level=0.1, random_state=0
    ).X
    rng = np.random.default_rng(1)
    start = {"A_init": rng.uniform(size=(n, k)), "R_init": rng.uniform(size=(m, k, k))}
    programs = {
        "skstruct HALS, 20 iterations": _fixed(k, 20, init="custom"),
        "skstruct HALS, 50 iterations": _fixed(k, 50, init="custom"),
        "skstruct MU, 50 iterations": _fixed(k, 50, init="custom", solver="mu"),
        "skstruct MU, 400 iterations": _fixed(k, 400, init="custom", solver="mu"),
    }
    measured = measure(
        {
            name: lambda model=model: model.fit(X, **start)
            for name, model in programs.items()
        }
    )
    return case(
        "Coordinate descent against multiplicative updates, same start",
        f"{m} x {n} x {n}, {k} communities, 10 % noise",
        measured,
        {name: _relative(e["result"], X) for name, e in measured.items()},
        ours="skstruct HALS, 50 iterations",
    )


_ALS_SCRIPT = """
import time
from scipy.sparse import csr_matrix
from sktensor.rescal import als as rescal_als
X = [csr_matrix(x) for x in data["X"]]
best = []
for _ in range({repeats}):
    start = time.perf_counter()
    A, R, fit, n_iter = rescal_als(
        [x.copy() for x in X], {k}, init="nvecs", lambda_A={alpha}, lambda_R={alpha},
        maxIter={n_iter}, conv=1e-12,
    )
    best.append(time.perf_counter() - start)
best.sort()
out["seconds"] = best[len(best) // 2]
out["A"], out["R"], out["n_iter"] = A, np.stack(R), float(n_iter)
"""


def _als_case(quick):
    n, m, k, alpha = (40, 5, 5, 1.0) if quick else (200, 20, 20, 10.0)
    rng = np.random.default_rng(0)
    X = (rng.uniform(size=(m, n, n)) < 0.03).astype(float)
    X += make_relational_communities(n, m, n_components=4, random_state=0).truth > 0.3
    slices = [sparse.csr_array(x) for x in X]

    def objective(A, R):
        error = X - A @ R @ A.T
        return np.sum(error**2) + alpha * (np.sum(A**2) + np.sum(R**2))

    def ours():
        model = RESCAL(k, alpha_A=alpha, alpha_R=alpha, max_iter=50, tol=0.0)
        return model.fit(slices)

    measured = measure({"skstruct RESCAL": ours})
    # It asks for numpy 1.16, which has no wheel for the Pythons that skstruct supports;
    # 1.23 is the last one that still has the names it uses.
    python = environment(
        "sktensor",
        ["--no-deps", "scikit-tensor-py3==0.4.1", "numpy==1.23.5", "scipy==1.10.1"],
    )
    script = _ALS_SCRIPT.format(repeats=3, k=k, alpha=alpha, n_iter=50)
    peer = run_in_environment(python, script, {"X": X})
    model = measured["skstruct RESCAL"]["result"]
    measured["scikit-tensor-py3 rescal_als"] = {
        "seconds": peer["seconds"],
        "note": "forms the dense residual in every iteration",
    }
    return case(
        "RESCAL by alternating least squares, sparse slices, at most 50 iterations",
        f"{m} x {n} x {n}, rank {k}, ridge {alpha}",
        measured,
        {
            "skstruct RESCAL": {
                "objective": objective(model.components_, model.relations_),
                "n_iter": model.n_iter_,
            },
            "scikit-tensor-py3 rescal_als": {
                "objective": objective(peer["A"], peer["R"]),
                "n_iter": peer["n_iter"],
            },
        },
        ours="skstruct RESCAL",
    )


_PARAFAC_SCRIPT = """
import time
import tensorly
from tensorly.decomposition import non_negative_parafac, non_negative_parafac_hals
X = tensorly.tensor(data["X"])
for name, function, rank in (
    ("mu", non_negative_parafac, {k}),
    ("hals", non_negative_parafac_hals, {k}),
    ("hals_large", non_negative_parafac_hals, {large}),
):
    best = []
    for _ in range(3 if name == "mu" else 1):
        start = time.perf_counter()
        cp = function(X, rank, n_iter_max={n_iter}, tol=1e-7, init="random",
                      random_state=0)
        best.append(time.perf_counter() - start)
    best.sort()
    out[name + "_seconds"] = best[len(best) // 2]
    out[name + "_error"] = np.linalg.norm(X - tensorly.cp_to_tensor(cp))
"""


def _parafac_case(quick):
    n, m, k = (30, 6, 3) if quick else (80, 40, 4)
    X = make_relational_communities(
        n, m, n_components=k, noise="multiplicative", noise_level=0.1, random_state=0
    ).X
    measured = measure(
        {
            "skstruct NonnegativeRESCAL": lambda: NonnegativeRESCAL(
                k, random_state=0
            ).fit(X)
        }
    )
    size = np.linalg.norm(X)
    quality = {
        "skstruct NonnegativeRESCAL": {
            **_relative(measured["skstruct NonnegativeRESCAL"]["result"], X),
            "parameters": n * k + m * k * k,
        }
    }
    python = environment("tensorly", ["tensorly"])
    script = _PARAFAC_SCRIPT.format(k=k, large=k * k, n_iter=100)
    peer = run_in_environment(python, script, {"X": X})
    for key, name, rank in (
        ("mu", f"tensorly non_negative_parafac, rank {k}", k),
        ("hals", f"tensorly non_negative_parafac_hals, rank {k}", k),
        ("hals_large", f"tensorly non_negative_parafac_hals, rank {k * k}", k * k),
    ):
        measured[name] = {"seconds": peer[f"{key}_seconds"]}
        quality[name] = {
            "relative_error": peer[f"{key}_error"] / size,
            "parameters": rank * (2 * n + m),
        }
    return case(
        "Against the decomposition with two kinds of entities",
        f"{m} x {n} x {n}, {k} communities, 10 % noise",
        measured,
        quality,
        ours="skstruct NonnegativeRESCAL",
    )


def _ensemble_case(quick):
    n, m = (30, 6) if quick else (300, 20)
    X = make_relational_communities(n, m, n_components=4, random_state=0).X

    def select(n_jobs):
        selector = RESCALRankSelector(
            [3, 4, 5], n_perturbations=4, n_jobs=n_jobs, random_state=0
        )
        return selector.fit(X)

    measured = measure(
        {
            "skstruct, n_jobs=1": lambda: select(1),
            "skstruct, n_jobs=2": lambda: select(2),
        }
    )
    one, two = (entry["result"] for entry in measured.values())
    assert np.array_equal(one.components_, two.components_)
    return case(
        "Ensemble of the rank selector, 12 fits",
        f"{m} x {n} x {n}",
        measured,
        {name: {"groups": e["result"].n_components_} for name, e in measured.items()},
        ours="skstruct, n_jobs=1",
    )
