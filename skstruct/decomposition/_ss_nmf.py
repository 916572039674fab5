# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from scipy.optimize import nnls
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import assert_all_finite, check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    check_is_fitted,
    check_non_negative,
    validate_data,
)

from .._base import StructEstimator
from .._callbacks import CallbackSupportMixin, fit_callbacks
from .._parallel import single_blas_thread
from .._scores import hidden_block_error, hidden_columns
from .._validation import FLOAT_DTYPES
from ._abundances import fcls, nnls_abundances
from ._affinity import (
    check_window,
    given_affinity,
    knn_graph,
    pixel_numbers,
    position_graph,
    weigh,
    window_graph,
)
from ._ss_nmf_holes import Holes, check_known
from ._ss_nmf_solver import (
    Graph,
    Problem,
    norm_and_minimum,
    row_chunks,
    solve_abundances,
    solve_cd,
    solve_mu,
)
from ._ss_nmf_starts import Starts

_KNN = 8


class StructuredSparseNMF(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    StructEstimator,
):
    """Non-negative factors whose weights are sparse and agree between neighbours.

    Splits spectra into a few endmember spectra and non-negative abundances. Samples
    are nodes of a graph, usually the pixels of an image, and similar neighbours are
    pulled to similar abundances::

        1/2 ||X - A M||^2 + graph_weight/2 sum_k a_k' (D - W) a_k + alpha sum A^q

    over ``A, M >= 0`` with endmembers of unit length. Without image and penalties it
    is ordinary NMF by a fast monotone solver.

    Parameters
    ----------
    n_components : int, default=4
        Number of endmembers K.
    alpha : float, default=0.1
        Weight of the sparsity penalty, for data scaled to [0, 1] by one global factor.
    graph_weight : float, default=0.03
        Weight of the graph penalty; of use between 0.01 and 0.3, since large values
        smear the maps and pull the spectra together.
    sparsity_norm : {1, 0.5}, default=1
        Exponent q of the sparsity penalty: 1 is the lasso; 0.5 is sparser but has
        many local minima.
    endmember_norm : {"l2", None}, default="l2"
        "l2" keeps endmembers at unit length, without which both penalties are void:
        small A and large M would lower them to nothing. With `sum_to_one` the sums fix
        the scale and endmembers are free.
    sum_to_one : {False, "soft", "exact"}, default=False
        Whether the abundances of a pixel sum to one during the fit: "exact" as a
        constraint, "soft" by the penalty ``delta^2/2 (1 - sum)^2``. On the simplex the
        lasso is a constant, so use it with ``sparsity_norm=0.5`` or ``alpha=0``.
    delta : float, default=15.0
        Strength of the soft sum to one.
    affinity : {"auto", "window", "knn", "precomputed", None}, default="auto"
        The graph. "auto": "precomputed" when ``fit`` is given a matrix, "window" when
        an image shape or positions are known, else no graph. "knn" joins spectrally
        near samples, for data without an image.
    image_shape : tuple of two ints, default=None
        Rows and columns of the image whose pixels, in C order, are the rows of X.
    mask : array-like of bool of shape `image_shape`, default=None
        True where a pixel is a row of X. None: everywhere.
    window : int, default=3
        Odd side of the neighbourhood.
    n_neighbors : int, default=None
        Keep only the spectrally nearest neighbours. None: all of the window, and 8 for
        "knn".
    edge_weights : {"heat", "binary", "cosine"}, default="heat"
        See :func:`spatial_affinity`.
    sigma : "mean" or float, default="mean"
        Scale of the heat weights.
    n_inner : int, default=2
        Updates of each abundance and each endmember in one iteration.
    solver : {"cd", "mu"}, default="cd"
        "cd": block coordinate descent, accelerated and monotone. "mu": the
        multiplicative updates of the literature, for comparison.
    init : {"vca", "spa", "nndsvd", "nndsvda", "nndsvdar", "random"} or array-like of \
shape (n_components, n_features), default="vca"
        Endmembers at the start. "vca" and "random" depend on the random state.
    n_init : int, default=5
        Number of random starts. Each is refined for some iterations on a part of the
        samples; the one with the lowest objective is solved. Where the objective has
        minima of nearly the same value, more starts find the lowest more often.
    max_iter : int, default=300
        Largest number of iterations, of those on compressed data (see Notes) and again
        of those on X.
    tol : float, default=1e-6
        Stop when the objective falls by less relative to itself over five iterations,
        or at the same rate over two from a start that was refined so far (see Notes).
    score_holdout : float in (0, 1), default=0.3
        Share of the bands that `score` hides.
    score_random_state : int, default=0
        Which bands `score` hides; the same for all candidates of a search.
    n_jobs : int, default=None
        Number of starts refined at a time. The result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts.
    verbose : int, default=0
        Whether iterations are logged to
        ``logging.getLogger("skstruct.decomposition")``.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Endmembers M, by decreasing total abundance.
    embedding_ : ndarray of shape (n_samples, n_components)
        Abundances A of the training data. With unit endmembers they carry the
        brightness of the pixels; see `abundances`.
    n_components_ : int
        Number of endmembers.
    affinity_ : csr_array of shape (n_samples, n_samples) or None
        The graph.
    sigma_ : float
        Scale of the heat weights in use, NaN where there are none.
    objective_ : float
        The minimised function at the solution.
    loss_curve_ : ndarray of shape (n_iter,)
        The objective after each iteration; never rising with "cd".
    reconstruction_err_ : float
        Frobenius norm of ``X - A M``, over the known values.
    n_iter_ : int
        Iterations on X itself, after the start was chosen and refined.
    converged_ : bool
        Whether `tol` was reached.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    unmix : The same for a data cube.
    sklearn.decomposition.NMF : Without graph.
    fcls : Abundances for known endmembers.

    Notes
    -----
    An iteration of "cd" reads X once: for chunks of pixels that fit the cache it forms
    ``X M'``, sweeps over the abundances, and adds ``A'X`` for the endmembers. Every
    update minimises exactly, of the objective itself or, for pixels that are updated
    side by side, of one that lies above it and touches it. Iterations start from a
    point extrapolated along the last change and are taken back where that does not
    lower the objective, which needs about a tenth of the iterations of the plain
    descent.

    Before, "cd" runs the same descent on the coordinates of the samples in their
    ``K + 4`` leading directions, nearly the same problem at a fraction of the cost:
    a few iterations on X remain, which decide the convergence. There the abundances
    are in single precision, products and sums in double. It does not where
    endmembers are given, or with less than three times as many or over 1000 features.
    Where the coordinates would exceed 16 MB, 20000 samples stand for all.

    Cost of an iteration: two products ``O(N L K)`` and
    ``O(n_inner N K^2 + edges K)``; memory beyond X: the graph (12 bytes an entry), two
    copies of A, and up to 16 MB each of coordinates and of a copy of the weights.

    Missing values (NaN, "cd" alone) have no part in the objective. In each iteration
    they are filled with the present ``A M``: the objective of the filled data lies
    above that of the known values and touches it, so that the latter never rises. The
    graph and the starts are those of data filled from a subspace of K dimensions. Cost:
    two more passes over the missing values in an iteration, and a filled copy of X.

    Special cases: ``graph_weight=0, alpha=0`` is NMF; ``graph_weight=0`` is L1-NMF, or
    L1/2-NMF with ``sparsity_norm=0.5``; ``alpha=0`` is graph-regularised NMF.

    ``fit_transform(X)`` returns abundances in which neighbours took part, and differs
    from ``transform(X)`` unless that is given the image too.

    References
    ----------
    Zhu, Wang, Xiang, Fan, Pan (2014), Structured sparse method for hyperspectral
    unmixing, ISPRS Journal of Photogrammetry and Remote Sensing 88. Cai, He, Han,
    Huang (2011), Graph regularized nonnegative matrix factorization for data
    representation, IEEE TPAMI 33. Qian, Jia, Zhou, Robles-Kelly (2011), Hyperspectral
    unmixing via L1/2 sparsity-constrained nonnegative matrix factorization, IEEE TGRS
    49. Xu, Chang, Xu, Zhang (2012), L1/2 regularization: a thresholding representation
    theory and a fast solver, IEEE TNNLS 23. Ang, Gillis (2019), Accelerating
    nonnegative matrix factorization algorithms using extrapolation, Neural
    Computation 31. Owen, Perry (2009), Bi-cross-validation of the SVD and the
    nonnegative matrix factorization, Annals of Applied Statistics 3.

    Examples
    --------
    >>> from skstruct.datasets import make_hyperspectral_scene
    >>> from skstruct.decomposition import StructuredSparseNMF
    >>> from skstruct.metrics import unmixing_scores
    >>> scene = make_hyperspectral_scene(random_state=0)
    >>> model = StructuredSparseNMF(4, image_shape=scene.image_shape, random_state=0)
    >>> A = model.fit_transform(scene.X)
    >>> A.shape
    (1600, 4)
    >>> unmixing_scores(scene.endmembers, model.components_).mean_sad < 0.1
    True
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "graph_weight": [Interval(Real, 0, None, closed="left")],
        "sparsity_norm": [Interval(Real, 0, 1, closed="right")],
        "endmember_norm": [StrOptions({"l2"}), None],
        "sum_to_one": ["boolean", StrOptions({"soft", "exact"})],
        "delta": [Interval(Real, 0, None, closed="neither")],
        "affinity": [StrOptions({"auto", "window", "knn", "precomputed"}), None],
        "image_shape": [tuple, list, None],
        "mask": ["array-like", None],
        "window": [Interval(Integral, 1, None, closed="left")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
        "edge_weights": [StrOptions({"heat", "binary", "cosine"})],
        "sigma": [StrOptions({"mean"}), Interval(Real, 0, None, closed="neither")],
        "n_inner": [Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions({"cd", "mu"})],
        "init": [
            StrOptions({"vca", "spa", "nndsvd", "nndsvda", "nndsvdar", "random"}),
            "array-like",
        ],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "score_holdout": [Interval(Real, 0, 1, closed="neither")],
        "score_random_state": [Integral],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=4,
        *,
        alpha=0.1,
        graph_weight=0.03,
        sparsity_norm=1,
        endmember_norm="l2",
        sum_to_one=False,
        delta=15.0,
        affinity="auto",
        image_shape=None,
        mask=None,
        window=3,
        n_neighbors=None,
        edge_weights="heat",
        sigma="mean",
        n_inner=2,
        solver="cd",
        init="vca",
        n_init=5,
        max_iter=300,
        tol=1e-6,
        score_holdout=0.3,
        score_random_state=0,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.alpha = alpha
        self.graph_weight = graph_weight
        self.sparsity_norm = sparsity_norm
        self.endmember_norm = endmember_norm
        self.sum_to_one = sum_to_one
        self.delta = delta
        self.affinity = affinity
        self.image_shape = image_shape
        self.mask = mask
        self.window = window
        self.n_neighbors = n_neighbors
        self.edge_weights = edge_weights
        self.sigma = sigma
        self.n_inner = n_inner
        self.solver = solver
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.score_holdout = score_holdout
        self.score_random_state = score_random_state
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    # -- fitting -----------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, affinity=None, positions=None):
        """Find endmembers and abundances.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Non-negative spectra in rows, scaled to about [0, 1] by one factor. A
            sparse matrix without an image. NaN in a dense X is a missing value.
        y : None
            Ignored, present by scikit-learn's convention.
        affinity : {array-like, sparse matrix} of shape (n_samples, n_samples), \
