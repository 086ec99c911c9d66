"""Tests of the administrator's script on a virtual machine with its own kernel.

Undo restores everything, down to the last file.
"""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Tool
from tests.e2e.test_admin_script import DAMAGE, RECORD, failed, run
from tests.vm.machine import Vm

EVERYTHING = f"""
find /etc /usr/bin/newuidmap /usr/bin/newgidmap /dev/net/tun /dev/fuse \
-printf '%p %y %m %U:%G %l\\n' | sort
find /etc -type f -print0 | sort -z | xargs -0 sha256sum
sysctl net.ipv4.ip_forward user.max_user_namespaces fs.inotify.max_user_instances
ls -d {RECORD} 2>&1; ls -d /sys/module/br_netfilter 2>&1; exit 0
"""


@pytest.mark.vm
def test_it_fixes_all_faults_of_a_machine_and_undoes_all_changes(stock_vm: Vm) -> None:
    tool = Tool(stock_vm)
    stock_vm.root(
        "sh",
        "-eu",
        "-c",
        f"{DAMAGE}\nmodprobe -r br_netfilter\nsysctl -q -w user.max_user_namespaces=0",
    ).check_returncode()
    before = stock_vm.root("sh", "-c", EVERYTHING).stdout
    failures = failed(tool)
    assert {
        "cgroup.delegation.cpuset",
        "userns.max",
        "sysctl.ip_forward",
        "subid.subuid",
        "device.tun",
    } <= failures

    script = tool("check", "--admin-script")
    done = run(stock_vm, script.stdout)

    assert 0 == done.returncode, done.stderr + done.stdout
    stock_vm.login().check_returncode()
    left = {
        one["check"]: one["remedy"]["fixable_by"]
        for one in tool.json("check")["checks"]
        if one["verdict"] in {"fail", "warn"}
    }
    assert "administrator" not in left.values(), left

    undone = run(stock_vm, script.stdout, "--undo")
    assert 0 == undone.returncode, undone.stderr + undone.stdout
    assert before.splitlines() == stock_vm.root("sh", "-c", EVERYTHING).stdout.splitlines()
