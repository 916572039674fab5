"""
Which tests measure the same ability? Holzinger and Swineford
==============================================================

In 1939 Holzinger and Swineford gave mental tests to 301 pupils. How many abilities are
behind the scores, and which test measures which? First on the nine tests of textbooks,
then on all 24, where the published method needs help.
"""

# %%
# Nine tests: every threshold of the correlations gives a graph, its cliques are the
# factors, and the BIC of the fitted models chooses. No number of factors is given and
# nothing is rotated.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_score

from skstruct.datasets import load_holzinger_swineford
from skstruct.factor_analysis import (
    ConfirmatoryFactorAnalysis,
    CorrelationThresholding,
    ExploratoryFactorAnalysis,
)
from skstruct.plotting import FactorGraphDisplay

nine = load_holzinger_swineford(as_frame=True)
ct = CorrelationThresholding().fit(nine.data)
print(ct.summary(standardized=True))

# %%
# The three factors are vision, language and speed. Two tests cross: x9, telling
# straight from curved capitals, is a matter of the eye as well as of speed. The
# textbook's model has no crossings; its largest modification index says the same.

textbook = ConfirmatoryFactorAnalysis(
    {
        "visual": ["x1", "x2", "x3"],
        "verbal": ["x4", "x5", "x6"],
        "speed": ["x7", "x8", "x9"],
    }
).fit(nine.data)
indices = textbook.modification_indices()
test, factor = np.unravel_index(np.nanargmax(indices), indices.shape)
print(
    f"largest modification index: {nine.feature_names[test]} on "
    f"{textbook.get_feature_names_out()[factor]}, {indices[test, factor]:.1f}"
)
for name, model in {"textbook": textbook, "found": ct}.items():
    fit = model.fit_indices()
    print(
        f"{name:9} CFI {fit['cfi']:.3f}  RMSEA {fit['rmsea']:.3f}  BIC {fit['bic']:.1f}"
    )

# %%
# All 24 tests: strong and weak tests do not share one threshold. With a scaled
# similarity and a completion every test finds its place.

names = load_holzinger_swineford(24, as_frame=True).data
models = {
    "thresholding, as published": CorrelationThresholding(),
    "similarity='auto', refine='score'": CorrelationThresholding(
        similarity="auto", refine="score"
    ),
    "exploratory, 5 factors": ExploratoryFactorAnalysis(5, random_state=0),
}
held_out = {}
folds = KFold(5, shuffle=True, random_state=0)
warnings.simplefilter("ignore", ConvergenceWarning)  # of single folds
for name, model in models.items():
    fit = model.fit(names).fit_indices()
    held_out[name] = cross_val_score(model, names, cv=folds).mean()
    print(
        f"{name:34} {model.n_components_} factors, CFI {fit['cfi']:.3f}, held-out "
        f"log-density {held_out[name]:.2f}"
    )

# %%
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
FactorGraphDisplay.from_estimator(ct, ax=left)
left.set_title("Nine tests: vision, language, speed")
FactorGraphDisplay.from_estimator(ct, kind="path", ax=middle)
middle.set_title("The BIC along the thresholds")
completed = models["similarity='auto', refine='score'"]
FactorGraphDisplay.from_estimator(completed, ax=right)
right.set_title("24 tests, completed: a memory factor joins")
plt.show()

# %%
# The graph of nine tests shows the three groups and the two tests between them; on 24
# tests the completed structure separates a fourth group, the memory tests. Exploratory
# analysis still predicts new pupils a little better: it may use all loadings.
