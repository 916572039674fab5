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
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RepeatedKFold,
    cross_val_score,
)
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


def cameras_row():
    """Clustering digits that five unequal cameras see"""
    from skstruct.tensor import NestedTensorClustering, NestedTensorPCA

    images, digits = load_digits(n_class=5, return_X_y=True)
    rng = np.random.default_rng(0)
    gains = np.array([1.0, 0.8, 1.2, 0.5, 1.0])
    noise = np.array([8.0, 12.0, 16.0, 8.0, 60.0])
    X = images[:, :, None] * gains + noise * rng.standard_normal((*images.shape, 5))
    train, test = slice(0, None, 2), slice(1, None, 2)

    search = GridSearchCV(
        NestedTensorPCA(shrinkage=None), {"n_components": range(1, 21)}, cv=3
    ).fit(X[train])
    rank = search.best_params_["n_components"]
    model = NestedTensorClustering(
        5, n_components=rank, shrinkage=None, random_state=0
    ).fit(X[train])

    def agreement(table):
        plain = KMeans(5, n_init=10, random_state=0).fit(table[train])
        return adjusted_rand_score(digits[test], plain.predict(table[test]))

    ours = adjusted_rand_score(digits[test], model.predict(X[test]))
    signal = model.inverse_transform(model.transform(X[test][:3]))

    def draw(ax):
        shown = [X[test][:3, :, k] for k in range(5)] + [signal[:, :, 0]]
        # Every camera on a grey scale of its own.
        columns = [
            np.vstack([row.reshape(8, 8) for row in (A - A.min()) / np.ptp(A)])
            for A in shown
        ]
        gap = np.full((24, 1), np.nan)
        ax.imshow(
            np.hstack([part for A in columns for part in (A, gap)]), cmap="gray_r"
        )
        names = [f"{w:.2f}" for w in model.view_weights_]
        ax.set_xticks(np.arange(6) * 9 + 3.5, [*names, "signal"])
        ax.set_xlabel("weight of the camera")
        ax.set_yticks([])
        ax.set_title("Digits seen by five cameras:\nthe blind one gets no weight")

    return Row(
        family="NestedTensorClustering",
        data="digits 0-4, five noisy cameras",
        pipeline="NestedTensorClustering",
        chosen=f"rank {rank}",
        measure="adjusted Rand index ↑",
        ours=ours,
        plain=agreement(X.mean(axis=2)),
        plain_name=(
            f"KMeans, cameras averaged; best camera alone {agreement(X[:, :, 0]):.2f}"
        ),
        draw=draw,
    )


ROWS.append(cameras_row)


def stream_row():
    """Learning digits from a stream, one pass"""
    from sklearn.naive_bayes import GaussianNB

    from skstruct.mixture import IncrementalGaussianMixtureClassifier

    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order], y[order]
    n_train, first = 1200, 300

    # The first rows choose the width of new components; the rest arrives in batches.
    search = GridSearchCV(
        IncrementalGaussianMixtureClassifier(),
        {"delta": [0.5, 1.0, 3.0], "beta": [0.0, 1e-3]},
        cv=3,
    ).fit(X[:first], y[:first])
    spread = np.full(64, X[:first].var(axis=0).max())
    spread = np.maximum(X[:first].var(axis=0), 1e-2 * spread)
    model = IncrementalGaussianMixtureClassifier(
        **search.best_params_,
        init_variance=search.best_params_["delta"] ** 2 * spread,
    )
    plain = GaussianNB()
    seen, curves = [], {"mixtures": [], "GaussianNB": []}
    for rows in np.array_split(np.arange(n_train), 16):
        for name, learner in (("mixtures", model), ("GaussianNB", plain)):
            learner.partial_fit(X[rows], y[rows], classes=np.arange(10))
            curves[name].append(learner.score(X[n_train:], y[n_train:]))
        seen.append(rows[-1] + 1)

    def draw(ax):
        for name, curve in curves.items():
            ax.plot(seen, curve, label=name)
        ax.set(
            xlabel="rows seen, each once", ylabel="held-out accuracy", ylim=(0.6, 1.0)
        )
        ax.legend(loc="lower right")
        ax.set_title(
            f"A stream of digits: {model.n_components_} components,\nno row is kept"
        )

    return Row(
        family="IncrementalGaussianMixture",
        data="digits, one pass",
        pipeline="IncrementalGaussianMixtureClassifier",
        chosen=f"{model.n_created_} components created",
        measure="accuracy ↑",
        ours=curves["mixtures"][-1],
        plain=curves["GaussianNB"][-1],
        plain_name="GaussianNB.partial_fit",
        draw=draw,
    )


