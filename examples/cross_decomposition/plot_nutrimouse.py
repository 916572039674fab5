"""
Which genes go with which fatty acids?
======================================

The livers of forty mice: 120 genes and 21 fatty acids, two genotypes and five diets.
Which few genes vary together with which few fatty acids, and is it more than what
chance makes of 2,520 pairs?
"""

# %%
# With more genes than mice, canonical correlation without a penalty is 1 whatever the
# data. The bound on the weights is chosen by a permutation test: mice of one view are
# shuffled, and the correlation of the data is compared with those of shuffled data at
# the same bound. The genotype and the diet are not used.

import matplotlib.pyplot as plt
import numpy as np

from skstruct.cross_decomposition import SparseCCA, permutation_test
from skstruct.datasets import load_nutrimouse

mice = load_nutrimouse()
bounds = [0.1, 0.2, 0.3, 0.5, 0.8]
test = permutation_test(
    SparseCCA(), mice.gene, mice.lipid, [{"l1_ratio": b} for b in bounds],
    n_permutations=499, random_state=0,
)  # fmt: skip
cca = SparseCCA(2, **test.best_params).fit(mice.gene, mice.lipid)
T, S = cca.transform(mice.gene, mice.lipid)

# %%
# The weights of the first pair, and both pairs of scores: genes against fatty acids.

fig = plt.figure(figsize=(11, 6.4), layout="constrained")
grid = fig.add_gridspec(2, 3, width_ratios=[1.05, 1, 1])

ax = fig.add_subplot(grid[:, 0])
weights, names, colours = [], [], []
for W, labels, colour in (
    (cca.y_weights_, mice.lipid_names, "tab:orange"),
    (cca.x_weights_, mice.gene_names, "tab:blue"),
):
    used = np.flatnonzero(W[:, 0])
    for j in used[np.argsort(np.abs(W[used, 0]))]:
        weights.append(W[j, 0])
        names.append(labels[j])
        colours.append(colour)
ax.barh(range(len(weights)), weights, color=colours)
ax.set_yticks(range(len(weights)), names)
ax.axvline(0, color="0.5", linewidth=0.8)
ax.set_title("Pair 1: genes (blue), fatty acids (orange)")
ax.set_xlabel("weight")

for k, cell in enumerate((grid[0, 1], grid[0, 2])):
    ax = fig.add_subplot(cell)
    for genotype, marker in (("wt", "o"), ("ppar", "^")):
        for d, diet in enumerate(np.unique(mice.diet)):
            rows = (mice.genotype == genotype) & (mice.diet == diet)
            ax.plot(
                T[rows, k], S[rows, k], marker, color=f"C{d}", alpha=0.8,
                label=diet if genotype == "wt" else None,
            )  # fmt: skip
    ax.set_title(f"pair {k + 1}: correlation {cca.correlations_[k]:.2f}")
    ax.set_xlabel("score of the genes")
    ax.set_ylabel("score of the fatty acids")
    if k == 0:
        ax.legend(
            fontsize="small", title="circle: wt\ntriangle: ppar", frameon=False,
            loc="upper left", handletextpad=0.2, title_fontsize="small",
        )  # fmt: skip

ax = fig.add_subplot(grid[1, 1:])
parts = ax.violinplot(list(test.permuted_correlations), widths=0.7, showextrema=False)
for body in parts["bodies"]:
    body.set_facecolor("0.6")
places = np.arange(1, len(bounds) + 1)
ax.plot(places, test.correlations, "D", color="tab:red", label="the data")
for place, r, p in zip(places, test.correlations, test.p_values_corrected):
    ax.annotate(
        f"p = {p:.3f}", (place, r), xytext=(0, 8), textcoords="offset points",
        ha="center",
    )  # fmt: skip
ax.set_ylim(top=1.0)
ax.set_xticks(places, [f"{b:g}" for b in bounds])
ax.set_xlabel("l1_ratio")
ax.set_ylabel("first correlation")
ax.set_title("499 shuffles of the mice (grey) and the data")
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# The data stand furthest above the shuffles at ``l1_ratio=0.3``. There sixteen genes
# go with two fatty acids, stearic acid (C18.0) against C16.1n.9, and though nobody
# told the method of the genotype, the first pair of scores separates it: triangles
# on one side, circles on the other, but for the mice on coconut oil.

for name, score in (("genes", T[:, 0]), ("fatty acids", S[:, 0])):
    means = [score[mice.genotype == g].mean() for g in ("wt", "ppar")]
    print(f"{name}: mean score {means[0]:.1f} (wt), {means[1]:.1f} (ppar)")
