"""
=====================================================
How far apart must clusters be, and for which method?
=====================================================

Two clusters of 300 samples are seen in 60 noisy views. How far apart must their
centres be until a method finds them, and does theory know beforehand?

The design is that of Lebeau, Seddik and Goulart (2024): 150 features, view gains of
total strength 1, and the distance of the centres from the origin on the axis.
"""

# %%
# The three methods find the view weights in different ways: by the Gram matrix of the
# views ("projection"), by the best rank-one approximation of the tensor, and by the
# unfolding of the tensor along its samples.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

from skstruct.datasets import make_nested_tensor
from skstruct.tensor import (
    NestedTensorClustering,
    nested_rank_one_theory,
    unfolding_theory,
    weighted_mean_theory,
)

shape = (150, 300, 60)  # features, samples, views
strength = 0.7
distances = np.linspace(0.25, 5, 14)
methods = ["projection", "tensor", "unfolding"]


def accuracy(model, labels):
    same = np.mean(model.labels_ == labels)
    return max(same, 1 - same)


found = {method: [] for method in methods}
for seed, mu in enumerate(distances):
    data = make_nested_tensor(
        300, 150, 60, beta_T=strength, beta_M=mu, random_state=seed
    )
    for method in methods:
        with warnings.catch_warnings():
            # Below the threshold there is nothing to be found, as the warning says.
            warnings.simplefilter("ignore")
            model = NestedTensorClustering(2, method=method).fit(data.X)
        found[method].append(accuracy(model, data.labels))

# %%
# Theory gives the cosine between the estimated and the true scores of the samples; for
# two clusters of equal size the accuracy follows from it. The weighted mean with known
# weights is the bound that nobody can pass.


def expected(cosine):
    cosine = np.asarray(cosine)
    return norm.cdf(cosine / np.sqrt(1 - cosine**2))


fine = np.linspace(0.05, 5, 100)
theory = {
    "projection": np.sqrt(weighted_mean_theory(shape, strength, fine)),
    "tensor": [nested_rank_one_theory(shape, strength, mu)[1][1] for mu in fine],
    "unfolding": np.sqrt(unfolding_theory(shape, strength, fine)["alignment_squared"]),
}

# %%
# Lines are theory, dots are one draw each.

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
names = {
    "projection": "projection (line: known weights)",
    "tensor": "rank-one tensor",
    "unfolding": "unfolding",
}
for i, method in enumerate(methods):
    ax.plot(fine, expected(theory[method]), color=f"C{i}")
    ax.plot(distances, found[method], "o", color=f"C{i}", label=names[method])
ax.axhline(0.5, color="0.7", linewidth=1, zorder=0)
ax.set_xlabel(r"strength of the clusters $\beta_M$")
ax.set_ylabel("accuracy")
ax.set_title("60 views of 300 samples in two clusters")
ax.legend(frameon=False)

# %%
# The projection follows the bound of known view weights from the first cluster that
# can be found on; the rank-one tensor needs somewhat stronger clusters, and the
# unfolding fails over nearly the whole range.

plt.show()
