# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._matplotlib import get_axes

_KINDS = ("graph", "path")
_MAX_NODES = 300


class FactorGraphDisplay:
    """Thresholded correlations coloured by factor, or the path over thresholds.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    correlation : ndarray of shape (n_features, n_features) or None
        Correlations; not needed for the path.
    support : ndarray of bool of shape (n_features, n_factors)
        Which variables load on which factor.
    threshold : float
        Edges are the correlations above it in absolute value.
    names : list of str
        Names of the variables.
    path : list of dict
        As in ``CorrelationThresholding.path_``.
    kind : {"graph", "path"}, default="graph"
        What is drawn.

    Attributes
    ----------
    positions_ : dict of str -> ndarray of shape (2,)
        Where the variables are drawn; only with "graph".
    ax_, figure_ : matplotlib axes and figure
        After :meth:`plot`.

    Examples
    --------
    >>> from skstruct.datasets import load_holzinger_swineford
    >>> from skstruct.factor_analysis import CorrelationThresholding
    >>> from skstruct.plotting import FactorGraphDisplay
    >>> ct = CorrelationThresholding().fit(load_holzinger_swineford().data)
    >>> display = FactorGraphDisplay.from_estimator(ct)  # doctest: +SKIP
    """

    def __init__(self, correlation, support, threshold, names, path, *, kind="graph"):
        if kind not in _KINDS:
            raise ValueError(f"kind={kind!r} must be one of {_KINDS}.")
        self.correlation = correlation
        self.support = support
        self.threshold = threshold
        self.names = names
        self.path = path
        self.kind = kind

    @classmethod
    def from_estimator(
        cls, estimator, *, kind="graph", threshold=None, ax=None, **kwargs
    ):
        """Draw a fitted model.

        Parameters
        ----------
        estimator : CorrelationThresholding
            Fitted.
        kind : {"graph", "path"}, default="graph"
            The graph of the chosen threshold, or number of factors and BIC against
            the threshold.
        threshold : float, default=None
            Threshold of the edges. None: the estimator's; where it thresholded a
            scaled similarity, one that leaves about two edges per variable.
        ax : matplotlib axes, default=None
            None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : FactorGraphDisplay

        Raises
        ------
        ValueError
            If the graph has more than 300 variables.
        """
        check_is_fitted(estimator)
        if kind == "graph" and estimator.n_features_in_ > _MAX_NODES:
            raise ValueError(
                f"A graph of {estimator.n_features_in_} variables cannot be read; the "
                f"limit is {_MAX_NODES}. kind='path' has none."
            )
        if threshold is None:
            threshold = estimator.threshold_
            if kind == "graph" and estimator.similarity_ != "correlation":
                p = estimator.n_features_in_
                r = np.sort(np.abs(estimator.correlation_[np.triu_indices(p, 1)]))
                threshold = r[-min(2 * p, r.size)]
        display = cls(
            estimator.correlation_,
            estimator.support_,
            threshold,
            estimator._names(),
            estimator.path_,
            kind=kind,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw it.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes a new figure.
        **kwargs
            Passed to ``ax.scatter`` (graph) or ``ax.step`` (path).

        Returns
        -------
        display : FactorGraphDisplay
        """
        ax = get_axes(ax)
        if self.kind == "graph":
            self._plot_graph(ax, kwargs)
        else:
            self._plot_path(ax, kwargs)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _plot_graph(self, ax, kwargs):
        R = np.abs(self.correlation)
        tau = 0.0 if np.isnan(self.threshold) else self.threshold
        p = len(R)
        rows, columns = np.nonzero(np.triu(R > tau, 1))
        xy = _factor_layout(self.support)
        for i, j in zip(rows, columns):
            shared = np.flatnonzero(self.support[i] & self.support[j])
            colour = f"C{shared[0] % 10}" if shared.size else "0.6"
            ax.plot(
                *xy[[i, j]].T,
                color=colour,
                alpha=0.75 if shared.size else 0.5,
                linewidth=0.5 + 3 * (R[i, j] - tau),
                zorder=1,
            )
        short = all(len(name) <= 3 for name in self.names)
        style = {"s": 360 if short else 110, "linewidths": 2.5, "zorder": 2, **kwargs}
        count = self.support.sum(axis=1)
        for i in range(p):
            factors = np.flatnonzero(self.support[i])
            face = f"C{factors[0] % 10}" if count[i] == 1 else "white"
            ring = f"C{factors[-1] % 10}" if count[i] else "0.6"
            ax.scatter(*xy[i], facecolor=face, edgecolor=ring, **style)
            inside = len(self.names[i]) <= 3
            ax.annotate(
                self.names[i],
                xy[i],
                xytext=(0, 0 if inside else -14),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if inside and count[i] == 1 else "black",
                zorder=3,
            )
        ax.set_title(
            f"{self.support.shape[1]} factors, |r| > {tau:.3g}; white: "
            "several factors or none"
        )
        ax.set_axis_off()
        ax.margins(0.12)
        self.positions_ = dict(zip(self.names, xy))

    def _plot_path(self, ax, kwargs):
        order = np.argsort([entry["threshold"] for entry in self.path], kind="stable")
        path = [self.path[i] for i in order]
        tau = np.array([entry["threshold"] for entry in path])
        count = np.array([entry["n_components"] for entry in path])
        ax.step(tau, count, where="post", **{"color": "0.45", **kwargs})
        ax.set_xlabel("threshold of |correlation|")
        ax.set_ylabel("number of factors", color="0.35")
        bic = np.array([entry["bic"] for entry in path])
        final = np.array([entry["converged"] for entry in path])
        if np.isfinite(bic).any():
            twin = ax.twinx()
            twin.plot(tau, bic, ".", color="C0", alpha=0.5, markersize=5)
            twin.plot(tau[final], bic[final], "o", color="C0", markersize=6)
            twin.set_ylabel("BIC (large: fitted in full)", color="C0")
            twin.set_zorder(ax.get_zorder() - 1)
            ax.patch.set_visible(False)
        if not np.isnan(self.threshold):
            ax.axvline(self.threshold, color="C3", linestyle="--", linewidth=1)
            chosen = int(self.support.shape[1])
            ax.annotate(
                f" {self.threshold:.3g}: {chosen} factors",
                (self.threshold, 0.02),
                xycoords=("data", "axes fraction"),
                color="C3",
            )


def _factor_layout(support):
    """Variables around the centre of their factor, shared ones between centres."""
    p, d = support.shape
    angle = 2 * np.pi * np.arange(max(d, 1)) / max(d, 1)
    centres = np.column_stack([np.cos(angle), np.sin(angle)]) * (d > 1)
    # Neighbouring rings must not touch.
    radius = 0.38 if d <= 4 else 0.85 * np.sin(np.pi / d)
    xy = np.zeros((p, 2))
    patterns, group = np.unique(support, axis=0, return_inverse=True)
    group = group.reshape(-1)
    for g, pattern in enumerate(patterns):
        members = np.flatnonzero(group == g)
        factors = np.flatnonzero(pattern)
        turn = np.arange(members.size) / members.size
        if factors.size == 0:
            xy[members] = np.column_stack(
                [2 * (turn + 0.5 / members.size) - 1, np.full(members.size, -1.9)]
            )
            continue
        centre = centres[factors].mean(axis=0)
        if factors.size == 1:
            phase = 2 * np.pi * turn + angle[factors[0]] + np.pi / members.size
            xy[members] = centre + radius * np.column_stack(
                [np.cos(phase), np.sin(phase)]
            )
            continue
        # Side by side, across the line that joins two centres.
        along = centres[factors[0]] - centres[factors[-1]]
        across = np.array([-along[1], along[0]]) / max(np.hypot(*along), 1e-9)
        offset = (np.arange(members.size) - (members.size - 1) / 2) * 0.22
        xy[members] = centre + offset[:, None] * across
    return xy
