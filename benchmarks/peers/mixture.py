"""Incremental Gaussian mixtures beside their peers."""

import time
import warnings

import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits
from sklearn.metrics import r2_score
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from benchmarks._harness import case, environment, measure, run_in_environment
from skstruct._jit import jit
from skstruct.datasets import make_gaussian_stream
from skstruct.mixture import (
    IncrementalGaussianMixture,
    IncrementalGaussianMixtureClassifier,
    IncrementalGaussianMixtureRegressor,
    MiniBatchGaussianMixture,
)

PACKAGES = ("numba",)

OURS = "skstruct"


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            *(_point_case(D, quick) for D in (10, 50, 200, 784)),
            _components_case(quick),
            *(_cubic_case(D, quick) for D in (50, 100, 200, 400)),
            _likelihood_case(quick),
            _digits_case(quick),
            _regression_case(quick),
            _large_case(quick),
        ]


@jit()
def _triangle_pass(P, n):
    """Read and write the lower triangle n times: the floor of n points."""
    D = P.shape[0]
    for _ in range(n):
        for i in range(D):
            for j in range(i + 1):
                P[i, j] = P[i, j] * 1.0000001


_RIVER_PRECISION = """
import time
from river import covariance
X = data["X"]
rows = [dict(enumerate(row)) for row in X]
times = []
for _ in range(7):
    tracker = covariance.EmpiricalPrecision()
    start = time.perf_counter()
    for row in rows:
        tracker.update(row)
    times.append(time.perf_counter() - start)
out["seconds"] = np.median(times)
"""


def _point_case(D, quick):
    """One component, one thread: time per point."""
    rng = np.random.default_rng(0)
    n = {10: 100_000, 50: 20_000, 200: 3000, 784: 1000}[D] // (10 if quick else 1)
    X = rng.standard_normal((n, D))
    model = IncrementalGaussianMixture(beta=0, init_variance=1.0)
    P = np.eye(D)
    measured = measure(
        {
            OURS: lambda: model.fit(X),
            "floor": lambda: _triangle_pass(P, n),
            "cholesky": lambda: IncrementalGaussianMixture(
                beta=0, init_variance=1.0, solver="cholesky"
            ).fit(X),
        },
        repeats=7,
    )
    floor = measured.pop("floor")["seconds"]
    measured["skstruct, solver='cholesky'"] = measured.pop("cholesky")
    if D <= 50:
        n_river = min(n, 2000 if D == 10 else 400)
        peer = run_in_environment(_river(), _RIVER_PRECISION, {"X": X[:n_river]})
        measured["river EmpiricalPrecision"] = {
            "seconds": peer["seconds"] * n / n_river,
            "note": f"measured on {n_river} points, median of 7",
        }
    quality = {
        name: {"microseconds_per_point": 1e6 * entry["seconds"] / n}
        for name, entry in measured.items()
    }
    return case(
        f"One component, {D} features",
        f"{n} points; floor: one read and write of the triangle a point",
        measured,
        quality,
        ours=OURS,
        floor_seconds=floor,
    )


def _river():
    return environment("river", ["river", "numpy", "scipy", "pandas"])


def _components_case(quick):
    """Growth with the number of components: time per point."""
    D, n = 20, 2000 if quick else 20_000
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, D))
    programs = {
        f"{K} components": lambda K=K: IncrementalGaussianMixture(
            beta=1.0, max_components=K, init_variance=1.0
        ).fit(X)
        for K in (4, 8, 16, 32, 64)
    }
    measured = measure(programs)
    seconds = np.array([entry["seconds"] for entry in measured.values()])
    slope = np.polyfit(np.log([4, 8, 16, 32, 64]), np.log(seconds), 1)[0]
    quality = {
        name: {"microseconds_per_point": 1e6 * entry["seconds"] / n}
        for name, entry in measured.items()
    }
    return case(
        "Growth with the number of components",
        f"{n} points in {D} features; fitted exponent {slope:.2f}",
        measured,
        quality,
        ours="4 components",
    )


