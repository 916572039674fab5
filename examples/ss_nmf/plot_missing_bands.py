"""
==========================
Spectra with missing bands
==========================

Dead detector elements, absorption bands and cosmic rays leave holes in a cube. Must
they be filled before unmixing?
"""

# %%
# Simulated scenes with 20 dB of noise, of which growing shares of the values are lost.

import matplotlib.pyplot as plt
import numpy as np

from skstruct.datasets import make_hyperspectral_scene
from skstruct.decomposition import StructuredSparseNMF
from skstruct.impute import SoftImputer
from skstruct.metrics import unmixing_scores

shares = [0.0, 0.1, 0.2, 0.4, 0.6, 0.8]
seeds = range(3)

# %%
# NaN can go into ``fit`` as it is: only the known values count, and every step still
# lowers their objective. The other ways fill the holes beforehand, by the mean of the
# band or by a low-rank matrix.


def band_means(X):
    return np.where(np.isnan(X), np.nanmean(X, axis=0), X)


def low_rank(X):
    return np.maximum(SoftImputer().fit_transform(X), 0)


ways = {
    "band means first": band_means,
    "SoftImputer first": low_rank,
    "NaN in fit": lambda X: X,
}

# %%
sad = np.zeros((len(ways), len(shares)))
for j, share in enumerate(shares):
    for seed in seeds:
        scene = make_hyperspectral_scene(snr=20, random_state=seed)
        lost = np.random.default_rng(seed).random(scene.X.shape) < share
        X = np.where(lost, np.nan, scene.X)
        for i, fill in enumerate(ways.values()):
            model = StructuredSparseNMF(
                4, image_shape=scene.image_shape, random_state=0
            ).fit(fill(X))
            scores = unmixing_scores(scene.endmembers, model.components_)
            sad[i, j] += scores.mean_sad / len(seeds)

# %%
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for name, values, style, colour in zip(
    ways, sad, ["v:", "s--", "o-"], ["0.5", "C0", "C3"]
):
    ax.plot(np.multiply(shares, 100), values, style, color=colour, label=name)
ax.set_xlabel("values lost (%)")
ax.set_ylabel("spectral angle to the true endmembers (radians)")
ax.set_ylim(bottom=0)
ax.legend(frameon=False)
ax.set_title("What is not measured need not be invented")
plt.show()

# %%
# With six values in ten lost the angle has not doubled, where filling by a low-rank
# matrix makes it more than three times as large: whatever fills a hole shrinks towards
# a mean, and then takes part in the fit as if it had been measured.
