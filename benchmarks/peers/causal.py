"""Causal discovery beside lingam and causal-learn."""

import csv
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks._harness import case, environment, measure, run_in_environment
from benchmarks.peers import _causal_peers
from benchmarks.peers._causal_simulation import (
    NAMED,
    NOISES,
    PATH,
    SIZES,
    judge,
    pooled,
    summary,
)
from skstruct.causal import CumulantLvLiNGAM, CumulantPairwise
from skstruct.causal._moments import compute_moments
from skstruct.datasets import make_latent_lingam

PACKAGES = ("numba", "networkx")

_LINGAM = """
import time, warnings
warnings.simplefilter("ignore")
import numpy as np
import lingam
makers = {
    "DirectLiNGAM": lingam.DirectLiNGAM,
    "RCD": lingam.RCD,
    "ParceLiNGAM": lingam.BottomUpParceLiNGAM,
}
for name in str(data["methods"]).split(","):
    seconds, found = [], []
    for X in data["tables"]:
        start = time.perf_counter()
        found.append(makers[name]().fit(X).adjacency_matrix_)
        seconds.append(time.perf_counter() - start)
    out[name], out[name + "_seconds"] = np.array(found), np.array(seconds)
"""

_CAUSALLEARN = """
import time, warnings
warnings.simplefilter("ignore")
import numpy as np
from causallearn.search.ConstraintBased.FCI import fci
from causallearn.search.HiddenCausal.GIN.GIN import GIN
seconds, found = [], []
for X in data["tables"]:
    start = time.perf_counter()
    graph, _ = fci(X, show_progress=False)
    seconds.append(time.perf_counter() - start)
    # -1 at the tail of an arrow, 1 at its head, 2 a circle; [i, j] is the mark at i.
    G = graph.graph
    found.append(((G == 1) & (G.T == -1)).astype(float))
out["FCI"], out["FCI_seconds"] = np.array(found), np.array(seconds)
seconds = []
for X in data["tables"]:
    start = time.perf_counter()
    GIN(X)
    seconds.append(time.perf_counter() - start)
out["GIN_seconds"] = np.array(seconds)
"""


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [
            _fit_case(
                5,
                500 if quick else 1000,
                "DirectLiNGAM,RCD,ParceLiNGAM",
                seeds=range(2 if quick else 10),
            ),
        ]
        if not quick:
            cases.append(_fit_case(10, 10_000, "DirectLiNGAM"))
            cases.append(_fit_case(10, 10_000, "DirectLiNGAM", q=2, seeds=[1]))
            cases += [_growth_case(), _blocks_case(), _pairs_case()]
            if _TUEBINGEN.exists():
                cases.append(_tuebingen_case())
            cases += _simulation_cases() + _peers_cases()
        return cases


def _fit_case(p, n, methods, q=1, seeds=(0,)):
    """Seconds of all graphs together: the time of a search depends on the graph."""
    drawn = [
        make_latent_lingam(n_samples=n, n_features=p, n_latents=q, random_state=seed)
        for seed in seeds
    ]

    def fitted(**options):
        return [CumulantLvLiNGAM(random_state=0, **options).fit(d.X) for d in drawn]

    measured = measure(
        {
            "skstruct gmm": fitted,
            "skstruct gmm, no restarts": lambda: fitted(n_restarts=0),
            "skstruct gmm, n_jobs=2": lambda: fitted(n_jobs=2),
            "skstruct olc": lambda: fitted(method="olc"),
        }
    )
    quality = {}
    for name, entry in measured.items():
        models = entry["result"]
        quality[name] = _rates([m.effects_ for m in models], drawn)
        quality[name]["exact sets"] = np.mean(
            [m.latent_children_ == d.latent_children for m, d in zip(models, drawn)]
        )

    def moments():
        for d in drawn:
            Z = (d.X - d.X.mean(axis=0)) / d.X.std(axis=0)
            compute_moments(Z, "all", np.ones(p))

    floor = measure({"f": moments})["f"]
    tables = np.array([d.X for d in drawn])
    python = environment("lingam", ["lingam==1.13.0"])
    data = {"tables": tables, "methods": np.array(methods)}
    peer = run_in_environment(python, _LINGAM, data)
    if n <= 2000:
        python = environment("causallearn", ["causal-learn"])
        peer |= run_in_environment(python, _CAUSALLEARN, {"tables": tables})
    for key, seconds in peer.items():
        if key.endswith("_seconds"):
            name = key.removesuffix("_seconds")
            measured[name] = {"seconds": float(seconds.sum())}
            if name in peer:
                # NaN marks pairs that the method leaves open: no edge of its own.
                quality[name] = _rates(np.nan_to_num(peer[name]), drawn)
            else:
                measured[name]["note"] = "no edges among observed variables"
    graphs = f"{len(drawn)} graphs" if len(drawn) > 1 else "one graph"
    return case(
        f"{q} latent, exponential noise, {p} variables, {graphs}",
        f"{n} x {p}; floor: covariance of all moments and its inverse",
        measured,
        quality,
        ours="skstruct gmm",
        floor_seconds=floor["seconds"],
    )


