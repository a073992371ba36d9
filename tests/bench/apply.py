#!/usr/bin/python3
"""How long `waggle apply` takes on booted nodes: when nothing changed, and when one small file of each node did.

    apply.py [--json] [--nodes N] [--runs N]      (3 nodes, the median of 5 runs)

Keys: noop_s and one_path_s, wall time; noop and one_path, their phases (evaluate_s, build_s, connect_s, fetch_s,
activate_s) as `waggle apply --timings` tells them, of the same run.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

source = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(source / "tests/system"))
sys.dont_write_bytecode = True
os.environ.setdefault("WAGGLE_BUILD_DIR", str(source / "build/release"))

from fleet import Fleet, laptop  # noqa: E402

PHASES = ["evaluate_s", "build_s", "connect_s", "fetch_s", "activate_s"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nodes", type=int, default=3, metavar="N")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    return parser.parse_args()


def measure(fleet, what):
    """One run of `waggle apply`: its wall time as wall_s, and its phases."""
    timings = fleet.run / "timings"
    began = time.monotonic()
    run = fleet.start_waggle("apply", "--timings", timings, json=False)
    run.process.wait()  # without a deadline, for which Python would look only every 50 ms
    ended = time.monotonic()
    if run.exit_code != 0:
        sys.exit(f"{run.text}apply: waggle apply failed ({what})")
    return {"wall_s": round(ended - began, 3)} | json.loads(timings.read_text())


def change_word(fleet, word):
    for node in fleet:
        fleet.configure(node, f'{{ environment.etc.word.text = "{word}"; }}')


def median(runs):
    return sorted(runs, key=lambda run: run["wall_s"])[(len(runs) - 1) // 2]


def benchmark(fleet, runs):
    noop, one_path = [], []
    change_word(fleet, "warm-up")
    measure(fleet, "warm-up")
    for i in range(runs):
        noop.append(measure(fleet, "noop"))
        # A word that no run before has seen: building it is part of what is measured.
        change_word(fleet, f"{laptop.RUN_ID}-{i}")
        one_path.append(measure(fleet, "one_path"))
    result = {"nodes": len(fleet.nodes)}
    for name, run in ("noop", median(noop)), ("one_path", median(one_path)):
        result[f"{name}_s"] = run["wall_s"]
        result[name] = {phase: run.get(phase) for phase in PHASES}
    return result


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def main():
    arguments = parse_arguments()
    laptop.enter()
    # Standard output has only the result.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    fleet = Fleet([f"node{i:02}" for i in range(1, arguments.nodes + 1)])
    try:
        result = benchmark(fleet, arguments.runs)
    finally:
        fleet.destroy()
    if arguments.json:
        print(compact(result), file=output)
    else:
        print(f"nothing changed: {result['noop_s']} s  {compact(result['noop'])}", file=output)
        print(f"one path changed: {result['one_path_s']} s  {compact(result['one_path'])}", file=output)


if __name__ == "__main__":
    main()
