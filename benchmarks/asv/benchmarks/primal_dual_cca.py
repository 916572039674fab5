"""Primal-dual sparse CCA."""

import numpy as np
from scipy import sparse

from skstruct.cross_decomposition import PrimalDualSparseCCA
from skstruct.metrics import mate_retrieval_score


def topics(n, p, q, seed=0):
    """Counts of words of eight topics in two vocabularies."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(8, 0.3), n)
    return [
        rng.poisson(100 * shares @ rng.dirichlet(np.full(size, 0.05), 8)).astype(float)
        for size in (p, q)
    ]


class Fit:
    """Components by sparsity of e and storage of X."""

    params = ([1.0, 0.3], ["dense", "sparse"])
    param_names = ("alpha_dual", "storage")
    timeout = 120

    def setup(self, alpha_dual, storage):
        X, y = topics(400, 4000, 3000)
        train, test = slice(0, 200), slice(200, 400)
        convert = np.asarray if storage == "dense" else sparse.csr_array
        self.X, self.y = convert(X[train]), convert(y[train])
        self.X_test, self.y_test = convert(X[test]), convert(y[test])
        self.cca = PrimalDualSparseCCA(
            8, alpha_dual=alpha_dual, seeds="random", random_state=0
        )
        self.cca.fit(self.X, self.y)

    def time_fit(self, alpha_dual, storage):
        self.cca.fit(self.X, self.y)

    def time_transform(self, alpha_dual, storage):
        self.cca.transform(self.X_test, self.y_test)

    def peakmem_fit(self, alpha_dual, storage):
        self.cca.fit(self.X, self.y)

    def track_gap(self, alpha_dual, storage):
        return float(np.max(self.cca.dual_gap_ / self.cca.objective_))

    def track_retrieval(self, alpha_dual, storage):
        scores = self.cca.transform(self.X_test, self.y_test)
        return mate_retrieval_score(*scores).mrr_a_to_b


class Seeds:
    """Choosing one seed among all samples."""

    def setup(self):
        self.X, self.y = topics(150, 500, 400)
        self.cca = PrimalDualSparseCCA(2, n_candidates=None, random_state=0)
        self.cca.fit(self.X, self.y)

    def time_max_corr(self):
        self.cca.fit(self.X, self.y)
