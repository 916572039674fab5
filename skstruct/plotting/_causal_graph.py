# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._matplotlib import get_axes

_BLUE, _RED, _GREY = "#2b6cb0", "#c53030", "0.55"


class CausalGraphDisplay:
    """Causal graph with latents: observed variables in layers, latents as squares.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    effects : ndarray of shape (p, p)
        Direct effects, row = effect, column = cause.
    loadings : ndarray of shape (p, q)
        Direct effects of the latents.
    names : sequence of str, default=None
        Labels of the variables; None: their numbers.
    undetermined : sequence of (int, int), default=()
        Pairs that are drawn dashed, without an arrow head.
    probabilities : ndarray of shape (p, p), default=None
        Written beside the weights, such as those of a bootstrap.

    Attributes
    ----------
    positions_ : dict of str -> tuple of float
        Centre of each node.
    ax_, figure_ : matplotlib axes and figure
        After :meth:`plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.plotting import CausalGraphDisplay
    >>> display = CausalGraphDisplay(np.array([[0, 0], [0.7, 0]]), np.ones((2, 1)))
    >>> sorted(display.positions_)
    ['0', '1', 'L0']
    """

    def __init__(
        self, effects, loadings, *, names=None, undetermined=(), probabilities=None
    ):
        self.effects = np.asarray(effects, dtype=float)
        self.loadings = np.asarray(loadings, dtype=float)
        p = len(self.effects)
        self.names = [str(i) for i in range(p)] if names is None else list(names)
        self.undetermined = [tuple(sorted(map(int, pair))) for pair in undetermined]
        self.probabilities = probabilities
        self.positions_ = _layout(self.effects, self.loadings, self.names)

    @classmethod
    def from_estimator(cls, est, *, bootstrap=None, ax=None, **kwargs):
        """Draw a fitted :class:`~skstruct.causal.CumulantLvLiNGAM`.

        Parameters
        ----------
        est : CumulantLvLiNGAM
            Fitted.
        bootstrap : CausalBootstrap, default=None
            Result of its ``bootstrap``; probabilities are then written on the edges.
        ax : matplotlib axes, default=None
            None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : CausalGraphDisplay
        """
        display = cls(
            est.effects_,
            est.latent_loadings_,
            names=getattr(est, "feature_names_in_", None),
            undetermined=est.undetermined_pairs_,
            probabilities=None if bootstrap is None else bootstrap.get_probabilities(),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, weights=True, node_size=0.32):
        """Draw the graph.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes a new figure.
        weights : bool, default=True
            Whether coefficients are written on the edges.
        node_size : float, default=0.32
            Radius of a node, in units of the grid of the layout.

        Returns
        -------
        display : CausalGraphDisplay
        """
        ax = get_axes(ax, figsize=(7, 5), layout="constrained")
        largest = max(
            np.abs(self.effects).max(initial=0), np.abs(self.loadings).max(initial=0)
        )
        for i, j in np.argwhere(self.effects != 0):
            value = self.effects[i, j]
            dashed = tuple(sorted((int(i), int(j)))) in self.undetermined
            text = f"{value:.2g}" if weights else ""
            if self.probabilities is not None:
                text += f" ({self.probabilities[i, j]:.0%})"
            self._edge(
                ax, self.names[j], self.names[i], value, largest, text, node_size,
                dashed=dashed,
            )  # fmt: skip
        for i, j in self.undetermined:
            if not (self.effects[i, j] or self.effects[j, i]):
                self._edge(
                    ax, self.names[i], self.names[j], np.nan, largest, "?", node_size,
                    dashed=True,
                )  # fmt: skip
        for i, k in np.argwhere(self.loadings != 0):
            value = self.loadings[i, k]
            text = f"{value:.2g}" if weights else ""
            self._edge(
                ax, f"L{k}", self.names[i], value, largest, text, node_size,
                latent=True,
            )  # fmt: skip
        self._nodes(ax, node_size)
        ax.set_aspect("equal")
        ax.set_axis_off()
        ax.autoscale_view()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _nodes(self, ax, size):
        from matplotlib.patches import Circle, Rectangle

        for name, (x, y) in self.positions_.items():
            if name in self.names:
                shape = Circle((x, y), size, facecolor="white", edgecolor="k", zorder=3)
            else:
                shape = Rectangle(
                    (x - 0.8 * size, y - 0.8 * size),
                    1.6 * size,
                    1.6 * size,
                    facecolor="#f6e3b4",
                    edgecolor="k",
                    zorder=3,
                )
            ax.add_patch(shape)
            short = 11 if len(name) <= 4 else 44 / len(name)
            ax.text(x, y, name, ha="center", va="center", zorder=4, fontsize=short)

    def _edge(
        self, ax, cause, effect, value, largest, text, size, *, latent=False,
        dashed=False,
    ):  # fmt: skip
        from matplotlib.patches import FancyArrowPatch

        start, end = np.array(self.positions_[cause]), np.array(self.positions_[effect])
        gap = np.linalg.norm(end - start)
        # Long edges are bent, so that they pass beside the nodes between their ends.
        bend = 0.0 if latent or gap < 1.8 else 0.25
        colour = _GREY if np.isnan(value) else (_BLUE if value > 0 else _RED)
        width = 1.5 if np.isnan(value) else 0.8 + 2.0 * abs(value) / largest
        direction = (end - start) / gap
        ax.add_patch(
            FancyArrowPatch(
                start + size * direction,
                end - size * direction,
                connectionstyle=f"arc3,rad={bend}",
                arrowstyle="-" if dashed else "-|>",
                mutation_scale=13,
                linestyle="--" if dashed else (":" if latent else "-"),
                linewidth=width,
                color=colour,
                zorder=2,
                shrinkA=0,
                shrinkB=0,
            )
        )
        # Off the middle: labels of crossing edges keep apart.
        normal = np.array([direction[1], -direction[0]])
        along = 0.3 if latent else 0.42
        place = start + along * (end - start) + 0.5 * bend * gap * normal
        ax.text(
            *place,
            text,
            fontsize=8,
            color=colour,
            ha="center",
            va="center",
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
        )


def _layout(effects, loadings, names):
    """Layers by the longest path from a root; latents above the first layer."""
    p = len(effects)
    depth = np.zeros(p, dtype=int)
    for _ in range(p):
        for i, j in np.argwhere(effects != 0):
            depth[i] = min(max(depth[i], depth[j] + 1), p)
    row = {i: 0.0 for i in range(p)}
    positions = {}
    for level in range(depth.max() + 1):
        members = [i for i in range(p) if depth[i] == level]
        # Below the mean of their causes, with room between neighbours.
        for i in members:
            causes = np.flatnonzero(effects[i])
            if len(causes):
                row[i] = float(np.mean([positions[names[j]][0] for j in causes]))
        members.sort(key=lambda i: (row[i], i))
        width = max(len(members) - 1, 1) * 1.5
        for k, i in enumerate(members):
            x = (k * 1.5 - width / 2) if len(members) > 1 else row[i]
            # Odd places are lowered a little: edges inside a layer stay visible.
            positions[names[i]] = (x + 0.2 * (level % 2), -1.4 * level - 0.35 * (k % 2))
    q = loadings.shape[1]
    centres = [
        np.mean([positions[names[i]][0] for i in np.flatnonzero(loadings[:, k])])
        for k in range(q)
    ]
    for place, k in enumerate(np.argsort(centres, kind="stable")):
        x = (place - (q - 1) / 2) * 2.0 + 0.5 * (
            centres[k] if q > 1 else 2 * centres[k]
        )
        positions[f"L{k}"] = (float(x), 1.5)
    return positions
