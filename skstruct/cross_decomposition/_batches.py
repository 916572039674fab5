"""Shuffled batches of rows, read in blocks."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy import sparse

from ._accumulator import CenteredRows
from ._views import BLOCK_ENTRIES


def batch_stops(n, batch_size):
    """Ends of the batches of n rows; a short last one joins the one before."""
    stops = list(range(batch_size, n, batch_size)) + [n]
    if len(stops) > 1 and stops[-1] - stops[-2] < max(2, batch_size / 2):
        del stops[-2]
    return stops


def shuffled_batches(data, batch_size, order):
    """Standardised batches of the rows in the given order.

    Many batches are gathered at once, from sorted positions, since a memory map is
    read page by page and one fancy index per batch costs as much as its products.

    Parameters
    ----------
    data : StandardizedViews
    batch_size : int
    order : ndarray of int
        Row numbers; None for the order of the data.
    """
    n = data.n_rows if order is None else len(order)
    limit = max(batch_size, BLOCK_ENTRIES // sum(data.sizes))
    stops = batch_stops(n, batch_size)
    start = 0
    while stops:
        last = max(1, sum(stop - start <= limit for stop in stops))
        ends, stops = stops[:last], stops[last:]
        rows = slice(start, ends[-1])
        block = data.block(rows) if order is None else _gather(data, order[rows])
        begin = start
        for end in ends:
            yield [X[begin - start : end - start] for X in block]
            begin = end
        start = ends[-1]


def _gather(data, rows):
    by_position = np.argsort(rows, kind="stable")
    gathered = []
    for X, mean, inverse in zip(data.views, data.means, data.inverse_scales):
        if sparse.issparse(X):
            gathered.append(CenteredRows(X[rows], mean, inverse, data.dtype))
            continue
        B = np.empty((len(rows), X.shape[1]), dtype=data.dtype)
        B[by_position] = X[rows[by_position]]
        B -= mean
        B *= inverse
        gathered.append(B)
    return gathered
