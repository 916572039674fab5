"""Relational data: simulators, the family trees, the originals of the downloads."""

import numpy as np
import pytest

from skstruct import datasets
from tests._data import shared_data


def test_family_trees_follow_from_marriages_and_births():
    trees = datasets.load_family_trees()
    kin = {name: trees.X[t] for t, name in enumerate(trees.relations)}
    who = {name: i for i, name in enumerate(trees.people)}
    assert trees.X.sum() == 112
    assert kin["father"][who["Colin"], who["James"]] == 1
    assert kin["uncle"][who["Sophia"], who["Emilio"]] == 1
    assert kin["aunt"][who["Charlotte"], who["Margaret"]] == 1
    np.testing.assert_array_equal(kin["husband"], kin["wife"].T)
    np.testing.assert_array_equal(
        kin["father"] + kin["mother"], (kin["son"] + kin["daughter"]).T
    )
    np.testing.assert_array_equal(
        kin["uncle"] + kin["aunt"], (kin["nephew"] + kin["niece"]).T
    )
    # No relation crosses the families, and both have as many facts.
    english = trees.family == "English"
    assert not trees.X[:, english][:, :, ~english].any()
    assert trees.X[:, english].sum() == 56


def test_communities():
    data = datasets.make_relational_communities(12, 3, n_components=2, random_state=0)
    A, R = data.components, data.relations
    np.testing.assert_allclose(data.X, A @ R @ A.T)
    counts = datasets.make_relational_communities(
        30, 20, noise="poisson", noise_level=0.25, random_state=0
    )
    assert (counts.X == np.rint(counts.X)).all()
    assert counts.truth.mean() == pytest.approx(4)
    assert counts.X.mean() == pytest.approx(4, rel=0.05)
    noisy = datasets.make_relational_communities(
        30, 20, design="dense", noise="multiplicative", noise_level=0.2, random_state=0
    )
    assert (noisy.X / noisy.truth).std() == pytest.approx(0.2, rel=0.05)
    with pytest.raises(ValueError, match="noise_level=0"):
        datasets.make_relational_communities(noise="poisson", noise_level=0)


@pytest.mark.parametrize(
    ("fetch", "name", "shape", "ones"),
    [
        ("fetch_nations", "dnations.mat", (56, 14, 14), 2024),
        ("fetch_kinship", "alyawarradata.mat", (26, 104, 104), 10790),
        ("fetch_umls", "uml.mat", (49, 135, 135), 6752),
        ("fetch_trade_flows", "trade_data_tensor.mat", (420, 23, 23), None),
    ],
)
def test_fetch_reads_the_originals(fetch, name, shape, ones):
    folder = shared_data("originals", name).parent
    data = getattr(datasets, fetch)(data_home=folder, download_if_missing=False)
    assert data.X.shape == shape and data.X.dtype == np.float64
    if ones is not None:
        assert np.nansum(data.X) == ones
    else:
        usa = list(data.countries).index("United States")
        china = list(data.countries).index("China,P.R.: Mainland")
        assert data.months[-1] == "2015-12"
        exports = np.nansum(data.X[-12:, china, usa])
        assert exports == pytest.approx(410.8e3, rel=1e-3)
    names = {
        "fetch_nations": {"relations": 56, "countries": 14, "attribute_names": 111},
        "fetch_umls": {"relations": 49, "concepts": 135, "groups": 135},
        "fetch_kinship": {"classes": 104, "features": 104},
        "fetch_trade_flows": {"countries": 23, "months": 420},
    }[fetch]
    for key, count in names.items():
        assert len(data[key]) == count


def test_offline_error_names_address_and_folder(tmp_path):
    with pytest.raises(OSError, match=r"pyDRESCALk.*uml\.mat") as found:
        datasets.fetch_umls(data_home=tmp_path, download_if_missing=False)
    assert str(tmp_path) in str(found.value)
