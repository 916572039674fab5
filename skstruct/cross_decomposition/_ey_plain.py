"""The Eckart-Young loss, its gradient, and the plain steps that were published."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._accumulator import rmatmul


def eckart_young_terms(scores, weights, regs, normalizer):
    """C = sum of covariances between scores, V = sum of W_i'B_iW_i, both (K, K)."""
    total = sum(scores)
    C = V = 0.0
    for Z, W, c in zip(scores, weights, regs):
        C = C + Z.T @ (total - Z) / normalizer
        V = V + (1 - c) * (Z.T @ Z) / normalizer + c * (W.T @ W)
    return C, V


def eckart_young_loss(batch, weights, regs, *, normalizer=None):
    """``-2 tr C + tr(V V)`` of centred rows.

    Parameters
    ----------
    batch : list of blocks of shape (m, p_i)
    weights : list of ndarrays of shape (p_i, K)
    regs : sequence of float
    normalizer : float, optional
        What sums of products are divided by; default m.
    """
    m = batch[0].shape[0] if normalizer is None else normalizer
    scores = [X @ W for X, W in zip(batch, weights)]
    C, V = eckart_young_terms(scores, weights, regs, m)
    return float(-2 * np.trace(C) + np.sum(V * V))


def eckart_young_gradient(batch, weights, regs, *, normalizer=None, unbiased=False):
    """Gradient for each view, ``4 X_i'[(1-c_i) Z_i V - (S - Z_i)]/m + 4 c_i W_i V``.

    With `unbiased` the rows are cut into two halves b and b', and the term B W V,
    quadratic in the batch, is taken from products of different halves.
    """
    if unbiased and batch[0].shape[0] >= 4:
        half = batch[0].shape[0] // 2
        parts = [[X[:half] for X in batch], [X[half:] for X in batch]]
    else:
        parts = [batch]
    scores = [[X @ W for X, W in zip(part, weights)] for part in parts]
    sizes = [part[0].shape[0] if normalizer is None else normalizer for part in parts]
    V = [eckart_young_terms(Z, weights, regs, m)[1] for Z, m in zip(scores, sizes)][
        ::-1
    ]
    gradient = [0.0] * len(batch)
    for part, Z, m, V_other in zip(parts, scores, sizes, V):
        total = sum(Z)
        for i, (X, W, c) in enumerate(zip(part, weights, regs)):
            rows = ((1 - c) * (Z[i] @ V_other) - (total - Z[i])) * (4 / m)
            gradient[i] = gradient[i] + (rmatmul(X, rows) + 4 * c * W @ V_other) / len(
                parts
            )
    return gradient


class PlainSteps:
    """Gradient steps with momentum (Nesterov's) or Adam's scaling, on W itself."""

    def __init__(self, weights, regs, *, rule, learning_rate, momentum, unbiased):
        self.W = [W.copy() for W in weights]
        self.regs = regs
        self.rule, self.learning_rate = rule, learning_rate
        self.momentum, self.unbiased = momentum, unbiased
        self.n_steps = 0
        self.first = [np.zeros_like(W) for W in self.W]
        self.second = [np.zeros_like(W) for W in self.W]
        self.restarts = 0
        self.batch_losses = []

    def loss(self):
        """Mean loss of the batches since the last call, before their steps."""
        mean = float(np.mean(self.batch_losses))
        self.batch_losses = []
        return mean

    def step(self, batch, n_total=np.inf):
        """Learn from one batch."""
        self.batch_losses.append(eckart_young_loss(batch, self.W, self.regs))
        before = [W.copy() for W in self.W]
        gradient = eckart_young_gradient(
            batch, self.W, self.regs, unbiased=self.unbiased
        )
        self.n_steps += 1
        for W, g, first, second in zip(self.W, gradient, self.first, self.second):
            if self.rule == "adam":
                first *= 0.9
                first += 0.1 * g
                second *= 0.999
                second += 0.001 * g * g
                t = self.n_steps
                size = np.sqrt(second / (1 - 0.999**t)) + 1e-8
                W -= self.learning_rate * (first / (1 - 0.9**t)) / size
            else:
                first *= self.momentum
                first += g
                W -= self.learning_rate * (g + self.momentum * first)
        # The loss is quartic: one long step and W explodes. Take it back, go slower.
        largest = max(float(np.abs(W).max()) for W in self.W)
        if not largest < 1e8:
            self.W = before
            for first, second in zip(self.first, self.second):
                first[:] = 0.0
                second[:] = 0.0
            self.n_steps = 0
            self.learning_rate /= 2
            self.restarts += 1
