# SPDX-License-Identifier: BSD-3-Clause

import time
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_params,
)

from .._parallel import run_tasks
from ._rescal_input import read_slices


def _negative_mean_squared_error(y_true, y_score):
    return -float(np.mean((y_true - y_score) ** 2))


_SCORERS = {
    "neg_mean_squared_error": _negative_mean_squared_error,
    "average_precision": average_precision_score,
    "roc_auc": roc_auc_score,
}


@validate_params(
    {
        "estimator": [HasMethods(["fit", "decision_function"])],
        "X": "no_validation",
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods("split")],
        "scoring": [StrOptions(set(_SCORERS)), callable],
        "hide": [StrOptions({"nan", "zero"})],
        "normalize": ["boolean"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def cross_validate_entries(
    estimator,
    X,
    *,
    cv=10,
    scoring="neg_mean_squared_error",
    hide="nan",
    normalize=False,
    random_state=None,
    n_jobs=None,
):
    """Cross-validate a relational model on hidden cells: link prediction.

    Parameters
    ----------
    estimator : RESCAL or NonnegativeRESCAL
        Or another model with ``fit(X)`` and ``decision_function(triples)``.
    X : array of shape (m, n, n), or list of m sparse matrices of shape (n, n)
        NaN cells are neither hidden nor tested.
    cv : int or EntrywiseKFold, default=10
        Number of parts of equal size into which the observed cells are dealt, or the
        splitter (dense `X`).
    scoring : {"neg_mean_squared_error", "average_precision", "roc_auc"} or callable, \
default="neg_mean_squared_error"
        Measure on the hidden cells, higher is better: ``scoring(y_true, y_score)``.
    hide : {"nan", "zero"}, default="nan"
        "nan": hidden cells are missing in the fit. "zero": they are set to 0, the
        protocol of the RESCAL papers, in which a fact that is not known counts as
        false; the only form for sparse slices.
    normalize : bool, default=False
        Whether the scores of each pair are divided by their norm over all relations.
        Of use where a pair has at most one relation, harmful elsewhere. Builds the
        m x n x n array of all scores.
    random_state : int, RandomState instance or None, default=None
        Seed of the permutation of the cells.
    n_jobs : int, default=None
        Parts in parallel.

    Returns
    -------
    results : dict of str -> ndarray of shape (n_parts,)
        ``test_score``, ``fit_time`` and ``score_time``.

    Notes
    -----
    The cells of an int `cv` take 8 m n^2 bytes.

    References
    ----------
    Nickel, Tresp, Kriegel (2011), A three-way model for collective learning on
    multi-relational data, ICML.

    Examples
    --------
    >>> from skstruct.datasets import load_family_trees
    >>> from skstruct.tensor import RESCAL, cross_validate_entries
    >>> X = load_family_trees().X
    >>> model = RESCAL(12, alpha_A=0.5, alpha_R=0.5, max_iter=30, tol=1e-4)
    >>> found = cross_validate_entries(
    ...     model, X, cv=5, scoring="roc_auc", hide="zero", random_state=0
    ... )
    >>> bool(found["test_score"].mean() > 0.7)
    True
    """
    slices = read_slices(BaseEstimator(), X, reset=True)
    is_sparse = slices.csr is not None
    if is_sparse and hide != "zero":
        raise ValueError("Sparse slices need hide='zero'.")
    scorer = _SCORERS.get(scoring, scoring) if isinstance(scoring, str) else scoring
    tasks = [
        (estimator, slices, cells, scorer, hide, normalize)
        for cells in _parts(slices, cv, random_state)
    ]
    found = run_tasks(_one_part, tasks, n_jobs)
    return {
        name: np.array([row[i] for row in found])
        for i, name in enumerate(("test_score", "fit_time", "score_time"))
    }


def _parts(slices, cv, random_state):
    """Flat numbers of the test cells of each part."""
    shape = (slices.n_relations, slices.n_entities, slices.n_entities)
    if not isinstance(cv, Integral):
        if slices.csr is not None:
            raise ValueError("Sparse slices need an integer cv.")
        return [np.flatnonzero(test) for _, test in cv.split(slices.dense)]
    cells = np.arange(np.prod(shape, dtype=np.int64))
    if slices.missing is not None:
        cells = np.delete(cells, np.ravel_multi_index(slices.missing, shape))
    if cv > cells.size:
        raise ValueError(f"cv={cv} is larger than the number of cells, {cells.size}.")
    check_random_state(random_state).shuffle(cells)
    return [np.sort(part) for part in np.array_split(cells, cv)]


def _one_part(estimator, slices, cells, scorer, hide, normalize):
    n = slices.n_entities
    t, rest = np.divmod(cells, n * n)
    i, j = np.divmod(rest, n)
    if slices.csr is None:
        X = np.array(slices.dense)
        truth = X[t, i, j].copy()
        X[t, i, j] = np.nan if hide == "nan" else 0
    else:
        X, truth = [], np.empty(cells.size)
        edges = np.searchsorted(t, np.arange(slices.n_relations + 1))
        for r, x in enumerate(slices.csr):
            part = slice(edges[r], edges[r + 1])
            rows, columns = i[part], j[part]
            truth[part] = np.asarray(x[rows, columns]).ravel()
            places = x.tocoo()
            own = places.row.astype(np.int64) * n + places.col
            keep = ~np.isin(own, rows * n + columns)
            X.append(
                sparse.csr_array(
                    (places.data[keep], (places.row[keep], places.col[keep])),
                    shape=x.shape,
                )
            )
    start = time.perf_counter()
    model = clone(estimator).fit(X)
    fitted = time.perf_counter()
    scores = model.decision_function(np.column_stack([i, t, j]))
    if normalize:
        norms = np.linalg.norm(model.reconstruct(), axis=0)[i, j]
        scores = scores / np.where(norms > 0, norms, 1.0)
    value = scorer(truth, scores)
    return float(value), fitted - start, time.perf_counter() - fitted
