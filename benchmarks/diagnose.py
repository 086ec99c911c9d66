"""`python -m benchmarks.diagnose`: `diagnose` on a start of 20,000 lines, next to journalctl.

Boots a lab (root needed), writes the lines to its journal as K3s's unit, and times both commands in
turn. Asserts nothing.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

LINES = 20_000
ROUNDS = 5
UNIT = "k3s-rootless.service"
_WRITER = """
for n in range({lines}):
    print(f'I1123 21:35:11.953595      21 shared_informer.go:240] '
          f'Waiting for caches to sync for node_authorizer, turn {{n}}')
print('time="2026-11-23T21:35:11Z" level=fatal msg="a failure that no catalogue lists"')
raise SystemExit(1)
"""
_TIMED = """
import resource, subprocess, sys, time
begun = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    """Measure, and print the medians, their ratio and the memory of the larger process."""
    from tests.lab.driver import Lab
    from tests.machine import TOOL

    with Lab.up() as lab:
        script = _WRITER.format(lines=LINES)
        lab.user("tee", "/tmp/writer.py", stdin=script)  # noqa: S108 (the lab's own)
        run = (
            "systemd-run",
            "--user",
            "--quiet",
            "--wait",
            f"--unit={UNIT}",
            "python3",
            "/tmp/writer.py",  # noqa: S108
        )
        lab.user(*run)
        # journald confirms that the last line is written.
        lab.root("journalctl", "--sync")
        floor = ("journalctl", "--quiet", "--no-pager", f"--user-unit={UNIT}", "--output=json")
        ours = (TOOL, "diagnose", "--since=-1h")
        pairs = [
            [
                lab.user("python3", "-c", _TIMED, *command).stdout.split()
                for command in (ours, floor)
            ]
            for _ in range(ROUNDS + 1)
        ]
        print(lab.user(*ours).stdout[:300])
    seconds = [statistics.median(float(pair[which][0]) for pair in pairs[1:]) for which in (0, 1)]
    memory = max(int(pair[0][1]) for pair in pairs) / 1024
    print(f"{LINES} lines, median of {ROUNDS} pairs")
    print(f"diagnose        {seconds[0] * 1e3:7.0f} ms, {memory:.0f} MiB at most")
    print(
        f"journalctl alone{seconds[1] * 1e3:7.0f} ms, ratio {seconds[0] / seconds[1]:.2f} (bound:"
        " 2, 80 MiB)"
    )


if __name__ == "__main__":
    main()
