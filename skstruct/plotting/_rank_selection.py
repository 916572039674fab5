# SPDX-License-Identifier: BSD-3-Clause

import itertools

import numpy as np

from ..model_selection._rules import _rank_parameter, split_scores
from ._matplotlib import get_axes

_MAX_LINES = 8


class RankSelectionDisplay:
    """Held-out score against the rank, with its standard errors and two choices.

    Make it with :meth:`from_search` or :meth:`from_arrays`.

    Parameters
    ----------
    ranks : ndarray of shape (n_ranks,)
        The grid, ascending.
    scores : dict of str -> ndarray of shape (n_ranks, n_splits)
        Split scores of each line; one line per combination of the other grid
        parameters.
    rank_name : str, default="n_components"
        Label of the x axis.
    one_standard_error : bool, default=True
        Whether the one-standard-error choice is marked.
    larger_is_simpler : bool, default=False
        Whether larger values of the parameter are simpler models.
    secondary : tuple of (label, ndarray of shape (n_ranks,)), default=None
        A second curve on an axis of its own, such as silhouettes.

    Attributes
    ----------
    ranks_ : ndarray of shape (n_ranks,)
        The grid.
    mean_, se_ : ndarrays of shape (n_ranks,)
        Mean and standard error of the line that holds the best score.
    best_index_ : int
        Position of the best mean in the grid.
    one_standard_error_index_ : int
        Position of the simplest rank within one standard error of the best.
    ax_, figure_ : matplotlib axes and figure
        After :meth:`plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.plotting import RankSelectionDisplay
    >>> scores = np.array([[-2.0, -2.2], [-1.0, -1.1], [-1.2, -1.3]])
    >>> display = RankSelectionDisplay.from_arrays([1, 2, 3], scores)
    >>> int(display.ranks_[display.best_index_])
    2
    """

    def __init__(
        self,
        ranks,
        scores,
        *,
        rank_name="n_components",
        one_standard_error=True,
        larger_is_simpler=False,
        secondary=None,
    ):
        self.ranks_ = np.asarray(ranks)
        self.scores = scores
        self.rank_name = rank_name
        self.one_standard_error = one_standard_error
        self.secondary = secondary
        best_line = max(scores, key=lambda label: np.nanmax(scores[label].mean(axis=1)))
        self.best_line_ = best_line
        self.mean_, self.se_ = _mean_and_error(scores[best_line])
        self.best_index_ = int(np.nanargmax(self.mean_))
        bound = self.mean_[self.best_index_] - self.se_[self.best_index_]
        eligible = np.flatnonzero(self.mean_ >= bound)
        self.one_standard_error_index_ = int(eligible[-1 if larger_is_simpler else 0])

    @classmethod
    def from_search(
        cls,
        search,
        *,
        param=None,
        metric="score",
        one_standard_error=True,
        larger_is_simpler=False,
        ax=None,
        **kwargs,
    ):
        """Draw the curve of a fitted grid search.

        Parameters
        ----------
        search : fitted search
            Such as :class:`sklearn.model_selection.GridSearchCV`.
        param : str, default=None
            The grid parameter on the x axis; None: the one that ends in
            ``n_components``, ``n_clusters`` or ``max_components``.
        metric : str, default="score"
            Name of the scorer, for searches with several.
        one_standard_error : bool, default=True
            Whether the one-standard-error choice is marked.
        larger_is_simpler : bool, default=False
            Whether larger values of the parameter are simpler models.
        ax : matplotlib axes, default=None
            None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : RankSelectionDisplay

        Raises
        ------
        ValueError
            If the grid has no such parameter or more than 8 other combinations.
        """
        results = search.cv_results_
        param = _rank_parameter(results, param)
        splits = split_scores(results, metric)
        others = [
            key
            for key in results
            if key.startswith("param_") and key != f"param_{param}"
        ]
        lines = {}
        for i, rank in enumerate(results[f"param_{param}"]):
            label = ", ".join(
                f"{key.removeprefix('param_')}={results[key][i]}" for key in others
            )
            lines.setdefault(label, []).append((rank, splits[i]))
        if len(lines) > _MAX_LINES:
            raise ValueError(
                f"The grid has {len(lines)} combinations beside {param}; at most "
                f"{_MAX_LINES} lines can be drawn."
            )
        ranks = sorted({rank for line in lines.values() for rank, _ in line})
        n_splits = splits.shape[1]
        scores = {}
        for label, line in lines.items():
            table = np.full((len(ranks), n_splits), np.nan)
            for rank, row in line:
                table[ranks.index(rank)] = row
            scores[label] = table
        display = cls(
            ranks,
            scores,
            rank_name=param.rsplit("__", 1)[-1],
            one_standard_error=one_standard_error,
            larger_is_simpler=larger_is_simpler,
        )
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_arrays(cls, ranks, scores, **kwargs):
        """Make a display from a table of scores, without drawing it.

        Parameters
        ----------
        ranks : array-like of shape (n_ranks,)
            The grid.
        scores : array-like of shape (n_ranks, n_splits)
            Higher is better; give minus an error.
        **kwargs
            Further parameters of the class.

        Returns
        -------
        display : RankSelectionDisplay
        """
        ranks, scores = np.asarray(ranks), np.asarray(scores, dtype=float)
        if scores.ndim != 2 or len(scores) != len(ranks):
            raise ValueError(
                f"scores must have shape (n_ranks={len(ranks)}, n_splits), got "
                f"{scores.shape}."
            )
        order = np.argsort(ranks, kind="stable")
        return cls(ranks[order], {"": scores[order]}, **kwargs)

    def plot(self, ax=None, *, score_name="held-out score", **kwargs):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes a new figure.
        score_name : str, default="held-out score"
            Label of the y axis.
        **kwargs
            Passed to ``ax.errorbar``.

        Returns
        -------
        display : RankSelectionDisplay
        """
        ax = get_axes(ax)
        style = {"marker": "o", "markersize": 4, "capsize": 3, "linewidth": 1.5}
        colours = itertools.cycle(f"C{i}" for i in range(10))
        for label, table in self.scores.items():
            mean, se = _mean_and_error(table)
            ax.errorbar(
                self.ranks_,
                mean,
                yerr=se,
                label=label or None,
                color=next(colours),
                **{**style, **kwargs},
            )
        best = self.best_index_
        ax.plot(
            self.ranks_[best],
            self.mean_[best],
            marker="*",
            markersize=14,
            color="k",
            linestyle="none",
            zorder=5,
            label=f"best: {_short(self.ranks_[best])}",
        )
        simple = self.one_standard_error_index_
        if self.one_standard_error and simple != best:
            ax.plot(
                self.ranks_[simple],
                self.mean_[simple],
                marker="D",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor="k",
                linestyle="none",
                zorder=5,
                label=f"one standard error: {_short(self.ranks_[simple])}",
            )
        ax.set_xlabel(self.rank_name)
        ax.set_ylabel(score_name)
        if self.secondary is not None:
            label, values = self.secondary
            twin = ax.twinx()
            twin.plot(self.ranks_, values, "s--", color="0.5", markersize=4)
            twin.set_ylabel(label, color="0.4")
        ax.legend(frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _mean_and_error(table):
    mean = table.mean(axis=1)
    if table.shape[1] < 2:
        return mean, np.zeros_like(mean)
    return mean, table.std(axis=1, ddof=1) / np.sqrt(table.shape[1])


def _short(rank):
    return f"{rank:.4g}" if isinstance(rank, (float, np.floating)) else f"{rank}"
