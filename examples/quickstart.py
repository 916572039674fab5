"""A tour on real data: for each family the rank that the held-out score chooses.

Run it with ``python examples/quickstart.py``; it prints a table and saves
``quickstart.png`` in the current folder. Nothing is downloaded.
"""

import math
import os
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

# The matrices of this tour are small: threads inside BLAS would only get in their way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@dataclass
class Row:
    """One line of the table and one panel of the figure."""

    family: str
    data: str
    pipeline: str
    chosen: str
    """The rank that GridSearchCV chose, or the structure that was found."""
    measure: str
    """Name of the held-out measure, with an arrow for its good direction."""
    ours: float
    plain: float
    """The same measure for the plain alternative."""
    plain_name: str
    draw: Any
    """Draws the panel on a matplotlib axes."""
    seconds: float = 0.0


ROWS = []


def completion_row():
    """Completing digits with 30 % of the pixels missing"""
    from skstruct.impute import SoftImputer, SoftImputerCV

    X = load_digits().data
    rng = np.random.default_rng(0)
    hidden = rng.random(X.shape) < 0.3
    Y = np.where(hidden, np.nan, X)
    pixels = {"bounds": (0, 16), "keep_empty_features": True, "random_state": 0}

    search = GridSearchCV(
        make_pipeline(SoftImputer(alpha=30.0, **pixels)),
        {"softimputer__n_components": [10, 20, 30, 40]},
        cv=3,
    ).fit(Y)
    rank = search.best_params_["softimputer__n_components"]
    completed = search.transform(Y)
    # One subspace for all digits is coarse: the first completion is good enough to
    # group them, and each group has a subspace of its own.
    groups = KMeans(20, n_init=3, random_state=0).fit_predict(completed)
    within = SoftImputerCV([5, 10, 20], n_components=15, cv=3, **pixels)
    for group in np.unique(groups):
        rows = groups == group
        completed[rows] = within.fit_transform(Y[rows])

    def rmse(Z):
        return float(np.sqrt(np.mean((Z - X)[hidden] ** 2)))

    others = {
        "mean": SimpleImputer(keep_empty_features=True),
        "BayesianRidge": IterativeImputer(
            max_iter=3, random_state=0, keep_empty_features=True
        ),
        "5 neighbours": KNNImputer(keep_empty_features=True),
    }
    errors = {name: rmse(other.fit_transform(Y)) for name, other in others.items()}
    errors["SoftImputer"] = rmse(completed)

    def draw(ax):
        shown = [0, 13, 25]
        strips = [
            np.vstack([A[i].reshape(8, 8) for i in shown]) for A in (Y, completed, X)
        ]
        gap = np.full((strips[0].shape[0], 1), np.nan)
        image = np.hstack([strips[0], gap, strips[1], gap, strips[2]])
        ax.set_facecolor("#d95f5f")
        ax.imshow(image, cmap="gray_r", vmin=0, vmax=16)
        ax.set_xticks([3.5, 12.5, 21.5], ["observed", "completed", "truth"])
        ax.set_yticks([])
        ax.set_title(
            f"Digits, 30 % of pixels missing (red)\nerror {errors['SoftImputer']:.2f}, "
            f"KNNImputer {errors['5 neighbours']:.2f}"
        )

    return Row(
        family="SoftImputer",
        data="digits, 30 % missing",
        pipeline="SoftImputer, then SoftImputerCV within 20 clusters",
        chosen=f"rank {rank}, then 20 groups",
        measure="RMSE of hidden pixels ↓",
        ours=errors["SoftImputer"],
        plain=errors["5 neighbours"],
        plain_name=(
            f"KNNImputer; IterativeImputer {errors['BayesianRidge']:.2f}, "
            f"mean {errors['mean']:.2f}"
        ),
        draw=draw,
    )


ROWS.append(completion_row)


