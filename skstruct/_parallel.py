"""Outer loops through joblib, with one BLAS thread per task."""

# SPDX-License-Identifier: BSD-3-Clause

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import ThreadpoolController


@cache
def _controller():
    # The search for loaded libraries takes a millisecond, more than a small task. It is
    # made at the first call, when numpy and scipy have loaded theirs.
    return ThreadpoolController()


def single_blas_thread():
    """Context in which the BLAS libraries use one thread."""
    return _controller().limit(limits=1)


@contextmanager
def short_task_threads(n_jobs=None):
    """Threads for many rounds of tasks of milliseconds, with one BLAS thread each.

    joblib takes tens of milliseconds to start threads and ten to hear of their end.

    Parameters
    ----------
    n_jobs : int, default=None

    Yields
    ------
    pool : concurrent.futures.ThreadPoolExecutor or None
        None for one job.
    """
    with single_blas_thread():
        workers = effective_n_jobs(n_jobs)
        if workers == 1:
            yield None
        else:
            with ThreadPoolExecutor(workers) as pool:
                yield pool


def run_tasks(function, tasks, n_jobs=None, *, prefer="threads"):
    """Call ``function(*task)`` for every task, in order.

    BLAS is limited to one thread for every value of `n_jobs`, 1 included: sums then
    have the same order and the results the same bits. The backend is joblib's choice
    or the caller's (``joblib.parallel_config``); threads are preferred by default,
    since the kernels release the GIL.

    Parameters
    ----------
    function : callable
    tasks : iterable of tuples
    n_jobs : int, default=None
    prefer : {"threads", "processes"}, default="threads"
        "processes" for long tasks of many short kernel calls, where the interpreter
        between the calls holds the lock.

    Returns
    -------
    results : list
    """
    # Limited here for the threads of this process, and again inside each task for
    # worker processes; in threads the inner limit finds the outer one in force.
    with single_blas_thread():
        if effective_n_jobs(n_jobs) == 1:
            # Dispatching and limiting each task costs more than a small task.
            return [function(*task) for task in tasks]
        return Parallel(n_jobs=n_jobs, prefer=prefer)(
            delayed(_single_threaded)(function, *task) for task in tasks
        )


def _single_threaded(function, *task):
    with single_blas_thread():
        return function(*task)
