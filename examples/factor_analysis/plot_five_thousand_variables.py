"""
Factors of 5,000 variables
==========================

Exploratory factor analysis needs an eigendecomposition of a 5,000 x 5,000 matrix in
every step, then a rotation of 250 factors; a structural equation program would handle
matrices of 36,000 parameters. Does one pass over the correlations find the factors?
"""

# %%
# 250 factors of 20 variables each, 500 rows: ten times more variables than rows.

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skstruct.datasets import make_factor_model
from skstruct.factor_analysis import (
    CorrelationThresholding,
    ExploratoryFactorAnalysis,
    correlation_threshold_path,
)

data = make_factor_model(
    500,
    n_factors=250,
    items_per_factor=20,
    loadings=(0.7, 0.9),
    factor_corr=0.0,
    random_state=0,
)
R = np.corrcoef(data.X, rowvar=False, dtype=np.float32)
start = time.perf_counter()
path = correlation_threshold_path(R, 100)
print(f"100 thresholds: {time.perf_counter() - start:.2f} s")

# %%
# How close is each structure to the truth? F1 counts the loadings that are right.


planted = data.support.T.astype(np.float32)


def support_f1(support):
    """Each planted factor against the found one that shares most variables."""
    shared = planted @ support.astype(np.float32)
    hits = shared.max(axis=1).sum() if support.shape[1] else 0
    return 2 * hits / (data.support.sum() + support.sum())


tau = [s.threshold for s in path]
f1 = [support_f1(s.support) for s in path]
counts = [s.n_factors for s in path]

# %%
# Loadings and scores at a threshold between noise (``sqrt(2 log(p^2 / 2) / n) = 0.25``)
# and the factors (0.49 in the population).

start = time.perf_counter()
ct = CorrelationThresholding(0.3).fit(data.X)
print(
    f"fit with loadings: {time.perf_counter() - start:.1f} s, "
    f"{ct.n_components_} factors, support F1 {support_f1(ct.support_):.4f}"
)

# %%
# The exploratory analysis at growing sizes, up to where a gallery can wait, and stopped
# after six steps.

warnings.simplefilter("ignore", ConvergenceWarning)
efa_sizes, ct_sizes = [100, 200, 400, 800], [100, 400, 1600, 5000]
efa_seconds, ct_seconds = [], []
for p in efa_sizes:
    start = time.perf_counter()
    efa = ExploratoryFactorAnalysis(p // 20, rotation="varimax", max_iter=6)
    efa.fit(data.X[:, :p])
    efa_seconds.append(time.perf_counter() - start)
for p in ct_sizes:
    start = time.perf_counter()
    CorrelationThresholding(0.3).fit(data.X[:, :p])
    ct_seconds.append(time.perf_counter() - start)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.plot(tau, f1, color="C0")
left.set_xlabel("threshold of |correlation|")
left.set_ylabel("F1 of the support", color="C0")
twin = left.twinx()
twin.plot(tau, counts, color="0.6", linestyle="--")
twin.axhline(250, color="0.6", linewidth=0.8)
twin.set_ylabel("number of factors (dashed)", color="0.4")
left.set_title("5,000 variables, 250 factors, 500 rows")
right.loglog(efa_sizes, efa_seconds, "o-", label="exploratory, varimax")
right.loglog(ct_sizes, ct_seconds, "s-", label="thresholding with loadings")
right.set_xlabel("number of variables")
right.set_ylabel("seconds")
right.legend(frameon=False)
right.set_title("Time to fit")
plt.show()

# %%
# Between the noise and the weakest factor there is a range of thresholds in which the
# 250 factors are found almost to the last variable, within seconds.
