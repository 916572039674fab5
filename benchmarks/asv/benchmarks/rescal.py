"""Speed, memory and quality of the relational models."""

import warnings

import numpy as np
from scipy import sparse

from skstruct.datasets import load_family_trees, make_relational_communities
from skstruct.tensor import (
    RESCAL,
    NonnegativeRESCAL,
    RESCALRankSelector,
    cross_validate_entries,
)


def _slices(form):
    if form == "months":
        size = {"n_entities": 23, "n_relations": 420}
    else:
        size = {"n_entities": 400, "n_relations": 10}
    X = make_relational_communities(
        n_components=5, noise="multiplicative", random_state=0, **size
    ).X
    if form == "sparse":
        X[X < np.quantile(X, 0.98)] = 0.0
        return [sparse.csr_array(x) for x in X]
    return X


class Fit:
    """Twenty iterations on many small, few large and sparse slices."""

    params = (["months", "large", "sparse"], ["hals", "mu", "als"])
    param_names = ("slices", "solver")

    def setup(self, form, solver):
        warnings.simplefilter("ignore")
        self.X = _slices(form)
        if solver == "als":
            self.model = RESCAL(5, max_iter=20, tol=0.0, random_state=0)
        else:
            self.model = NonnegativeRESCAL(
                5, solver=solver, n_init=1, max_iter=20, tol=0.0, random_state=0
            )
        self.model.fit(self.X)

    def time_fit(self, form, solver):
        self.model.fit(self.X)

    def time_transform(self, form, solver):
        self.model.transform(self.X)

    def time_score(self, form, solver):
        self.model.score(self.X)

    def peakmem_fit(self, form, solver):
        self.model.fit(self.X)

    def track_error(self, form, solver):
        return self.model.reconstruction_err_


class Select:
    """The number of groups by stability, and link prediction."""

    def setup(self):
        warnings.simplefilter("ignore")
        self.X = make_relational_communities(random_state=0).X
        self.trees = load_family_trees().X

    def time_selector(self):
        RESCALRankSelector([3, 4, 5], n_perturbations=4, random_state=0).fit(self.X)

    def track_groups(self):
        selector = RESCALRankSelector([3, 4, 5], random_state=0)
        return selector.fit(self.X).n_components_

    def track_link_prediction(self):
        model = RESCAL(10, alpha_A=1, alpha_R=1, max_iter=100, random_state=0)
        found = cross_validate_entries(
            model, self.trees, scoring="roc_auc", hide="zero", random_state=0
        )
        return found["test_score"].mean()
