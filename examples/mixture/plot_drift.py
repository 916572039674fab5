"""
A drifting stream, followed by forgetting
=========================================

Three clusters wander while rows arrive. Does one pass keep up with them, and what does
forgetting cost when nothing moves?
"""

# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np

from skstruct.datasets import make_gaussian_stream
from skstruct.mixture import IncrementalGaussianMixture

# %%
# Twenty thousand rows in two dimensions. Every centre travels twenty standard
# deviations in its own direction; a second stream of the same kind stands still.

streams = {
    name: make_gaussian_stream(
        20_000, 2, n_components=3, separation=6.0, drift=drift, random_state=6
    )
    for name, drift in [("drifting", 20.0), ("standing still", 0.0)]
}

# %%
# Each batch of 250 rows is scored before it is learned, as a monitor would do it.

forgetting = [1.0, 0.999, 0.99]
curves = {}
models = {}
for name, data in streams.items():
    for f in forgetting:
        model = IncrementalGaussianMixture(
            delta=0.5, beta=1e-4, init_variance=1.0, forgetting=f, v_min=500, sp_min=3
        )
        scores = []
        for batch in np.array_split(data.X, 80):
            if scores or hasattr(model, "n_components_"):
                scores.append(model.score(batch))
            model.partial_fit(batch)
        curves[name, f] = np.array(scores)
        models[name, f] = model

for (name, f), scores in curves.items():
    print(f"{name:15s} forgetting {f:5}: mean score {scores[20:].mean():.3f}")

# %%
# The score ahead of learning, and where the components stand at the end.

figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
colors = {1.0: "0.6", 0.999: "#2c7fb8", 0.99: "#d95f0e"}
for ax, name in zip(axes, streams):
    for f in forgetting:
        ax.plot(
            np.arange(1, 80) * 250,
            curves[name, f],
            color=colors[f],
            label="no forgetting" if f == 1 else f"forgetting {f}",
        )
    ax.set(title=f"Stream {name}", xlabel="rows seen", ylim=(-7.5, -3.5))
axes[0].set_ylabel("log-density of the next batch")
axes[1].legend(loc="lower right")

data = streams["drifting"]
axes[2].scatter(*data.X[::40].T, s=2, color="0.8")
axes[2].scatter(*data.X[-250:].T, s=3, color="0.3", label="last 250 rows")
for f in (1.0, 0.99):
    model = models["drifting", f]
    for mean, C, weight in zip(model.means_, model.covariances_, model.weights_):
        if weight < 0.03:
            continue
        angle = np.linspace(0, 2 * np.pi, 60)
        circle = 2 * np.linalg.cholesky(C) @ [np.cos(angle), np.sin(angle)]
        axes[2].plot(*(mean[:, None] + circle), color=colors[f], lw=2)
axes[2].set(title="Components at the end (2 sd)")
axes[2].legend(loc="center left")
plt.show()

# %%
# Without forgetting components stretch over all places where a cluster has been; with
# a memory of a hundred rows they sit on the present clusters, and where nothing moves
# that short memory costs little.
