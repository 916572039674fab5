"""Averages of flags, robust PCA and principal subspaces beside their peers."""

import warnings

import numpy as np
from sklearn.covariance import MinCovDet
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from benchmarks._harness import case, environment, measure, run_in_environment
from skstruct.datasets import make_noisy_flags
from skstruct.decomposition import PrincipalSubspaceAnalysis, RobustFlagPCA
from skstruct.decomposition._principal_subspace_types import best_type, information
from skstruct.subspace import FlagMean, FlagMedian, SubspaceMean, flag_distance

PACKAGES = ("numba",)

# The problems of pymanopt with gradients and Hessians by hand: no automatic
# differentiation slows the peer down.
_PYMANOPT = """
import time
import pymanopt
from pymanopt.manifolds import Stiefel
from pymanopt.optimizers import TrustRegions, SteepestDescent, ConjugateGradient

def solve(p, k, cost, gradient, hessian, start, optimizer, prepare=lambda: None):
    manifold = Stiefel(p, k)
    wrap = pymanopt.function.numpy(manifold)
    options = {"euclidean_gradient": wrap(gradient)}
    if hessian is not None:
        options["euclidean_hessian"] = wrap(hessian)
    problem = pymanopt.Problem(manifold, wrap(cost), **options)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        prepare()
        result = optimizer().run(problem, initial_point=start)
        times.append(time.perf_counter() - begin)
    out["seconds"] = np.median(times)
    out["frame"] = result.point
    out["cost"] = result.cost

X, dims, start = data["X"], data["dims"], data["start"]
edges = np.concatenate([[0], dims])
blocks = [slice(a, b) for a, b in zip(edges, edges[1:])]
"""

_MEAN = (
    _PYMANOPT
    + """
n, p, k = X.shape
forms = []
def prepare():
    forms.clear()
    for b in blocks:
        A = np.ascontiguousarray(X[:, :, b].transpose(1, 0, 2)).reshape(p, -1)
        forms.append(A @ A.T)
def gradient(U):
    return np.hstack([-2 * P @ U[:, b] for P, b in zip(forms, blocks)])
def cost(U):
    return n * k + np.sum(U * gradient(U)) / 2
def hessian(U, H):
    return gradient(H)
solve(p, k, cost, gradient, hessian, start,
      lambda: TrustRegions(verbosity=0, min_gradient_norm=1e-8), prepare)
"""
)

# The same problem as the authors of the flag mean pose it: traces of products with
# the frames, differentiated automatically.
_MEAN_AUTOGRAD = """
import autograd.numpy as anp
import numpy as np
import time
import pymanopt
from pymanopt.manifolds import Stiefel
from pymanopt.optimizers import TrustRegions
X, dims, start = data["X"], data["dims"], data["start"]
edges = np.concatenate([[0], dims])
blocks = [slice(a, b) for a, b in zip(edges, edges[1:])]
n, p, k = X.shape
forms = []
def prepare():
    forms.clear()
    for b in blocks:
        A = np.ascontiguousarray(X[:, :, b].transpose(1, 0, 2)).reshape(p, -1)
        forms.append(A @ A.T)
manifold = Stiefel(p, k)
@pymanopt.function.autograd(manifold)
def cost(U):
    return n * k - sum(
        anp.trace(U[:, b].T @ P @ U[:, b]) for P, b in zip(forms, blocks))
times = []
for _ in range(3):
    begin = time.perf_counter()
    prepare()
    result = TrustRegions(verbosity=0, min_gradient_norm=1e-8).run(
        pymanopt.Problem(manifold, cost), initial_point=start)
    times.append(time.perf_counter() - begin)
out["seconds"], out["frame"] = np.median(times), result.point
"""

