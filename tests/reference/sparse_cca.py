"""Slow, obvious versions of the sparse canonical correlation algorithms."""

import numpy as np
from sklearn.linear_model import ElasticNet


def standardize(X, ddof=1):
    return (X - X.mean(axis=0)) / X.std(axis=0, ddof=ddof)


def l1_projection(a, bound):
    """S(a, delta) / ||S(a, delta)||_2 with delta by bisection; no ties at the top."""

    def soft(delta):
        s = np.sign(a) * np.maximum(np.abs(a) - delta, 0)
        return s / np.linalg.norm(s)

    if np.abs(soft(0.0)).sum() <= bound:
        return soft(0.0)
    low, high = 0.0, np.abs(a).max()
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if np.abs(soft(middle)).sum() > bound:
            low = middle
        else:
            high = middle
    return soft(low)


def without(X, scores):
    """X with earlier scores projected out of its columns."""
    if not scores:
        return X
    Q = np.linalg.qr(np.array(scores).T)[0]
    return X - Q @ (Q.T @ X)


def pmd(X, Y, bounds, n_components, n_iter=3000):
    """Penalised matrix decomposition of the cross-product, formed and deflated.

    From the singular vectors of the whole product, and for later components also
    from that of the data without the earlier scores: the larger criterion wins.
    """
    M = X.T @ Y
    starts = np.linalg.svd(M)[2][:n_components]
    U, V, d = [], [], []
    for k in range(n_components):
        tries = [starts[k]]
        if k:
            left = without(X, [X @ u for u in U]).T @ without(Y, [Y @ v for v in V])
            tries.append(np.linalg.svd(left)[2][0])
        best = None
        for v in tries:
            for _ in range(n_iter):
                old = v
                u = l1_projection(M @ v, bounds[0])
                v = l1_projection(M.T @ u, bounds[1])
                if np.abs(v - old).max() < 1e-13:
                    break
            if best is None or u @ M @ v > best[0] * (1 + 1e-6):
                best = u @ M @ v, u, v
        d.append(best[0])
        M = M - best[0] * np.outer(best[1], best[2])
        U.append(best[1])
        V.append(best[2])
    return np.array(U).T, np.array(V).T, np.array(d)


def multiview_pmd(views, bounds, n_components, n_iter=3000):
    """The same for several views, with a matrix for each pair."""
    M = {
        (i, j): views[i].T @ views[j]
        for i in range(len(views))
        for j in range(len(views))
        if i != j
    }
    sizes = [X.shape[1] for X in views]
    blocks = [
        [M.get((i, j), np.zeros((sizes[i], sizes[i]))) for j in range(len(views))]
        for i in range(len(views))
    ]
    vectors = np.linalg.eigh(np.block(blocks))[1][:, ::-1]
    stops = np.cumsum(sizes)
    found = [[] for _ in views]
    for k in range(n_components):
        tries = [np.split(vectors[:, k], stops[:-1])]
        if k:
            left = [without(X, [X @ w for w in ws]) for X, ws in zip(views, found)]
            S = np.hstack(left).T @ np.hstack(left)
            for stop, size in zip(stops, sizes):
                S[stop - size : stop, stop - size : stop] = 0.0
            tries.append(np.split(np.linalg.eigh(S)[1][:, -1], stops[:-1]))
        best = None
        for parts in tries:
            w = [part / np.linalg.norm(part) for part in parts]
            for _ in range(n_iter):
                old = [x.copy() for x in w]
                for i in range(len(views)):
                    a = sum(M[i, j] @ w[j] for j in range(len(views)) if j != i)
                    w[i] = l1_projection(a, bounds[i])
                if max(np.abs(x - y).max() for x, y in zip(w, old)) < 1e-13:
                    break
            value = sum(w[i] @ M[i, j] @ w[j] for i, j in M)
            if best is None or value > best[0] * (1 + 1e-6):
                best = value, w
        w = best[1]
        for i, j in M:
            M[i, j] = M[i, j] - (w[i] @ M[i, j] @ w[j]) * np.outer(w[i], w[j])
        for i, x in enumerate(w):
            found[i].append(x)
    return [np.array(f).T for f in found]


def ipls(X, Y, alphas, ratios, n_components, n_iter=300):
    """Iterative penalised least squares with scikit-learn's elastic net.

    X, Y with columns of mean zero and mean square one.
    """
    n = X.shape[0]
    nets = [
        ElasticNet(
            alpha=alpha, l1_ratio=ratio, fit_intercept=False, tol=1e-14, max_iter=10**6
        )
        for alpha, ratio in zip(alphas, ratios)
    ]
    T, S = np.zeros((n, 0)), np.zeros((n, 0))
    U, V = [], []

    def unit(w, scores):
        size = np.sqrt(np.mean(scores**2))
        return w / size, scores / size

    for _ in range(n_components):
        M = np.eye(n)
        if T.shape[1]:
            # What earlier pairs explain of the relation: M = I - A diag(rho) B'/n.
            Wx, Wy = (np.linalg.inv(np.linalg.cholesky(Z.T @ Z / n)).T for Z in (T, S))
            left, rho, right = np.linalg.svd(Wx.T @ (T.T @ S / n) @ Wy)
            M = M - (T @ Wx @ left * rho) @ (S @ Wy @ right.T).T / n
        v = np.linalg.svd(X.T @ M @ Y)[2][0]
        v, s = unit(v, Y @ v)
        for _ in range(n_iter):
            u = nets[0].fit(X, M @ s).coef_
            u, t = unit(u, X @ u)
            v = nets[1].fit(Y, M.T @ t).coef_
            old = s
            v, s = unit(v, Y @ v)
            if np.sqrt(np.mean((s - old) ** 2)) < 1e-12:
                break
        U.append(u)
        V.append(v)
        T, S = np.column_stack([T, t]), np.column_stack([S, s])
    return np.array(U).T, np.array(V).T
