# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._matplotlib import get_axes


class AbundanceMapDisplay:
    """Maps of abundances above the spectra they belong to.

    Make it with :meth:`from_estimator` or :meth:`from_arrays`.

    Parameters
    ----------
    abundances : ndarray of shape (rows, columns, n_endmembers)
        Maps; NaN outside a region.
    endmembers : ndarray of shape (n_endmembers, n_bands)
        Spectra.
    wavelengths : array-like of shape (n_bands,), default=None
        Positions of the bands; None: their numbers.
    names : list of str, default=None
        Titles of the maps; None: numbers.
    reference_endmembers : ndarray of shape (n_endmembers, n_bands), default=None
        Spectra drawn dashed behind the others, all scaled to the same length.

    Attributes
    ----------
    axes_ : ndarray of matplotlib axes of shape (2, n_endmembers)
        Maps in the first row and spectra in the second.
    ax_, figure_ : matplotlib axes and figure
        The first map and its figure, after :meth:`plot`.

    Examples
    --------
    >>> from skstruct.datasets import make_hyperspectral_scene
    >>> from skstruct.plotting import AbundanceMapDisplay
    >>> scene = make_hyperspectral_scene(random_state=0)
    >>> display = AbundanceMapDisplay.from_arrays(
    ...     scene.abundances.reshape(40, 40, 4), scene.endmembers
    ... )
    >>> display.abundances.shape
    (40, 40, 4)
    """

    def __init__(
        self,
        abundances,
        endmembers,
        *,
        wavelengths=None,
        names=None,
        reference_endmembers=None,
    ):
        self.abundances = np.asarray(abundances)
        self.endmembers = np.asarray(endmembers)
        if (
            self.abundances.ndim != 3
            or self.endmembers.ndim != 2
            or self.abundances.shape[2] != self.endmembers.shape[0]
        ):
            raise ValueError(
                "abundances must have shape (rows, columns, K) and endmembers "
                f"(K, n_bands), got {self.abundances.shape} and "
                f"{self.endmembers.shape}."
            )
        K, n_bands = self.endmembers.shape
        for name, value, size in (
            ("wavelengths", wavelengths, n_bands),
            ("names", names, K),
        ):
            if value is not None and len(value) != size:
                raise ValueError(f"{name} must have {size} entries, got {len(value)}.")
        if reference_endmembers is not None:
            reference_endmembers = np.asarray(reference_endmembers)
            if reference_endmembers.shape != self.endmembers.shape:
                raise ValueError(
                    f"reference_endmembers must have shape {self.endmembers.shape}, "
                    f"got {reference_endmembers.shape}."
                )
        self.wavelengths = wavelengths
        self.names = names
        self.reference_endmembers = reference_endmembers

    @classmethod
    def from_estimator(
        cls,
        est,
        *,
        image_shape=None,
        mask=None,
        method="normalize",
        order=None,
        wavelengths=None,
        names=None,
        reference_endmembers=None,
        ax=None,
        **kwargs,
    ):
        """Draw the training image of a fitted estimator.

        Parameters
        ----------
        est : StructuredSparseNMF
            Fitted.
        image_shape : tuple of two ints, default=None
            None: the one of the estimator.
        mask : array-like of bool of shape `image_shape`, default=None
            None: the one of the estimator.
        method : {"normalize", "calibrate"}, default="normalize"
            How abundances are made to sum to one.
        order : array-like of int, default=None
            Which components to show and in which order, such as from
            :func:`skstruct.metrics.match_endmembers`. None: all.
        wavelengths, names, reference_endmembers : array-likes, default=None
            As in the class.
        ax : None
            A display has several axes and makes its own figure; to choose them use
            ``plot(axes=...)``.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : AbundanceMapDisplay

        Raises
        ------
        ValueError
            If no image shape is known or it does not fit the samples.
        """
        check_is_fitted(est, "embedding_")
        shape = est.image_shape if image_shape is None else image_shape
        mask = est.mask if mask is None else mask
        if shape is None:
            raise ValueError(
                "image_shape is not known to the estimator; give from_estimator "
                "image_shape=(rows, columns)."
            )
        A, M = est.abundances(method=method, return_endmembers=True)
        shape = tuple(shape)
        inside = np.ones(shape, bool) if mask is None else np.asarray(mask, bool)
        if inside.shape != shape or inside.sum() != len(A):
            raise ValueError(
                f"image_shape={shape} with its mask has {inside.sum()} pixels, the "
                f"estimator was fitted on {len(A)}."
            )
        maps = np.full((*shape, A.shape[1]), np.nan)
        maps[inside] = A
        order = np.arange(A.shape[1]) if order is None else np.asarray(order)
        display = cls(
            maps[..., order],
            M[order],
            wavelengths=wavelengths,
            names=names,
            reference_endmembers=reference_endmembers,
        )
        return display.plot(ax, **kwargs)

    @classmethod
    def from_arrays(cls, abundances, endmembers, **kwargs):
        """Make a display from maps and spectra, without drawing it.

        Parameters
        ----------
        abundances : array-like of shape (rows, columns, n_endmembers)
            Maps.
        endmembers : array-like of shape (n_endmembers, n_bands)
            Spectra.
        **kwargs
            Further parameters of the class.

        Returns
        -------
        display : AbundanceMapDisplay
        """
        return cls(abundances, endmembers, **kwargs)

    def plot(self, ax=None, *, axes=None, cmap="viridis", **kwargs):
        """Draw maps with the common scale 0 to 1, and spectra below.

        Parameters
        ----------
        ax : None
            Present by the convention of displays; several axes are needed.
        axes : array of matplotlib axes of shape (2, n_endmembers), default=None
            None makes a new figure.
        cmap : str, default="viridis"
            Colours of the maps.
        **kwargs
            Passed to ``imshow``.

        Returns
        -------
        display : AbundanceMapDisplay
        """
        if ax is not None:
            raise ValueError("Maps and spectra need several axes: give plot(axes=...).")
        K = self.endmembers.shape[0]
        if axes is None:
            axes = get_axes(
                nrows=2,
                ncols=K,
                squeeze=False,
                figsize=(2.6 * K, 4.6),
                height_ratios=(1.5, 1),
                layout="constrained",
            )
        axes = np.asarray(axes)
        if axes.shape != (2, K):
            raise ValueError(f"axes must have shape (2, {K}), got {axes.shape}.")
        bands = np.arange(self.endmembers.shape[1])
        positions = bands if self.wavelengths is None else np.asarray(self.wavelengths)
        # Where sensor bands were left out the line is broken, not drawn across.
        gaps = np.flatnonzero(np.diff(positions) > 3 * np.median(np.diff(positions)))
        style = {"vmin": 0, "vmax": 1, "cmap": cmap, **kwargs}
        for k in range(K):
            image = axes[0, k].imshow(self.abundances[..., k], **style)
            axes[0, k].set_xticks([])
            axes[0, k].set_yticks([])
            axes[0, k].set_title(str(k) if self.names is None else self.names[k])
            below = axes[1, k]
            if self.reference_endmembers is not None:
                reference = self.reference_endmembers[k]
                size = np.linalg.norm(reference)
                reference = reference * (
                    np.linalg.norm(self.endmembers[k]) / size if size > 0 else 0.0
                )
                below.plot(
                    np.insert(positions.astype(float), gaps + 1, np.nan),
                    np.insert(reference.astype(float), gaps + 1, np.nan),
                    color="0.55",
                    linestyle="--",
                    label="reference",
                )
            below.plot(
                np.insert(positions.astype(float), gaps + 1, np.nan),
                np.insert(self.endmembers[k].astype(float), gaps + 1, np.nan),
                color=f"C{k}",
            )
            below.set_ylim(bottom=0)
            below.set_yticks([])
            below.set_xlabel("band" if self.wavelengths is None else "wavelength")
        axes[1, 0].set_ylabel("spectrum")
        if self.reference_endmembers is not None:
            axes[1, 0].legend(frameon=False, fontsize="small")
        axes[0, 0].figure.colorbar(
            image, ax=list(axes[0]), label="abundance", fraction=0.05, shrink=0.9
        )
        self.axes_, self.ax_, self.figure_ = axes, axes[0, 0], axes[0, 0].figure
        return self
