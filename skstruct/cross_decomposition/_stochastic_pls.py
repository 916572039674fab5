# SPDX-License-Identifier: BSD-3-Clause

from ._two_view_ey import TwoViewEckartYoung


class StochasticPLS(TwoViewEckartYoung):
    """Partial least squares of two views, exact or streaming.

    TODO
    """

    # The generalised eigenvalue problem with B = I.
    reg = 1.0

    _parameter_constraints = {
        name: constraint
        for name, constraint in TwoViewEckartYoung._parameter_constraints.items()
        if name not in {"reg", "precondition"}
    }

    def __init__(
        self,
        n_components=2,
        *,
        scale=True,
        solver="auto",
        batch_size=128,
        learning_rate="auto",
        momentum=0.0,
        unbiased=False,
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
        self.scale = scale
        self.solver = solver
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.unbiased = unbiased
        self.max_iter = max_iter
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.shuffle = shuffle
        self.scoring = scoring
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # No curvature to be preconditioned without within-view covariances.
    precondition = None
