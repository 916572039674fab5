"""Command line of the peers benchmarks."""

import argparse
import importlib
import json
import pkgutil
from pathlib import Path

from benchmarks._harness import RESULTS, table, write

MARK = "<!-- tables -->"


def main():
    here = Path(__file__).parent
    families = sorted(
        m.name for m in pkgutil.iter_modules([str(here)]) if m.name[0] != "_"
    )
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("family", nargs="*", choices=[*families, []], default=[])
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, nothing kept"
    )
    options = parser.parse_args()
    for family in options.family or families:
        module = importlib.import_module(f"benchmarks.peers.{family}")
        cases = module.run(quick=options.quick)
        packages = ("skstruct", "numpy", "scipy", "scikit-learn", *module.PACKAGES)
        if options.quick:
            record = {"family": family, "processor": "", "threads": "", "date": "quick"}
            print(table([{**record, "versions": {}, "cases": cases}]))
        else:
            print(f"wrote {write(family, cases, packages=packages, quick=False)}")
    if not options.quick:
        records = [json.loads(p.read_text()) for p in sorted(RESULTS.glob("*.json"))]
        measured = [r for r in records if "cases" in r]
        page = here.parent / "README.md"
        head = page.read_text().split(MARK)[0]
        page.write_text(f"{head}{MARK}\n\n{table(measured)}")


if __name__ == "__main__":
    main()
