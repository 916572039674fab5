"""Causal discovery beside lingam and causal-learn."""

import json
import warnings

import numpy as np

from benchmarks._harness import RESULTS, case, environment, measure, run_in_environment
from benchmarks.peers._causal_simulation import NOISES, PATH, judge, summary
from skstruct.causal import CumulantLvLiNGAM
from skstruct.causal._moments import compute_moments
from skstruct.datasets import make_latent_lingam

PACKAGES = ("numba", "networkx")

_LINGAM = """
import time, warnings
warnings.simplefilter("ignore")
import lingam
makers = {
    "DirectLiNGAM": lingam.DirectLiNGAM,
    "RCD": lingam.RCD,
    "ParceLiNGAM": lingam.BottomUpParceLiNGAM,
}
for name in str(data["methods"]).split(","):
    start = time.perf_counter()
    B = makers[name]().fit(data["X"]).adjacency_matrix_
    out[name + "_seconds"] = time.perf_counter() - start
    out[name] = B
"""

_CAUSALLEARN = """
import time, warnings
warnings.simplefilter("ignore")
from causallearn.search.ConstraintBased.FCI import fci
start = time.perf_counter()
graph, _ = fci(data["X"], show_progress=False)
out["FCI_seconds"] = time.perf_counter() - start
# -1 at the tail of an arrow, 1 at its head, 2 a circle; [i, j] is the mark at i.
G = graph.graph
out["FCI"] = ((G == 1) & (G.T == -1)).astype(float)
from causallearn.search.HiddenCausal.GIN.GIN import GIN
start = time.perf_counter()
GIN(data["X"])
out["GIN_seconds"] = time.perf_counter() - start
"""


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [
            _fit_case(5, 500 if quick else 1000, "DirectLiNGAM,RCD,ParceLiNGAM"),
        ]
        if not quick:
            cases.append(_fit_case(10, 10_000, "DirectLiNGAM"))
            if PATH.exists():
                cases += _simulation_cases()
        return cases


def _fit_case(p, n, methods):
    data = make_latent_lingam(n_samples=n, n_features=p, n_latents=1, random_state=0)
    X = data.X
    measured = measure(
        {
            "skstruct gmm": lambda: CumulantLvLiNGAM(random_state=0).fit(X),
            "skstruct gmm, no restarts": lambda: CumulantLvLiNGAM(
                n_restarts=0, random_state=0
            ).fit(X),
            "skstruct gmm, n_jobs=2": lambda: CumulantLvLiNGAM(
                n_jobs=2, random_state=0
            ).fit(X),
            "skstruct olc": lambda: CumulantLvLiNGAM(method="olc", random_state=0).fit(
                X
            ),
        }
    )
    quality = {}
    for name, entry in measured.items():
        model = entry["result"]
        quality[name] = _rates(judge(model.effects_, data))
        quality[name]["exact sets"] = model.latent_children_ == data.latent_children
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    floor = measure({"f": lambda: compute_moments(Z, "all", np.ones(p))})["f"]
    python = environment("lingam", ["lingam==1.13.0"])
    peer = run_in_environment(python, _LINGAM, {"X": X, "methods": np.array(methods)})
    if n <= 2000:
        python = environment("causallearn", ["causal-learn"])
        peer |= run_in_environment(python, _CAUSALLEARN, {"X": X})
    for key, value in peer.items():
        if key.endswith("_seconds"):
            name = key.removesuffix("_seconds")
            measured[name] = {"seconds": value}
            if name in peer:
                # NaN marks pairs that the method leaves open: no edge of its own.
                quality[name] = _rates(judge(np.nan_to_num(peer[name]), data))
            else:
                measured[name]["note"] = "no edges among observed variables"
    return case(
        f"One latent, exponential noise, {p} variables",
        f"{n} x {p}; floor: covariance of all moments and its inverse",
        measured,
        quality,
        ours="skstruct gmm",
        floor_seconds=floor["seconds"],
    )


def _rates(entry):
    return {
        "precision": entry["hit"] / max(entry["found"], 1),
        "recall": entry["hit"] / max(entry["true"], 1),
    }


def _simulation_cases():
    """One case per size: all noises together, recorded by the simulation script."""
    record = json.loads((RESULTS / PATH.name).read_text())["cells"]
    cases = []
    for n in (1000, 2000, 5000, 10_000):
        groups = {
            noise: record[f"{noise} {n}"]
            for noise in NOISES
            if f"{noise} {n}" in record
        }
        if not groups:
            continue
        rows = [row for group in groups.values() for row in group]
        picks = {"all": rows, **groups}
        picks |= {f"{q} latents": [r for r in rows if r["q"] == q] for q in range(4)}
        measured, quality = {}, {}
        for label, chosen in picks.items():
            if not chosen:
                continue
            for method in ("gmm", "olc", "DirectLiNGAM"):
                name = f"{method}, {label}"
                key = "seconds" if method == "DirectLiNGAM" else "cpu_seconds"
                measured[name] = {
                    "seconds": float(np.mean([r[method][key] for r in chosen])),
                    "note": f"{len(chosen)} runs",
                }
                quality[name] = summary(chosen, method)
        cases.append(
            case(
                f"Random designs, n = {n}",
                "5 to 10 variables, 0 to 3 latents; mean seconds a fit",
                measured,
                quality,
                ours="gmm, all",
            )
        )
    return cases
