# SPDX-License-Identifier: BSD-3-Clause

from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted

from ._eckart_young import EckartYoungMixin
from ._views import MultiviewMixin


class MultiviewCCA(EckartYoungMixin, MultiviewMixin):
    """Canonical correlation analysis of several views, exact or streaming.

    Finds combinations of the columns of each view whose scores vary together in all
    pairs of views: the sum of their covariances is largest, given the sum of their
    variances (the MAXVAR generalisation of canonical correlation). ``transform``
    averages the scores of the views, one representation of each row.

    Parameters
    ----------
    n_components : int, default=2
        Number of combinations. Find it by GridSearchCV.
    view_sizes : list of int, default=None
        Number of columns of each view when they are given side by side, the form that
        works in Pipeline and GridSearchCV. None: two halves, or the list of arrays
        that is given.
    reg : float in [0, 1] or one for each view, default=0.0
        Ridge of each view: its covariance is replaced by ``(1 - reg) Cov + reg I``.
    scale : bool, default=True
        Whether columns are divided by their standard deviation. ``partial_fit`` with
        the streaming solver freezes mean and scale after its first rows.
    solver : {"auto", "exact", "ey", "sgd", "adam"}, default="auto"
        "exact": the generalised eigenvalue problem from accumulated covariances, or
        from the Gram matrix of the rows where there are fewer rows than columns.
        "ey": stochastic steps on the Eckart-Young loss with a start, a preconditioner
        and a memory of past batches. "sgd" and "adam": plain steps with the gradient of
        one batch, as published, for comparison. "auto": "exact" up to 4000 columns in
        total, or with fewer rows than columns up to 16 million entries; else "ey".
        Up to a few hundred rows, which
        the start of "ey" sees at once, every choice gives the exact solution.
    batch_size : int, default=128
        Rows of a step of the streaming solvers, at least 2.
    learning_rate : float or "auto", default="auto"
        0.4 for "ey", in units of the largest stable step; 0.01 for "sgd" and "adam".
    momentum : float in [0, 1), default=0.0
        Of "sgd".
    unbiased : bool, default=False
        Whether "sgd" and "adam" take the two factors of the quadratic term from the
        two halves of a batch, which makes the gradient unbiased and noisier. The
        memory of "ey" removes that bias by itself.
    precondition : {"warmup", None}, default="warmup"
        Whether "ey" steps are preconditioned by the covariances of its first rows.
    max_iter : int, default=50
        Largest number of epochs of the streaming solvers.
    n_iter_no_change : int, default=5
        Epochs without improvement before the learning rate is divided by 5; below a
        thousandth of its first value the solver stops.
    tol : float, default=1e-4
        Relative change of the loss that counts as improvement.
    shuffle : bool, default=True
        Whether rows are taken in random order. Data sorted by class need it.
    scoring : {"cross-prediction", "ey"}, default="cross-prediction"
        What ``score`` measures, see there.
    warm_start : bool, default=False
        Whether the streaming solvers start from the weights of the previous ``fit``.
    random_state : int, RandomState instance or None, default=None
        Seed of the order of rows. The exact solver uses no random numbers.
    verbose : int, default=0
        Whether epochs are logged to ``skstruct.cross_decomposition``.

    Attributes
    ----------
    weights_ : list of ndarrays of shape (n_features_i, n_components)
        Weights of the centred and scaled columns of each view.
    correlations_ : ndarray of shape (n_components,)
        Correlations of the training scores, averaged over pairs of
        views.
    eigenvalues_ : ndarray of shape (n_components,)
        Generalised eigenvalues, descending: up to
        the number of views minus one with ``reg=0``.
    means_, scales_ : lists of ndarrays
        Centres and scales of the columns.
    view_sizes_ : list of int
        Number of columns of each view.
    loss_curve_ : ndarray of shape (n_iter,)
        Eckart-Young loss after every epoch; its optimum with the exact solver.
    n_iter_ : int
        Epochs.
    n_samples_seen_ : int
        Rows of ``fit``, or of all calls of ``partial_fit``.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    StochasticCCA : Two views, the second one passed as y.
    MultiviewSparseCCA : Few columns in each combination.

    Notes
    -----
    With the covariances between views in A and ``(1 - reg) Cov(X_i) + reg I`` of each
    view in B, the directions are the top eigenvectors of ``A u = lambda B u``. They
    span the minimisers of the Eckart-Young loss ``-2 tr(W'AW) + ||W'BW||^2``, which
    has no other local minima and whose gradient needs one batch of rows.

    The exact solver costs one pass of ``n p^2`` for the joint covariance of all p
    columns and ``p^3``; the streaming solver about ``6 n p n_components`` for an epoch.

    ``partial_fit`` weighs all rows alike, the oldest as the newest: after a lasting
    change of the data start a new estimator. The streaming solver cuts rows that would
    outweigh all before them, with a warning; the exact one gives what ``fit`` gives,
    so that such rows have to be clipped before.

    References
    ----------
    Chapman, Wells, Lawry Aguila (2024), Unconstrained stochastic CCA: unifying
    multiview and self-supervised learning, ICLR. Cutkosky, Orabona (2019),
    Momentum-based variance reduction in non-convex SGD, NeurIPS. Hotelling (1936),
    Relations between two sets of variates, Biometrika 28. Kettenring (1971), Canonical
    analysis of several sets of variables, Biometrika 58.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.cross_decomposition import MultiviewCCA
    >>> rng = np.random.default_rng(0)
    >>> z = rng.standard_normal((500, 1))
    >>> views = [z + rng.standard_normal((500, p)) for p in (3, 4, 5)]
    >>> cca = MultiviewCCA(1).fit(views)
    >>> cca.transform(views).shape
    (500, 1)
    >>> bool(abs(np.corrcoef(cca.transform(views)[:, 0], z[:, 0])[0, 1]) > 0.9)
    True
    """

    _parameter_constraints = {
        **EckartYoungMixin._parameter_constraints,
        "view_sizes": ["array-like", None],
    }

    def __init__(
        self,
        n_components=2,
        *,
        view_sizes=None,
        reg=0.0,
        scale=True,
        solver="auto",
        batch_size=128,
        learning_rate="auto",
        momentum=0.0,
        unbiased=False,
        precondition="warmup",
        max_iter=50,
        n_iter_no_change=5,
        tol=1e-4,
        shuffle=True,
        scoring="cross-prediction",
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.view_sizes = view_sizes
        self.reg = reg
        self.scale = scale
        self.solver = solver
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.unbiased = unbiased
        self.precondition = precondition
        self.max_iter = max_iter
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.shuffle = shuffle
        self.scoring = scoring
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Find the directions along which all views vary together.

        Parameters
        ----------
        X : {array-like, memmap, CSR matrix} of shape (n_samples, n_features) or \
                list of such
            Views side by side, cut by `view_sizes`, or one array per view.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : MultiviewCCA
            Fitted estimator.

        Raises
        ------
        ValueError
            If views differ in their number of rows or have fewer than 2, values are
            missing, `view_sizes` does not sum to the number of columns, or
            `n_components` exceeds the number of columns of a view.
        """
        views = self._validate_multiview(X, reset=True, min_samples=2)
        self._fit_views(views)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Learn from further rows.

        Parameters
        ----------
        X : {array-like, memmap, CSR matrix} of shape (n_samples, n_features) or \
                list of such
            Any number of rows; the first call fixes the number of columns.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : MultiviewCCA
            The estimator. Fitted attributes appear when 2 rows have been seen.

        Raises
        ------
        ValueError
            If a batch has other columns than the first one, or the previous ``fit``
            kept no statistics to continue from.
        """
        first = not hasattr(self, "n_samples_seen_")
        views = self._validate_multiview(X, reset=first)
        self._update_views(views, first=first)
        return self

    def _limit_text(self, sizes):
        return f"the columns of the smallest view, of n_features={sum(sizes)},"

    def _fitted_weights(self):
        return self.weights_

    def _install(self, weights, H, S):
        self.weights_, self.means_, self.scales_ = weights, self._means, self._scales
        self._set_score_moments(S)

    def score(self, X, y=None):
        """Held-out score that peaks at the true rank.

        As that of :class:`StochasticCCA`; the cross-predictive score is the average
        over pairs of views.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features) or list of such
            Held-out rows.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            Higher is better.
        """
        if self.scoring != "ey":
            return super().score(X)
        check_is_fitted(self)
        views = self._validate_multiview(X, reset=False)
        return self._ey_score(self._view_scores(views), self.weights_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags
