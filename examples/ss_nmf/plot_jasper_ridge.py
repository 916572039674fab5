"""
================================
Unmixing the Jasper Ridge scene
================================

Each pixel of this 100 x 100 image mixes trees, water, soil and road. Can their spectra
and maps be found without a spectral library? The scene comes with reference maps, so
the answer can be checked.
"""

# %%
# The data: 198 bands, scaled to [0, 1] by one factor. They are downloaded once.

import matplotlib.pyplot as plt
import numpy as np

from skstruct.datasets import fetch_jasper_ridge
from skstruct.decomposition import StructuredSparseNMF, fcls, vca
from skstruct.metrics import unmixing_scores
from skstruct.plotting import AbundanceMapDisplay

scene = fetch_jasper_ridge()

# %%
# Structured sparse NMF, and the usual two steps: pick the purest pixels, then solve
# for abundances that sum to one.

model = StructuredSparseNMF(4, image_shape=scene.image_shape, random_state=0)
model.fit(scene.X)
ours = unmixing_scores(
    scene.endmembers, model.components_, scene.abundances, model.abundances()
)
picked = vca(scene.X, 4, random_state=0)
plain_maps = fcls(scene.X, picked)
plain = unmixing_scores(scene.endmembers, picked, scene.abundances, plain_maps)
print(f"spectral angle   {ours.mean_sad:.3f}, VCA and FCLS {plain.mean_sad:.3f}")
print(f"error of maps    {ours.mean_rmse:.3f}, VCA and FCLS {plain.mean_rmse:.3f}")

# %%
# Maps and spectra. The dashed spectra are the reference.

AbundanceMapDisplay.from_estimator(
    model,
    order=ours.permutation,
    wavelengths=scene.wavelengths,
    names=scene.names,
    reference_endmembers=scene.endmembers,
)

# %%
# The three sets of maps below each other.

shape = (*scene.image_shape, 4)
rows = {
    "reference": scene.abundances,
    f"structured sparse NMF\nRMSE {ours.mean_rmse:.2f}": model.abundances()[
        :, ours.permutation
    ],
    f"VCA and FCLS\nRMSE {plain.mean_rmse:.2f}": plain_maps[:, plain.permutation],
}
figure, axes = plt.subplots(3, 4, figsize=(8.6, 6.6), layout="constrained")
for line, (title, maps) in zip(axes, rows.items()):
    for k, ax in enumerate(line):
        image = ax.imshow(np.reshape(maps, shape)[..., k], vmin=0, vmax=1)
        ax.set_xticks([])
        ax.set_yticks([])
    line[0].set_ylabel(title)
for ax, name in zip(axes[0], scene.names):
    ax.set_title(name)
figure.colorbar(image, ax=axes, label="abundance", shrink=0.7)
plt.show()

# %%
# The four maps agree with the reference, while the purest pixels alone confuse
# materials: a single pixel is noisy and shaded, and whatever is picked is final.