def _rates(effects, drawn):
    entries = [judge(found, data) for found, data in zip(effects, drawn)]
    total = {key: sum(e[key] for e in entries) for key in ("hit", "found", "true")}
    return {
        "precision": total["hit"] / max(total["found"], 1),
        "recall": total["hit"] / max(total["true"], 1),
    }


def _fitted(X):
    return CumulantLvLiNGAM(random_state=0).fit(X)


def _growth_case():
    """Median of five graphs with one latent, by rows and by columns."""
    tables = {}
    for n in (2000, 8000, 32_000):
        tables[f"p = 7, n = {n}"] = 7, n
    for p in (5, 10):
        tables[f"p = {p}, n = 8000"] = p, 8000
    measured, moments = {}, {}
    for name, (p, n) in tables.items():
        times, share = [], []
        for seed in range(5):
            data = make_latent_lingam(
                n_samples=n, n_features=p, n_latents=1, random_state=seed
            )
            Z = (data.X - data.X.mean(axis=0)) / data.X.std(axis=0)
            entry = measure(
                {
                    "fit": lambda X=data.X: _fitted(X),
                    "pass": lambda Z=Z, p=p: compute_moments(Z, "all", np.ones(p)),
                },
                repeats=2,
                warmup=seed == 0,
            )
            times.append(min(entry["fit"]["all_seconds"]))
            share.append(min(entry["pass"]["all_seconds"]) / times[-1])
        measured[name] = {"seconds": float(np.median(times))}
        moments[name] = {"share of the passes over the rows": float(np.median(share))}

    def exponent(names, sizes):
        seconds = [measured[name]["seconds"] for name in names]
        return np.polyfit(np.log(sizes), np.log(seconds), 1)[0]

    rows = exponent([f"p = 7, n = {n}" for n in (2000, 8000, 32_000)],
                    [2000, 8000, 32_000])  # fmt: skip
    columns = exponent(
        ["p = 5, n = 8000", "p = 7, n = 8000", "p = 10, n = 8000"], [5, 7, 10]
    )
    return case(
        "Growth with rows and columns",
        f"one latent, exponential noise, medians of 5 graphs; time grows like "
        f"n^{rows:.2f} p^{columns:.2f}",
        measured,
        moments,
        ours="p = 7, n = 8000",
    )


def _blocks_case():
    """Three unconnected tables side by side."""
    parts = [
        make_latent_lingam(
            n_samples=20_000, n_features=10, n_latents=1, noise=noise, random_state=s
        )
        for s, noise in enumerate(("exponential", "laplace", "gamma"))
    ]
    X = np.column_stack([part.X for part in parts])
    python = environment("lingam", ["lingam==1.13.0"])
    peer = run_in_environment(
        python, _LINGAM, {"tables": X[None], "methods": np.array("DirectLiNGAM")}
    )
    measured = measure({"skstruct gmm": lambda: _fitted(X)}, repeats=1, warmup=False)
    true = np.zeros((30, 30))
    for k, part in enumerate(parts):
        true[10 * k : 10 * k + 10, 10 * k : 10 * k + 10] = part.adjacency_matrix
    model = measured["skstruct gmm"]["result"]
    quality = {}
    for name, B in (
        ("skstruct gmm", model.effects_),
        ("DirectLiNGAM", peer["DirectLiNGAM"][0]),
    ):
        hit = np.sum((B != 0) & (true != 0))
        quality[name] = {
            "precision": hit / max(np.sum(B != 0), 1),
            "recall": hit / np.sum(true != 0),
        }
    measured["DirectLiNGAM"] = {"seconds": float(peer["DirectLiNGAM_seconds"][0])}
    return case(
        "Three graphs in 30 columns",
        "20000 x 30, cut into blocks; one latent in each graph",
        measured,
        quality,
        ours="skstruct gmm",
    )


