"""Independent maximal cliques of thresholded correlations, at all thresholds."""

# SPDX-License-Identifier: BSD-3-Clause

import itertools
from numbers import Integral, Real

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_array

from ._kernels import (
    N_BINS,
    count_degrees,
    fill_levels,
    largest_deviations,
    neighbours_above,
    simplicial_path,
)

_BLOCK = 1000
# Up to this many variables all thresholds that change the graph are tried.
_ALL_UP_TO = 30
_MAX_TABLE = 200_000_000


class ThresholdStructure:
    """One structure on the path: which variables belong to which factor.

    Attributes
    ----------
    threshold, tau_low, tau_high : float
        Smallest and largest threshold of the grid that gave it; ``threshold`` is the
        smallest.
    n_thresholds : int
        How many thresholds of the grid gave it.
    n_factors : int
        Number of factors; may be 0.
    n_loadings : int
        Number of loadings that are not zero.
    support : ndarray of bool of shape (n_features, n_factors)
        Made when asked for. Columns in descending lexicographic order.
    """

    __slots__ = (
        "_n_features",
        "indptr",
        "members",
        "n_thresholds",
        "tau_high",
        "tau_low",
        "threshold",
    )

    def __init__(self, threshold, indptr, members, n_features):
        self.threshold = self.tau_low = self.tau_high = threshold
        self.n_thresholds = 1
        self.indptr, self.members = indptr, members
        self._n_features = n_features

    @property
    def n_factors(self):
        """Number of factors."""
        return self.indptr.size - 1

    @property
    def n_loadings(self):
        """Number of loadings that are not zero."""
        return self.members.size

    @property
    def support(self):
        """Pattern of the loadings, bool of shape (n_features, n_factors)."""
        cliques = sorted(
            tuple(self.members[a:b]) for a, b in itertools.pairwise(self.indptr)
        )
        support = np.zeros((self._n_features, len(cliques)), dtype=bool)
        for k, clique in enumerate(cliques):
            support[list(clique), k] = True
        return support

    def __repr__(self):
        return (
            f"<{self.n_factors} factors, {self.n_loadings} loadings, threshold "
            f"{self.tau_low:.4g} to {self.tau_high:.4g}>"
        )


