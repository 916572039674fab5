"""
A hidden common cause turns correlation into arrows
===================================================

Five variables, of which three share a cause that nobody measured. What does a method
make of the table that knows of no hidden causes, and what one that looks for them?
"""

# %%
# The first three variables depend on the latent L; besides, 0 causes 1 and 2 causes 3.
# Without latents (``max_latents=0``) the same estimator is a LiNGAM fit.

import matplotlib.pyplot as plt
import numpy as np

from skstruct.causal import CumulantLvLiNGAM
from skstruct.datasets import make_latent_lingam
from skstruct.plotting import CausalGraphDisplay

data = make_latent_lingam("D1", n_samples=3000, random_state=0)
without = CumulantLvLiNGAM(max_latents=0, random_state=0).fit(data.X)
model = CumulantLvLiNGAM(random_state=0).fit(data.X)
resampled = model.bootstrap(data.X, 20, warm=True)

fig, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
truth = CausalGraphDisplay(data.adjacency_matrix, data.latent_loadings)
truth.plot(axes[0])
CausalGraphDisplay.from_estimator(without, ax=axes[1])
CausalGraphDisplay.from_estimator(model, bootstrap=resampled, ax=axes[2])
axes[0].set_title("truth")
axes[1].set_title(f"no latents allowed: criterion {without.criterion_:.0f}")
axes[2].set_title(f"latents allowed: criterion {model.criterion_:.0f}")
plt.show()

# %%
# Without latents the shared cause becomes arrows among its children that are not there.
# With them the graph is the true one, and the standard errors say how well each
# coefficient is known.

for i, j in np.argwhere(model.effects_):
    print(
        f"{j} -> {i}: {model.effects_[i, j]:.2f} +- {model.adjacency_se_[i, j]:.2f}, "
        f"truth {data.adjacency_matrix[i, j]:.2f}"
    )
