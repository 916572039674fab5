"""Barycentric subspaces, means and principal spans beside their peers."""

import time
from itertools import combinations
from math import comb

import numpy as np
from sklearn.decomposition import PCA

from benchmarks._harness import case, environment, measure, run_in_environment
from skstruct._karcher import karcher_mean
from skstruct._manifolds import AffineInvariantSPD, Sphere
from skstruct.decomposition import BarycentricSubspaceAnalysis
from skstruct.decomposition._barycentric_kernels import scan_candidates
from skstruct.decomposition._barycentric_space import Span, orthonormal_rows, to_origin

PACKAGES = ("numba",)


def run(*, quick):
    """Return the cases of this family."""
    return [
        _subset_case(quick),
        _search_case(quick),
        _forward_case(quick),
        _sphere_mean_case(quick),
        _spd_mean_case(quick),
        _span_case(quick),
        _flag_case(quick),
        _euclidean_case(quick),
    ]


def _sphere(n, dimension, spread=0.6, seed=0):
    rng = np.random.default_rng(seed)
    v = spread * rng.standard_normal((n, dimension)) * np.linspace(1, 0.3, dimension)
    Y = np.column_stack([np.ones(n), v])
    return Y / np.linalg.norm(Y, axis=1, keepdims=True)


def _bsa(k, **options):
    return BarycentricSubspaceAnalysis(k, manifold="sphere", **options)


def _subset_case(quick):
    """Every triple, against one dense projection a triple."""
    n, m = (15, 3) if quick else (30, 3)
    Y = _sphere(n, 9)

    def dense():
        best = (np.inf, ())
        for subset in combinations(range(n), m):
            Q = np.linalg.qr(Y[list(subset)].T)[0]
            inside = np.sqrt(np.sum((Y @ Q) ** 2, axis=1))
            d = np.arccos(np.minimum(inside, 1.0))
            best = min(best, (float(np.mean(d**2)), subset))
        return best

    bsa = _bsa(m - 1, strategy="pure")
    measured = measure({"skstruct": lambda: bsa.fit(Y), "numpy, QR a subset": dense})
    quality = {
        "skstruct": {"variance": bsa.unexplained_variance_[-1]},
        "numpy, QR a subset": {"variance": measured["numpy, QR a subset"]["result"][0]},
    }
    return case(
        "Best triple of references on the sphere",
        f"{n} points of S^9, {comb(n, m)} subsets",
        measured,
        quality,
    )


def _search_case(quick):
    n, m = (40, 3) if quick else (100, 3)
    Y = _sphere(n, 9)
    programs, fits = {}, {}
    for strategy in ("pure", "flag"):
        bsa = fits[f"skstruct {strategy}"] = _bsa(m - 1, strategy=strategy)
        programs[f"skstruct {strategy}"] = lambda bsa=bsa: bsa.fit(Y)
    two = fits["skstruct pure, n_jobs=2"] = _bsa(m - 1, strategy="pure", n_jobs=2)
    programs["skstruct pure, n_jobs=2"] = lambda: two.fit(Y)
    measured = measure(programs, repeats=5)

    # The pass no search can avoid: one sum of residuals a subset.
    E = Y @ Y.T
    squares, noise = np.ones(n), np.zeros(n)
    columns, bounds, w = np.arange(n), np.empty(n), np.full(n, 1 / n)
    n_scans = comb(n, m) // n

    def passes():
        for _ in range(n_scans):
            scan_candidates(0, 2.0, E, squares, columns, -1.0, noise, w, bounds)

    floor = measure({"floor": passes}, repeats=5)["floor"]["seconds"]
    quality = {
        name: {
            "microseconds_a_subset": 1e6 * entry["seconds"] / comb(n, m),
            "variance": fits[name].unexplained_variance_[-1],
            "auv": fits[name].auv_,
        }
        for name, entry in measured.items()
    }
    # Time of the processor too: the wall clock of a shared machine counts others.
    for name in ("skstruct pure", "skstruct flag"):
        spent = [_processor_seconds(programs[name]) for _ in range(5)]
        quality[name]["cpu_microseconds_a_subset"] = (
            1e6 * float(np.median(spent)) / comb(n, m)
        )
    return case(
        "Exhaustive search and dynamic programme",
        f"{n} points of S^9, {comb(n, m)} subsets of {m}; floor: one sum of flat "
        "residuals a subset",
        measured,
        quality,
        ours="skstruct pure",
        floor_seconds=floor,
    )


def _processor_seconds(program):
    start = time.process_time()
    program()
    return time.process_time() - start


