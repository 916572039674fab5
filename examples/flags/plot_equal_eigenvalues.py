"""
Which principal components can be told apart?
=============================================

Principal components are interpreted one by one. But when two eigenvalues are close,
their eigenvectors are an accident of the sample: only the plane they span is real.
Principal subspace analysis says which components belong together.
"""

# %%
# The 30 standardised measurements of the breast cancer data.
# :class:`~skstruct.decomposition.PrincipalSubspaceAnalysis` chooses the multiplicities
# of the eigenvalues among all 2^29 possibilities by BIC. To check the choice, the
# rows are resampled: how far do the components, and the chosen subspaces, move?

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from skstruct.decomposition import PrincipalSubspaceAnalysis
from skstruct.subspace import flag_distance

X = StandardScaler().fit_transform(load_breast_cancer().data)
n, p = X.shape
psa = PrincipalSubspaceAnalysis().fit(X)
plain = PrincipalSubspaceAnalysis((1,) * p).fit(X)
print("multiplicities:", psa.flag_type_)
print(f"BIC {psa.bic_:.0f}, all distinct {plain.bic_:.0f}")

first = [b for b in np.cumsum((0, *psa.flag_type_)) if b <= 14]
blocks = list(pairwise(first))
n_shown = first[-1]


def directions(Z):
    return np.linalg.svd(Z - Z.mean(axis=0), full_matrices=False)[2].T


V = directions(X)
rng = np.random.default_rng(0)
resampled = np.stack([directions(X[rng.integers(n, size=n)]) for _ in range(100)])


def moved(columns):
    """Median angle (degrees) by which a subspace moves, per dimension."""
    m = columns.stop - columns.start
    d = flag_distance(resampled[:, :, columns], V[:, columns], m, metric="arc")[:, 0]
    return np.degrees(np.median(d) / np.sqrt(m))


alone = [moved(slice(j, j + 1)) for j in range(n_shown)]
together = [moved(slice(a, b)) for a, b in blocks]

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for i, (a, b) in enumerate(blocks):
    x = np.arange(a, b) + 1
    for ax in axes:
        ax.axvspan(a + 0.6, b + 0.4, color=f"C{i % 2}", alpha=0.15, lw=0)
    axes[0].plot(x, np.full(b - a, psa.block_variance_[i]), "C3-", lw=3)
    axes[1].plot(x, np.full(b - a, together[i]), "C3-", lw=3)
    if b - a == 1:
        axes[0].plot(x, psa.block_variance_[i], "C3_", ms=12, mew=3)
        axes[1].plot(x, together[i], "C3_", ms=12, mew=3)
components = np.arange(n_shown) + 1
axes[0].plot(components, psa.eigenvalues_[:n_shown], "ko", label="sample eigenvalue")
axes[0].plot([], [], "C3-", lw=3, label="model")
axes[0].set(yscale="log", xlabel="component", ylabel="variance")
axes[0].legend(frameon=False)
axes[1].plot(components, alone, "ko", label="single component")
axes[1].plot([], [], "C3-", lw=3, label="its block")
axes[1].set(xlabel="component", ylabel="moved by resampling (degrees)")
axes[1].legend(frameon=False)
plt.show()

# %%
# Components 8 to 13 turn by 30 to 55 degrees from one resample to the next, the two
# subspaces that they are pooled to by about 20: it is the subspaces that can be
# interpreted.
