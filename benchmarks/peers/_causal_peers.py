"""Slow peers of causal discovery on the designs of the simulation.

``python -m benchmarks.peers._causal_peers [method ...]`` fills
``results/simulation_causal_peers.json``: the programs that allow for latents, on the
very tables of ``_causal_simulation``, a minute of processor time for each method and
table. It can be stopped and taken up again; several may run beside each other, each
with methods of its own.
``... --table`` writes the table of the user guide.
"""

import contextlib
import fcntl
import json
import sys
from itertools import product

import numpy as np

from benchmarks._harness import RESULTS, environment, run_in_environment
from benchmarks.peers._causal_simulation import (
    NOISES,
    ROUND,
    RUNS,
    SIZES,
    draw,
    judge,
    key,
    summary,
    write_table,
)
from benchmarks.peers._causal_simulation import PATH as OURS

PATH = RESULTS / "simulation_causal_peers.json"

_TIMED = """
import contextlib, os, signal, time, warnings
warnings.simplefilter("ignore")
class Late(Exception):
    pass
def stop(*_):
    raise Late
signal.signal(signal.SIGPROF, stop)
def run(function):
    k = 0
    while f"X{k}" in data:
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, 60)
        try:
            with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):
                out[f"B{k}"] = function(data[f"X{k}"])
        except Late:
            pass  # Leaves no answer.
        signal.setitimer(signal.ITIMER_PROF, 0)
        out[f"s{k}"] = time.process_time() - start
        k += 1
"""

_LINGAM = """
import lingam
run(lambda X: lingam.{}.fit(X).adjacency_matrix_)
"""

_FCI = """
from causallearn.search.ConstraintBased.FCI import fci
def directed(X):
    # -1 at the tail of an arrow, 1 at its head; [i, j] is the mark at i.
    G = fci(X, show_progress=False)[0].graph
    return ((G == 1) & (G.T == -1)).astype(float)
run(directed)
"""

_GIN = """
from causallearn.search.HiddenCausal.GIN.GIN import GIN
def clusters(X):
    member = np.zeros((X.shape[1], X.shape[1]))
    for k, cluster in enumerate(GIN(X)[1]):
        member[list(cluster), k] = 1
    return member
run(clusters)
"""

# Runs of each noise by the number of rows. Time and memory of lingam's default test
# (HSIC) and of GIN grow with the square of the rows and worse: at n = 5,000 one run a
# noise shows how many end in time. lingam's other test, F-correlation, is linear.
_ALL = dict.fromkeys(SIZES, RUNS)
METHODS = {
    "FCI": ("causallearn", _FCI, _ALL),
    "ParceLiNGAM, F-correlation": (
        "lingam", _LINGAM.format("BottomUpParceLiNGAM(independence='fcorr')"), _ALL,
    ),
    "CAM-UV, F-correlation": (
        "lingam", _LINGAM.format("CAMUV(independence='fcorr')"), _ALL,
    ),
    "RCD, F-correlation": (
        "lingam", _LINGAM.format("RCD(independence='fcorr')"),
        dict.fromkeys(SIZES, 10),
    ),
    "RCD": ("lingam", _LINGAM.format("RCD()"), {1000: RUNS, 2000: 5, 5000: 1}),
    "ParceLiNGAM": (
        "lingam", _LINGAM.format("BottomUpParceLiNGAM()"), {1000: RUNS, 5000: 1},
    ),
    "CAM-UV": ("lingam", _LINGAM.format("CAMUV()"), {1000: 10, 5000: 1}),
    "GIN": ("causallearn", _GIN, {1000: RUNS, 5000: 1}),
}  # fmt: skip
_REQUIREMENTS = {"lingam": ["lingam==1.13.0"], "causallearn": ["causal-learn"]}


def judged(method, noise, n, runs):
    """Counts of a method in some runs (a range) of one cell."""
    name, script, _ = METHODS[method]
    drawn = [draw("random", noise, n, run) for run in runs]
    found = run_in_environment(
        environment(name, _REQUIREMENTS[name]),
        _TIMED + script,
        {f"X{k}": data.X for k, data in enumerate(drawn)},
    )
    entries = []
    for k, data in enumerate(drawn):
        entry = {"seconds": round(found[f"s{k}"], 3)}
        if f"B{k}" in found:
            # NaN marks pairs that the method leaves open: no edge of its own.
            B = np.nan_to_num(found[f"B{k}"])
            if method == "GIN":
                # Clusters of children; no edges among observed variables.
                children = [np.flatnonzero(c).tolist() for c in B.T if c.any()]
                entry["sets"] = sorted(children) == sorted(data.latent_children)
            else:
                entry |= judge(B, data)
        entries.append(entry)
    return entries


@contextlib.contextmanager
def _record():
    """The recorded figures, to be changed while no other process does."""
    with PATH.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = json.loads(PATH.read_text() or "{}")
        yield record
        PATH.write_text(json.dumps(record) + "\n")


def beside(ours, record, n):
    """The recorded rows of the simulation with the entries of the peers added."""
    rows = []
    for noise in NOISES:
        cell = key("random", noise, n)
        for run, row in enumerate(ours[cell]):
            row = dict(row)
            for method, cells in record.items():
                if run < len(cells.get(cell, [])):
                    row[method] = cells[cell][run]
            rows.append(row)
    return rows


def answered(row, method):
    """Whether a method ended in time in this run."""
    return method in row and bool({"hit", "sets"} & row[method].keys())


def _write_table():
    ours, record = json.loads(OURS.read_text()), json.loads(PATH.read_text())
    rows = []
    for method in ("gmm", "DirectLiNGAM", *METHODS):
        if method == "GIN":
            continue
        row = [f"``{method}``" if method == "gmm" else method]
        for n in SIZES:
            chosen = [r for r in beside(ours, record, n) if r["q"]]
            started = [r for r in chosen if method in r]
            ended = [r for r in started if answered(r, method)]
            if not started:
                row.append("")
            elif not ended:
                row.append(f"none of {len(started)} ended")
            else:
                found = summary(ended, method)
                of = "" if len(ended) == len(started) else f" of {len(started)}"
                row.append(
                    f"{found['precision']:.2f} / {found['recall']:.2f} / "
                    f"{found['f1']:.2f} ({len(ended)}{of})"
                )
        rows.append(row)
    write_table(
        "causal_peers_table",
        "Random designs with one to three latents, all noises: precision / recall / F1 "
        "of the edges (runs that ended within a minute, of those begun).",
        ["method", *(f"n = {n:,}" for n in SIZES)],
        rows,
    )


def main():
    if sys.argv[1:] == ["--table"]:
        _write_table()
        return
    for method in sys.argv[1:] or METHODS:
        runs = METHODS[method][2]
        cells = list(product(NOISES, runs))
        # All cells take turns: a record that is cut short is even.
        for upto, (noise, n) in product(range(ROUND, RUNS + 1, ROUND), cells):
            cell = key("random", noise, n)
            with _record() as record:
                rows = record.setdefault(method, {}).setdefault(cell, [])
            missing = range(len(rows), min(upto, runs[n]))
            if missing:
                entries = judged(method, noise, n, missing)
                with _record() as record:
                    record[method][cell] += entries
                print(method, cell, upto, flush=True)


if __name__ == "__main__":
    main()
