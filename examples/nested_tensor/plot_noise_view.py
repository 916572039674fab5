"""
=============================================
One view that is pure noise, method by method
=============================================

Twenty sensors measure the same 200 samples; one of them breaks and gets louder and
louder. Which methods notice?
"""

# %%
# Two clusters with strong enough differences that nineteen sensors tell them apart
# nearly perfectly. The broken sensor shows noise alone, of growing strength.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans

from skstruct.datasets import make_nested_tensor
from skstruct.tensor import NestedTensorClustering

loudness = np.array([1, 2, 3, 5, 10, 20, 50])
gains = np.r_[0.0, np.ones(19)]


def accuracy(labels, truth):
    same = np.mean(labels == truth)
    return max(same, 1 - same)


def k_means(table):
    return KMeans(2, n_init=10, random_state=0).fit_predict(table)


programs = {
    'NestedTensorClustering, view_noise="diag"': lambda X: (
        NestedTensorClustering().fit_predict(X)
    ),
    "rank-one tensor, equal noise": lambda X: NestedTensorClustering(
        method="tensor", view_noise="homoscedastic"
    ).fit_predict(X),
    "leading eigenvector, equal noise": lambda X: NestedTensorClustering(
        view_noise="homoscedastic"
    ).fit_predict(X),
    "KMeans, views averaged": lambda X: k_means(X.mean(axis=2)),
    "KMeans, views side by side": lambda X: k_means(X.reshape(len(X), -1)),
}

# %%
# Three draws for each loudness.

found = {name: np.zeros((3, len(loudness))) for name in programs}
for seed in range(3):
    for j, level in enumerate(loudness):
        data = make_nested_tensor(
            200, 100, 20, beta_T=1.5, beta_M=3.0, view_weights=gains,
            view_noise=np.r_[level, np.ones(19)], random_state=seed,
        )  # fmt: skip
        for name, program in programs.items():
            with warnings.catch_warnings():
                # Some warn that they see no signal; they are right.
                warnings.simplefilter("ignore")
                found[name][seed, j] = accuracy(program(data.X), data.labels)

# %%
fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
for (name, values), marker in zip(found.items(), "os^Dv"):
    ax.plot(loudness, values.mean(axis=0), marker=marker, label=name)
ax.set_xscale("log")
ax.set_xticks(loudness, loudness)
ax.minorticks_off()
ax.set_ylim(0.45, 1.02)
ax.set_xlabel("noise of the broken sensor (others: 1)")
ax.set_ylabel("accuracy")
ax.set_title("One of 20 sensors shows noise alone")
fig.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)

# %%
# With a noise level of its own for each view the broken sensor is simply left out,
# however loud it is; a method that takes views for equally noisy mistakes it for the
# signal as soon as it is a few times as loud as the others.

plt.show()
