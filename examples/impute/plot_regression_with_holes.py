"""
Regression on covariates with holes: which imputer, and how many components?
============================================================================

Ten covariates of 442 diabetes patients are to predict the progression of the disease,
but half of the entries are missing. Principal component regression with missing
covariates is a pipeline: complete the covariates at a low rank, then regress. Does it
pay against filling in means, neighbours or chained regressions?
"""

# %%
# The rank (of :class:`~skstruct.impute.SVTImputer`) and the penalty (of
# :class:`~skstruct.impute.SoftImputer`) are chosen inside each training set by the
# held-out R² of the whole pipeline. The choice itself is cross-validated too, so that
# no method sees its test patients.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skstruct.impute import SoftImputer, SVTImputer


def regression(imputer):
    return make_pipeline(StandardScaler(), imputer, LinearRegression())


methods = {
    "SoftImputer, alpha searched": GridSearchCV(
        regression(SoftImputer(alpha_relative=True, random_state=0)),
        {"softimputer__alpha": [0.02, 0.1, 0.4]},
        cv=3,
    ),
    "SVTImputer, rank searched": GridSearchCV(
        regression(SVTImputer(impute_only=True)),
        {"svtimputer__n_components": range(1, 6)},
        cv=3,
    ),
    "SimpleImputer (means)": regression(SimpleImputer()),
    "KNNImputer": regression(KNNImputer()),
    "IterativeImputer": regression(IterativeImputer(random_state=0)),
}

# %%
# Eight patterns of holes, the same for every method.

X_full, y = load_diabetes(return_X_y=True)
r2 = {name: [] for name in methods}
for seed in range(8):
    holes = np.random.default_rng(seed).random(X_full.shape) < 0.5
    X = np.where(holes, np.nan, X_full)
    cv = KFold(4, shuffle=True, random_state=seed)
    for name, model in methods.items():
        r2[name].append(cross_val_score(model, X, y, cv=cv).mean())

fig, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
for row, values in enumerate(r2.values()):
    ax.plot(values, np.full(len(values), -row), "o", color=f"C{row}", alpha=0.6)
    ax.plot(np.median(values), -row, "|", color="k", markersize=18, markeredgewidth=2)
ax.set_yticks(-np.arange(len(r2)), list(r2))
ax.set_xlabel("cross-validated R², half of the covariates missing (bar: median)")
plt.show()

# %%
# Low-rank completion with a searched penalty is ahead of every other imputer. Hard
# thresholding keeps or drops whole components and is on a par with column means here:
# ten covariates are few to share a structure.
