"""Share of the correlation captured in one and in twenty epochs, many seeds.

``python -m benchmarks.peers._stochastic_table 10`` fills
``results/simulation_stochastic_cca.json`` cell by cell: a program whose runs are there
already is kept; ``--ours`` runs skstruct anew. ``... --table`` prints it. The
published rules and the step of cca-zoo get the best setting of a grid, chosen for each
cell on two further seeds. A run that diverged counts 0.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from benchmarks._harness import RESULTS, environment, run_in_environment, versions
from benchmarks.peers._stochastic_rules import RULES
from skstruct.cross_decomposition import StochasticCCA
from skstruct.metrics import cca_similarity, proportion_correlation_captured

PATH = RESULTS / "simulation_stochastic_cca.json"
K = 5
BATCHES = (5, 20, 50, 100)
# The longer runs are those of the digits.
EPOCHS = {"digits": (1, 20), "kar/fou": (1,), "condition 1e4": (1,)}
ZOO_STEPS = (0.02, 0.05, 0.1, 0.2, 0.5)

ZOO = """
import time, warnings
warnings.simplefilter("ignore")
from cca_zoo.stochastic import StochasticCCAEY
for i, (batch, epochs, seed, step) in enumerate(data["runs"]):
    start = time.perf_counter()
    try:
        model = StochasticCCAEY(
            n_components=int(data["K"]), batch_size=int(batch), max_iter=int(epochs),
            learning_rate=step, random_state=int(seed),
        ).fit([data["X"], data["Y"]])
        out[f"W{i}"] = np.vstack(model.weights_)
    except ValueError:
        out[f"W{i}"] = np.full((data["X"].shape[1] + data["Y"].shape[1], 1), np.nan)
    out[f"s{i}"] = time.perf_counter() - start
