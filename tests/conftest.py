"""What all tests share: the machines, booted when a test first asks for one."""

from __future__ import annotations

pytest_plugins = ["tests.lab.fixtures", "tests.vm.fixtures"]
