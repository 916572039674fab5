# SPDX-License-Identifier: BSD-3-Clause

import warnings

import numpy as np
from scipy import linalg
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_array

from .._base import deterministic_signs
from .._callbacks import fit_callbacks
from .._validation import check_at_most
from ._rescal_base import (
    _SCORE_RIDGE,
    RelationalModel,
    observed_residual,
    relations_given,
)
from ._rescal_engine import make_engine
from ._rescal_solver import (
    FreeSteps,
    Penalties,
    State,
    alternate,
    nvecs_start,
    orthonormal_gauge,
    solve_relations,
)

_TRIAL = 15


class RESCAL(RelationalModel):
    """Bilinear factors of relational data, by alternating least squares.

    ``X_t ~ A R_t A'`` for a stack of square matrices among the same n entities, with
    shared entity vectors A and one k x k matrix per relation. Its scores
    ``a_i' R_t a_j`` predict links that are not known yet.

    Parameters
    ----------
    n_components : int, default=10
        Rank k.
    alpha_A, alpha_R : float, default=0.0
        Weights of ``||A||^2`` and ``sum_t ||R_t||^2``; for link prediction values
        around 10 with a large rank are usual.
    init : {"nvecs", "random", "custom"}, default="nvecs"
        "nvecs": leading eigenvectors of ``sum_t X_t + X_t'``, from which exact
        low-rank data is solved in two iterations. "random": Gaussian. "custom":
        `A_init` of ``fit``.
    orthonormalize : bool, default=False
        Whether A is returned with orthonormal columns.
    max_iter : int, default=300
        Bound of the number of iterations.
    tol : float, default=1e-6
        Stop when three iterations in a row lower the objective by less than this
        share of the sum of squares of X.
    n_init : int, default=1
        Number of starts for ``init="random"``. All run for 15 iterations, the best
        third goes on.
    missing_diagonal : bool, default=False
        Whether the diagonals are treated as missing.
    score_method : {"block", "full"}, default="block"
        What ``score`` measures; see there.
    score_folds : int, default=2
        Parts of the rows and of the columns in ``score_method="block"``.
    score_random_state : int, default=0
        Seed of these parts.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts and of the eigensolver.
    verbose : int, default=0
        Whether iterations are logged.

    Attributes
    ----------
    components_ : ndarray of shape (n_entities, n_components)
        Entity vectors A, unique only up to an invertible k x k matrix: compare
        reconstructions, never A itself.
    relations_ : ndarray of shape (n_relations, n_components, n_components)
        Relations R_t.
    reconstruction_err_ : float
        Root of the summed squared residual over observed cells.
    objective_history_ : ndarray of shape (n_iter + 1,)
        Objective after each iteration and after the last solve for the relations.
    n_iter_ : int
        Number of iterations.
    converged_ : bool
        Whether `tol` was reached.
    n_entities_, n_relations_ : int
        Sizes n and m of the training data.
    n_features_in_ : int
        Equal to ``n_entities_``.

    See Also
    --------
    NonnegativeRESCAL : Memberships that can be read.
    cross_validate_entries : Link prediction by hidden cells.

    Notes
    -----
    Minimises ``sum_t ||X_t - A R_t A'||^2 + alpha_A ||A||^2 + alpha_R sum_t
    ||R_t||^2``. The relations have a closed form in the eigenvectors of A'A. The
    step of A regards the second A as fixed, which alone need not lower the
    objective; the exact minimiser of the quartic along that step does.

    Cost: ``4 m n^2 k`` operations (dense) or ``4 nnz k`` (sparse) an iteration.

    References
    ----------
    Nickel, Tresp, Kriegel (2011), A three-way model for collective learning on
    multi-relational data, ICML. Nickel, Tresp, Kriegel (2012), Factorizing YAGO, WWW.

    Examples
    --------
    >>> from skstruct.datasets import load_family_trees
    >>> from skstruct.tensor import RESCAL
    >>> trees = load_family_trees()
    >>> model = RESCAL(20, alpha_A=0.1, alpha_R=0.1, random_state=0).fit(trees.X)
    >>> father = list(trees.relations).index("father")
    >>> (s, _, o), = model.top_triples(father, size=1)[0]
    >>> bool(trees.X[father, s, o] == 1)
    True
    """

    _parameter_constraints = {
        **RelationalModel._parameter_constraints,
        "init": [StrOptions({"nvecs", "random", "custom"})],
        "orthonormalize": ["boolean"],
    }

    def __init__(
        self,
        n_components=10,
        *,
        alpha_A=0.0,
        alpha_R=0.0,
        init="nvecs",
        orthonormalize=False,
        max_iter=300,
        tol=1e-6,
        n_init=1,
        missing_diagonal=False,
        score_method="block",
        score_folds=2,
        score_random_state=0,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.alpha_A = alpha_A
        self.alpha_R = alpha_R
        self.init = init
        self.orthonormalize = orthonormalize
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.missing_diagonal = missing_diagonal
        self.score_method = score_method
        self.score_folds = score_folds
        self.score_random_state = score_random_state
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, A_init=None, R_init=None):
        """Find entity vectors and relations.

        Parameters
        ----------
        X : array of shape (m, n, n) or (m, n * n), sparse matrix of shape \
(m, n * n), or list of m arrays or sparse matrices of shape (n, n)
            NaN is missing; in sparse slices cells that are not stored are zeros, and a
            stored NaN is missing.
        y : None
            Ignored, present by scikit-learn's convention.
        A_init : array-like of shape (n, n_components), default=None
            Start of the entity vectors, with ``init="custom"``.
        R_init : array-like of shape (m, n_components, n_components), default=None
            Checked for its shape only: the first step solves for the relations.

        Returns
        -------
        self : RESCAL
            Fitted estimator.

        Raises
        ------
        ValueError
            If a slice has an infinite cell or no observed cell, slices are not square
            or of different shapes, or ``n_components > n_entities`` without a penalty.
        """
        slices = self._read(X, reset=True)
        m, n, k = slices.n_relations, slices.n_entities, self.n_components
        self.n_entities_, self.n_relations_ = n, m
        if k > n:
            if not (self.alpha_A and self.alpha_R):
                check_at_most(k, n, "n_components", "n_entities without penalties")
            warnings.warn(
                f"n_components={k} is larger than n_entities={n}: only the penalties "
                "make the factors unique.",
                UserWarning,
                stacklevel=2,
            )
        start = self._check_start(m, n, k, A_init, R_init)
        penalties = Penalties(self.alpha_A, self.alpha_R)
        steps = FreeSteps(penalties)
        rng = check_random_state(self.random_state)
        n_init = self.n_init if self.init == "random" else 1
        seeds = rng.randint(np.iinfo(np.int32).max, size=n_init)
        engine = make_engine(slices, k)
        states = []
        for seed in seeds:
            generator = np.random.default_rng(seed)
            if self.init == "custom":
                A, R = start, np.zeros((k, k, m))
            elif self.init == "nvecs":
                A, R = nvecs_start(slices, k, generator)
            else:
                A = generator.standard_normal((n, k)) / np.sqrt(n)
                R = np.zeros((k, k, m))
            states.append(State(A, R, []))
        options = {"tol": self.tol}
        if n_init > 1 and self.max_iter > _TRIAL:
            for state in states:
                alternate(
                    make_engine(slices, k), state, steps, penalties, n_iter=_TRIAL,
                    **options,
                )  # fmt: skip
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
                if engine is None:
                    engine = make_engine(slices, k)
                alternate(
                    engine,
                    state,
                    steps,
                    penalties,
                    n_iter=self.max_iter - state.n_iter,
                    report=report,
                    **options,
                )
                engine = None
        state = min(states, key=lambda state: state.history[-1])
        self.converged_ = state.converged()
        if not self.converged_ and state.n_iter >= self.max_iter:
            self._warn_not_converged(self.max_iter)
        self._store(slices, state, penalties)
        return self

    def _check_start(self, m, n, k, A_init, R_init):
        if self.init != "custom":
            if A_init is not None or R_init is not None:
                raise ValueError(
                    f"A_init and R_init need init='custom', got init={self.init!r}."
                )
            return None
        if A_init is None:
            raise ValueError("init='custom' needs A_init.")
        A = check_array(A_init, dtype=np.float64, input_name="A_init", copy=True)
        if A.shape != (n, k):
            raise ValueError(f"A_init has shape {A.shape}, expected {(n, k)}.")
        if R_init is not None and np.shape(R_init) != (m, k, k):
            raise ValueError(
                f"R_init has shape {np.shape(R_init)}, expected {(m, k, k)}."
            )
        return A

    def _store(self, slices, state, penalties):
        A = state.A
        R, gap = relations_given(slices, A, self._solve_given)
        self.reconstruction_err_ = observed_residual(slices, A, R, gap)
        last = self.reconstruction_err_**2 + penalties.value(A, R)
        self.objective_history_ = np.array([*state.history, last])
        self.n_iter_ = state.n_iter
        # The penalty of R refers to the solver's own gauge, kept for `transform`.
        self._solver_entities = A
        if self.orthonormalize:
            A, R = orthonormal_gauge(A, R)
        signed = deterministic_signs(A)
        flip = np.where(np.einsum("ia,ia->a", signed, A) < 0, -1.0, 1.0)
        R = R * flip[:, None, None] * flip[None, :, None]
        self._solver_entities = self._solver_entities.astype(slices.dtype)
        self.components_ = np.ascontiguousarray(signed, dtype=slices.dtype)
        self.relations_ = np.ascontiguousarray(R.transpose(2, 0, 1), slices.dtype)

    def _relations_of(self, slices):
        A = self._solver_entities.astype(np.float64, copy=False)
        R, _ = relations_given(slices, A, self._solve_given)
        # A = C M with the published C: R moves the other way.
        M = np.linalg.lstsq(self.components_.astype(np.float64), A, rcond=None)[0]
        k, _, m = R.shape
        return np.matmul(M, (M @ R.reshape(k, k * m)).reshape(k, k, m))

    def _solve_given(self, B, G, R):
        return solve_relations(B, G, self.alpha_R)

    def _solve_entity(self, E, f):
        alpha = self.alpha_A * np.eye(len(E))
        return linalg.lstsq(E + alpha, f)[0]

    def _score_entities(self):
        A = self.components_.astype(np.float64, copy=False)
        return linalg.orth(A) if np.any(A) else A

    def _score_relations(self, B, G1, G2):
        return solve_relations(B, G1, 0.0, G2=G2, ridge=_SCORE_RIDGE)
