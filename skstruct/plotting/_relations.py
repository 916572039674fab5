# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._matplotlib import get_axes

_MAX_NAMES = 60


class RelationsDisplay:
    """Entities by group, and the relations between the groups.

    Make it with :meth:`from_estimator`.

    Parameters
    ----------
    components : ndarray of shape (n_entities, n_components)
        Memberships of the entities.
    relations : ndarray of shape (n_relations, n_components, n_components)
        One matrix per slice; row acts on column.
    entity_names, relation_names, group_names : array-like of str, default=None
        Names; None: numbers, and for the groups capital letters.

    Attributes
    ----------
    order_ : ndarray of int of shape (n_entities,)
        Entities by their strongest group, then by membership.
    labels_ : ndarray of int of shape (n_entities,)
        Strongest group of each entity, -1 for those in none.
    ax_, figure_ : matplotlib axes (or array of axes) and figure
        After :meth:`plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstruct.plotting import RelationsDisplay
    >>> A = np.array([[0.0, 1.0], [0.9, 0.0], [0.1, 0.0]])
    >>> RelationsDisplay(A, np.ones((4, 2, 2))).order_
    array([1, 2, 0])
    """

    def __init__(
        self,
        components,
        relations,
        *,
        entity_names=None,
        relation_names=None,
        group_names=None,
    ):
        self.components = np.asarray(components)
        self.relations = np.asarray(relations)
        n, k = self.components.shape
        self.entity_names = _names(entity_names, n, "entity_names", str)
        self.relation_names = _names(
            relation_names, len(self.relations), "relation_names", str
        )
        self.group_names = _names(group_names, k, "group_names", _letter)
        size = np.abs(self.components)
        self.labels_ = np.where(size.max(axis=1) > 0, size.argmax(axis=1), -1)
        own = size[np.arange(n), self.labels_]
        place = np.where(self.labels_ < 0, k, self.labels_)
        self.order_ = np.lexsort((-own, place))

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        kind="groups",
        entity_names=None,
        relation_names=None,
        group_names=None,
        ax=None,
        **kwargs,
    ):
        """Draw a fitted model.

        Parameters
        ----------
        estimator : fitted NonnegativeRESCAL, RESCALRankSelector or RESCAL
            Groups can be read where memberships are nonnegative.
        kind : {"groups", "relations", "flows"}, default="groups"
            What is drawn; see :meth:`plot`.
        entity_names, relation_names, group_names : array-like of str, default=None
            Names.
        ax : matplotlib axes or array of axes, default=None
            None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : RelationsDisplay
        """
        display = cls(
            estimator.components_,
            estimator.relations_,
            entity_names=entity_names,
            relation_names=relation_names,
            group_names=group_names,
        )
        return display.plot(ax, kind=kind, **kwargs)

    def plot(self, ax=None, *, kind="groups", relations=None, pairs=None, share=False):
        """Draw the groups, the relations, or flows over the relations.

        Parameters
        ----------
        ax : matplotlib axes, or one per relation for "relations", default=None
            None makes a new figure.
        kind : {"groups", "relations", "flows"}, default="groups"
            "groups": memberships of the entities, sorted by group. "relations": one
            k x k heat map per chosen relation. "flows": entries of R over the
            relations, in their order, for slices that are times.
        relations : sequence of int, default=None
            Slices shown by "relations"; None: the first four.
        pairs : sequence of (int, int), default=None
            Pairs of groups shown by "flows"; None: the five largest in sum.
        share : bool, default=False
            Whether each R is divided by its sum.

        Returns
        -------
        display : RelationsDisplay
        """
        R = self.relations
        if share:
            total = R.sum(axis=(1, 2), keepdims=True)
            R = R / np.where(total != 0, total, 1.0)
        if kind == "groups":
            ax = self._plot_groups(ax)
        elif kind == "relations":
            ax = self._plot_relations(ax, R, relations)
        elif kind == "flows":
            ax = self._plot_flows(ax, R, pairs, share)
        else:
            raise ValueError(f"kind={kind!r} must be 'groups', 'relations' or 'flows'.")
        self.ax_ = ax
        self.figure_ = np.ravel(ax)[0].figure
        return self

    def _plot_groups(self, ax):
        n, k = self.components.shape
        ax = get_axes(ax, figsize=(1.8 + 0.5 * k, min(2 + 0.16 * n, 9)))
        size = np.abs(self.components)
        # Each column by its own largest member: groups differ in size.
        largest = size.max(axis=0)
        shown = size / np.where(largest > 0, largest, 1.0)
        ax.imshow(shown[self.order_], aspect="auto", cmap="Greys", vmin=0, vmax=1)
        ax.set_xticks(range(k), self.group_names)
        if n <= _MAX_NAMES:
            ax.set_yticks(range(n), self.entity_names[self.order_], fontsize=8)
        else:
            ax.set_ylabel(f"{n} entities by group")
        ax.set_xlabel("group")
        return ax

    def _plot_relations(self, axes, R, relations):
        m, k, _ = R.shape
        relations = range(min(m, 4)) if relations is None else relations
        relations = [int(r) for r in relations]
        for r in relations:
            if not 0 <= r < m:
                raise ValueError(f"relations holds {r}, which must be in [0, {m}).")
        if axes is None:
            axes = get_axes(
                None,
                ncols=len(relations),
                figsize=(1 + 2.2 * len(relations), 2.9),
                squeeze=False,
                layout="constrained",
            )[0]
        axes = np.ravel(axes)
        if len(axes) != len(relations):
            raise ValueError(f"{len(relations)} relations need as many axes.")
        shown = R[relations]
        bound = np.abs(shown).max()
        signed = shown.min() < 0
        style = (
            {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}
            if signed
            else {"cmap": "Blues", "vmin": 0, "vmax": bound}
        )
        for ax, r, matrix in zip(axes, relations, shown):
            image = ax.imshow(matrix, **style)
            ax.set_title(self.relation_names[r], fontsize=10)
            ax.set_xticks(range(k), self.group_names)
            ax.set_yticks(range(k), self.group_names)
        axes[0].set_ylabel("from group")
        axes[0].set_xlabel("to group")
        axes[0].figure.colorbar(image, ax=list(axes), shrink=0.8)
        return axes

    def _plot_flows(self, ax, R, pairs, share):
        m, k, _ = R.shape
        if pairs is None:
            order = np.argsort(-np.abs(R.sum(axis=0)).ravel(), kind="stable")[:5]
            pairs = [divmod(int(cell), k) for cell in order]
        ax = get_axes(ax)
        for a, b in pairs:
            if not (0 <= a < k and 0 <= b < k):
                raise ValueError(f"pairs holds ({a}, {b}); groups must be in [0, {k}).")
            ax.plot(R[:, a, b], label=f"{self.group_names[a]} → {self.group_names[b]}")
        step = max(1, m // 6)
        ticks = range(0, m, step)
        ax.set_xticks(ticks, self.relation_names[list(ticks)])
        ax.set_ylabel("share of the slice" if share else "flow")
        ax.set_ylim(bottom=min(0.0, float(R.min())))
        ax.legend(frameon=False, fontsize=8)
        return ax


class RankStabilityDisplay:
    """Silhouette and error against the number of groups.

    The figure from which the stability papers read the number of groups: the last
    one before the least silhouette falls, where the error has flattened.

    Parameters
    ----------
    ranks : ndarray of int of shape (n_candidates,)
        Numbers of groups.
    silhouette_min, silhouette_mean : ndarrays of shape (n_candidates,)
        Silhouette of the least stable group, and of all.
    relative_error : ndarray of shape (n_candidates,)
        Relative error of the consensus.
    chosen : int, default=None
        Number of groups that is marked.
    min_silhouette : float, default=None
        Threshold that is drawn.

    Attributes
    ----------
    ax_, error_ax_, figure_ : matplotlib axes and figure
        After :meth:`plot`.

    Examples
    --------
    >>> from skstruct.datasets import make_relational_communities
    >>> from skstruct.plotting import RankStabilityDisplay
    >>> from skstruct.tensor import RESCALRankSelector
    >>> X = make_relational_communities(30, 8, n_components=2, random_state=0).X
    >>> selector = RESCALRankSelector([1, 2, 3], n_perturbations=3, random_state=0)
    >>> display = RankStabilityDisplay.from_estimator(selector.fit(X))
    >>> display.chosen
    2
    """

    def __init__(
        self,
        ranks,
        silhouette_min,
        silhouette_mean,
        relative_error,
        *,
        chosen=None,
        min_silhouette=None,
    ):
        self.ranks = np.asarray(ranks)
        self.silhouette_min = np.asarray(silhouette_min)
        self.silhouette_mean = np.asarray(silhouette_mean)
        self.relative_error = np.asarray(relative_error)
        self.chosen = chosen
        self.min_silhouette = min_silhouette

    @classmethod
    def from_estimator(cls, selector, *, ax=None, **kwargs):
        """Draw the table of a fitted selector.

        Parameters
        ----------
        selector : fitted RESCALRankSelector
            The selector.
        ax : matplotlib axes, default=None
            None makes a new figure.
        **kwargs
            Passed to :meth:`plot`.

        Returns
        -------
        display : RankStabilityDisplay
        """
        display = cls(
            selector.results_["n_components"],
            selector.silhouette_min_,
            selector.silhouette_mean_,
            selector.relative_error_,
            chosen=selector.n_components_,
            min_silhouette=selector.min_silhouette,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None):
        """Draw the two curves on two axes.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes a new figure.

        Returns
        -------
        display : RankStabilityDisplay
        """
        ax = get_axes(ax)
        ax.plot(self.ranks, self.silhouette_min, "o-", color="C0", label="least stable")
        ax.plot(self.ranks, self.silhouette_mean, "o:", color="C0", label="mean")
        if self.min_silhouette is not None:
            ax.axhline(self.min_silhouette, color="0.7", linewidth=0.8)
        if self.chosen is not None:
            ax.axvline(self.chosen, color="k", linewidth=0.8, linestyle="--")
        ax.set_xlabel("number of groups")
        ax.set_ylabel("silhouette", color="C0")
        ax.set_xticks(self.ranks)
        ax.legend(frameon=False, fontsize=8, loc="lower left")
        twin = ax.twinx()
        twin.plot(self.ranks, self.relative_error, "s-", color="C3", markersize=4)
        twin.set_ylabel("relative error", color="C3")
        twin.set_ylim(bottom=0)
        self.ax_, self.error_ax_, self.figure_ = ax, twin, ax.figure
        return self


def _letter(i):
    return chr(ord("A") + i) if i < 26 else str(i + 1)


def _names(names, count, what, default):
    if names is None:
        names = [default(i) for i in range(count)]
    names = np.asarray(names, dtype=object)
    if names.shape != (count,):
        raise ValueError(f"{what} must have {count} entries, got {len(names)}.")
    return names
