"""From a standardised block of columns to a fitted structure."""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import replace

import numpy as np
from scipy.sparse.csgraph import connected_components

from . import _gmm_kernels as kernels
from ._moments import compute_both, compute_moments, weight_effects
from ._olc import OneLatentComponent
from ._search import Search, refine
from ._starts import direct_order, order_regressions
from ._structure import empty_model, is_acyclic, paths

# Above this width a false link between two blocks would cost much time.
_NARROW = 12
# Ends are refined unless their criterion is further above the best.
_NEAR = 30.0


def correlated_blocks(Z):
    """Column groups without correlation between them.

    A correlation counts when it exceeds the price of an edge, in wide tables after
    allowance for the number of pairs. Blocks are fitted apart: the moments between
    them hold nothing but noise, which at a thousand rows hides latents.
    """
    n, p = Z.shape
    S = Z.T @ Z / n
    limit = np.log(n)
    if p > _NARROW:
        limit += 2 * np.log(p * (p - 1) / 2)
    count, label = connected_components(n * S**2 > limit, directed=False)
    return [np.flatnonzero(label == k) for k in range(count)]


def share_latents(criteria, limit):
    """Numbers of latents of the blocks with the smallest total criterion.

    Parameters
    ----------
    criteria : list of lists
        ``criteria[b][k]``: criterion of block b with at most k latents.
    limit : int
        Latents in all.

    Returns
    -------
    numbers : list of int
    """
    best = [(0.0, [])] + [(np.inf, [])] * limit
    for options in criteria:
        best = [
            min(
                (best[used - k][0] + value, [*best[used - k][1], k])
                for k, value in enumerate(options[: used + 1])
            )
            for used in range(limit + 1)
        ]
    return min(best)[1]


def prior_masks(prior, p):
    """(required, forbidden) directed paths from column to row; checked."""
    if prior is None:
        return None, None
    off = ~np.eye(p, dtype=bool)
    required, forbidden = (prior == 1) & off, (prior == 0) & off
    closure = paths(required)
    cyclic = np.argwhere(closure & closure.T & off)
    if len(cyclic):
        i, j = map(int, cyclic[0])
        raise ValueError(
            f"prior_knowledge demands a cycle: paths {j} -> {i} and {i} -> {j}."
        )
    clash = np.argwhere(closure & forbidden)
    if len(clash):
        i, j = map(int, clash[0])
        raise ValueError(
            f"prior_knowledge forbids a path {j} -> {i} that its other entries demand."
        )
    return required, forbidden


def _start_graph(search, B):
    """B without edges that the prior knowledge excludes, plus demanded ones."""
    mask = B != 0
    if search.required is not None:
        mask |= search.required
    for i, j in np.argwhere(mask)[np.argsort(np.abs(B[mask]), kind="stable")]:
        if search.allowed(mask):
            break
        trial = mask.copy()
        trial[i, j] = False
        if search.required is None or not np.any(search.required & ~paths(trial)):
            mask = trial
    if not search.allowed(mask):
        mask = search.required.copy()
    return empty_model(len(B), mask, np.where(mask, B, 0.0))


def fit_gmm(Z, tau, options, prior, random_state, warm=None):
    """Best structure of a block, its moments and the search that found it.

    `options` holds price, min_children, max_latents, moments, tol, max_iter,
    and n_restarts of the estimator and a pool of threads or None. With `warm` (a model)
    only local moves are made from it.
    """
    n, p = Z.shape
    required, forbidden = prior
    if options["moments"] == "two-stage":
        stages = compute_both(Z, tau, options["pool"])
    else:
        stages = (compute_moments(Z, options["moments"], tau, options["pool"]),)

    def search_with(moments):
        return Search(
            moments,
            options["price"],
            options["min_children"],
            options["max_latents"],
            required,
            forbidden,
            options["max_iter"],
            options["tol"],
            options["pool"],
        )

    searches = [search_with(moments) for moments in stages]
    first, last = searches[0], searches[-1]
    if warm is not None:
        fitted = last.local(last.fit(warm, jump=True))
        return fitted, last

    def may_follow(order, rest):
        if required is None:
            return rest
        free = [
            v for v in rest
            if not any(required[v, u] for u in rest)
            and not any(forbidden[u, v] and required[u, v] for u in rest)
        ]  # fmt: skip
        return free or rest

    order = direct_order(Z, may_follow if required is not None else None)
    regressions = order_regressions(first.moments.S, order, n)
    starts = [_start_graph(first, np.zeros((p, p))), _start_graph(first, regressions)]
    if np.array_equal(starts[0].mask_B, starts[1].mask_B):
        starts.pop()
    ends = {}
    for start in starts:
        end = first.run(start)
        ends[end.key] = end
    # Judged before the restarts, so that these can only help.
    best = _judged(first, last, ends.values(), None)
    further = {}
    for number in range(options["n_restarts"]):
        top = min([*ends.values(), *further.values()], key=lambda m: m.criterion)
        # Sparse graphs without latents have been found right in every simulation.
        if top.mask_L.shape[1] == 0 and top.mask_B.sum() <= 1.5 * p:
            break
        end = first.run(_thinned(first, top, number == 1, random_state))
        if end.key not in ends:
            further[end.key] = end
    best = _judged(first, last, further.values(), best)
    last.trace[:0] = first.trace
    return best, last


