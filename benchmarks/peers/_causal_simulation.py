"""Recovery of random confounded designs, beside DirectLiNGAM on the same data.

``python -m benchmarks.peers._causal_simulation --table`` writes the table of the user
guide from the recorded figures; ``... [runs]`` fills
``results/simulation_causal.json`` in rounds of a few runs a cell, so that it can be
stopped and taken up again (runs that are there are kept). Designs: 5 to 10 variables,
0 to 3 latents; seeds are not those on which the thresholds of the search were fixed.
``... --again gmm`` computes the rows of one of our methods anew in all recorded runs.
``... --peers [runs]`` runs the slow peers on the first confounded designs of each noise
at n = 1,000, each method for at most a minute a table.
"""

import json
import sys
import time
import warnings

import numpy as np

from benchmarks._harness import RESULTS, environment, run_in_environment
from skstruct.causal import CumulantLvLiNGAM
from skstruct.datasets import make_latent_lingam

NOISES = (
    "exponential", "gamma", "uniform", "laplace", "gumbel", "lognormal", "mixed",
)  # fmt: skip
SIZES = (1000, 2000, 5000, 10_000)
_ROUND = 5
PATH = RESULTS / "simulation_causal.json"
PEERS = RESULTS / "simulation_causal_peers.json"

DIRECT = """
import time, warnings
warnings.simplefilter("ignore")
import lingam
k = 0
while f"X{k}" in data:
    start = time.perf_counter()
    model = lingam.DirectLiNGAM().fit(data[f"X{k}"])
    out[f"B{k}"] = model.adjacency_matrix_
    out[f"s{k}"] = time.perf_counter() - start
    k += 1
"""

# Methods that allow for latents; those that do not end in time leave nothing.
_TIMED = """
import signal, time, warnings
warnings.simplefilter("ignore")
class Late(Exception):
    pass
def stop(*_):
    raise Late
signal.signal(signal.SIGALRM, stop)
def timed(name, k, function):
    start = time.perf_counter()
    signal.alarm(60)
    try:
        out[f"{name}{k}"] = function(data[f"X{k}"])
    except Late:
        pass
    signal.alarm(0)
    out[f"{name}{k}_s"] = time.perf_counter() - start
"""

LATENT_LINGAM = (
    _TIMED
    + """
import lingam
k = 0
while f"X{k}" in data:
    timed("RCD", k, lambda X: lingam.RCD().fit(X).adjacency_matrix_)
    timed("ParceLiNGAM", k,
          lambda X: lingam.BottomUpParceLiNGAM().fit(X).adjacency_matrix_)
    timed("CAM-UV", k, lambda X: lingam.CAMUV().fit(X).adjacency_matrix_)
    k += 1
"""
)

LATENT_CAUSALLEARN = (
    _TIMED
    + """
import numpy as np
from causallearn.search.ConstraintBased.FCI import fci
from causallearn.search.HiddenCausal.GIN.GIN import GIN
def directed(X):
    # -1 at the tail of an arrow, 1 at its head; [i, j] is the mark at i.
    G = fci(X, show_progress=False)[0].graph
    return ((G == 1) & (G.T == -1)).astype(float)
def clusters(X):
    member = np.zeros((X.shape[1], X.shape[1]))
    for k, cluster in enumerate(GIN(X)[1]):
        member[list(cluster), k] = 1
    return member
k = 0
while f"X{k}" in data:
    timed("FCI", k, directed)
    timed("GIN", k, clusters)
    k += 1
"""
)


