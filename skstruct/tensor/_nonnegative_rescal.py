# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array

from .._callbacks import fit_callbacks
from .._parallel import run_tasks
from ._rescal_base import (
    _SCORE_RIDGE,
    RelationalModel,
    observed_residual,
    relations_given,
)
from ._rescal_engine import make_engine
from ._rescal_kernels import entity_sweeps, relation_sweeps
from ._rescal_solver import (
    NonnegativeSteps,
    Penalties,
    State,
    alternate,
    compressed_engine,
    match_scale,
    multiply,
    nndsvd_start,
    nonnegative_relations,
    random_start,
)

# A start shows its promise after this many iterations; then the best third goes on.
_TRIAL = 15
_POLISH = 5


class NonnegativeRESCAL(RelationalModel):
    """Groups of entities, and how the groups act on each other in each relation.

    A stack of square matrices among the same n entities, such as trade flows per
    month or one adjacency matrix per type of relation, is written as
    ``X_t ~ A R_t A'`` with shared nonnegative memberships A and one small nonnegative
    k x k matrix R_t per slice. Rows and columns may differ: direction counts.

    Parameters
    ----------
    n_components : int, default=10
        Number of groups k. Find it by GridSearchCV over slices, or by stability with
        :class:`RESCALRankSelector`.
    solver : {"hals", "mu"}, default="hals"
        "hals": coordinate descent for both factors with an exact line search; the
        objective never rises. "mu": multiplicative updates, made monotone; they need
        about ten times as many iterations.
    init : {"random", "nndsvd", "custom"}, default="random"
        "random": uniform factors in the scale of the data. "nndsvd": from the
        singular vectors of all slices side by side, rows and columns alike. "custom":
        `A_init` and `R_init` of ``fit``.
    alpha_A, alpha_R : float, default=0.0
        Weights of ``||A||^2`` and ``sum_t ||R_t||^2``. Give both or none: with one
        alone the scale moves into the other factor.
    l1_A : float, default=0.0
        Weight of the sum of A, for sparser groups; needs ``alpha_R > 0`` likewise.
    inner_iter : int, default=3
        Sweeps of coordinate descent per step; more do not pay.
    max_iter : int, default=300
        Bound of the number of iterations; ``solver="mu"`` wants about 2000.
    tol : float, default=1e-6
        Stop when three iterations in a row lower the objective by less than this
        share of the sum of squares of X. Three, since progress can pause.
    n_init : int, default=3
        Number of random starts. All run for 15 iterations, the best third goes on.
        Other values of `init` use one start.
    symmetric : bool, default=False
        Whether every R_t is kept symmetric; X must be symmetric.
    missing_diagonal : bool, default=False
        Whether the diagonals are treated as missing, as where an entity has no
        relation with itself.
    compress : bool, default=False
        Whether to iterate on the slices compressed to 3 k + 8 dimensions, whose cost
        does not depend on n^2 or the number of nonzeros, and then polish with 5
        exact iterations. For large n and fully observed data.
    memory_limit : float, default=2**30
        Bytes that products of the data with the factors may take. Above it they are
        formed slice by slice and not kept, which needs two more passes over dense
        slices an iteration, one more over sparse ones.
    score_method : {"block", "full"}, default="block"
        What ``score`` measures; see there.
    score_folds : int, default=2
        Parts of the rows and of the columns in ``score_method="block"``. 2 separates
        ranks best.
    score_random_state : int, default=0
        Seed of these parts; the same for all candidates of a search.
    n_jobs : int, default=None
        Random starts in parallel.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts.
    verbose : int, default=0
        Whether iterations are logged.

    Attributes
    ----------
    components_ : ndarray of shape (n_entities, n_components)
        Memberships A. Columns sum to 1 (0 for a group that died) and are ordered by
        decreasing flow out of and into the group.
    relations_ : ndarray of shape (n_relations, n_components, n_components)
        ``relations_[t, a, b]`` is the total flow from group a to group b in slice t.
    reconstruction_err_ : float
        Root of the summed squared residual over observed cells.
    objective_history_ : ndarray of shape (n_iter + 1,)
        Objective after each iteration and after the last solve for the relations,
        penalties included. With ``compress=True``: of the exact iterations only.
    n_iter_ : int
        Number of iterations of the start that was kept.
    converged_ : bool
        Whether `tol` was reached.
    n_entities_, n_relations_ : int
        Sizes n and m of the training data.
    n_features_in_ : int
        Equal to ``n_entities_``.

    See Also
    --------
    RESCAL : Without signs: closed-form steps, for link prediction.
    RESCALRankSelector : The number of groups by stability.

    Notes
    -----
    Minimises ``sum_t ||X_t - A R_t A'||_F^2`` plus penalties over A, R >= 0. Each
    iteration: (1) coordinate descent for all R_t given A; (2) coordinate descent for
    Z on the quadratic in which one of the two A is held fixed; (3) the objective
    along A + s (Z - A) is a quartic polynomial in s whose coefficients cost two data
    products. The step is its exact minimiser, or that of the iteration before if this
    gains 99 % as much.

    Groups are identified only if each has some nearly exclusive members. Where they
    are not, many A fit equally well; the rank found by ``score`` is still right.

    Cost: ``4 m n^2 k`` operations (dense) or ``4 nnz k`` (sparse) an iteration, all
    else is ``O(n m k^2 + m k^3)``; memory beside X: 4 m n k numbers for dense slices,
    k for each non-empty row of sparse ones. Arrays that are memory-mapped are read
    slice by slice.

    References
    ----------
    Nickel, Tresp, Kriegel (2011), A three-way model for collective learning on
    multi-relational data, ICML. Krompass, Nickel, Jiang, Tresp (2013), Non-negative
    tensor factorization with RESCAL. Truong, Skau, Valtchinov, Alexandrov (2020),
    Determination of latent dimensionality in international trade flow, Machine
    Learning: Science and Technology 1. Owen, Perry (2009), Bi-cross-validation of the
    SVD and the nonnegative matrix factorization, Annals of Applied Statistics 3.

    Examples
    --------
    >>> from skstruct.datasets import make_relational_communities
    >>> from skstruct.tensor import NonnegativeRESCAL
    >>> X = make_relational_communities(30, 8, n_components=3, random_state=0).X
    >>> model = NonnegativeRESCAL(3, random_state=0).fit(X)
    >>> model.components_.shape, model.relations_.shape
    ((30, 3), (8, 3, 3))
    >>> model.transform(X[:2]).shape
    (2, 9)
    """

    _nonnegative = True

    _parameter_constraints = {
        **RelationalModel._parameter_constraints,
        "solver": [StrOptions({"hals", "mu"})],
        "init": [StrOptions({"random", "nndsvd", "custom"})],
        "l1_A": [Interval(Real, 0, None, closed="left")],
        "inner_iter": [Interval(Integral, 1, None, closed="left")],
        "symmetric": ["boolean"],
        "compress": ["boolean"],
        "memory_limit": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_components=10,
        *,
        solver="hals",
        init="random",
        alpha_A=0.0,
        alpha_R=0.0,
        l1_A=0.0,
        inner_iter=3,
        max_iter=300,
        tol=1e-6,
        n_init=3,
        symmetric=False,
        missing_diagonal=False,
        compress=False,
        memory_limit=2**30,
        score_method="block",
        score_folds=2,
        score_random_state=0,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.solver = solver
        self.init = init
        self.alpha_A = alpha_A
        self.alpha_R = alpha_R
        self.l1_A = l1_A
        self.inner_iter = inner_iter
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.symmetric = symmetric
        self.missing_diagonal = missing_diagonal
        self.compress = compress
        self.memory_limit = memory_limit
        self.score_method = score_method
        self.score_folds = score_folds
        self.score_random_state = score_random_state
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, A_init=None, R_init=None):
        """Find groups and their relations.

        Parameters
        ----------
        X : array of shape (m, n, n) or (m, n * n), sparse matrix of shape \
(m, n * n), or list of m arrays or sparse matrices of shape (n, n)
            Nonnegative. NaN is missing; in sparse slices cells that are not stored
            are zeros, and a stored NaN is missing. A list with a sparse slice is kept
            sparse. float32 is kept, with sums in float64.
        y : None
            Ignored, present by scikit-learn's convention.
        A_init : array-like of shape (n, n_components), default=None
            Start of the memberships, with ``init="custom"``.
        R_init : array-like of shape (m, n_components, n_components), default=None
            Start of the relations, with ``init="custom"``; None: ones.

        Returns
        -------
        self : NonnegativeRESCAL
            Fitted estimator.

        Raises
        ------
        ValueError
            If a slice has a negative or infinite cell or no observed cell, slices are
            not square or of different shapes, or a start does not fit.
        """
        slices = self._read(X, reset=True)
        n, k = slices.n_entities, self.n_components
        self.n_entities_, self.n_relations_ = n, slices.n_relations
        if self.symmetric:
            _check_symmetric(slices)
        if self.compress and slices.missing is not None:
            raise ValueError("compress=True needs fully observed data.")
        if k > n:
            warnings.warn(
                f"n_components={k} is larger than n_entities={n}: groups cannot all "
                "be distinct.",
                UserWarning,
                stacklevel=2,
            )
        start = self._check_start(slices, A_init, R_init)
        if slices.norm2 == 0:
            return self._fit_zeros(slices)

        rng = check_random_state(self.random_state)
        n_init = self.n_init if self.init == "random" else 1
        seeds = rng.randint(np.iinfo(np.int32).max, size=n_init + 1)
        engines = self._engines(slices, seeds[-1])
        states = [self._state(slices, seed, start) for seed in seeds[:n_init]]
        if n_init > 1 and self.max_iter > _TRIAL:
            states = run_tasks(
                self._trial, [(engines, state) for state in states], self.n_jobs
            )
            states.sort(key=lambda state: state.history[-1])
            states = states[: -(-n_init // 3)]

        with fit_callbacks(self, X=X, max_iter=self.max_iter) as step:

            def report(state):
                return step(
                    state.n_iter - 1,
                    state.history[-1],
                    lambda: {
                        "components_": state.A,
                        "relations_": state.R.transpose(2, 0, 1),
                    },
                )

            for state in states:
                self._advance(
                    engines(), state, self.max_iter - state.n_iter, report=report
                )
        state = min(states, key=lambda state: state.history[-1])
        self.converged_ = state.converged()
        if not self.converged_ and state.n_iter >= self.max_iter:
            self._warn_not_converged(self.max_iter)
        if self.compress:
            exact = State(state.A, state.R, [], n_iter=state.n_iter)
            engine = make_engine(slices, k, memory_limit=self.memory_limit)
            self._advance(engine, exact, _POLISH)
            state = exact
        self._store(slices, state)
        return self

    def _fit_from(self, slices, A, R, n_iter):
        """Fitted attributes from given factors, after `n_iter` more iterations."""
        n = slices.n_entities
        self.n_entities_, self.n_relations_ = n, slices.n_relations
        self.n_features_in_ = self._third_axis_in = n
        state = State(A, R, [])
        self.converged_ = True
        if n_iter:
            engine = make_engine(
                slices, self.n_components, memory_limit=self.memory_limit
            )
            self._advance(engine, state, n_iter)
        self._store(slices, state)

    def _engines(self, slices, seed):
        """A function that makes an engine of its own for each start."""
        if self.compress:
            rng = np.random.default_rng(seed)
            first = compressed_engine(slices, self.n_components, rng)
            return first.another
        return lambda: make_engine(
            slices, self.n_components, memory_limit=self.memory_limit
        )

    def _penalties(self):
        return Penalties(self.alpha_A, self.alpha_R, self.l1_A)

    def _trial(self, engines, state):
        self._advance(engines(), state, _TRIAL)
        return state

    def _advance(self, engine, state, n_iter, report=None):
        options = {"n_iter": n_iter, "tol": self.tol, "report": report}
        penalties = self._penalties()
        if self.solver == "mu":
            return multiply(
                engine, state, penalties, symmetric=self.symmetric, **options
            )
        steps = NonnegativeSteps(penalties, self.inner_iter, self.symmetric)
        return alternate(engine, state, steps, penalties, **options)

    def _state(self, slices, seed, start):
        rng = np.random.default_rng(seed)
        if self.init == "custom":
            A, R = start
        elif self.init == "nndsvd":
            lift = self.solver == "mu"
            A, R = nndsvd_start(slices, self.n_components, rng, lift=lift)
        else:
            A, R = random_start(slices, self.n_components, rng, self.symmetric)
        return State(A, R, [])

    def _check_start(self, slices, A_init, R_init):
        if self.init != "custom":
            if A_init is not None or R_init is not None:
                raise ValueError(
                    f"A_init and R_init need init='custom', got init={self.init!r}."
                )
            return None
        if A_init is None:
            raise ValueError("init='custom' needs A_init.")
        m, n, k = slices.n_relations, slices.n_entities, self.n_components
        A = check_array(A_init, dtype=np.float64, input_name="A_init", copy=True)
        if R_init is None:
            R = np.ones((m, k, k))
        else:
            R = check_array(
                R_init, dtype=np.float64, input_name="R_init", allow_nd=True
            )
        for name, value, shape in (("A_init", A, (n, k)), ("R_init", R, (m, k, k))):
            if value.shape != shape:
                raise ValueError(f"{name} has shape {value.shape}, expected {shape}.")
            if value.min() < 0:
                raise ValueError(f"{name} has the negative value {value.min():.6g}.")
        A[slices.silent] = 0.0
        R = np.ascontiguousarray(R.transpose(1, 2, 0))
        if self.symmetric:
            R = 0.5 * (R + R.transpose(1, 0, 2))
        return A, match_scale(slices, A, R) if R_init is None else R

    def _fit_zeros(self, slices):
        warnings.warn(
            "All observed cells of X are zero: the factors are zero.",
            UserWarning,
            stacklevel=3,
        )
        k = self.n_components
        self.components_ = np.zeros((slices.n_entities, k), dtype=slices.dtype)
        self.relations_ = np.zeros((slices.n_relations, k, k), dtype=slices.dtype)
        self.reconstruction_err_ = 0.0
        self.objective_history_ = np.zeros(1)
        self.n_iter_, self.converged_ = 0, True
        self._gauge = np.ones(k)
        return self

    def _store(self, slices, state):
        """Relations to the end, the objective, then the gauge of the output."""
        A, penalties = state.A.copy(), self._penalties()
        # The optimum for an entity without flows, which solvers only tend to.
        A[slices.silent] = 0.0
        R, gap = relations_given(
            slices,
            A,
            lambda B, G, R: self._solve_given(B, G, state.R if R is None else R),
            memory_limit=self.memory_limit,
        )
        self.reconstruction_err_ = observed_residual(slices, A, R, gap)
        last = self.reconstruction_err_**2 + penalties.value(A, R)
        self.objective_history_ = np.array([*state.history, last])
        self.n_iter_ = state.n_iter

        scale = A.sum(axis=0)
        dead = scale <= 0
        R = R * scale[:, None, None] * scale[None, :, None]
        R[dead], R[:, dead] = 0.0, 0.0
        total = R.sum(axis=2)
        flow = np.where(dead, -1.0, total.sum(axis=0) + total.sum(axis=1))
        order = np.argsort(-flow, kind="stable")
        if dead.any():
            warnings.warn(
                f"{int(dead.sum())} of {len(dead)} groups died: their columns are zero "
                "and stand last. Use fewer components or another random_state.",
                UserWarning,
                stacklevel=3,
            )
        scale = np.where(dead, 1.0, scale)[order]
        A = A[:, order] / scale
        R = R[order][:, order].transpose(2, 0, 1)
        self._gauge = scale
        self.components_ = np.ascontiguousarray(A, dtype=slices.dtype)
        self.relations_ = np.ascontiguousarray(R, dtype=slices.dtype)

    def _solve_given(self, B, G, R):
        return nonnegative_relations(
            B, G, R, ridge=self.alpha_R, symmetric=self.symmetric
        )

    def _solve_entity(self, E, f):
        entity = np.zeros((E.shape[0], 1))
        entity_sweeps(f[:, None].copy(), E, entity, 3000, 1e-10)
        return entity[:, 0]

    def _score_entities(self):
        A = self.components_.astype(np.float64, copy=False)
        norms = np.linalg.norm(A, axis=0)
        return A / np.where(norms > 0, norms, 1.0)

    def _score_relations(self, B, G1, G2):
        ridge = _SCORE_RIDGE * np.eye(len(G1))
        R = np.zeros(B.shape)
        relation_sweeps(
            np.ascontiguousarray(B), G1 + ridge, G2 + ridge, R, 0.0, 1000, False, 1e-6
        )
        return R


def _check_symmetric(slices):
    for t in range(slices.n_relations):
        X = slices.filled(t)
        gap = abs(X - X.T).max()
        if gap > 1e-6 * abs(X).max():
            raise ValueError(
                f"symmetric=True needs symmetric slices: slice {t} differs from its "
                f"transpose by up to {gap:.6g}."
            )
