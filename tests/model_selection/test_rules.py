"""One standard error rule and the splitters of entries and image tiles."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_val_score

from skstruct.impute import SVTImputer
from skstruct.model_selection import (
    EntrywiseKFold,
    ImageBlockKFold,
    one_standard_error,
)


def results(ranks, splits, name="n_components"):
    splits = np.asarray(splits, dtype=float)
    table = {f"split{k}_test_score": column for k, column in enumerate(splits.T)}
    return {
        f"param_{name}": np.asarray(ranks),
        "mean_test_score": splits.mean(axis=1),
        **table,
    }


def test_simplest_within_one_standard_error():
    # best mean 1.0 at rank 3, its standard error 0.1/sqrt(2)*sqrt(2)/sqrt(2)
    found = results([1, 2, 3, 4], [[0.5, 0.5], [0.95, 0.95], [0.9, 1.1], [0.8, 1.0]])
    assert one_standard_error(found) == 1
    assert one_standard_error(found, param="n_components", larger_is_simpler=True) == 3


def test_single_split_has_no_error_and_nan_is_ignored():
    found = results([1, 2, 3], [[0.5], [np.nan], [0.6]])
    assert one_standard_error(found) == 2
    with pytest.raises(ValueError, match="Every mean test score is NaN"):
        one_standard_error(results([1, 2], [[np.nan], [np.nan]]))


def test_equal_complexity_goes_to_the_better_mean():
    found = results([2, 2, 3], [[0.9, 1.1], [1.0, 1.1], [1.0, 1.2]])
    assert one_standard_error(found) == 1


def test_grid_without_or_with_several_ranks_asks_for_param():
    with pytest.raises(ValueError, match=r"Set param= .* 0 of \['alpha'\]"):
        one_standard_error(results([1, 2], [[1], [2]], name="alpha"))
    found = results([1, 2], [[1], [2]], name="pca__n_components")
    found["param_k__n_clusters"] = np.array([1, 1])
    with pytest.raises(ValueError, match="Set param="):
        one_standard_error(found)
    with pytest.raises(ValueError, match="param='rank' is not in the grid"):
        one_standard_error(found, param="rank")
    assert one_standard_error(found, param="pca__n_components") == 1


def test_refit_of_a_grid_search():
    X = np.random.default_rng(0).standard_normal((60, 5))
    grid = {"n_components": [1, 2, 3]}
    search = GridSearchCV(PCA(), grid, refit=one_standard_error).fit(X)
    assert search.best_index_ == one_standard_error(search.cv_results_)
    larger = partial(one_standard_error, larger_is_simpler=True)
    assert GridSearchCV(PCA(), grid, refit=larger).fit(X).best_estimator_ is not None


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 8), p=st.integers(1, 8), m=st.sampled_from([0, 1, 3]),
    missing=st.floats(0, 0.9), n_splits=st.integers(2, 6), seed=st.integers(0, 99),
)  # fmt: skip
def test_entry_folds_partition_and_leave_no_line_empty(
    n, p, m, missing, n_splits, seed
):
    rng = np.random.default_rng(seed)
    shape = (m, n, p) if m else (n, p)
    X = rng.standard_normal(shape)
    X[rng.random(shape) < missing] = np.nan
    observed = ~np.isnan(X)
    cv = EntrywiseKFold(n_splits, random_state=seed)
    if observed.sum() < n_splits:
        with pytest.raises(ValueError, match="larger than the number of observed"):
            list(cv.split(X))
        return
    tested = np.zeros(shape, dtype=int)
    for train, test in cv.split(X):
        assert not (train & test).any()
        assert ((train | test) == observed).all()
        assert test.sum() <= -(-observed.sum() // n_splits)
        for axis in (-1, -2):
            assert (train.any(axis=axis) == observed.any(axis=axis)).all()
        tested += test
    assert tested.max() <= 1


def test_entry_folds_of_sparse_input_are_masks_over_its_data():
    X = sparse.random_array((30, 20), density=0.3, rng=0, format="csr")
    X.data[:5] = 0.0  # explicit zeros are observed
    seen = np.zeros(X.nnz, dtype=int)
    for train, test in EntrywiseKFold(3, random_state=0).split(X):
        assert train.shape == X.data.shape
        seen += test
    assert seen.max() == 1
    assert seen.mean() > 0.9


def test_entry_folds_refuse_to_split_rows():
    X = np.random.default_rng(0).standard_normal((20, 5))
    with pytest.raises(TypeError, match="SVTImputerCV or SoftImputerCV"):
        GridSearchCV(SVTImputer(), {"n_components": [1, 2]}, cv=EntrywiseKFold(3)).fit(
            X
        )
    with pytest.raises(TypeError, match="cross_validate_entries"):
        cross_val_score(SVTImputer(), X, cv=EntrywiseKFold(3))
    assert EntrywiseKFold(4).get_n_splits() == 4


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(2, 14), columns=st.integers(2, 14), n_splits=st.integers(2, 4),
    masked=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_image_blocks_partition_the_pixels(rows, columns, n_splits, masked, seed):
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.8 if masked else None
    cv = ImageBlockKFold(
        n_splits, image_shape=(rows, columns), mask=mask, random_state=seed
    )
    n = rows * columns if mask is None else int(mask.sum())
    tiles = cv.tiles()
    assert sorted(np.concatenate([t for t, _ in tiles])) == list(range(n))
    if len(tiles) < n_splits:
        with pytest.raises(ValueError, match="larger than the number of tiles"):
            list(cv.split(np.zeros((n, 2))))
        return
    counts = np.zeros(n, dtype=int)
    for train, test in cv.split(np.zeros((n, 2))):
        assert sorted(np.concatenate([train, test])) == list(range(n))
        counts[test] += 1
    assert (counts == 1).all()


def test_image_blocks_are_whole_tiles():
    cv = ImageBlockKFold(2, image_shape=(4, 6), block_shape=(2, 3), random_state=0)
    for _, test in cv.split(np.zeros((24, 1))):
        image = np.zeros(24, dtype=bool)
        image[test] = True
        blocks = image.reshape(2, 2, 2, 3).transpose(0, 2, 1, 3).reshape(4, 6)
        assert all(block.all() or not block.any() for block in blocks)
    with pytest.raises(ValueError, match="X has 23 rows, but image_shape"):
        list(cv.split(np.zeros((23, 1))))
    with pytest.raises(ValueError, match="mask has shape"):
        ImageBlockKFold(2, image_shape=(4, 6), mask=np.ones((3, 3))).tiles()
