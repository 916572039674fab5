"""
Choosing the number of groups: stability or hold-out?
=====================================================

Two rules promise the number of groups of a nonnegative RESCAL model. Stability asks
whether perturbed fits find the same groups; the held-out score asks whether one more
group predicts unseen cells better. When do they agree?
"""

# SPDX-License-Identifier: BSD-3-Clause

# %%
# Two designs of rank 4
# ---------------------
# In the first, most people belong to one community. In the second everyone belongs
# to everything in a different mix: the rank is 4 all the same, but many different
# groups explain the data equally well.
import warnings

import matplotlib.pyplot as plt
from sklearn.model_selection import GridSearchCV, KFold

from skstruct.datasets import make_relational_communities
from skstruct.plotting import RankSelectionDisplay
from skstruct.tensor import NonnegativeRESCAL, RESCALRankSelector

designs = {
    "communities": {"design": "gaussian", "noise": "poisson"},
    "everyone in everything": {"design": "dense", "noise": "multiplicative"},
}
ranks = [2, 3, 4, 5, 6]

# %%
# Both rules on both
# ------------------
figure, axes = plt.subplots(1, 2, figsize=(10.5, 4), layout="constrained")
for ax, (name, options) in zip(axes, designs.items()):
    X = make_relational_communities(
        40, 15, n_components=4, noise_level=0.1, random_state=0, **options
    ).X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GridSearchCV(
            NonnegativeRESCAL(random_state=0),
            {"n_components": ranks},
            cv=KFold(3, shuffle=True, random_state=0),
        ).fit(X)
        selector = RESCALRankSelector(ranks, random_state=0).fit(X)
    print(
        f"{name}: hold-out {search.best_params_['n_components']}, "
        f"stability {selector.n_components_}"
    )
    RankSelectionDisplay.from_search(search, ax=ax, one_standard_error=False)
    ax.set_title(f"{name}: true rank 4")
    ax.set_xticks(ranks)
    ax.set_ylabel("held-out score (line)")
    twin = ax.twinx()
    twin.plot(ranks, selector.silhouette_min_, "s--", color="C1", markersize=5)
    twin.set_ylim(-1.05, 1.05)
    twin.set_ylabel("least silhouette (dashes)", color="C1")
plt.show()

# %%
# Where groups are real, both rules say 4. Where they are not identifiable the
# held-out score still peaks at 4, while the silhouette of the least stable group sinks
# from the start: use stability to decide which groups may be interpreted, hold-out to
# find the rank.
