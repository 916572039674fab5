"""
Networks as mixtures of three of them
=====================================

Fifteen weighted networks on ten nodes have no common node order, so they are compared
by the eigenvalues of their adjacency matrices. Some are stars, some double stars, some
complete. Can a few of the networks themselves describe all?
"""

# %%
# The references are the three networks that leave least unexplained of the spectra,
# over all triples. ``manifold="spectra"`` keeps projected spectra sorted. Convex
# weights make every network a mixture of the three.

import matplotlib.pyplot as plt
import numpy as np

from skstruct.decomposition import BarycentricSubspaceAnalysis

rng = np.random.default_rng(0)
star, double = np.zeros((10, 10)), np.zeros((10, 10))
star[0, 1:] = double[0, 1:6] = double[5, 6:] = 1
kinds = [star] * 6 + [double] * 5 + [np.triu(np.ones((10, 10)), 1)] * 4
# Three more networks are half one kind, half another.
kinds += [(star + double) / 2, (star + kinds[-1]) / 2, (double + kinds[-1]) / 2]
networks = np.array([g * (1 + 0.05 * rng.standard_normal(g.shape)) for g in kinds])
networks = networks + networks.transpose(0, 2, 1)
names = [*["star"] * 6, *["double star"] * 5, *["complete"] * 4]
names += ["star + double", "star + complete", "double + complete"]

model = BarycentricSubspaceAnalysis(
    2, manifold="spectra", strategy="pure", weights="convex", output="weights"
)
weights = model.fit(networks[:15]).transform(networks)
references = model.reference_indices_
print("references:", [names[i] for i in references])

# %%
# The weights of a network are its place in a triangle.

corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])
places = weights @ corners
fig, ax = plt.subplots(figsize=(6.4, 5), layout="constrained")
ax.fill(*corners.T, facecolor="0.96", edgecolor="0.6")
for name in dict.fromkeys(names):
    rows = [i for i, n in enumerate(names) if n == name]
    marker = "o" if rows[0] < 15 else "*"
    size = 45 if rows[0] < 15 else 170
    ax.scatter(*places[rows].T, s=size, marker=marker, label=name, alpha=0.8)
for corner, i in zip(corners, references):
    ax.annotate(
        f"network {i} ({names[i]})",
        corner,
        xytext=(0, -16 if corner[1] == 0 else 10),
        textcoords="offset points",
        ha="center",
    )
ax.set_axis_off()
ax.set(xlim=(-0.25, 1.25), ylim=(-0.12, 1.0))
ax.legend(frameon=False, loc="upper right")
plt.show()

# %%
# One network of each kind is chosen although no label was given, and the networks of
# a kind gather at its corner. Spectra are not linear in the networks: the mixtures of
# two kinds (stars) lie inside the triangle, but not half way along its edges.
