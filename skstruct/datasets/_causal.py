# SPDX-License-Identifier: BSD-3-Clause

from importlib.resources import files
from numbers import Integral

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

_NOISES = {
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
    "gamma": lambda rng, n: (rng.gamma(2.0, size=n) - 2) / np.sqrt(2),
    "uniform": lambda rng, n: rng.uniform(-np.sqrt(3), np.sqrt(3), size=n),
    "laplace": lambda rng, n: rng.laplace(size=n) / np.sqrt(2),
    "gumbel": lambda rng, n: (
        (rng.gumbel(size=n) - np.euler_gamma) / (np.pi / np.sqrt(6))
    ),
    "lognormal": lambda rng, n: (
        (rng.lognormal(0, 0.5, size=n) - np.exp(0.125))
        / np.sqrt((np.exp(0.25) - 1) * np.exp(0.25))
    ),
}

# Effects as {(effect, cause): coefficient} and loadings as one dictionary per latent.
_DESIGNS = {
    "D1": (5, {(1, 0): 0.7, (3, 2): 0.8}, [{0: 0.9, 1: 0.8, 2: 0.85}]),
    "D2": (
        6,
        {(2, 1): 0.8},
        [{0: 0.9, 1: 0.8, 2: 0.7}, {3: 0.9, 4: -0.8, 5: 0.7}],
    ),
    "D3": (4, {(1, 0): 0.8, (2, 1): 0.7, (2, 0): 0.5, (3, 2): -0.6}, []),
    "D4": (
        5,
        {},
        [
            {0: 0.9, 1: 0.8, 2: 0.9, 3: 0.9, 4: 0.8},
            {0: 0.8, 1: -0.9, 2: 0.7},
        ],
    ),
}


@validate_params(
    {
        "design": [StrOptions({"random", *_DESIGNS})],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 2, None, closed="left")],
        "n_latents": [Interval(Integral, 0, None, closed="left")],
        "noise": [StrOptions({"mixed", *_NOISES})],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_latent_lingam(
    design="random",
    *,
    n_samples=2000,
    n_features=7,
    n_latents=1,
    noise="exponential",
    random_state=None,
):
    """Simulate a linear non-Gaussian causal model with latent common causes.

    Parameters
    ----------
    design : {"random", "D1", "D2", "D3", "D4"}, default="random"
        "random": edges with probability ``min(0.45, 1.8 / (n_features - 1))`` along a
        random order, latents with 3 to 5 children of which two latents share at most
        one, coefficients of absolute value 0.5 to 1, no total effect of a parent or
        latent below 0.3. "D1": one latent, with edges inside and out of its children.
        "D2": two latents. "D3": none. "D4": two latents, the children of one within
        those of the other.
    n_samples : int, default=2000
        Rows.
    n_features, n_latents : int, default=7 and 1
        Sizes of a random design; fewer latents if that many do not fit.
    noise : str, default="exponential"
        "exponential", "gamma", "uniform", "laplace", "gumbel", "lognormal", or "mixed"
        (drawn for each component); variance one.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        ``X`` of shape (n_samples, p), ``adjacency_matrix`` (row = effect, column =
        cause), ``latent_loadings`` of shape (p, q), ``latent_children`` (list of
        lists) and ``latents`` of shape (n_samples, q).

    Examples
    --------
    >>> from skstruct.datasets import make_latent_lingam
    >>> data = make_latent_lingam("D1", n_samples=100, random_state=0)
    >>> data.X.shape, data.latent_children
    ((100, 5), [[0, 1, 2]])
    """
    rng = check_random_state(random_state)
    if design == "random":
        B, Lam = _random_design(rng, n_features, n_latents)
    else:
        p, edges, latents = _DESIGNS[design]
        B, Lam = np.zeros((p, p)), np.zeros((p, len(latents)))
        for place, value in edges.items():
            B[place] = value
        for k, loadings in enumerate(latents):
            for i, value in loadings.items():
                Lam[i, k] = value
    p, q = Lam.shape
    kinds = sorted(_NOISES)

    def draw():
        kind = kinds[rng.randint(len(kinds))] if noise == "mixed" else noise
        return _NOISES[kind](rng, n_samples)

    E = np.array([draw() for _ in range(p)]).T
    L = np.array([draw() for _ in range(q)]).T.reshape(n_samples, q)
    X = np.linalg.solve(np.eye(p) - B, (E + L @ Lam.T).T).T
    return Bunch(
        X=np.ascontiguousarray(X),
        adjacency_matrix=B,
        latent_loadings=Lam,
        latent_children=[np.flatnonzero(column).tolist() for column in Lam.T],
        latents=L,
    )


