"""A big cluster on one socket: rootlesskit and an API server with 10,000 Services, 20,000 ports.

`python -m tests.ports.scale DIRECTORY` reads and joins it in a separate process, and prints the
time and memory that this took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tests import server
from tests.ports import peers

PAGE = 500
FIRST_PORT = 20_000


def routes(count: int) -> dict[str, Any]:
    """Return the answers by path.

    Each Service has a TCP port and a UDP port of the same number, so that 20,000 ports fit.
    """
    services = [_service(number) for number in range(count)]
    found: dict[str, Any] = {"/v1/ports": _forwards(count), "/v1/info": {}}
    for start in range(0, max(count, 1), PAGE):
        path = f"/api/v1/services?limit={PAGE}" + (f"&continue={start}" if start else "")
        proceed = str(start + PAGE) if start + PAGE < count else ""
        page = {
            "metadata": {"continue": proceed, "resourceVersion": "1"},
            "items": services[start : start + PAGE],
        }
        found[path] = json.dumps(page).encode()
    return found


def _service(number: int) -> dict[str, Any]:
    ports = [
        {"name": f"p{proto}", "protocol": proto, "port": FIRST_PORT + number}
        for proto in ("TCP", "UDP")
    ]
    # Metadata that kubectl and controllers add; it is half of a real Service.
    padding = {
        "labels": {"app": f"service-{number}"},
        "annotations": {"last-applied": "x" * 400},
        "uid": f"{number:036}",
    }
    return {
        "metadata": {"namespace": f"n{number % 50}", "name": f"service-{number}", **padding},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.43.0.1",
            "ports": ports,
            "selector": {"app": "x"},
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}},
    }


def _forwards(count: int) -> bytes:
    specs = [
        {
            "id": number,
            "spec": {
                "proto": proto,
                "parentPort": FIRST_PORT + number,
                "childPort": FIRST_PORT + number,
            },
        }
        for number in range(count)
        for proto in ("tcp", "udp")
    ]
    return json.dumps(specs).encode()


def table(count: int, proto: str) -> str:
    """Return the text of /proc/net/tcp6 (or udp6) with the host's sockets."""
    state = "0A" if proto == "tcp" else "07"
    head = (
        "  sl  local_address                         remote_address                        st"
        " tx_queue rx_queue\n"
    )
    wild = "0" * 32
    line = (
        " {n}: "
        + wild
        + ":{port:04X} "
        + wild
        + ":0000 "
        + state
        + " 00000000:00000000 00:00000000 00000000 1000 0 {n} 1 0\n"
    )
    return head + "".join(
        line.format(n=number + 1, port=FIRST_PORT + number) for number in range(count)
    )


def main(directory: Path) -> None:
    """Read all sources, join them, and write the document, as `ports --json` does."""
    # This import applies the command's own setting of the garbage collector.
    import k3s_rootless.__main__  # noqa: F401
    from k3s_rootless.k3s.version import parse
    from k3s_rootless.linux import sockets
    from k3s_rootless.observation import Known
    from k3s_rootless.operations.ports import answer
    from k3s_rootless.operations.ports import document as ports_document
    from k3s_rootless.ports.facts import Running, Sources
    from k3s_rootless.ports.rules import exposure
    from k3s_rootless.ports.sources import services
    from k3s_rootless.rest import UnixPeer
    from k3s_rootless.rootlesskit import client

    # Processor time, not elapsed time, which depends on the load of the machine.
    begun = time.process_time()
    peer = UnixPeer(directory / "socket")
    forwards = Known(client.forwards(peer, 20))
    listed = Known(services.service_ports(peer, 20))
    host = Known(sockets.listeners(proc_net=directory))
    running = Running(server.settings(), parse("v1.36.0+k3s1"), 1000)
    found = exposure.join(Sources(forwards, listed, host, host), running)
    document = ports_document.document(answer.of_all(found, Known(())))
    from k3s_rootless.cli.display.report import Report

    Report(json_for="ports").document(document)
    taken = time.process_time() - begun
    listening = sum(row.status.value == "listening" for row in found.rows)
    # Not getrusage(2): after exec(2), it still contains the peak of the parent process.
    (peak,) = (
        int(line.split()[1]) / 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if "VmHWM" in line
    )
    sys.stderr.write(
        json.dumps(
            {"rows": len(found.rows), "listening": listening, "seconds": taken, "peak_mib": peak}
        )
    )


def write(directory: Path, count: int) -> peers.Behaviour:
    """Write the tables of sockets, and return the behaviour of the server."""
    for proto in ("tcp", "udp"):
        (directory / f"{proto}6").write_text(table(count, proto))
        (directory / proto).write_text(table(0, proto))
    return peers.answering(routes(count))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
