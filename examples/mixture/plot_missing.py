"""
Filling holes in measurements, against the imputers
===================================================

Once a joint density is known, a hole is filled by its conditional mean given whatever
else was measured. How does that compare with imputers made for the purpose?
"""

# SPDX-License-Identifier: BSD-3-Clause

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.preprocessing import StandardScaler

from skstruct.mixture import IncrementalGaussianMixture

# %%
# Thirty measurements of cell nuclei of 569 patients, standardised. The training half
# has holes too.

X = StandardScaler().fit_transform(load_breast_cancer().data)
rng = np.random.default_rng(0)
X = X[rng.permutation(len(X))]
shares = [0.1, 0.3, 0.6]


def run(imputer, share):
    hidden = np.random.default_rng(1).random(X.shape) < share
    Y = np.where(hidden, np.nan, X)
    start = time.perf_counter()
    imputer.fit(Y[:300])
    filled = imputer.impute(Y[300:]) if hasattr(imputer, "impute") else (
        imputer.transform(Y[300:])
    )  # fmt: skip
    seconds = time.perf_counter() - start
    return np.sqrt(np.mean((filled - X[300:])[hidden[300:]] ** 2)), seconds


imputers = {
    "mean": SimpleImputer,
    "5 neighbours": KNNImputer,
    "IterativeImputer": lambda: IterativeImputer(max_iter=10, tol=0.05, random_state=0),
    "mixture, one pass": lambda: IncrementalGaussianMixture(
        beta=0, delta=0.5, missing="marginal"
    ),
    "mixture, refined": lambda: IncrementalGaussianMixture(
        beta=0, delta=0.5, missing="marginal", refine=5
    ),
}
IncrementalGaussianMixture(missing="marginal").fit(X)  # compiles the kernels
results = {
    name: np.array([run(make(), share) for share in shares])
    for name, make in imputers.items()
}

# %%
# Error of the hidden entries of the other patients, and the time of fit and filling.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for name, found in results.items():
    ours = name.startswith("mixture")
    style = {"lw": 2.5 if ours else 1.2}
    axes[0].plot(shares, found[:, 0], "o-" if ours else "s--", label=name, **style)
    axes[1].semilogy(shares, found[:, 1], "o-" if ours else "s--", label=name, **style)
    print(f"{name:20s}", np.round(found[:, 0], 3), np.round(found[:, 1], 2), "s")
axes[0].set(xlabel="share of entries missing", ylabel="RMSE of hidden entries")
axes[0].legend()
axes[1].set(xlabel="share of entries missing", ylabel="seconds")
plt.show()

# %%
# The conditional mean of a Gaussian learned from the same holes is the most accurate
# filling, and batch steps after the pass pay the more the more is missing; the pass
# alone takes about as long as chained regressions.