def regression_row():
    """Regressing diabetes progression on covariates with holes"""
    from skstruct.impute import SVTImputer
    from skstruct.plotting import RankSelectionDisplay

    X, y = load_diabetes(return_X_y=True)
    rng = np.random.default_rng(0)
    X = np.where(rng.random(X.shape) < 0.4, np.nan, X)

    def regression(imputer):
        return make_pipeline(StandardScaler(), imputer, LinearRegression())

    cv = KFold(10, shuffle=True, random_state=0)
    search = GridSearchCV(
        regression(SVTImputer(impute_only=True)),
        {"svtimputer__n_components": range(1, 9)},
        cv=cv,
    ).fit(X, y)
    # The choice of the rank is cross-validated too: ours has no better look at the
    # test patients than the plain pipeline.
    ours = cross_val_score(search, X, y, cv=cv).mean()
    plain = cross_val_score(regression(KNNImputer()), X, y, cv=cv).mean()

    def draw(ax):
        RankSelectionDisplay.from_search(search, ax=ax, score_name="held-out R²")
        ax.axhline(plain, color="0.5", linestyle="--")
        ax.annotate("KNNImputer", (8, plain), ha="right", va="bottom", color="0.4")
        ax.set_title("Regression on 10 covariates, 40 % missing:\nthe rank is a choice")
        ax.set_xlabel("rank of the completed covariates")

    return Row(
        family="SVTImputer",
        data="diabetes, 40 % missing",
        pipeline="StandardScaler, SVTImputer, LinearRegression",
        chosen=f"rank {search.best_params_['svtimputer__n_components']}",
        measure="R² ↑",
        ours=float(ours),
        plain=float(plain),
        plain_name="with KNNImputer",
        draw=draw,
    )


ROWS.append(regression_row)


def causal_row():
    """Protein signalling: edges of the Sachs data against the published graph"""
    from skstruct.causal import CumulantLvLiNGAM
    from skstruct.datasets import load_sachs
    from skstruct.plotting import CausalGraphDisplay

    sachs = load_sachs()
    reference = sachs.adjacency_matrix != 0
    with warnings.catch_warnings():
        # One protein is close to Gaussian, which the fit says.
        warnings.simplefilter("ignore", UserWarning)
        model = CumulantLvLiNGAM(n_restarts=0, random_state=0).fit(sachs.data)
    found = model.effects_ != 0
    adjacent = np.triu((found | found.T) & (reference | reference.T)).sum()
    # Edges of a random graph fall on adjacent pairs as often as these are frequent.
    chance = np.triu(reference | reference.T).sum() / (11 * 10 / 2)

    def draw(ax):
        model.feature_names_in_ = np.array(sachs.feature_names, dtype=object)
        CausalGraphDisplay.from_estimator(model, ax=ax, weights=False)
        ax.set_title("Sachs: causal graph")

    return Row(
        family="causal",
        data="Sachs 853 x 11",
        pipeline="CumulantLvLiNGAM",
        chosen=f"{found.sum()} edges, {model.n_latents_} latent",
        measure="adjacent in reference ↑",
        ours=float(adjacent / found.sum()),
        plain=float(chance),
        plain_name="random edges",
        draw=draw,
    )


ROWS.append(causal_row)


def print_table(rows):
    """Print one line per row."""
    head = [
        "family",
        "data",
        "chosen",
        "held-out measure",
        "ours",
        "plain",
        "s",
        "plain is",
    ]
    lines = [
        [
            row.family,
            row.data,
            row.chosen,
            row.measure,
            f"{row.ours:.3f}",
            f"{row.plain:.3f}",
            f"{row.seconds:.1f}",
            row.plain_name,
        ]
        for row in rows
    ]
    widths = [max(len(line[k]) for line in [head, *lines]) for k in range(len(head))]
    for line in [head, ["-" * width for width in widths], *lines]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
        )


def save_figure(rows, path):
    """One panel per row; needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(len(rows), 3)
    lines = math.ceil(len(rows) / columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.6 * columns, 3.9 * lines), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for ax, row in zip(axes.flat, rows):
        row.draw(ax)
    for ax in axes.flat[len(rows) :]:
        ax.set_axis_off()
    figure.savefig(path, dpi=110)


def main():
    """Run all rows, print the table and save the figure."""
    rows = []
    start_all = time.perf_counter()
    for number, make in enumerate(ROWS, 1):
        print(f"[{number}/{len(ROWS)}] {make.__doc__} ...", end="", flush=True)
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Grid points far from the optimum need not converge.
            warnings.simplefilter("ignore", ConvergenceWarning)
            row = make()
        row.seconds = time.perf_counter() - start
        print(f" {row.seconds:.1f} s", flush=True)
        rows.append(row)
    print()
    print_table(rows)
    try:
        save_figure(rows, "quickstart.png")
    except ImportError:
        print("\nNo figure: install matplotlib (pip install 'skstruct[plot]').")
        return 0
    print(f"\nquickstart.png saved; {time.perf_counter() - start_all:.0f} s in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
