"""Checks with a line of output each."""

import re
import traceback

CHECKS = []


def check(name):
    """Registers a function that raises where something is not as it should be, and may return what to print."""
    def register(function):
        CHECKS.append((name, function))
        return function

    return register


def expect(true, said):
    if not true:
        raise AssertionError(said)


def equal(found, wanted, what):
    expect(found == wanted, f"{what} is {found!r}, not {wanted!r}")


def run(*arguments, only=""):
    """Runs those whose names match; how many failed."""
    failed = 0
    for name, function in CHECKS:
        if not re.search(only, name):
            continue
        try:
            said = function(*arguments)
            print(f"ok    {name}" + (f": {said}" if said else ""), flush=True)
        except Exception as error:
            failed += 1
            line = traceback.extract_tb(error.__traceback__)[-1]
            where = next((frame for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.name == function.__name__), line)
            print(f"FAIL  {name}: {type(error).__name__}: {str(error)[:300]} (line {where.lineno})", flush=True)
    print("all checks passed" if not failed else f"{failed} checks failed")
    return failed
