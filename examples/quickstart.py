"""A tour on real data: for each family the rank that the held-out score chooses.

Run it with ``python examples/quickstart.py``; it prints a table and saves
``quickstart.png`` in the current folder. Nothing is downloaded.
"""

import time
import warnings
from dataclasses import dataclass

from sklearn.exceptions import ConvergenceWarning


@dataclass
class Row:
    """One line of the table and one panel of the figure."""

    family: str
    data: str
    pipeline: str
    chosen: str
    """The rank that GridSearchCV chose, or the structure that was found."""
    measure: str
    """Name of the held-out measure, with an arrow for its good direction."""
    ours: float
    plain: float
    """The same measure for the plain alternative."""
    plain_name: str
    draw: callable
    """Draws the panel on a matplotlib axes."""
    seconds: float = 0.0


ROWS = []


def main():
    rows = []
    for make in ROWS:
        print(f"{make.__doc__.splitlines()[0]} ...", end="", flush=True)
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Grid points far from the optimum need not converge.
            warnings.simplefilter("ignore", ConvergenceWarning)
            row = make()
        row.seconds = time.perf_counter() - start
        print(f" {row.seconds:.1f} s", flush=True)
        rows.append(row)


if __name__ == "__main__":
    main()
