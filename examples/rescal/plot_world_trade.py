"""
35 years of world trade in five groups
======================================

Exports between 23 countries, every month from 1981 to 2015: which countries act
alike, and how did the flows between such groups move? Nonnegative RESCAL answers
both at once: memberships that do not change, flows between groups that do.
"""

# SPDX-License-Identifier: BSD-3-Clause

# %%
# Data
# ----
# Years instead of months; a country does not export to itself, and what was not
# reported in the early years counts as nothing here, as in the paper that collected
# the table. The data are downloaded once.
import warnings

import matplotlib.pyplot as plt
import numpy as np

from skstruct.datasets import fetch_trade_flows
from skstruct.plotting import RankStabilityDisplay, RelationsDisplay
from skstruct.tensor import RESCALRankSelector

trade = fetch_trade_flows()
annual = np.nan_to_num(trade.X).reshape(35, 12, 23, 23).sum(axis=1)
years = [str(1981 + t) for t in range(35)]

# %%
# How many groups?
# ----------------
# Ten fits to slightly perturbed copies for each number of groups. With five groups
# the fits agree; with six or seven some group is another one in every fit. Eight,
# where the large countries stand alone, are stable again.
with warnings.catch_warnings():
    # The warning is about the eight groups at the end of the range.
    warnings.simplefilter("ignore", UserWarning)
    selector = RESCALRankSelector(range(2, 9), random_state=0).fit(annual)
print(f"{selector.n_components_} groups")

figure, axes = plt.subplots(1, 3, figsize=(14, 4.6), width_ratios=[1, 1, 1.3])
RankStabilityDisplay.from_estimator(selector, ax=axes[0])
axes[0].set_title("Five groups are stable, six are not")

# %%
# Who is in them
# --------------
# Each group is called after its largest members.
short = {
    "China,P.R.: Mainland": "China",
    "China,P.R.: Hong Kong": "Hong Kong",
    "Korea, Republic of": "Korea",
    "United Kingdom": "UK",
    "United States": "US",
}
countries = np.array([short.get(name, name) for name in trade.countries])
A = selector.components_
leaders = [countries[np.argsort(-A[:, g])[:2]] for g in range(A.shape[1])]
names = [
    first if A[:, g].max() > 0.6 else f"{first},\n{second}"
    for g, (first, second) in enumerate(leaders)
]
RelationsDisplay.from_estimator(
    selector, entity_names=countries, group_names=names, ax=axes[1]
)
axes[1].set_title("Members, relative to the largest")
axes[1].set_xlabel("")
axes[1].tick_params(axis="x", labelsize=7)

# %%
# How the flows moved
# -------------------
# ``relations_[t, a, b]`` is what group a sent to group b in year t. As shares of each
# year's trade:
R = selector.relations_
share = R / R.sum(axis=(1, 2), keepdims=True)
early, late = share[:5].mean(axis=0), share[-5:].mean(axis=0)
moved = np.argsort(-np.abs(late - early), axis=None)[:5]
display = RelationsDisplay.from_estimator(
    selector,
    kind="flows",
    pairs=[divmod(int(cell), A.shape[1]) for cell in moved],
    share=True,
    relation_names=years,
    group_names=[name.replace("\n", " ") for name in names],
    ax=axes[2],
)
axes[2].set_title("The five flows that changed most")
figure.tight_layout()
plt.show()

for cell in moved:
    a, b = divmod(int(cell), A.shape[1])
    print(
        f"{' & '.join(leaders[a])} -> {' & '.join(leaders[b])}: "
        f"{early[a, b]:.0%} of the trade of 1981-85, {late[a, b]:.0%} of 2011-15"
    )

# %%
# Trade within Europe falls from 38 to about a quarter of the total, while China's
# exports grow from 3 % to a quarter: to its Asian neighbours first, then to the United
# States, where they take the place of Japan's.
