"""
============================
More views, or cleaner ones?
============================

An experiment gave clusters with many errors. Would more repetitions of the same
measurement help, or better measurements, or only other samples? The fitted
signal-to-noise ratios tell, before anything is measured again.
"""

# %%
# 200 samples, 100 features, and ten noisy views.

import matplotlib.pyplot as plt
import numpy as np

from skstruct.datasets import make_nested_tensor
from skstruct.plotting import PhaseDiagramDisplay
from skstruct.tensor import NestedTensorClustering, weighted_mean_theory

cases = {
    "views too noisy": make_nested_tensor(
        200, 100, 10, beta_T=0.5, beta_M=2.5, random_state=0
    ),
    "clusters too near": make_nested_tensor(
        200, 100, 10, beta_T=3.0, beta_M=1.1, random_state=1
    ),
}
models = {name: NestedTensorClustering(2).fit(data.X) for name, data in cases.items()}

# %%
# The bound for known view weights depends on two ratios: ``beta_T_`` compares the views
# with their noise, ``beta_M_`` the clusters with the spread of the samples. More views
# of the same kind raise ``beta_T``; nothing but other samples or features changes
# ``beta_M``. With infinitely many views ``beta_T`` is infinite.

for name, model in models.items():
    now = weighted_mean_theory((100, 200, 10), model.beta_T_, model.beta_M_[0])
    best = weighted_mean_theory((100, 200, 10), np.inf, model.beta_M_[0])
    print(
        f"{name}: cosine to the truth {now**0.5:.2f}, "
        f"with infinitely many views {best**0.5:.2f}"
    )

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for ax, (name, model) in zip(axes, models.items()):
    PhaseDiagramDisplay.from_estimator(model, ax=ax)
    ax.set_title(f"{name}: expected accuracy {model.predicted_accuracy_:.2f}")

# %%
# On the left, upwards leads to higher accuracy: more or cleaner views will help. On
# the right, the way up is flat: no number of further views will do what the samples do
# not show.

plt.show()
