# SPDX-License-Identifier: BSD-3-Clause

from collections.abc import Mapping
from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, validate_params
from sklearn.utils.validation import _num_samples

from .._parallel import run_tasks
from ._sparse_cca import SparseCCA
from ._sparse_views import PermutedView, row_factors
from ._views import MultiviewMixin

# Added to the standard deviation of the permuted values, as in the authors' program:
# a penalty whose permuted correlations hardly vary would win by chance.
SD_OFFSET = 0.05


@validate_params(
    {
        "estimator": [HasMethods(["fit", "set_params"])],
        "X": "no_validation",
        "y": "no_validation",
        "grid": "no_validation",
        "n_permutations": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def permutation_test(
    estimator, X, y, grid, *, n_permutations=25, random_state=None, n_jobs=None
):
    """Choose a penalty, and ask whether two views are related at all.

    The first correlation is compared with those found after the rows of one view have
    been shuffled, which keeps everything but the relation. Large correlations are no
    evidence by themselves: with many columns, shuffled views have them too.

    Parameters
    ----------
    estimator : estimator instance
        Has ``correlations_`` after ``fit(X, y)``, such as :class:`SparseCCA`, or is a
        :class:`MultiviewSparseCCA`. Only the first component is fitted.
    X : array-like of shape (n_samples, n_features)
        First view; for a multi-view estimator the stacked views or a list of arrays.
    y : array-like of shape (n_samples, n_targets) or None
        Second view; None for a multi-view estimator.
    grid : list of dict
        Parameters of the estimator, such as ``[{"l1_ratio": 0.1}, {"l1_ratio": 0.3}]``.
    n_permutations : int, default=25
        25 are enough to compare penalties; take 1000 for a p-value to be reported.
    random_state : int, RandomState instance or None, default=None
        Seed of the permutations, which are the same for all entries of `grid`.
    n_jobs : int, default=None
        Number of permutations that run at a time.

    Returns
    -------
    result : Bunch
        One entry for each entry of `grid` in the arrays ``correlations``,
        ``z_scores``, ``p_values`` (the share of permutations with at least the
        correlation of the data) and ``p_values_corrected``, which count the data as
        one permutation and are valid p-values for a penalty fixed beforehand.
        ``permuted_correlations`` has shape (len(grid), n_permutations).
        ``best_index`` and ``best_params`` are those of the largest z score.

    Raises
    ------
    ValueError
        If `grid` is empty or the views have different numbers of rows.

    Notes
    -----
    With ``F(c) = log((1 + c) / (1 - c))`` the z score is ``(F(c) - mean F(c_b)) /
    (sd F(c_b) + 0.05)`` over the permuted correlations ``c_b``. The smallest of
    several p-values is not a p-value: test the chosen penalty on other rows, or
    correct for the number of penalties.

    The start is computed for every permutation; the authors' program reuses that of
    the data. For :class:`SparseCCA` the columns are standardised and the Gram
    matrices of the rows are formed once for all permutations and penalties.

    References
    ----------
    Witten, Tibshirani (2009), Extensions of sparse canonical correlation analysis
    with applications to genomic data, SAGMB 8. Winkler, Renaud, Smith, Nichols
    (2020), Permutation inference for canonical correlation analysis, NeuroImage 220.

    Examples
    --------
    >>> from skstruct.cross_decomposition import SparseCCA, permutation_test
    >>> from skstruct.datasets import load_nutrimouse
    >>> mice = load_nutrimouse()
    >>> test = permutation_test(
    ...     SparseCCA(), mice.gene, mice.lipid, [{"l1_ratio": 0.2}, {"l1_ratio": 0.4}],
    ...     n_permutations=99, random_state=0,
    ... )
    >>> test.p_values_corrected
    array([0.01, 0.01])
    """
    grid = list(grid)
    if not grid or not all(isinstance(params, Mapping) for params in grid):
        raise ValueError(
            f"grid={grid!r} must be a list of at least one dict of parameters."
        )
    candidates = []
    for params in grid:
        candidate = clone(estimator).set_params(**params)
        if "n_components" in candidate.get_params():
            candidate.set_params(n_components=1)
        if "n_jobs" in candidate.get_params():
            # The permutations are the outer loop.
            candidate.set_params(n_jobs=1)
        candidates.append(candidate)
    views = _views_of(estimator, X, y)
    n = _num_samples(views[0])
    rng = check_random_state(random_state)
    orders = [
        [None, *(rng.permutation(n) for _ in views[1:])] for _ in range(n_permutations)
    ]
    identity = [None] * len(views)
    if isinstance(estimator, SparseCCA):
        run = _sparse_cca_runner(candidates, *views)
    else:
        run = _runner(candidates, views, stacked=y is None)
    found = np.array(
        run_tasks(run, [(order,) for order in [identity, *orders]], n_jobs)
    ).T
    return _summary(found[:, 0], found[:, 1:], grid)


def _views_of(estimator, X, y):
    if isinstance(estimator, MultiviewMixin):
        if y is not None:
            raise ValueError(
                f"y must be None for {type(estimator).__name__}: X has all views."
            )
        return clone(estimator)._validate_multiview(X, reset=True, min_samples=2)
    if y is None:
        raise ValueError(f"{type(estimator).__name__} needs y, the second view.")
    if isinstance(estimator, SparseCCA):
        return clone(estimator)._validate_views(X, y, reset=True, accept_sparse="csr")
    X, y = (A if hasattr(A, "shape") else np.asarray(A) for A in (X, y))
    if _num_samples(X) != _num_samples(y):
        raise ValueError(
            f"X has {_num_samples(X)} rows and y has {_num_samples(y)}; they must "
            "have the same samples."
        )
    return [X, y]


def _runner(candidates, views, *, stacked):
    """Fit every candidate to shuffled copies."""

    def run(orders):
        shuffled = [
            view if order is None else view[order] for view, order in zip(views, orders)
        ]
        data = (shuffled,) if stacked else shuffled
        return [_first(clone(c).fit(*data).correlations_) for c in candidates]

    return run


def _sparse_cca_runner(candidates, X, y):
    """The same without a copy of the data for each permutation."""
    prepared = {}
    for candidate in candidates:
        key = (candidate.method == "pmd", candidate.scale)
        candidate._validate_params()
        if key not in prepared:
            x_view, y_view = candidate._standard_views(X, y)
            prepared[key] = x_view, y_view, row_factors([x_view, y_view])
        candidate._check_options(*prepared[key][:2])

    def run(orders):
        order, correlations = orders[1], []
        for candidate in candidates:
            x, y, factors = prepared[candidate.method == "pmd", candidate.scale]
            if order is not None:
                y = PermutedView(y, order)
                if factors is not None:
                    factors = factors[0], factors[1][order]
            found = candidate._components(x, y, factors)[0]
            t, s = x.scores(found.u), y.scores(found.v)
            size = np.linalg.norm(t) * np.linalg.norm(s)
            correlations.append(t @ s / size if size > 0 else 0.0)
        return correlations

    return run


def _first(correlations):
    return float(np.ravel(correlations)[0])


def _summary(correlations, permuted, grid):
    def fisher(c):
        c = np.clip(c, -1 + 1e-12, 1 - 1e-12)
        return np.log((1 + c) / (1 - c))

    B = permuted.shape[1]
    F = fisher(permuted)
    sd = F.std(axis=1, ddof=1) if B > 1 else np.zeros(len(grid))
    z = (fisher(correlations) - F.mean(axis=1)) / (sd + SD_OFFSET)
    # Equal up to rounding counts as equal.
    exceed = np.sum(permuted >= correlations[:, None] - 1e-12, axis=1)
    best = int(np.argmax(z))
    return Bunch(
        correlations=correlations,
        permuted_correlations=permuted,
        z_scores=z,
        p_values=exceed / B,
        p_values_corrected=(1 + exceed) / (1 + B),
        best_index=best,
        best_params=dict(grid[best]),
    )