_PAIR_KINDS = ("x->y", "latent", "latent,x->y")

_PAIR_DIRECT = """
import time, warnings
warnings.simplefilter("ignore")
import lingam
start = time.perf_counter()
k, right = 0, []
while f"X{k}" in data:
    B = lingam.DirectLiNGAM().fit(data[f"X{k}"]).adjacency_matrix_
    right.append(abs(B[1, 0]) > abs(B[0, 1]))
    k += 1
out["right"] = np.array(right)
out["seconds"] = time.perf_counter() - start
"""


def simulated_pair(kind, noise, n, run):
    """A pair; loadings and effect of absolute value .5 to 1 with random signs.

    Also the total effect of the latent on y, which may cancel.
    """
    seed = np.random.SeedSequence(
        [90001, _PAIR_KINDS.index(kind), NOISES.index(noise), n, run]
    ).generate_state(1)[0]
    rng = np.random.RandomState(seed)
    a, b, c = rng.uniform(0.5, 1, 3) * rng.choice([-1, 1], 3)
    draw = make_latent_lingam(
        n_samples=3 * n, n_features=2, n_latents=0, noise=noise, random_state=rng
    )
    # Noises of variance one: the residuals of the drawn table.
    E = draw.X @ (np.eye(2) - draw.adjacency_matrix).T
    L, x, y = E[:n, 0], E[n : 2 * n, 0], E[2 * n :, 0]
    if "latent" in kind:
        x, y = x + a * L, y + b * L
    if "->" in kind:
        y = y + c * x
    return np.column_stack([x, y]), (b + a * c if kind == "latent,x->y" else 1.0)


def _pairs_case(runs=1000):
    """Share of pairs in the right row, with direction."""
    measured, quality = {}, {}
    settings = [
        (noise, 5000) for noise in ("exponential", "gamma", "uniform", "laplace")
    ] + [("laplace", 20_000)]
    for noise, n in settings:
        right, faithful, direction, tables = [], [], [], {}
        start = time.perf_counter()
        seconds = 0.0
        for kind in _PAIR_KINDS:
            for run in range(runs):
                X, total = simulated_pair(kind, noise, n, run)
                start = time.perf_counter()
                found = CumulantPairwise().fit(X)
                seconds += time.perf_counter() - start
                right.append(found.structure_ == kind)
                faithful.append(abs(total) > 0.3)
                if "->" in kind:
                    tables[f"X{len(tables)}"] = X
                    if found.direction_:
                        direction.append(found.direction_ == "x->y")
        label = f"{noise}, n = {n}"
        right, faithful = np.array(right), np.array(faithful)
        measured[f"skstruct, {label}"] = {"seconds": seconds / len(right)}
        quality[f"skstruct, {label}"] = {
            "right row": right.mean(),
            "without cancellation": right[faithful].mean(),
            "direction": np.mean(direction),
            "directions given": len(direction) / (2 * runs),
        }
        peer = run_in_environment(
            environment("lingam", ["lingam==1.13.0"]), _PAIR_DIRECT, tables
        )
        name = f"DirectLiNGAM, {label}"
        measured[name] = {"seconds": peer["seconds"] / len(tables)}
        quality[name] = {
            "right row": peer["right"][:runs].sum() / len(right),
            "direction": peer["right"].mean(),
            "directions given": 1.0,
        }
    return case(
        "Pairs",
        f"an edge, a latent, or both, {runs} pairs each; without cancellation: the "
        "total effect of the latent on y is above 0.3",
        measured,
        quality,
        ours="skstruct, exponential, n = 5000",
    )


_TUEBINGEN = (
    Path(
        os.environ.get("SKSTRUCT_SHARED_DATA")
        or Path(__file__).parents[3] / "shared" / "data"
    )
    / "tuebingen_pairs"
    / "Tuebingen_pairs.csv"
)


