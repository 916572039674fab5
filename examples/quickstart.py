"""A tour on real data: for each family the rank that the held-out score chooses.

Run it with ``python examples/quickstart.py``; it prints a table and saves
``quickstart.png`` in the current folder. Nothing is downloaded.
"""

import math
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
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
    from skstruct.impute import SoftImputer

    X = load_digits().data
    rng = np.random.default_rng(0)
    hidden = rng.random(X.shape) < 0.3
    Y = np.where(hidden, np.nan, X)

    imputer = SoftImputer(
        alpha=30.0, bounds=(0, 16), keep_empty_features=True, random_state=0
    )
    search = GridSearchCV(
        make_pipeline(imputer),
        {"softimputer__n_components": [5, 10, 15, 20, 25, 30, 40]},
        cv=3,
    ).fit(Y)

    def rmse(Z):
        return float(np.sqrt(np.mean((Z - X)[hidden] ** 2)))

    completed = search.transform(Y)
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
            f"column means {errors['mean']:.2f}"
        )

    return Row(
        family="SoftImputer",
        data="digits, 30 % missing",
        pipeline="SoftImputer",
        chosen=f"rank {search.best_params_['softimputer__n_components']}",
        measure="RMSE of hidden pixels ↓",
        ours=errors["SoftImputer"],
        plain=errors["BayesianRidge"],
        plain_name=(
            "IterativeImputer; "
            f"KNNImputer {errors['5 neighbours']:.2f}, mean {errors['mean']:.2f}"
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

    search = GridSearchCV(
        make_pipeline(
            StandardScaler(), SVTImputer(transform_method="fold-in"), LinearRegression()
        ),
        {"svtimputer__n_components": range(1, 9)},
        cv=10,
    ).fit(X, y)
    plain = make_pipeline(StandardScaler(), KNNImputer(), LinearRegression())
    r2 = float(np.mean(cross_val_score(plain, X, y, cv=10)))

    def draw(ax):
        RankSelectionDisplay.from_search(search, ax=ax, score_name="held-out R²")
        ax.axhline(r2, color="0.5", linestyle="--")
        ax.annotate("KNNImputer", (8, r2), ha="right", va="bottom", color="0.4")
        ax.set_title("Regression on 10 covariates, 40 % missing:\nthe rank is a choice")
        ax.set_xlabel("rank of the completed covariates")

    return Row(
        family="SVTImputer",
        data="diabetes, 40 % missing",
        pipeline="StandardScaler, SVTImputer, LinearRegression",
        chosen=f"rank {search.best_params_['svtimputer__n_components']}",
        measure="R² ↑",
        ours=float(search.best_score_),
        plain=r2,
        plain_name="with KNNImputer",
        draw=draw,
    )


ROWS.append(regression_row)


def unmixing_row():
    """Unmixing a simulated hyperspectral image of four materials"""
    from sklearn.decomposition import NMF

    from skstruct.datasets import make_hyperspectral_scene
    from skstruct.decomposition import StructuredSparseNMF, fcls, vca
    from skstruct.metrics import unmixing_scores
    from skstruct.model_selection import one_standard_error

    scene = make_hyperspectral_scene((36, 36), snr=12, shade=0.3, random_state=0)
    rows, columns = scene.image_shape
    positions = np.argwhere(np.ones(scene.image_shape))
    search = GridSearchCV(
        StructuredSparseNMF(alpha=0.2, graph_weight=0.1, n_init=2, random_state=0),
        {"n_components": range(2, 8)},
        cv=4,
        refit=one_standard_error,
    ).fit(scene.X, positions=positions)
    model = search.best_estimator_
    chosen = model.n_components_

    def scores(M, A):
        # With another number of endmembers there is nothing to match.
        if len(M) < 4:
            return float("nan"), np.arange(len(M))
        A = A / np.maximum(A.sum(axis=1, keepdims=True), 1e-12)
        found = unmixing_scores(scene.endmembers, M, scene.abundances, A)
        return found.mean_rmse, found.permutation

    ours, order = scores(model.components_, model.embedding_)
    picked = vca(scene.X, 4, random_state=0)
    plain = scores(picked, fcls(scene.X, picked))[0]
    nmf = NMF(4, init="nndsvda", max_iter=500)
    weights = nmf.fit_transform(scene.X)
    factor = scores(nmf.components_, weights)[0]

    def draw(ax):
        found = model.abundances()[:, order].reshape(rows, columns, -1)
        truth = scene.abundances.reshape(rows, columns, -1)
        gap = np.full((rows, 2), np.nan)
        lines = []
        for maps in (truth, found):
            parts = []
            for k in range(maps.shape[2]):
                parts += [maps[..., k], gap]
            lines.append(np.hstack(parts[:-1]))
        between = np.full((2, max(line.shape[1] for line in lines)), np.nan)
        ax.imshow(np.vstack([lines[0], between, lines[1]]), vmin=0, vmax=1)
        ax.set_xticks([])
        ax.set_yticks([rows / 2, 1.5 * rows + 2], ["truth", "found"])
        ax.set_title(
            f"Abundances of {chosen} materials at 12 dB\n"
            f"error {ours:.3f}, VCA and FCLS {plain:.3f}"
        )

    return Row(
        family="StructuredSparseNMF",
        data="simulated image, 12 dB",
        pipeline="StructuredSparseNMF",
        chosen=f"{chosen} endmembers",
        measure="RMSE of abundances ↓",
        ours=ours,
        plain=plain,
        plain_name=f"VCA and FCLS; NMF {factor:.3f}",
        draw=draw,
    )


ROWS.append(unmixing_row)


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
