"""Test that an image is pulled through a real proxy on the loopback address of the host.

K3s has the proxy of the shell in which `env import-proxy` ran.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Tool
from tests.fakes import connect_proxy

pytestmark = pytest.mark.lab
_PROXY = """
import signal
class Printed(list):
    def append(self, head):
        print(repr(head), flush=True)
proxy = ConnectProxy(answer=b"HTTP/1.1 502 Bad Gateway\\r\\n\\r\\n")
proxy.heads = Printed()
print(proxy.address, flush=True)
signal.pause()
"""
_GATEWAY = "10.41.0.2"
_SECRET = "s3cretpass"  # noqa: S105 (not used anywhere)


@pytest.mark.parametrize("prefix", ["", "CONTAINERD_"])
def test_an_image_is_pulled_through_the_proxy_of_the_shell(lab_tool: Tool, prefix: str) -> None:
    source = Path(connect_proxy.__file__).read_text("utf-8") + _PROXY
    lab_tool.order(pull="https://registry.example/v2/")
    with lab_tool.machine.popen("python3", "-c", source) as proxy:
        assert proxy.stdout is not None
        port = proxy.stdout.readline().strip().rpartition(":")[2]
        address = f"http://alice:{_SECRET}@{_GATEWAY}:{port}"
        shell = {f"{prefix}https_proxy": address, "NO_PROXY": ".example.org"}
        hinted = lab_tool("up", *lab_tool.ignore, "--no-wait", env=shell)
        lab_tool("down").check_returncode()
        lab_tool("env", "set", "K3S_ROOTLESS_DISABLE_HOST_LOOPBACK=false").check_returncode()

        imported = lab_tool("env", "import-proxy", env=shell)
        started = lab_tool("up", *lab_tool.ignore, env=shell)
        head = proxy.stdout.readline()
        proxy.kill()

    name = f"{prefix}HTTPS_PROXY"
    assert 0 == imported.returncode, imported.stderr
    assert f"this shell uses a proxy ({name})" in hinted.stderr
    assert "this shell uses a proxy" not in started.stderr
    assert "CONNECT registry.example:443" in head
    assert "Proxy-Authorization: Basic" in head
    exceptions = lab_tool("env", "get", "NO_PROXY").stdout.strip().split(",")
    assert {".example.org", "10.41.0.0/16", "10.42.0.0/16", "10.43.0.0/16"} <= set(exceptions)
    printed = "".join(one.stdout + one.stderr for one in (hinted, imported, started))
    assert _SECRET not in printed + lab_tool("logs").stdout + lab_tool("env", "list").stdout
