#!/usr/bin/python3
"""What an agent costs that has nothing to do, after one deployment: memory, and how often it wakes up.

    idle.py [--json] [--seconds N]      (120)

Keys: rss_mib and private_mib of the agent; wakeups_per_min, the voluntary context switches of all its threads; threads.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

source = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(source / "tests/system"))
sys.dont_write_bytecode = True
os.environ.setdefault("WAGGLE_BUILD_DIR", str(source / "build/release"))

from fleet import Exit, Fleet, laptop, wait_until  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=int, default=120, metavar="N")
    return parser.parse_args()


def log(text):
    print(text, file=sys.stderr, flush=True)


def main_process(node):
    return node.get_unit_property("waggle-agent", "MainPID")


def switches(node, process):
    """How often the threads of a process have gone to sleep so far."""
    statuses = node.succeed(f"cat /proc/{process}/task/*/status")
    return sum(map(int, re.findall(r"^voluntary_ctxt_switches:\s*(\d+)", statuses, re.MULTILINE)))


def is_quiet(node, process):
    before = switches(node, process)
    time.sleep(10)
    return switches(node, process) == before


def memory(node, process):
    """What /proc/PID/smaps_rollup says, in KiB, by its names."""
    text = node.succeed(f"cat /proc/{process}/smaps_rollup")
    return {name: int(kib) for name, kib in re.findall(r"^(\w+):\s*(\d+) kB", text, re.MULTILINE)}


def benchmark(fleet, node, seconds):
    fleet.configure(node, '{ environment.etc.word.text = "one"; }')
    run = fleet.apply(json=False)
    if run.exit_code != Exit.OK:
        sys.exit(f"{run.text}idle: the deployment failed")
    agent = main_process(node)
    try:
        wait_until("the agent rests", lambda: is_quiet(node, agent), 60)
    except AssertionError as error:
        # What follows a deployment is not idleness; an agent that never rests is measured all the same.
        log(error)
    log(f"measuring for {seconds} s")
    before = switches(node, agent)
    time.sleep(seconds)
    after = switches(node, agent)
    threads = len(node.succeed(f"ls /proc/{agent}/task").splitlines())
    if main_process(node) != agent:
        sys.exit("idle: the agent was restarted")
    used = memory(node, agent)
    return {
        "rss_mib": round(used["Rss"] / 1024, 2),
        "private_mib": round((used["Private_Clean"] + used["Private_Dirty"]) / 1024, 2),
        "wakeups_per_min": round((after - before) * 60 / seconds, 2),
        "threads": threads,
    }


def main():
    arguments = parse_arguments()
    laptop.enter()
    # Standard output has only the result.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    fleet = Fleet(["alpha"])
    try:
        result = benchmark(fleet, fleet["alpha"], arguments.seconds)
    finally:
        fleet.destroy()
    if arguments.json:
        print(json.dumps(result), file=output)
    else:
        memory_used = "RSS {rss_mib:g} MiB, private {private_mib:g} MiB".format(**result)
        activity = "{wakeups_per_min:g} wake-ups a minute, {threads} threads".format(**result)
        print(f"{memory_used}, {activity}", file=output)


if __name__ == "__main__":
    main()
