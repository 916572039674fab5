"""Instances of the nested matrix-tensor estimators for the common tests."""

from skstruct.datasets import make_nested_tensor
from skstruct.tensor import NestedTensorClustering, NestedTensorPCA
from tests.flat import to_three_way
from tests.instances import RankDesign, Spec


def _views(seed):
    """30 samples in 2 clusters far apart, 6 features, 4 views."""
    data = make_nested_tensor(30, 6, 4, beta_T=2.0, beta_M=4.0, random_state=seed)
    return data.X, None


def _planted(n_clusters):
    def make(seed):
        data = make_nested_tensor(
            150, 60, 10, beta_T=1.5, beta_M=2.5, n_clusters=n_clusters,
            random_state=seed,
        )  # fmt: skip
        return data.X, None, {}

    return make


_KINDS = ("F", "strided", "readonly", "memmap", "float32", "int", "bool")

INSTANCES = {
    NestedTensorClustering: Spec(
        factories=[
            lambda: NestedTensorClustering(random_state=0),
            lambda: NestedTensorClustering(
                3, n_components=2, center=True, shrinkage=None, random_state=0
            ),
            lambda: NestedTensorClustering(method="tensor", random_state=0),
            lambda: NestedTensorClustering(method="unfolding", random_state=0),
        ],
        data=_views,
        outputs=("transform", "predict", "score"),
        kinds=_KINDS,
        adapt=to_three_way,
        rank_designs=[
            RankDesign(
                name=f"{k}-clusters",
                make=_planted(k),
                estimator=lambda: NestedTensorClustering(random_state=0),
                grid={"n_clusters": range(1, 7)},
                truth={"n_clusters": k},
            )
            for k in (1, 2, 3, 4)
        ],
    ),
    NestedTensorPCA: Spec(
        factories=[
            NestedTensorPCA,
            lambda: NestedTensorPCA(2, center=True, shrinkage="nuclear"),
            lambda: NestedTensorPCA(1, method="tensor", view_noise="homoscedastic"),
            lambda: NestedTensorPCA(2, method="unfolding", shrinkage="operator"),
        ],
        data=_views,
        outputs=("transform", "score"),
        kinds=_KINDS,
        adapt=to_three_way,
        rank_designs=[
            RankDesign(
                name=f"rank-{k - 1}",
                make=_planted(k),
                estimator=NestedTensorPCA,
                grid={"n_components": range(1, 7)},
                truth={"n_components": k - 1},
            )
            for k in (2, 3, 4, 5)
        ],
    ),
}
