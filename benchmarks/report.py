"""Compare with the peers, workload by workload: ``python -m benchmarks.report``.

Every implementation has a process of its own. They take turns, round by round, so that whatever else happens on the
machine happens to all of them; what is compared are medians. Results are checked after the timing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from benchmarks.checks import compare, complaint, ours_on
from benchmarks.limits import needed
from benchmarks.peers import OURS, Implementation, implementations_of, thread_counts
from benchmarks.processes import Worker, measure_limits
from benchmarks.workloads import WORKLOADS, Workload
from fastcluster_ext import _kernels
from fastcluster_ext._threads import available_cpus

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison, print it, and write it to files if asked to; 1 if a target was missed or results differ."""
    options = _parser().parse_args(arguments)
    names = options.workload or list(WORKLOADS)
    threads = [available_cpus()] if options.quick else thread_counts()
    report: dict[str, Any] = {"machine": _machine(), "quick": options.quick, "limits": {}, "workloads": []}
    for n_threads in threads:
        report["limits"][str(n_threads)] = measure_limits(n_threads)
    for name in names:
        for n_threads in threads:
            report["workloads"].append(_run(WORKLOADS[name], n_threads, options.quick))
            print(_section(report["workloads"][-1], report["limits"]), flush=True)
    text = _markdown(report)
    if options.output:
        options.output.with_suffix(".md").write_text(text)
        options.output.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    print(_head(report))
    hit = all(target["hit"] for run in report["workloads"] for target in run["targets"])
    agreed = not any(row["complaint"] for run in report["workloads"] for row in run["rows"])
    return 0 if hit and agreed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Compare with the peers.")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="all threads only, one round of every peer with a target")
    parser.add_argument("--output", type=Path, help="write the report to this path with .md and with .json")
    return parser


def _run(workload: Workload, n_threads: int, quick: bool) -> dict[str, Any]:
    """Time implementations of a workload, in turns, and check what they found.

    On fewer threads than all, and in haste, these are only those that a target is about.
    """
    only_targets = quick or n_threads < available_cpus()
    chosen = [
        implementation
        for implementation in implementations_of(workload).values()
        if not only_targets or implementation.name == OURS or implementation.name in workload.targets
    ]
    seconds: dict[str, list[float]] = {implementation.name: [] for implementation in chosen}
    found: dict[str, dict[str, Any]] = {}
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        workers = {
            implementation.name: stack.enter_context(Worker(workload, implementation, n_threads))
            for implementation in chosen
        }
        plan = {
            implementation.name: (1, 0) if quick and implementation.name != OURS else implementation.rounds(workload)
            for implementation in chosen
        }
        for name, (_, warmups) in plan.items():
            for _ in range(warmups):
                workers[name].run()
        for turn in range(max(rounds for rounds, _ in plan.values())):
            for name, (rounds, _) in plan.items():
                if turn < rounds:
                    seconds[name].append(workers[name].run(turn))
        outcomes = {name: worker.outcome() for name, worker in workers.items()}
        for implementation in chosen:
            step = implementation.step(workload)
            ours = outcomes[OURS] if step == 1 else ours_on(workload, step)
            theirs = outcomes[implementation.name]
            errors = compare(workload, implementation, theirs, ours)
            found[implementation.name] = {
                **errors,
                "complaint": complaint(workload, implementation, theirs, errors),
                "peak_bytes": workers[implementation.name].peak_bytes(),
            }
    rows = [_row(workload, implementation, seconds, found[implementation.name]) for implementation in chosen]
    bytes_moved, multiply_adds = needed(workload) if workload.task == "lloyd" else (None, None)
    return {
        "workload": workload.name,
        "title": workload.title,
        "task": workload.task,
        "iterations": workload.iterations,
        "n_threads": n_threads,
        "load_before": load,
        "rows": rows,
        "targets": _targets(workload, rows) if n_threads == available_cpus() else [],
        "bytes": bytes_moved,
        "multiply_adds": multiply_adds,
    }


def _row(
    workload: Workload, implementation: Implementation, seconds: dict[str, list[float]], found: dict[str, Any]
) -> dict[str, Any]:
    step = implementation.step(workload)
    mine, ours = seconds[implementation.name], seconds[OURS]
    return {
        "implementation": implementation.name,
        "note": implementation.note,
        "step": step,
        "seconds": mine,
        "median": step * statistics.median(mine),
        "least": step * min(mine),
        "ratio": step * statistics.median(mine) / statistics.median(ours),
        "ratio_of_least": step * min(mine) / min(ours),
        **found,
    }


