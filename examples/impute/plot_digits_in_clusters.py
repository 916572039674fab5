"""
One subspace for all digits, or one for each kind?
==================================================

Thirty percent of the pixels of the handwritten digits are missing. All imputers that
are linear in the pixels, low-rank completion among them, assume one subspace for all
digits. Nearest neighbours do not. Can low-rank completion have both?
"""

# %%
# A first completion with :class:`~skstruct.impute.SoftImputer` is good enough to group
# the digits. :class:`~skstruct.impute.SoftImputerCV` then completes each group in a
# subspace of its own, with the penalty that hidden entries of the group choose.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from skstruct.impute import SoftImputer, SoftImputerCV

X = load_digits().data
hidden = np.random.default_rng(0).random(X.shape) < 0.3
Y = np.where(hidden, np.nan, X)
pixels = {"bounds": (0, 16), "keep_empty_features": True, "random_state": 0}
within = SoftImputerCV([5, 10, 20], n_components=15, cv=3, tol=1e-4, **pixels)


def rmse(Z):
    return np.sqrt(np.mean((Z - X)[hidden] ** 2))


rough = SoftImputer(30.0, 30, **pixels).fit_transform(Y)
n_clusters = [1, 5, 10, 20, 40]
errors = [rmse(rough)]
for k in n_clusters[1:]:
    groups = KMeans(k, n_init=3, random_state=0).fit_predict(rough)
    completed = np.empty_like(X)
    for group in range(k):
        rows = groups == group
        completed[rows] = within.fit_transform(Y[rows])
    errors.append(rmse(completed))

# %%
# The references, with the number of neighbours that is best on the hidden pixels.

neighbours = min(
    rmse(KNNImputer(n_neighbors=k, keep_empty_features=True).fit_transform(Y))
    for k in (5, 8, 12)
)
chained = IterativeImputer(max_iter=3, random_state=0, keep_empty_features=True)

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(n_clusters, errors, "o-", label="SoftImputer within clusters")
ax.axhline(neighbours, color="C3", linestyle="--", label="KNNImputer, best of 5, 8, 12")
ax.axhline(
    rmse(chained.fit_transform(Y)), color="0.5", linestyle=":", label="IterativeImputer"
)
ax.set_xscale("log")
ax.set_xticks(n_clusters, n_clusters)
ax.minorticks_off()
ax.set_xlabel("number of clusters")
ax.set_ylabel("RMSE of the hidden pixels (0 to 16)")
ax.legend(frameon=False)
plt.show()

# %%
# One subspace is as good as chained regressions, behind neighbours. From ten clusters
# on the completion within clusters is ahead of both.