default=None
            Symmetric non-negative weights of the edges, for
            ``affinity="precomputed"``.
        positions : array-like of int of shape (n_samples, 2), default=None
            Row and column of each sample in the image, instead of `image_shape`, for
            a part of the pixels in any order: a search slices them with the rows of X.

        Returns
        -------
        self : StructuredSparseNMF
            Fitted estimator.

        Raises
        ------
        ValueError
            If X has negative entries, or a row or a column of NaN alone; the image
            does not match its rows, the lasso meets an exact sum to one,
            `n_components` is too large for the start, or the affinity is not symmetric
            and non-negative.
        """
        self._check_penalties()
        X, norm2 = self._read(X, reset=True)
        mu, holes = self.solver == "mu", None
        if np.isnan(norm2):
            holes = Holes(X)
            X, norm2 = holes.guessed(self.n_components), None
        W, self.sigma_ = self._build_graph(X, affinity, positions)
        problem = self._problem(X, norm2, W, holes=holes, banded=True)
        redundant = problem.by_component and problem.graph.redundant and not mu
        redundant = redundant and problem.graph.weights is W.data
        if redundant:
            # The largest array beside X: put together again at the end.
            problem.graph = problem.graph.without_weights()
            W.data = problem.graph.weights
        starts = Starts(self.init, self.n_init, self.n_components, self.n_jobs)
        # One BLAS thread: the products have few columns, and sums keep their order.
        with (
            single_blas_thread(),
            fit_callbacks(self, X=X, max_iter=self.max_iter) as step,
        ):
            options = {"max_iter": self.max_iter, "tol": self.tol, "step": step}
            A, M, refined = starts.best(
                problem,
                check_random_state(self.random_state),
                max_iter=0 if mu else self.max_iter,
                tol=self.tol,
            )
            if mu:
                found = solve_mu(problem, W, A, M, **options)
            else:
                found = solve_cd(problem, A, M, refined=refined, **options)
        # One of the two copies of the abundances, no longer needed.
        del A
        self._store(problem, found)
        if redundant:
            W.data = problem.graph.all_weights()
        self.affinity_ = W
        return self

    def fit_transform(self, X, y=None, *, affinity=None, positions=None):
        """Fit and return the abundances of the training data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            As in `fit`.
        y : None
            Ignored, present by scikit-learn's convention.
        affinity : {array-like, sparse matrix} of shape (n_samples, n_samples), \
