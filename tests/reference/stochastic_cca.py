"""Canonical correlation by dense eigenvalue problems, and the Eckart-Young loss."""

import numpy as np
from scipy import linalg


def matrices(views, reg):
    """A (between views) and B (within, with ridge) of standardised views."""
    sizes = [X.shape[1] for X in views]
    X = np.hstack([(V - V.mean(axis=0)) / V.std(axis=0, ddof=1) for V in views])
    S = X.T @ X / (len(X) - 1)
    A, B, start = S.copy(), np.zeros_like(S), 0
    for size in sizes:
        cut = slice(start, start + size)
        B[cut, cut] = (1 - reg) * S[cut, cut] + reg * np.eye(size)
        A[cut, cut] = 0.0
        start += size
    return A, B


def eigenvalues(views, reg, k):
    """Top generalised eigenvalues of A u = lambda B u."""
    A, B = matrices(views, reg)
    return linalg.eigh(A, B, eigvals_only=True)[::-1][:k]


def loss(W, A, B):
    """``-2 tr(W'AW) + ||W'BW||^2``."""
    return -2 * np.trace(W.T @ A @ W) + np.sum((W.T @ B @ W) ** 2)


def gradient(W, A, B):
    """Gradient of :func:`loss`."""
    return -4 * A @ W + 4 * B @ W @ (W.T @ B @ W)
