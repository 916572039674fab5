# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Integral

import numpy as np
from scipy import linalg
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._base import StructEstimator, deterministic_signs
from .._scores import gaussian_log_density
from .._validation import FLOAT_DTYPES, check_at_most
from ._principal_subspace_types import (
    best_type,
    block_means,
    information,
    isotropic_type,
    merge_order,
    price,
    relative_gap_threshold,
    spiked_type,
)

_FLOOR = 1e-12


class PrincipalSubspaceAnalysis(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, StructEstimator
):
    """PCA that says which components cannot be told apart.

    A Gaussian model whose covariance has eigenvalues of given multiplicities: where
    two sample eigenvalues are too close for the number of samples, their eigenvectors
    are an arbitrary basis of a common subspace, and the model keeps the subspace
    only. The multiplicities are chosen among all ``2^(p-1)`` possibilities exactly.

    Parameters
    ----------
    flag_type : str or tuple of int, default="bic"
        Multiplicities of the eigenvalues, the last one being those of the noise.

        - "bic", "aic": the best of all types by that criterion.
        - "hierarchical": the best by BIC of the types met when adjacent eigenvalues
          are pooled by increasing relative gap. It looks at p types only and so is
          less given to chance when samples are few.
        - "ppca": ``(1, ..., 1, p - q)``, probabilistic PCA.
        - "ippca": ``(q, p - q)``, isotropic probabilistic PCA.
        - a tuple with sum p.
    n_components : int, default=None
        Number of signal components: the noise block has ``p - n_components``
        eigenvalues, and only the multiplicities before it are chosen. None: chosen
        too. Not with a tuple.
    rotation : {"varimax", None}, default=None
        Rotation inside every block, where any basis fits the data equally well.
        "varimax" makes the loadings sparse and readable; None keeps the sample
        eigenvectors.
    max_blocks : int, default=None
        Largest number of blocks for "bic" and "aic".

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Directions of all blocks but the last, which is noise.
    n_components_ : int
        Number of signal components, ``p - flag_type_[-1]``; 0 if the data look
        isotropic.
    flag_type_ : tuple of int
        Multiplicities, with sum p.
    block_variance_ : ndarray of shape (n_blocks,)
        Variance in the directions of each block.
    explained_variance_ : ndarray of shape (n_components,)
        Variance of the model along each component.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Its share of the total variance.
    noise_variance_ : float
        Variance of the last block.
    eigenvalues_ : ndarray of shape (n_features,)
        Eigenvalues of the sample covariance (divided by n), descending.
    bic_, aic_ : float
        Criteria of the fitted type; lower is better.
    gap_threshold_ : float
        Relative gap of two adjacent eigenvalues below which BIC pools the pair; 0.21
        for 1000 samples.
    mean_ : ndarray of shape (n_features,)
        Mean of the columns.
    n_samples_ : int
        Number of samples.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when all are strings.

    See Also
    --------
    sklearn.decomposition.PCA : All components distinct.
    RobustFlagPCA : Outlying rows.

    Notes
    -----
    The maximum likelihood covariance keeps the sample eigenvectors and replaces the
    eigenvalues of a block by their mean. The criterion is a sum over consecutive
    blocks, so a dynamic programme over the end of a block finds the best of all types
    in ``O(p^2)``. The covariance takes ``O(n p min(n, p))``.

    Parameters are counted with the mean: ``p + d + p (p - 1) / 2 - sum g (g - 1) / 2``
    for d blocks of multiplicities g. BIC is asymptotic: with fewer than about 5 p
    samples choose "hierarchical", or "ppca" with ``n_components`` by cross-validation.
    With no more samples than features the zero eigenvalues and at least one positive
    one are forced into the last block.

    References
    ----------
    Szwagier, Pennec (2023), The curse of isotropy: from principal components to
    principal subspaces. Tipping, Bishop (1999), Probabilistic principal component
    analysis, JRSS B 61.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.decomposition import PrincipalSubspaceAnalysis
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 6)) * [5, 2, 2, 2, 1, 1]
    >>> psa = PrincipalSubspaceAnalysis().fit(X)
    >>> psa.flag_type_
    (1, 3, 2)
    >>> np.round(np.sqrt(psa.block_variance_), 1)
    array([4.9, 2. , 1. ])
    """

    _parameter_constraints = {
        "flag_type": [
            StrOptions({"bic", "aic", "hierarchical", "ppca", "ippca"}),
            tuple,
            list,
        ],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "rotation": [StrOptions({"varimax"}), None],
        "max_blocks": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self, flag_type="bic", *, n_components=None, rotation=None, max_blocks=None
    ):
        self.flag_type = flag_type
        self.n_components = n_components
        self.rotation = rotation
        self.max_blocks = max_blocks

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Estimate the covariance and its multiplicities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        X = validate_data(
            self, X, dtype=list(FLOAT_DTYPES), ensure_min_samples=2
        ).astype(np.float64, copy=False)
        n, p = X.shape
        self._check_type(p)
        self.n_samples_ = n
        self.mean_ = X.mean(axis=0)
        values, V = _spectrum(X - self.mean_)
        self.eigenvalues_ = np.zeros(p)
        self.eigenvalues_[: values.size] = values
        if values[0] <= 0:
            warnings.warn(
                "All rows of X are equal: the covariance is zero.",
                UserWarning,
                stacklevel=2,
            )
            self._floor = 1.0
        else:
            self._floor = _FLOOR * values[0]
        # What is zero to rounding carries no information on multiplicities.
        rank = max(1, int(np.sum(values > 1e-14 * max(n, p) * max(values[0], 1e-300))))
        last_start = p - 1
        if rank < p:
            last_start = rank - 1
            warnings.warn(
                f"X has rank {rank} after centring, with n_features={p}: the "
                f"eigenvalues from the {rank}-th on are modelled as one block. "
                "flag_type='hierarchical' or 'ppca' with n_components by "
                "cross-validation is safer when samples are few.",
                UserWarning,
                stacklevel=2,
            )
        self.flag_type_ = self._choose(n, p, last_start)
        self._store(values, V)
        return self

    def _check_type(self, p):
        if isinstance(self.flag_type, str):
            if self.n_components is not None and p == 1:
                raise ValueError(
                    f"n_features = 1 leaves no room for n_components="
                    f"{self.n_components} beside the noise."
                )
            if self.n_components is not None and self.max_blocks == 1:
                raise ValueError(
                    f"max_blocks=1 contradicts n_components={self.n_components}: "
                    "signal and noise are two blocks."
                )
            return
        gamma = tuple(self.flag_type)
        if not gamma or any(
            not isinstance(g, Integral) or isinstance(g, bool) or g < 1 for g in gamma
        ):
            raise ValueError(
                f"flag_type={gamma} must list positive multiplicities of eigenvalues."
            )
        if sum(gamma) != p:
            raise ValueError(
                f"flag_type={gamma} has sum {sum(gamma)}, but n_features={p}: here a "
                "type lists the multiplicities of all eigenvalues, not the increasing "
                "dimensions of subspaces."
            )
        if self.n_components is not None:
            raise ValueError("n_components is not used when flag_type is a tuple.")

    def _choose(self, n, p, last_start):
        rule, values = self.flag_type, self.eigenvalues_
        if not isinstance(rule, str):
            return tuple(int(g) for g in rule)
        first_start = 0
        if self.n_components is not None:
            check_at_most(
                self.n_components, last_start, "n_components", "rank of centred X - 1"
            )
            first_start = last_start = int(self.n_components)
        a = price("aic" if rule == "aic" else "bic", n)
        if rule in {"bic", "aic"}:
            return best_type(
                values,
                n,
                a,
                floor=self._floor,
                first_start=first_start,
                last_start=last_start,
                max_blocks=self.max_blocks,
            )
        if rule == "hierarchical":
            candidates = merge_order(values, last_start, first_start)
        else:
            make = spiked_type if rule == "ppca" else isotropic_type
            ranks = range(max(first_start, 1), min(p - 1, last_start) + 1)
            candidates = [make(p, q) for q in ranks] or [(p,)]
        costs = [information(values, g, n, a, self._floor) for g in candidates]
        return candidates[int(np.argmin(costs))]

    def _store(self, values, V):
        n, p = self.n_samples_, self.eigenvalues_.size
        gamma = np.array(self.flag_type_)
        means = block_means(self.eigenvalues_, gamma)
        self.block_variance_ = np.maximum(means, self._floor)
        q = p - gamma[-1]
        self.n_components_ = int(q)
        frame = np.zeros((p, q))
        frame[:, : min(q, V.shape[1])] = V[:, :q]
        if q > V.shape[1]:
            # Zero variance: any completion of the basis serves the likelihood.
            frame[:, V.shape[1] :] = linalg.null_space(V.T)[:, : q - V.shape[1]]
        if self.rotation == "varimax":
            start = 0
            for g in gamma[:-1]:
                block = slice(start, start + g)
                frame[:, block] = _varimax(frame[:, block])
                start += g
        self.components_ = np.ascontiguousarray(deterministic_signs(frame).T)
        self.explained_variance_ = np.repeat(self.block_variance_[:-1], gamma[:-1])
        total = float(self.block_variance_ @ gamma)
        self.explained_variance_ratio_ = self.explained_variance_ / total
        self.noise_variance_ = float(self.block_variance_[-1])
        self.gap_threshold_ = float(relative_gap_threshold(n))
        for name in ("bic", "aic"):
            a = price(name, n)
            value = information(self.eigenvalues_, gamma, n, a, self._floor)
            setattr(self, f"{name}_", value)
        if q == 0:
            warnings.warn(
                "No direction stands out: one block of equal eigenvalues fits best "
                "and n_components_=0.",
                UserWarning,
                stacklevel=3,
            )

    def _centred(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=list(FLOAT_DTYPES))
        return X.astype(np.float64, copy=False) - self.mean_, X.dtype

    def transform(self, X):
        """Coordinates of rows along the signal components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        T : ndarray of shape (n_samples, n_components)
            Inside a block the axes are arbitrary; the norm of a block is not.
        """
        Z, dtype = self._centred(X)
        return (Z @ self.components_.T).astype(dtype, copy=False)

    def inverse_transform(self, X):
        """Points of given coordinates.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Coordinates, as from :meth:`transform`.

        Returns
        -------
        points : ndarray of shape (n_samples, n_features)
            Points of the signal subspace.
        """
        check_is_fitted(self)
        T = np.asarray(X)
        dtype = T.dtype if T.dtype in FLOAT_DTYPES else np.float64
        if T.ndim != 2 or T.shape[1] != self.n_components_:
            raise ValueError(
                f"X must have shape (n_samples, {self.n_components_}), got {T.shape}."
            )
        points = T.astype(np.float64) @ self.components_ + self.mean_
        return points.astype(dtype, copy=False)

    def get_covariance(self):
        """Covariance of the model.

        Returns
        -------
        covariance : ndarray of shape (n_features, n_features)
            Block averages of the sample eigenvalues on the sample eigenvectors.
        """
        check_is_fitted(self)
        return self._spectral(self.explained_variance_, self.noise_variance_)

    def get_precision(self):
        """Inverse covariance of the model.

        Returns
        -------
        precision : ndarray of shape (n_features, n_features)
            Inverse of :meth:`get_covariance`, without a numerical inversion.
        """
        check_is_fitted(self)
        return self._spectral(1.0 / self.explained_variance_, 1 / self.noise_variance_)

    def _spectral(self, signal, noise):
        p = self.mean_.size
        W = self.components_
        return (W.T * (signal - noise)) @ W + noise * np.eye(p)

    def score_samples(self, X):
        """Gaussian log-density of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            Under the fitted model.
        """
        return self._log_density(self._centred(X)[0])

    def score(self, X, y=None):
        """Mean Gaussian log-density of held-out rows: peaks at the true rank.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            Higher is better.
        """
        return float(np.mean(self._log_density(self._centred(X)[0])))

    def _log_density(self, Z):
        T = Z @ self.components_.T
        R = Z - T @ self.components_
        distance = np.sum(T**2 / self.explained_variance_, axis=1)
        distance += np.einsum("np,np->n", R, R) / self.noise_variance_
        log_det = float(np.array(self.flag_type_) @ np.log(self.block_variance_))
        return gaussian_log_density(distance, log_det, Z.shape[1])

    @property
    def _n_features_out(self):
        return self.components_.shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _spectrum(Z):
    """Eigenvalues (descending) and eigenvectors of ``Z'Z / n``.

    Singular values of Z keep the small eigenvalues accurate, which enter by their
    logarithms.
    """
    n, p = Z.shape
    if n > 2 * p:
        Z = linalg.qr(Z, mode="r", check_finite=False)[0][:p]
    s, Vt = linalg.svd(Z, full_matrices=False, check_finite=False)[1:]
    return s**2 / n, Vt.T


def _varimax(loadings, *, max_iter=200, tol=1e-10):
    """Orthogonal rotation with the largest variance of the squared loadings."""
    k = loadings.shape[1]
    R, last = np.eye(k), 0.0
    if k == 1:
        return loadings
    for _ in range(max_iter):
        L = loadings @ R
        target = L**3 - L * (np.mean(L**2, axis=0))
        U, s, Vt = np.linalg.svd(loadings.T @ target)
        R = U @ Vt
        if s.sum() <= last * (1 + tol):
            break
        last = s.sum()
    return loadings @ R
