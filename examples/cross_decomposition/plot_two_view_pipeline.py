"""
A canonical correlation as a step in front of a regression
==========================================================

The left half of a handwritten digit is known and the right half is to be predicted. How
few numbers made of the left half are enough? Principal components keep what varies in
the left half; canonical correlation keeps what the right half can use.
"""

# %%
# ``fit_transform`` of the two-view classes returns the scores of X alone, so they are a
# step like any other: the pipeline hands the right half to both steps as ``y``.
# (``fit_transform`` of :class:`sklearn.cross_decomposition.CCA` returns a pair, which
# no regression accepts.)

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skstruct.cross_decomposition import SparseCCA

images = load_digits().images
left, right = (A.reshape(len(A), -1) for A in (images[:, :, :4], images[:, :, 4:]))
right = right[:, right.std(axis=0) > 0]
folds = KFold(5, shuffle=True, random_state=0)


def explained(estimator):
    """Share of the squares of the right half that held-out predictions explain."""
    error = right - cross_val_predict(estimator, left, right, cv=folds)
    return 1 - np.sum(error**2) / np.sum((right - right.mean(axis=0)) ** 2)


# %%
# The penalty of :class:`~skstruct.cross_decomposition.SparseCCA` is small, since there
# are many images: each component uses a third of the pixels.

makers = {
    "PCA, Ridge": lambda k: make_pipeline(PCA(k, random_state=0), Ridge()),
    "PLSRegression": PLSRegression,
    "SparseCCA, Ridge": lambda k: make_pipeline(
        SparseCCA(k, method="ipls", alpha=0.03), Ridge()
    ),
}
ranks = [1, 2, 3, 4, 6, 8, 10]
curves = {name: [explained(make(k)) for k in ranks] for name, make in makers.items()}
whole = explained(make_pipeline(StandardScaler(), Ridge()))
cca = SparseCCA(4, method="ipls", alpha=0.03).fit(left, right)

fig = plt.figure(figsize=(10, 4), layout="constrained")
grid = fig.add_gridspec(2, 4, width_ratios=[2, 2, 1, 1])
ax = fig.add_subplot(grid[:, :2])
for name, curve in curves.items():
    ax.plot(ranks, curve, "o-", label=name)
ax.axhline(whole, color="0.4", linestyle="--", label="Ridge on all pixels")
ax.set_xlabel("number of components")
ax.set_ylabel("share of the right half explained")
ax.legend(frameon=False)
limit = np.abs(cca.x_weights_).max()
for k in range(4):
    ax = fig.add_subplot(grid[k // 2, 2 + k % 2])
    pixels = np.zeros((8, 8))
    pixels[:, :4] = cca.x_weights_[:, k].reshape(8, 4)
    pixels[:, 4:].flat[images[:, :, 4:].reshape(len(images), -1).std(axis=0) > 0] = (
        cca.y_weights_[:, k]
    )
    ax.imshow(pixels, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.axvline(3.5, color="0.3")
    ax.set_title(f"pair {k + 1}: {cca.correlations_[k]:.2f}", fontsize="medium")
    ax.set_xticks([])
    ax.set_yticks([])
plt.show()

# %%
# At every number of components the canonical scores predict more than as many principal
# components or partial least squares, and eight of them already predict more than all
# pixels at once. On the right the weights of the first four pairs: most pixels are not
# used (white).

at_eight = {
    name: round(float(curve[ranks.index(8)]), 3) for name, curve in curves.items()
}
print(f"eight components: {at_eight}; Ridge on all pixels: {whole:.3f}")