_MEDIAN = (
    _PYMANOPT
    + """
n, p, k = X.shape
def distances(U):
    d2 = k - sum(np.einsum("jab->j", np.square(
        np.einsum("jpa,pb->jab", X[:, :, b], U[:, b]))) for b in blocks)
    return np.sqrt(np.maximum(d2, 1e-20))
def cost(U):
    return np.sum(distances(U))
def gradient(U):
    w = 1 / distances(U)
    return np.hstack([
        -np.einsum("j,jpa,jqa,qb->pb", w, X[:, :, b], X[:, :, b], U[:, b],
                   optimize=True) for b in blocks])
solve(p, k, cost, gradient, None, start,
      lambda: ConjugateGradient(verbosity=0, min_gradient_norm=1e-7))
"""
)

# The median as its authors compute it: reweighted means, each by trust regions with
# automatic derivatives, from the mean before.
_MEDIAN_AUTOGRAD = """
import autograd.numpy as anp
import numpy as np
import time
import pymanopt
from pymanopt.manifolds import Stiefel
from pymanopt.optimizers import TrustRegions
X, dims, start = data["X"], data["dims"], data["start"]
edges = np.concatenate([[0], dims])
blocks = [slice(a, b) for a, b in zip(edges, edges[1:])]
n, p, k = X.shape
manifold = Stiefel(p, k)
def distances(U):
    d2 = k - sum(np.einsum("jab->j", np.square(
        np.einsum("jpa,pb->jab", X[:, :, b], U[:, b]))) for b in blocks)
    return np.sqrt(np.maximum(d2, 1e-20))
def weighted_mean(w, U):
    forms = []
    for b in blocks:
        A = (X[:, :, b] * np.sqrt(w)[:, None, None]).transpose(1, 0, 2).reshape(p, -1)
        forms.append(A @ A.T)
    @pymanopt.function.autograd(manifold)
    def cost(U):
        return -sum(anp.trace(U[:, b].T @ P @ U[:, b]) for P, b in zip(forms, blocks))
    return TrustRegions(verbosity=0, min_gradient_norm=1e-8).run(
        pymanopt.Problem(manifold, cost), initial_point=U).point
times = []
for _ in range(3):
    begin = time.perf_counter()
    U, last = start, np.inf
    for _ in range(100):
        d = distances(U)
        if last - d.sum() <= 1e-10 * d.sum():
            break
        last = d.sum()
        U = weighted_mean(1 / np.maximum(d, 1e-6), U)
    times.append(time.perf_counter() - begin)
out["seconds"], out["frame"] = np.median(times), U
"""

_NESTED = (
    _PYMANOPT
    + """
n, p = X.shape
a = np.mean(dims[:, None] > np.arange(dims[-1]), axis=0)
def cost(U):
    E = X - ((X @ U) * a) @ U.T
    return np.sum(np.linalg.norm(E, axis=1))
def gradient(U):
    T = X @ U
    E = X - (T * a) @ U.T
    E /= np.linalg.norm(E, axis=1, keepdims=True)
    return -(X.T @ (E @ U) + E.T @ T) * a
solve(p, dims[-1], cost, gradient, None, start,
      lambda: SteepestDescent(verbosity=0, min_gradient_norm=1e-6,
                              max_iterations=1000))
"""
)

_GEOMSTATS = """
import os
os.environ["GEOMSTATS_BACKEND"] = "numpy"
import time
from geomstats.geometry.grassmannian import Grassmannian
from geomstats.learning.frechet_mean import FrechetMean
X = data["X"]
n, p, k = X.shape
space = Grassmannian(p, k)
P = X @ np.swapaxes(X, 1, 2)
times = []
for _ in range(3):
    begin = time.perf_counter()
    mean = FrechetMean(space).fit(P)
    times.append(time.perf_counter() - begin)
out["seconds"] = np.median(times)
values, V = np.linalg.eigh(mean.estimate_)
out["frame"] = V[:, -k:]
"""


