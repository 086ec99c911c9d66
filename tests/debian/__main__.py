"""`python -m tests.debian [RELEASE...]`: build missing root trees in parallel, and print paths."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from tests.debian import releases, trees
from tests.machine import MachineError


def main(names: list[str]) -> int:
    """Build the trees of `names`, or of all releases; return the number of failures."""
    failed = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for name, made in [
            (name, pool.submit(trees.tree, name)) for name in names or releases.NAMES
        ]:
            try:
                sys.stdout.write(f"{name}\t{made.result()}\n")
            except MachineError as error:
                failed += 1
                sys.stderr.write(f"error: {error}\n")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