def _forward_case(quick):
    n, k = (500, 3) if quick else (5000, 3)
    Y = _sphere(n, 9)
    programs, fits = {}, {}
    for name, options in {
        "skstruct forward": {},
        "skstruct forward, p=1": {"p": 1.0},
        "skstruct exchange": {"strategy": "exchange"},
    }.items():
        bsa = fits[name] = _bsa(k, **options)
        programs[name] = lambda bsa=bsa: bsa.fit(Y)
    measured = measure(programs, repeats=1 if quick else 3)

    def grams():
        # Level 0 and k additions each need all products, and a look at each.
        return [float(np.sum((Y @ Y.T) ** 2)) for _ in range(k + 1)]

    floor = measure({"floor": grams})["floor"]["seconds"]
    return case(
        "Greedy references among many samples",
        f"{n} points of S^9, {k + 1} references; floor: Gram matrix and its sum of "
        "squares for each reference",
        measured,
        {name: {"variance": fits[name].unexplained_variance_[-1]} for name in measured},
        ours="skstruct forward",
        floor_seconds=floor,
    )


_GEOMSTATS = ["geomstats==2.8.0", "setuptools<81"]


def _sphere_mean_case(quick):
    n = 50 if quick else 500
    Y = _sphere(n, 20)
    w = np.random.default_rng(0).random(n)
    sphere = Sphere()
    measured = measure({"skstruct": lambda: sphere.mean(Y, w)}, repeats=7)
    script = """
import time
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.learning.frechet_mean import FrechetMean
space = Hypersphere(data["Y"].shape[1] - 1)
choices = {"default": {}, "tight": {"epsilon": 1e-24, "max_iter": 1000}}
for name, options in choices.items():
    times = []
    for _ in range(3):
        mean = FrechetMean(space)
        for key, value in options.items():
            assert hasattr(mean.optimizer, key)
            setattr(mean.optimizer, key, value)
        start = time.perf_counter()
        mean.fit(data["Y"], weights=data["w"])
        times.append(time.perf_counter() - start)
    out[name + "_seconds"] = np.median(times)
    out[name] = mean.estimate_
"""
    peer = run_in_environment(
        environment("geomstats", _GEOMSTATS), script, {"Y": Y, "w": w}
    )
    quality = {
        "skstruct": {
            "gradient": _gradient(sphere, measured["skstruct"]["result"], Y, w)
        }
    }
    for name in ("default", "tight"):
        label = f"geomstats FrechetMean, {name}"
        measured[label] = {"seconds": peer[f"{name}_seconds"], "version": "2.8.0"}
        quality[label] = {"gradient": _gradient(sphere, peer[name], Y, w)}
    return case(
        "Weighted Frechet mean on the sphere", f"{n} points of S^20", measured, quality
    )


def _gradient(manifold, x, Y, w):
    """Norm of the mean logarithm."""
    v = (w / w.sum()) @ manifold.log(x[None], Y)
    return float(np.sqrt(manifold.inner(x[None], v[None], v[None])[0, 0]))


def _spd_mean_case(quick):
    n, d = (20, 3) if quick else (100, 5)
    rng = np.random.default_rng(0)
    A = rng.standard_normal((n, d, 2 * d))
    S = A @ A.transpose(0, 2, 1) / (2 * d)
    rows, w = S.reshape(n, d * d), np.ones(n)
    spd = AffineInvariantSPD()
    measured = measure({"skstruct": lambda: karcher_mean(spd, rows, w)}, repeats=7)
    script = """
import time
from geomstats.geometry.spd_matrices import SPDAffineMetric, SPDMatrices
from geomstats.learning.frechet_mean import FrechetMean
space = SPDMatrices(data["S"].shape[1], equip=False)
space.equip_with_metric(SPDAffineMetric)
choices = {"default": {}, "tight": {"epsilon": 1e-12, "max_iter": 1000}}
for name, options in choices.items():
    times = []
    for _ in range(3):
        mean = FrechetMean(space)
        for key, value in options.items():
            assert hasattr(mean.optimizer, key)
            setattr(mean.optimizer, key, value)
        start = time.perf_counter()
        mean.fit(data["S"])
        times.append(time.perf_counter() - start)
    out[name + "_seconds"] = np.median(times)
    out[name] = mean.estimate_
"""
    peer = run_in_environment(environment("geomstats", _GEOMSTATS), script, {"S": S})
    ours = measured["skstruct"]["result"]
    quality = {"skstruct": {"gradient": _gradient(spd, ours, rows, w)}}
    for name in ("default", "tight"):
        label = f"geomstats FrechetMean, {name}"
        measured[label] = {"seconds": peer[f"{name}_seconds"], "version": "2.8.0"}
        mean = peer[name].reshape(-1)
        quality[label] = {"gradient": _gradient(spd, mean, rows, w)}
    return case(
        "Affine-invariant mean of positive definite matrices",
        f"{n} matrices {d} x {d}",
        measured,
        quality,
    )


