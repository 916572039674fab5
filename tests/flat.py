"""Three-way estimators behind a flat door, so that scikit-learn's checks run."""

import inspect

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import get_tags
from sklearn.utils.validation import check_array

_ADAPTED = (
    "fit",
    "fit_transform",
    "fit_predict",
    "transform",
    "predict",
    "score",
    "score_samples",
)


def to_three_way(X):
    """(n, p) -> (n, p, 1)."""
    return X[:, :, None]


def _hidden(self):
    raise AttributeError("hidden from the checks: it takes no slices")


def flat(cls, adapt=to_three_way, hidden=()):
    """Subclass of `cls` that takes 2-d tables; bind it at module level to pickle it.

    Only valid dense 2-d tables are adapted: everything else reaches the estimator's
    own validation unchanged, so that its own messages are tested. Methods in
    `hidden` take something else than slices and are not shown to the checks.
    """

    def wrap(name):
        method = getattr(cls, name)

        def adapted(self, X, *args, **kwargs):
            if getattr(X, "ndim", 2) == 3:
                # From a method that was adapted itself, such as fit_transform.
                return method(self, X, *args, **kwargs)
            if issparse(X):
                raise TypeError(
                    "A sparse matrix was passed, but dense data is required."
                )
            # The 2-d table is checked as the estimator would check its own input.
            table = check_array(
                X,
                estimator=type(self).__name__,
                ensure_min_samples=2 if name.startswith("fit") else 1,
                dtype="numeric" if not hasattr(X, "dtype") else None,
                ensure_all_finite=not get_tags(self).input_tags.allow_nan,
            )
            if name.startswith("fit"):
                self._flat_width = table.shape[1]
                if hasattr(X, "columns") and all(isinstance(c, str) for c in X.columns):
                    self._flat_names = np.asarray(X.columns, dtype=object)
            elif hasattr(self, "_flat_width") and table.shape[1] != self._flat_width:
                raise ValueError(
                    f"X has {table.shape[1]} features, but {type(self).__name__} is "
                    f"expecting {self._flat_width} features as input"
                )
            if name.startswith("fit"):
                result = method(self, adapt(table), *args, **kwargs)
                self._slice_width = self.n_features_in_
                self.n_features_in_ = self._flat_width
                return result
            if not hasattr(self, "_slice_width"):
                return method(self, adapt(table), *args, **kwargs)
            # The estimator compares with the width of its slices, the checks see the
            # width of the table.
            self.n_features_in_ = self._slice_width
            try:
                return method(self, adapt(table), *args, **kwargs)
            finally:
                self.n_features_in_ = self._flat_width

        adapted.__name__ = name
        adapted.__doc__ = method.__doc__
        # Some checks look for an argument called y.
        adapted.__signature__ = inspect.signature(method)
        return adapted

    def tags(self):
        tags = cls.__sklearn_tags__(self)
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = False
        return tags

    body = {n: wrap(n) for n in _ADAPTED if hasattr(cls, n)}
    body["__sklearn_tags__"] = tags
    body.update({name: property(_hidden) for name in hidden})
    return type(f"Flat{cls.__name__}", (cls,), body)
