"""`python -m benchmarks.ports`: cost of `ports` with 100 Services, in a lab (needs root).

The lab has a real rootlesskit. Each round runs all commands in turn, so that a busy machine affects
them alike. "By hand" means: the Services with kubectl, or with curl and the certificates of the
kubeconfig, and the forwards with rootlessctl. This gives both lists without joining them. kubectl
is the installed one (Debian: kubectl), or that of `--kubectl`, with a warm cache and without one.
`--k3s` is a real K3s; its own kubectl is measured as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.lab.driver import Lab
from tests.lab.orders import ORDERS

SERVICES = 100
BOUND = 3.5
FLOOR = "python -c 'import click, dbus_next.aio'"
OURS = "k3s-rootless ports --json"
_PROGRAM = """
import base64, json, os, pathlib, shutil, statistics, subprocess, sys, time, yaml
rounds = int(sys.argv[1])
found = yaml.safe_load(pathlib.Path("~/.kube/k3s.yaml").expanduser().read_text())
cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
for name, data in (
    ("ca", cluster["certificate-authority-data"]),
    ("crt", user["client-certificate-data"]),
    ("key", user["client-key-data"]),
):
    path = pathlib.Path(f"~/bench.{name}").expanduser()
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(data))
home, python = os.path.expanduser("~"), "/opt/k3s-rootless/bin/python"
pair = f"--cert {home}/bench.crt --key {home}/bench.key"
curl = f"curl -s --cacert {home}/bench.ca {pair} {cluster['server']}/api/v1/services"
forwards = f"rootlessctl --socket {home}/.rancher/k3s/rootless/api.sock list-ports --json"
commands = {
    "floor": [python, "-c", "import click, dbus_next.aio"],
    "ours": ["k3s-rootless", "ports", "--json"],
    "text": ["k3s-rootless", "ports"],
    "curl": ["sh", "-c", f"{curl} && {forwards}"],
    "standin": ["sh", "-c", f"k3s kubectl get services -A -o json && {forwards}"],
}
if shutil.which("kubectl"):
    os.environ["KUBECONFIG"] = f"{home}/.kube/k3s.yaml"
    kubectl = f"kubectl get services -A -o json && {forwards}"
    commands["kubectl"] = ["sh", "-c", kubectl]
    commands["cold"] = ["sh", "-c", f"rm -rf {home}/.kube/cache; {kubectl}"]
if shutil.which("real-k3s"):
    real = f"KUBECONFIG={home}/.kube/k3s.yaml real-k3s kubectl get services -A -o json"
    commands["k3s"] = ["sh", "-c", f"{real} && {forwards}"]
times = {name: [] for name in commands}
for number in range(rounds + 1):
    for name, command in commands.items():
        begun = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        if number:
            times[name].append(time.perf_counter() - begun)
print(json.dumps({name: statistics.median(taken) for name, taken in times.items()}))
"""


def main() -> None:
    """Measure, and print the table; people interpret the ratios, and no test asserts them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ports", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=15, help="how often each command runs (default: %(default)s)"
    )
    parser.add_argument(
        "--kubectl",
        type=Path,
        help="a kubectl to measure with (default: the one that is installed)",
    )
    parser.add_argument("--k3s", type=Path, help="a real K3s, to measure its kubectl")
    options = parser.parse_args()
    with Lab.up("bench-ports") as lab:
        if options.kubectl:
            lab.install(options.kubectl, "kubectl")
        if options.k3s:
            lab.install(options.k3s, "real-k3s")
        medians = measure(lab, options.rounds)
    show(medians, options.rounds)


def measure(lab: Lab, rounds: int) -> dict[str, float]:
    """Start K3s with its Services, and return the medians in seconds."""
    orders = {"service_count": SERVICES, "enforce_controllers": lab.delegates}
    lab.user("tee", str(ORDERS), stdin=json.dumps(orders)).check_returncode()
    ignore = () if lab.delegates else ("--ignore", "cgroup.delegation")
    lab.user("k3s-rootless", "up", *ignore, timeout=240).check_returncode()
    listed = json.loads(lab.user("k3s-rootless", "ports", "--json").stdout)["ports"]
    if sum(row["status"] == "listening" for row in listed) < SERVICES:
        sys.stderr.write("warning: not all Services answer yet\n")
    done = lab.user("/opt/k3s-standin/bin/python", "-I", "-c", _PROGRAM, str(rounds), timeout=600)
    if done.returncode:
        sys.exit(done.stderr)
    medians: dict[str, float] = json.loads(done.stdout)
    return medians


def show(medians: dict[str, float], rounds: int) -> None:
    """Print the table."""
    names = {
        "floor": FLOOR,
        "ours": OURS,
        "text": "k3s-rootless ports",
        "curl": "by hand: curl and rootlessctl",
        "standin": "by hand: k3s kubectl (the stand-in's, in Python) and rootlessctl",
        "kubectl": "by hand: kubectl (its cache warm) and rootlessctl",
        "cold": "by hand: kubectl (its cache empty) and rootlessctl",
        "k3s": "by hand: a real K3s's kubectl and rootlessctl",
    }
    print(f"{SERVICES} Services, median of {rounds} rounds; the bound for --json is {BOUND}\n")
    print(f"{'command':<64} {'ms':>7} {'to the floor':>13}")
    for name, text in names.items():
        if name in medians:
            print(f"{text:<64} {medians[name] * 1e3:7.1f} {medians[name] / medians['floor']:13.2f}")
        else:
            print(
                f"{text:<64} unknown: it is not installed, and neither --kubectl nor --k3s names it"
            )


if __name__ == "__main__":
    main()