def draw(noise, n, run):
    """The data of one run."""
    seed = int(
        np.random.SeedSequence(
            [20260, NOISES.index(noise), n, run]
        ).generate_state(1)[0]
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    p, q = int(rng.integers(5, 11)), int(rng.integers(0, 4))
    return make_latent_lingam(
        n_samples=n, n_features=p, n_latents=q, noise=noise, random_state=seed % 2**31
    )


def judge(effects, data, children=None):
    """Counts of one run; `children` None for methods without latents."""
    found, true = effects != 0, data.adjacency_matrix != 0
    closure = np.linalg.matrix_power(np.eye(len(true)) + true, len(true)) > 0
    T = np.linalg.matrix_power(np.eye(len(true)) + found, len(true)) > 0
    np.fill_diagonal(closure, False)
    entry = {
        "hit": int((found & true).sum()),
        "found": int(found.sum()),
        "true": int(true.sum()),
        # Ancestor relations that are not reversed in the estimate.
        "order_right": int((closure & ~T.T).sum()),
        "order": int(closure.sum()),
    }
    if children is not None:
        entry["sets"] = bool(children == data.latent_children)
    return entry


def fitted(method, data):
    """Counts of one of our methods on one table."""
    start = time.process_time()
    model = CumulantLvLiNGAM(method=method, random_state=0).fit(data.X)
    entry = judge(model.effects_, data, model.latent_children_)
    entry["cpu_seconds"] = round(time.process_time() - start, 3)
    exact = entry["sets"] and entry["hit"] == entry["found"] == entry["true"]
    if exact:
        there = data.adjacency_matrix != 0
        error = np.abs(model.effects_ - data.adjacency_matrix)[there]
        entry["z"] = np.round(
            (np.abs(model.effects_) - np.abs(data.adjacency_matrix))[there]
            / model.adjacency_se_[there],
            2,
        ).tolist()
        entry["covered"] = int(np.sum(error <= 1.96 * model.adjacency_se_[there]))
    return entry


def cell(noise, n, runs):
    """All methods on some runs (a range) of one cell."""
    python = environment("lingam", ["lingam==1.13.0"])
    sets = [draw(noise, n, run) for run in runs]
    peer = run_in_environment(
        python, DIRECT, {f"X{k}": data.X for k, data in enumerate(sets)}
    )
    rows = []
    for k, data in enumerate(sets):
        row = {"p": data.X.shape[1], "q": len(data.latent_children)}
        row |= {method: fitted(method, data) for method in ("gmm", "olc")}
        row["DirectLiNGAM"] = judge(peer[f"B{k}"], data)
        row["DirectLiNGAM"]["seconds"] = round(float(peer[f"s{k}"]), 3)
        rows.append(row)
    return rows


def again(method, record):
    """One of our methods anew in all recorded runs; the rows of the others stay."""
    for name, rows in record["cells"].items():
        noise, n = name.split()
        for run, row in enumerate(rows):
            row[method] = fitted(method, draw(noise, int(n), run))
        print(name, len(rows), summary(rows, method), flush=True)


def confounded(noise, n, runs):
    """The first confounded designs of a cell."""
    sets, run = [], 0
    while len(sets) < runs:
        data = draw(noise, n, run)
        run += 1
        if data.latent_children:
            sets.append(data)
    return sets


def fitted_beside_peers(data):
    start = time.process_time()
    model = CumulantLvLiNGAM(random_state=0).fit(data.X)
    entry = judge(model.effects_, data, model.latent_children_)
    entry["seconds"] = round(time.process_time() - start, 3)
    return entry


def peers(noise, n, runs):
    """Peers that allow for latents on the first confounded designs of a cell."""
    sets = confounded(noise, n, runs)
    tables = {f"X{k}": data.X for k, data in enumerate(sets)}
    found = run_in_environment(
        environment("lingam", ["lingam==1.13.0"]), LATENT_LINGAM, tables
    )
    found |= run_in_environment(
        environment("causallearn", ["causal-learn"]), LATENT_CAUSALLEARN, tables
    )
    rows = []
    for k, data in enumerate(sets):
        row = {"p": data.X.shape[1], "q": len(data.latent_children)}
        row["gmm"] = fitted_beside_peers(data)
        for name in ("RCD", "ParceLiNGAM", "CAM-UV", "FCI", "GIN"):
            entry = {"seconds": round(float(found[f"{name}{k}_s"]), 3)}
            if f"{name}{k}" in found:
                B = np.nan_to_num(found[f"{name}{k}"])
                if name == "GIN":
                    # Clusters of children; no edges among observed variables.
                    children = [np.flatnonzero(c).tolist() for c in B.T if c.any()]
                    entry["sets"] = sorted(children) == data.latent_children
                else:
                    entry |= judge(B, data)
            row[name] = entry
        rows.append(row)
    return rows


def summary(rows, method):
    """Precision, recall, F1, exact sets, order and coverage over runs."""
    entries = [row[method] for row in rows if method in row]

    def total(name, among=entries):
        return sum(e.get(name, 0) for e in among)

    precision = total("hit") / max(total("found"), 1)
    recall = total("hit") / max(total("true"), 1)
    found = {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-12),
        "order": total("order_right") / max(total("order"), 1),
    }
    if any("sets" in e for e in entries):
        found["exact sets"] = total("sets") / len(entries)
        exact = [e for e in entries if "covered" in e]
        if total("true", exact):
            found["95 % coverage"] = total("covered", exact) / total("true", exact)
    return found