def _tuebingen_case():
    """Real pairs of known direction; few of them are linear."""
    csv.field_size_limit(10**9)
    with _TUEBINGEN.open() as file:
        pairs = [
            np.column_stack([np.array(row[c].split(), dtype=float) for c in "AB"])
            for row in csv.DictReader(file)
        ]
    start = time.perf_counter()
    models = [CumulantPairwise().fit(X) for X in pairs]
    seconds = time.perf_counter() - start
    given = [m.direction_ == "x->y" for m in models if m.direction_]
    forced = [m.j_statistics_["x->y"] < m.j_statistics_["y->x"] for m in models]
    peer = run_in_environment(
        environment("lingam", ["lingam==1.13.0"]),
        _PAIR_DIRECT,
        {f"X{k}": X for k, X in enumerate(pairs)},
    )
    return case(
        "Tuebingen cause-effect pairs",
        f"{len(pairs)} scalar pairs; all statements refer to unweighted pairs",
        {
            "skstruct": {"seconds": seconds},
            "skstruct, smaller statistic": {
                "seconds": seconds,
                "note": "a direction for every pair",
            },
            "DirectLiNGAM": {"seconds": peer["seconds"]},
        },
        {
            "skstruct": {
                "direction": np.mean(given),
                "directions given": len(given) / len(pairs),
            },
            "skstruct, smaller statistic": {
                "direction": np.mean(forced),
                "directions given": 1.0,
            },
            "DirectLiNGAM": {
                "direction": peer["right"].mean(),
                "directions given": 1.0,
            },
        },
    )


def _simulation_cases():
    """Recorded runs, one case per size: all noises together, each, and by latents."""
    record = json.loads(PATH.read_text())
    cases = []
    for n in SIZES:
        picks = {"all": pooled(record, "random", n)}
        picks |= {
            noise: pooled(record, "random", n, noises=[noise]) for noise in NOISES
        }
        picks |= {
            f"{q} latents": pooled(record, "random", n, latents=[q]) for q in range(4)
        }
        cases.append(
            _recorded_case(
                f"Random designs, n = {n}", "5 to 10 variables, 0 to 3 latents", picks
            )
        )
        picks = {design: pooled(record, design, n) for design in NAMED}
        cases.append(
            _recorded_case(
                f"Named designs, n = {n}",
                "make_latent_lingam(design), seven noises together",
                picks,
            )
        )
    return cases


def _recorded_case(title, data, picks):
    measured, quality = {}, {}
    for label, rows in picks.items():
        for method in ("gmm", "olc", "DirectLiNGAM"):
            name = f"{method}, {label}"
            unit = "seconds" if method == "DirectLiNGAM" else "cpu_seconds"
            measured[name] = {
                "seconds": float(np.mean([row[method][unit] for row in rows])),
                "note": f"{len(rows)} runs",
            }
            quality[name] = summary(rows, method)
    return case(
        title,
        f"{data}; mean seconds a fit",
        measured,
        quality,
        ours=f"gmm, {next(iter(picks))}",
    )


def _peers_cases():
    """Methods that allow for latents on the same tables, one case per size."""
    ours = json.loads(PATH.read_text())
    record = json.loads(_causal_peers.PATH.read_text())
    cases = []
    for n in SIZES:
        rows = _causal_peers.beside(ours, record, n)
        confounded = [row for row in rows if row["q"]]
        measured, quality = {}, {}
        for method in ("gmm", "DirectLiNGAM", *_causal_peers.METHODS):
            entries = [row[method] for row in confounded if method in row]
            if not entries:
                continue
            unit = "cpu_seconds" if method == "gmm" else "seconds"
            ended = [r for r in confounded if _causal_peers.answered(r, method)]
            measured[method] = {
                "seconds": float(np.mean([entry[unit] for entry in entries])),
                "note": f"{len(ended)} of {len(entries)} ended within a minute",
            }
            if ended and method == "GIN":
                quality[method] = {
                    "exact sets": np.mean([row[method]["sets"] for row in ended])
                }
            elif ended:
                quality[method] = summary(ended, method)
        cases.append(
            case(
                f"Confounded random designs, n = {n}, methods that allow for latents",
                "runs above with 1 to 3 latents; seconds of runs that were stopped "
                "count as 60; summaries are of the runs that ended",
                measured,
                quality,
                ours="gmm",
            )
        )
    return cases
