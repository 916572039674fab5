"""What the three factor models share once loadings are at hand."""

# SPDX-License-Identifier: BSD-3-Clause

import warnings

import numpy as np
from scipy import sparse, stats
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._base import StructEstimator
from .._scores import gaussian_log_density
from .._validation import FLOAT_DTYPES
from ._measures import fit_indices, root_mean_square_residual
from ._solver import (
    Likelihood,
    Params,
    Quadratic,
    Support,
    covariance,
    hessian,
    precision,
)

# Standard errors beyond this number of parameters would need gigabytes.
_MAX_INFORMATION = 20_000


class FactorModel(TransformerMixin, StructEstimator):
    """Scores, fit indices and tables of ``x = mean + loadings f + e``."""

    _FACTOR_PREFIX = "factor"

    # What `fit` leaves behind ------------------------------------------------

    def _store(self, table, fit, mask, *, orthogonal):
        """Set the public attributes from a solution on the correlation scale."""
        params, scale = fit.params, table.scale
        d = params.loadings.shape[1]
        self.support_ = np.array(mask, dtype=bool)
        self.loadings_ = params.loadings * scale[:, None]
        self.components_ = np.ascontiguousarray(self.loadings_.T)
        self.factor_corr_ = params.corr
        self.noise_variance_ = params.noise * scale**2
        self.mean_, self.scale_ = table.mean, scale
        self.n_components_ = d
        self.unassigned_ = np.flatnonzero(~self.support_.any(axis=1))
        self.n_samples_ = table.n
        # Without it a fit of thousands of variables stays small.
        dense = table.moments._S is not None
        self.correlation_ = table.moments._S if dense else None
        self.n_iter_ = int(fit.n_iter)
        self.converged_ = bool(fit.converged)
        self.heywood_ = np.flatnonzero(
            params.noise <= np.maximum(self.min_noise, 1e-12) * (1 + 1e-6)
        )
        self._orthogonal = bool(orthogonal)
        self._objective = float(fit.F)
        F = self._likelihood_objective(table)
        counts = np.full(scale.size, table.n)
        self._incomplete = None
        if table.incomplete is not None:
            counts = table.incomplete.counts
            # A dictionary of arrays: what is stored must load without our classes.
            self._incomplete = table.incomplete._asdict()
        constant = np.sum(counts) * np.log(2 * np.pi)
        constant += 2 * np.sum(counts * np.log(scale))
        self.loglike_ = float(-0.5 * (constant + table.n * F))

    def _likelihood_objective(self, table):
        if self._method() == "ml":
            return self._objective
        params = self._standardised_params()
        W = precision(params)
        log_det = -np.linalg.slogdet(W)[1]
        return float(log_det + np.sum(W * table.moments.S))

    def _method(self):
        return getattr(self, "method", "ml")

    def _standardised_params(self):
        """Parameters on the scale of the correlation matrix."""
        return Params(
            self.loadings_ / self.scale_[:, None],
            self.factor_corr_,
            self.noise_variance_ / self.scale_**2,
        )

    def _n_parameters(self):
        support = Support(self.support_)
        return support.n_parameters(self._orthogonal)

    def _names(self):
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return [f"x{j}" for j in range(self.n_features_in_)]
        return [str(name) for name in names]

    def _factor_names(self):
        return [f"{self._FACTOR_PREFIX}{k}" for k in range(self.n_components_)]

    # Rows --------------------------------------------------------------------

    def _check_rows(self, X):
        check_is_fitted(self)
        missing = getattr(self, "missing", "error")
        X = validate_data(
            self,
            X,
            dtype=list(FLOAT_DTYPES),
            reset=False,
            ensure_all_finite=True if missing == "error" else "allow-nan",
        )
        return X.astype(np.float64) - self.mean_, X.dtype

    def _patterns(self, X):
        """(rows, observed columns) for each pattern of missing entries."""
        holes = np.isnan(X)
        if not holes.any():
            return [(slice(None), slice(None))]
        patterns, group = np.unique(holes, axis=0, return_inverse=True)
        group = group.reshape(-1)
        return [
            (np.flatnonzero(group == g), np.flatnonzero(~pattern))
            for g, pattern in enumerate(patterns)
        ]

    def _posterior(self, columns):
        """``A = Omega^-1 Lambda`` and the posterior covariance of the factors."""
        loadings = self.loadings_[columns]
        A = loadings / self.noise_variance_[columns, None]
        K = np.linalg.inv(self.factor_corr_) + loadings.T @ A
        return A, K

    def transform(self, X):
        """Estimate the factor scores of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of ``fit``. Where ``missing`` is not "error", NaN is
            missing, and a row is scored by its observed entries.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_components)
            Regression scores, which are shrunken towards 0 and have the smallest mean
            squared error, or Bartlett scores, which are unbiased given the factors.
        """
        centred, dtype = self._check_rows(X)
        self._check_any_factor()
        out = np.empty((len(centred), self.n_components_))
        for rows, columns in self._patterns(centred):
            A, K = self._posterior(columns)
            cross = centred[rows][:, columns] @ A
            if getattr(self, "scores", "regression") == "bartlett":
                information = K - np.linalg.inv(self.factor_corr_)
                out[rows] = cross @ self._bartlett_inverse(information)
            else:
                out[rows] = np.linalg.solve(K, cross.T).T
        return out.astype(dtype, copy=False)

    def _bartlett_inverse(self, information):
        values = np.linalg.eigvalsh(information)
        if values[0] < 1e-10 * values[-1]:
            warnings.warn(
                "Bartlett scores are not determined: the loadings are collinear (or a "
                "factor has no observed variable); the smallest solution is taken.",
                UserWarning,
                stacklevel=4,
            )
            return np.linalg.pinv(information, rcond=1e-10, hermitian=True)
        return np.linalg.inv(information)

    def _check_any_factor(self):
        """Classes that can end without a factor explain it here."""

    def inverse_transform(self, X):
        """Expected rows given factor scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Factor scores.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            ``X @ loadings_.T + mean_``.
        """
        check_is_fitted(self)
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.n_components_:
            raise ValueError(
                f"X must have shape (n_samples, {self.n_components_}), one column for "
                f"each factor, got {X.shape}."
            )
        return X @ self.loadings_.T + self.mean_

    def score_samples(self, X):
        """Log-density of rows under the fitted Gaussian model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of ``fit``; missing entries as in `transform`.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; of the observed entries where some are missing.
        """
        centred, _ = self._check_rows(X)
        return self._log_density(centred)

    def _log_density(self, centred):
        out = np.zeros(len(centred))
        for rows, columns in self._patterns(centred):
            x = centred[rows][:, columns]
            noise = self.noise_variance_[columns]
            log_det = np.sum(np.log(noise))
            distance = np.sum(x**2 / noise, axis=1)
            if self.n_components_ and x.shape[1]:
                A, K = self._posterior(columns)
                factor = np.linalg.cholesky(K)
                half = np.linalg.solve(factor, (x @ A).T)
                distance = distance - np.sum(half**2, axis=0)
                log_det += (
                    2 * np.sum(np.log(np.diag(factor)))
                    + np.linalg.slogdet(self.factor_corr_)[1]
                )
            out[rows] = gaussian_log_density(distance, log_det, x.shape[1])
        return out

    def score(self, X, y=None):
        """Mean log-density of rows, which peaks at the true structure on held-out data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of ``fit``.
        y : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        score : float
            In nats per row; higher is better.
        """
        centred, _ = self._check_rows(X)
        return float(np.mean(self._log_density(centred)))

    def get_covariance(self):
        """Covariance matrix of the model.

        Returns
        -------
        covariance : ndarray of shape (n_features, n_features)
            In the units of the data.
        """
        check_is_fitted(self)
        return covariance(
            Params(self.loadings_, self.factor_corr_, self.noise_variance_)
        )

    def get_precision(self):
        """Inverse of the covariance matrix of the model.

        Returns
        -------
        precision : ndarray of shape (n_features, n_features)
            By Woodbury's identity.
        """
        check_is_fitted(self)
        return precision(
            Params(self.loadings_, self.factor_corr_, self.noise_variance_)
        )

    def score_determinacy(self):
        """Share of each factor's variance that regression scores recover.

        Returns
        -------
        determinacy : ndarray of shape (n_components,)
            Squared correlation of a factor with its regression score. Below about
            0.8 scores of single persons mean little.
        """
        check_is_fitted(self)
        _, K = self._posterior(slice(None))
        return 1 - np.diag(np.linalg.inv(K))

    def get_feature_names_out(self, input_features=None):
        """Names of the factors.

        Parameters
        ----------
        input_features : None
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        names : ndarray of str of shape (n_components,)
            "factor0", "factor1", ..., or the names given with the pattern.
        """
        check_is_fitted(self)
        return np.asarray(self._factor_names(), dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.allow_nan = getattr(self, "missing", "error") != "error"
        return tags

    # Fit ---------------------------------------------------------------------

    def fit_indices(self):
        """How well the model reproduces the covariances.

        Returns
        -------
        indices : dict
            chi2, dof, p_value, baseline_chi2, baseline_dof, cfi, tli, rmsea,
            rmsea_ci_lower, rmsea_ci_upper (90 %), srmr, loglike, aic, bic, sabic,
            n_parameters (means not counted). With no more rows than variables the
            unrestricted model has no likelihood: chi2, cfi, tli and rmsea are NaN.
        """
        check_is_fitted(self)
        n, p = self.n_samples_, self.n_features_in_
        q = self._n_parameters()
        dof, dof_0 = p * (p + 1) // 2 - q, p * (p - 1) // 2
        chi2 = chi2_0 = srmr = np.nan
        R = self.correlation_
        if R is not None:
            model = covariance(self._standardised_params())
            srmr = root_mean_square_residual(R, model)
            sign, log_det = np.linalg.slogdet(R)
            if self._method() == "uls":
                scale2 = np.outer(self.scale_, self.scale_)
                chi2 = (n - 1) * self._objective
                chi2_0 = (n - 1) / 2 * np.sum(((R - np.eye(p)) * scale2) ** 2)
            elif self._incomplete is not None:
                chi2 = n * (self._objective - self._incomplete["F_saturated"])
                chi2_0 = self._incomplete["F_independent"]
                chi2_0 = n * (chi2_0 - self._incomplete["F_saturated"])
            elif n > p and sign > 0 and log_det > -1e3:
                chi2 = n * (self._objective - log_det - p)
                chi2_0 = -n * log_det
        return fit_indices(
            chi2=max(chi2, 0.0) if chi2 == chi2 else chi2,
            dof=dof,
            chi2_0=chi2_0,
            dof_0=dof_0,
            n=n,
            loglike=self.loglike_,
            n_parameters=q,
            srmr=srmr,
        )

    def _summary_head(self):
        state = "converged" if self.converged_ else "NOT converged"
        return (
            f"{type(self).__name__}: {self.n_components_} factors, "
            f"{self.n_features_in_} variables, {self.n_samples_:g} rows, {state} after "
            f"{self.n_iter_} iterations"
        )

    def _fit_lines(self):
        f = self.fit_indices()
        return [
            f"chi2 {f['chi2']:.3f}, dof {f['dof']}, p {f['p_value']:.3g}; "
            f"baseline chi2 {f['baseline_chi2']:.3f}, dof {f['baseline_dof']}",
            f"CFI {f['cfi']:.3f}, TLI {f['tli']:.3f}, RMSEA {f['rmsea']:.3f} "
            f"[{f['rmsea_ci_lower']:.3f}, {f['rmsea_ci_upper']:.3f}], "
            f"SRMR {f['srmr']:.3f}",
            f"log-likelihood {f['loglike']:.3f}, AIC {f['aic']:.3f}, "
            f"BIC {f['bic']:.3f}, {f['n_parameters']} parameters",
        ]


class StructuredFactorModel(FactorModel):
    """A factor model with a zero pattern: standard errors and tests of zeros."""

    def _covariance_of_estimates(self, information):
        """Sampling covariance of the free parameters on the correlation scale."""
        support = Support(self.support_)
        params = self._standardised_params()
        q = support.n_parameters(self._orthogonal)
        if q > _MAX_INFORMATION:
            raise ValueError(
                f"Standard errors of {q} parameters need a matrix of "
                f"{8e-9 * q * q:.0f} GB; the limit is {_MAX_INFORMATION} parameters."
            )
        if self._method() == "uls":
            return self._least_squares_covariance(support)
        if self._incomplete is not None:
            info = self._incomplete[information]
        elif information == "observed":
            likelihood = Likelihood(self._correlation())
            info = hessian(likelihood, params, support, self._orthogonal) / 2
        else:
            info = Quadratic(params, support, self._orthogonal)(precision(params))
        inverse, singular = _inverse_information(info)
        if singular:
            _warn_singular()
            inverse = np.full_like(inverse, np.nan)
        return inverse / self.n_samples_

    def _least_squares_covariance(self, support):
        # Sandwich of normal theory: the moments' covariance is that of Sigma.
        original = Params(self.loadings_, self.factor_corr_, self.noise_variance_)
        form = Quadratic(original, support, self._orthogonal)
        inverse, singular = _inverse_information(form(np.eye(support.p)))
        if singular:
            _warn_singular()
            inverse = np.full_like(inverse, np.nan)
        meat = form(covariance(original))
        found = inverse @ meat @ inverse / self.n_samples_
        # The caller multiplies by the scale of the variables.
        s = self._parameter_scale(support)
        return found / np.outer(s, s)

    def _parameter_scale(self, support):
        d = support.d
        n_corr = 0 if self._orthogonal else d * (d - 1) // 2
        return np.concatenate(
            [self.scale_[support.rows], self.scale_**2, np.ones(n_corr)]
        )

    def _correlation(self):
        if self.correlation_ is None:
            raise ValueError(
                "This needs the correlation matrix, which is not kept for more than "
                "3000 variables."
            )
        return self.correlation_

    def standard_errors(self, *, standardized=False, information="expected"):
        """Standard errors of the estimates.

        Parameters
        ----------
        standardized : bool, default=False
            Whether they are those of the fully standardised solution (loadings as
            correlations with orthogonal factors, unique variances as shares), by the
            delta method, instead of those in the units of the data.
        information : {"expected", "observed"}, default="expected"
            Which information matrix is inverted; of no effect with least squares.
            "observed" is the safer one with ``missing="fiml"``.

        Returns
        -------
        errors : dict
            ``loadings`` (n_features, n_components), NaN off the pattern,
            ``factor_corr`` (n_components, n_components) with a zero diagonal, and
            ``noise_variance`` (n_features,). All NaN, with a warning, where the
            model is not identified at the solution.
        """
        check_is_fitted(self)
        if information not in ("expected", "observed"):
            raise ValueError(
                f"information={information!r} must be 'expected' or 'observed'."
            )
        support = Support(self.support_)
        cov = self._covariance_of_estimates(information)
        if standardized:
            J = self._standardising_jacobian(support)
            variance = np.asarray((J @ cov * J.toarray()).sum(axis=1)).ravel()
            scale = np.ones(len(variance))
        else:
            variance = np.diag(cov)
            scale = self._parameter_scale(support)
        errors = scale * np.sqrt(np.maximum(variance, 0))
        return self._unpacked(errors, support, fill=np.nan)

    def _unpacked(self, values, support, fill):
        nnz, p, d = support.nnz, support.p, support.d
        loadings = np.full((p, d), fill)
        loadings[support.rows, support.columns] = values[:nnz]
        corr = np.zeros((d, d))
        if not self._orthogonal:
            upper = np.triu_indices(d, 1)
            corr[upper] = values[nnz + p :]
            corr.T[upper] = corr[upper]
        return {
            "loadings": loadings,
            "factor_corr": corr,
            "noise_variance": values[nnz : nnz + p],
        }

    def _standardising_jacobian(self, support):
        """Derivatives of the fully standardised parameters, correlation scale."""
        loadings, corr, noise = params = self._standardised_params()
        G = loadings @ corr
        variance = np.sum(G * loadings, axis=1) + noise
        p, nnz = support.p, support.nnz
        rows = support.rows
        blocks = [
            sparse.csr_array(
                (2 * G[rows, support.columns], (rows, np.arange(nnz))), shape=(p, nnz)
            ),
            sparse.eye_array(p, format="csr"),
        ]
        n_corr = 0
        if not self._orthogonal and support.d > 1:
            a, b = np.triu_indices(support.d, 1)
            n_corr = a.size
            blocks.append(
                sparse.csr_array(2 * params.loadings[:, a] * params.loadings[:, b])
            )
        of_variance = sparse.hstack(blocks, format="csr")
        q = nnz + p + n_corr
        by_loading = sparse.csr_array(
            (
                variance[rows] ** -0.5,
                (np.arange(nnz), np.arange(nnz)),
            ),
            shape=(nnz, q),
        ) - (
            sparse.diags_array(
                0.5 * loadings[rows, support.columns] * variance[rows] ** -1.5
            )
            @ of_variance[rows]
        )
        by_noise = sparse.csr_array(
            (1 / variance, (np.arange(p), nnz + np.arange(p))), shape=(p, q)
        ) - (sparse.diags_array(noise / variance**2) @ of_variance)
        by_corr = sparse.csr_array(
            (np.ones(n_corr), (np.arange(n_corr), nnz + p + np.arange(n_corr))),
            shape=(n_corr, q),
        )
        return sparse.vstack([by_loading, by_noise, by_corr], format="csr")

    def modification_indices(self):
        """Expected fall of chi-squared for each loading that is held at zero.

        Returns
        -------
        indices : ndarray of shape (n_features, n_components)
            Lagrange multiplier statistics, NaN on the pattern; compare them with 3.84,
            the 5 % point of chi-squared with one degree of freedom, or with
            ``log(n_samples)`` for the BIC.
        """
        check_is_fitted(self)
        if self._method() != "ml":
            raise ValueError(
                "Modification indices are likelihood statistics; fit with method='ml'."
            )
        if self._incomplete is not None:
            raise ValueError(
                "Modification indices are not available with missing='fiml' and "
                "missing entries; free the loading and compare the log-likelihoods."
            )
        support = Support(self.support_)
        params = self._standardised_params()
        rows, columns = np.nonzero(~self.support_)
        out = np.full(self.support_.shape, np.nan)
        if not rows.size:
            return out
        form = Quadratic(params, support, self._orthogonal, extra=(rows, columns))
        W = precision(params)
        inverse, singular = _inverse_information(form(W))
        if singular:
            _warn_singular()
            return out
        cross = form(W, block="cross")
        own = form(W, block="diagonal")
        left = own - np.sum((cross @ inverse) * cross, axis=1)
        Q = W - W @ self._correlation() @ W
        slope = -(Q @ params.loadings @ params.corr)[rows, columns]
        # A parameter that the free ones already span cannot lower chi-squared.
        open_ = left > 1e-9 * own
        values = np.zeros(rows.size)
        values[open_] = self.n_samples_ * slope[open_] ** 2 / left[open_]
        out[rows, columns] = values
        return out

    def summary(self, *, standardized=False):
        """A printable table of estimates, standard errors and fit.

        Parameters
        ----------
        standardized : bool, default=False
            Whether the fully standardised solution is shown.

        Returns
        -------
        text : str
            Print it.
        """
        check_is_fitted(self)
        support = Support(self.support_)
        names, factors = self._names(), self._factor_names()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            errors = self.standard_errors(standardized=standardized)
        loadings, noise = self.loadings_, self.noise_variance_
        if standardized:
            variance = np.diag(self.get_covariance())
            loadings = loadings / np.sqrt(variance)[:, None]
            noise = noise / variance
        width = max(
            [10, *(len(n) + 2 for n in names), *(2 * len(f) + 6 for f in factors)]
        )
        head = f"{'':{width}}{'Estimate':>10}{'Std.Err':>10}{'z':>9}{'P(>|z|)':>10}"

        def line(label, value, error):
            if not error > 0:
                return f"{label:{width}}{value:10.3f}"
            z = value / error
            return (
                f"{label:{width}}{value:10.3f}{error:10.3f}{z:9.3f}"
                f"{2 * stats.norm.sf(abs(z)):10.3f}"
            )

        lines = [self._summary_head(), "", *self._fit_lines(), "", "Loadings", head]
        for k in range(support.d):
            lines.append(f"  {factors[k]}")
            lines += [
                line(f"    {names[i]}", loadings[i, k], errors["loadings"][i, k])
                for i in np.flatnonzero(self.support_[:, k])
            ]
        if support.d > 1 and not self._orthogonal:
            lines += ["", "Factor correlations", head]
            lines += [
                line(
                    f"  {factors[a]} ~ {factors[b]}",
                    self.factor_corr_[a, b],
                    errors["factor_corr"][a, b],
                )
                for a, b in zip(*np.triu_indices(support.d, 1), strict=True)
            ]
        lines += ["", "Unique variances", head]
        lines += [
            line(f"  {names[i]}", noise[i], errors["noise_variance"][i])
            for i in range(support.p)
        ]
        if self.heywood_.size:
            found = ", ".join(names[i] for i in self.heywood_)
            lines += ["", f"Unique variance at its lower bound (Heywood): {found}"]
        return "\n".join(lines)


def _inverse_information(info):
    """Inverse of a symmetric matrix, and whether it is singular in units of scale."""
    scale = np.sqrt(np.maximum(np.diag(info), 1e-300))
    scaled = info / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    singular = values[0] < 1e-9 * values[-1]
    kept = values > 1e-9 * values[-1]
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return inverse / np.outer(scale, scale), singular


def _warn_singular():
    warnings.warn(
        "The information matrix is singular: the model is not identified at this "
        "solution, and its standard errors and modification indices are NaN.",
        UserWarning,
        stacklevel=5,
    )
