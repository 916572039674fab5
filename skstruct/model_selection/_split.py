# SPDX-License-Identifier: BSD-3-Clause

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_scalar


class EntrywiseKFold:
    """Folds over the observed entries of a matrix, or of a stack of matrices.

    For choosing how a matrix is completed: rows stay together, entries are held
    out. It is not a row splitter: use it through the ``*CV`` classes of
    :mod:`skstruct.impute` or in a loop of your own, not in ``GridSearchCV``.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=True
        Whether entries are dealt to the folds at random; False deals them in turn
        in C order.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle.

    Notes
    -----
    The test masks partition the observed entries and their sizes differ by at most
    one, up to one repair: where a fold would leave a row or column without any
    training entry, one of its test entries moves to the training side of that fold
    and is tested in none.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.model_selection import EntrywiseKFold
    >>> X = np.arange(30.0).reshape(5, 6)
    >>> X[0, 0] = np.nan
    >>> for train, test in EntrywiseKFold(3, random_state=0).split(X):
    ...     print(train.sum(), test.sum(), bool((train & test).any()))
    19 10 False
    19 10 False
    20 9 False
    """

    def __init__(self, n_splits=5, *, shuffle=True, random_state=None):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def split(self, X, *args, **kwargs):
        """Boolean masks of the training and the test entries of each fold.

        Parameters
        ----------
        X : array-like of shape (n, p) or (m, n, p), or sparse matrix of shape (n, p)
            NaN is missing; in a sparse matrix what is not stored is missing and
            explicit zeros are observed.
        *args, **kwargs
            Refused: scikit-learn's searches pass labels here.

        Returns
        -------
        splits : iterator of (train, test)
            Boolean arrays of the shape of `X`; for a sparse `X` of the shape of
            ``X.data`` in CSR order.

        Raises
        ------
        TypeError
            When called by a splitter of rows such as GridSearchCV.
        ValueError
            With fewer observed entries than folds.
        """
        if args or kwargs:
            raise _not_rows()
        check_scalar(self.n_splits, "n_splits", Integral, min_val=2)
        # The checks run at the call, not at the first item.
        return self._split(*_observed_entries(X))

    def _split(self, lines, size, place):
        n = lines[0].size
        if n < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} is larger than the number of observed "
                f"entries, {n}."
            )
        order = np.arange(n)
        if self.shuffle:
            check_random_state(self.random_state).shuffle(order)
        fold = np.empty(n, dtype=np.intp)
        fold[order] = np.arange(n) % self.n_splits
        for k in range(self.n_splits):
            test = fold == k
            for index, count in zip(lines, size):
                _keep_one(test, index, count)
            yield place(~test), place(test)

    def get_n_splits(self, *args, **kwargs):
        """Return the number of folds.

        Parameters
        ----------
        *args, **kwargs
            Refused: scikit-learn's searches pass the data here.

        Returns
        -------
        n_splits : int
        """
        if args or kwargs:
            raise _not_rows()
        return self.n_splits

    def __repr__(self):
        return (
            f"EntrywiseKFold(n_splits={self.n_splits}, shuffle={self.shuffle}, "
            f"random_state={self.random_state})"
        )


def _not_rows():
    return TypeError(
        "EntrywiseKFold splits entries, not rows, and cannot be the cv of a search "
        "over rows. Use SVTImputerCV or SoftImputerCV (skstruct.impute), or "
        "skstruct.tensor.cross_validate_entries."
    )


def _observed_entries(X):
    """Line numbers of each observed entry, the lines' counts, and a mask builder."""
    if sparse.issparse(X):
        X = sparse.csr_array(X)
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        return (rows, X.indices), X.shape, lambda mask: mask
    X = check_array(X, allow_nd=True, ensure_all_finite="allow-nan", dtype="numeric")
    observed = ~np.isnan(X) if X.dtype.kind == "f" else np.ones(X.shape, dtype=bool)
    if X.ndim == 3:
        m, n, p = X.shape
        k, i, j = np.nonzero(observed)
        lines, size = (k * n + i, k * p + j), (m * n, m * p)
    else:
        lines, size = np.nonzero(observed), X.shape

    def place(mask):
        full = np.zeros(observed.shape, dtype=bool)
        full[observed] = mask
        return full

    return lines, size, place


def _keep_one(test, index, n_lines):
    """Move one entry to training wherever a line would lose its last one."""
    n_train = np.bincount(index[~test], minlength=n_lines)
    emptied = np.flatnonzero(test & (n_train[index] == 0))
    _, first = np.unique(index[emptied], return_index=True)
    test[emptied[first]] = False