ROWS.append(stream_row)


def relations_row():
    """Predicting kinship facts of two family trees that were never stated"""
    from sklearn.base import BaseEstimator
    from sklearn.decomposition import TruncatedSVD

    from skstruct.datasets import load_family_trees
    from skstruct.plotting import RankSelectionDisplay
    from skstruct.tensor import RESCAL, cross_validate_entries

    X = load_family_trees().X

    class UnfoldedSVD(BaseEstimator):
        """Each person's row in all relations, side by side, at low rank."""

        def __init__(self, n_components=2):
            self.n_components = n_components

        def fit(self, X):
            m, n, _ = X.shape
            wide = X.transpose(1, 0, 2).reshape(n, m * n)
            svd = TruncatedSVD(self.n_components, random_state=0).fit(wide)
            low = svd.inverse_transform(svd.transform(wide))
            self.scores_ = low.reshape(n, m, n)
            return self

        def decision_function(self, triples):
            return self.scores_[tuple(triples.T)]

    def auc(model, seed):
        found = cross_validate_entries(
            model, X, cv=10, scoring="roc_auc", hide="zero", random_state=seed
        )
        return found["test_score"]

    ranks = [2, 4, 6, 8, 10, 12, 14, 16]
    models = {
        "RESCAL": RESCAL(alpha_A=1, alpha_R=1, max_iter=100, random_state=0),
        "SVD": UnfoldedSVD(),
    }
    curves, chosen, held_out = {}, {}, {}
    for name, model in models.items():
        curves[name] = np.stack(
            [auc(model.set_params(n_components=k), seed=0) for k in ranks]
        )
        chosen[name] = ranks[int(curves[name].mean(axis=1).argmax())]
        # Other folds than those that chose the rank.
        model.set_params(n_components=chosen[name])
        held_out[name] = float(auc(model, seed=1).mean())

    def draw(ax):
        RankSelectionDisplay.from_arrays(ranks, curves["RESCAL"]).plot(
            ax, score_name="ROC AUC of hidden facts"
        )
        ax.plot(ranks, curves["SVD"].mean(axis=1), "s--", color="0.5", label="SVD")
        ax.legend(frameon=False, fontsize=8)
        ax.set_title("Who is whose uncle? 24 people,\n12 relations, 112 facts")
        ax.set_xlabel("rank")

    return Row(
        family="RESCAL",
        data="family trees",
        pipeline="RESCAL",
        chosen=f"rank {chosen['RESCAL']}",
        measure="ROC AUC of hidden facts ↑",
        ours=held_out["RESCAL"],
        plain=held_out["SVD"],
        plain_name=f"truncated SVD of the unfolded tensor, rank {chosen['SVD']}",
        draw=draw,
    )


ROWS.append(relations_row)


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


def factor_row():
    """Which of nine mental tests measure the same ability"""
    from skstruct.datasets import load_holzinger_swineford
    from skstruct.factor_analysis import (
        CorrelationThresholding,
        ExploratoryFactorAnalysis,
    )
    from skstruct.plotting import FactorGraphDisplay

    X = load_holzinger_swineford(as_frame=True).data
    cv = KFold(10, shuffle=True, random_state=0)
    model = CorrelationThresholding().fit(X)
    ours = cross_val_score(CorrelationThresholding(), X, cv=cv).mean()
    # The plain alternatives: one general ability, and no structure at all.
    one = cross_val_score(ExploratoryFactorAnalysis(1), X, cv=cv).mean()
    full = cross_val_score(EmpiricalCovariance(), X, cv=cv).mean()

    def draw(ax):
        FactorGraphDisplay.from_estimator(model, ax=ax)
        ax.set_title(
            "Nine mental tests, graph of correlations:\nvision, language, speed"
        )

    return Row(
        family="CorrelationThresholding",
        data="Holzinger-Swineford, 9 tests",
        pipeline="CorrelationThresholding",
        chosen=f"{model.n_components_} factors, {model.support_.sum()} loadings",
        measure="log-density per pupil ↑",
        ours=float(ours),
        plain=float(one),
        plain_name=f"one factor; full covariance {full:.2f}",
        draw=draw,
    )


