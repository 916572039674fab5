"""
Finding foreign digits among zeros
==================================

Ninety images of a handwritten zero and ten of other digits. Principal components
describe the zeros, and an image far from their subspace is suspect. But the foreign
digits take part in the fit, and with every further component there is more room for
them. How many components are too many?
"""

# %%
# The outlier score is the distance to the subspace of the leading components, from PCA
# and from :class:`~skstruct.decomposition.RobustFlagPCA`; the latter also has a
# density. The area under the ROC curve is averaged over eight draws of the images.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from skstruct.decomposition import RobustFlagPCA

digits = load_digits()
zeros = np.flatnonzero(digits.target == 0)
foreign = np.flatnonzero(digits.target != 0)
labels = np.repeat([0, 1], [90, 10])


def draw(seed):
    rng = np.random.default_rng(seed)
    return digits.data[
        np.r_[rng.permutation(zeros)[:90], rng.permutation(foreign)[:10]]
    ]


def pca_residuals(X, k):
    pca = PCA(k).fit(X)
    return np.linalg.norm(X - pca.inverse_transform(pca.transform(X)), axis=1)


numbers = [1, 2, 3, 5, 8, 12, 20]
aucs = {
    "RobustFlagPCA, density": [],
    "RobustFlagPCA, residual": [],
    "PCA, residual": [],
}
forest = []
for seed in range(8):
    X = draw(seed)
    robust = [RobustFlagPCA(k, n_init=1).fit(X) for k in numbers]
    found = [
        [-fitted.score_samples(X) for fitted in robust],
        [fitted.outlier_scores_ for fitted in robust],
        [pca_residuals(X, k) for k in numbers],
    ]
    for curve, scores in zip(aucs.values(), found):
        curve.append([roc_auc_score(labels, s) for s in scores])
    isolation = IsolationForest(random_state=0).fit(X)
    forest.append(roc_auc_score(labels, -isolation.score_samples(X)))

fig, axes = plt.subplots(
    1, 2, figsize=(10.5, 4), layout="constrained", width_ratios=[1.1, 1]
)
for (name, curve), style in zip(aucs.items(), ["o-", "s-", "^--"]):
    axes[0].plot(numbers, np.mean(curve, axis=0), style, label=name)
axes[0].axhline(np.mean(forest), color="0.5", ls=":", label="IsolationForest")
axes[0].set(xlabel="number of components", ylabel="AUC")
axes[0].legend(frameon=False)

# The ten most suspect images with twelve components; foreign digits are dark red.
X = draw(0)
scores = [RobustFlagPCA(12, n_init=1).fit(X).outlier_scores_, pca_residuals(X, 12)]
image = np.ones((42, 50, 3))
for half, s in enumerate(scores):
    for place, i in enumerate(np.argsort(s)[::-1][:10]):
        y, x = 22 * half + 10 * (place // 5) + 1, 10 * (place % 5) + 1
        ink = X[i].reshape(8, 8, 1) / 16
        color = np.array([0.25, 1, 1]) if labels[i] else np.array([1, 1, 1])
        image[y : y + 8, x : x + 8] = 1 - ink * color
axes[1].imshow(image)
axes[1].set(xticks=[], yticks=[10, 31], yticklabels=["Robust", "PCA"])
axes[1].set_title("Most suspect with 12 components (foreign: red)")
plt.show()

# %%
# The subspace of PCA swallows foreign digits as soon as it has dimensions to spare,
# that of RobustFlagPCA does so later, and its density, which also asks how far an image
# lies out inside the subspace, hardly minds the number of components at all.
