"""`python -m benchmarks.starts`: delay of the ready report of `up`, and its cost in a start.

Boots a lab (root needed). The floor is `systemctl --user start` and a Python loop that queries the
node without a pause until it is ready. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from tests.machine import Machine

UNIT = "k3s-rootless.service"
EVENTS = "/home/alice/.rancher/k3s/standin-events.jsonl"
QUICK = {
    "delay": 0.2,
    "ready_delay": 0.1,
    "node_delay": 0.1,
    "deployments_delay": 0.1,
    "enforce_controllers": False,
}
FLOOR = """
import http.client, json, os, ssl, subprocess, sys, tempfile, time, base64, yaml
def ready():
    try:
        found = yaml.safe_load(open(os.path.expanduser("~/.kube/k3s.yaml")))
        if os.stat(os.path.expanduser("~/.kube/k3s.yaml")).st_mtime < begun_wall:
            return False
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(user["client-certificate-data"]))
            pair.write(base64.b64decode(user["client-key-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
        connection = http.client.HTTPSConnection("127.0.0.1", 6443, context=context, timeout=5)
        connection.request("GET", "/api/v1/nodes")
        nodes = json.loads(connection.getresponse().read())["items"]
        conditions = [one for node in nodes for one in node["status"]["conditions"]]
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    except Exception:
        return False
begun, begun_wall = time.perf_counter(), time.time()
subprocess.run(["systemctl", "--user", "start", "k3s-rootless.service"], check=True)
while not ready():
    pass
print(time.perf_counter() - begun)
"""


def main() -> None:
    """Measure, and print percentiles, the ratio and what is left."""
    from tests.lab.driver import Lab
    from tests.machine import HOME

    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__)
    parser.add_argument(
        "--starts", type=int, default=50, help="starts that are timed (default: %(default)s)"
    )
    parser.add_argument(
        "--pairs", type=int, default=10, help="starts against the floor (default: %(default)s)"
    )
    options = parser.parse_args()
    with Lab.up("starts") as lab:
        lab.user("tee", str(HOME / ".k3s-standin.json"), stdin=json.dumps(QUICK)).check_returncode()
        up(lab)
        stop(lab)
        _percentiles(lab, options.starts)
        _ratio(lab, options.pairs)


def up(lab: Machine, *more: str) -> tuple[list[dict[str, str]], float]:
    """Start K3s; return the messages, and the duration of the whole command in seconds."""
    timed = (
        "import subprocess, sys, time; begun = time.perf_counter(); code ="
        " subprocess.run(sys.argv[1:]).returncode; print(f'took {time.perf_counter() - begun}',"
        " file=sys.stderr); sys.exit(code)"
    )
    args = ("k3s-rootless", "up", "--json", "--ignore", "cgroup.delegation", *more)
    done = lab.user("/usr/bin/python3", "-c", timed, *args)
    done.check_returncode()
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return events, float(done.stderr.rpartition("took ")[2])


def stop(lab: Machine) -> None:
    """Stop K3s, and reset systemd's count of starts."""
    lab.user("k3s-rootless", "down").check_returncode()
    lab.user("systemctl", "--user", "reset-failed", UNIT)


def _percentiles(lab: Machine, starts: int) -> None:
    late: dict[str, list[float]] = {"node": [], "deployments": []}
    for _ in range(starts):
        events, _seconds = up(lab, "--wait-for", "deployments")
        reported = {
            one["phase"]: datetime.fromisoformat(one["time"]).timestamp()
            for one in events
            if one["event"] == "phase"
        }
        marks = [json.loads(line) for line in lab.root("cat", EVENTS).stdout.splitlines()]
        actual = {
            one["event"]: one["time"]
            for one in marks
            if one["invocation"] == marks[-1]["invocation"]
        }
        late["node"].append(reported["node"] - actual["node-ready"])
        late["deployments"].append(reported["deployments"] - actual["deployments-ready"])
        stop(lab)
    for phase, seconds in late.items():
        ordered = sorted(seconds)
        shown = {
            percent: ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1e3
            for percent in (50, 90, 99)
        }
        print(
            f"{phase:<12} reported with a delay, {starts} starts: "
            + ", ".join(f"p{percent} {value:.0f} ms" for percent, value in shown.items())
            + f", longest {ordered[-1] * 1e3:.0f} ms (bound: 250)"
        )


def _ratio(lab: Machine, pairs: int) -> None:
    ours, floor = [], []
    for _ in range(pairs):
        ours.append(up(lab)[1])
        stop(lab)
        floor.append(float(lab.user("/opt/k3s-standin/bin/python", "-c", FLOOR).stdout))
        stop(lab)
    one, other = statistics.median(ours), statistics.median(floor)
    print(
        f"up {one:.2f} s, systemctl start and a tight loop {other:.2f} s: ratio {one / other:.2f},"
        f" {one - other:+.2f} s"
    )


if __name__ == "__main__":
    main()
