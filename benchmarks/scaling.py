"""How the time of a fit grows with the data: ``python -m benchmarks.scaling``.

Each curve doubles one size of the data and keeps the others. The fitted exponent is
the slope of log seconds over log size at the upper half of the sizes, where constant
costs no longer count. Iterations are fixed where a method would take a different
number of them at every size.
"""

import argparse
import json
import warnings
from dataclasses import dataclass, field

import numpy as np

from benchmarks._harness import RESULTS, measure, provenance
from skstruct.causal import CumulantLvLiNGAM
from skstruct.cross_decomposition import (
    PrimalDualSparseCCA,
    SparseCCA,
    StochasticCCA,
)
from skstruct.datasets import (
    make_factor_model,
    make_gaussian_stream,
    make_hyperspectral_scene,
    make_latent_lingam,
    make_low_rank_with_missing,
    make_nested_tensor,
    make_noisy_flags,
    make_relational_communities,
)
from skstruct.decomposition import (
    BarycentricSubspaceAnalysis,
    PrincipalSubspaceAnalysis,
    RobustFlagPCA,
    StructuredSparseNMF,
)
from skstruct.factor_analysis import CorrelationThresholding
from skstruct.impute import SoftImputer
from skstruct.mixture import IncrementalGaussianMixture
from skstruct.subspace import FlagMean
from skstruct.tensor import NestedTensorClustering, NonnegativeRESCAL

BEGIN, END = "<!-- scaling -->", "<!-- end of scaling -->"


@dataclass
class Curve:
    """Fits of one estimator on data of growing size.

    ``make(size)`` returns the estimator and the arguments of its fit; ``expected`` is
    the exponent that the leading term of the documented cost has.
    """

    estimator: str
    varied: str
    sizes: tuple
    make: callable
    expected: float
    fixed: str = ""
    seconds: list = field(default_factory=list)

    def run(self, repeats):
        programs = {}
        for size in self.sizes:
            model, data = self.make(size)
            programs[size] = lambda model=model, data=data: model.fit(*data)
        found = measure(programs, repeats=repeats)
        self.seconds = [found[size]["seconds"] for size in self.sizes]
        return self

    @property
    def exponent(self):
        upper = len(self.sizes) // 2
        x, y = np.log(self.sizes[upper:]), np.log(self.seconds[upper:])
        return float(np.polyfit(x, y, 1)[0])

    def record(self):
        return {
            "estimator": self.estimator,
            "varied": self.varied,
            "fixed": self.fixed,
            "sizes": list(self.sizes),
            "seconds": [round(s, 6) for s in self.seconds],
            "exponent": round(self.exponent, 2),
            "expected": self.expected,
        }


def _soft(n=2000, p=100, rank=5):
    X = make_low_rank_with_missing(n, p, rank=rank, random_state=0).X
    return SoftImputer(alpha=1.0, n_components=rank, max_iter=20, tol=0.0), (X,)


def _thresholding(p):
    # Well separated factors: the same structure is found at every size.
    X = make_factor_model(
        500,
        n_factors=p // 10,
        items_per_factor=10,
        loadings=(0.75, 0.9),
        factor_corr=0.0,
        random_state=0,
    ).X
    return CorrelationThresholding(threshold=0.3, max_iter=5, tol=0.0), (X,)


def _causal(n=2000, p=5):
    data = make_latent_lingam(n_samples=n, n_features=p, random_state=0)
    return CumulantLvLiNGAM(max_latents=1, random_state=0), (data.X,)


def _rescal(n=100, m=10, k=5):
    X = make_relational_communities(n, m, n_components=k, random_state=0).X
    return NonnegativeRESCAL(k, max_iter=50, tol=0.0, n_init=1, random_state=0), (X,)


def _nested(n=150, p=200, m=40):
    X = make_nested_tensor(n, p, m, random_state=0).X
    return NestedTensorClustering(random_state=0), (X,)


def _unmixing(side=64, bands=100, k=4):
    scene = make_hyperspectral_scene(
        (side, side), n_bands=bands, n_endmembers=k, random_state=0
    )
    model = StructuredSparseNMF(
        k, image_shape=(side, side), max_iter=50, tol=0.0, n_init=1, random_state=0
    )
    return model, (scene.X,)


def _mixture(n=20_000, D=20, K=5):
    X = make_gaussian_stream(n, D, n_components=K, random_state=0).X
    return IncrementalGaussianMixture(beta=1.0, max_components=K), (X,)


