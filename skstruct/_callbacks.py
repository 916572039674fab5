"""One door to scikit-learn's callback API, which is young and may move."""

# SPDX-License-Identifier: BSD-3-Clause

import logging
from contextlib import contextmanager

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback._callback_support import callback_management_context

    CALLBACKS_AVAILABLE = True
except ImportError:  # pragma: no cover - depends on the scikit-learn version
    CALLBACKS_AVAILABLE = False

    class CallbackSupportMixin:
        """Stand-in for a scikit-learn without a known callback API."""

        def set_callbacks(self, *callbacks):
            """Refuse callbacks with a clear message."""
            if callbacks:
                raise RuntimeError(
                    "Callbacks need the callback API of scikit-learn 1.9, which the "
                    "installed version does not have in the same form."
                )
            return self


@contextmanager
def fit_callbacks(estimator, *, X=None, y=None, max_iter=None):
    """Report the outer iterations of a fit to callbacks and to the log.

    Parameters
    ----------
    estimator : estimator instance
        Its class inherits :class:`CallbackSupportMixin`. With a true ``verbose``
        every iteration is logged at INFO to ``skstruct.<module>``.
    X, y : array-likes
        The data being fitted, handed to the callbacks.
    max_iter : int, optional
        Upper bound of the number of iterations, for progress bars.

    Yields
    ------
    step : callable
        ``step(i, objective, attributes=None)`` after outer iteration `i` returns
        True when a callback asks to stop. ``attributes`` is a function without
        arguments that returns the fitted attributes as they would be now.
    """
    logger = None
    if getattr(estimator, "verbose", 0):
        public = [
            part for part in type(estimator).__module__.split(".") if part[0] != "_"
        ]
        logger = logging.getLogger(".".join(public))
    name = type(estimator).__name__

    if not CALLBACKS_AVAILABLE or not getattr(estimator, "_skl_callbacks", None):
        if logger is None:
            yield _no_step
        else:
            yield lambda i, objective, attributes=None: _log(logger, name, i, objective)
        return

    with callback_management_context(estimator):
        context = estimator._init_callback_context(max_subtasks=max_iter)
        context.call_on_fit_task_begin(estimator=estimator, X=X, y=y)

        def step(i, objective, attributes=None):
            if logger is not None:
                _log(logger, name, i, objective)
            task = context.subcontext(task_name="iteration")
            task.call_on_fit_task_begin(estimator=estimator, X=X, y=y)
            return bool(
                task.call_on_fit_task_end(
                    estimator=estimator,
                    X=X,
                    y=y,
                    reconstruction_attributes=attributes,
                )
            )

        yield step
        context.call_on_fit_task_end(estimator=estimator, X=X, y=y)


def _no_step(i, objective, attributes=None):
    return False


def _log(logger, name, i, objective):
    logger.info("%s iteration %d: objective %.10g", name, i, objective)
    return False
