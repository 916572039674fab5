"""Structured latent models in the scikit-learn API.

Every estimator with a rank has a ``score`` that peaks at the true rank on
held-out data, so that ``GridSearchCV`` can choose it.
"""

# SPDX-License-Identifier: BSD-3-Clause

import importlib as _importlib

__version__ = "0.1.0.dev0"

_SUBMODULES = (
    "causal",
    "cross_decomposition",
    "datasets",
    "decomposition",
    "factor_analysis",
    "impute",
    "metrics",
    "mixture",
    "model_selection",
    "plotting",
    "random_matrix",
    "subspace",
    "tensor",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name):
    # Sub-packages are imported on first use: `import skstruct` alone stays cheap.
    if name in _SUBMODULES:
        return _importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_SUBMODULES})
