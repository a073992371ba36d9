"""Polling with a deadline."""

import time


def wait_until(what, condition, timeout, explain=lambda: ""):
    """Polls until condition() is true and returns its value.

    After `timeout` seconds, it fails and says `what`, and what explain() then finds.
    """
    value = comes_true(condition, timeout)
    assert value, f"gave up after {timeout} s waiting until {what}{explain()}"
    return value


def comes_true(condition, timeout, longest_pause=0.4):
    """Polls until condition() is true, for `timeout` seconds; its last value."""
    deadline = time.monotonic() + timeout
    pause = min(0.05, longest_pause)
    while not (value := condition()) and time.monotonic() <= deadline:
        time.sleep(pause)
        # Each look may start a process, and the machine has better things to do.
        pause = min(pause * 1.3, longest_pause)
    return value
