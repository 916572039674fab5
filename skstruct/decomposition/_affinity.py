"""The graph of neighbouring pixels."""

# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from .._validation import FLOAT_DTYPES
from ._affinity_kernels import count_neighbours, pair_distances, window_distances


@validate_params(
    {
        "X": ["array-like"],
        "image_shape": [tuple, list],
        "mask": ["array-like", None],
        "window": [Interval(Integral, 1, None, closed="left")],
        "edge_weights": [StrOptions({"heat", "binary", "cosine"})],
        "sigma": [StrOptions({"mean"}), Interval(Real, 0, None, closed="neither")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def spatial_affinity(
    X,
    image_shape,
    *,
    mask=None,
    window=3,
    edge_weights="heat",
    sigma="mean",
    n_neighbors=None,
):
    """Affinity of each pixel to the pixels in the window around it.

    Parameters
    ----------
    X : array-like of shape (n_pixels, n_bands)
        Spectra of the pixels in C order of the image, masked ones left out.
    image_shape : tuple of two ints
        Rows and columns of the image.
    mask : array-like of bool of shape `image_shape`, default=None
        True where a pixel belongs to the region. None: everywhere.
    window : int, default=3
        Odd side of the square window; 3 means the eight surrounding pixels.
    edge_weights : {"heat", "binary", "cosine"}, default="heat"
        "heat": ``exp(-||x_n - x_m||^2 / sigma)``, so that edges across the border of
        two materials hardly count. "binary": 1. "cosine": cosine of the spectral
        angle, insensitive to brightness.
    sigma : "mean" or float, default="mean"
        Scale of "heat"; "mean" is the mean squared distance of neighbouring pixels.
        Where that is 0 all weights are 1.
    n_neighbors : int, default=None
        Keep only the spectrally nearest of the candidates of each pixel (a pair stays
        when either of its pixels keeps it). None: all.

    Returns
    -------
    affinity : csr_array of shape (n_pixels, n_pixels)
        Symmetric, zero diagonal, sorted int32 indices. Pixels without neighbours have
        empty rows.

    Raises
    ------
    ValueError
        If the number of rows is not the number of (masked) pixels, or `window` is
        even.

    Notes
    -----
    Every pair is computed once: ``(window^2 - 1) / 2`` passes over `X`. Memory is that
    of the result, 12 bytes an entry (8 for float32 input).

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.decomposition import spatial_affinity
    >>> X = np.array([[0.0], [0.0], [1.0], [1.0]])
    >>> W = spatial_affinity(X, (2, 2), edge_weights="binary")
    >>> W.toarray()
    array([[0., 1., 1., 1.],
           [1., 0., 1., 1.],
           [1., 1., 0., 1.],
           [1., 1., 1., 0.]])
    """
    X = check_array(X, dtype=list(FLOAT_DTYPES), order="C")
    number = pixel_numbers(image_shape, mask, X.shape[0], hint="")
    distances = window_graph(X, number, check_window(window))
    return weigh(distances, X, edge_weights, sigma, n_neighbors)[0]


def check_window(window):
    """Half the side of an odd window."""
    if window % 2 == 0:
        raise ValueError(f"window={window} must be odd: it is centred on a pixel.")
    return window // 2


def pixel_numbers(image_shape, mask, n_rows, *, hint):
    """Row number of each pixel, -1 outside the mask."""
    shape = tuple(image_shape)
    if len(shape) != 2 or not all(isinstance(s, (Integral, np.integer)) for s in shape):
        raise ValueError(f"image_shape={image_shape} must be two integers.")
    if min(shape) < 1:
        raise ValueError(f"image_shape={image_shape} must be positive.")
    if mask is None:
        n_pixels, what = shape[0] * shape[1], "rows * columns"
        inside = np.ones(shape, dtype=bool)
    else:
        inside = np.asarray(mask)
        if inside.dtype != bool:
            raise ValueError(f"mask must be boolean, got dtype {inside.dtype}.")
        if inside.shape != shape:
            raise ValueError(f"mask has shape {inside.shape}, image_shape is {shape}.")
        n_pixels, what = int(inside.sum()), "the number of pixels in mask"
    if n_pixels != n_rows:
        raise ValueError(
            f"X has {n_rows} rows, but image_shape={shape} asks for {n_pixels} "
            f"({what}).{hint}"
        )
    number = np.full(shape, -1, dtype=np.int32)
    number[inside] = np.arange(n_pixels, dtype=np.int32)
    return number


def window_graph(X, number, half):
    """Squared distances of all pairs of pixels in a window, as CSR."""
    N = X.shape[0]
    counts = np.zeros(N, dtype=np.int32)
    count_neighbours(number, half, counts)
    indptr = _pointers(counts)
    indices = np.empty(indptr[-1], dtype=np.int32)
    data = np.empty(indptr[-1], dtype=X.dtype)
    window_distances(X, number, half, indptr, indices, data)
    return sparse.csr_array((data, indices, indptr), shape=(N, N))


def position_graph(X, positions, half):
    """The same for pixels at given integer coordinates, in any order."""
    N = X.shape[0]
    positions = np.asarray(positions)
    if positions.shape != (N, 2):
        raise ValueError(
            f"positions must have shape (n_samples, 2) = ({N}, 2), got "
            f"{positions.shape}."
        )
    if not np.issubdtype(positions.dtype, np.number) or np.any(
        positions != np.rint(positions)
    ):
        raise ValueError("positions must be integer pixel coordinates.")
    tree = cKDTree(positions.astype(np.float64))
    pairs = tree.query_pairs(half + 0.5, p=np.inf, output_type="ndarray")
    a, b = pairs[:, 0], pairs[:, 1]
    same = np.all(positions[a] == positions[b], axis=1)
    if same.any():
        i, j = pairs[same][0]
        raise ValueError(
            f"positions has the same coordinates {tuple(positions[i].tolist())} in "
            f"rows {i} and {j}."
        )
    return _symmetric(X, a, b)


def knn_graph(X, n_neighbors):
    """Squared distances of the spectrally nearest rows, as symmetric CSR."""
    from sklearn.neighbors import kneighbors_graph

    k = min(n_neighbors, X.shape[0] - 1)
    if k < 1:
        return sparse.csr_array((X.shape[0],) * 2, dtype=X.dtype)
    near = kneighbors_graph(X, k, include_self=False).tocoo()
    # A pair once, whichever side found it.
    a = np.minimum(near.row, near.col).astype(np.int64)
    b = np.maximum(near.row, near.col).astype(np.int64)
    keys = np.unique(a * X.shape[0] + b)
    return _symmetric(X, keys // X.shape[0], keys % X.shape[0])


def _symmetric(X, a, b):
    N = X.shape[0]
    d = np.empty(a.size, dtype=X.dtype)
    if sparse.issparse(X):
        difference = X[a] - X[b]
        d[:] = np.asarray(difference.multiply(difference).sum(axis=1)).ravel()
    else:
        pair_distances(X, a, b, d)
    # Zeros are distances here: nothing may be dropped.
    order = np.lexsort((np.concatenate([b, a]), np.concatenate([a, b])))
    rows, columns = np.concatenate([a, b])[order], np.concatenate([b, a])[order]
    counts = np.bincount(rows, minlength=N).astype(np.int32)
    data = np.concatenate([d, d])[order]
    return sparse.csr_array(
        (data, columns.astype(np.int32), _pointers(counts)), shape=(N, N)
    )


def _pointers(counts):
    indptr = np.zeros(counts.size + 1, dtype=np.int64)
    np.cumsum(counts, out=indptr[1:])
    return indptr if indptr[-1] > np.iinfo(np.int32).max else indptr.astype(np.int32)


def weigh(graph, X, edge_weights, sigma, n_neighbors=None):
    """Turn squared distances into weights, in place.

    Returns
    -------
    affinity : csr_array, sigma : float
        The scale in use; NaN where the weights have none.
    """
    if n_neighbors is not None:
        graph = _nearest(graph, n_neighbors)
    scale = np.nan
    d = graph.data
    if edge_weights == "binary":
        d[:] = 1.0
    elif edge_weights == "heat":
        scale = float(d.mean(dtype=np.float64)) if d.size else 0.0
        if sigma != "mean":
            scale = float(sigma)
        if scale > 0:
            d /= -scale
            np.exp(d, out=d)
        else:
            d[:] = 1.0
    else:
        # ||x - y||^2 = |x|^2 + |y|^2 - 2 x'y gives the cosine from the distance.
        if sparse.issparse(X):
            power = np.asarray(X.multiply(X).sum(axis=1), dtype=np.float64).ravel()
        else:
            power = np.einsum("nl,nl->n", X, X, dtype=np.float64)
        rows = np.repeat(np.arange(X.shape[0]), np.diff(graph.indptr))
        p, q = power[rows], power[graph.indices]
        both = np.sqrt(p * q)
        cosine = np.divide(0.5 * (p + q - d), both, where=both > 0, out=0.0 * both)
        d[:] = np.clip(cosine, 0.0, 1.0)
    return graph, scale


def _nearest(graph, k):
    N = graph.shape[0]
    rows = np.repeat(np.arange(N), np.diff(graph.indptr))
    order = np.lexsort((graph.data, rows))
    rank = np.empty(rows.size, dtype=np.int64)
    rank[order] = np.arange(rows.size) - graph.indptr[rows[order]]
    keep = rank < k
    # A pair stays when either side keeps it; the transpose of the entry numbers tells
    # the place of each entry's mirror image.
    numbers = sparse.csr_array(
        (np.arange(1, rows.size + 1), graph.indices, graph.indptr), shape=(N, N)
    )
    keep |= keep[numbers.T.tocsr().data - 1]
    counts = np.bincount(rows[keep], minlength=N).astype(np.int32)
    return sparse.csr_array(
        (graph.data[keep], graph.indices[keep], _pointers(counts)), shape=(N, N)
    )


def given_affinity(affinity, n_rows):
    """A user's affinity as canonical CSR; must be symmetric and non-negative."""
    if affinity is None:
        raise ValueError("affinity='precomputed' needs the matrix: fit(X, affinity=W).")
    if not sparse.issparse(affinity):
        affinity = check_array(affinity, input_name="affinity")
    W = sparse.csr_array(affinity, dtype=np.float64, copy=True)
    if W.shape != (n_rows, n_rows):
        raise ValueError(
            f"affinity must have shape (n_samples, n_samples) = ({n_rows}, {n_rows}), "
            f"got {W.shape}."
        )
    if not np.isfinite(W.data).all():
        raise ValueError("affinity contains NaN or infinity.")
    if W.data.size and W.data.min() < 0:
        raise ValueError(f"affinity must not be negative; its minimum is {W.min()}.")
    if abs(W - W.T).max() > 1e-10 * max(1e-300, abs(W).max()):
        raise ValueError("affinity must be symmetric: use (W + W.T) / 2.")
    # An edge to itself does nothing in D - W.
    W.setdiag(0.0)
    W.eliminate_zeros()
    W.sum_duplicates()
    W.sort_indices()
    return W