def _span_case(quick):
    """Best great subsphere, against tangent components at the mean."""
    n, D, k = (60, 6, 2) if quick else (1000, 30, 5)
    Y = _sphere(n, D, 0.9)
    fits = {
        "skstruct, level k": _bsa(k, references="optimized", strategy="pure"),
        "skstruct, forward": _bsa(k, references="optimized"),
        "skstruct, extrinsic": _bsa(k, references="optimized", cost="extrinsic"),
    }
    measured = measure({name: lambda f=f: f.fit(Y) for name, f in fits.items()})
    script = f"""
import time
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.learning.pca import TangentPCA
space = Hypersphere(data["Y"].shape[1] - 1)
times = []
for _ in range(3):
    start = time.perf_counter()
    pca = TangentPCA(space, n_components={k})
    pca.fit(data["Y"])
    times.append(time.perf_counter() - start)
out["seconds"] = np.median(times)
out["components"] = pca.components_
out["base"] = getattr(pca, "base_point_", getattr(pca, "base_point_fit", None))
"""
    peer = run_in_environment(environment("geomstats", _GEOMSTATS), script, {"Y": Y})
    base = peer.pop("base")
    rows = to_origin(1, base, peer.pop("components").reshape(k, D + 1))[:, 1:]
    tangent = Span(1, base, orthonormal_rows(rows)[0])
    measured["geomstats TangentPCA"] = {**peer, "version": "2.8.0"}
    quality = {n_: {"variance": f.unexplained_variance_[-1]} for n_, f in fits.items()}
    quality["geomstats TangentPCA"] = {
        "variance": float(np.mean(tangent.distances(Y) ** 2))
    }
    return case(
        "Great subsphere with the least mean squared distance",
        f"{n} points of S^{D}, dimension {k}",
        measured,
        quality,
        ours="skstruct, level k",
    )


def _flag_case(quick):
    """Flag of great subspheres, against a Riemannian solver."""
    n, D, k = (60, 6, 2) if quick else (300, 15, 3)
    Y = _sphere(n, D, 0.7)
    bsa = _bsa(k, references="optimized", strategy="flag", tol=1e-14, max_iter=5000)
    measured = measure({"skstruct": lambda: bsa.fit(Y)})
    script = f"""
import time
import pymanopt
from pymanopt.manifolds import Stiefel
from pymanopt.optimizers import ConjugateGradient
Y = data["Y"]; n, k = len(Y), {k}
manifold = Stiefel(Y.shape[1], k + 1)
def parts(V):
    Z = Y @ V
    yield 0, np.arccos(np.clip(Z[:, 0], -1, 1)), Z
    for l in range(1, k + 1):
        inside = np.sqrt(np.sum(Z[:, : l + 1] ** 2, axis=1))
        yield l, np.arccos(np.clip(inside, -1, 1)), Z
@pymanopt.function.numpy(manifold)
def cost(V):
    return sum(float(np.mean(d ** 2)) for _, d, _ in parts(V))
@pymanopt.function.numpy(manifold)
def gradient(V):
    G = np.zeros_like(V)
    for l, d, Z in parts(V):
        if l == 0:
            w = d / np.maximum(np.sin(d), 1e-12)
            G[:, 0] -= 2 / n * w @ Y
        else:
            w = np.where(d > 1e-8, 2 * d / np.sin(2 * np.maximum(d, 1e-12)), 1)
            G[:, : l + 1] -= 2 / n * (Y.T * w) @ Z[:, : l + 1]
    return G
problem = pymanopt.Problem(manifold, cost, euclidean_gradient=gradient)
mean = Y.mean(axis=0)
start = np.linalg.qr(np.column_stack([mean, np.linalg.svd(Y - mean)[2][:k].T]))[0]
start[:, 0] *= np.sign(mean @ start[:, 0])
optimizer = ConjugateGradient(
    verbosity=0, min_gradient_norm=1e-9, max_iterations=5000)
times = []
for _ in range(3):
    t = time.perf_counter()
    result = optimizer.run(problem, initial_point=start)
    times.append(time.perf_counter() - t)
out["seconds"] = np.median(times)
out["auv"] = result.cost
"""
    python = environment("pymanopt", ["pymanopt==2.2.1"])
    peer = run_in_environment(python, script, {"Y": Y})
    quality = {
        "skstruct": {"auv": bsa.auv_},
        "pymanopt ConjugateGradient": {"auv": peer.pop("auv")},
    }
    measured["pymanopt ConjugateGradient"] = {**peer, "version": "2.2.1"}
    return case(
        "Flag of great subspheres (accumulated unexplained variance)",
        f"{n} points of S^{D}, {k + 1} levels",
        measured,
        quality,
    )


def _euclidean_case(quick):
    n, p, k = (200, 20, 3) if quick else (20_000, 100, 10)
    X = np.random.default_rng(0).standard_normal((n, p)) * np.linspace(2, 1, p)
    bsa = BarycentricSubspaceAnalysis(k, references="optimized")
    pca = PCA(k)
    measured = measure(
        {"skstruct": lambda: bsa.fit(X), "scikit-learn PCA": lambda: pca.fit(X)}
    )
    rest = X - pca.inverse_transform(pca.transform(X))
    floor = measure({"floor": lambda: (X - X.mean(axis=0)).T @ X}, repeats=5)
    return case(
        "Euclidean space: principal component analysis",
        f"{n} x {p}, {k} components; floor: the covariance matrix",
        measured,
        {
            "skstruct": {"variance": bsa.unexplained_variance_[-1]},
            "scikit-learn PCA": {"variance": float(np.mean(np.sum(rest**2, axis=1)))},
        },
        floor_seconds=floor["floor"]["seconds"],
    )
