"""
Cause, confounding, or both?
============================

Two variables are correlated. With non-Gaussian noise their higher cumulants tell
whether one causes the other, a hidden cause moves both, or both at once. How many rows
does it take?
"""

# %%
# For each structure 20 pairs are simulated with skewed noise, coefficients between 0.5
# and 1, at four sizes.

import matplotlib.pyplot as plt
import numpy as np

from skstruct.causal import CumulantPairwise

structures = ["x->y", "latent", "latent,x->y"]
sizes = [500, 2000, 8000, 32000]


def pair(structure, n, rng):
    L, x, y = rng.exponential(size=(3, n)) - 1
    a, b, c = rng.uniform(0.5, 1, 3) * rng.choice([-1, 1], 3)
    if "latent" in structure:
        x, y = x + a * L, y + b * L
    if "->" in structure:
        y = y + c * x
    return np.column_stack([x, y])


right = np.zeros((len(structures), len(sizes)))
for s, structure in enumerate(structures):
    for k, n in enumerate(sizes):
        for seed in range(20):
            X = pair(structure, n, np.random.default_rng([seed, s]))
            right[s, k] += CumulantPairwise().fit(X).structure_ == structure

fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for line, structure in zip(right / 20, structures):
    ax.plot(sizes, line, "o-", label=structure)
ax.set_xscale("log")
ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
ax.minorticks_off()
ax.set_ylim(0, 1.05)
ax.set_xlabel("rows")
ax.set_ylabel("share with exactly the right structure")
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# An edge is recognised from some hundred rows, alone or beside a hidden cause. A hidden
# cause alone takes thousands: with few rows it is confused with an edge.
