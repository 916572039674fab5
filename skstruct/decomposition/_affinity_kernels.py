"""Loops over neighbouring pixels: their distances, and their edges by offset."""

# SPDX-License-Identifier: BSD-3-Clause

from .._jit import jit

_SUMS = {"fastmath": {"reassoc", "contract"}}


@jit(**_SUMS)
def _squared_distance(X, n, m):
    d = 0.0
    for j in range(X.shape[1]):
        e = X[n, j] - X[m, j]
        d += e * e
    return d


@jit()
def count_neighbours(number, half, counts):
    """Pixels inside the window around each pixel; `number` is -1 outside the mask."""
    rows, columns = number.shape
    for r in range(rows):
        for c in range(columns):
            n = number[r, c]
            if n < 0:
                continue
            found = -1
            for p in range(max(0, r - half), min(rows, r + half + 1)):
                for q in range(max(0, c - half), min(columns, c + half + 1)):
                    found += number[p, q] >= 0
            counts[n] = found


@jit()
def window_distances(X, number, half, indptr, indices, data):
    """Squared distances of neighbouring pixels, as the entries of a CSR matrix.

    Every pair is computed once, at its first pixel, and written to both rows: the
    rows of the later pixels fill in the order of the numbers, so they come sorted.

    Returns the sum over the entries.
    """
    rows, columns = number.shape
    place = indptr[:-1].copy()
    total = 0.0
    for r in range(rows):
        for c in range(columns):
            n = number[r, c]
            if n < 0:
                continue
            for p in range(r, min(rows, r + half + 1)):
                left = c + 1 if p == r else max(0, c - half)
                for q in range(left, min(columns, c + half + 1)):
                    m = number[p, q]
                    if m < 0:
                        continue
                    d = _squared_distance(X, n, m)
                    indices[place[n]] = m
                    data[place[n]] = d
                    place[n] += 1
                    indices[place[m]] = n
                    data[place[m]] = d
                    place[m] += 1
                    total += 2.0 * d
    return total


@jit()
def pair_distances(X, rows, columns, out):
    """Squared distances of listed pairs of rows."""
    for t in range(rows.size):
        out[t] = _squared_distance(X, rows[t], columns[t])


@jit()
def edge_bands(indptr, indices, weights, offsets, bands):
    """The upper half of the graph by offsets ``m - n > 0`` of its neighbours.

    ``bands[o, n]`` becomes the weight between pixels n and ``n + offsets[o]``.

    Returns
    -------
    count : int
        Number of different offsets, -1 where they are more than `offsets` holds.
    """
    count = 0
    for n in range(indptr.size - 1):
        o = 0
        for t in range(indptr[n], indptr[n + 1]):
            d = indices[t] - n
            if d <= 0:
                continue
            # Neighbours come in the same order nearly everywhere.
            for _ in range(count):
                if o >= count:
                    o = 0
                if offsets[o] == d:
                    break
                o += 1
            if o >= count or offsets[o] != d:
                if count == offsets.size:
                    return -1
                o = count
                offsets[o] = d
                count += 1
            bands[o, n] = weights[t]
            o += 1
    return count


@jit()
def band_edges(indptr, indices, offsets, bands, weights):
    """The inverse of `edge_bands`: the weights of all edges from both sides."""
    for n in range(indptr.size - 1):
        for t in range(indptr[n], indptr[n + 1]):
            d = abs(indices[t] - n)
            for o in range(offsets.size):
                if offsets[o] == d:
                    weights[t] = bands[o, min(n, indices[t])]
                    break
