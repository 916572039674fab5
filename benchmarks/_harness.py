"""Side-by-side measurement of skstruct and its peers in one process run.

A family module ``benchmarks/peers/<family>.py`` defines ``run(*, quick)`` that
returns a list of cases; each case is made by :func:`case` from one data set and the
measurements of every program on it. Times are medians of interleaved repetitions, so
that a drift of the machine hits all programs alike; only ratios should be quoted.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from importlib.metadata import version
from pathlib import Path

import skstruct

RESULTS = Path(__file__).parent / "results"


def measure(programs, *, repeats=3, warmup=True):
    """Time several programs in turn: A B C A B C ...

    Parameters
    ----------
    programs : dict of str -> callable
        Zero-argument functions; their last results are kept.
    repeats : int
    warmup : bool
        Whether each runs once before it is timed (compilation, caches).

    Returns
    -------
    dict of str -> {"seconds": median, "all_seconds": list, "result": object}
    """
    times = {name: [] for name in programs}
    results = {}
    for i in range(repeats + warmup):
        for name, program in programs.items():
            start = time.perf_counter()
            results[name] = program()
            if i >= warmup:
                times[name].append(time.perf_counter() - start)
    return {
        name: {
            "seconds": statistics.median(times[name]),
            "all_seconds": [round(t, 5) for t in times[name]],
            "result": results[name],
        }
        for name in programs
    }


def case(title, data, measured, quality, *, ours="skstruct", floor_seconds=None):
    """One row group of the report.

    Parameters
    ----------
    title, data : str
        What is compared, and on what.
    measured : dict
        From :func:`measure`, :func:`run_in_environment` or merged from both.
    quality : dict of str -> dict of str -> float
        Program -> {measure name: value}.
    ours : str
        Name of our program in `measured`.
    floor_seconds : float, optional
        Time of the passes that no program can avoid, from the same run.
    """
    own = measured[ours]["seconds"]
    rows = []
    for name, entry in measured.items():
        rows.append(
            {
                "program": name,
                "seconds": round(entry["seconds"], 5),
                "time_over_ours": round(entry["seconds"] / own, 3),
                "quality": {k: float(v) for k, v in quality.get(name, {}).items()},
                **{
                    k: entry[k]
                    for k in ("version", "peak_memory_mb", "note", "all_seconds")
                    if k in entry
                },
            }
        )
    found = {"title": title, "data": data, "ours": ours, "rows": rows}
    if floor_seconds is not None:
        found["floor_seconds"] = round(floor_seconds, 6)
        found["ours_over_floor"] = round(own / floor_seconds, 3)
    return found


def versions(*packages):
    """Installed versions, for the provenance of a result; skstruct from its source."""
    return {
        name: skstruct.__version__ if name == "skstruct" else version(name)
        for name in packages
    }


def peak_memory_mb(code, *, python=sys.executable, env=None):
    """Peak resident memory of a Python program run in a process of its own."""
    probe = (
        "import resource\n" + code + "\nprint(resource.getrusage("
        "resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    # From a shell in between: a direct child starts with the peak of this process.
    out = subprocess.run(
        ["sh", "-c", '"$0" -c "$1"; exit $?', python, probe],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
    )
    return float(out.stdout.strip().splitlines()[-1])


def environment(name, requirements):
    """Python of a virtual environment for a peer whose pins demand one.

    It is made once below the folder ``SKSTRUCT_BENCH_ENVS`` (default: the system's
    temporary folder) and reused.
    """
    root = Path(os.environ.get("SKSTRUCT_BENCH_ENVS", tempfile.gettempdir()))
    folder = root / f"skstruct-bench-{name}"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *requirements], check=True
        )
    return str(python)


def run_in_environment(python, script, payload):
    """Run a peer's script on arrays in its own environment.

    Parameters
    ----------
    python : str
        From :func:`environment`.
    script : str
        Python text; it finds ``data`` (dict of the arrays) and fills the dictionary
        ``out`` with arrays and floats, among them ``seconds``.
    payload : dict of str -> ndarray
        Input arrays.

    Returns
    -------
    dict
        ``out``, with scalars as floats.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.npz"), Path(folder, "out.npz")
        np.savez(source, **payload)
        text = (
            "import numpy as np\n"
            f"data = dict(np.load({str(source)!r}))\nout = {{}}\n{script}\n"
            f"np.savez({str(target)!r}, **out)\n"
        )
        subprocess.run([python, "-c", text], check=True)
        loaded = dict(np.load(target))
    return {k: v.item() if v.ndim == 0 else v for k, v in loaded.items()}


def provenance(*packages):
    """Date, machine and versions of a measurement."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OPENBLAS_NUM_THREADS", "default"),
        "processor": _processor(),
        "versions": versions(*packages),
    }


def write(family, cases, *, packages, quick):
    """Save the cases of a family as JSON with the machine and the versions."""
    RESULTS.mkdir(exist_ok=True)
    record = {
        "family": family,
        "quick": quick,
        **provenance(*packages),
        "peak_memory_of_run_mb": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        ),
        "cases": cases,
    }
    path = RESULTS / f"{family}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def _processor():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def table(records):
    """Markdown tables of all recorded families."""
    lines = []
    for record in records:
        lines += [
            f"## {record['family']}",
            "",
            f"{record['processor']}, {record['threads']} thread(s), "
            f"{record['date']}; "
            + ", ".join(f"{k} {v}" for k, v in record["versions"].items()),
            "",
        ]
        for found in record["cases"]:
            lines += [f"**{found['title']}** ({found['data']})", ""]
            names = sorted({k for row in found["rows"] for k in row["quality"]})
            head = ["program", "seconds", "time / ours", *names, "peak MB", "note"]
            lines += [
                "| " + " | ".join(head) + " |",
                "|" + "---|" * len(head),
            ]
            for row in found["rows"]:
                cells = [
                    row["program"],
                    f"{row['seconds']:.4g}",
                    f"{row['time_over_ours']:.3g}",
                    *(
                        f"{row['quality'][k]:.5g}" if k in row["quality"] else ""
                        for k in names
                    ),
                    f"{row['peak_memory_mb']:.0f}" if "peak_memory_mb" in row else "",
                    row.get("note", ""),
                ]
                lines.append("| " + " | ".join(cells) + " |")
            if "ours_over_floor" in found:
                lines += [
                    "",
                    f"Floor {found['floor_seconds']:.4g} s; ours is "
                    f"{found['ours_over_floor']:.2f} times the floor.",
                ]
            lines.append("")
    return "\n".join(lines)