def _targets(workload: Workload, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of each target whether it was hit."""
    by_name = {row["implementation"]: row for row in rows}
    targets = []
    for name, least in workload.targets.items():
        hit = by_name[name]["ratio"] >= least
        text = f"{least:g}x {name}"
        if name.startswith("Pillow"):
            hit = hit and by_name[OURS]["mean_squared_error"] < by_name[name]["mean_squared_error"]
            text = f"faster than {name} at a lower error"
        targets.append({"target": text, "ratio": by_name[name]["ratio"], "hit": bool(hit)})
    return targets


def _machine() -> dict[str, str]:
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "processor": model,
        "cores": str(available_cpus()),
        "instruction set": _kernels.isa,
        "compiler": _kernels.runtime.compiler(),
        "Python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
        **_versions(),
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("numpy", "scikit-learn", "pillow", "opencv-python-headless"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _head(report: dict[str, Any]) -> str:
    machine = report["machine"]
    shown = ", ".join(f"{key} {value}" for key, value in machine.items() if key not in ("date", "processor", "cores"))
    limits = "; ".join(
        f"{threads} thread{'s' if threads != '1' else ''}: reading {limit['read'] / 1e9:.1f} GB/s, "
        f"{limit['multiply_adds'] / 1e9:.0f} billion float32 multiply-adds/s in BLAS"
        for threads, limit in report["limits"].items()
    )
    verdicts = [
        f"- {'hit' if target['hit'] else 'MISSED'}: {run['title']}: {target['target']}; measured {target['ratio']:.1f}x"
        for run in report["workloads"]
        for target in run["targets"]
    ]
    verdicts += [
        f"- RESULTS DIFFER: {run['title']}: {row['implementation']}: {row['complaint']}"
        for run in report["workloads"]
        for row in run["rows"]
        if row["complaint"]
    ]
    return "\n".join(
        [
            f"Measured on {machine['date']}, {machine['processor']}, {machine['cores']} cores ({shown}).",
            f"Limits of this machine, measured: {limits}.",
            "",
            *verdicts,
            "",
        ]
    )


def _markdown(report: dict[str, Any]) -> str:
    notes = {
        row["implementation"] + " " + run["task"]: f"- {row['implementation']} ({run['task']}): {row['note']}"
        for run in report["workloads"]
        for row in run["rows"]
    }
    sections = [_section(run, report["limits"]) for run in report["workloads"]]
    return "\n".join([_head(report), *sections, *notes.values(), ""])


def _section(run: dict[str, Any], limits: dict[str, Any]) -> str:
    threads = run["n_threads"]
    lines = [f"**{run['title']}**, {threads} thread{'s' if threads > 1 else ''}", ""]
    lines += _lloyd_table(run) if run["task"] == "lloyd" else _quantize_table(run)
    if run["bytes"] is not None:
        limit = limits[str(threads)]
        memory, arithmetic = run["bytes"] / limit["read"], run["multiply_adds"] / limit["multiply_adds"]
        ours = run["rows"][0]["median"]
        lines += [
            "",
            f"Ours takes {ours / max(memory, arithmetic):.1f} times the larger of these: {_time(memory)} to move "
            f"{run['bytes'] / 1e6:.0f} MB at the bandwidth measured, {_time(arithmetic)} for "
            f"{run['multiply_adds'] / 1e9:.2f} billion multiply-adds (every distance) at the rate of BLAS.",
        ]
    return "\n".join([*lines, ""])


def _lloyd_table(run: dict[str, Any]) -> list[str]:
    lines = [
        "| implementation | median | per iteration | ours is faster by | (least times) | inertia off ours | labels off "
        "ours | peak memory | rounds |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in run["rows"]:
        about = "" if row["step"] == 1 else "≈ "
        lines.append(
            f"| {_name(row)} | {about}{_time(row['median'])} | {about}{_time(row['median'] / run['iterations'])} "
            f"| {about}{row['ratio']:.1f}x | {about}{row['ratio_of_least']:.1f}x | {row['difference']:.0e} "
            f"| {row['other_labels']:.2%} | {_peak(row)} | {len(row['seconds'])} |"
        )
    return lines


def _quantize_table(run: dict[str, Any]) -> list[str]:
    lines = [
        "| implementation | median | ours is faster by | (least times) | mean squared error | inertia | peak memory "
        "| rounds |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in run["rows"]:
        lines.append(
            f"| {_name(row)} | {_time(row['median'])} | {row['ratio']:.1f}x | {row['ratio_of_least']:.1f}x "
            f"| {row['mean_squared_error']:.2f} | {row['inertia']:.4g} | {_peak(row)} | {len(row['seconds'])} |"
        )
    return lines


def _name(row: dict[str, Any]) -> str:
    return str(row["implementation"]) + ("" if row["step"] == 1 else f" (scaled from 1/{row['step']} of the rows)")


def _peak(row: dict[str, Any]) -> str:
    return "?" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.0f} MB"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


if __name__ == "__main__":
    sys.exit(main())
