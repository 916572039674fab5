"""
One pass against batch EM: likelihood for time
==============================================

Batch EM knows the number of components and sees all rows many times. How much of its
likelihood does one pass reach, and how soon?
"""

# SPDX-License-Identifier: BSD-3-Clause

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skstruct.datasets import make_gaussian_stream
from skstruct.mixture import IncrementalGaussianMixture, MiniBatchGaussianMixture

# %%
# Eight thousand rows from eight Gaussians in ten dimensions, and as many held out.

data = make_gaussian_stream(16_000, 10, n_components=8, random_state=1)
train, test = data.X[:8000], data.X[8000:]
IncrementalGaussianMixture(refine=1).fit(train[:500])  # compiles the kernels


def measure(estimator):
    start = time.perf_counter()
    estimator.fit(train)
    return time.perf_counter() - start, estimator.score(test)


# %%
# Batch EM stopped after more and more iterations; the others as they are. ``delta`` is
# small, so that the pass splits clusters rather than merging them; ``refine`` then
# merges what belongs together.

curves = {"GaussianMixture (8 given)": [], "MiniBatchGaussianMixture (8 given)": []}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    for n in (1, 3, 10, 30, 100):
        em = GaussianMixture(8, max_iter=n, n_init=1, random_state=0)
        curves["GaussianMixture (8 given)"].append(measure(em))
    for n in (1, 2, 4, 8):
        stepwise = MiniBatchGaussianMixture(8, max_iter=n, n_init=1, random_state=0)
        curves["MiniBatchGaussianMixture (8 given)"].append(measure(stepwise))
one_pass = IncrementalGaussianMixture(delta=0.3, beta=1e-9)
refined = IncrementalGaussianMixture(delta=0.3, beta=1e-9, refine=10)
points = {
    "one pass": (measure(one_pass), one_pass.n_components_),
    "one pass, refined": (measure(refined), refined.n_components_),
}

# %%
# Held-out log-density against seconds.

truth = np.mean(
    np.logaddexp.reduce(
        [
            np.log(w)
            - 0.5 * np.einsum("ni,ij,nj->n", test - m, np.linalg.inv(C), test - m)
            - 0.5 * np.linalg.slogdet(2 * np.pi * C)[1]
            for w, m, C in zip(data.weights, data.means, data.covariances)
        ]
    )
)
figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for (name, curve), color in zip(curves.items(), ["0.4", "#2ca25f"]):
    ax.semilogx(*np.array(curve).T, "o-", color=color, label=name)
for (name, ((seconds, score), K)), color in zip(points.items(), ["#d95f0e", "#2c7fb8"]):
    ax.plot(seconds, score, "*", ms=15, color=color, label=f"{name} ({K} components)")
    print(f"{name}: {seconds:.2f} s, {score - truth:+.4f} nats from the truth")
for name, curve in curves.items():
    print(f"{name}: {curve[-1][0]:.2f} s, {curve[-1][1] - truth:+.4f}")
ax.axhline(truth, color="k", ls=":", label="true density")
ax.set(xlabel="seconds of fit", ylabel="held-out log-density per row")
ax.legend(loc="lower right")
plt.show()

# %%
# One pass without knowing the number comes within a tenth of a nat of the truth at
# once; refined, it finds the eight components and the density of batch EM.
