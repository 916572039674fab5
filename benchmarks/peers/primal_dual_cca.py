"""Primal-dual sparse CCA beside a convex solver, the lasso and ridge kernel CCA."""

import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import Lasso

from benchmarks._harness import case, measure, peak_memory_mb
from skstruct.cross_decomposition import PrimalDualSparseCCA
from skstruct.cross_decomposition._primal_dual_solver import (
    PrimalView,
    default_penalties,
    solve,
)
from skstruct.metrics import mate_retrieval_score
from tests.reference import primal_dual as ref

PACKAGES = ("numba", "cvxpy", "clarabel", "osqp")


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            _program_case(quick, alpha_dual=1.0),
            _program_case(quick, alpha_dual=0.1),
            _retrieval_case("fr", 200, quick),
            _retrieval_case("es", 100, quick),
            _large_case(quick),
        ]


def _pages(language):
    """Word counts of manual pages in English and in the other language."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "manpages_bitext"
    with np.load(folder / f"en_{language}.npz") as f:
        return [
            sparse.csr_array(
                (f[f"{name}_data"], f[f"{name}_indices"], f[f"{name}_indptr"]),
                shape=tuple(f[f"{name}_shape"]),
            )
            for name in ("en", language)
        ]


def _split(language, n_train, seed):
    """Term weights of training and test pages, fitted on the former."""
    views = _pages(language)
    order = np.random.default_rng(seed).permutation(views[0].shape[0])
    weighting = [TfidfTransformer().fit(view[order[:n_train]]) for view in views]
    return [
        [w.transform(view[rows]) for w, view in zip(weighting, views)]
        for rows in (order[:n_train], order[n_train:])
    ]


def _program_case(quick, alpha_dual):
    """One program, one seed: the same optimum by independent solvers."""
    import cvxpy as cp

    (X, y), _ = _split("fr", 200, 0)
    X, y = X.toarray(), y.toarray()
    if quick:
        X = X[:, :500]
    X, y = X - X.mean(axis=0), y - y.mean(axis=0)
    K = y @ y.T
    k, tau = 0, 0.5
    view = PrimalView(np.ascontiguousarray(X.T), (X**2).sum(axis=0))
    mu, gamma = default_penalties(view, K, k, tau)
    gamma *= alpha_dual

    def ours():
        pair = solve(view, K, k, mu, gamma, tau)
        w = np.zeros(X.shape[1])
        w[pair.support] = pair.w
        return w, pair.e

    def interior(solver, **options):
        w, e = cp.Variable(X.shape[1]), cp.Variable(len(K))
        cost = cp.sum_squares(tau * X @ w - (1 - tau) * K @ e) + mu * cp.norm1(w)
        program = cp.Problem(
            cp.Minimize(cost + gamma * (cp.sum(e) - 1)), [e >= 0, e <= 1, e[k] == 1]
        )
        program.solve(solver=solver, **options)
        return w.value, e.value

    programs = {
        "skstruct": ours,
        "cvxpy, CLARABEL": lambda: interior(
            "CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-9, tol_feas=1e-10
        ),
        "cvxpy, OSQP": lambda: interior("OSQP", eps_abs=1e-7, eps_rel=1e-7),
    }
    if alpha_dual == 1.0:
        # Only the seed is in e, so the program is a lasso. Same duality gap: scikit-
        # learn relates it to the squared target, 50 times the objective here.
        lasso = Lasso(
            mu / (2 * len(K)), fit_intercept=False, tol=1e-8, max_iter=100_000
        )
        target, unit = (1 - tau) * K[k], np.eye(len(K))[k]
        programs["scikit-learn Lasso, e given"] = lambda: (
            lasso.fit(tau * X, target).coef_,
            unit,
        )
    measured = measure(programs, repeats=1 if quick else 3)
    quality = {}
    for name, entry in measured.items():
        w, e = entry.pop("result")
        e = np.clip(e, 0, 1)
        e[k] = 1.0
        value = ref.objective(X, K, k, w, e, mu, gamma)
        gap = ref.duality_gap(X, K, k, w, e, mu, gamma)
        quality[name] = {
            "objective": value,
            "gap over objective": gap / value,
            "words": np.count_nonzero(w),
            "documents": np.count_nonzero(e),
        }
    v = K[k]
    floor = measure({"floor": lambda: (view.columns @ v, view.columns @ v)}, repeats=9)[
        "floor"
    ]["seconds"]
    return case(
        f"One program of primal-dual sparse CCA, alpha_dual={alpha_dual}",
        f"{X.shape[0]} English and French manual pages, {X.shape[1]} words; floor: two "
        "products X'r, for the penalty and for the certificate",
        measured,
        quality,
        ours="skstruct",
        floor_seconds=floor,
    )


def _ridge_kernel_cca(train, test, ridge, n_components=50):
    """Dense CCA of both views with linear kernels and a ridge."""
    halves = []
    for A in train:
        U, s, Vt = np.linalg.svd(A - A.mean(axis=0), full_matrices=False)
        root = np.sqrt(s**2 + ridge)
        halves.append((U * (s / root), Vt.T / root))
    left, _, right = np.linalg.svd(halves[0][0].T @ halves[1][0])
    return [
        (new - old.mean(axis=0)) @ (V @ R[:, :n_components])
        for (_, V), R, old, new in zip(halves, (left, right.T), train, test)
    ]


def _retrieval_case(language, n_train, quick):
    """Mates among unseen pages; every figure is over the same random splits."""
    splits = [
        [[A.toarray() for A in part] for part in _split(language, n_train, seed)]
        for seed in range(2 if quick else 10)
    ]

    def sparse_cca(i, **options):
        model = PrimalDualSparseCCA(40, random_state=i, **options).fit(*splits[i][0])
        return model.transform(*splits[i][1]), model

    settings = {
        "skstruct": {},
        "skstruct, random seeds": {"seeds": "random"},
        "skstruct, random seeds, alpha=0.5": {"seeds": "random", "alpha": 0.5},
        "skstruct, random seeds, alpha_dual=0.1": {
            "seeds": "random",
            "alpha_dual": 0.1,
        },
    }
    programs = {
        name: lambda i, options=options: sparse_cca(i, **options)
        for name, options in settings.items()
    }
    for ridge in (0.03, 0.3, 3.0):
        programs[f"ridge kernel CCA, 50 components, ridge {ridge}"] = (
            lambda i, ridge=ridge: (_ridge_kernel_cca(*splits[i], ridge), None)
        )
    measured = measure(
        {name: lambda f=f: f(0) for name, f in programs.items()},
        repeats=1 if quick else 3,
    )
    quality = {}
    for name, program in programs.items():
        measured[name].pop("result")
        rows = []
        for i in range(len(splits)):
            scores, model = program(i)
            s = mate_retrieval_score(*scores)
            words = [np.median(n) for n in (model.n_nonzero_, model.n_nonzero_dual_)] \
                if model else [splits[i][0][0].shape[1], n_train]  # fmt: skip
            gaps = np.max(model.dual_gap_ / model.objective_) if model else np.nan
            rows.append([*s.values(), *words, gaps])
        rows = np.array(rows)
        middle = np.median(rows, axis=0)
        quality[name] = {
            f"top-1 en-{language}": middle[0],
            f"top-1 en-{language}, worst": rows[:, 0].min(),
            f"top-1 en-{language}, best": rows[:, 0].max(),
            f"top-1 {language}-en": middle[1],
            "MRR": middle[2],
            "words": middle[4],
            "documents": middle[5],
        }
        if not np.isnan(middle[6]):
            quality[name]["gap over objective, worst"] = rows[:, 6].max()
    n_test = len(splits[0][1][0])
    return case(
        f"Retrieval of translated manual pages, English and {language}",
        f"{n_train} pages to learn from, {n_test} to find; medians of {len(splits)} "
        "random splits; time of one fit with projection, 40 components",
        measured,
        quality,
        ours="skstruct",
    )


_TOPICS = """
import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
def corpus(n, p, q, n_words=120, n_topics=100, seed=0):
    # Documents of a few topics; each topic has its own frequent words.
    rng = np.random.default_rng(seed)
    topics = np.stack([rng.permutation(n_topics)[:3] for _ in range(n)])
    views = []
    for size in (p, q):
        favourites = rng.integers(0, size, (n_topics, 200))
        own = favourites[topics[:, :, None], rng.integers(0, 200, (n, 3, n_words // 4))]
        rare = (size * rng.random((n, n_words - 3 * (n_words // 4))) ** 3).astype(int)
        words = np.hstack([own.reshape(n, -1), rare])
        rows = np.repeat(np.arange(n), words.shape[1])
        counts = sparse.coo_array((np.ones(words.size), (rows, words.ravel())),
                                  shape=(n, size)).tocsr()
        views.append(TfidfTransformer().fit_transform(counts))
    return views
"""
exec(_TOPICS)


def _memory_of_fit(size):
    """Program whose reported peak is the growth of resident memory during fit."""
    return f"""{_TOPICS}
from types import SimpleNamespace
from skstruct.cross_decomposition import PrimalDualSparseCCA
def status(key):
    with open("/proc/self/status") as lines:
        return [int(l.split()[1]) for l in lines if l.startswith(key)][0]
PrimalDualSparseCCA(2, seeds="random", random_state=0).fit(*corpus(100, 200, 200))
X, y = corpus{size}
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")
before = status("VmRSS")
PrimalDualSparseCCA(10, seeds="random", random_state=0).fit(X, y)
grown = status("VmHWM") - before
resource.getrusage = lambda who: SimpleNamespace(ru_maxrss=grown)
"""


def _large_case(quick):
    """Simulated documents in the size of the published English-Spanish corpus."""
    size = (200, 4000, 5000) if quick else (1000, 40_629, 57_796)
    X, y = corpus(*size)  # noqa: F821 - from the text above
    cca = PrimalDualSparseCCA(10, seeds="random", random_state=0)
    programs = {"skstruct, sparse X": lambda: clone(cca).fit(X, y)}
    if not quick:
        dense = X.toarray()
        programs["skstruct, dense X"] = lambda: clone(cca).fit(dense, y)
    measured = measure(programs, repeats=1 if quick else 3)
    quality = {
        name: {
            "words": np.median(entry["result"].n_nonzero_),
            "gap over objective": np.max(
                entry["result"].dual_gap_ / entry["result"].objective_
            ),
        }
        for name, entry in measured.items()
    }
    entry = measured["skstruct, sparse X"]
    if not quick:
        entry["peak_memory_mb"] = peak_memory_mb(_memory_of_fit(size))
        entry["note"] = (
            "fit adds this much to a process that holds the data; a dense copy of X "
            f"is {X.shape[0] * X.shape[1] / 2**17:.0f} MB"
        )
    floor = measure({"floor": lambda: X.T @ y[:, :1].toarray()}, repeats=9)
    rounds = 10 * entry["result"].n_iter_
    for found in measured.values():
        found.pop("result")
    return case(
        "Ten components of a large sparse view",
        f"simulated documents, {size[0]} x {size[1]} and {size[2]} words, "
        f"{X.nnz / X.shape[0]:.0f} different ones each; random seeds; floor: a "
        "product X'r for each working set",
        measured,
        quality,
        ours="skstruct, sparse X",
        floor_seconds=floor["floor"]["seconds"] * rounds,
    )