def _random_design(rng, p, q):
    def coefficient():
        return rng.uniform(0.5, 1) * rng.choice([-1, 1])

    while True:
        order = rng.permutation(p)
        B = np.zeros((p, p))
        for a in range(p):
            for b in range(a):
                if rng.uniform() < min(0.45, 1.8 / (p - 1)):
                    B[order[a], order[b]] = coefficient()
        sets = []
        for _ in range(q if p >= 3 else 0):
            for _ in range(50):
                size = rng.randint(3, min(5, p) + 1)
                children = set(rng.choice(p, size, replace=False).tolist())
                if all(len(children & other) <= 1 for other in sets):
                    sets.append(children)
                    break
        sets.sort(key=sorted)
        Lam = np.zeros((p, len(sets)))
        for k, children in enumerate(sets):
            for i in sorted(children):
                Lam[i, k] = coefficient()
        T = np.linalg.inv(np.eye(p) - B)
        # Effects that cancel along their paths cannot be found by anyone.
        if np.all(np.abs(T[B != 0]) > 0.3) and np.all(
            np.abs((T @ Lam)[Lam != 0]) > 0.3
        ):
            return B, Lam


def load_sachs(*, log=True, as_frame=False):
    """Protein signalling in single cells (observational condition).

    Levels of 11 phosphorylated proteins and phospholipids in 853 human T cells under
    general stimulation, measured by flow cytometry, with the 18 directed edges that
    are used as reference graph in the literature.

    Parameters
    ----------
    log : bool, default=True
        Whether natural logarithms are returned, on which linear models make sense.
    as_frame : bool, default=False
        Whether ``data`` is a pandas DataFrame.

    Returns
    -------
    data : Bunch
        ``data`` of shape (853, 11), ``feature_names``, ``adjacency_matrix`` (0 and 1,
        row = effect, column = cause) and ``edges`` (list of (cause, effect) names).

    References
    ----------
    Sachs, Perez, Pe'er, Lauffenburger, Nolan (2005), Causal protein-signaling networks
    derived from multiparameter single-cell data, Science 308.

    Examples
    --------
    >>> from skstruct.datasets import load_sachs
    >>> sachs = load_sachs()
    >>> sachs.data.shape, int(sachs.adjacency_matrix.sum())
    ((853, 11), 18)
    """
    path = files("skstruct.datasets").joinpath("data", "sachs.csv")
    with path.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")
        X = np.loadtxt(file, delimiter=",")
    if log:
        X = np.log(X)
    A = np.zeros((len(names), len(names)))
    for cause, effect in _SACHS_EDGES:
        A[names.index(effect), names.index(cause)] = 1.0
    data = X
    if as_frame:
        import pandas as pd

        data = pd.DataFrame(X, columns=names)
    return Bunch(
        data=data, feature_names=names, adjacency_matrix=A, edges=list(_SACHS_EDGES)
    )


_SACHS_EDGES = (
    ("PIP2", "PKC"),
    ("plcg", "PIP2"),
    ("PIP3", "plcg"),
    ("PIP2", "PIP3"),
    ("plcg", "PKC"),
    ("PKC", "pjnk"),
    ("PKC", "P38"),
    ("PKA", "P38"),
    ("PKC", "praf"),
    ("PKA", "praf"),
    ("praf", "pmek"),
    ("pmek", "p44/42"),
    ("PKC", "pmek"),
    ("PKA", "pakts473"),
    ("PIP3", "pakts473"),
    ("PKA", "pmek"),
    ("PKA", "p44/42"),
    ("PKA", "pjnk"),
)
