"""
When correlation thresholding fails
===================================

The method needs two things: correlations within factors that exceed all others, and a
variable of its own for every factor. What happens when they do not hold, and does the
completion or an exploratory analysis do better?
"""

# %%
# Four designs of five factors with six variables each, from easy to impossible: the
# factors correlate more and more; loadings are of unequal strength; one general factor
# is behind everything; one factor has no variable of its own.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment

from skstruct.datasets import make_factor_model
from skstruct.factor_analysis import (
    CorrelationThresholding,
    ExploratoryFactorAnalysis,
)

warnings.simplefilter("ignore")  # poor models are the subject here
base = {"n_factors": 5, "items_per_factor": 6, "n_samples": 500}


def simple(seed, **change):
    options = {"loadings": (0.5, 0.85), "factor_corr": 0.2, **base, **change}
    data = make_factor_model(random_state=seed, **options)
    return data.X, data.support


def bifactor(seed):
    rng = np.random.default_rng(seed)
    X, support = simple(seed, loadings=(0.35, 0.6), factor_corr=0.0)
    general = rng.standard_normal((len(X), 1))
    strength = rng.uniform(0.4, 0.7, size=30)
    return X * np.sqrt(1 - strength**2) + general * strength, support


def no_markers(seed):
    """Every variable of the last factor also loads on another one."""
    rng = np.random.default_rng(seed)
    X, support = simple(seed, loadings=(0.6, 0.7))
    support = support.copy()
    scores = rng.standard_normal((len(X), 5))
    loadings = support * 0.6
    for i in range(24, 30):
        loadings[i, i - 24 if i < 28 else i - 28] = 0.6
    noise = np.sqrt(np.maximum(1 - np.sum(loadings**2, axis=1), 0.2))
    X = scores @ loadings.T + noise * rng.standard_normal(X.shape)
    return X, loadings != 0


designs = {
    "easy": simple,
    "factors correlate .5": lambda s: simple(s, factor_corr=0.5),
    "loadings .3 to .8": lambda s: simple(s, loadings=(0.3, 0.8)),
    "general factor": bifactor,
    "no markers": no_markers,
}

# %%
# Exploratory analysis is told the right number of factors, the others are not.

methods = {
    "thresholding, as published": CorrelationThresholding(thresholds=49),
    "auto, score": CorrelationThresholding(similarity="auto", refine="score"),
    "exploratory, told d = 5": ExploratoryFactorAnalysis(5, random_state=0),
}


def f1(truth, found):
    if not found.shape[1]:
        return 0.0
    shared = truth.T.astype(int) @ found.astype(int)
    matched = shared[linear_sum_assignment(-shared)].sum()
    return 2 * matched / (truth.sum() + found.sum())


result = {name: [] for name in methods}
for make in designs.values():
    values = {name: [] for name in methods}
    for seed in range(3):
        X, support = make(seed)
        for name, model in methods.items():
            model.fit(X)
            found = model.support_
            if found.all():
                found = np.abs(model.loadings_ / X.std(axis=0)[:, None]) > 0.3
            values[name].append(f1(support, found))
    for name in methods:
        result[name].append(np.mean(values[name]))

fig, ax = plt.subplots(figsize=(8.5, 3.8), layout="constrained")
place = np.arange(len(designs))
for k, (name, values) in enumerate(result.items()):
    ax.bar(place + 0.27 * (k - 1), values, width=0.25, label=name)
ax.set_xticks(place, list(designs))
ax.set_ylabel("F1 of the support")
ax.set_ylim(0, 1.02)
fig.legend(frameon=False, loc="outside upper center", ncols=3)
plt.show()

# %%
# The published method is right where its conditions hold, and only there; the
# completion repairs correlated factors and unequal loadings. With a general factor, and
# more so without markers, an exploratory analysis is the better tool, if somebody knows
# the number of factors.
