# SPDX-License-Identifier: BSD-3-Clause

import csv
from importlib.resources import files
from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, Options, validate_params

_TESTS_9 = {
    "x1": "visual perception",
    "x2": "cubes",
    "x3": "lozenges",
    "x4": "paragraph comprehension",
    "x5": "sentence completion",
    "x6": "word meaning",
    "x7": "speeded addition",
    "x8": "speeded counting of dots",
    "x9": "speeded discrimination of straight and curved capitals",
}


@validate_params(
    {
        "n_tests": [Options(Integral, {9, 24, 26})],
        "as_frame": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def load_holzinger_swineford(n_tests=9, *, as_frame=False):
    """Mental ability tests of 301 pupils of two schools (Holzinger and Swineford).

    Parameters
    ----------
    n_tests : {9, 24, 26}, default=9
        9: the selection of textbooks, rescaled as customary (three visual, three
        verbal, three speed tests). 24: the tests that all pupils took. 26: all, with
        NaN where a school did not give a test.
    as_frame : bool, default=False
        Whether ``data`` is a pandas DataFrame.

    Returns
    -------
    data : Bunch
        ``data`` of shape (301, n_tests), ``feature_names``, ``descriptions`` (what
        each of the 9 tests measures; the names say it for the others), ``school`` and
        ``grade``, arrays of shape (301,).

    References
    ----------
    Holzinger, Swineford (1939), A study in factor analysis: the stability of a
    bi-factor solution, Supplementary Educational Monographs 48, University of Chicago.

    Examples
    --------
    >>> from skstruct.datasets import load_holzinger_swineford
    >>> hs = load_holzinger_swineford()
    >>> hs.data.shape, hs.feature_names[0], hs.descriptions["x1"]
    ((301, 9), 'x1', 'visual perception')
    """
    kind = 9 if n_tests == 9 else 26
    path = files("skstruct.datasets") / "data" / f"holzinger_swineford_{kind}.csv"
    with path.open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    first = head.index("x1" if kind == 9 else "t01_visperc")
    columns = range(first, first + n_tests)
    X = np.array(
        [[float(row[j].replace("NA", "nan")) for j in columns] for row in rows]
    )
    names = [head[j].split("_")[-1] for j in columns]
    if as_frame:
        import pandas as pd

        X = pd.DataFrame(X, columns=names)
    return Bunch(
        data=X,
        feature_names=names,
        descriptions=dict(_TESTS_9) if kind == 9 else {},
        school=np.array([row[head.index("school")] for row in rows]),
        grade=np.array([_number(row[head.index("grade")]) for row in rows]),
    )


def _number(text):
    return np.nan if text == "NA" else float(text)


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "items_per_factor": [Interval(Integral, 1, None, closed="left")],
        "loadings": ["array-like"],
        "factor_corr": [Interval(Real, -1, 1, closed="neither"), "array-like"],
        "cross_loadings": [Interval(Integral, 0, None, closed="left")],
        "cross_range": ["array-like"],
        "random_signs": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_factor_model(
    n_samples=500,
    *,
    n_factors=4,
    items_per_factor=6,
    loadings=(0.6, 0.9),
    factor_corr=0.2,
    cross_loadings=0,
    cross_range=(0.3, 0.5),
    random_signs=False,
    random_state=None,
):
    """Simulate variables with a planted pattern of factor loadings.

    Variables have variance one. Communalities above 0.8, which cross-loadings can
    cause, are scaled down to 0.8.

    Parameters
    ----------
    n_samples : int, default=500
        Number of rows.
    n_factors, items_per_factor : int, default=4 and 6
        There are ``n_factors * items_per_factor`` variables.
    loadings : tuple (low, high), default=(0.6, 0.9)
        Uniform range of a variable's loading on its own factor.
    factor_corr : float or array-like of shape (n_factors, n_factors), default=0.2
        Correlations of the factors, the same for all pairs if a float.
    cross_loadings : int, default=0
        How many variables of each factor also load on the next factor.
    cross_range : tuple (low, high), default=(0.3, 0.5)
        Uniform range of a cross-loading.
    random_signs : bool, default=False
        Whether each variable is turned around with probability one half.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : Bunch
        ``X`` of shape (n_samples, n_features), ``loadings`` and ``support`` of shape
        (n_features, n_factors), ``factor_corr``, ``noise_variance``, ``covariance``
        and the factor ``scores`` of shape (n_samples, n_factors).

    Raises
    ------
    ValueError
        If more than ``items_per_factor - 1`` cross-loadings would leave a factor
        without a variable of its own, or `factor_corr` is not positive definite.

    Examples
    --------
    >>> from skstruct.datasets import make_factor_model
    >>> data = make_factor_model(n_factors=3, items_per_factor=4, random_state=0)
    >>> data.X.shape, data.support.sum(axis=0)
    ((500, 12), array([4, 4, 4]))
    """
    rng = check_random_state(random_state)
    d, p = n_factors, n_factors * items_per_factor
    if d == 1:
        cross_loadings = 0
    if cross_loadings >= items_per_factor and cross_loadings:
        raise ValueError(
            f"cross_loadings={cross_loadings} must be below items_per_factor="
            f"{items_per_factor}: each factor keeps a variable of its own."
        )
    corr = np.asarray(factor_corr, dtype=float)
    if corr.ndim == 0:
        corr = np.where(np.eye(d, dtype=bool), 1.0, corr)
    if corr.shape != (d, d) or np.linalg.eigvalsh(corr)[0] <= 0:
        raise ValueError(
            f"factor_corr must be a positive definite matrix of shape ({d}, {d})."
        )
    own = np.repeat(np.arange(d), items_per_factor)
    L = np.zeros((p, d))
    L[np.arange(p), own] = rng.uniform(*loadings, size=p)
    for k in range(d):
        chosen = k * items_per_factor + np.arange(cross_loadings)
        L[chosen, (k + 1) % d] = rng.uniform(*cross_range, size=cross_loadings)
    communality = np.sum((L @ corr) * L, axis=1)
    L *= np.sqrt(np.minimum(0.8 / communality, 1.0))[:, None]
    if random_signs:
        L *= rng.choice([-1.0, 1.0], size=(p, 1))
    noise = 1 - np.sum((L @ corr) * L, axis=1)
    scores = rng.standard_normal((n_samples, d)) @ np.linalg.cholesky(corr).T
    X = scores @ L.T + rng.standard_normal((n_samples, p)) * np.sqrt(noise)
    return Bunch(
        X=X,
        loadings=L,
        support=L != 0,
        factor_corr=corr,
        noise_variance=noise,
        covariance=L @ corr @ L.T + np.diag(noise),
        scores=scores,
    )
