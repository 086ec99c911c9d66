from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.host import Host, opened, user_session
from tests.fakes.session import Session

TOKEN = "K10" + "ab12" * 16 + "::server:9f8e7d6c5b4a"
SYSTEMCTL = "#!/bin/sh\nprintf '%s\\n' LANG=C.UTF-8 PATH=/usr/bin SMTP_PASS=zinnober-17\n"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Yield a host with a token in its file and in the journal."""
    with opened(monkeypatch) as found:
        found.program("systemctl", SYSTEMCTL)
        found.write(found.paths.data / "server/token", TOKEN)
        yield found


@pytest.fixture
def bus(host: Host, dbus_daemon: None) -> Iterator[Session]:
    with user_session(host) as found:
        yield found