def _cubic_case(D, quick):
    """The form of cost O(D^3): covariances updated, inverted at every point."""
    n = 100 if quick else 200
    X = np.random.default_rng(0).standard_normal((n, D))

    def cubic():
        mean, C, total = X[0].copy(), np.eye(D), 0.0
        for i in range(1, n):
            w = 1.0 / (i + 1)
            e = X[i] - mean
            total += e @ np.linalg.inv(C) @ e + np.linalg.slogdet(C)[1]
            mean += w * e
            C = (1 - w) * (C + w * np.outer(e, e))
        return total

    model = IncrementalGaussianMixture(beta=0, init_variance=1.0)
    measured = measure({OURS: lambda: model.fit(X), "O(D^3) form": cubic}, repeats=3)
    quality = {
        name: {"microseconds_per_point": 1e6 * entry["seconds"] / n}
        for name, entry in measured.items()
    }
    return case(
        f"Against inverting covariances, {D} features", f"{n} points", measured,
        quality, ours=OURS,
    )  # fmt: skip


# One thread and single precision, its default; its tolerance is on the summed
# log-likelihood, so that of scikit-learn (1e-3 a sample) is multiplied by n.
_POMEGRANATE = """
import time
import torch
from pomegranate.distributions import Normal
from pomegranate.gmm import GeneralMixtureModel
torch.set_num_threads(1)
X, test = (torch.tensor(data[k], dtype=torch.float32) for k in ("X", "X_test"))
times, best = [], -np.inf
for seed in range(5):
    start = time.perf_counter()
    model = GeneralMixtureModel(
        [Normal() for _ in range(5)], max_iter=100, tol=1e-3 * len(X),
        random_state=seed).fit(X)
    times.append(time.perf_counter() - start)
    found = float(model.log_probability(X).mean())
    if found > best:
        best, out["held_out"] = found, float(model.log_probability(test).mean())
out["seconds"] = np.sum(times)
"""


def _likelihood_case(quick):
    n = 2000 if quick else 10_000
    X = make_gaussian_stream(2 * n, 8, random_state=0).X
    train, test = X[:n], X[n:]
    models = {
        "skstruct one pass": IncrementalGaussianMixture(delta=0.3, beta=1e-6),
        "skstruct refine=10": IncrementalGaussianMixture(
            delta=0.3, beta=1e-6, refine=10
        ),
        "skstruct MiniBatchGaussianMixture": MiniBatchGaussianMixture(
            5, random_state=0
        ),
        "GaussianMixture, best of 5": GaussianMixture(5, n_init=5, random_state=0),
        "BayesianGaussianMixture": BayesianGaussianMixture(
            n_components=8, max_iter=500, random_state=0
        ),
    }
    measured = measure(
        {name: lambda model=model: model.fit(train) for name, model in models.items()}
    )
    quality = {
        name: {"held_out_log_density": model.score(test)}
        for name, model in models.items()
    }
    for name in ("skstruct one pass", "skstruct refine=10"):
        quality[name]["n_components"] = models[name].n_components_
    if not quick:  # its torch is a download of gigabytes
        python = environment("pomegranate", ["pomegranate==1.1.2"])
        payload = {"X": train, "X_test": test}
        peer = run_in_environment(python, _POMEGRANATE, payload)
        name = "pomegranate, best of 5"
        measured[name] = {"seconds": peer["seconds"], "version": "1.1.2"}
        quality[name] = {"held_out_log_density": peer["held_out"]}
    return case(
        "Density of five Gaussians", f"{n} x 8", measured, quality,
        ours="skstruct one pass",
    )  # fmt: skip


_RIVER_CLASSIFIERS = """
import time
from river import forest, naive_bayes, tree
programs = {"GaussianNB": naive_bayes.GaussianNB,
            "HoeffdingTree": tree.HoeffdingTreeClassifier,
            "AdaptiveRandomForest": lambda: forest.ARFClassifier(seed=0)}
rows = [dict(enumerate(row)) for row in data["X"]]
test = [dict(enumerate(row)) for row in data["X_test"]]
for name, make in programs.items():
    model = make()
    start = time.perf_counter()
    for row, label in zip(rows, data["y"]):
        model.learn_one(row, int(label))
    out[name + "_seconds"] = time.perf_counter() - start
    found = [model.predict_one(row) for row in test]
    out[name + "_accuracy"] = np.mean(np.array(found) == data["y_test"])
"""


