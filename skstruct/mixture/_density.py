"""What a mixture at rest answers, for every estimator that is one."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .._validation import check_magnitude
from . import _gaussian

# Rows conditioned at once, as entries of the (n, K, D) array of filled rows.
_FILLED = 2**21


class RestArrays:
    """Arrays of a mixture at rest, for every estimator that holds one.

    A class gives ``_rest()``, a dictionary of plain arrays with weights, means,
    factors (precision ``F F'``) and log-determinants of the covariances, and
    ``_accepts_nan``. Whatever is derived is kept in the dictionary ``_cache``.
    """

    def _rest_covariances(self):
        cache = self._cache
        if "covariances" not in cache:
            cache["covariances"] = np.array(
                [_gaussian.covariance_of(F) for F in self._rest()["factors"]]
            )
        return cache["covariances"]

    @property
    def covariances_(self):
        """Covariance matrices, of shape (n_components, D, D)."""
        check_is_fitted(self)
        return self._rest_covariances().copy()

    @property
    def precisions_(self):
        """Precision matrices, of shape (n_components, D, D)."""
        check_is_fitted(self)
        factors = self._rest()["factors"]
        return factors @ np.swapaxes(factors, 1, 2)

    def _read(self, X, *, allow_nan=None):
        check_is_fitted(self)
        allow_nan = self._accepts_nan if allow_nan is None else allow_nan
        X = validate_data(
            self,
            X,
            reset=False,
            dtype=np.float64,
            order="C",
            ensure_all_finite="allow-nan" if allow_nan else True,
        )
        return check_magnitude(X)


class MixtureMethods(DensityMixin):
    """Methods of a density estimator; with :class:`RestArrays`."""

    def _log_joint(self, X):
        """``log pi_j + log N(x | j)``, marginal where a row has holes."""
        rest = self._rest()
        holes = np.isnan(X) if self._accepts_nan else np.zeros((0, 0), dtype=bool)
        if not holes.any():
            return _gaussian.log_joint(X, **rest, n_jobs=self.n_jobs)
        joint = np.empty((X.shape[0], rest["weights"].size))
        with _gaussian.small_blas(X.shape[1]):
            for missing, rows in _gaussian.patterns(holes):
                if not missing.any():
                    joint[rows] = _gaussian.log_joint(X[rows], **rest)
                else:
                    joint[rows] = self._condition(X[rows], missing).log_joint_
        return joint

    def _condition(self, X, missing):
        return _gaussian.condition(
            X, missing, **self._rest(), covariances=self._rest_covariances
        )

    def score_samples(self, X):
        """Log-density of each row; its negative is a novelty score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            With ``missing="marginal"`` NaN is allowed and the density is that of
            the known entries.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        X = self._read(X)
        return logsumexp(self._log_joint(X), axis=1)

    def score(self, X, y=None):
        """Mean log-density per row, in nats; higher is better.

        On held-out rows too many small components lower it, so that a grid search
        over the parameters that decide their number works.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
        """
        X = self._read(X)
        return float(np.mean(logsumexp(self._log_joint(X), axis=1)))

    def predict(self, X):
        """Component of the largest posterior probability.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to assign.

        Returns
        -------
        labels : ndarray of int, shape (n_samples,)
        """
        X = self._read(X)
        return np.argmax(self._log_joint(X), axis=1)

    def predict_proba(self, X):
        """Posterior probabilities of the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to assign.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_components)
        """
        X = self._read(X)
        return softmax(self._log_joint(X), axis=1)

    def mahalanobis(self, X):
        """Squared Mahalanobis distance to every component.

        A row whose smallest distance reaches a chi-square quantile with n_features
        degrees of freedom is novel.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows without NaN.

        Returns
        -------
        distances : ndarray of shape (n_samples, n_components)
        """
        X = self._read(X, allow_nan=False)
        rest = self._rest()
        return _gaussian.squared_distances(
            X, rest["means"], rest["factors"], self.n_jobs
        )

    def sample(self, n_samples=1, *, random_state=None):
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed; None takes that of the estimator.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows, ordered by component.
        labels : ndarray of int, shape (n_samples,)
            The component of each row.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples={n_samples} must be at least 1.")
        seed = self.random_state if random_state is None else random_state
        rest = self._rest()
        return _gaussian.sample(
            n_samples,
            rest["weights"],
            rest["means"],
            self._rest_covariances(),
            check_random_state(seed),
        )

    def conditional(self, known_idx, X_known):
        """Distribution of the other variables given some of them.

        Parameters
        ----------
        known_idx : array-like of int, bool or str
            Indices of the known variables, a mask over all variables, or their
            names when the estimator was fitted with feature names.
        X_known : array-like of shape (n_samples, n_known)
            Their values, columns in the order of `known_idx`.

        Returns
        -------
        mixture : object
            A mixture per row over the unknown variables in increasing index order:
            ``weights_`` (n_samples, K), ``means_`` (n_samples, K, n_unknown),
            ``covariances_`` (K, n_unknown, n_unknown), ``log_density_`` (n_samples,)
            of the known values, and methods ``mean()``, ``std()``, ``covariance()``,
            ``score_samples(Y)`` and ``sample(random_state)``.
        """
        check_is_fitted(self)
        known = self._known_indices(known_idx)
        X_known = check_magnitude(
            check_array(X_known, dtype=np.float64, input_name="X_known"), "X_known"
        )
        if X_known.shape[1] != known.size:
            raise ValueError(
                f"X_known has {X_known.shape[1]} columns, but known_idx names "
                f"{known.size} variables."
            )
        X = np.full((X_known.shape[0], self.n_features_in_), np.nan)
        X[:, known] = X_known
        missing = np.ones(self.n_features_in_, dtype=bool)
        missing[known] = False
        return self._condition(X, missing)

    def _known_indices(self, known_idx):
        D = self.n_features_in_
        known = np.atleast_1d(np.asarray(known_idx))
        if known.dtype.kind in "UO" and known.size:
            names = list(getattr(self, "feature_names_in_", ()))
            strange = [str(name) for name in known if name not in names]
            if strange:
                raise ValueError(f"known_idx has names that fit did not see: {strange}")
            known = np.array([names.index(name) for name in known])
        elif known.dtype == bool:
            if known.shape != (D,):
                raise ValueError(
                    f"A mask known_idx needs shape ({D},), got {known.shape}."
                )
            known = np.flatnonzero(known)
        elif known.size == 0:
            known = known.astype(np.intp)
        elif known.dtype.kind not in "iu":
            raise TypeError(f"known_idx must be integers, got dtype {known.dtype}.")
        known = np.where(known < 0, known + D, known)
        outside = (known < 0) | (known >= D)
        if outside.any() or np.unique(known).size < known.size or known.ndim != 1:
            raise ValueError(
                f"known_idx must be distinct integers below n_features_in_={D}, got "
                f"{known.tolist()}."
            )
        if known.size == D:
            raise ValueError(f"known_idx names all {D} variables: none is unknown.")
        return known

    def predict_missing(self, X):
        """Fill NaN by the conditional mean given the other entries of the row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with NaN where a value is unknown.

        Returns
        -------
        filled : ndarray of shape (n_samples, n_features)
            A copy of X without NaN.
        """
        return self._fill(self._read(X, allow_nan=True))

    def impute(self, X):
        """Fill NaN by the conditional mean; another name of `predict_missing`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with NaN where a value is unknown.

        Returns
        -------
        filled : ndarray of shape (n_samples, n_features)
            A copy of X without NaN.
        """
        return self._fill(self._read(X, allow_nan=True))

    def _fill(self, X):
        filled = X.copy()
        K, D = self._rest()["means"].shape
        at_once = max(_FILLED // (K * D), 1)
        with _gaussian.small_blas(D):
            for missing, rows in _gaussian.patterns(np.isnan(X)):
                if not missing.any():
                    continue
                for i in range(0, rows.size, at_once):
                    part = rows[i : i + at_once]
                    means = self._condition(X[part], missing).mean()
                    filled[np.ix_(part, missing)] = means
        return filled

    def _n_parameters(self):
        K, D = self._rest()["means"].shape
        return K * (D + D * (D + 1) // 2) + K - 1

    def bic(self, X):
        """Bayesian information criterion on X; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        bic : float
        """
        X = self._read(X)
        total = logsumexp(self._log_joint(X), axis=1).sum()
        return float(self._n_parameters() * np.log(X.shape[0]) - 2.0 * total)

    def aic(self, X):
        """Akaike information criterion on X; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        aic : float
        """
        X = self._read(X)
        total = logsumexp(self._log_joint(X), axis=1).sum()
        return float(2.0 * self._n_parameters() - 2.0 * total)