class ImageBlockKFold:
    """Folds of rectangular image tiles, for models that are smooth in space.

    Neighbouring pixels mostly stay on one side, so that a model which borrows from
    neighbours is not flattered by having seen those of a test pixel.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    image_shape : tuple of two ints
        Rows and columns of the image.
    mask : array-like of bool of shape `image_shape`, default=None
        Pixels that are rows of `X`; None takes all.
    block_shape : tuple of two ints, default=None
        Rows and columns of a tile; tiles at the right and lower border may be
        smaller. None: as square as possible with at least ``4 * n_splits`` tiles.
    shuffle : bool, default=True
        Whether tiles are dealt to the folds at random.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.model_selection import ImageBlockKFold
    >>> cv = ImageBlockKFold(2, image_shape=(4, 6), block_shape=(2, 2), random_state=0)
    >>> [len(test) for train, test in cv.split(np.zeros((24, 3)))]
    [12, 12]
    """

    def __init__(
        self,
        n_splits=5,
        *,
        image_shape,
        mask=None,
        block_shape=None,
        shuffle=True,
        random_state=None,
    ):
        self.n_splits = n_splits
        self.image_shape = image_shape
        self.mask = mask
        self.block_shape = block_shape
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored, present by scikit-learn's convention.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def tiles(self):
        """List the tiles in C order of their upper left corners.

        Returns
        -------
        tiles : list of (indices, shape)
            Row numbers of `X` that lie in the tile, in C order, and the tile's
            (rows, columns). ``est.set_params(image_shape=shape).fit(X[indices])``
            fits a graph on one tile when there is no mask. Tiles that the mask
            empties are left out.
        """
        number, block = self._geometry()
        rows, columns = number.shape
        found = []
        for top in range(0, rows, block[0]):
            for left in range(0, columns, block[1]):
                tile = number[top : top + block[0], left : left + block[1]]
                indices = tile[tile >= 0]
                if indices.size:
                    found.append((indices, tile.shape))
        return found

    def split(self, X, y=None, groups=None):
        """Yield row numbers of training and test pixels.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_bands)
            Pixels in C order of the image, masked ones left out.
        y, groups : object
            Ignored, present by scikit-learn's convention.

        Yields
        ------
        train, test : ndarrays of int

        Raises
        ------
        ValueError
            If the number of rows is not the number of (masked) pixels, or there are
            fewer tiles than folds.
        """
        check_scalar(self.n_splits, "n_splits", Integral, min_val=2)
        tiles = [indices for indices, _ in self.tiles()]
        n_pixels = sum(map(len, tiles))
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if n_rows != n_pixels:
            raise ValueError(
                f"X has {n_rows} rows, but image_shape={tuple(self.image_shape)} with "
                f"its mask has {n_pixels} pixels."
            )
        if len(tiles) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} is larger than the number of tiles, "
                f"{len(tiles)}; choose a smaller block_shape."
            )
        order = np.arange(len(tiles))
        if self.shuffle:
            check_random_state(self.random_state).shuffle(order)
        for k in range(self.n_splits):
            chosen = set(order[k :: self.n_splits].tolist())
            sides = [
                np.sort(
                    np.concatenate(
                        [t for i, t in enumerate(tiles) if (i in chosen) is side]
                    )
                )
                for side in (False, True)
            ]
            yield tuple(sides)

    def _geometry(self):
        """Row number of each pixel (-1 outside the mask) and the tile shape."""
        rows, columns = (int(side) for side in self.image_shape)
        if min(rows, columns) < 1:
            raise ValueError(f"image_shape={self.image_shape} must be positive.")
        if self.mask is None:
            inside = np.ones((rows, columns), dtype=bool)
        else:
            inside = np.asarray(self.mask, dtype=bool)
            if inside.shape != (rows, columns):
                raise ValueError(
                    f"mask has shape {inside.shape}, image_shape is {(rows, columns)}."
                )
        number = np.where(inside, np.cumsum(inside).reshape(rows, columns) - 1, -1)
        if self.block_shape is not None:
            block = tuple(int(side) for side in self.block_shape)
            if len(block) != 2 or min(block) < 1:
                raise ValueError(
                    f"block_shape={self.block_shape} must be two positive integers."
                )
            return number, block
        # The largest square that still gives 4 n_splits tiles.
        side = max(rows, columns)
        while side > 1 and -(-rows // side) * -(-columns // side) < 4 * self.n_splits:
            side -= 1
        return number, (min(side, rows), min(side, columns))

    def __repr__(self):
        return (
            f"ImageBlockKFold(n_splits={self.n_splits}, "
            f"image_shape={tuple(self.image_shape)}, block_shape={self.block_shape})"
        )
