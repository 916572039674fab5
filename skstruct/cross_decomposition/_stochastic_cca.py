# SPDX-License-Identifier: BSD-3-Clause

from ._two_view_ey import TwoViewEckartYoung


class StochasticCCA(TwoViewEckartYoung):
    """Canonical correlation analysis of two views, exact or streaming.

    Finds pairs of linear combinations ``X u`` and ``Y v`` with the largest
    correlations. Up to a few thousand columns the solution is exact, by one pass over
    the rows; beyond, or for rows that arrive in batches, it is learnt by stochastic
    steps. ``reg`` leads from canonical correlation to partial least squares.

    Parameters
    ----------
    n_components : int, default=2
        Number of pairs of combinations. Find it by GridSearchCV.
    reg : float in [0, 1] or pair of floats, default=0.0
        Ridge of each view: its covariance is replaced by ``(1 - reg) Cov + reg I``.
        0 is canonical correlation, 1 is partial least squares. With no more rows than
        columns 0 finds correlations of 1 in noise; a warning says so.
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
    x_weights_ : ndarray of shape (n_features, n_components)
        Weights of the centred and scaled columns of X, exactly zero for constant
        columns. Scores have unit variance (unit-norm
        weights with ``reg=1``).
    y_weights_ : ndarray of shape (n_targets, n_components)
        Weights of the second view.
    x_loadings_ : ndarray of shape (n_features, n_components)
        Regression of the standardised columns of X on the X scores.
    correlations_ : ndarray of shape (n_components,)
        Correlations of the training scores, by which ``eigenvalues_`` orders the
        components with ``reg=0``.
    eigenvalues_ : ndarray of shape (n_components,)
        Generalised eigenvalues, descending: correlations with
        ``reg=0``; with a ridge they can exceed 1 and are no correlations.
    x_mean_, y_mean_, x_scale_, y_scale_ : ndarrays
        Centres and scales of the columns; the scale of a constant column is 1.
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
    StochasticPLS : The same with ``reg=1``.
    MultiviewCCA : More than two views.
    SparseCCA : Few columns in each combination.

    Notes
    -----
    With the covariances between views in A and ``(1 - reg) Cov(X_i) + reg I`` of each
    view in B, the directions are the top eigenvectors of ``A u = lambda B u``. They
    span the minimisers of the Eckart-Young loss ``-2 tr(W'AW) + ||W'BW||^2``, which
    has no other local minima and whose gradient needs one batch of rows.

    The exact solver costs one pass of ``n p^2`` for the joint covariance of all p
    columns and ``p^3``; the streaming solver about ``6 n p n_components`` for an epoch.

    scikit-learn's ``CCA`` finds the same directions by an iteration for each component;
    its ``fit_transform`` returns a pair, which breaks pipelines. Here it returns the X
    scores.

    ``partial_fit`` weighs all rows alike, the oldest as the newest: after a lasting
    change of the data start a new estimator. The streaming solver cuts rows that would
    outweigh all before them, with a warning; the exact one gives what ``fit`` gives,
    so that such rows have to be clipped before.

    References
    ----------
    Chapman, Wells, Lawry Aguila (2024), Unconstrained stochastic CCA: unifying
    multiview and self-supervised learning, ICLR. Cutkosky, Orabona (2019),
    Momentum-based variance reduction in non-convex SGD, NeurIPS. Hotelling (1936),
    Relations between two sets of variates, Biometrika 28.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.cross_decomposition import StochasticCCA
    >>> rng = np.random.default_rng(0)
    >>> z = rng.standard_normal((500, 1))
    >>> X = np.hstack([z, 0.2 * z]) + rng.standard_normal((500, 2))
    >>> Y = np.hstack([z, -z, 0 * z]) + 0.5 * rng.standard_normal((500, 3))
    >>> cca = StochasticCCA(1).fit(X, Y)
    >>> cca.correlations_.round(2)
    array([0.69])
    """

    def __init__(
        self,
        n_components=2,
        *,
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