default=None
            As in `fit`.
        positions : array-like of int of shape (n_samples, 2), default=None
            As in `fit`.

        Returns
        -------
        A : ndarray of shape (n_samples, n_components)
            Abundances, with the neighbours' part in them.
        """
        return self.fit(X, y, affinity=affinity, positions=positions).embedding_

    def _read(self, X, *, reset):
        """Valid X and its squared norm, NaN where X has missing values."""
        X = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=list(FLOAT_DTYPES),
            order="C",
            ensure_all_finite=False,
        )
        name = type(self).__name__
        norm2, low = norm_and_minimum(X)
        if not np.isfinite(norm2):
            assert_all_finite(X, allow_nan=True, estimator_name=name, input_name="X")
            if np.isnan(norm2):
                if self.solver == "mu":
                    raise ValueError("Input X contains NaN, which solver='mu' refuses.")
                check_known(X)
                low = np.nanmin(X)
        if low < 0:
            check_non_negative(np.array([[low]]), f"{name} (input X)")
        return sparse.csr_array(X) if sparse.issparse(X) else X, norm2

    def _check_penalties(self):
        if self.sparsity_norm not in (1, 0.5):
            raise ValueError(
                f"sparsity_norm={self.sparsity_norm} must be 1 (lasso) or 0.5."
            )
        if self.sum_to_one is True:
            raise ValueError("sum_to_one must be False, 'soft' or 'exact', got True.")
        lasso = self.sparsity_norm == 1 and self.alpha > 0
        if self.sum_to_one == "exact":
            if lasso:
                raise ValueError(
                    f"alpha={self.alpha} with sparsity_norm=1 does nothing under "
                    "sum_to_one='exact': abundances that are non-negative and sum to "
                    "one have the constant L1 norm 1, so the lasso is void. Use "
                    "sparsity_norm=0.5, alpha=0, or sum_to_one=False."
                )
            if self.solver == "mu":
                raise ValueError(
                    "sum_to_one='exact' needs solver='cd': multiplicative updates "
                    "cannot keep a sum; use sum_to_one='soft'."
                )
        elif self.sum_to_one == "soft" and lasso:
            warnings.warn(
                "With sum_to_one='soft' the lasso (sparsity_norm=1) is nearly a "
                "constant and mostly shrinks the sums; use sparsity_norm=0.5 or "
                "alpha=0.",
                UserWarning,
                stacklevel=3,
            )

    def _problem(self, X, norm2, W, *, holes=None, banded=False):
        lam = float(self.graph_weight) if W is not None else 0.0
        graph = Graph.of(W, X.dtype)
        return Problem(
            X,
            graph.banded() if banded and lam > 0 else graph,
            lam,
            float(self.alpha),
            self.sparsity_norm == 0.5,
            float(self.delta) ** 2 if self.sum_to_one == "soft" else 0.0,
            self.sum_to_one == "exact",
            self.endmember_norm == "l2" and not self.sum_to_one,
            self.n_inner,
            norm2=norm2,
            holes=holes,
        )

    def _build_graph(self, X, affinity, positions):
        kind = self.affinity
        if kind == "auto":
            kind = None
            if affinity is not None:
                kind = "precomputed"
            elif positions is not None or self.image_shape is not None:
                kind = "window"
        if affinity is not None and kind != "precomputed":
            raise ValueError(
                f"fit was given an affinity matrix, but affinity={self.affinity!r}; "
                "set affinity='precomputed' or 'auto'."
            )
        if kind is None:
            return None, np.nan
        if kind == "precomputed":
            return given_affinity(affinity, X.shape[0]), np.nan
        if kind == "knn":
            graph = knn_graph(X, self.n_neighbors or _KNN)
            return weigh(graph, X, self.edge_weights, self.sigma)
        if sparse.issparse(X):
            raise ValueError(
                "affinity='window' needs a dense X; for sparse data use 'knn', "
                "'precomputed' or None."
            )
        half = check_window(self.window)
        if positions is not None:
            graph = position_graph(X, positions, half)
        elif self.image_shape is None:
            raise ValueError(
                "affinity='window' needs image_shape, or positions in fit."
            )
        else:
            hint = " For a part of the pixels give fit their positions instead."
            number = pixel_numbers(
                self.image_shape, self.mask, X.shape[0], hint=hint
            )  # fmt: skip
            graph = window_graph(X, number, half)
        return weigh(graph, X, self.edge_weights, self.sigma, self.n_neighbors)

    def _store(self, problem, found):
        dtype = problem.X.dtype
        A, M = found.A, found.M
        mass = A.sum(axis=0, dtype=np.float64) * np.linalg.norm(M, axis=1)
        order = np.argsort(-mass, kind="stable")
        self.reconstruction_err_ = float(np.sqrt(found.residual))
        self.components_ = M[order].astype(dtype)
        self.embedding_ = np.empty(A.shape, dtype=dtype)
        for rows in row_chunks(A.shape[0], A.shape[1] * 8):
            self.embedding_[rows] = A[rows][:, order]
        found.A = None
        self.n_components_ = M.shape[0]
        self.objective_ = float(found.objective)
        self.loss_curve_ = np.array(found.loss_curve)
        self.n_iter_ = found.n_iter
        self.converged_ = found.converged
        unused = np.flatnonzero(mass[order] == 0)
        if unused.size:
            warnings.warn(
                f"Components {unused.tolist()} have no abundance in any sample: the "
                f"data do not support n_components={self.n_components} at "
                f"alpha={self.alpha}, or X is not scaled to about [0, 1].",
                UserWarning,
                stacklevel=3,
            )
        if not found.converged and self.tol > 0:
            warnings.warn(
                f"The objective still fell at a rate of {found.change:.2g} relative to "
                f"itself in five iterations, after {found.n_iter} iterations; "
                f"tol={self.tol}. Increase max_iter or tol.",
                ConvergenceWarning,
                stacklevel=3,
            )

    # -- using the model -----------------------------------------------------------

    def transform(self, X, *, image_shape=None, affinity=None):
        """Abundances of new samples for the fitted endmembers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Non-negative spectra, scaled like the training data. NaN is a missing
            value.
        image_shape : tuple of two ints, default=None
            Shape of the new image; its neighbours then take part. None: each sample
            by itself.
        affinity : {array-like, sparse matrix} of shape (n_samples, n_samples), \
