"""What the exact and streaming estimators of canonical directions share.

The generalised eigenvalue problem ``A u = lambda B u`` is solved exactly from
covariances, or by stochastic steps on the Eckart-Young loss
``-2 tr(W'AW) + ||W'BW||^2``, whose minimisers span its top eigenvectors.
"""

# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from .._base import deterministic_signs
from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._validation import FLOAT_DTYPES
from ._accumulator import (
    ColumnMoments,
    JointMoments,
    StandardizedViews,
    as_dense,
    cross_moments,
    scale_of,
)
from ._batches import shuffled_batches
from ._exact_solver import (
    principal_basis,
    rotate_to_solution,
    solve_covariance,
    solve_cross_covariance,
    solve_rows,
)
from ._ey_plain import PlainSteps
from ._ey_solver import MAX_RESTARTS, EckartYoungStream, n_warmup_rows

INPUT_DTYPES = (
    *FLOAT_DTYPES,
    *(np.dtype(f"{kind}{size}").type for kind in "iu" for size in (1, 2, 4, 8)),
    np.bool_,
)

# With more columns in total a joint covariance of 128 MB would be exceeded.
MAX_EXACT_FEATURES = 4000
# As many entries have a cross-covariance of PLS or the rows of a small sample.
MAX_EXACT_ENTRIES = 16_000_000