"""


def standardized(X):
    """Centred columns of unit variance, without the constant ones."""
    X = np.asarray(X, dtype=np.float64)
    X = X[:, X.std(axis=0) > 0]
    return (X - X.mean(axis=0)) / X.std(axis=0)


def digits_halves():
    """Left and right halves of the digit images."""
    images = load_digits().images
    return [standardized(half.reshape(len(images), -1))
            for half in (images[:, :, :4], images[:, :, 4:])]  # fmt: skip


def planted(n, sizes, correlations, condition, seed):
    """Views with given canonical correlations and condition of the covariances."""
    rng = np.random.default_rng(seed)
    k = len(correlations)
    common = rng.standard_normal((n, k))
    views = []
    for p in sizes:
        Z = rng.standard_normal((n, p))
        root = np.sqrt(correlations)
        Z[:, :k] = root * common + np.sqrt(1 - root**2) * Z[:, :k]
        left, right = (np.linalg.qr(rng.standard_normal((p, p)))[0] for _ in range(2))
        views.append(Z @ left @ (np.geomspace(1, condition**-0.5, p)[:, None] * right))
    return [standardized(V) for V in views]


def load(name):
    """The two views of a data set, or None if its file is not beside the checkout."""
    if name == "digits":
        return digits_halves()
    if name == "kar/fou":
        root = os.environ.get("SKSTRUCT_SHARED_DATA")
        root = Path(root) if root else Path(__file__).parents[3] / "shared" / "data"
        path = root / "uci_mfeat" / "mfeat.npz"
        if not path.exists():
            return None
        views = np.load(path)
        return [standardized(views[v]) for v in ("kar", "fou")]
    return planted(8000, (100, 80), np.linspace(0.9, 0.5, K), 1e4, 0)


def captured(W, X, Y, exact):
    """Share captured on all rows; 0 for a run that diverged."""
    if not np.all(np.isfinite(W)):
        return 0.0
    p = X.shape[1]
    top = np.abs(W).max(axis=0)
    W = W / np.where(top > 0, top, 1.0)
    return proportion_correlation_captured(X @ W[:p], Y @ W[p:], exact)


def ours(X, Y, batch, epochs, seed):
    """Stacked weights of our stochastic solver after a fixed number of epochs."""
    model = StochasticCCA(
        K, solver="ey", batch_size=batch, max_iter=epochs, tol=0.0,
        n_iter_no_change=epochs + 1, random_state=seed,
    ).fit(X, Y)  # fmt: skip
    return np.vstack([model.x_weights_, model.y_weights_])


def picked(settings, share, n_picks=2):
    """The setting with the best mean share on further seeds."""
    means = [np.mean([share(s, 1000 + i) for i in range(n_picks)]) for s in settings]
    return settings[int(np.argmax(means))]


def run_rules(X, Y, exact, batch, epochs, n_runs):
    """Shares of the published rules, each with its best setting."""
    found = {}
    for name, (rule, settings) in RULES.items():

        def share(setting, seed, rule=rule):
            W = rule(X, Y, K, batch_size=batch, n_epochs=epochs, seed=seed, **setting)
            return captured(W, X, Y, exact)

        best = picked(settings, share)
        found[name] = {
            "shares": [share(best, seed) for seed in range(n_runs)],
            "setting": best,
        }
    return found


def run_zoo(X, Y, exact, batch, epochs, n_runs):
    """Shares of cca-zoo with its default step and with the best of a grid."""
    python = environment("cca-zoo", ["cca-zoo==4.0.1"])
    runs = [(batch, epochs, seed, s) for s in ZOO_STEPS
            for seed in (*range(n_runs), 1000, 1001)]  # fmt: skip
    payload = {"X": X, "Y": Y, "K": np.array(K), "runs": np.array(runs, dtype=float)}
    out = run_in_environment(python, ZOO, payload)
    shares = {
        (step, seed): captured(out[f"W{i}"], X, Y, exact)
        for i, (_, _, seed, step) in enumerate(runs)
    }
    best = picked(ZOO_STEPS, lambda step, seed: shares[step, seed])
    return {
        "cca-zoo, default step": {
            "shares": [shares[0.2, seed] for seed in range(n_runs)]
        },
        "cca-zoo, best step": {
            "shares": [shares[best, seed] for seed in range(n_runs)],
            "setting": {"step": best},
        },
    }


def zoo_seconds(X, Y, batch, epochs, step):
    """Median time of three runs of cca-zoo, and how many of them diverged."""
    python = environment("cca-zoo", ["cca-zoo==4.0.1"])
    runs = np.array([(batch, epochs, seed, step) for seed in range(3)], dtype=float)
    payload = {"X": X, "Y": Y, "K": np.array(K), "runs": runs}
    out = run_in_environment(python, ZOO, payload)
    failed = sum(not np.isfinite(out[f"W{i}"]).all() for i in range(3))
    return float(np.median([out[f"s{i}"] for i in range(3)])), failed


def run_ours(X, Y, exact, batch, epochs, n_runs):
    """Shares of skstruct with its defaults."""
    shares = [
        captured(ours(X, Y, batch, epochs, seed), X, Y, exact) for seed in range(n_runs)
    ]
    return {"skstruct": {"shares": shares}}


PROGRAMS = {
    run_ours: ("skstruct",),
    run_zoo: ("cca-zoo, default step", "cca-zoo, best step"),
    run_rules: tuple(RULES),
}


def fill(n_runs, *, again=False, names=tuple(EPOCHS), parts=tuple(PROGRAMS)):
    """Add what is missing to the record and return it."""
    record = json.loads(PATH.read_text()) if PATH.exists() else {"cells": {}}
    for name in names:
        views = load(name)
        if views is None:
            print(f"{name}: its file is not beside the checkout, left out")
            continue
        exact = cca_similarity(*views).correlations[:K]
        for epochs in EPOCHS[name]:
            for batch in BATCHES:
                cell = record["cells"].setdefault(f"{name}, {epochs}, {batch}", {})
                for part in parts:
                    known = all(
                        len(cell.get(program, {"shares": []})["shares"]) == n_runs
                        for program in PROGRAMS[part]
                    )
                    if known and not (again and part is run_ours):
                        continue
                    with warnings.catch_warnings(), np.errstate(all="ignore"):
                        warnings.simplefilter("ignore")
                        found = part(*views, exact, batch, epochs, n_runs)
                    for entry in found.values():
                        entry["shares"] = [round(s, 5) for s in entry["shares"]]
                    cell.update(found)
                    record.update(
                        date=time.strftime("%Y-%m-%d"), n_components=K, runs=n_runs,
                        versions={**versions("skstruct", "numpy"), "cca-zoo": "4.0.1"},
                    )  # fmt: skip
                    PATH.write_text(json.dumps(record, indent=1) + "\n")
                print(line(f"{name}, {epochs}, {batch}", cell), flush=True)
    return record


def line(key, cell):
    """Median and worst of every program in one cell."""
    return f"{key}: " + "  ".join(
        f"{program} {np.median(entry['shares']):.3f}/{min(entry['shares']):.3f}"
        for program, entry in cell.items()
    )


def table(record):
    """The record as text: a row for each program, a column for each batch size."""
    lines = []
    groups = dict.fromkeys(key.rsplit(", ", 1)[0] for key in record["cells"])
    for group in groups:
        cells = [record["cells"].get(f"{group}, {b}", {}) for b in BATCHES]
        lines.append(f"{group} epochs; batch size {BATCHES}; median/worst")
        for program in [p for names in PROGRAMS.values() for p in names]:
            shares = [c[program]["shares"] if program in c else [] for c in cells]
            lines.append(
                f"  {program:24s}"
                + " ".join(
                    f"{np.median(s):.3f}/{min(s):.3f}" if s else "-" for s in shares
                )
            )
    return "\n".join(lines)


if __name__ == "__main__":
    if "--table" in sys.argv:
        print(table(json.loads(PATH.read_text())))
    else:
        numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
        chosen = tuple(n for n in EPOCHS if n in sys.argv[1:]) or tuple(EPOCHS)
        peers = (run_zoo, run_rules) if "--peers" in sys.argv else tuple(PROGRAMS)
        print(
            table(
                fill(
                    numbers[0] if numbers else 10,
                    again="--ours" in sys.argv,
                    names=chosen,
                    parts=peers,
                )
            )
        )
