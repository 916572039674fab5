# SPDX-License-Identifier: BSD-3-Clause

import warnings
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_array, check_scalar

from .._linalg import thin_svd
from .._parallel import run_tasks

_EPS = np.finfo(np.float64).eps
# Largest error of an orthonormal basis that is taken from a Gram matrix.
_GRAM_ERROR = 1e-10


class _Layer(NamedTuple):
    """The subspace of R^n that a representation is reduced to.

    Its orthonormal basis, orthogonal to the ones vector, is ``C @ map``; without a map
    `C` is the basis.
    """

    C: np.ndarray
    map: np.ndarray | None
    name: str

    @property
    def shape(self):
        return self.C.shape[0], (self.C if self.map is None else self.map).shape[1]

    def with_basis(self):
        if self.map is None:
            return self
        return _Layer(self.C @ self.map, None, self.name)


def svcca(A, B, threshold=0.99):
    """Singular vector canonical correlation analysis of two representations.

    How similar is what two layers of networks (or any two feature maps) compute on the
    same inputs, up to a linear change of their neurons? Each representation is first
    reduced to the principal directions that carry most of its variance, then canonical
    correlations of the reduced representations are averaged.

    Parameters
    ----------
    A : array-like of shape (n_samples, n_neurons_a)
        Activations of one layer. Average or flatten the pixels of a convolution first.
    B : array-like of shape (n_samples, n_neurons_b)
        Activations of another layer on the same inputs, in the same order.
    threshold : float in (0, 1], default=0.99
        Share of the variance to keep: the fewest principal directions that reach it.
        0.99 is the published choice; 1 keeps all directions up to rounding.

    Returns
    -------
    result : Bunch
        ``similarity`` : float in [0, 1], the mean of ``correlations``;
        ``correlations`` : ndarray of shape (min(n_kept),), canonical correlations,
        descending; ``n_kept`` : pair of int, the number of directions kept of `A` and
        `B`; ``noise_level`` : float, the root mean square of the correlations that
        unrelated representations with these numbers of directions have. The similarity
        of unrelated representations is a little below it, not zero.

    Raises
    ------
    ValueError
        If `A` and `B` have different numbers of rows, fewer than two rows, NaN or
        infinity, or `threshold` is not in (0, 1].

    Warns
    -----
    UserWarning
        If there are at most five times as many samples as directions kept (the
        similarity is inflated), or not more than directions plus one (it is 1
        whatever the data are), or if a representation is constant (similarity 0).

    See Also
    --------
    svcca_matrix : All pairs of two lists of layers.
    cca_similarity : Without the reduction.
    pwcca : Canonical correlations weighted by what they explain.

    Notes
    -----
    The similarity is symmetric, 1 for equal representations, and does not change when
    the activations are shifted, rotated or scaled as a whole. Any invertible map of the
    *kept* directions leaves it unchanged, but a map of the neurons that is not a
    rotation changes the variances, hence which directions are kept.

    With orthonormal bases :math:`Q_A, Q_B` of the kept scores the correlations are the
    singular values of :math:`Q_A^\\top Q_B`. The bases come from eigenvectors of the
    Gram matrix over the shorter side, of length m. A kept direction has at least the
    share (1 - threshold) / m of the variance, so that squaring the matrix costs
    accuracy of the order of m / (1 - threshold) times the rounding unit, which is
    below 1e-10; where it would be above, a QR decomposition is used.

    Cost: ``n d**2`` multiplications for a layer with d neurons plus an eigenvalue
    problem of size d, and ``n k_a k_b`` for the pair.

    References
    ----------
    Raghu, Gilmer, Yosinski, Sohl-Dickstein (2017), SVCCA: singular vector canonical
    correlation analysis for deep learning dynamics and interpretability, NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.metrics import svcca
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((500, 10))
    >>> rotation = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    >>> round(svcca(A, 3 * A @ rotation).similarity, 6)
    1.0
    >>> noise = svcca(A, rng.standard_normal((500, 15)))
    >>> noise.n_kept, round(noise.similarity, 2), round(noise.noise_level, 2)
    ((10, 15), 0.15, 0.17)
    """
    threshold = _check_threshold(threshold)
    A, B = _check_pair(A, B)
    layers = [_principal_layer(A, threshold, "A"), _principal_layer(B, threshold, "B")]
    _warn_if_small(layers)
    return _compare(*layers)


