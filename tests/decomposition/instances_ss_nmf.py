"""Instances of structured sparse NMF for the common tests."""

import numpy as np
from sklearn.utils.validation import validate_data

from skstruct.datasets import make_hyperspectral_scene
from skstruct.decomposition import StructuredSparseNMF
from skstruct.model_selection import one_standard_error
from tests.instances import RankDesign, Spec

_SHAPE = (24, 24)


class AnySign(StructuredSparseNMF):
    """Without the check of the sign, for noise that was not clipped at zero."""

    def _read(self, X, *, reset):
        X = validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], order="C"
        )
        return X, np.sum(np.square(X, dtype=np.float64))


def _data(seed):
    scene = make_hyperspectral_scene(
        (6, 7), n_endmembers=2, n_bands=9, snr=25, random_state=seed
    )
    return scene.X, None


def _scene(seed, snr, clip):
    scene = make_hyperspectral_scene(
        _SHAPE, n_bands=80, snr=snr, clip=clip, random_state=seed
    )
    positions = np.column_stack(np.unravel_index(np.arange(len(scene.X)), _SHAPE))
    return scene.X, None, {"positions": positions}


def _design(snr, clip):
    cls = StructuredSparseNMF if clip else AnySign
    return RankDesign(
        name=f"snr{snr}-{'clipped' if clip else 'unclipped'}",
        make=lambda seed: _scene(seed, snr, clip),
        estimator=lambda: cls(n_init=2, tol=1e-5, random_state=0),
        grid={"n_components": [2, 3, 4, 5, 6]},
        truth={"n_components": 4},
        cv=4,
        refit=one_standard_error,
    )


INSTANCES = {
    StructuredSparseNMF: Spec(
        # Without a graph: with one, fit_transform and transform rightly differ, which
        # a common check forbids. test_ss_nmf.py has the graphs.
        factories=[
            lambda: StructuredSparseNMF(2, random_state=0),
            lambda: StructuredSparseNMF(
                2, alpha=0, sum_to_one="soft", delta=1.0, init="nndsvda", random_state=0
            ),
            lambda: StructuredSparseNMF(
                2, alpha=0, sum_to_one="exact", init="spa", max_iter=10, tol=0
            ),
            lambda: StructuredSparseNMF(
                2, alpha=0.01, init="random", n_init=2, solver="mu", random_state=0
            ),
        ],
        data=_data,
        outputs=("transform", "score"),
        kinds=(
            "F",
            "strided",
            "readonly",
            "memmap",
            "float32",
            "int",
            "bool",
            "sparse",
        ),
        rank_designs=[_design(snr, clip) for snr in (20, 10) for clip in (True, False)],
    ),
}
