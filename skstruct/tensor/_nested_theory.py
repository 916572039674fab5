# SPDX-License-Identifier: BSD-3-Clause
"""Asymptotic theory of the nested matrix-tensor model.

Throughout, shape = (n1, n2, n3) = (features, samples, views), n_M = n1 + n2 and
n_T = n1 + n2 + n3; the model is ``M = beta_M x y' + Z / sqrt(n_M)`` and
``T = beta_T M (outer) z + W / sqrt(n_T)`` with white Z and W and unit x, y, z.
"""

from numbers import Integral

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr

from ..random_matrix import bbp_alignment


def _check_shape(shape):
    sizes = tuple(shape) if np.iterable(shape) else (shape,)
    if len(sizes) != 3 or not all(isinstance(n, Integral) and n >= 1 for n in sizes):
        raise ValueError(
            f"shape={shape} must be three positive integers (features, samples, views)."
        )
    return tuple(int(n) for n in sizes)


def _check_snr(**values):
    checked = [np.asarray(value, dtype=np.float64) for value in values.values()]
    for name, value in zip(values, checked):
        if not np.all((value >= 0) & np.isfinite(value)):
            raise ValueError(f"{name}={values[name]} must be nonnegative and finite.")
    return np.broadcast_arrays(*checked)


def _plain(value):
    """A float for scalar input, else the array."""
    return float(value) if np.ndim(value) == 0 else value