def cca_similarity(A, B):
    """Mean canonical correlation of two representations.

    :func:`svcca` without its first step: directions of little variance count as much
    as those of large variance, and the result does not change under *any* invertible
    linear map of the neurons.

    Parameters
    ----------
    A : array-like of shape (n_samples, n_neurons_a)
        Activations of one layer.
    B : array-like of shape (n_samples, n_neurons_b)
        Activations of another layer on the same inputs, in the same order.

    Returns
    -------
    result : Bunch
        As of :func:`svcca`; ``n_kept`` are the numerical ranks: constant neurons and
        neurons that are combinations of others do not count.

    Raises
    ------
    ValueError
        If `A` and `B` have different numbers of rows, fewer than two rows, NaN or
        infinity.

    Warns
    -----
    UserWarning
        As :func:`svcca`.

    See Also
    --------
    svcca : Compares the directions of large variance only.

    Notes
    -----
    Neurons are centred and scaled to unit length before their rank is determined, and
    directions below ``max(n * 2e-16, d * 2e-16, 100 * eps)`` times the largest are left
    out, eps being the rounding unit of the input's type.

    Orthonormal bases come from two rounds of the Gram matrix (as accurate as a QR
    decomposition at condition numbers below 3e4), else from QR and SVD. Cost: about
    ``4 n d**2`` multiplications for a layer with d neurons.

    References
    ----------
    Raghu, Gilmer, Yosinski, Sohl-Dickstein (2017), SVCCA: singular vector canonical
    correlation analysis for deep learning dynamics and interpretability, NeurIPS.
    Hotelling (1936), Relations between two sets of variates, Biometrika 28.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.metrics import cca_similarity
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((500, 10))
    >>> round(cca_similarity(A, A @ rng.standard_normal((10, 10))).similarity, 6)
    1.0
    """
    A, B = _check_pair(A, B)
    layers = [_full_layer(A, "A")[0], _full_layer(B, "B")[0]]
    _warn_if_small(layers)
    return _compare(*layers)


def pwcca(A, B):
    """Projection weighted canonical correlation of two representations.

    Canonical correlations averaged with weights: how much of the activations of the
    smaller layer each canonical direction accounts for. Directions of noise, which
    many layers have plenty of, then count little without a threshold.

    Parameters
    ----------
    A : array-like of shape (n_samples, n_neurons_a)
        Activations of one layer.
    B : array-like of shape (n_samples, n_neurons_b)
        Activations of another layer on the same inputs, in the same order.

    Returns
    -------
    similarity : float in [0, 1]

    Raises
    ------
    ValueError
        If `A` and `B` have different numbers of rows, fewer than two rows, NaN or
        infinity.

    Warns
    -----
    UserWarning
        As :func:`svcca`.

    See Also
    --------
    svcca : Symmetric, with a threshold on the variance.

    Notes
    -----
    Let :math:`h_k` be the canonical scores of the layer with fewer neurons that vary
    (`A` if equal), orthonormal over the samples, and :math:`a_j` its centred neurons.
    With weights :math:`\\alpha_k = \\sum_j |h_k^\\top a_j|` the result is
    :math:`\\sum_k \\alpha_k \\rho_k / \\sum_k \\alpha_k`. So it is not symmetric for
    layers of one size, and it changes when the neurons of the weighing layer are
    rotated; the other layer may be transformed linearly at will. Where correlations
    are equal, 1 for instance, their directions and hence the weights are arbitrary.

    References
    ----------
    Morcos, Raghu, Bengio (2018), Insights on representational similarity in neural
    networks with canonical correlation, NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.metrics import cca_similarity, pwcca
    >>> rng = np.random.default_rng(0)
    >>> A, B = 0.1 * rng.standard_normal((2, 500, 10))
    >>> A[:, :3] += (signal := rng.standard_normal((500, 3)))
    >>> B[:, :3] += signal
    >>> round(cca_similarity(A, B).similarity, 2), round(pwcca(A, B), 2)
    (0.38, 0.77)
    """
    A, B = _check_pair(A, B)
    (layer_a, varies_a), (layer_b, varies_b) = _full_layer(A, "A"), _full_layer(B, "B")
    _warn_if_small([layer_a, layer_b])
    left, rho, right = np.linalg.svd(layer_a.C.T @ layer_b.C)
    if rho.size == 0:
        return 0.0
    if varies_a.sum() <= varies_b.sum():
        h, neurons = layer_a.C @ left[:, : rho.size], A
    else:
        h, neurons = layer_b.C @ right[: rho.size].T, B
    # Centred although h is orthogonal to constants: a large mean would drown it.
    alpha = np.abs(h.T @ _centered(neurons, None)[0]).sum(axis=1)
    return float(np.average(np.minimum(rho, 1.0), weights=alpha))


