"""The protocol of the suites in Python: a case prints `ok <case>` or `FAIL <case>: <why>`; a failure exits with 1."""

import os
import signal
import sys
import time
import traceback
import uuid

CASES = []
CASE_SECONDS = 60
READ_SECONDS = 30


def bootstrap():
    return os.environ["KLAMM_BOOTSTRAP"]


def unique(name):
    """A name that no earlier run on the same cluster used."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def case(function):
    """Registers a case, named after its function."""
    CASES.append(function)
    return function


def equal(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def until(condition, what, seconds=READ_SECONDS):
    """Returns the first truthy value of `condition`, or fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")


def _expired(_signal, _frame):
    raise TimeoutError(f"no result within {CASE_SECONDS} s")


def run_cases():
    """Runs every registered case, or those whose name contains the first argument."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    signal.signal(signal.SIGALRM, _expired)
    failed = 0
    for function in [f for f in CASES if wanted in f.__name__]:
        signal.alarm(CASE_SECONDS)
        try:
            function()
            print(f"ok {function.__name__}", flush=True)
        except Exception as error:  # a case may fail in any way; the others still run
            failed += 1
            traceback.print_exc()
            print(f"FAIL {function.__name__}: {type(error).__name__}: {error}", flush=True)
        finally:
            signal.alarm(0)
    sys.stdout.flush()
    os._exit(1 if failed else 0)  # threads of a failed case must not keep the process
