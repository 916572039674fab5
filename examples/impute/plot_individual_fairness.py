"""
Do similar people get similar predictions?
==========================================

Ten clusters of people answer fifty questions; three answers in ten are seen, through
noise. A recommender predicts the unseen ones from similar people. Is it *individually
fair*: are its predictions for two people as close as what is known of them? And what
changes when their answers are first projected on the dominant singular subspace?
"""

# %%
# The measure is a ratio of distances over pairs of people: of the predictions to the
# known answers (zero where there is none). Every method is measured against the *same*
# known answers. Smaller is fairer, but predicting nothing is fairest of all, so the
# ratios only mean something beside the error.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors

from skstruct.datasets import make_fairness_clusters
from skstruct.impute import SVTImputerCV
from skstruct.metrics import lipschitz_ratios

people = make_fairness_clusters(observed=0.3, random_state=0)
hidden = np.isnan(people.X)
known = np.where(hidden, 0.0, people.X)


def recommend(rows, n_neighbors=20):
    """Average of the rows of the most similar people (cosine similarity)."""
    near = NearestNeighbors(n_neighbors=n_neighbors, metric="cosine").fit(rows)
    return rows[near.kneighbors(rows, return_distance=False)].mean(axis=1)


# %%
# Two unbiased estimates of a person's row: the zero-filled answers over the observed
# fraction, and singular value thresholding with the rank that hidden entries choose.
# Each is the input of the same recommender.

imputer = SVTImputerCV(center=None, random_state=0).fit(people.X)
rows = {
    "zero-filled": known / imputer.p_observed_,
    f"SVTImputerCV (rank {imputer.n_components_})": imputer.transform(people.X),
}
stages = {
    "estimated rows": rows,
    "recommendations": {name: recommend(A) for name, A in rows.items()},
}

fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True, layout="constrained")
for ax, (stage, outputs) in zip(axes, stages.items()):
    for name, output in outputs.items():
        ratios = lipschitz_ratios(output, known, n_pairs=100_000, random_state=0)
        error = np.mean((output - people.truth)[hidden] ** 2)
        ax.hist(
            ratios,
            bins=np.linspace(0, 1.1, 111),
            alpha=0.6,
            density=True,
            label=f"{name}\nmedian {np.median(ratios):.2f}, error {error:.2f}",
        )
    ax.set_title(stage)
    ax.set_xlabel("distance of outputs / distance of known answers")
    ax.set_ylim(top=1.45 * ax.get_ylim()[1])
    ax.legend(frameon=False, loc="upper right")
axes[0].set_ylabel("density over pairs of people")
plt.show()

# %%
# The projection moves both histograms to the left, and the mean squared error on the
# unseen answers does not grow for it: what it removes are the directions of the noise.