def svcca_matrix(list_A, list_B=None, *, threshold=0.99, n_jobs=None):
    """Similarities by :func:`svcca` of all pairs of layers.

    Parameters
    ----------
    list_A : list of array-likes of shape (n_samples, n_neurons_i)
        Activations of the layers of one network.
    list_B : list of array-likes of shape (n_samples, n_neurons_j), default=None
        Those of another network on the same inputs. None: the layers of `list_A` are
        compared with each other.
    threshold : float in (0, 1], default=0.99
        Share of the variance to keep of each layer.
    n_jobs : int, default=None
        Number of layers, then of rows of the result, treated at the same time. The
        result has the same bits for every value.

    Returns
    -------
    similarities : ndarray of shape (len(list_A), len(list_B))

    Raises
    ------
    ValueError
        If a list is empty, a layer has another number of rows than ``list_A[0]``,
        fewer than two rows, NaN or infinity, or `threshold` is not in (0, 1].

    Warns
    -----
    UserWarning
        As :func:`svcca`, once for the layer with most directions.

    See Also
    --------
    svcca : One pair, with the correlations.

    Notes
    -----
    The basis of each layer is computed once; a pair costs ``n k_a k_b`` multiplications
    and the singular values of a matrix (k_a, k_b). With ``list_B=None`` only one half
    of the symmetric matrix is computed.

    References
    ----------
    Raghu, Gilmer, Yosinski, Sohl-Dickstein (2017), SVCCA: singular vector canonical
    correlation analysis for deep learning dynamics and interpretability, NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.metrics import svcca_matrix
    >>> rng = np.random.default_rng(0)
    >>> first = rng.standard_normal((500, 5))
    >>> second = np.tanh(first @ rng.standard_normal((5, 8)))
    >>> svcca_matrix([first, second]).round(2)
    array([[1. , 0.9],
           [0.9, 1. ]])
    """
    threshold = _check_threshold(threshold)
    layers_a = _check_layers(list_A, "list_A")
    layers_b = [] if list_B is None else _check_layers(list_B, "list_B")
    n = layers_a[0][0].shape[0]
    for A, name in layers_a + layers_b:
        if A.shape[0] != n:
            raise ValueError(
                f"{name} has {A.shape[0]} rows, but list_A[0] has {n}: all layers must "
                "be evaluated on the same inputs."
            )
    layers = run_tasks(
        _principal_basis,
        [(A, threshold, name) for A, name in layers_a + layers_b],
        n_jobs,
    )
    _warn_if_small(layers)
    rows = len(layers_a)
    if list_B is None:
        tasks = [(layers[i], layers[i:]) for i in range(rows)]
    else:
        tasks = [(layers[i], layers[rows:]) for i in range(rows)]
    found = run_tasks(_similarities, tasks, n_jobs)
    if list_B is not None:
        return np.array(found)
    similarities = np.empty((rows, rows))
    for i, values in enumerate(found):
        similarities[i, i:] = similarities[i:, i] = values
    return similarities


