"""Polling with a deadline."""

import time


def wait_until(what, condition, timeout):
    """Polls until condition() is true and returns its value. After `timeout` seconds, it fails and says `what`."""
    deadline = time.monotonic() + timeout
    pause = 0.05
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up after {timeout} s waiting until {what}")
        time.sleep(pause)
        # Each look may start a process, and the machine has better things to do.
        pause = min(pause * 1.3, 0.4)
    return value


def comes_true(condition, timeout, pause=0.1):
    """Polls until condition() is true, for that long; whether it was."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
