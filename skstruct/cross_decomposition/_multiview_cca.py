# SPDX-License-Identifier: BSD-3-Clause

from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted

from ._eckart_young import EckartYoungMixin
from ._views import MultiviewMixin


class MultiviewCCA(EckartYoungMixin, MultiviewMixin):
    """Canonical correlation analysis of several views, with ridge up to PLS.

    TODO
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