def _flags(n=200, p=50):
    data = make_noisy_flags(n, p, flag_type=(1, 3), noise=0.1, random_state=0)
    return FlagMean((1, 3), max_iter=20, tol=0.0), (data.X,)


def _robust(n=2000, p=40):
    X = np.random.default_rng(0).standard_normal((n, p)) * np.linspace(3, 1, p)
    return RobustFlagPCA(3, n_init=1, max_iter=20, tol=0.0, random_state=0), (X,)


def _psa(p):
    X = np.random.default_rng(0).standard_normal((2 * p, p))
    return PrincipalSubspaceAnalysis(), (X,)


def _sphere(n=1000, m=3, strategy="forward"):
    X = np.random.default_rng(0).standard_normal((n, 10))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return BarycentricSubspaceAnalysis(m, manifold="sphere", strategy=strategy), (X,)


def _views(n, p, q):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((n, 5))
    return tuple(
        Z @ rng.standard_normal((5, m)) + 3 * rng.standard_normal((n, m))
        for m in (p, q)
    )


def _exact_cca(n=10_000, p=200):
    return StochasticCCA(5), _views(n, p, p)


def _streaming_cca(n=10_000, p=200):
    model = StochasticCCA(5, solver="ey", max_iter=1, random_state=0)
    return model, _views(n, p, p)


def _sparse_cca(n=200, p=4000):
    return SparseCCA(2, l1_ratio=0.1, max_iter=20, tol=0.0), _views(n, p, p)


def _primal_dual(n=200, p=4000):
    return PrimalDualSparseCCA(5, seeds="random", random_state=0), _views(n, p, 50)


