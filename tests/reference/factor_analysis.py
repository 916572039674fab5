"""Slow, obvious versions of the factor analysis algorithms."""

import numpy as np


def cliques(R, tau, min_size=2):
    """Set of frozensets: closed neighbourhoods contained in those of all members."""
    adjacency = np.abs(np.asarray(R)) > tau
    np.fill_diagonal(adjacency, True)
    found = set()
    for i in range(len(adjacency)):
        members = np.flatnonzero(adjacency[i])
        if members.size >= min_size and all(
            adjacency[j, members].all() for j in members
        ):
            found.add(frozenset(members.tolist()))
    return found


def maximal_cliques(R, tau):
    """Independent maximal cliques from their definition, by networkx."""
    import networkx as nx

    adjacency = np.abs(np.asarray(R)) > tau
    np.fill_diagonal(adjacency, False)
    every = [frozenset(c) for c in nx.find_cliques(nx.from_numpy_array(adjacency))]
    membership = np.zeros(len(adjacency), dtype=int)
    for clique in every:
        membership[list(clique)] += 1
    return {c for c in every if len(c) >= 2 and any(membership[v] == 1 for v in c)}


def columns(support):
    """Columns of a support matrix as a set of frozensets."""
    return {frozenset(np.flatnonzero(c).tolist()) for c in np.asarray(support).T}
