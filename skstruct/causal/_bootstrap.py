"""What resampled fits agree on."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np


class CausalBootstrap:
    """Fits of resampled tables; made by ``CumulantLvLiNGAM.bootstrap``.

    Parameters
    ----------
    effects : ndarray of shape (n_sampling, p, p)
        Direct effects of every replicate, row = effect.
    total_effects : ndarray of shape (n_sampling, p, p)
        Total effects of every replicate.
    children : list of list of lists
        Child sets of the latents of every replicate.

    Attributes
    ----------
    adjacency_matrices_, total_effects_ : ndarrays of shape (n_sampling, p, p)
        As given.
    latent_children_ : list
        As given.
    latent_coclustering_ : ndarray of shape (p, p)
        Share of the replicates in which two variables are children of one latent; on
        the diagonal, of any.
    """

    def __init__(self, effects, total_effects, children):
        self.adjacency_matrices_ = effects
        self.total_effects_ = total_effects
        self.latent_children_ = children
        p = effects.shape[1]
        together = np.zeros((p, p))
        for sets in children:
            one = np.zeros((p, p), dtype=bool)
            for group in sets:
                one[np.ix_(group, group)] = True
            together += one
        self.latent_coclustering_ = together / max(len(children), 1)

    def get_probabilities(self, min_causal_effect=0.0):
        """Share of the replicates with each edge.

        Parameters
        ----------
        min_causal_effect : float, default=0.0
            Edges of absolute coefficient at or below it do not count.

        Returns
        -------
        probabilities : ndarray of shape (p, p)
            Row = effect, column = cause.
        """
        return np.mean(np.abs(self.adjacency_matrices_) > min_causal_effect, axis=0)

    def get_causal_direction_counts(self, n_directions=None, min_causal_effect=0.0):
        """Edges by how often they were found.

        Parameters
        ----------
        n_directions : int, default=None
            How many; None: all.
        min_causal_effect : float, default=0.0
            Edges of absolute coefficient at or below it do not count.

        Returns
        -------
        counts : dict of str -> list
            Keys "from", "to", "count" and "median_effect", most frequent first.
        """
        B = self.adjacency_matrices_
        present = np.abs(B) > min_causal_effect
        count = present.sum(axis=0)
        places = np.argwhere(count > 0)
        order = np.argsort(-count[tuple(places.T)], kind="stable")[:n_directions]
        rows = places[order]
        return {
            "from": [int(j) for _, j in rows],
            "to": [int(i) for i, _ in rows],
            "count": [int(count[i, j]) for i, j in rows],
            "median_effect": [
                float(np.median(B[present[:, i, j], i, j])) for i, j in rows
            ],
        }

    def interval(self, level=0.95):
        """Percentile intervals of the total effects.

        Parameters
        ----------
        level : float in (0, 1), default=0.95
            Coverage.

        Returns
        -------
        low, high : ndarrays of shape (p, p)
            Bounds, row = effect.
        """
        tail = (1 - level) / 2
        return tuple(np.quantile(self.total_effects_, [tail, 1 - tail], axis=0))
