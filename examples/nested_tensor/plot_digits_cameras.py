"""
==============================
Digits in five unequal cameras
==============================

Five cameras photograph the same handwritten digits. One has half the gain, one is so
noisy that it shows nothing. Can the digits be clustered without being told which
camera is good?
"""

# %%
# The digits 0 to 4 of scikit-learn, 8 x 8 pixels with 17 grey levels. No picture alone
# is easy to read: the noise is 8 to 60 grey levels.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from skstruct.tensor import NestedTensorClustering

images, digits = load_digits(n_class=5, return_X_y=True)
rng = np.random.default_rng(0)
gains = np.array([1.0, 0.8, 1.2, 0.5, 1.0])
noise = np.array([8.0, 12.0, 16.0, 8.0, 60.0])
X = images[:, :, None] * gains + noise * rng.standard_normal((*images.shape, 5))

# %%
# Gains and noise levels of the cameras come out of the fit; each camera is weighted by
# its gain over its noise variance.

model = NestedTensorClustering(5, random_state=0).fit(X)
print("estimated noise", np.sqrt(model.view_noise_variances_).round(1))
print("weights        ", model.view_weights_.round(2))

# %%
# The alternatives: k-means on the average picture, on all pixels of all cameras side
# by side, and on the best camera.


def k_means(table):
    return KMeans(5, n_init=10, random_state=0).fit_predict(table)


scores = {
    "five cameras,\nNestedTensorClustering": adjusted_rand_score(digits, model.labels_),
    "best camera, KMeans": adjusted_rand_score(digits, k_means(X[:, :, 0])),
    "average, KMeans": adjusted_rand_score(digits, k_means(X.mean(axis=2))),
    "side by side, KMeans": adjusted_rand_score(digits, k_means(X.reshape(len(X), -1))),
}

# %%
# The cameras, their weighted mean, and the agreement with the digits.

fig = plt.figure(figsize=(9, 5.4), layout="constrained")
pictures, bars = fig.subfigures(2, 1, height_ratios=[1.25, 1])
axes = pictures.subplots(3, 7)
mean = X @ model.view_weights_
denoised = model.transform(X) @ model.components_
for row, i in enumerate([0, 1, 2]):
    shown = [X[i, :, k] for k in range(5)] + [mean[i], denoised[i]]
    for ax, picture in zip(axes[row], shown):
        ax.imshow(picture.reshape(8, 8), cmap="gray_r")
        ax.set_axis_off()
titles = [
    *(f"camera {k + 1}\nweight {w:.2f}" for k, w in enumerate(model.view_weights_)),
    "weighted\nmean",
    "its signal",
]
for ax, title in zip(axes[0], titles):
    ax.set_title(title, fontsize=9)
ax = bars.subplots()
names = list(scores)[::-1]
ax.barh(names, [scores[name] for name in names], color=["0.7"] * 3 + ["C0"])
ax.set_xlim(0, 1)
ax.set_xlabel("agreement with the true digits (adjusted Rand index)")

# %%
# The ruined camera gets a weight near zero, and the five cameras together are read
# better than the best of them alone, while averaging and stacking let the ruined one
# spoil the rest.

plt.show()