def curves():
    """All curves; sizes double up to about a second a fit."""
    return [
        Curve("SoftImputer", "rows", (1000, 2000, 4000, 8000, 16000),
              lambda n: _soft(n=n), 1, "100 columns, rank 5, 20 iterations"),
        Curve("SoftImputer", "columns", (50, 100, 200, 400, 800),
              lambda p: _soft(p=p), 1, "2000 rows, rank 5, 20 iterations"),
        Curve("SoftImputer", "rank", (5, 10, 20, 40),
              lambda r: _soft(rank=r), 2, "2000 x 100, 20 iterations"),
        Curve("CorrelationThresholding", "columns", (800, 1200, 1600, 2400, 3200),
              _thresholding, 3, "500 rows, a factor for 10 columns, 5 steps of EM"),
        Curve("CumulantLvLiNGAM", "rows", (2000, 4000, 8000, 16000, 32000),
              lambda n: _causal(n=n), 1, "5 columns"),
        Curve("CumulantLvLiNGAM", "columns", (4, 6, 8, 12),
              lambda p: _causal(p=p), 6, "2000 rows"),
        Curve("NonnegativeRESCAL", "entities", (50, 100, 200, 400),
              lambda n: _rescal(n=n), 2, "10 relations, rank 5, 50 iterations"),
        Curve("NonnegativeRESCAL", "relations", (10, 20, 40, 80),
              lambda m: _rescal(m=m), 1, "100 entities, rank 5, 50 iterations"),
        Curve("NonnegativeRESCAL", "rank", (4, 8, 16, 32),
              lambda k: _rescal(n=200, k=k), 1, "200 entities, 10 relations"),
        Curve("NestedTensorClustering", "features", (100, 200, 400, 800),
              lambda p: _nested(p=p), 1, "150 samples, 40 views"),
        Curve("NestedTensorClustering", "views", (20, 40, 80, 160),
              lambda m: _nested(m=m), 2, "150 samples, 200 features"),
        Curve("StructuredSparseNMF", "pixels", (1024, 4096, 16384, 65536),
              lambda n: _unmixing(side=round(n**0.5)), 1,
              "100 bands, 4 endmembers, 50 iterations"),
        Curve("StructuredSparseNMF", "bands", (50, 100, 200, 400),
              lambda p: _unmixing(bands=p), 1, "4096 pixels, 50 iterations"),
        Curve("IncrementalGaussianMixture", "rows", (5000, 10000, 20000, 40000),
              lambda n: _mixture(n=n), 1, "20 features, 5 components"),
        Curve("IncrementalGaussianMixture", "features", (25, 50, 100, 200),
              lambda D: _mixture(n=5000, D=D), 2, "5000 rows, 5 components"),
        Curve("IncrementalGaussianMixture", "components", (4, 8, 16, 32),
              lambda K: _mixture(K=K), 1, "20000 rows, 20 features"),
        Curve("FlagMean", "frames", (500, 1000, 2000, 4000, 8000),
              lambda n: _flags(n=n), 1, "R^50, type (1, 3), 20 sweeps"),
        Curve("FlagMean", "dimension", (500, 1000, 2000, 4000),
              lambda p: _flags(n=50, p=p), 1, "50 frames, 20 sweeps"),
        Curve("RobustFlagPCA", "rows", (2000, 4000, 8000, 16000, 32000),
              lambda n: _robust(n=n), 1, "40 columns, 3 components, 20 steps"),
        Curve("PrincipalSubspaceAnalysis", "columns", (100, 200, 400, 800),
              _psa, 3, "twice as many rows"),
        Curve("BarycentricSubspaceAnalysis, forward", "rows", (500, 1000, 2000, 4000),
              lambda n: _sphere(n=n), 2, "sphere in R^10, 4 references"),
        Curve("BarycentricSubspaceAnalysis, pure", "rows", (20, 40, 80, 160),
              lambda n: _sphere(n=n, m=2, strategy="pure"), 4,
              "sphere in R^10, 3 references"),
        Curve("StochasticCCA, exact", "rows", (5000, 10000, 20000, 40000),
              lambda n: _exact_cca(n=n), 1, "200 and 200 columns"),
        Curve("StochasticCCA, exact", "columns", (100, 200, 400, 800),
              lambda p: _exact_cca(p=p), 2, "10000 rows, two views alike"),
        Curve("StochasticCCA, one epoch", "rows", (5000, 10000, 20000, 40000),
              lambda n: _streaming_cca(n=n), 1, "200 and 200 columns"),
        Curve("StochasticCCA, one epoch", "columns", (200, 400, 800, 1600),
              lambda p: _streaming_cca(p=p), 1, "10000 rows, two views alike"),
        Curve("SparseCCA", "columns", (4000, 8000, 16000, 32000),
              lambda p: _sparse_cca(p=p), 1, "200 rows, two views alike"),
        Curve("SparseCCA", "rows", (100, 200, 400, 800),
              lambda n: _sparse_cca(n=n), 2, "4000 columns in both views"),
        Curve("PrimalDualSparseCCA", "columns", (4000, 8000, 16000, 32000),
              lambda p: _primal_dual(p=p), 1, "200 rows, linear kernel of 50 columns"),
    ]  # fmt: skip


def table(record):
    """Markdown table of the recorded curves."""
    lines = [
        f"{record['processor']}, {record['threads']} thread(s), {record['date']}",
        "",
        "| estimator | grows | from | to | seconds, first | seconds, last "
        "| exponent | of the leading term | fixed |",
        "|" + "---|" * 9,
    ]
    for c in record["curves"]:
        lines.append(
            f"| {c['estimator']} | {c['varied']} | {c['sizes'][0]} | {c['sizes'][-1]} "
            f"| {c['seconds'][0]:.3g} | {c['seconds'][-1]:.3g} | {c['exponent']:.2f} "
            f"| {c['expected']:g} | {c['fixed']} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("estimator", nargs="*", help="names; all of them by default")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # iterations are cut short on purpose
    path = RESULTS / "scaling.json"
    kept = json.loads(path.read_text())["curves"] if path.exists() else []
    found = {(c["estimator"], c["varied"]): c for c in kept}
    for curve in curves():
        if options.estimator and curve.estimator not in options.estimator:
            continue
        found[curve.estimator, curve.varied] = curve.run(options.repeats).record()
        print(f"{curve.estimator}, {curve.varied}: {curve.exponent:.2f}")
    order = [(c.estimator, c.varied) for c in curves()]
    record = {
        "family": "scaling",
        **provenance("skstruct", "numpy", "scipy", "scikit-learn", "numba"),
        "curves": [found[key] for key in order if key in found],
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
    page = RESULTS.parent / "README.md"
    head, rest = page.read_text().split(BEGIN)
    tail = rest.split(END)[1]
    page.write_text(f"{head}{BEGIN}\n\n{table(record)}\n\n{END}{tail}")


if __name__ == "__main__":
    main()
