"""`python -m tests.fakes.impatient`: k3s-rootless with a short wait for a lost user manager.

Tests that lose the user manager many times use this; the wait of users is tested in
tests/cli/test_bad_bus.py.
"""

from __future__ import annotations

from k3s_rootless.__main__ import main
from k3s_rootless.service.systemd import client

RETURN_SECONDS = 0.3

if __name__ == "__main__":
    client.RETURN_SECONDS = RETURN_SECONDS
    main()
