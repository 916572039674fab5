"""RESCAL in plain numpy, one slice at a time: the formulas and nothing else."""

import numpy as np


def model(A, R):
    return np.einsum("ia,tab,jb->tij", A, R, A)


def objective(X, A, R, alpha_A=0.0, alpha_R=0.0, l1_A=0.0):
    """Residual over observed cells plus penalties; R of shape (m, k, k)."""
    error = np.nan_to_num(X - model(A, R))
    value = np.sum(error**2) + alpha_A * np.sum(A**2) + alpha_R * np.sum(R**2)
    return value + l1_A * np.sum(A)


def terms(X, A, R):
    """F and E: the gradient of the objective in A is 2 (A E - F)."""
    G = A.T @ A
    F = sum(x @ A @ r.T + x.T @ A @ r for x, r in zip(X, R))
    E = sum(r @ G @ r.T + r.T @ G @ r for r in R)
    return F, E


def mu_relations(X, A, R):
    G = A.T @ A
    return np.stack([r * (A.T @ x @ A) / (G @ r @ G) for x, r in zip(X, R)])


def mu_entities(X, A, R):
    F, E = terms(X, A, R)
    return A * F / (A @ E)


def relation_sweep(B, G1, G2, R, ridge=0.0):
    """One cyclic pass over the coordinates of one slice, in place."""
    k = len(R)
    for a in range(k):
        for b in range(k):
            bend = G1[a, a] * G2[b, b] + ridge
            if bend > 0:
                slope = B[a, b] - (G1 @ R @ G2)[a, b] - ridge * R[a, b]
                R[a, b] = max(0.0, R[a, b] + slope / bend)
    return R


def entity_sweep(F, E, Z):
    for c in range(Z.shape[1]):
        if E[c, c] > 0:
            Z[:, c] = np.maximum(0.0, Z[:, c] + (F[:, c] - Z @ E[:, c]) / E[c, c])
    return Z


def quartic(X, A, D, R):
    """Coefficients c0..c4 of the objective along A + s D, by interpolation."""
    s = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    values = [objective(X, A + step * D, R) for step in s]
    return np.linalg.solve(np.vander(s, 5, increasing=True), values)


def block_holdout(X, A, solve, folds, seed):
    """Every cell predicted by relations from other rows and other columns."""
    n = len(A)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(n) % folds, rng.permutation(n) % folds
    error = 0.0
    for a in range(folds):
        for b in range(folds):
            I, J = rows != a, columns != b
            for x in X:
                B = A[I].T @ x[np.ix_(I, J)] @ A[J]
                R = solve(B[:, :, None], A[I].T @ A[I], A[J].T @ A[J])[:, :, 0]
                predicted = A[~I] @ R @ A[~J].T
                error += np.sum((x[np.ix_(~I, ~J)] - predicted) ** 2)
    return 1 - error / np.sum(X**2)