@validate_params(
    {
        "R": ["array-like"],
        "threshold": [Interval(Real, 0, 1, closed="left")],
        "min_clique_size": [Interval(Integral, 2, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def independent_maximal_cliques(R, threshold, *, min_clique_size=2):
    """Factor structure at one threshold of the correlations.

    Variables are joined when ``|r| > threshold``. Each maximal clique that has a
    member of no other maximal clique is a factor, and its members load on it.

    Parameters
    ----------
    R : array-like of shape (n_features, n_features)
        Correlation matrix; signs do not matter.
    threshold : float in [0, 1)
        Entries equal to it are no edges.
    min_clique_size : int, default=2
        Smallest number of variables of a factor.

    Returns
    -------
    support : ndarray of bool of shape (n_features, n_factors)
        Columns in descending lexicographic order. There may be none, and rows of
        variables that belong to no factor are False throughout.

    Raises
    ------
    ValueError
        If `R` is not square or symmetric, has an entry above 1 in absolute value, or
        is not finite.

    See Also
    --------
    correlation_threshold_path : All thresholds at once.

    Notes
    -----
    A vertex lies in one maximal clique only iff its neighbours are all joined to each
    other; that clique is then its closed neighbourhood.

    References
    ----------
    Kim, Zhou (2023), Structure learning of latent factors via clique search on
    correlation thresholded graphs, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.factor_analysis import independent_maximal_cliques
    >>> R = np.kron(np.eye(2), np.full((2, 2), 0.6)) + 0.4 * np.eye(4)
    >>> independent_maximal_cliques(R, 0.3).astype(int)
    array([[1, 0],
           [1, 0],
           [0, 1],
           [0, 1]])
    """
    R = check_correlation(R)
    grid = np.array([float(threshold)])
    path = threshold_path(R, grid, min_clique_size, keep_empty=True)
    return path[0].support


@validate_params(
    {
        "R": ["array-like"],
        "thresholds": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"all"}),
            None,
        ],
        "min_clique_size": [Interval(Integral, 2, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def correlation_threshold_path(R, thresholds=None, *, min_clique_size=2):
    """All distinct factor structures over a grid of thresholds.

    Parameters
    ----------
    R : array-like of shape (n_features, n_features)
        Correlation matrix.
    thresholds : int, array-like, "all" or None, default=None
        The grid: values in [0, 1), a number of evenly spaced values from 0.005 to
        0.995, or "all": midpoints between consecutive distinct values of ``|r|``,
        0 prepended, which meets every graph there is. None: "all" up to 30
        variables, 100 values beyond.
    min_clique_size : int, default=2
        Smallest number of variables of a factor.

    Returns
    -------
    path : list of structures
        By ascending threshold; each has ``threshold``, ``tau_low``, ``tau_high``
        (smallest and largest threshold of the grid that gave it), ``n_thresholds``,
        ``n_factors``, ``n_loadings`` and ``support``. Thresholds that leave no edge
        are dropped, so the list may be empty.

    Raises
    ------
    ValueError
        If `R` is not a correlation matrix or a threshold is outside [0, 1).

    See Also
    --------
    independent_maximal_cliques : One threshold.
    CorrelationThresholding : Chooses the structure and estimates its loadings.

    Notes
    -----
    Each entry is turned into its level, the number of thresholds below it: p^2 bytes
    up to 255 thresholds. Then every variable is followed from the highest threshold
    to the lowest with its neighbours sorted by level. One pair of neighbours with a
    low level rules out all thresholds from that level up, so that most of them are
    never looked at. Memory beside `R`: p^2 bytes and 4 p bytes per threshold.

    References
    ----------
    Kim, Zhou (2023), Structure learning of latent factors via clique search on
    correlation thresholded graphs, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.factor_analysis import correlation_threshold_path
    >>> R = np.kron(np.eye(2), np.full((3, 3), 0.6)) + 0.3 * np.eye(6) + 0.1
    >>> [(s.n_factors, round(s.threshold, 2)) for s in correlation_threshold_path(R)]
    [(1, 0.0), (2, 0.4)]
    """
    R = check_correlation(R)
    grid = threshold_grid(R, thresholds)
    return threshold_path(R, grid, min_clique_size)


def check_correlation(R, name="R"):
    """A correlation matrix as a symmetric float64 (or float32) array."""
    R = check_array(
        R, dtype=[np.float64, np.float32], input_name=name, ensure_min_samples=2
    )
    if R.shape[0] != R.shape[1]:
        raise ValueError(f"{name} must be square, got shape {R.shape}.")
    # float32 matrices carry rounding of their own.
    tol = 1e-8 if R.dtype == np.float64 else 1e-5
    R = np.ascontiguousarray(R)
    asymmetry, i, j, largest, k, l = largest_deviations(R)
    if asymmetry > tol:
        raise ValueError(
            f"{name} must be symmetric within {tol:g}; entries {(i, j)} and {(j, i)} "
            f"differ by {asymmetry:.3g}."
        )
    if largest > 1 + tol:
        raise ValueError(
            f"{name} must be a correlation matrix: |entry| <= 1, but entry {(k, l)} is "
            f"{R[k, l]:.6g}."
        )
    if asymmetry > 0:
        R = (R + R.T) / 2
    return R


def check_thresholds(thresholds):
    """Ascending distinct thresholds in [0, 1)."""
    grid = np.asarray(thresholds, dtype=np.float64)
    if grid.ndim != 1 or grid.size == 0 or not np.isfinite(grid).all():
        raise ValueError("thresholds must be a non-empty vector of finite numbers.")
    if grid.min() < 0 or grid.max() >= 1:
        outside = grid.min() if grid.min() < 0 else grid.max()
        raise ValueError(f"thresholds must lie in [0, 1), got {outside:.6g}.")
    return np.unique(grid)


def even_grid(n):
    """`n` evenly spaced thresholds from 0.005 to 0.995."""
    return np.linspace(0.005, 0.995, n) if n > 1 else np.array([0.5])


def threshold_grid(R, thresholds):
    """Resolve the parameter `thresholds` for a correlation matrix."""
    p = R.shape[0]
    if thresholds is None:
        thresholds = "all" if p <= _ALL_UP_TO else 100
    if isinstance(thresholds, str):
        values = np.unique(np.abs(R[np.triu_indices(p, 1)]).astype(np.float64))
        values = np.concatenate([[0.0], values[(values > 0) & (values < 1)]])
        grid = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2])
        # Neighbours may round to one of their two midpoint's ends.
        grid = np.unique(grid[grid < 1])
        if grid.size * p > _MAX_TABLE:
            raise ValueError(
                f"thresholds='all' gives {grid.size} thresholds for {p} variables, "
                "too many for one table; give a number of thresholds instead."
            )
        return grid
    if isinstance(thresholds, Integral):
        return even_grid(int(thresholds))
    return check_thresholds(thresholds)


def _level_table(grid, dtype):
    grid = np.ascontiguousarray(grid, dtype=dtype)
    starts = (np.arange(N_BINS + 1) / N_BINS).astype(dtype)
    return grid, np.searchsorted(grid, starts, side="left").astype(np.int64)


def _level_dtype(n_thresholds):
    if n_thresholds <= 255:
        return np.uint8
    return np.uint16 if n_thresholds <= 65535 else np.uint32


def levels_of_correlation(R, grid):
    """Number of thresholds strictly below each |r|, for a matrix at hand."""
    thresholds, bins = _level_table(grid, R.dtype)
    levels = np.empty(R.shape, dtype=_level_dtype(grid.size))
    fill_levels(np.ascontiguousarray(R), 0, 0, thresholds, bins, False, levels)
    return levels


def levels_of_data(Z, grid):
    """The same from standardised rows: correlations by blocks, none kept.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_features)
        Columns of mean zero and unit length.
    grid : ndarray of shape (T,)

    Returns
    -------
    levels : ndarray of shape (n_features, n_features)
    """
    p = Z.shape[1]
    thresholds, bins = _level_table(grid, Z.dtype)
    levels = np.empty((p, p), dtype=_level_dtype(grid.size))
    for i in range(0, p, _BLOCK):
        left = np.ascontiguousarray(Z[:, i : i + _BLOCK].T)
        for j in range(i, p, _BLOCK):
            block = left @ Z[:, j : j + _BLOCK]
            fill_levels(block, i, j, thresholds, bins, j > i, levels)
    return levels


def threshold_path(R, grid, min_size=2, *, keep_empty=False, n_jobs=None):
    """Distinct structures over an ascending grid, for a correlation matrix."""
    return path_of_levels(
        levels_of_correlation(R, grid),
        grid,
        min_size,
        keep_empty=keep_empty,
        n_jobs=n_jobs,
    )


def path_of_levels(levels, grid, min_size, *, keep_empty=False, n_jobs=None):
    """Distinct structures over an ascending grid, for levels.

    Parameters
    ----------
    levels : ndarray of unsigned integers of shape (p, p)
    grid : ndarray of shape (T,)
    min_size : int
    keep_empty : bool, default=False
        Whether structures of thresholds that leave no edge are kept.
    n_jobs : int, default=None
        Threads; the result does not depend on it.

    Returns
    -------
    path : list of ThresholdStructure
    """
    p, T = levels.shape[0], grid.size
    degrees = np.empty((p, T), dtype=np.int32)
    count_degrees(levels, T, degrees)
    n_parts = min(effective_n_jobs(n_jobs), p)
    bounds = np.linspace(0, p, n_parts + 1).astype(int)
    if n_parts == 1:
        parts = [simplicial_path(levels, degrees, min_size, 0, p)]
    else:
        parts = Parallel(n_jobs=n_parts, prefer="threads", require="sharedmem")(
            delayed(simplicial_path)(levels, degrees, min_size, a, b)
            for a, b in itertools.pairwise(bounds)
        )
    found = np.concatenate(parts)
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    ends = np.searchsorted(found[:, 0], np.arange(T + 1))
    has_edge = degrees.max(axis=0) > 0
    codes = np.random.default_rng(0).integers(1 << 63, size=p, dtype=np.uint64)
    seen = {}
    for t in range(T):
        if not has_edge[t] and not keep_empty:
            continue
        vertices = found[ends[t] : ends[t + 1], 1]
        indptr = np.concatenate([[0], np.cumsum(degrees[vertices, t] + 1)])
        members = np.empty(indptr[-1], dtype=np.int32)
        neighbours_above(levels, t, vertices, indptr, members)
        indptr, members = _normal_order(indptr, members, codes)
        key = (indptr.tobytes(), members.tobytes())
        known = seen.get(key)
        if known is None:
            seen[key] = ThresholdStructure(float(grid[t]), indptr, members, p)
        else:
            known.tau_high = float(grid[t])
            known.n_thresholds += 1
    return list(seen.values())


def _normal_order(indptr, members, codes):
    """Order the cliques by a hash of their members, whichever graph they came from."""
    lengths = np.diff(indptr)
    if lengths.size < 2:
        return indptr, members
    order = np.argsort(np.add.reduceat(codes[members], indptr[:-1]), kind="stable")
    new = np.concatenate([[0], np.cumsum(lengths[order])])
    shift = np.repeat(indptr[:-1][order] - new[:-1], lengths[order])
    return new, members[shift + np.arange(members.size)]