ROWS.append(factor_row)


def cities_row():
    """Two of 50 world cities whose great circle is nearest to all"""
    from sklearn.decomposition import PCA

    from skstruct.datasets import load_world_cities
    from skstruct.decomposition import BarycentricSubspaceAnalysis

    cities = load_world_cities()
    X, kilometres = cities.data, 6371
    pair = BarycentricSubspaceAnalysis(1, manifold="sphere", strategy="pure")
    line = PCA(1)
    errors = {"pair": [], "PCA": []}
    for train, test in KFold(10, shuffle=True, random_state=0).split(X):
        errors["pair"].append(pair.fit(X[train]).residuals(X[test]))
        nearest = line.fit(X[train]).inverse_transform(line.transform(X[test]))
        nearest /= np.linalg.norm(nearest, axis=1, keepdims=True)
        errors["PCA"].append(np.arccos(np.clip(np.sum(nearest * X[test], 1), -1, 1)))
    ours, plain = (kilometres * np.concatenate(e).mean() for e in errors.values())
    names = [str(cities.names[i]) for i in sorted(pair.fit(X).reference_indices_)]

    def draw(ax):
        angle = np.linspace(-np.pi, np.pi, 721)
        first, second = pair.frame_.T
        circle = np.outer(np.cos(angle), first) + np.outer(np.sin(angle), second)
        east = np.degrees(np.arctan2(circle[:, 1], circle[:, 0]))
        order = np.argsort(east)
        ax.plot(east[order], np.degrees(np.arcsin(circle[order, 2])), "C3")
        ax.scatter(cities.longitude, cities.latitude, s=14)
        for i in pair.reference_indices_:
            here = (cities.longitude[i], cities.latitude[i])
            ax.annotate(cities.names[i], here, (4, 4), textcoords="offset points")
        ax.set(xlabel="longitude", ylabel="latitude", xlim=(-180, 180))
        ax.set_title(f"Great circle of {names[0]} and\n{names[1]}: {ours:.0f} km off")

    return Row(
        family="BarycentricSubspaceAnalysis",
        data="50 world cities",
        pipeline="BarycentricSubspaceAnalysis on the sphere",
        chosen=" and ".join(names),
        measure="km from held-out cities ↓",
        ours=float(ours),
        plain=float(plain),
        plain_name="PCA of the coordinates",
        draw=draw,
    )


ROWS.append(cities_row)


