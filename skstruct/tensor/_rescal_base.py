"""What a fitted RESCAL model can do with its entities and relations."""

# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_array, check_is_fitted

from .._base import StructEstimator
from .._callbacks import CallbackSupportMixin
from .._scores import block_holdout
from ._rescal_engine import make_engine
from ._rescal_input import read_slices
from ._rescal_solver import residual_norm2

# With unit columns: groups whose members are all held out must not explode, and
# well-posed problems must not shrink.
_SCORE_RIDGE = 0.003
_FILL_ROUNDS = 500


class RelationalModel(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    CallbackSupportMixin,
    StructEstimator,
):
    """Shared parent of :class:`RESCAL` and :class:`NonnegativeRESCAL`."""

    _nonnegative = False

    # Starts and triples belong to one data set: nothing that a search could route.
    __metadata_request__fit = {"A_init": UNUSED, "R_init": UNUSED}
    __metadata_request__predict = {"triples": UNUSED, "threshold": UNUSED}
    __metadata_request__decision_function = {"triples": UNUSED}

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "alpha_A": [Interval(Real, 0, None, closed="left")],
        "alpha_R": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "missing_diagonal": ["boolean"],
        "score_method": [StrOptions({"block", "full"})],
        "score_folds": [Interval(Integral, 2, None, closed="left")],
        "score_random_state": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def transform(self, X):
        """Relations of each slice, given the entities.

        Parameters
        ----------
        X : array of shape (m, n, n), or any form that ``fit`` takes
            New slices among the same entities.

        Returns
        -------
        relations : ndarray of shape (m, n_components ** 2)
            The rows of each R, one after the other: slices are the samples.
        """
        check_is_fitted(self)
        slices = self._read(X, reset=False)
        R = self._relations_of(slices)
        flat = R.transpose(2, 0, 1).reshape(slices.n_relations, -1)
        return np.ascontiguousarray(flat, dtype=slices.dtype)

    def inverse_transform(self, X):
        """Slices from their relations.

        Parameters
        ----------
        X : array-like of shape (m, n_components ** 2)
            As from :meth:`transform`.

        Returns
        -------
        slices : ndarray of shape (m, n, n)
        """
        check_is_fitted(self)
        X = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        A = self.components_
        k = A.shape[1]
        if X.shape[1] != k * k:
            raise ValueError(
                f"X has {X.shape[1]} columns, expected n_components**2={k * k}."
            )
        return A @ X.reshape(-1, k, k) @ A.T

    def reconstruct(self, relation=None):
        """Model of one training slice, or of all.

        Parameters
        ----------
        relation : int, default=None
            Number of the slice; None: all of them.

        Returns
        -------
        slices : ndarray of shape (n, n), or (m, n, n) when `relation` is None
        """
        check_is_fitted(self)
        A = self.components_
        if relation is None:
            return A @ self.relations_ @ A.T
        return A @ self.relations_[self._relation_number(relation)] @ A.T

    def fold_in(self, rows, cols):
        """Group memberships of a new entity, given all else.

        Parameters
        ----------
        rows : array-like of shape (m, n)
            Flows from the new entity to the known ones, per training slice.
        cols : array-like of shape (m, n)
            Flows from the known entities to the new one.

        Returns
        -------
        entity : ndarray of shape (n_components,)
            The new row of ``components_``.
        """
        check_is_fitted(self)
        A = self.components_.astype(np.float64, copy=False)
        m, n = self.n_relations_, self.n_entities_
        sides = []
        for name, side in (("rows", rows), ("cols", cols)):
            side = check_array(side, dtype=np.float64, input_name=name)
            if side.shape != (m, n):
                raise ValueError(
                    f"{name} has shape {side.shape}, expected (n_relations, "
                    f"n_entities)={(m, n)}."
                )
            if self._nonnegative and side.min() < 0:
                raise ValueError(
                    f"Negative values in data passed to a nonnegative model: {name} "
                    f"has minimum {side.min():.6g}, the bound is 0."
                )
            sides.append(side)
        R = self.relations_.astype(np.float64, copy=False)
        G = A.T @ A
        E = np.einsum("tab,bc,tdc->ad", R, G, R, optimize=True)
        E += np.einsum("tba,bc,tcd->ad", R, G, R, optimize=True)
        f = np.einsum("tab,tb->a", R, sides[0] @ A)
        f += np.einsum("tba,tb->a", R, sides[1] @ A)
        return self._solve_entity(E, f).astype(self.components_.dtype, copy=False)

    def decision_function(self, triples):
        """Scores ``a_s' R_r a_o`` of statements (subject, relation, object).

        Parameters
        ----------
        triples : array-like of int of shape (n_triples, 3)
            Numbers of subject, relation and object.

        Returns
        -------
        scores : ndarray of shape (n_triples,)
            Never builds an n x n matrix.
        """
        check_is_fitted(self)
        triples = np.asarray(triples)
        if triples.ndim != 2 or triples.shape[1] != 3:
            raise ValueError(
                f"triples must have shape (n_triples, 3), got {triples.shape}."
            )
        if triples.dtype.kind not in "iu":
            raise ValueError(
                f"triples must hold integers (subject, relation, object), got dtype "
                f"{triples.dtype}."
            )
        bounds = (self.n_entities_, self.n_relations_, self.n_entities_)
        for axis, (name, bound) in enumerate(
            zip(("subject", "relation", "object"), bounds)
        ):
            column = triples[:, axis]
            bad = (column < 0) | (column >= bound)
            if bad.any():
                row = int(np.argmax(bad))
                raise ValueError(
                    f"triples[{row}] has {name} {column[row]}, which must be in "
                    f"[0, {bound})."
                )
        A, R = self.components_, self.relations_
        scores = np.empty(len(triples), dtype=A.dtype)
        order = np.argsort(triples[:, 1], kind="stable")
        edges = np.searchsorted(triples[order, 1], np.arange(self.n_relations_ + 1))
        for r in np.flatnonzero(np.diff(edges)):
            chosen = order[edges[r] : edges[r + 1]]
            subject, target = triples[chosen, 0], triples[chosen, 2]
            if chosen.size < len(A):
                left = A[subject] @ R[r]
            else:
                left = (A @ R[r])[subject]
            scores[chosen] = np.einsum("ca,ca->c", left, A[target])
        return scores

    def predict(self, triples, threshold=0.5):
        """Whether statements (subject, relation, object) hold.

        Parameters
        ----------
        triples : array-like of int of shape (n_triples, 3)
            As in :meth:`decision_function`.
        threshold : float, default=0.5
            Halfway between the 0 and 1 of a binary tensor.

        Returns
        -------
        holds : ndarray of bool of shape (n_triples,)
        """
        return self.decision_function(triples) >= threshold

    def top_triples(self, relation, size=10):
        """The statements of one relation with the highest scores.

        Parameters
        ----------
        relation : int
            Number of the relation.
        size : int, default=10
            How many.

        Returns
        -------
        triples : ndarray of int of shape (size, 3)
            (subject, relation, object), best first.
        scores : ndarray of shape (size,)
            Their scores.
        """
        check_is_fitted(self)
        relation = self._relation_number(relation)
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(f"size={size!r} must be an integer of at least 1.")
        A = self.components_
        n = len(A)
        size = min(int(size), n * n)
        left = A @ self.relations_[relation]
        step = max(1, 2**20 // n)
        cells, values = np.empty(0, dtype=np.intp), np.empty(0)
        for lo in range(0, n, step):
            block = (left[lo : lo + step] @ A.T).reshape(-1)
            keep = np.argpartition(-block, min(size, block.size) - 1)[:size]
            cells = np.concatenate([cells, keep + lo * n])
            values = np.concatenate([values, block[keep]])
            # Ties go to the lower cell number, whatever the blocks.
            order = np.lexsort((cells, -values))[:size]
            cells, values = cells[order], values[order]
        triples = np.column_stack([cells // n, np.full(size, relation), cells % n])
        return triples, values

    def score(self, X, y=None):
        """Held-out share of the squares that is predicted; peaks at the true rank.

        Parameters
        ----------
        X : array of shape (m, n, n), or any form that ``fit`` takes
            Slices that were not used in ``fit``.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            With ``score_method="block"`` each cell is predicted by relations that
            saw neither its row nor its column. With "full" the relations are fitted
            to the very cells, which never falls with the rank.
        """
        check_is_fitted(self)
        slices = self._read(X, reset=False)
        if slices.norm2 == 0:
            raise ValueError("score needs a nonzero observed cell: X is zero.")
        if self.score_method == "full":
            A = self.components_.astype(np.float64, copy=False)
            R = self._relations_of(slices)
            return 1.0 - residual_norm2(slices, A, R) / slices.norm2
        each = slices.csr
        if each is None:
            each = slices.dense
        if self.missing_diagonal and slices.csr is None:
            each = (_without_diagonal(x) for x in slices.dense)
        return block_holdout(
            each,
            self._score_entities(),
            self._score_relations,
            self.score_folds,
            self.score_random_state,
        )

    # ------------------------------------------------------------------ internals

    def _read(self, X, *, reset):
        return read_slices(
            self,
            X,
            reset=reset,
            nonnegative=self._nonnegative,
            missing_diagonal=self.missing_diagonal,
        )

    def _relation_number(self, relation):
        m = self.n_relations_
        if not isinstance(relation, Integral) or not 0 <= relation < m:
            raise ValueError(
                f"relation={relation!r} must be an integer in [0, n_relations={m})."
            )
        return int(relation)

    def _relations_of(self, slices, R=None):
        """(k, k, m) relations of new slices, in the gauge of ``components_``."""
        A = self.components_.astype(np.float64, copy=False)
        scale = self._gauge
        R, _ = relations_given(
            slices,
            np.ascontiguousarray(A * scale),
            lambda B, G, R: self._solve_given(B, G, R),
            memory_limit=getattr(self, "memory_limit", 2**30),
        )
        return R * scale[:, None, None] * scale[None, :, None]

    def _warn_not_converged(self, n_iter):
        warnings.warn(
            f"{type(self).__name__} stopped after max_iter={n_iter} iterations: the "
            f"objective still fell by more than tol={self.tol:g} of the sum of squares "
            "of X per iteration. Increase max_iter or tol.",
            ConvergenceWarning,
            stacklevel=3,
        )

    @property
    def _n_features_out(self):
        return self.components_.shape[1] ** 2

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = self._nonnegative
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def relations_given(slices, A, solve, *, memory_limit=2**30):
    """Relations of slices for fixed entities, missing cells filled until they agree.

    Parameters
    ----------
    slices : Slices
    A : ndarray of shape (n, k)
    solve : callable
        ``solve(B, G, R)`` with the previous R or None.
    memory_limit : float

    Returns
    -------
    R : ndarray of shape (k, k, m)
    norm_gap : float
        ``||X||^2 - 2 <B, R> + <G R G, R>`` at the end.
    """
    engine = make_engine(slices, A.shape[1], memory_limit=memory_limit)
    engine.start(A)
    G = A.T @ A
    B = engine.inner()
    R = solve(B, G, None)
    if engine.has_missing:
        for _ in range(_FILL_ROUNDS):
            engine.impute(R)
            B = engine.inner()
            new = solve(B, G, R)
            change = float(np.abs(new - R).max(initial=0.0))
            R = new
            if change <= 1e-8 * float(np.abs(R).max(initial=0.0)):
                break
    k, _, m = R.shape
    GRG = np.matmul(G, (G @ R.reshape(k, k * m)).reshape(k, k, m))
    gap = engine.norm2 - 2.0 * float(np.vdot(B, R)) + float(np.vdot(GRG, R))
    return R, gap


def observed_residual(slices, A, R, gap):
    """Root of the summed squared residual: by the Gram form unless that cancels."""
    rough = 1e-10 if slices.dtype == np.float64 else 1e-4
    if slices.missing is not None or gap < rough * slices.norm2:
        gap = residual_norm2(slices, A, R)
    return float(np.sqrt(max(gap, 0.0)))


def _without_diagonal(x):
    x = np.array(x, dtype=np.float64)
    np.fill_diagonal(x, np.nan)
    return x
