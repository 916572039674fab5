"""From moments and a pattern to estimates: which solver, in which order."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._missing import fit_missing
from ._solver import (
    MAX_NEWTON,
    Fit,
    LeastSquares,
    Likelihood,
    Params,
    run_em,
    run_lbfgs,
    run_newton,
    standard_start,
    with_positive_columns,
)

_EM_BEFORE_NEWTON = 10
_EM_AT_EDGE = 100
_EM_COMPARING = 60


def estimate(
    table,
    support,
    *,
    method="ml",
    orthogonal=False,
    min_noise=1e-4,
    tol=1e-8,
    max_iter=200,
    step=None,
    start=None,
    comparing=False,
):
    """Fit a pattern to a table of second moments.

    Parameters
    ----------
    table : Table
        On the correlation scale.
    support : Support
    method : {"ml", "uls"}
    orthogonal : bool
    min_noise, tol : float
    max_iter : int
    step : callable, optional
        Reports iterations.
    start : Params, optional
        On the correlation scale; the standard start otherwise.
    comparing : bool, default=False
        Whether the fit only serves a comparison of structures.

    Returns
    -------
    table : Table
        The one given, or with missing data the one of the estimated mean and scale.
    fit : Fit
        On the correlation scale, columns with positive sums. With "uls", F is that of
        the covariance matrix.
    """
    if support.d == 0:
        return table, independence(table, method)
    moments = table.moments
    floor = np.full(support.p, max(min_noise, 1e-12))
    if start is None:
        start = standard_start(moments, support, orthogonal)
    options = {"orthogonal": orthogonal, "step": step}
    large = support.n_parameters(orthogonal) > MAX_NEWTON
    if comparing and large:
        # The log-likelihood to 0.01: enough to compare structures.
        fit = run_em(
            moments, start, support, floor,
            n_steps=_EM_COMPARING, tol=0.02 / table.n, orthogonal=orthogonal,
        )  # fmt: skip
        return table, fit
    fit = run_em(
        moments, start, support, floor,
        n_steps=(10 if large else 1) * _EM_BEFORE_NEWTON,
        tol=tol, orthogonal=orthogonal,
    )  # fmt: skip
    if table.incomplete is not None:
        table, fit = fit_missing(
            table, fit.params, support, floor,
            tol=1e-4 * tol, max_iter=max_iter, **options,
        )  # fmt: skip
    elif method == "uls":
        fit = _least_squares(table, fit.params, support, floor, tol, max_iter, options)
    elif not large:
        fit = run_newton(
            Likelihood(moments.S), fit.params, support, floor,
            tol=1e-4 * tol, max_iter=max_iter, **options,
        )  # fmt: skip
        if not fit.converged and fit.n_iter < max_iter:
            # At the edge of the domain EM still climbs.
            more = run_em(
                moments, fit.params, support, floor,
                n_steps=_EM_AT_EDGE, tol=tol, orthogonal=orthogonal,
            )  # fmt: skip
            fit = fit._replace(params=more.params, F=more.F)
    elif not fit.converged:
        fit = run_lbfgs(
            moments, fit.params, support, floor,
            tol=1e-4 * tol, max_iter=max_iter, **options,
        )  # fmt: skip
    return table, fit._replace(params=with_positive_columns(fit.params))


def _least_squares(table, params, support, floor, tol, max_iter, options):
    # Not scale equivariant: it runs on the covariance matrix itself. F is measured
    # in units of the mean squared variance, so that tol has no units.
    s = table.scale
    unit = np.sqrt(np.mean(s**2))
    s = s / unit
    fit = run_newton(
        LeastSquares(table.moments.S * np.outer(s, s)),
        Params(params.loadings * s[:, None], params.corr, params.noise * s**2),
        support,
        floor * s**2,
        tol=1e-4 * tol,
        max_iter=max_iter,
        **options,
    )
    L, corr, noise = fit.params
    return fit._replace(
        params=Params(L / s[:, None], corr, noise / s**2), F=fit.F * unit**4
    )


def independence(table, method="ml"):
    """The model without a factor."""
    p = table.scale.size
    params = Params(np.zeros((p, 0)), np.zeros((0, 0)), table.moments.diag.copy())
    if method == "uls":
        S = table.moments.S * np.outer(table.scale, table.scale)
        F = 0.5 * float(np.sum(S**2) - np.sum(np.diag(S) ** 2))
    else:
        F = float(np.sum(np.log(params.noise)) + p)
    return Fit(params, F, 0, True, 0.0)
