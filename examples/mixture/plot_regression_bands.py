"""
Regression from a joint density, with honest bands
==================================================

Noise that depends on the input is common, and a single error bar is then wrong
everywhere. Does the conditional of a mixture know how far off it may be?
"""

# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import GridSearchCV

from skstruct.mixture import IncrementalGaussianMixtureRegressor

# %%
# A wave whose noise grows from 0.05 to 0.65 along the axis.

rng = np.random.default_rng(0)


def draw(n):
    x = rng.uniform(0, 3, size=n)
    noise = (0.05 + 0.2 * x) * rng.standard_normal(n)
    return x[:, None], np.sin(3 * x) + noise


X, y = draw(3000)
X_test, y_test = draw(3000)

# %%
# The width of new components is chosen by the held-out log-density of y given x, which
# pays for the mean and for the band.


def log_density(estimator, X, y):
    return estimator.log_predictive_density(X, y).mean()


search = GridSearchCV(
    IncrementalGaussianMixtureRegressor(max_components=40),
    {"delta": [0.1, 0.2, 0.4, 0.8], "beta": [1e-3, 1e-2, 1e-1]},
    cv=3,
    scoring=log_density,
).fit(X, y)
model = search.best_estimator_
print(search.best_params_, f"{model.n_components_} components")
mean, std = model.predict(X_test, return_std=True)

# %%
# A forest gives the mean as well; its honest constant band is its training residual out
# of bag. A Bayesian ridge regression has a band of its own.

forest = RandomForestRegressor(
    100, min_samples_leaf=20, oob_score=True, random_state=0
).fit(X, y)
forest_std = np.full(len(y_test), np.std(y - forest.oob_prediction_))
ridge = BayesianRidge().fit(X, y)
ridge_mean, ridge_std = ridge.predict(X_test, return_std=True)

predictions = {
    "mixture": (mean, std),
    "forest, constant band": (forest.predict(X_test), forest_std),
    "Bayesian ridge": (ridge_mean, ridge_std),
}

# %%
# Coverage of the band of one standard deviation, along the axis: 68 % is honest.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
order = np.argsort(X_test[:, 0])
axes[0].plot(X_test, y_test, ".", color="0.75", ms=2)
axes[0].plot(X_test[order], mean[order], color="#2c7fb8")
axes[0].fill_between(
    X_test[order, 0],
    (mean - std)[order],
    (mean + std)[order],
    color="#2c7fb8",
    alpha=0.3,
)
axes[0].set(title="Mixture: mean and one standard deviation", xlabel="x", ylabel="y")

edges = np.linspace(0, 3, 11)
place = np.digitize(X_test[:, 0], edges) - 1
for (name, (m, s)), color in zip(predictions.items(), ["#2c7fb8", "#d95f0e", "0.5"]):
    inside = np.abs(y_test - m) < s
    share = [inside[place == k].mean() for k in range(10)]
    axes[1].plot((edges[:-1] + edges[1:]) / 2, share, "o-", color=color, label=name)
    print(f"{name}: RMSE {np.sqrt(np.mean((y_test - m) ** 2)):.3f}")
axes[1].axhline(0.683, color="k", ls=":")
axes[1].set(
    title="Rows inside the band",
    xlabel="x",
    ylabel="share of held-out rows",
    ylim=(0, 1),
)
axes[1].legend(loc="lower left")
plt.show()

# %%
# The mixture's band covers about 68 % everywhere, while a constant band covers nearly
# all rows where noise is small and half of them where it is large.