def two_class_accuracy(alignment):
    """Accuracy of sign(v) for a vector v at this cosine to the +-1 labels."""
    alignment = np.asarray(alignment, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return ndtr(alignment / np.sqrt(1 - alignment**2))


# ----------------------------------------------------------- rank-one estimator


def _branch(shape, beta_T, g3):
    """The solution of the fixed-point equations as a curve with parameter g3.

    Eliminating xi by the third equation leaves, for given g3, two quadratic
    equations in g1 and g2; the physical root is the one that continues the expansion
    ``g ~ -c / xi`` at infinity, where g3 -> 0 from below.

    Returns
    -------
    g1, g2, xi, q1, q2, q3, gamma : ndarrays of the shape of `g3`
        NaN where the physical root has ceased to exist.
    """
    c1, c2, c3 = np.array(shape) / sum(shape)
    q3 = 1 - g3**2 / c3
    gamma = beta_T**2 * q3 / (c1 + c2)
    # With a = -g1, b = -g2 > 0:  a (d + a - gamma b) = c1,  b (d + b - gamma a) = c2.
    d = -q3 * c3 / g3
    a, b = c1 / d, c2 / d
    with np.errstate(all="ignore"):
        for _ in range(60):
            f1 = a * (d + a - gamma * b) - c1
            f2 = b * (d + b - gamma * a) - c2
            j11, j12 = d + 2 * a - gamma * b, -gamma * a
            j21, j22 = -gamma * b, d + 2 * b - gamma * a
            det = j11 * j22 - j12 * j21
            step_a = (j22 * f1 - j12 * f2) / det
            step_b = (j11 * f2 - j21 * f1) / det
            a, b = a - step_a, b - step_b
            if np.nanmax(np.abs(step_a) + np.abs(step_b), initial=0.0) < 1e-15:
                break
        # Newton from below runs up to the smallest root, where the Jacobian is an
        # M-matrix; past a fold it lands elsewhere or nowhere.
        size = np.abs(step_a) + np.abs(step_b)
        good = (a > 0) & (b > 0) & (j11 > 0) & (j22 > 0) & (det > 0) & (size < 1e-9)
        g1, g2 = np.where(good, -a, np.nan), np.where(good, -b, np.nan)
        xi = -g1 - g2 - c3 / g3
        q1 = 1 - (1 + gamma) * g1**2 / c1
        q2 = 1 - (1 + gamma) * g2**2 / c2
    return g1, g2, xi, q1, q2, q3, gamma


def _required_beta_M(shape, beta_T, g3):
    """beta_M of the solution with parameter g3, and xi; NaN where there is none."""
    g1, g2, xi, q1, q2, q3, gamma = _branch(shape, beta_T, g3)
    left = xi + (1 + gamma) * (g1 + g2 + g3) - gamma * g3
    with np.errstate(all="ignore"):
        strength = left / (beta_T * np.sqrt(q1 * q2 * q3))
        good = (q1 > 0) & (q2 > 0) & (q3 > 0) & (left > 0)
    return np.where(good, strength, np.nan), xi


def _informative_stretch(shape, beta_T):
    """Grid of g3 from -0 to the weakest beta_M with a solution, and its beta_M."""
    reach = np.sqrt(shape[2] / sum(shape))
    # Dense near 0, where xi and beta_M run off to infinity.
    g3 = -reach * np.concatenate(
        [np.geomspace(1e-8, 1e-5, 40)[:-1], np.linspace(0.003, 1, 800)[:-1] ** 2]
    )
    strength, xi = _required_beta_M(shape, beta_T, g3)
    # xi stops falling where it meets the bulk, beta_M at the weakest signal.
    falls = (np.diff(strength) < 0) & (np.diff(xi) < 0)
    end = g3.size - 1 if falls.all() else int(np.argmin(falls))
    g3, after = g3[: end + 1], g3[min(end + 1, g3.size - 1)]
    strength, xi = strength[: end + 1], xi[: end + 1]
    if end == 0:
        return g3[:0], strength[:0]

    # The turning point lies within one grid step of the end: refine there.
    def objective(g):
        value, at = _required_beta_M(shape, beta_T, np.array([g]))
        good = np.isfinite(value[0]) and at[0] < xi[-2]
        return value[0] if good else 1e3 * strength[0]

    found = minimize_scalar(
        objective, bounds=(after, g3[-2]), method="bounded", options={"xatol": 1e-13}
    )
    if found.fun < strength[-1]:
        kept = g3 > found.x
        g3, strength = (
            np.append(g3[kept], found.x),
            np.append(strength[kept], found.fun),
        )
    return g3, strength


def nested_rank_one_theory(shape, beta_T, beta_M):
    """Singular value and alignments of the best rank-one approximation of the tensor.

    Parameters
    ----------
    shape : tuple of three ints
        (features, samples, views).
    beta_T, beta_M : floats
        Signal-to-noise ratios of the view profile and of the hidden matrix.

    Returns
    -------
    singular_value : float
        Asymptotic ``<T, x y z>`` at the estimate; 0 where it carries no information.
    alignments : tuple of three floats
        Cosines of the estimates to x (features), y (samples) and z (views); 0 where
        the estimate carries no information.

    Raises
    ------
    ValueError
        If `shape` is not three positive integers or a ratio is negative.

    See Also
    --------
    weighted_mean_theory : The bound, reached by whoever knows z.
    unfolding_theory : The spectral method on an unfolding.

    Notes
    -----
    The published equations determine three numbers g and the singular value by a
    fixed point inside a root search. Taking g3 as the parameter turns the solutions
    for all `beta_M` into one explicit curve, on which `beta_M` falls from infinity to
    the smallest value with an informative solution. The curve is tabulated in one
    vectorised sweep and inverted by bracketing, so the search cannot miss a root.

    References
    ----------
    Seddik, Achab, Goulart, Debbah (2023), A nested matrix-tensor model for noisy
    multi-view clustering, arXiv:2305.19992.

    Examples
    --------
    >>> from skstruct.tensor import nested_rank_one_theory
    >>> value, (x, y, z) = nested_rank_one_theory((120, 90, 60), 2.0, 3.0)
    >>> round(value, 3), round(x, 3), round(y, 3), round(z, 3)
    (6.416, 0.962, 0.971, 0.997)
    """
    shape = _check_shape(shape)
    beta_T, beta_M = (float(v) for v in _check_snr(beta_T=beta_T, beta_M=beta_M))
    if beta_T == 0 or beta_M == 0:
        return 0.0, (0.0, 0.0, 0.0)
    g3, strength = _informative_stretch(shape, beta_T)
    if strength.size == 0 or not beta_M >= strength[-1]:
        return 0.0, (0.0, 0.0, 0.0)

    def excess(g):
        return _required_beta_M(shape, beta_T, np.array([g]))[0][0] - beta_M

    if beta_M >= strength[0]:
        g = g3[0]
    else:
        # strength falls along the stretch: bracket between two grid points.
        i = int(np.argmax(strength <= beta_M))
        g = (
            g3[i]
            if strength[i] == beta_M
            else brentq(excess, g3[i], g3[i - 1], xtol=1e-16, rtol=1e-14)
        )
    _, _, xi, *q, _ = (float(v[0]) for v in _branch(shape, beta_T, np.array([g])))
    return xi, tuple(float(np.sqrt(min(max(v, 0.0), 1.0))) for v in q)


def rank_one_alignment_map(shape, beta_T, beta_M):
    """Cosine to y of the rank-one estimator on a grid, (n_T, n_M).

    One sweep along the curve of solutions serves a whole row of the grid.
    """
    found = np.zeros((len(beta_T), len(beta_M)))
    for i, b in enumerate(beta_T):
        g3, strength = _informative_stretch(shape, b) if b > 0 else ((), ())
        if len(g3) == 0:
            continue
        q2 = _branch(shape, b, g3)[4]
        inside = np.asarray(beta_M) >= strength[-1]
        at = np.interp(beta_M, strength[::-1], q2[::-1])
        found[i] = np.where(inside, np.sqrt(np.clip(at, 0, 1)), 0.0)
    return found


# ------------------------------------------------------- unfolding, weighted mean


def unfolding_theory(shape, beta_T, beta_M):
    """Spectral clustering on the unfolding of the tensor along its samples.

    Parameters
    ----------
    shape : tuple of three ints
        (features, samples, views). Exchange the first two for the unfolding along
        the features.
    beta_T, beta_M : floats or array-likes
        Signal-to-noise ratios of the view profile and of the hidden matrix;
        broadcast against each other.

    Returns
    -------
    theory : dict
        ``rho``: the ratio ``beta_T^2 n_T / sqrt(n1 n2 n3)`` that governs unfoldings;
        ``alignment_squared``: squared cosine between the dominant left singular
        vector and y; ``threshold``: value of rho from which on it is positive,
        infinite where `beta_M` is too small for any; ``spike``: isolated eigenvalue
        of ``T_(2) T_(2)'`` above the threshold; ``edge``: right end of the bulk of
        that spectrum. Floats for scalar input.

    Raises
    ------
    ValueError
        If `shape` is not three positive integers or a ratio is negative.

    See Also
    --------
    weighted_mean_theory : The bound, reached by whoever knows z.

    Notes
    -----
    rho stays of order one only if `beta_T` grows with the fourth root of the size:
    the unfolding needs a far stronger signal than the other methods. The threshold
    is where the isolated eigenvalue leaves the bulk; the curve drawn in the
    companion notebook of the paper lacks a square.

    References
    ----------
    Lebeau, Seddik, Goulart (2024), Performance gaps in multi-view clustering under
    the nested matrix-tensor model, ICLR.

    Examples
    --------
    >>> from skstruct.tensor import unfolding_theory
    >>> theory = unfolding_theory((150, 300, 60), beta_T=2.5, beta_M=2.0)
    >>> round(theory["alignment_squared"], 3), round(theory["threshold"], 3)
    (0.835, 0.216)
    """
    shape = _check_shape(shape)
    beta_T, beta_M = _check_snr(beta_T=beta_T, beta_M=beta_M)
    n1, n2, n3 = shape
    n_T = sum(shape)
    c1, c2 = n1 / (n1 + n2), n2 / (n1 + n2)
    rho = beta_T**2 * n_T / np.sqrt(n1 * n2 * n3)
    b2 = beta_M**2
    a1, a2 = c1 + b2, c2 + b2
    with np.errstate(divide="ignore", invalid="ignore"):
        zeta = 1 - ((b2 / (rho * a2)) ** 2 + c2 * a1) / (a2 * b2)
        zeta = np.where((rho > 0) & (b2 > 0), np.maximum(zeta, 0.0), 0.0)
        room = b2**2 - c1 * c2
        threshold = np.where(
            room > 0, b2 / (a2 * np.sqrt(np.maximum(room, 0.0))), np.inf
        )
        spike = rho * a1 * a2 / b2 + 1 / (rho * a2)
    edge = np.array([_bulk_edge(r, c1, c2) for r in rho.ravel()]).reshape(rho.shape)
    centre, unit = n1 * n3 / n_T, np.sqrt(n1 * n2 * n3) / n_T
    # Below the threshold nothing is isolated: the largest eigenvalue is at the edge.
    spike = np.where(zeta > 0, spike, edge)
    return {
        "spike": _plain(centre + unit * spike),
        "alignment_squared": _plain(zeta),
        "threshold": _plain(threshold),
        "rho": _plain(rho),
        "edge": _plain(centre + unit * edge),
    }


def _bulk_edge(rho, c1, c2):
    """Right end of the centred and scaled spectrum of the unfolding."""
    if rho == 0:
        return 2.0

    # The cubic equation of the Stieltjes transform m gives the spectral variable as
    # an explicit function of m; its smallest value left of the pole is the edge.
    def spectral(m):
        k = rho * c2
        return -(k * m**3 + m**2 + rho * (c2 - c1) * m + 1) / (m + k * m**2)

    low = max(-1 / (rho * c2), -1.0)
    found = minimize_scalar(
        spectral, bounds=(low, 0), method="bounded", options={"xatol": 1e-12}
    )
    return float(found.fun)


def weighted_mean_theory(shape, beta_T, beta_M):
    """Squared alignment of whoever knows the view profile z.

    The weighted mean of the views with the true z is a spiked matrix that holds all
    there is to know about the samples: nobody's alignment can be larger.

    Parameters
    ----------
    shape : tuple of three ints
        (features, samples, views).
    beta_T, beta_M : floats or array-likes
        Signal-to-noise ratios of the view profile and of the hidden matrix;
        broadcast against each other. `beta_T` may be infinite.

    Returns
    -------
    alignment_squared : float or ndarray
        Squared cosine between the dominant right singular vector of the weighted
        mean and y; 0 below the threshold.

    Raises
    ------
    ValueError
        If `shape` is not three positive integers or a ratio is negative.

    References
    ----------
    Lebeau, Seddik, Goulart (2024), Performance gaps in multi-view clustering under
    the nested matrix-tensor model, ICLR.

    Examples
    --------
    >>> from skstruct.tensor import weighted_mean_theory
    >>> round(weighted_mean_theory((150, 300, 60), 1.0, 2.0), 3)
    0.724
    """
    shape = _check_shape(shape)
    finite = np.where(np.isposinf(beta_T), 0.0, beta_T)
    _, beta_M = _check_snr(beta_T=finite, beta_M=beta_M)
    beta_T = np.broadcast_to(np.asarray(beta_T, dtype=np.float64), beta_M.shape)
    n1, n2, _ = shape
    n_M, n_T = n1 + n2, sum(shape)
    # Entries of the mean: beta_T beta_M x y' plus noise of this variance.
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 1 / (1 + (n_M / n_T) / beta_T**2)
    theta = beta_M * np.sqrt(share * n_M / max(n1, n2))
    return _plain(np.asarray(bbp_alignment(theta, (n1, n2))[1]))
