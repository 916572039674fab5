"""The one decorator of all numba kernels."""

# SPDX-License-Identifier: BSD-3-Clause

import logging

import numba

_logger = logging.getLogger("skstruct")
_logged_uncached = False


def jit(**options):
    """Decorate a loop kernel: cached, without the GIL, IEEE division.

    Signatures stay lazy: callers normalise dtype and memory order at the border
    of an estimator, so that a kernel compiles for one or two types only. Keep the
    helpers that a kernel calls in the same file: numba's cache does not notice a
    change in another one.

    Parameters
    ----------
    **options
        Further options of :func:`numba.njit`; ``fastmath`` only as
        ``{"reassoc", "contract"}``, which keeps the meaning of NaN.

    Returns
    -------
    decorator : callable
    """
    fastmath = options.get("fastmath", set())
    if fastmath is True or not set(fastmath or ()) <= {"reassoc", "contract"}:
        raise ValueError(
            "fastmath is limited to {'reassoc', 'contract'}: the other flags break "
            f"np.isnan; got {fastmath!r}."
        )

    def decorate(function):
        common = {"nogil": True, "error_model": "numpy", **options}
        try:
            return numba.njit(cache=True, **common)(function)
        except RuntimeError as error:
            # A read-only package and no writable home: compile in each process.
            if "no locator available" not in str(error):
                raise
            _log_uncached()
            return numba.njit(cache=False, **common)(function)

    return decorate


def _log_uncached():
    global _logged_uncached
    if not _logged_uncached:
        _logged_uncached = True
        _logger.info(
            "No folder is writable for numba's compilation cache: kernels are "
            "compiled in every process. Set NUMBA_CACHE_DIR to a writable folder."
        )
