"""Slow, obvious forms of what the causal family computes."""

from math import factorial

import numpy as np


def set_partitions(items):
    """All set partitions of a list."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for part in set_partitions(rest):
        yield [[first], *part]
        for k in range(len(part)):
            yield [*part[:k], [first, *part[k]], *part[k + 1 :]]


def cumulant(moment, arguments):
    """Joint cumulant from a function that gives the raw moment of a list."""
    total = 0.0
    for part in set_partitions(list(arguments)):
        b = len(part)
        product = np.prod([moment(block) for block in part])
        total += (-1) ** (b - 1) * factorial(b - 1) * product
    return total


def component_cumulant(kappa, A, index):
    """Population cumulant of x = A s: sum_s kappa_s prod_i A[i, s]."""
    return float(np.sum(kappa * np.prod(A[list(index)], axis=0)))


def pair_population(loadings, kappas, max_order):
    """Vector of the cumulants of a pair; loadings (2, s), kappas order -> (s,)."""
    return np.array(
        [
            component_cumulant(kappas[n], loadings, [0] * (n - l) + [1] * l)
            for n in range(2, max_order + 1)
            for l in range(n + 1)
        ]
    )


def tilted_covariances(Z, tau, W):
    """S and G_i of the sides W z, tilted by the columns of Z."""
    sides = Z @ W.T
    S = np.cov(sides, rowvar=False, bias=True)
    G = []
    for i in range(Z.shape[1]):
        w = np.exp(1j * tau[i] * Z[:, i])
        o = w / w.mean()
        mu = (o[:, None] * sides).mean(axis=0)
        C = sides - mu
        G.append(np.einsum("n,na,nb->ab", o, C, C) / len(Z))
    return S, np.array(G)


def objective(c, H, model, n):
    """n r'Hr."""
    r = c - model
    return n * float(r @ H @ r)


def model_moments(W, mask_B, B, Lam, k2, d, start, ea, eb):
    """Model of every moment; d (2p, P) real and imaginary weights."""
    p = len(B)
    T = np.linalg.inv(np.eye(p) - B)
    A = W @ np.column_stack([T, T @ Lam])
    reach = np.abs(np.linalg.matrix_power(np.eye(p) + mask_B, p)) > 0
    reaches = np.column_stack([reach, (reach @ (Lam != 0)) > 0])
    base = np.concatenate([k2, np.ones(Lam.shape[1])])
    out = np.empty(len(ea))
    for b in range(2 * p + 1):
        for k in range(start[b], start[b + 1]):
            if b == 0:
                w = base
            else:
                i = (b - 1) % p
                tied = base if b <= p else np.zeros_like(base)
                w = np.where(reaches[i], d[b - 1], tied)
            out[k] = np.sum(w * A[ea[k]] * A[eb[k]])
    return out