def _judged(first, last, ends, best):
    """The best of the ends, the two best refined by all moments, and of `best`."""
    ends = list(ends)
    if last is not first and ends:
        ends = sorted(last.fit_many(ends), key=lambda m: m.criterion)[:2]
        limit = min(best or ends[0], ends[0], key=lambda m: m.criterion).criterion
        ends = [refine(first, last, m) for m in ends if m.criterion < limit + _NEAR]
    return min(ends if best is None else [best, *ends], key=lambda m: m.criterion)


def _thinned(search, model, latents_only, rng):
    """A random third of the edges and loadings removed, or all edges: a restart."""
    mask_B = model.mask_B & (rng.uniform(size=model.mask_B.shape) > 1 / 3)
    mask_L = model.mask_L & (rng.uniform(size=model.mask_L.shape) > 1 / 3)
    if latents_only and model.mask_L.shape[1]:
        mask_B, mask_L = np.zeros_like(model.mask_B), model.mask_L
    if not search.allowed(mask_B):
        mask_B = model.mask_B
    thin = model.changed(mask_B, mask_L)
    for k in range(mask_L.shape[1] - 1, -1, -1):
        if mask_L[:, k].sum() < search.min_children:
            thin = thin.without_latent(k)
    return thin


def fit_olc(Z, tau, options, prior, test, alpha):
    """Structure by independence tests, parameters by the fit of its moments."""
    p = Z.shape[1]
    required, forbidden = prior
    search = Search(
        compute_moments(Z, "pair", tau, options["pool"]),
        options["price"],
        options["min_children"],
        options["max_latents"],
        required,
        forbidden,
        options["max_iter"],
        options["tol"],
        options["pool"],
    )

    def allowed(mask_B):
        closure = paths(mask_B)
        off = ~np.eye(p, dtype=bool)
        if forbidden is not None and np.any(forbidden & closure & off):
            return False
        return required is None or is_acyclic(mask_B | required)

    found = OneLatentComponent(Z, test, alpha, options["max_latents"], allowed)
    mask_B = found.mask_B if required is None else found.mask_B | required
    S = search.moments.S
    model = empty_model(p, mask_B, np.where(mask_B, np.clip(S, -0.7, 0.7), 0.0))
    for children in found.children:
        loadings = np.zeros(p)
        loadings[children] = 0.6 * np.sign(S[children[0], children])
        model = model.with_latent(loadings)
    model = search.fit(model, jump=True, steps=4 * options["max_iter"])
    # The residual stages record total effects: edges without a direct one go.
    for _ in range(p * p):
        wald = search.moves(model)[0]
        removable = [
            (wald[i, j], i, j)
            for i, j in np.argwhere(wald < options["price"])
            if search.allowed(model.without_edge(i, j).mask_B)
        ]
        if not removable:
            break
        model = search.fit(model.without_edge(*min(removable)[1:]))
        search.note("prune", model)
    return model, search, found


def finish(search, model, Z, tau):
    """Tight refit, sign and order of latents; corrected estimates, standard errors.

    Returns the model, its edges and loadings without their bias of first order,
    standard errors of both (nan where absent) and the number of parameters.
    """
    model = search.fit(model, steps=200, tol=1e-12)
    children = [tuple(model.children(k)) for k in range(model.mask_L.shape[1])]
    order = sorted(range(len(children)), key=lambda k: children[k])
    sign = np.array([1.0 if model.Lam[children[k][0], k] >= 0 else -1.0 for k in order])
    p = len(model.k2)
    columns = list(range(p)) + [p + k for k in order]
    model = replace(
        model,
        mask_L=np.ascontiguousarray(model.mask_L[:, order]),
        Lam=np.ascontiguousarray(model.Lam[:, order] * sign),
        d=np.ascontiguousarray(model.d[:, columns]),
    )
    M = search.moments
    J, _, _ = kernels.jacobian(
        M.W, M.start, M.ea, M.eb, model.mask_B, model.mask_L,
        model.B, model.Lam, model.k2, model.d,
    )  # fmt: skip
    HJ = M.H @ J.T
    W = np.linalg.pinv(J @ HJ, hermitian=True) @ HJ.T
    bias, variance = weight_effects(Z, tau, M, J, W, search.pool)
    se = np.sqrt(variance)
    edges = int(model.mask_B.sum())
    found = []
    for start, values, mask in (
        (0, model.B, model.mask_B),
        (edges, model.Lam, model.mask_L),
    ):
        where = slice(start, start + int(mask.sum()))
        better, error = values.copy(), np.full(mask.shape, np.nan)
        better[mask] -= bias[where]
        error[mask] = se[where]
        found.append((better, error))
    (B, se_B), (Lam, se_L) = found
    return model, B, Lam, se_B, se_L, len(J)


def margins(search, model):
    """Criterion of the best model with each edge reversed, minus the model's own."""
    margin = np.full(model.B.shape, np.nan)
    for i, j in np.argwhere(model.mask_B):
        if not np.isfinite(search.best_with[j, i]):
            turned = model.reversed_edge(i, j)
            if not search.allowed(turned.mask_B):
                continue
            search.fit(turned)
        margin[i, j] = search.best_with[j, i] - model.criterion
    return margin