class EckartYoungMixin(CallbackSupportMixin):
    """Fitting of top generalised eigenvectors; views come as a list of arrays.

    A subclass calls :meth:`_fit_views` and :meth:`_update_views` and defines
    ``_install``, which stores per-view results under its public names.
    """

    _input_dtypes = INPUT_DTYPES

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "reg": [Interval(Real, 0, 1, closed="both"), "array-like"],
        "scale": ["boolean"],
        "solver": [StrOptions({"auto", "ey", "sgd", "adam", "exact"})],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [
            StrOptions({"auto"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "unbiased": ["boolean"],
        "precondition": [StrOptions({"warmup"}), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "shuffle": ["boolean"],
        "scoring": [StrOptions({"cross-prediction", "ey"})],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # -- fit ---------------------------------------------------------------------

    def _fit_views(self, views, *, known_finite=True):
        sizes = [X.shape[1] for X in views]
        regs = self._checked_regs(len(views))
        self._check_n_components(sizes)
        n = views[0].shape[0]
        self._warn_of_interpolation(n, sizes, regs)
        self._stream = None
        solver = self._resolved_solver(sizes, regs, n)
        if not (known_finite or solver in _SUMMED):
            self._check_finite(views)
        with fit_callbacks(self, X=views[0], max_iter=self.max_iter) as step:
            if solver == "covariance":
                moments = JointMoments(sum(sizes)).update(views)
                if not np.isfinite(moments.mean + moments.squares).all():
                    self._check_finite(views)
                self._solve_moments(moments, sizes, regs)
                self._stream = _moments_state(moments)
            else:
                self._fit_standardized(views, regs, solver, step)
            if solver in _EXACT:
                self.n_iter_ = 1
                self.loss_curve_ = np.array([self._optimum()])
                step(0, self.loss_curve_[0])
        self.n_samples_seen_ = n

    def _resolved_solver(self, sizes, regs, n):
        """ "covariance", "rows" and "cross" are exact; else the stochastic one."""
        total, largest = sum(sizes), max(sizes)
        if self.solver not in {"auto", "exact"}:
            if n > n_warmup_rows(sizes, self.n_components):
                return self.solver
            # The start would see all rows: nothing is left to be learnt.
            return "rows" if n <= largest else "covariance"
        # What each of them has to hold, in entries.
        by_rows = n * total if n <= largest else np.inf
        is_pls = len(sizes) == 2 and min(regs) == 1
        # The joint covariance takes longer, but partial_fit can go on from it.
        resumable = self.solver == "auto" and total <= MAX_EXACT_FEATURES
        by_products = np.inf
        if is_pls and not resumable:
            by_products = np.prod(sizes, dtype=float)
        smaller = min(by_rows, by_products)
        beyond = self.solver == "exact" and total > MAX_EXACT_FEATURES
        if smaller <= (total**2 if beyond else MAX_EXACT_ENTRIES):
            return "rows" if by_rows < by_products else "cross"
        if self.solver == "exact" or total <= MAX_EXACT_FEATURES:
            return "covariance"
        return "ey"

    def _check_finite(self, views):
        """Raise for the first view with an entry that is not finite."""
        for name, X in zip(("X", "y"), views):
            assert_all_finite(X, estimator_name=type(self).__name__, input_name=name)

    def _standardized(self, views, moments, dtype):
        """Views with their training mean and scale, which become attributes."""
        scales = [scale_of(m, self.scale) for m in moments]
        self._set_standardization([m.mean for m in moments], scales)
        self._variances = [m.squares / (m.n - 1) for m in moments]
        return StandardizedViews(
            views, self._means, [inverse for _, inverse in scales], dtype
        )

    def _set_standardization(self, means, scales):
        self._means = means
        self._scales = [std for std, _ in scales]
        self._constant = [inverse == 0 for _, inverse in scales]

    def _fit_standardized(self, views, regs, solver, step):
        if solver == "cross":
            moments, C = cross_moments(*views)
            if not np.isfinite(np.concatenate([m.squares for m in moments])).all():
                self._check_finite(views)
        else:
            moments = [ColumnMoments(X.shape[1]).update(X) for X in views]
        data = self._standardized(
            views, moments, np.float64 if solver in _EXACT else working_dtype(views)
        )
        if solver == "rows":
            bases = [principal_basis(X) for X in data.dense(slice(None))]
            weights, eigenvalues = solve_rows(bases, regs, self.n_components)
        elif solver == "cross":
            left, right = data.inverse_scales
            C *= (left / (data.n_rows - 1))[:, None]
            C *= right
            weights, eigenvalues = solve_cross_covariance(C, self.n_components)
            within = data.products(weights, within=True)
            across = [(C @ weights[1])[:, None], (C.T @ weights[0])[:, None]]
            H = [np.hstack([within[0], across[0]]), np.hstack([across[1], within[1]])]
            return self._finish(weights, eigenvalues, H)
        else:
            weights = self._fit_stream(data, regs, solver, step)
            H = data.products(weights)
            return self._finish(*rotate_to_solution(weights, H, regs))
        self._finish(weights, eigenvalues, data.products(weights))

    def _fit_stream(self, data, regs, solver, step):
        """Epochs of stochastic steps until the loss stops falling."""
        rng = check_random_state(self.random_state)
        n = data.n_rows
        order = rng.permutation(n) if self.shuffle else np.arange(n)
        n_w = n_warmup_rows(data.sizes, self.n_components)
        stream = self._started(
            data.dense(np.sort(order[:n_w])),
            regs,
            solver,
            variances=self._standardized_variances(),
            weights=self._warm_weights(data.sizes),
        )
        best, waited, losses, converged = np.inf, 0, [], False
        smallest = 1e-3 * stream.learning_rate
        for epoch in range(self.max_iter):
            if solver == "ey" and epoch >= 3 and epoch % 3 == 0:
                # A rare row can spoil the memory: take it afresh at fixed W.
                stream.anchor(data.products(stream.W))
            if epoch == 0:
                # New rows first: the memory knows the warm-up rows already.
                order = np.roll(order, -n_w)
            elif self.shuffle:
                order = rng.permutation(n)
            for batch in shuffled_batches(data, self.batch_size, order):
                stream.step(batch, n)
            losses.append(stream.loss())
            if step(epoch, losses[-1]):
                break
            if losses[-1] < best - self.tol * abs(losses[-1]):
                best, waited = losses[-1], 0
                continue
            waited += 1
            if waited == self.n_iter_no_change:
                stream.learning_rate /= 5
                waited = 0
                if stream.learning_rate < smallest:
                    converged = True
                    break
        self.n_iter_ = len(losses)
        self.loss_curve_ = np.array(losses)
        self._warn_of_the_run(stream, converged)
        self._stream = None
        if solver == "ey":
            # What partial_fit adds are new rows, of other variances maybe.
            stream.variances_known = False
            self._stream = {
                "kind": "ey",
                "stream": stream.state(),
                "inverse_scales": data.inverse_scales,
                "waiting": None,
            }
        return stream.W

    def _started(self, rows, regs, solver, *, variances=None, weights=None):
        """A solver at its start, from standardised warm-up rows."""
        rate = self.learning_rate
        if rate == "auto":
            rate = 0.4 if solver in {"auto", "ey"} else 0.01
        stream = EckartYoungStream(
            rows,
            regs,
            self.n_components,
            batch_size=self.batch_size,
            learning_rate=float(rate),
            precondition=self.precondition is not None,
            variances=variances,
            weights=weights,
        )
        if solver not in {"sgd", "adam"}:
            return stream
        root = np.sqrt(np.maximum(stream.eigenvalues, 1e-3))
        return PlainSteps(
            [(W * root).astype(W.dtype) for W in stream.W],
            regs,
            rule=solver,
            learning_rate=float(rate),
            momentum=self.momentum,
            unbiased=self.unbiased,
        )

    def _warn_of_the_run(self, stream, converged):
        if stream.restarts > MAX_RESTARTS:
            warnings.warn(
                f"The steps diverged {stream.restarts} times and went on with a "
                f"learning rate of {stream.learning_rate:.2g}. Columns with very heavy "
                "tails may be the reason: transform or clip them, or take "
                "solver='exact'.",
                ConvergenceWarning,
                stacklevel=6,
            )
        if not converged and 1 < self.max_iter == self.n_iter_:
            warnings.warn(
                f"The loss still changed by more than tol={self.tol:g} of itself, or "
                f"its learning rate was not yet small, after max_iter={self.max_iter} "
                "epochs. Increase max_iter or tol.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _standardized_variances(self):
        """Column variances after standardisation, which ``fit`` knows."""
        return [
            np.where(constant, 0.0, v / std**2)
            for constant, v, std in zip(self._constant, self._variances, self._scales)
        ]

    def _warm_weights(self, sizes):
        """Weights of the previous fit, if they are wanted and have the shape."""
        if not self.warm_start or not hasattr(self, "eigenvalues_"):
            return None
        weights = self._fitted_weights()
        shapes = [(p, self.n_components) for p in sizes]
        return weights if [W.shape for W in weights] == shapes else None

    def _solve_moments(self, moments, sizes, regs):
        """Exact solution from the joint covariance of all rows so far."""
        std, inverse = scale_of(moments, self.scale)
        cuts = np.cumsum(sizes)[:-1]
        self._set_standardization(
            np.split(moments.mean, cuts),
            list(zip(np.split(std, cuts), np.split(inverse, cuts))),
        )
        S = moments.covariance(inverse)
        weights, eigenvalues = solve_covariance(S, sizes, regs, self.n_components)
        columns = np.split(S, cuts, axis=1)
        H = np.stack([C @ W for C, W in zip(columns, weights)], axis=1)
        self._finish(weights, eigenvalues, np.split(H, cuts))

    # -- partial_fit -------------------------------------------------------------

    def _update_views(self, views, *, first):
        sizes = [X.shape[1] for X in views]
        regs = self._checked_regs(len(views))
        if self.solver in {"sgd", "adam"}:
            raise ValueError(
                f"partial_fit works with solver 'auto', 'exact' or 'ey', got "
                f"solver={self.solver!r}, which keeps no memory of past batches."
            )
        if first:
            self._check_n_components(sizes)
            self._stream = None
            self.n_samples_seen_ = 0
        elif self._stream is None:
            raise ValueError(
                "partial_fit cannot continue this fit, which was solved at once and "
                "kept no running statistics. Start with partial_fit on a new estimator."
            )
        if self._stream is not None:
            kind = self._stream["kind"]
        else:
            exact = self.solver == "exact" or (
                self.solver == "auto" and sum(sizes) <= MAX_EXACT_FEATURES
            )
            kind = "moments" if exact else "ey"
        self.n_iter_ = 1
        if kind == "moments":
            self._update_exact(views, sizes, regs)
        else:
            self._update_stream(views, sizes, regs)

    def _update_exact(self, views, sizes, regs):
        if self._stream is None:
            moments = JointMoments(sum(sizes))
        else:
            moments = _moments_from(self._stream)
        moments.update(views)
        self._stream = _moments_state(moments)
        self.n_samples_seen_ = moments.n
        if moments.n >= 2:
            self._solve_moments(moments, sizes, regs)
            self.loss_curve_ = np.array([self._optimum()])

    def _update_stream(self, views, sizes, regs):
        """Collect the warm-up rows, then step through what comes in batches."""
        if self._stream is None:
            self._stream = {
                "kind": "ey",
                "dtype": working_dtype(views).name,
                "buffer": [],
                "n_buffered": 0,
                "n_solved": 0,
                "stream": None,
                "waiting": None,
            }
            self._losses = []
        state = self._stream
        self.n_samples_seen_ += views[0].shape[0]
        if "buffer" in state:
            views = self._fill_buffer(state, views, sizes, regs)
        if views[0].shape[0] and "buffer" not in state:
            self._step_through(state, views)

    def _fill_buffer(self, state, views, sizes, regs):
        """Add to the warm-up rows; returns the rows that were too many."""
        n_w = n_warmup_rows(sizes, self.n_components)
        take = min(n_w - state["n_buffered"], views[0].shape[0])
        state["buffer"].append([as_dense(X[:take], X.dtype) for X in views])
        state["n_buffered"] += take
        enough = max(self.n_components + 1, 1.5 * state["n_solved"])
        full = state["n_buffered"] == n_w
        if full or state["n_buffered"] >= enough:
            # Kept as they came, bytes as bytes.
            rows = [
                np.concatenate(parts, dtype=state["dtype"], casting="unsafe")
                for parts in zip(*state["buffer"])
            ]
            if full:
                del state["buffer"]
            stream = self._start_from_buffer(state, rows, regs)
            state["n_solved"] = state["n_buffered"]
            if full:
                state["stream"] = stream.state()
                for name in ("n_buffered", "n_solved", "dtype"):
                    del state[name]
        return [X[take:] for X in views]

    def _start_from_buffer(self, state, rows, regs):
        """Freeze mean and scale of the rows so far and solve for a start."""
        moments = [ColumnMoments(X.shape[1]).update(X) for X in rows]
        scales = [scale_of(m, self.scale) for m in moments]
        for m, X, (_, inverse) in zip(moments, rows, scales):
            # Exactly: a column that stays constant is then zero, not rounding.
            m.mean[inverse == 0] = X[0, inverse == 0]
        # A column without variance so far may still get some.
        self._set_standardization(
            [m.mean for m in moments], [(std, 1.0 / std) for std, _ in scales]
        )
        state["inverse_scales"] = [1.0 / std for std, _ in scales]
        for X, mean, inverse in zip(rows, self._means, state["inverse_scales"]):
            X -= mean.astype(X.dtype)
            X *= inverse.astype(X.dtype)
        stream = self._started(rows, regs, "ey")
        self._finish_stream(stream)
        return stream

    def _step_through(self, state, views):
        if state["waiting"] is not None:
            views = [
                sparse.vstack([old, X], format="csr")
                if sparse.issparse(X)
                else np.concatenate([old, X])
                for old, X in zip(state["waiting"], views)
            ]
            state["waiting"] = None
        if views[0].shape[0] < 2:
            # One row has no covariance: it waits for the next ones.
            state["waiting"] = [X.copy() for X in views]
            return
        stream = EckartYoungStream.from_state(state["stream"])
        data = StandardizedViews(
            views, self._means, state["inverse_scales"], stream.dtype
        )
        n_cut = stream.n_cut
        for batch in shuffled_batches(data, self.batch_size, None):
            stream.step(batch)
        state["stream"] = stream.state()
        self._finish_stream(stream)
        if stream.n_cut > n_cut:
            warnings.warn(
                f"{stream.n_cut - n_cut} batch(es) had rows so long that they would "
                "have outweighed the rows before; these rows were cut to their mean "
                "length. Check the units, or start a new estimator if all further "
                "rows are like this.",
                UserWarning,
                stacklevel=4,
            )
        if stream.restarts > MAX_RESTARTS:
            self._warn_of_the_run(stream, True)

    def _finish_stream(self, stream):
        """Fitted attributes from the memory, without a pass over the rows."""
        self._finish(*rotate_to_solution(stream.W, stream.H, stream.regs))
        self._losses.append(self._optimum())
        self.loss_curve_ = np.array(self._losses)

    # -- results -----------------------------------------------------------------

    def _finish(self, weights, eigenvalues, H):
        """Scale, sign and store eigenvectors normalised by ``sum U_i'B_iU_i = I``.

        Parameters
        ----------
        weights : list of ndarrays of shape (p_i, K)
        eigenvalues : ndarray of shape (K,)
        H : list of ndarrays of shape (p_i, M, K)
            ``Cov(X_i, X_j) W_j``.
        """
        regs = self._checked_regs(len(weights))
        H = [np.array(h, dtype=np.float64) for h in H]
        weights = [
            np.where(constant[:, None], 0.0, W)
            for W, constant in zip(weights, self._constant)
        ]
        # PLS directions have unit length, the scores of all others unit variance.
        sizes = [
            np.sqrt(
                np.sum(W**2, axis=0)
                if c == 1
                else np.maximum(np.sum(W * H[i][:, i], axis=0), 0.0)
            )
            for i, (W, c) in enumerate(zip(weights, regs))
        ]
        found = np.all([s > 0 for s in sizes], axis=0) & (eigenvalues != 0)
        _, signs = deterministic_signs(weights[0], np.ones((1, len(found))))
        for j, size in enumerate(sizes):
            factor = np.where(found, signs[0] / np.where(found, size, 1.0), 0.0)
            weights[j] = weights[j] * factor
            for h in H:
                h[:, j] *= factor
        M = len(weights)
        S = np.array([[weights[i].T @ H[i][:, j] for j in range(M)] for i in range(M)])
        self.eigenvalues_ = np.where(found, eigenvalues, 0.0)
        self.correlations_ = _mean_correlations(S)
        # Columns times these are the minimiser of the Eckart-Young loss.
        root = np.sqrt(np.maximum(self.eigenvalues_, 0.0))
        self._ey_scales = [size * root for size in sizes]
        if not found.all():
            warnings.warn(
                f"Only {int(found.sum())} of n_components={len(found)} components "
                "relate the views; the others are zero.",
                UserWarning,
                stacklevel=4,
            )
        self._install(weights, H, S)

    def _optimum(self):
        return -float(np.sum(np.maximum(self.eigenvalues_, 0.0) ** 2))

    def _ey_score(self, scores, weights):
        """Minus the Eckart-Young loss of held-out scores, centred by training."""
        regs = self._checked_regs(len(scores))
        scores = [Z * scale for Z, scale in zip(scores, self._ey_scales)]
        total, n = sum(scores), len(scores[0])
        C = V = 0.0
        for Z, W, scale, c in zip(scores, weights, self._ey_scales, regs):
            C = C + np.sum(Z * (total - Z)) / n
            W = W * scale
            V = V + (1 - c) * (Z.T @ Z) / n + c * (W.T @ W)
        return float(2 * C - np.sum(V**2))

    # -- checks ------------------------------------------------------------------

    def _checked_regs(self, n_views):
        if isinstance(self.reg, Real):
            return [float(self.reg)] * n_views
        regs = np.asarray(self.reg, dtype=np.float64).ravel()
        if len(regs) != n_views:
            raise ValueError(
                f"reg={self.reg!r} has {len(regs)} values, expected one for each of "
                f"the {n_views} views."
            )
        if not np.all((regs >= 0) & (regs <= 1)):
            raise ValueError(f"reg={self.reg!r} must have values in [0, 1].")
        return regs.tolist()

    def _check_n_components(self, sizes):
        if self.n_components > min(sizes):
            raise ValueError(
                f"n_components={self.n_components} must be at most "
                f"{self._limit_text(sizes)}={min(sizes)}."
            )

    def _warn_of_interpolation(self, n, sizes, regs):
        for i, (p, c) in enumerate(zip(sizes, regs)):
            if c == 0 and n <= p:
                warnings.warn(
                    f"View {i + 1} has n_samples={n} <= n_features={p}: without "
                    "regularisation correlations of 1 can be found in noise. Set reg "
                    "> 0, such as reg=0.1.",
                    UserWarning,
                    stacklevel=4,
                )
                return


# Solvers that start from sums of all rows, which tell whether an entry is not finite.
_SUMMED = frozenset({"covariance", "cross"})
_EXACT = _SUMMED | {"rows"}


def working_dtype(views):
    """float64 if any view is in float64 or wide integers, else float32."""
    return np.result_type(np.float32, *(X.dtype for X in views))


def _mean_correlations(S):
    """Correlation of the k-th scores, averaged over the pairs of views."""
    M = len(S)
    deviation = [np.sqrt(np.maximum(np.diag(S[i, i]), 0.0)) for i in range(M)]
    pairs = [
        np.diag(S[i, j])
        / np.where(
            (deviation[i] > 0) & (deviation[j] > 0), deviation[i] * deviation[j], 1.0
        )
        for i in range(M)
        for j in range(i)
    ]
    return np.clip(np.mean(pairs, axis=0), -1.0, 1.0)


def _moments_state(moments):
    return {
        "kind": "moments",
        "n": moments.n,
        "mean": moments.mean,
        "scatter": moments.scatter,
    }


def _moments_from(state):
    moments = JointMoments(0)
    moments.n, moments.mean, moments.scatter = (
        state["n"],
        state["mean"].copy(),
        state["scatter"],
    )
    return moments