def proportion_correlation_captured(Z1, Z2, reference):
    """Share of the exact canonical correlations that learnt scores have captured.

    The measure of quality of stochastic canonical correlation analysis. It does not
    change under an invertible linear map of either set of scores, such as a rotation
    or another order and scale of the components.

    Parameters
    ----------
    Z1 : array-like of shape (n_samples, n_components)
        Scores of the first view, on the training set.
    Z2 : array-like of shape (n_samples, n_components)
        Scores of the second view.
    reference : array-like of shape (at least n_components,)
        Exact canonical correlations of the views, such as ``correlations_`` of
        :class:`skstruct.cross_decomposition.StochasticCCA` with ``solver="exact"``;
        the n_components largest count.

    Returns
    -------
    proportion : float
        Sum of the canonical correlations of `Z1` and `Z2` over the sum of those of
        `reference`: at most 1 on the data of the reference, up to rounding. Components
        that are constant or repeat others contribute nothing.

    Raises
    ------
    ValueError
        If the shapes of `Z1` and `Z2` differ, there are fewer than two rows, NaN or
        infinity, or `reference` has fewer than n_components entries, entries outside
        [0, 1], or no positive one.

    References
    ----------
    Ma, Lu, Foster (2015), Finding linear structure in large datasets with scalable
    canonical correlation analysis, ICML. Ge, Jin, Kakade, Netrapalli, Sidford (2016),
    Efficient algorithms for large-scale generalized eigenvector computation and
    canonical correlation analysis, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.metrics import proportion_correlation_captured
    >>> z = np.array([-1.0, 1.0, -1.0, 1.0])
    >>> w = np.array([-1.0, -1.0, 1.0, 1.0])
    >>> round(proportion_correlation_captured(
    ...     np.c_[z, w], np.c_[z, 0.6 * w + 0.8 * z * w], [0.8, 1.0, 0.3]), 6)
    0.888889
    """
    Z1 = _check_layer(Z1, "Z1")
    Z2 = _check_layer(Z2, "Z2")
    if Z1.shape != Z2.shape:
        raise ValueError(
            f"Z1 and Z2 must have equal shapes, got {Z1.shape} and {Z2.shape}."
        )
    K = Z1.shape[1]
    reference = check_array(
        reference, dtype=np.float64, ensure_2d=False, input_name="reference"
    )
    if reference.ndim != 1 or reference.size < K:
        raise ValueError(
            f"reference must hold at least n_components={K} correlations in one "
            f"dimension, got shape {reference.shape}."
        )
    outside = (reference < 0) | (reference > 1 + 1e-8)
    if outside.any():
        i = int(np.argmax(outside))
        raise ValueError(f"reference[{i}]={reference[i]} is not in [0, 1].")
    exact = np.sort(reference)[::-1][:K].sum()
    if exact == 0:
        raise ValueError("reference has no positive correlation to be captured.")
    layers = [_full_layer(Z, "")[0] for Z in (Z1, Z2)]
    return float(_canonical_correlations(*layers).sum() / exact)


def _check_layer(A, name):
    return check_array(
        A, dtype=[np.float64, np.float32], ensure_min_samples=2, input_name=name
    )


def _check_pair(A, B):
    A, B = _check_layer(A, "A"), _check_layer(B, "B")
    if A.shape[0] != B.shape[0]:
        raise ValueError(
            f"A has {A.shape[0]} rows, B has {B.shape[0]}: both must be evaluated on "
            "the same inputs."
        )
    return A, B


def _check_layers(layers, name):
    if isinstance(layers, np.ndarray) and layers.ndim != 3:
        raise ValueError(
            f"{name} must be a list of arrays of shape (n_samples, n_neurons), got one "
            f"array of shape {layers.shape}."
        )
    layers = list(layers)
    if not layers:
        raise ValueError(f"{name} is empty: it needs at least one layer.")
    return [
        (_check_layer(A, f"{name}[{i}]"), f"{name}[{i}]") for i, A in enumerate(layers)
    ]


def _check_threshold(threshold):
    check_scalar(threshold, "threshold", Real)
    if not 0 < threshold <= 1:  # NaN too
        raise ValueError(f"threshold={threshold} must be in (0, 1].")
    return float(threshold)


def _centered(A, axis):
    """Centred columns in float64, constant ones exactly zero, and which columns vary.

    Columns (``axis=0``) or the whole array (``axis=None``) are divided by a power of
    two where squares would over- or underflow.
    """
    n, eps = A.shape[0], np.finfo(A.dtype).eps
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        mean = A.mean(axis=0, dtype=np.float64)
        C = A - mean
        squares = np.einsum("ij,ij->j", C, C)
    if not squares.max() < 1e200 or C[:, squares < 1e-200].any():
        top = np.maximum(A.max(axis=axis), -A.min(axis=axis)).astype(np.float64)
        A = A * np.ldexp(1.0, -np.clip(np.frexp(top)[1], -1000, 1000))
        mean = A.mean(axis=0)
        C = A - mean
        squares = np.einsum("ij,ij->j", C, C)
    # A constant is left with the rounding of its mean, n eps at most, and one that was
    # computed in float32 with the rounding of that type.
    noise = 10 * max(n * _EPS, eps) * np.abs(mean)
    varies = squares > n * noise**2
    if not varies.all():
        C[:, ~varies] = 0.0
    return C, varies


