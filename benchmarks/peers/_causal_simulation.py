"""Recovery of confounded designs, beside DirectLiNGAM on the same data.

``python -m benchmarks.peers._causal_simulation`` fills
``results/simulation_causal.json`` in rounds of a few runs a cell, so that it can be
stopped and taken up again (runs that are there are kept). Random designs have 5 to 10
variables and 0 to 3 latents, the named ones are those of
:func:`skstruct.datasets.make_latent_lingam`; seeds are not those on which the
thresholds of the search were fixed. ``... --again gmm`` computes the rows of one of our
methods anew in all recorded runs. ``... --table`` writes tables of the user guide.
"""

import json
import sys
import time
import warnings
from itertools import product

import numpy as np

from benchmarks._harness import RESULTS, environment, run_in_environment
from skstruct.causal import CumulantLvLiNGAM
from skstruct.datasets import make_latent_lingam

NOISES = (
    "exponential", "gamma", "uniform", "laplace", "gumbel", "lognormal", "mixed",
)  # fmt: skip
SIZES = (1000, 2000, 5000, 10_000)
NAMED = ("D1", "D2", "D3", "D4")
RUNS = 20
ROUND = 5
PATH = RESULTS / "simulation_causal.json"

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

CELLS = list(product(("random", *NAMED), NOISES, SIZES))


def key(design, noise, n):
    """Name of a cell in the records."""
    return f"{design} {noise} {n}"


def draw(design, noise, n, run):
    """The data of one run."""
    entropy = [20260, NOISES.index(noise), n, run]
    if design in NAMED:
        entropy.append(1 + NAMED.index(design))
    seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    options = {"n_samples": n, "noise": noise, "random_state": seed % 2**31}
    if design in NAMED:
        return make_latent_lingam(design, **options)
    rng = np.random.default_rng(seed)
    p, q = int(rng.integers(5, 11)), int(rng.integers(0, 4))
    return make_latent_lingam(n_features=p, n_latents=q, **options)


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
        entry["sets"] = sorted(children) == sorted(data.latent_children)
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


def cell(design, noise, n, runs):
    """All methods on some runs (a range) of one cell."""
    python = environment("lingam", ["lingam==1.13.0"])
    sets = [draw(design, noise, n, run) for run in runs]
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
    for design, noise, n in CELLS:
        rows = record.get(key(design, noise, n), [])
        for run, row in enumerate(rows):
            row[method] = fitted(method, draw(design, noise, n, run))
        PATH.write_text(json.dumps(record) + "\n")
        print(design, noise, n, len(rows), summary(rows, method), flush=True)


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


def pooled(record, design, n, *, latents=None, noises=NOISES):
    """Rows of all noises, of all runs or those whose number of latents is given."""
    rows = [row for noise in noises for row in record.get(key(design, noise, n), [])]
    return [row for row in rows if latents is None or row["q"] in latents]


def _shown(rows, method):
    found = summary(rows, method)
    text = f"{found['precision']:.2f} / {found['recall']:.2f}"
    if not any(row[method]["true"] for row in rows):
        wrong = np.mean([row[method]["found"] for row in rows])
        text = f"{wrong:.2f} wrong edges a run"
    if "exact sets" in found:
        text += f" / {found['exact sets']:.2f}"
    return text


def write_tables():
    """The tables of the user guide."""
    record = json.loads(PATH.read_text())
    runs = {len(record[key("random", noise, n)]) for noise in NOISES for n in SIZES}
    ours = ("gmm", "olc", "DirectLiNGAM")
    rows = [
        [label, f"{n:,}"]
        + [_shown(pooled(record, "random", n, noises=noises), m) for m in ours]
        for n in SIZES
        for label, noises in (*((noise, [noise]) for noise in NOISES), ("all", NOISES))
    ]
    write_table(
        "causal_table",
        f"Random designs of 5 to 10 variables and 0 to 3 latents, {min(runs)} runs a "
        "cell. Precision / recall of the edges / share of runs in which all child sets "
        "of the latents are exactly right. Standard errors in a cell are large, about "
        ".03 for edges and .1 for child sets.",
        ["noise", "rows", "``gmm``", "``olc``", "DirectLiNGAM"],
        rows,
    )
    rows = [
        [design, f"{n:,}"] + [_shown(pooled(record, design, n), m) for m in ours]
        for design in NAMED
        for n in SIZES
    ]
    write_table(
        "causal_named_table",
        "The named designs of :func:`~skstruct.datasets.make_latent_lingam`, the seven "
        f"noises together, {min(runs)} runs each: precision / recall / child sets as "
        "above. D3 has no latent, D4 no edge.",
        ["design", "rows", "``gmm``", "``olc``", "DirectLiNGAM"],
        rows,
    )


def write_table(name, title, head, rows):
    """A list-table in a file that a page of the user guide includes."""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", ""]
    for row in [head, *rows]:
        lines += [f"   {'* -' if k == 0 else '  -'} {c}" for k, c in enumerate(row)]
    page = RESULTS.parents[1] / "doc" / "user_guide" / f"{name}.inc"
    page.write_text("\n".join(lines) + "\n")


def main():
    if sys.argv[1:] == ["--table"]:
        write_tables()
        return
    warnings.simplefilter("ignore")
    record = json.loads(PATH.read_text()) if PATH.exists() else {}
    if sys.argv[1:2] == ["--again"]:
        again(sys.argv[2], record)
        return
    for upto in range(ROUND, RUNS + 1, ROUND):
        for design, noise, n in CELLS:
            rows = record.setdefault(key(design, noise, n), [])
            missing = range(len(rows), upto)
            if missing:
                rows += cell(design, noise, n, missing)
                PATH.write_text(json.dumps(record) + "\n")
                print(design, noise, n, len(rows), summary(rows, "gmm"), flush=True)


if __name__ == "__main__":
    main()
