"""Fit indices from a handful of numbers."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import optimize, stats


def fit_indices(*, chi2, dof, chi2_0, dof_0, n, loglike, n_parameters, srmr):
    """Indices of a covariance structure; see ``FactorModel.fit_indices``.

    Parameters
    ----------
    chi2, chi2_0 : float
        Likelihood ratio against the unrestricted model, of the model and of
        independence; NaN where that model has no likelihood.
    dof, dof_0 : int
    n : float
        Number of rows.
    loglike : float
    n_parameters : int
        Means not counted.
    srmr : float
    """
    excess, excess_0 = max(chi2 - dof, 0.0), max(chi2_0 - dof_0, 0.0)
    if np.isnan(chi2):
        cfi = tli = rmsea = low = high = p_value = np.nan
    else:
        worst = max(excess, excess_0)
        cfi = 1.0 - excess / worst if worst > 0 else 1.0
        if dof > 0:
            p_value = float(stats.chi2.sf(chi2, dof))
            rmsea = np.sqrt(excess / (dof * n))
            low, high = _rmsea_interval(chi2, dof, n)
            null = chi2_0 / dof_0 - 1
            tli = (chi2_0 / dof_0 - chi2 / dof) / null if null != 0 else 1.0
        else:
            p_value, rmsea, low, high, tli = np.nan, 0.0, 0.0, 0.0, 1.0
    q = n_parameters
    return {
        "chi2": float(chi2),
        "dof": int(dof),
        "p_value": p_value,
        "baseline_chi2": float(chi2_0),
        "baseline_dof": int(dof_0),
        "cfi": float(cfi),
        "tli": float(tli),
        "rmsea": float(rmsea),
        "rmsea_ci_lower": float(low),
        "rmsea_ci_upper": float(high),
        "srmr": float(srmr),
        "loglike": float(loglike),
        "aic": float(-2 * loglike + 2 * q),
        "bic": float(-2 * loglike + q * np.log(n)),
        "sabic": float(-2 * loglike + q * np.log((n + 2) / 24)),
        "n_parameters": int(q),
    }


def _rmsea_interval(chi2, dof, n):
    """90 % limits by inverting the noncentral chi-squared distribution."""

    def limit(level):
        if stats.chi2.cdf(chi2, dof) < level:
            return 0.0
        high = max(chi2, 1.0)
        while stats.ncx2.cdf(chi2, dof, high) > level:
            high *= 2
        root = optimize.brentq(
            lambda nc: stats.ncx2.cdf(chi2, dof, nc) - level, 1e-12, high, xtol=1e-10
        )
        return np.sqrt(root / (dof * n))

    return limit(0.95), limit(0.05)


def root_mean_square_residual(S, sigma):
    """SRMR: lower triangle with the diagonal, on the correlation scale of S."""
    s = np.sqrt(np.diag(S))
    residual = (S - sigma) / np.outer(s, s)
    lower = residual[np.tril_indices_from(residual)]
    return float(np.sqrt(np.mean(lower**2)))


def count_message(n_parameters, p):
    """The sentence about too many parameters, with both counts."""
    return (
        f"The pattern has {n_parameters} free parameters, but {p} variables have only "
        f"{p * (p + 1) // 2} variances and covariances: the model is not identified."
    )