def write_table():
    """The table of the user guide."""
    cells = json.loads(PATH.read_text())["cells"]
    runs = sorted({len(rows) for rows in cells.values()})
    shown = f"{runs[0]} to {runs[-1]}" if len(runs) > 1 else f"{runs[0]}"
    lines = [
        f"Random designs of 5 to 10 variables and 0 to 3 latents, {shown} runs a cell.",
        "Precision / recall of the edges / share of runs in which all child sets of",
        "the latents are exactly right. Standard errors in a cell are large, about .03",
        "for edges and .1 for child sets.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - noise",
        "     - rows",
        "     - ``gmm``",
        "     - ``olc``",
        "     - DirectLiNGAM",
    ]
    groups = [(key.split()[0], int(key.split()[1]), rows)
              for key, rows in cells.items()]  # fmt: skip
    for n in sorted({n for _, n, _ in groups}):
        pooled = [row for _, m, rows in groups if m == n for row in rows]
        groups.append(("all", n, pooled))
    for label, n, rows in sorted(groups, key=lambda g: (g[1], g[0] == "all")):
        lines += [f"   * - {label}", f"     - {n:,}"]
        for method in ("gmm", "olc", "DirectLiNGAM"):
            found = summary(rows, method)
            text = f"{found['precision']:.2f} / {found['recall']:.2f}"
            if "exact sets" in found:
                text += f" / {found['exact sets']:.2f}"
            lines.append(f"     - {text}")
    page = RESULTS.parents[1] / "doc" / "user_guide" / "causal_table.inc"
    page.write_text("\n".join(lines) + "\n")


def main():
    if sys.argv[1:] == ["--table"]:
        write_table()
        return
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--again"]:
        record = json.loads(PATH.read_text())
        again(sys.argv[2], record)
        PATH.write_text(json.dumps(record) + "\n")
        if sys.argv[2] == "gmm" and PEERS.exists():
            beside = json.loads(PEERS.read_text())
            for noise, rows in beside.items():
                for row, data in zip(rows, confounded(noise, 1000, len(rows))):
                    row["gmm"] = fitted_beside_peers(data)
            PEERS.write_text(json.dumps(beside) + "\n")
        return
    if sys.argv[1:2] == ["--peers"]:
        runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
        record = json.loads(PEERS.read_text()) if PEERS.exists() else {}
        for noise in NOISES:
            if len(record.get(noise, [])) < runs:
                record[noise] = peers(noise, 1000, runs)
                PEERS.write_text(json.dumps(record) + "\n")
                print(noise, record[noise], flush=True)
        return
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    record = json.loads(PATH.read_text()) if PATH.exists() else {"cells": {}}
    # Sizes take turns: a record that is cut short is even.
    for upto in range(_ROUND, runs + _ROUND, _ROUND):
        for n in SIZES:
            for noise in NOISES:
                rows = record["cells"].setdefault(f"{noise} {n}", [])
                missing = range(len(rows), min(upto, runs))
                if not missing:
                    continue
                rows += cell(noise, n, missing)
                PATH.write_text(json.dumps(record) + "\n")
                print(noise, n, len(rows), summary(rows, "gmm"), flush=True)


if __name__ == "__main__":
    main()
