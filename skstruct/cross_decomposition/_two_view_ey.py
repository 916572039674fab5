"""Two-view estimators on the generalised eigenvalue problem."""

# SPDX-License-Identifier: BSD-3-Clause

from sklearn.base import _fit_context
from sklearn.utils.validation import check_is_fitted

from ._eckart_young import EckartYoungMixin
from ._views import TwoViewMixin, project


class TwoViewEckartYoung(EckartYoungMixin, TwoViewMixin):
    """``fit``, ``partial_fit`` and ``score`` of StochasticCCA and StochasticPLS."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Find the top pairs of directions.

        Parameters
        ----------
        X : {array-like, memmap, CSR matrix} of shape (n_samples, n_features)
            First view. Integers are read block by block, without a float copy.
        y : {array-like, memmap, CSR matrix} of shape (n_samples, n_targets) or \
                (n_samples,)
            Second view, rows paired with those of X.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError
            If rows are unequal in number or fewer than 2, values are missing, or
            `n_components` exceeds the number of columns of a view.
        """
        X, y = self._validate_views(
            X, y, reset=True, accept_sparse="csr", ensure_all_finite=False
        )
        self._fit_views([X, y], known_finite=False)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y):
        """Learn from further rows.

        Parameters
        ----------
        X : {array-like, memmap, CSR matrix} of shape (n_samples, n_features)
            Any number of rows; the first call fixes the number of columns.
        y : {array-like, memmap, CSR matrix} of shape (n_samples, n_targets) or \
                (n_samples,)
            Second view.

        Returns
        -------
        self : object
            The estimator. Fitted attributes appear when 2 rows have been seen.

        Raises
        ------
        ValueError
            If a batch has another number of columns than the first one, or the
            previous ``fit`` kept no statistics to continue from.
        """
        first = not hasattr(self, "n_samples_seen_")
        X, y = self._validate_views(
            X, y, reset=first, min_samples=1, accept_sparse="csr"
        )
        self._update_views([X, y], first=first)
        return self

    def _limit_text(self, sizes):
        return f"min(n_features={sizes[0]}, n_targets={sizes[1]})"

    def _fitted_weights(self):
        return [self.x_weights_, self.y_weights_]

    def _install(self, weights, H, S):
        self.x_weights_, self.y_weights_ = weights
        self.x_mean_, self.y_mean_ = self._means
        self.x_scale_, self.y_scale_ = self._scales
        self._set_score_moments(S[0, 0], S[1, 1], S[0, 1], H[0][:, 0], H[1][:, 0])

    def score(self, X, y):
        """Held-out score that peaks at the true rank.

        With ``scoring="cross-prediction"`` the average reduction of squared error
        when each standardised score is predicted from the other view's with the slope
        learnt in training; with ``scoring="ey"`` minus the Eckart-Young loss. Both are
        negative at every rank when the views are unrelated.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_samples, n_features)
            First view of held-out rows.
        y : {array-like, CSR matrix} of shape (n_samples, n_targets) or (n_samples,)
            Second view.

        Returns
        -------
        score : float
            Higher is better.
        """
        if self.scoring != "ey":
            return super().score(X, y)
        check_is_fitted(self)
        X, y = self._validate_views(
            X, y, reset=False, min_samples=1, accept_sparse="csr"
        )
        return self._ey_score(
            [
                project(X, self.x_weights_, self.x_mean_, self.x_scale_),
                project(y, self.y_weights_, self.y_mean_, self.y_scale_),
            ],
            [self.x_weights_, self.y_weights_],
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        tags.transformer_tags.preserves_dtype = []
        return tags
