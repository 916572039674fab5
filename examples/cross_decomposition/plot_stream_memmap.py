"""
Partial least squares of a file that is read once
=================================================

Genotypes come as files of bytes with more columns than a computer wants to hold as
numbers. :class:`~skstruct.cross_decomposition.StochasticPLS` takes the rows as they are
read. How many rows does it need, what does it lose against the exact solution, and how
much memory does it save?
"""

# %%
# A stand-in for such data: counts 0, 1, 2 of the rarer allele at 16,000 places, in a
# memory map of bytes. The frequencies drift along five ancestries, and
# 1000 measurements of the same people depend on these.

import tempfile
import tracemalloc
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skstruct.cross_decomposition import StochasticPLS

n, n_new, p, q, K = 2000, 300, 16_000, 1000, 5
rng = np.random.default_rng(0)
ancestry = rng.standard_normal((n + n_new, K))
folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
genotypes = np.lib.format.open_memmap(
    Path(folder.name, "genotypes.npy"), mode="w+", dtype=np.int8, shape=(n + n_new, p)
)
for start in range(0, p, 2000):
    frequency = rng.uniform(0.05, 0.5, 2000)
    drift = 0.15 * rng.standard_normal((K, 2000))
    chance = 1 / (1 + (1 / frequency - 1) * np.exp(-ancestry @ drift))
    for _ in range(2):
        genotypes[:, start : start + 2000] += rng.random(chance.shape) < chance
genotypes.flush()
loadings = rng.standard_normal((K, q)) * np.linspace(1.0, 0.5, K)[:, None]
measured = ancestry @ loadings + 3 * rng.standard_normal((n + n_new, q))
measured = measured.astype(np.float32)
X = np.load(Path(folder.name, "genotypes.npy"), mmap_mode="r")
X_new, Y_new = X[n:], measured[n:]


def peak_of(function):
    """Result of a function and the peak of the memory it takes, in MB."""
    tracemalloc.start()
    result = function()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return result, peak


# %%
# The yardstick is the sum of the covariances of the pairs of scores, on people that no
# method has seen, relative to that of the exact solution of all 2000 rows. The exact
# solutions of fewer rows tell what is missed for want of rows, not by the steps.


def covariance(model):
    """Sum of the covariances of the pairs of scores of new people."""
    T, U = model.transform(X_new, Y_new)
    return np.sum((T - T.mean(axis=0)) * (U - U.mean(axis=0))) / (n_new - 1)


def fit_exact(rows):
    """Exact solution of the first rows."""
    return StochasticPLS(K, solver="exact").fit(X[:rows], measured[:rows])


def read_once():
    """The state of a stream after every 200 rows."""
    stream = StochasticPLS(K, solver="ey", batch_size=50, random_state=0)
    found = {}
    for start in range(0, n, 200):
        rows = slice(start, start + 200)
        found[rows.stop] = covariance(stream.partial_fit(X[rows], measured[rows]))
    return found


stream, stream_peak = peak_of(read_once)
exact, exact_peak = peak_of(lambda: fit_exact(n))
best = covariance(exact)
fewer = {m: covariance(fit_exact(m)) for m in (200, 800)} | {n: best}

# %%

fig, axes = plt.subplots(
    1, 2, figsize=(10, 3.8), layout="constrained", width_ratios=[1.6, 1]
)
for curve, style, label in (
    (fewer, "s--", "exact solution of these rows"),
    (stream, "o-", "stream, every row read once"),
):
    axes[0].plot(list(curve), np.array(list(curve.values())) / best, style, label=label)
axes[0].set(
    xlabel="rows seen", ylabel="covariance on new people", ylim=(0.6, 1.02),
    title="Share of what the exact solution of all rows has",
)  # fmt: skip
axes[0].legend(frameon=False, loc="lower right")
bars = {
    "exact\nsolution": exact_peak,
    "stream": stream_peak,
    "file as\nbytes": X[:n].size / 2**20,
    "file as\nfloat64": X[:n].size * 8 / 2**20,
}
found = axes[1].bar(bars.keys(), bars.values(), color=["C0", "C1", "0.85", "0.85"])
axes[1].bar_label(found, fmt="%.0f")
axes[1].set(ylabel="peak of allocated memory, MB", title="Memory")
plt.show()

# %%
# The stream has read every row once and ends within half a per cent of the exact
# solution; on the way it is as good as the exact solution of the rows seen so far, so
# that what is missing early is missing for want of rows. Its memory depends on the
# number of columns alone; the exact solution holds the covariances of all pairs of
# columns, and as numbers the file would be eight times as long.

print(
    f"after one pass {stream[n] / best:.3f} of the exact covariance; peaks of memory "
    f"in MB: stream {stream_peak:.0f}, exact {exact_peak:.0f}"
)
