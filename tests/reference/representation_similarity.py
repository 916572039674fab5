"""Similarity of representations from covariance matrices and their inverse roots."""

import numpy as np
from scipy import linalg


def canonical_scores(X, Y):
    """Canonical correlations and scores of X, by inverse square roots."""
    X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    n = len(X)
    root_x, root_y = (inverse_root(Z.T @ Z / n) for Z in (X, Y))
    U, rho, _ = np.linalg.svd(root_x @ (X.T @ Y / n) @ root_y)
    k = min(np.linalg.matrix_rank(X), np.linalg.matrix_rank(Y))
    return rho[:k], X @ root_x @ U[:, :k]


def inverse_root(S):
    d, V = linalg.eigh(S)
    kept = d > 1e-10 * d[-1]
    return (V[:, kept] / np.sqrt(d[kept])) @ V[:, kept].T


def reduced(A, threshold):
    """Principal scores, adding one component after another."""
    A = A - A.mean(axis=0)
    U, s, _ = linalg.svd(A, full_matrices=False)
    k = 1
    while np.sum(s[:k] ** 2) < threshold * np.sum(s**2):
        k += 1
    return U[:, :k] * s[:k]


def svcca(A, B, threshold=0.99):
    """Similarity, correlations, directions kept."""
    X, Y = reduced(A, threshold), reduced(B, threshold)
    rho = canonical_scores(X, Y)[0]
    return rho.mean(), rho, (X.shape[1], Y.shape[1])


def pwcca(A, B):
    """Weights from the neurons of the layer that has fewer that vary."""
    A, B = (Z[:, Z.std(axis=0) > 0] for Z in (A, B))
    if A.shape[1] > B.shape[1]:
        A, B = B, A
    rho, scores = canonical_scores(A, B)
    total = weights = 0.0
    for k in range(rho.size):
        h = scores[:, k] / np.linalg.norm(scores[:, k])
        alpha = sum(abs(h @ A[:, j]) for j in range(A.shape[1]))
        total, weights = total + alpha * rho[k], weights + alpha
    return total / weights