def outlier_row():
    """Finding foreign digits among images of one digit"""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.metrics import roc_auc_score

    from skstruct.decomposition import RobustFlagPCA
    from skstruct.model_selection import one_standard_error

    X, digit = load_digits(return_X_y=True)
    is_foreign = np.repeat([0, 1], [90, 10])
    cv = KFold(3, shuffle=True, random_state=0)

    def rank_chosen(estimator, images):
        grid = {"n_components": [2, 4, 8, 16, 24]}
        search = GridSearchCV(estimator, grid, cv=cv, refit=one_standard_error)
        return search.fit(images).best_estimator_

    # Nobody is told which images are foreign: the rank is the smallest that
    # predicts held-out images about as well as the best, for PCA as well.
    aucs, ranks = [], []
    for home in range(10):
        rng = np.random.default_rng(home)
        own = rng.permutation(np.flatnonzero(digit == home))[:90]
        images = X[np.r_[own, rng.permutation(np.flatnonzero(digit != home))[:10]]]
        robust = rank_chosen(RobustFlagPCA(n_init=1), images)
        models = [robust, rank_chosen(PCA(), images), IsolationForest(random_state=0)]
        models[2].fit(images)
        scores = [-model.score_samples(images) for model in models]
        aucs.append([roc_auc_score(is_foreign, s) for s in scores])
        ranks.append(robust.n_components_)
        if home == 3:
            order = np.argsort(scores[0])[::-1][:15]
            suspects, red = images[order], is_foreign[order]
    ours, pca, forest = np.mean(aucs, axis=0)

    def draw(ax):
        sheet = np.ones((29, 49, 3))
        for place, (image, foreign) in enumerate(zip(suspects, red)):
            y, x = 10 * (place // 5), 10 * (place % 5)
            tint = np.array([0.25, 1, 1]) if foreign else np.ones(3)
            sheet[y : y + 8, x : x + 8] = 1 - image.reshape(8, 8, 1) / 16 * tint
        ax.imshow(sheet)
        ax.set_axis_off()
        ax.set_title(
            "10 foreign digits (red) among 90 threes:\n"
            f"the most suspect; mean AUC {ours:.3f}, PCA {pca:.3f}"
        )

    return Row(
        family="RobustFlagPCA",
        data="digits, 10 % foreign",
        pipeline="RobustFlagPCA for each digit",
        chosen=f"ranks {min(ranks)} to {max(ranks)}",
        measure="AUC of outliers ↑",
        ours=float(ours),
        plain=float(pca),
        plain_name=f"PCA; IsolationForest {forest:.3f}",
        draw=draw,
    )


ROWS.append(outlier_row)


def _short(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"


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
        model = CumulantLvLiNGAM(random_state=0).fit(sachs.data)
    found = model.effects_ != 0
    adjacent = np.triu((found | found.T) & (reference | reference.T)).sum()
    # Edges of a random graph fall on adjacent pairs as often as these are frequent.
    chance = np.triu(reference | reference.T).sum() / (11 * 10 / 2)

    def draw(ax):
        model.feature_names_in_ = np.array(sachs.feature_names, dtype=object)
        CausalGraphDisplay.from_estimator(model, ax=ax, weights=False)
        ax.set_title("Sachs: causal graph")

    return Row(
        family="CumulantLvLiNGAM",
        data="Sachs, 11 proteins",
        pipeline="CumulantLvLiNGAM",
        chosen=f"{found.sum()} edges, {model.n_latents_} latent",
        measure="adjacent in reference ↑",
        ours=float(adjacent / found.sum()),
        plain=float(chance),
        plain_name="random edges",
        draw=draw,
    )


ROWS.append(causal_row)


def mice_row():
    """Genes and fatty acids of mice: pairs of sparse combinations"""
    from sklearn.cross_decomposition import CCA

    from skstruct.cross_decomposition import SparseCCA
    from skstruct.datasets import load_nutrimouse

    mice = load_nutrimouse()
    X, Y = mice.gene, mice.lipid
    folds = list(RepeatedKFold(n_splits=5, n_repeats=2, random_state=0).split(X))
    search = GridSearchCV(
        SparseCCA(method="ipls", alpha=0.1),
        {"n_components": range(1, 8)},
        cv=folds,
    ).fit(X, Y)
    best = search.best_estimator_
    rank = best.n_components

    def held_out(model):
        """Mean correlation of the pairs on the mice left out."""
        found = []
        for train, test in folds:
            T, S = model.fit(X[train], Y[train]).transform(X[test], Y[test])
            found += [np.corrcoef(t, s)[0, 1] for t, s in zip(T.T, S.T)]
        return float(np.mean(found))

    def draw(ax):
        T, S = best.transform(X, Y)
        for genotype, marker in (("wt", "o"), ("ppar", "^")):
            rows = mice.genotype == genotype
            ax.plot(T[rows, 0], S[rows, 0], marker, label=genotype, alpha=0.8)
        ax.set_xlabel(f"{best.n_nonzero_[0, 0]} genes")
        ax.set_ylabel(f"{best.n_nonzero_[0, 1]} fatty acids")
        ax.legend(title="genotype (not used)", frameon=False)
        ax.set_title(f"Nutrimouse: first of {rank} pairs of combinations")

    return Row(
        family="SparseCCA",
        data="nutrimouse, 120 genes and 21 lipids",
        pipeline="SparseCCA",
        chosen=f"{rank} pairs, {best.n_nonzero_[:, 0].mean():.0f} genes each",
        measure="held-out correlation ↑",
        ours=held_out(SparseCCA(rank, method="ipls", alpha=0.1)),
        plain=held_out(CCA(rank)),
        plain_name="CCA",
        draw=draw,
    )


ROWS.append(mice_row)


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
            _short(row.ours),
            _short(row.plain),
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

    columns = min(len(rows), 4)
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