default=None
            A graph of the new samples instead, such as from
            :func:`spatial_affinity` with a mask.

        Returns
        -------
        A : ndarray of shape (n_samples, n_components)
            Minimiser of the objective for fixed endmembers: exact without graph, by
            sweeps to 1e-6 of the largest abundance with it. For
            ``sparsity_norm=0.5`` a local minimiser near the non-negative least
            squares solution.

        Notes
        -----
        Of the fitted state only ``components_`` is read, so that a known library of
        spectra can be set by hand.
        """
        check_is_fitted(self, "components_")
        return self._transform(*self._read(X, reset=False), image_shape, affinity)

    def _transform(self, X, norm2, image_shape=None, affinity=None):
        W, M, holes = None, self.components_, None
        if np.isnan(norm2):
            holes = Holes(X)
            X, norm2 = holes.filled(nnls_abundances(X, M), M), None
        if affinity is not None:
            W = given_affinity(affinity, X.shape[0])
        elif image_shape is not None:
            number = pixel_numbers(image_shape, None, X.shape[0], hint="")
            graph = window_graph(X, number, check_window(self.window))
            W = weigh(graph, X, self.edge_weights, self.sigma, self.n_neighbors)[0]
        problem = self._problem(X, norm2, W, holes=holes)
        A, converged = solve_abundances(problem, M, tol=1e-6)
        if not converged:
            warnings.warn(
                "The abundances still moved by more than 1e-6 of the largest one after "
                "500 sweeps over the graph.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return A

    def inverse_transform(self, X):
        """Spectra of given abundances.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Abundances.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            ``A M``.
        """
        check_is_fitted(self, "components_")
        A = check_array(X, dtype=list(FLOAT_DTYPES))
        if A.shape[1] != self.components_.shape[0]:
            raise ValueError(
                f"X has {A.shape[1]} columns, the model {self.components_.shape[0]} "
                "components."
            )
        return A @ self.components_.astype(A.dtype, copy=False)

    def abundances(self, X=None, *, method="normalize", return_endmembers=False):
        """Physical abundances: fractions of the ground that sum to one.

        With endmembers of unit length the factor A carries the brightness of a pixel
        as well.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Samples; None: the training data.
        method : {"normalize", "calibrate", "fcls"}, default="normalize"
            "normalize" divides each row by its sum: for scenes with shade and
            varying brightness. "calibrate" first gives each endmember the length at
            which the training abundances sum to one as well as possible: better where
            the linear model holds. "fcls" solves for abundances that sum to one with
            the calibrated endmembers; needs X.
        return_endmembers : bool, default=False
            Whether to return the endmembers that belong to these abundances too.

        Returns
        -------
        A : ndarray of shape (n_samples, n_components)
            Rows sum to one; a row of zeros stays zero.
        endmembers : ndarray of shape (n_components, n_features)
            Only with `return_endmembers`.

        Raises
        ------
        ValueError
            If `method` is unknown, or "fcls" is asked for without X.
        """
        check_is_fitted(self, "components_")
        if method not in ("normalize", "calibrate", "fcls"):
            raise ValueError(
                f"method={method!r} must be 'normalize', 'calibrate' or 'fcls'."
            )
        if method == "fcls" and X is None:
            raise ValueError("method='fcls' needs X: spectra are not stored in fit.")
        if X is None:
            A = self.embedding_
        else:
            X, norm2 = self._read(X, reset=False)
            A = self._transform(X, norm2)
        M = self.components_
        if method != "normalize":
            t = self._calibration()
            M = M / np.where(t > 0, t, 1.0)[:, None].astype(M.dtype)
            A = fcls(X, M) if method == "fcls" else A * t.astype(A.dtype)
        total = A.sum(axis=1, keepdims=True)
        A = np.divide(A, total, out=np.zeros_like(A), where=total > 0)
        return (A, M) if return_endmembers else A

    def _calibration(self):
        """t >= 0 such that the rows of A t are as near to one as possible."""
        A = self.embedding_.astype(np.float64)
        # The normal equations, whose size is the number of endmembers.
        values, vectors = np.linalg.eigh(A.T @ A)
        keep = values > 1e-12 * max(values[-1], 1e-300)
        root = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
        right = (vectors[:, keep].T @ A.sum(axis=0)) / np.sqrt(values[keep])
        return nnls(root, right)[0] if keep.any() else np.ones(A.shape[1])

    def score(self, X, y=None):
        """Minus the mean squared error on hidden bands of held-out samples.

        A share ``score_holdout`` of the bands is hidden, the same for all samples and
        candidates; abundances are estimated by non-negative least squares from the
        other bands, and the hidden ones are predicted. Plain reconstruction would
        improve with every endmember; this peaks at the true number.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples that were not used in ``fit``. Of missing values (NaN) nothing is
            compared.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            In squared units of the data; higher is better. Where noise was clipped at
            zero the curve is nearly flat above the true number: search with
            ``refit=one_standard_error``.

        Raises
        ------
        ValueError
            With a single band, of which none can be hidden, or no sample that has
            known values in two bands.
        """
        check_is_fitted(self, "components_")
        X = self._read(X, reset=False)[0]
        M = self.components_
        hidden = hidden_columns(X.shape[1], self.score_holdout, self.score_random_state)

        def predict(visible, mask):
            A = nnls_abundances(visible[:, ~hidden], M[:, ~hidden])
            return A @ M.astype(A.dtype, copy=False)

        total, count = 0.0, 0
        for rows in row_chunks(X.shape[0], max(1, X.shape[1] * 4)):
            block = X[rows]
            block = block.toarray() if sparse.issparse(block) else block
            known = ~np.isnan(block)
            # Of other pixels nothing is known, or nothing can be compared.
            use = known[:, ~hidden].any(axis=1) & known[:, hidden].any(axis=1)
            if use.any():
                cells = np.count_nonzero(known[use][:, hidden])
                total += cells * hidden_block_error(block[use], hidden, predict)
                count += cells
        if count == 0:
            raise ValueError(
                "No entry can be hidden: score needs samples with two known bands."
            )
        return total / count

    @property
    def _n_features_out(self):
        return self.components_.shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.solver == "cd"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
