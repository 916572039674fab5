"""
Noticing what was never seen
============================

A classifier that has learned the digits 0 to 7 meets an 8 and a 9. Does the density
of the mixture notice, and better than detectors made for the purpose?
"""

# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import LocalOutlierFactor

from skstruct.mixture import IncrementalGaussianMixtureClassifier

# %%
# Twenty principal components of the digits below 8, streamed once, a mixture per class.

X, y = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(y))
X, y = X[order], y[order]
known = y < 8
train = np.flatnonzero(known)[:900]
test = np.setdiff1d(np.arange(len(y)), train)
pca = PCA(20).fit(X[train])
Z = pca.transform(X)

model = IncrementalGaussianMixtureClassifier(delta=1.0, beta=0.0)
for batch in np.array_split(train, 9):
    model.partial_fit(Z[batch], y[batch], classes=np.arange(8))
new = y[test] >= 8
accuracy = np.mean(model.predict(Z[test][~new]) == y[test][~new])
print(f"accuracy on known digits {accuracy:.3f}")

# %%
# Novelty is minus the log-density of the row.

scores = {
    "mixtures, one pass": -model.score_samples(Z[test]),
    "isolation forest": -IsolationForest(random_state=0)
    .fit(Z[train])
    .score_samples(Z[test]),
    "local outlier factor": -LocalOutlierFactor(novelty=True)
    .fit(Z[train])
    .score_samples(Z[test]),
}

# %%
# How well each tells 8 and 9 from the known digits, and the images that look newest.

figure = plt.figure(figsize=(11, 3.9), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.2])
ax = left.subplots()
for name, score in scores.items():
    auc = roc_auc_score(new, score)
    ax.plot(*roc_curve(new, score)[:2], label=f"{name}, area {auc:.3f}")
    print(f"{name}: area under the curve {auc:.3f}")
ax.plot([0, 1], [0, 1], "k:", lw=1)
ax.set(xlabel="known digits called new", ylabel="new digits found")
ax.legend(loc="lower right")

ours = scores["mixtures, one pass"]
panels = right.subplots(2, 6)
for row, (title, chosen) in zip(
    panels,
    [
        ("newest of all", np.argsort(-ours)[:6]),
        (
            "newest among known digits",
            np.flatnonzero(~new)[np.argsort(-ours[~new])[:6]],
        ),
    ],
):
    for ax, i in zip(row, chosen):
        ax.imshow(X[test][i].reshape(8, 8), cmap="gray_r")
        ax.set(xticks=[], yticks=[], xlabel=str(y[test][i]))
    row[0].set_title(title, loc="left")
plt.show()

# %%
# One pass of class densities separates unseen digits better than the two detectors,
# while it classifies the known ones.
