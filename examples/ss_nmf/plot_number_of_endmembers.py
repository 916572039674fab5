"""
=======================================
How many materials are in the image?
=======================================

The reconstruction error falls with every further endmember and cannot tell. Can
prediction tell?
"""

# %%
# A scene of four materials with noise of 20 dB, and the place of each pixel, so that a
# fold knows which of its pixels are neighbours.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, KFold

from skstruct.datasets import make_hyperspectral_scene
from skstruct.decomposition import StructuredSparseNMF
from skstruct.model_selection import one_standard_error
from skstruct.plotting import RankSelectionDisplay

scene = make_hyperspectral_scene((32, 32), snr=20, random_state=1)
positions = np.argwhere(np.ones(scene.image_shape))

# %%
# The score hides 30 % of the bands of held-out pixels and predicts them from the
# others.

search = GridSearchCV(
    StructuredSparseNMF(n_init=3, random_state=0),
    {"n_components": range(3, 9)},
    cv=KFold(4, shuffle=True, random_state=0),
    refit=one_standard_error,
).fit(scene.X, positions=positions)
print(f"chosen: {search.best_params_['n_components']} endmembers")

# %%
# The plain reconstruction error of the training image, for comparison.

plain = [
    StructuredSparseNMF(K, alpha=0, tol=1e-5, random_state=0)
    .fit(scene.X)
    .reconstruction_err_
    for K in range(3, 9)
]

# %%
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
axes[0].plot(range(3, 9), plain, "o-", color="0.4")
axes[0].set_xlabel("n_components")
axes[0].set_ylabel("reconstruction error")
axes[0].set_title("Reconstruction always asks for more")
RankSelectionDisplay.from_search(search, ax=axes[1])
axes[1].set_title("Prediction of hidden bands stops at four")
plt.show()

# %%
# The held-out score rises steeply to four endmembers and not beyond, and the
# one-standard-error rule picks the true number.