def _principal_layer(A, threshold, name):
    """Orthonormal scores of the fewest directions with a share of the variance."""
    C, _ = _centered(A, None)
    n, d = C.shape
    if min(n, d) * _EPS > _GRAM_ERROR * (1.0 - threshold):
        U, s, _ = thin_svd(C) if d <= n else np.linalg.svd(C, full_matrices=False)
        power, V = s**2, None
    elif d <= n:
        power, V = np.linalg.eigh(C.T @ C)
        power, V = np.maximum(power[::-1], 0.0), V[:, ::-1]
    else:
        power, U = np.linalg.eigh(C @ C.T)
        power, U, V = np.maximum(power[::-1], 0.0), U[:, ::-1], None
    share = np.cumsum(power)
    if share[-1] == 0:
        return _Layer(np.zeros((n, 0)), None, name)
    k = np.searchsorted(share, threshold * share[-1]) + 1
    # With threshold 1 rounding must not count as directions.
    k = min(k, np.count_nonzero(power > _rank_cut(A) ** 2 * power[0]))
    if V is None:
        return _Layer(np.ascontiguousarray(U[:, :k]), None, name)
    return _Layer(C, V[:, :k] / np.sqrt(power[:k]), name)


def _principal_basis(A, threshold, name):
    return _principal_layer(A, threshold, name).with_basis()


def _full_layer(A, name):
    """Orthonormal basis of all that varies, and which neurons do."""
    C, varies = _centered(A, 0)
    n = C.shape[0]
    C = C[:, varies]
    C /= np.linalg.norm(C, axis=0)
    if 0 < C.shape[1] < n:
        power, V = np.linalg.eigh(C.T @ C)
        if power[0] > 1e-9 * power[-1]:
            # Of full rank. The rounding of the Gram matrix leaves errors of 1e-4 at
            # most, and a second pass their square.
            U = C @ (V / np.sqrt(power))
            U = U @ np.linalg.inv(np.linalg.cholesky(U.T @ U)).T
            return _Layer(U, None, name), varies
    U, s, _ = thin_svd(C) if len(varies) <= n else np.linalg.svd(C, full_matrices=False)
    rank = np.count_nonzero(s > _rank_cut(A) * s.max(initial=0.0))
    return _Layer(U[:, :rank], None, name), varies


def _rank_cut(A):
    """Relative size of singular values that are rounding of the entries of A."""
    return max(max(A.shape) * _EPS, 100 * np.finfo(A.dtype).eps)


def _canonical_correlations(layer_a, layer_b):
    k_a, k_b = layer_a.shape[1], layer_b.shape[1]
    if min(k_a, k_b) == 0:
        return np.zeros(0)
    d_a, d_b = layer_a.C.shape[1], layer_b.C.shape[1]
    if (
        layer_a.map is None
        or layer_b.map is None
        or d_a * d_b > (d_a * k_a + d_b * k_b + k_a * k_b)
    ):
        cross = layer_a.with_basis().C.T @ layer_b.with_basis().C
    else:
        # Most directions are kept: one product is cheaper than both bases.
        cross = layer_a.map.T @ (layer_a.C.T @ layer_b.C) @ layer_b.map
    return np.minimum(np.linalg.svd(cross, compute_uv=False), 1.0)


def _similarities(layer, others):
    """One row of the matrix: a task of its own would be small for a pair."""
    found = [_canonical_correlations(layer, other) for other in others]
    return [float(rho.mean()) if rho.size else 0.0 for rho in found]


def _compare(layer_a, layer_b):
    rho = _canonical_correlations(layer_a, layer_b)
    (n, k_a), (_, k_b) = layer_a.shape, layer_b.shape
    # The squared correlations with a random subspace sum to k_a k_b / (n - 1) in
    # expectation; there are min(k_a, k_b) of them.
    noise_level = np.sqrt(max(k_a, k_b) / (n - 1)) if rho.size else 0.0
    return Bunch(
        similarity=float(rho.mean()) if rho.size else 0.0,
        correlations=rho,
        n_kept=(k_a, k_b),
        noise_level=float(min(noise_level, 1.0)),
    )


def _warn_if_small(layers):
    """One warning for a constant layer, one for the layer with most directions."""
    for layer in layers:
        if layer.shape[1] == 0:
            warnings.warn(
                f"{layer.name} is constant over the inputs: its similarities are 0.",
                UserWarning,
                stacklevel=3,
            )
            break
    largest = max(layers, key=lambda layer: layer.shape[1])
    n, k = largest.shape
    if k and n <= k + 1:
        text = "similarities to it are 1 whatever the data are"
    elif n <= 5 * k:
        text = f"similarities to it are inflated; take more than {5 * k} inputs"
    else:
        return
    warnings.warn(
        f"{largest.name} has {k} directions on {n} inputs: {text}, or reduce it.",
        UserWarning,
        stacklevel=3,
    )
