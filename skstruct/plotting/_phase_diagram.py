# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._matplotlib import get_axes

_METHODS = ("projection", "tensor", "unfolding")


class PhaseDiagramDisplay:
    """What clustering of noisy views can reach, and where your data are.

    The map shows the cosine between estimated and true sample scores that theory
    promises for each pair of signal-to-noise ratios: ``beta_M`` of the samples to
    the right, ``rho_T = beta_T^2 n_T / sqrt(n_features n_samples n_views)`` of the
    views upwards. Make it with :meth:`from_estimator` or :meth:`from_theory`.

    Parameters
    ----------
    beta_M, rho_T : ndarrays of shapes (n_columns,) and (n_rows,)
        The grid, ascending.
    alignment : ndarray of shape (n_rows, n_columns)
        Cosines on the grid.
    method : str
        Name of the method, for the title.
    point : tuple (beta_M, rho_T), default=None
        Where the data are.

    Attributes
    ----------
    beta_M_, rho_T_, alignment_ : ndarrays
        The grid and the map.
    point_ : tuple or None
        Where the data are.
    ax_, figure_ : matplotlib axes and figure
        After :meth:`plot`.

    Examples
    --------
    >>> from skstruct.plotting import PhaseDiagramDisplay
    >>> display = PhaseDiagramDisplay.from_theory((150, 300, 60))
    >>> display.alignment_.shape
    (60, 60)
    """

    def __init__(self, beta_M, rho_T, alignment, *, method, point=None):
        self.beta_M_ = np.asarray(beta_M)
        self.rho_T_ = np.asarray(rho_T)
        self.alignment_ = alignment
        self.method = method
        self.point_ = point

    @classmethod
    def from_theory(
        cls, shape, *, method="projection", beta_M=None, rho_T=None, point=None
    ):
        """Compute the map, without drawing it.

        Parameters
        ----------
        shape : tuple of three ints
            (features, samples, views).
        method : {"projection", "tensor", "unfolding"}, default="projection"
            Whose alignment is mapped. "projection" reaches that of the weighted mean
            with known weights.
        beta_M : array-like of shape (n_columns,), default=None
            Grid to the right. None: 60 values up to 5, or beyond `point`.
        rho_T : array-like of shape (n_rows,), default=None
            Grid upwards, positive. None: 60 values from 0.01 to 5, logarithmic, or
            beyond `point`.
        point : tuple (beta_M, rho_T), default=None
            Where the data are.

        Returns
        -------
        display : PhaseDiagramDisplay
        """
        # Here, so that the displays do not import the estimators.
        from ..tensor._nested_theory import (
            rank_one_alignment_map,
            unfolding_theory,
            weighted_mean_theory,
        )

        if method not in _METHODS:
            raise ValueError(f"method={method!r} must be one of {_METHODS}.")
        far_M, low_T, high_T = 5.0, 0.01, 5.0
        if point is not None:
            far_M = max(far_M, 1.3 * point[0])
            if point[1] > 0:
                low_T, high_T = min(low_T, point[1] / 2), max(high_T, 2 * point[1])
        if beta_M is None:
            beta_M = np.linspace(far_M / 60, far_M, 60)
        if rho_T is None:
            rho_T = np.geomspace(low_T, high_T, 60)
        beta_M, rho_T = np.asarray(beta_M, float), np.asarray(rho_T, float)
        for name, grid in (("beta_M", beta_M), ("rho_T", rho_T)):
            if grid.ndim != 1 or not np.all(grid > 0) or not np.isfinite(grid).all():
                raise ValueError(
                    f"{name} must be a vector of positive numbers, got {grid}."
                )
        n1, n2, n3 = shape
        beta_T = np.sqrt(rho_T * np.sqrt(float(n1) * n2 * n3) / (n1 + n2 + n3))
        if method == "tensor":
            alignment = rank_one_alignment_map(tuple(shape), beta_T, beta_M)
        elif method == "unfolding":
            theory = unfolding_theory(shape, beta_T[:, None], beta_M[None, :])
            alignment = np.sqrt(theory["alignment_squared"])
        else:
            alignment = np.sqrt(
                weighted_mean_theory(shape, beta_T[:, None], beta_M[None, :])
            )
        return cls(beta_M, rho_T, alignment, method=method, point=point)

    @classmethod
    def from_estimator(cls, estimator, *, method=None, ax=None, **kwargs):
        """Draw the map of a fitted estimator's shape, with its data marked.

        Parameters
        ----------
        estimator : NestedTensorClustering or NestedTensorPCA
            Fitted. Infinite or unknown ratios (no view noise, one view) are put at
            the upper end.
        method : {"projection", "tensor", "unfolding"}, default=None
            None: that of the estimator.
        ax : matplotlib axes, default=None
            None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : PhaseDiagramDisplay
        """
        check_is_fitted(estimator, "beta_M_")
        n_samples = estimator.embedding_.shape[0]
        n_features = estimator.components_.shape[1]
        n_views = estimator.view_weights_.size
        shape = (n_features, n_samples, n_views)
        beta_M = float(np.nan_to_num(estimator.beta_M_[0], posinf=10.0))
        rho = estimator.beta_T_**2 * sum(shape) / np.sqrt(float(np.prod(shape)))
        point = (beta_M, float(rho) if np.isfinite(rho) else 5.0)
        display = cls.from_theory(
            shape, method=estimator.method if method is None else method, point=point
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, label="your data are here", **kwargs):
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes a new figure.
        label : str, default="your data are here"
            Text beside the marked point.
        **kwargs
            Passed to ``ax.pcolormesh``.

        Returns
        -------
        display : PhaseDiagramDisplay
        """
        from ..tensor._nested_theory import two_class_accuracy

        ax = get_axes(ax)
        style = {"cmap": "viridis", "vmin": 0, "vmax": 1, "shading": "nearest"}
        mesh = ax.pcolormesh(
            self.beta_M_, self.rho_T_, self.alignment_, **{**style, **kwargs}
        )
        ax.figure.colorbar(mesh, ax=ax, label="cosine to the true sample scores")
        accuracy = two_class_accuracy(self.alignment_)
        levels = [v for v in (0.75, 0.9, 0.99) if accuracy.min() < v < accuracy.max()]
        if levels:
            lines = ax.contour(
                self.beta_M_, self.rho_T_, accuracy, levels, colors="k", linewidths=1
            )
            ax.clabel(lines, fmt=lambda v: f"accuracy {v:g}", fontsize=8)
        if self.point_ is not None:
            x = min(max(self.point_[0], self.beta_M_[0]), self.beta_M_[-1])
            y = min(max(self.point_[1], self.rho_T_[0]), self.rho_T_[-1])
            ax.plot(x, y, "*", color="#e4572e", markersize=16, markeredgecolor="w")
            right = x < 0.6 * self.beta_M_[-1]
            ax.annotate(
                label,
                (x, y),
                xytext=(12 if right else -12, 10),
                textcoords="offset points",
                ha="left" if right else "right",
                bbox={"boxstyle": "round", "facecolor": "w", "alpha": 0.85},
            )
        ax.set_yscale("log")
        ax.set_xlabel(r"$\beta_M$: samples against their own spread")
        ax.set_ylabel(r"$\rho_T$: views against their noise")
        ax.set_title(f"What method {self.method!r} can reach")
        self.ax_, self.figure_ = ax, ax.figure
        return self