def _digits_case(quick):
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order] / 16, y[order]
    n = 300 if quick else 1198
    model = IncrementalGaussianMixtureClassifier(beta=0, delta=1.0, init_variance=0.1)
    onehot = IncrementalGaussianMixtureClassifier(
        beta=1e-3, delta=2.0, target="onehot", init_variance=0.1
    )
    measured = measure(
        {
            OURS: lambda: model.fit(X[:n], y[:n]),
            "skstruct, target='onehot'": lambda: onehot.fit(X[:n], y[:n]),
        }
    )
    quality = {
        OURS: {"accuracy": model.score(X[n:], y[n:])},
        "skstruct, target='onehot'": {"accuracy": onehot.score(X[n:], y[n:])},
    }
    payload = {"X": X[:n], "y": y[:n], "X_test": X[n:], "y_test": y[n:]}
    peer = run_in_environment(_river(), _RIVER_CLASSIFIERS, payload)
    for name in ("GaussianNB", "HoeffdingTree", "AdaptiveRandomForest"):
        measured[f"river {name}"] = {"seconds": peer[f"{name}_seconds"]}
        quality[f"river {name}"] = {"accuracy": peer[f"{name}_accuracy"]}
    return case(
        "Stream of digits, one pass", f"{n} x 64, 10 classes", measured, quality,
        ours=OURS,
    )  # fmt: skip


_GMR = """
import time
from gmr import GMM
X, y, X_test = data["X"], data["y"], data["X_test"]
start = time.perf_counter()
gmm = GMM(n_components=12, random_state=0).from_samples(np.column_stack([X, y]))
out["fit_seconds"] = time.perf_counter() - start
best = np.inf
for _ in range(4):
    start = time.perf_counter()
    out["predicted"] = gmm.predict(np.arange(X.shape[1]), X_test)[:, 0]
    best = min(best, time.perf_counter() - start)
out["seconds"] = best
"""


def _regression_case(quick):
    rng = np.random.default_rng(0)
    n = 500 if quick else 2000
    X = rng.uniform(-2, 2, size=(2 * n, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1] ** 2 / 2 - X[:, 2]
    y += 0.1 * rng.standard_normal(2 * n)
    models = {
        OURS: IncrementalGaussianMixtureRegressor(
            delta=0.2, beta=0.01, max_components=60, refine=20
        ),
        "skstruct one pass": IncrementalGaussianMixtureRegressor(
            delta=0.3, beta=0.01, max_components=60
        ),
    }
    fits = measure(
        {name: lambda m=model: m.fit(X[:n], y[:n]) for name, model in models.items()}
    )
    measured = measure(
        {name: lambda m=model: m.predict(X[n:]) for name, model in models.items()}
    )
    for name, model in models.items():
        measured[name]["note"] = (
            f"fit {fits[name]['seconds']:.3g} s, {model.n_components_} components"
        )
    python = environment("gmr", ["gmr", "numpy", "scipy"])
    payload = {"X": X[:n], "y": y[:n], "X_test": X[n:]}
    peer = run_in_environment(python, _GMR, payload)
    measured["gmr"] = {
        "seconds": peer["seconds"],
        "note": f"fit {peer['fit_seconds']:.3g} s, 12 components",
    }
    quality = {
        **{name: {"r2": r2_score(y[n:], measured[name]["result"])} for name in models},
        "gmr": {"r2": r2_score(y[n:], peer["predicted"])},
    }
    return case(
        "Prediction from the joint density", f"{n} x 3 rows", measured, quality,
        ours=OURS,
    )  # fmt: skip


def _large_case(quick):
    """As large as MNIST: digits enlarged to 28 x 28, with noise."""
    digits = load_digits()
    large = zoom(digits.images / 16, (1, 3.5, 3.5), order=1).reshape(-1, 784)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(large))
    train, test = order[:1200], order[1200:]
    n_batches = 1 if quick else 12
    model = IncrementalGaussianMixtureClassifier(beta=0, init_variance=0.1)

    def stream():
        seconds = 0.0
        for _ in range(n_batches):
            rows = train[rng.integers(0, train.size, 5000)]
            X = large[rows] + 0.1 * rng.standard_normal((5000, 784))
            start = time.perf_counter()
            model.partial_fit(X, digits.target[rows], classes=np.arange(10))
            seconds += time.perf_counter() - start
        return seconds

    seconds = stream()
    noise = 0.1 * rng.standard_normal((test.size, 784))
    accuracy = model.score(large[test] + noise, digits.target[test])
    measured = {OURS: {"seconds": seconds, "note": "time of partial_fit alone"}}
    return case(
        "Classifier on a stream as large as MNIST, one pass",
        f"{5000 * n_batches} x 784, digits enlarged and noisy",
        measured,
        {OURS: {"accuracy": accuracy}},
        ours=OURS,
    )
