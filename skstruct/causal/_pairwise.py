# SPDX-License-Identifier: BSD-3-Clause

from itertools import combinations
from numbers import Integral, Real

import numpy as np
from scipy.stats import chi2
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .._base import StructEstimator
from ._accumulator import _BLOCK_ROWS, add_pair_sums
from ._checks import check_columns
from ._pair_tilts import mirrored_positions, tilted_cumulants

# Share of the diagonal in the weights of tilted conditions, which are nearly collinear
# where a column is bounded.
_SHRINK = 0.005

STRUCTURES = (
    "independent",
    "x->y",
    "y->x",
    "latent",
    "latent,x->y",
    "latent,y->x",
    "undetermined",
)


class CumulantPairwise(StructEstimator):
    """Cause, confounding, or both: pairs of variables from their higher cumulants.

    In the linear model with independent non-Gaussian sources the cumulants of a pair
    obey linear recurrences whose length is the number of sources that the two share,
    and which extend to one more term on the side of the cause. Each possible structure
    is one such recurrence, tested by an overidentification test.

    Parameters
    ----------
    max_order : int in [4, 6], default=6
        Largest order of the plain cumulants with ``tau=0``; otherwise theirs go to 4,
        and the tilted ones hold all higher orders. For symmetric noise, orders to 4
        without tilt leave the direction beside a latent a coin flip.
    tau : float >= 0, default=1.0
        Tilt along each of the two columns, in standard deviations: cumulants under the
        weights ``exp(i tau x)``, which sum over all higher orders and stay bounded in
        the tails. 0 takes the plain cumulants alone, in one pass over all pairs of a
        table; for heavy tails and symmetric noise that tells far less.
    alpha : float in (0, 1), default=0.01
        Level of the tests of independence and of an edge without a latent. Among the
        structures with a latent a selection criterion decides, and the result is
        "undetermined" when its own p-value is below a hundredth of `alpha`.
    max_components : int in {2, 3}, default=3
        Largest number of shared sources that is tried; with 3 the structure stays
        undetermined but ``n_shared_`` says that there is more than one latent.
    n_bootstrap : int, default=0
        Number of bootstrap replicates for the p-values; 0 takes the chi-squared
        distribution, which rejects too often in heavy tails.
    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap.

    Attributes
    ----------
    adjacency_matrix_ : ndarray of shape (n_features, n_features)
        Row = effect, column = cause: the coefficient (of two candidates, the one
        nearer to zero), 0 without an edge, NaN in both places of an undetermined pair.
        With more than two columns edges are total effects.
    structure_matrix_ : ndarray of str of shape (n_features, n_features)
        Structure of each pair with x the row and y the column.
    structure_ : str
        Two columns only, as all that follows: "independent", "x->y", "y->x" (no
        latent), "latent" (no edge), "latent,x->y", "latent,y->x", "undetermined". x is
        the first column.
    direction_ : {"x->y", "y->x", None}
        The edge of ``structure_``.
    n_shared_ : int
        Number of sources that the columns share: 0 independent, 1 an edge or a latent,
        2 both; -1 if more than `max_components`.
    j_statistics_, p_values_ : dict of str -> float
        For each structure (and "3 shared,x->y" and so on) its test; a small p-value
        speaks against it. NaN where the orders leave no degree of freedom.
    coef_candidates_ : ndarray
        The coefficient of the edge: one value without a latent; two with one, of
        which the data cannot say which is the direct effect; none without an edge.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, when all are strings.

    See Also
    --------
    CumulantLvLiNGAM : Three and more variables.

    Notes
    -----
    With ``c_l`` the cumulant of n - l copies of x and l of y, a source with loadings
    (a_x, a_y) adds a geometric sequence of ratio a_y / a_x. Interior terms 0 < l < n
    see shared sources only; without a private source of x (that is, x causes y) the
    term l = 0 joins, and l = n for the mirror. The conditions
    ``c_{l+k} + sum q_i c_{l+i} = 0`` are linear in q and hold at every tilt; the
    statistic is n times their quadratic form in the inverse of the estimated
    covariance, drawn to its diagonal by half a per cent. Plain orders 2 to 4 test
    independence, tilted orders 2 and 3 an edge alone, 3 and 4 what has a latent; among
    structures with a latent the moment selection criterion J - dof log(n) / 2 chooses.
    The direction is the one with the smaller statistic, at equal degrees of freedom.

    A pair costs one pass over its rows, which makes a covariance of 60 cumulants. With
    ``tau=0`` moments to order 12 of all pairs are summed in one pass.

    References
    ----------
    Chen, Huang, Cai, Hao, Zhang (2024), Identification of causal structure with latent
    variables based on higher order cumulants, AAAI. Schkoda, Robeva, Drton (2024),
    Causal discovery of linear non-Gaussian causal models with unobserved confounding.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.causal import CumulantPairwise
    >>> rng = np.random.default_rng(0)
    >>> L, x, y = rng.exponential(size=(3, 5000))
    >>> x = x + L
    >>> y = y + 0.8 * L
    >>> CumulantPairwise().fit(np.column_stack([x, y])).structure_
    'latent'
    """

    _parameter_constraints = {
        "max_order": [Interval(Integral, 4, 6, closed="both")],
        "tau": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "max_components": [Interval(Integral, 2, 3, closed="both")],
        "n_bootstrap": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        max_order=6,
        *,
        tau=1.0,
        alpha=0.01,
        max_components=3,
        n_bootstrap=0,
        random_state=None,
    ):
        self.max_order = max_order
        self.tau = tau
        self.alpha = alpha
        self.max_components = max_components
        self.n_bootstrap = n_bootstrap
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Test every structure of every pair and choose one.

        Parameters
        ----------
        X : array-like of shape (n_samples, 2) or (n_samples, n_features)
            The pair, or a table whose pairs are all tested; at least 10 rows (in
            earnest, thousands).
        y : None
            Ignored.

        Returns
        -------
        self : CumulantPairwise
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_features=2)
        check_columns(X, min_samples=10, names=self._names())
        if self.n_bootstrap and X.shape[1] > 2:
            raise ValueError(
                f"n_bootstrap={self.n_bootstrap} needs X with 2 columns, got "
                f"{X.shape[1]}."
            )
        if 0 < self.n_bootstrap < 1 / self.alpha - 1:
            raise ValueError(
                f"n_bootstrap={self.n_bootstrap} cannot reject at alpha={self.alpha}: "
                f"its smallest p-value is 1 / {self.n_bootstrap + 1}."
            )
        table = self._judge(X)
        self.adjacency_matrix_, self.structure_matrix_ = table[:2]
        self._rows = table[2]
        if X.shape[1] == 2:
            J, dof, p, self.n_shared_, code, self.coef_candidates_ = table[3]
            labels = _hypotheses(self.max_components)
            J_or_nan = np.where(dof > 0, J, np.nan)
            self.j_statistics_ = dict(zip(labels, J_or_nan.tolist()))
            self.p_values_ = dict(zip(labels, p.tolist()))
            self.structure_ = STRUCTURES[code]
            self.direction_ = next(
                (d for d in ("x->y", "y->x") if self.structure_.endswith(d)), None
            )
        return self

    def _judge(self, X):
        """Adjacency, structures, deciding rows, and the tests of the last pair."""
        n, p = X.shape
        Z = (X - X.mean(axis=0)) / X.std(axis=0)
        raw = _raw_moments(Z, self.max_order)
        J, dof, (Q, R), rho = self._tests(Z, raw)
        swap = _mirrored(J.shape[1])
        P = _p_values(J, dof)
        if self.n_bootstrap:
            P = self._bootstrap(Z, raw, J[0], dof[0])[None]
        sd = X.std(axis=0)
        adjacency = np.zeros((p, p))
        structure = np.full((p, p), "", dtype="<U16")
        mirror = {1: 2, 2: 1, 4: 5, 5: 4}
        rows = np.zeros(len(J), dtype=int)
        for t, (i, j) in enumerate(zip(*np.triu_indices(p, 1))):
            ratios = -Q[t, 3, 0], -R[t, 3, 0]
            code, shared, rows[t] = _decide(
                J[t], dof[t], P[t], ratios, rho[t], n, self.alpha
            )
            structure[i, j] = STRUCTURES[code]
            structure[j, i] = STRUCTURES[mirror.get(code, code)]
            candidates = _coefficients(code, Q[t, rows[t]], sd[[i, j]])
            again = _coefficients(
                mirror.get(code, code), R[t, swap[rows[t]]], sd[[j, i]]
            )
            if again.size == candidates.size:
                candidates = (candidates + again) / 2
            if code == 6:
                adjacency[i, j] = adjacency[j, i] = np.nan
            elif candidates.size:
                value = candidates[np.argmin(np.abs(candidates))]
                adjacency[(j, i) if code in (1, 4) else (i, j)] = value
        last = J[-1], dof[-1], P[-1], shared, code, candidates
        return adjacency, structure, rows, last

    def pairwise_matrix(self, X, *, return_structure=False):
        """Test all pairs of columns, without changing the estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The table; one pass over it serves all pairs.
        return_structure : bool, default=False
            Whether the structures are returned too.

        Returns
        -------
        adjacency : ndarray of shape (n_features, n_features)
            Row = effect, column = cause: the coefficient (of two candidates, the one
            nearer to zero), 0 without an edge, NaN in both places of an undetermined
            pair. Edges between pairs are total effects.
        structure : ndarray of str of shape (n_features, n_features)
            Structure of the pair with x the row and y the column; empty on the
            diagonal. Only with `return_structure`.
        """
        X = check_array(X, dtype=np.float64, input_name="X", ensure_min_features=2)
        check_columns(X, min_samples=10)
        adjacency, structure, _, _ = self._judge(X)
        return (adjacency, structure) if return_structure else adjacency

    def score(self, X, y=None):
        """How well the recurrences of the fitted structures hold on new data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New rows, at least 10.
        y : None
            Ignored.

        Returns
        -------
        score : float
            Minus the test statistics of the structures, per row, mean over the pairs;
            0 is perfect. An undetermined pair is scored as independent or, with
            three shared sources, by that recurrence.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        check_columns(X, min_samples=10, names=self._names())
        Z = (X - X.mean(axis=0)) / X.std(axis=0)
        J = self._tests(Z, _raw_moments(Z, self.max_order))[0]
        return -float(np.mean(J[np.arange(len(J)), self._rows])) / len(X)

    def _names(self):
        return getattr(self, "feature_names_in_", None)

    def _tests(self, Z, raw):
        """J, dof, Q of both readings of each pair, correlation.

        The iterated weight makes J depend a little on which column comes first: the
        mean over both readings does not.
        """
        from ._kernels import all_pairs

        n = len(Z)
        one = all_pairs(raw, n, self.max_order, self.max_components)
        turned = np.ascontiguousarray(raw.transpose(1, 0, 2, 3))
        two = all_pairs(turned, n, self.max_order, self.max_components)
        if self.tau:
            for t, pair in enumerate(combinations(range(Z.shape[1]), 2)):
                found = _tilted_tests(Z[:, pair], self.tau, self.max_components)
                for plain, better in zip((one, two), found):
                    for values, new in zip(plain[:3], better):
                        values[t, 1:] = new[1:]
        swap = _mirrored(one[0].shape[1])
        return (one[0] + two[0][:, swap]) / 2, one[1], (one[2], two[2]), one[3]

    def _bootstrap(self, Z, raw, J, dof):
        from ._kernels import bootstrap_pair

        n, d = len(Z), 2 * self.max_order
        rng = check_random_state(self.random_state)
        pairs = [(a, b) for a in range(d + 1) for b in range(d + 1 - a)]
        monomials = np.stack([Z[:, 0] ** a * Z[:, 1] ** b for a, b in pairs], axis=1)
        raws = np.zeros((self.n_bootstrap, d + 1, d + 1))
        where = tuple(np.array(pairs).T)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=self.n_bootstrap)
        for r, weights in enumerate(counts):
            raws[r][where] = weights @ monomials / n
        one = np.ascontiguousarray(raw[:, :, 0, 1])
        drawn = bootstrap_pair(raws, one, n, self.max_order, self.max_components)
        swap = _mirrored(drawn.shape[1])
        turned = [np.ascontiguousarray(A) for A in (raws.transpose(0, 2, 1), one.T)]
        mirror = bootstrap_pair(*turned, n, self.max_order, self.max_components)
        if self.tau:
            options = self.tau, self.max_components
            centres = [reading[3] for reading in _tilted_tests(Z, *options)]
            for r, weights in enumerate(counts):
                found = _tilted_tests(np.repeat(Z, weights, axis=0), *options, centres)
                for plain, better in zip((drawn, mirror), found):
                    plain[r, 1:] = better[0][1:]
        drawn = (drawn + mirror[:, swap]) / 2
        p = (1 + np.sum(drawn >= J, axis=0)) / (self.n_bootstrap + 1)
        return np.where(dof > 0, p, np.nan)


def _tilted_tests(Z, tau, max_components, centres=None):
    """J, dof, Q and left-hand sides of both readings of a pair, by tilted cumulants.

    With `centres`, the left-hand sides of the sample, those of Z are recentred.
    """
    from ._kernels import tilted_hypotheses

    c, Sigma = tilted_cumulants(Z, tau)
    turn = mirrored_positions()
    readings = (c, Sigma), (c[turn], np.ascontiguousarray(Sigma[np.ix_(turn, turn)]))
    again = centres is not None
    found = []
    for k, (c, Sigma) in enumerate(readings):
        centre = centres[k] if again else np.zeros((4 + 2 * max_components, 64))
        tests = tilted_hypotheses(
            c, Sigma, len(Z), max_components, centre, again, _SHRINK
        )
        found.append((*tests, centre))
    return found


def _hypotheses(max_components):
    """Names of the tests in the order of the kernel."""
    names = ["independent", "x->y", "y->x", "latent"]
    for k in range(2, max_components + 1):
        label = "latent" if k == 2 else f"{k} shared"
        names += [f"{label},x->y", f"{label},y->x"]
    return names


def _raw_moments(Z, max_order):
    """Raw moments of the standardised pairs (d + 1, d + 1, p, p)."""
    p, d = Z.shape[1], 2 * max_order
    sums = np.zeros((d + 1, d + 1, p, p))
    for start in range(0, len(Z), _BLOCK_ROWS):
        add_pair_sums(sums, Z[start : start + _BLOCK_ROWS])
    return sums / len(Z)


def _p_values(J, dof):
    return np.where(dof > 0, chi2.sf(J, np.maximum(dof, 1)), np.nan)


def _decide(J, dof, p, ratios, rho, n, alpha):
    """Structure code, number of shared sources and the deciding row of one pair."""
    if p[0] > alpha:
        return 0, 0, 0
    if max(p[1], p[2]) > alpha:
        row = 1 if J[1] <= J[2] else 2
        return row, 1, row
    # A test of level alpha keeps "latent" too often beside a weak edge, and rejects
    # true recurrences of high order in heavy tails: of the three structures with a
    # latent the one with most valid conditions is taken, by the moment selection
    # criterion J - dof log(n) / 2, and rejected only by a strong contradiction. An edge
    # alone has its chance there too.
    criterion = J - 0.5 * dof * np.log(n)
    criterion[1:3] = criterion[-2:]
    # One source of unit variance has squared loadings rho r and rho / r, below 1; the
    # ratios r = a_z / a_x and its inverse come from the two readings of the pair.
    if not all(0 < rho * ratio < 1 for ratio in ratios):
        criterion[3] = np.inf
    row = 1 + int(np.argmin(criterion[1:6]))
    if p[row] > alpha / 100:
        return row, (1 if row <= 3 else 2), row
    if len(p) > 8 and max(p[6], p[7]) > alpha / 100:
        return 6, 3, 6 if J[6] <= J[7] else 7
    return 6, -1, 0


def _mirrored(count):
    """Positions of the hypotheses after the columns change places."""
    swap = np.arange(count)
    for t in (1, *range(4, count, 2)):
        swap[[t, t + 1]] = t + 1, t
    return swap


def _coefficients(code, q, sd):
    """Candidates of the coefficient, in the units of the data."""
    if code not in (1, 2, 4, 5):
        return np.zeros(0)
    if code in (1, 2):
        ratios = np.array([-q[0]])
    else:
        # Roots of t^2 + q1 t + q0; complex ones mean that the ratios nearly coincide.
        half = -q[1] / 2
        gap = np.sqrt(max(half**2 - q[0], 0.0))
        ratios = np.array([half - gap, half + gap])
    if code in (2, 5):
        # The recurrence has the ratios y / x; the effect of y on x is their inverse.
        ratios = ratios[ratios != 0]
        return np.sort(1 / ratios * sd[0] / sd[1])
    return np.sort(ratios * sd[1] / sd[0])
