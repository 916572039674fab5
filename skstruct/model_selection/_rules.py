# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

_RANKS = ("n_components", "n_clusters", "max_components")


def one_standard_error(
    cv_results, *, param=None, larger_is_simpler=False, metric="score"
):
    """Pick the simplest candidate within one standard error of the best.

    Meant as ``GridSearchCV(..., refit=one_standard_error)``; set the keywords with
    :func:`functools.partial`.

    Parameters
    ----------
    cv_results : dict of ndarrays
        ``cv_results_`` of a search.
    param : str, default=None
        Grid parameter that measures complexity. None: the one grid parameter whose
        last name part is ``n_components``, ``n_clusters`` or ``max_components``.
    larger_is_simpler : bool, default=False
        Whether larger values of `param` are simpler (penalties, thresholds).
    metric : str, default="score"
        Name of the scorer, for searches with several.

    Returns
    -------
    best_index : int
        Among the candidates whose mean test score is at least the best mean minus
        its standard error (standard deviation over splits with ddof=1 over the
        square root of their number; 0 with one split), the index of the simplest;
        ties go to the better mean. Candidates with a NaN mean are ignored.

    Raises
    ------
    ValueError
        If `param` is None and no or several grid parameters are ranks, if `param` is
        not in the grid, or if every mean is NaN.

    References
    ----------
    Breiman, Friedman, Olshen, Stone (1984), Classification and Regression Trees.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.model_selection import one_standard_error
    >>> cv_results = {
    ...     "param_n_components": np.array([1, 2, 3]),
    ...     "mean_test_score": np.array([0.5, 0.89, 0.9]),
    ...     "split0_test_score": np.array([0.5, 0.84, 0.8]),
    ...     "split1_test_score": np.array([0.5, 0.94, 1.0]),
    ... }
    >>> one_standard_error(cv_results)
    1
    """
    complexity = cv_results[f"param_{_rank_parameter(cv_results, param)}"]
    mean = np.asarray(cv_results[f"mean_test_{metric}"], dtype=float)
    if np.isnan(mean).all():
        raise ValueError(
            f"Every mean test {metric} is NaN: no candidate can be chosen."
        )
    best = int(np.nanargmax(mean))
    bound = mean[best] - standard_errors(cv_results, metric)[best]
    eligible = np.flatnonzero(mean >= bound)
    sign = -1.0 if larger_is_simpler else 1.0
    return int(min(eligible, key=lambda i: (sign * complexity[i], -mean[i])))


def standard_errors(cv_results, metric="score"):
    """Standard error of each candidate's mean test score; 0 with a single split."""
    splits = split_scores(cv_results, metric)
    if splits.shape[1] < 2:
        return np.zeros(splits.shape[0])
    return splits.std(axis=1, ddof=1) / np.sqrt(splits.shape[1])


def split_scores(cv_results, metric="score"):
    """Test scores as an array (candidates, splits)."""
    end = f"_test_{metric}"
    columns = []
    while f"split{len(columns)}{end}" in cv_results:
        columns.append(cv_results[f"split{len(columns)}{end}"])
    return np.column_stack(columns).astype(float)


def _rank_parameter(cv_results, param):
    grid = [
        key.removeprefix("param_") for key in cv_results if key.startswith("param_")
    ]
    if param is not None:
        if param not in grid:
            raise ValueError(f"param={param!r} is not in the grid; it has {grid}.")
        return param
    ranks = [name for name in grid if name.rsplit("__", 1)[-1] in _RANKS]
    if len(ranks) != 1:
        raise ValueError(
            f"Set param= to the grid parameter that measures complexity: {len(ranks)} "
            f"of {grid} end in one of {list(_RANKS)}."
        )
    return ranks[0]