def run(*, quick):
    """Return the cases of this family."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        python = environment(
            "pymanopt", ["pymanopt==2.2.1", "autograd", "numpy<2.4", "scipy"]
        )
        return [
            _mean_case(python, 100, 10, (1, 3), 1.0),
            _mean_case(python, *((50, 60) if quick else (200, 200)), (1, 3, 6), 0.4),
            _median_case(python),
            _subspace_case(),
            _large_case(quick),
            _nested_case(python),
            _restarts_case(quick),
            _digits_case(quick),
            _psa_case(quick),
        ]


def _start(X, k):
    """A start that favours no program: the first frame."""
    return np.linalg.qr(X[0][:, :k])[0]


def _mean_case(python, n, p, flag_type, noise):
    data = make_noisy_flags(n, p, flag_type=flag_type, noise=noise, random_state=0)
    k = flag_type[-1]
    start = _start(data.X, k)
    ours = FlagMean(flag_type, init=start)
    measured = measure({"skstruct FlagMean": lambda: ours.fit(data.X)}, repeats=7)
    payload = {"X": data.X, "dims": np.array(flag_type), "start": start}
    peer = run_in_environment(python, _MEAN, payload)
    by_hand = "pymanopt TrustRegions, Hessian by hand"
    measured[by_hand] = {**peer, "version": "2.2.1"}
    automatic = "pymanopt TrustRegions, autograd"
    peer_autograd = run_in_environment(python, _MEAN_AUTOGRAD, payload)
    measured[automatic] = {**peer_autograd, "version": "2.2.1"}
    rows = np.ascontiguousarray(data.X.transpose(0, 2, 1)).reshape(-1, p)
    U = ours.frame_

    def passes():
        # One product with all frames and one back.
        return rows.T @ (rows @ U)

    floor = measure({"floor": passes}, repeats=7)["floor"]["seconds"]
    frames = {
        "skstruct FlagMean": ours.frame_,
        by_hand: peer["frame"],
        automatic: peer_autograd["frame"],
    }
    return case(
        f"Flag mean of type {flag_type}, the same start",
        f"{n} frames in R^{p}; floor: two passes over the frames for each sweep",
        measured,
        {
            name: {
                "cost": np.sum(flag_distance(data.X, frame, flag_type) ** 2),
                "distance_to_centre": flag_distance(frame, data.center, flag_type),
            }
            for name, frame in frames.items()
        },
        ours="skstruct FlagMean",
        floor_seconds=floor * ours.n_iter_,
    )


def _median_case(python):
    data = make_noisy_flags(
        100, 10, noise=0.1, n_outliers=19, outlier_noise=1.0, random_state=2
    )
    start = _start(data.X, 3)
    ours = FlagMedian((1, 3), init=start)
    measured = measure({"skstruct FlagMedian": lambda: ours.fit(data.X)}, repeats=7)
    payload = {"X": data.X, "dims": np.array((1, 3)), "start": start}
    peer = run_in_environment(python, _MEDIAN, payload)
    name = "pymanopt ConjugateGradient"
    measured[name] = {**peer, "version": "2.2.1"}
    published = "pymanopt TrustRegions, autograd, reweighted"
    reweighted = run_in_environment(python, _MEDIAN_AUTOGRAD, payload)
    measured[published] = {**reweighted, "version": "2.2.1"}
    frames = {
        "skstruct FlagMedian": ours.frame_,
        name: peer["frame"],
        published: reweighted["frame"],
    }
    return case(
        "Flag median of type (1, 3), the same start",
        "100 frames in R^10, 19 of them outliers",
        measured,
        {
            name: {
                "cost": np.sum(flag_distance(data.X, frame, (1, 3))),
                "distance_to_centre": flag_distance(frame, data.center, (1, 3)),
            }
            for name, frame in frames.items()
        },
        ours="skstruct FlagMedian",
    )


def _subspace_case():
    data = make_noisy_flags(100, 20, flag_type=(3,), noise=0.5, random_state=0)
    ours = SubspaceMean(3)
    measured = measure({"skstruct SubspaceMean": lambda: ours.fit(data.X)}, repeats=7)
    python = environment("geomstats", ["geomstats==2.8.0", "numpy<2.3"])
    peer = run_in_environment(python, _GEOMSTATS, {"X": data.X})
    measured["geomstats FrechetMean"] = {
        **peer,
        "version": "2.8.0",
        "note": "minimises squared geodesic distances, not chordal ones",
    }
    frames = {
        "skstruct SubspaceMean": ours.frame_,
        "geomstats FrechetMean": peer["frame"],
    }
    return case(
        "Mean of 3-dimensional subspaces",
        "100 subspaces of R^20",
        measured,
        {
            name: {
                "chordal_cost": np.sum(flag_distance(data.X, frame, 3) ** 2),
                "distance_to_centre": flag_distance(frame, data.center, 3),
            }
            for name, frame in frames.items()
        },
        ours="skstruct SubspaceMean",
    )


def _large_case(quick):
    n, p = (20, 1000) if quick else (100, 10_000)
    data = make_noisy_flags(n, p, flag_type=(1, 3, 5), noise=0.02, random_state=0)
    ours = FlagMean((1, 3, 5))
    measured = measure({"skstruct FlagMean": lambda: ours.fit(data.X)})
    rows = np.ascontiguousarray(data.X.transpose(0, 2, 1)).reshape(-1, p)
    U = ours.frame_
    floor = measure({"floor": lambda: rows.T @ (rows @ U)}, repeats=7)["floor"]
    distance = flag_distance(ours.frame_, data.center, (1, 3, 5))
    return case(
        "Flag mean in a large space",
        f"{n} frames of type (1, 3, 5) in R^{p}; floor: two passes for each sweep",
        measured,
        {
            "skstruct FlagMean": {
                "distance_to_centre": distance,
                "n_iter": ours.n_iter_,
            }
        },
        ours="skstruct FlagMean",
        floor_seconds=floor["seconds"] * ours.n_iter_,
    )


def _nested_case(python):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((450, 20)) * np.linspace(5, 0.5, 20)
    X = np.vstack([X, 5 * rng.standard_normal((50, 20))])
    flag_type = (1, 2, 5)
    start = np.linalg.svd(X, full_matrices=False)[2][:5].T
    ours = RobustFlagPCA(
        flag_type=flag_type, center=None, n_init=1, init=start, tol=1e-10
    )
    name = "skstruct RobustFlagPCA"
    measured = measure({name: lambda: ours.fit(X)}, repeats=7)
    payload = {"X": X, "dims": np.array(flag_type), "start": start}
    peer = run_in_environment(python, _NESTED, payload)
    measured["pymanopt SteepestDescent"] = {**peer, "version": "2.2.1"}
    return case(
        "Nested robust PCA (flag trick), the same start",
        "500 x 20, 10 % isotropic outliers, type (1, 2, 5)",
        measured,
        {
            name: {"objective": ours.objective_, "n_iter": ours.n_iter_},
            "pymanopt SteepestDescent": {"objective": peer["cost"]},
        },
        ours=name,
    )


def _restarts_case(quick):
    X = np.random.RandomState(189).rand(5, 100).T
    n_init = 300 if quick else 3000

    def fit(criterion, flag_type, n_init):
        return RobustFlagPCA(
            flag_type=flag_type, criterion=criterion, construction="block",
            center="mean", n_init=n_init, random_state=0,
        ).fit(X)  # fmt: skip

    programs = {
        f"skstruct variance (1, 2), {n_init} starts": lambda: fit(
            "variance", (1, 2), n_init
        ),
        "skstruct variance (1, 2), 1 start": lambda: fit("variance", (1, 2), 1),
        "skstruct reconstruction (2), 5 starts": lambda: fit("reconstruction", (2,), 5),
        "skstruct dual (1, 2), 5 starts": lambda: fit("dual", (1, 2), 5),
    }
    measured = measure(programs)
    return case(
        "Robust criteria on the small table; published figures in external_flags.json",
        "100 x 5",
        measured,
        {name: {"objective": e["result"].objective_} for name, e in measured.items()},
        ours=next(iter(programs)),
    )


def _digits_case(quick):
    digits = load_digits()
    zeros = np.flatnonzero(digits.target == 0)
    others = np.flatnonzero(digits.target != 0)
    tables = []
    for seed in range(3 if quick else 10):
        rng = np.random.default_rng(seed)
        rows = np.concatenate(
            [rng.permutation(zeros)[:90], rng.permutation(others)[:10]]
        )
        tables.append(digits.data[rows])
    labels = np.repeat([0, 1], [90, 10])

    def ours(**params):
        return lambda: [
            RobustFlagPCA(random_state=0, **params).fit(X).outlier_scores_
            for X in tables
        ]

    def pca():
        scores = []
        for X in tables:
            fitted = PCA(5).fit(X)
            residual = X - fitted.inverse_transform(fitted.transform(X))
            scores.append(np.linalg.norm(residual, axis=1))
        return scores

    def mcd():
        # It needs more rows than columns: in the first principal components.
        scores = []
        for X in tables:
            T = PCA(20).fit_transform(X)
            scores.append(MinCovDet(random_state=0).fit(T).mahalanobis(T))
        return scores

    measured = measure(
        {
            "skstruct RobustFlagPCA (1, 2, 5)": ours(flag_type=(1, 2, 5)),
            "skstruct RobustFlagPCA block (5)": ours(
                n_components=5, construction="block"
            ),
            "scikit-learn PCA": pca,
            "scikit-learn MinCovDet after PCA": mcd,
        },
        repeats=1 if quick else 3,
    )
    return case(
        "Foreign digits among zeros: AUC of the residual",
        f"{len(tables)} samples of 90 zeros and 10 other digits, 64 pixels",
        measured,
        {
            name: {"mean_auc": np.mean([roc_auc_score(labels, s) for s in e["result"]])}
            for name, e in measured.items()
        },
        ours="skstruct RobustFlagPCA (1, 2, 5)",
    )


def _psa_case(quick):
    p, n = (200, 1000) if quick else (2000, 5000)
    rng = np.random.default_rng(0)
    values = np.sort(rng.gamma(1.0, size=p))[::-1].copy()
    a = np.log(n)
    X = rng.standard_normal((1000, 200)) * np.sqrt(np.repeat([9, 4, 1], [20, 50, 130]))

    measured = measure(
        {
            "skstruct best type": lambda: best_type(
                values, n, a, floor=1e-12, last_start=p - 1
            ),
            "skstruct PrincipalSubspaceAnalysis.fit, 1000 x 200": lambda: (
                PrincipalSubspaceAnalysis().fit(X)
            ),
            "scikit-learn PCA('mle').fit, 1000 x 200": lambda: PCA("mle").fit(X),
        }
    )
    gamma = measured["skstruct best type"]["result"]
    fitted = measured["skstruct PrincipalSubspaceAnalysis.fit, 1000 x 200"]["result"]
    mle = measured["scikit-learn PCA('mle').fit, 1000 x 200"]["result"]
    return case(
        "Best of all types of a covariance",
        f"{p} eigenvalues, {n} samples; 1000 x 200, variances 9, 4, 1 (20, 50, 130)",
        measured,
        {
            "skstruct best type": {
                "bic": information(values, gamma, n, a, 1e-12),
                "blocks": len(gamma),
            },
            "skstruct PrincipalSubspaceAnalysis.fit, 1000 x 200": {
                "signal": fitted.n_components_,
                "blocks": len(fitted.flag_type_),
            },
            "scikit-learn PCA('mle').fit, 1000 x 200": {"signal": mle.n_components_},
        },
        ours="skstruct best type",
    )
