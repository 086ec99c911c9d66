from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.journal import lines
from tests.patience import PATIENCE


@pytest.mark.parametrize(
    ("message", "identifier", "level", "component"),
    [
        (
            'time="2026-11-23T21:35:11.694751872Z" level=info msg="Starting k3s"',
            "k3s",
            "info",
            "k3s",
        ),
        ('time="x" level=warning msg="x"', "k3s", "warning", "k3s"),
        ("level=fatal msg=boom", "k3s", "fatal", "k3s"),
        ("FATA[0000] no luck", "k3s", "fatal", "k3s"),
        ('I1123 21:35:11.953595      21 kubelet.go:2291] "x"', "k3s", "info", "kubelet"),
        ("E1123 21:36:23.006508      21 remote_image.go:114] x", "k3s", "error", "kubelet"),
        ("W1123 21:36:23.006508      21 genericapiserver.go:767] x", "k3s", "warning", "apiserver"),
        ("I1123 21:35:11.953595      21 controllermanager.go:574] Started x", "k3s", "info", "k3s"),
        (
            (
                "I1123 21:35:11.953595      21 shared_informer.go:240] Waiting for caches to sync"
                " for HPA"
            ),
            "k3s",
            "info",
            "k3s",
        ),
        (
            (
                "I1123 21:35:11.953595      21 plugins.go:158] Loaded 12 mutating admission"
                " controller(s)"
            ),
            "k3s",
            "info",
            "apiserver",
        ),
        (
            'I1123 21:35:11.953595      21 server.go:1191] "Started kubelet"',
            "k3s",
            "info",
            "kubelet",
        ),
        (
            "I1123 21:35:11.953595      21 server.go:650] external host was not specified",
            "k3s",
            "info",
            "k3s",
        ),
        (
            "F0403 06:48:33.824889      67 network_policy_controller.go:381] x",
            "k3s",
            "fatal",
            "k3s",
        ),
        (
            'time="x" level=info msg="Bound parent port :10080 to child namespace port 80"',
            "k3s",
            "info",
            "rootlesskit",
        ),
        ("k3s-rootless.service: Failed with result 'exit-code'.", "systemd", "warning", "systemd"),
        ("panic: x", "k3s", "fatal", "k3s"),
        ("whatever", None, "info", "k3s"),
    ],
)
def test_a_line_names_its_level_and_its_component(
    message: str, identifier: str | None, level: str, component: str
) -> None:
    found = lines.parse(message, identifier, 4 if identifier == "systemd" else 6)

    assert (found.level, found.component) == (level, component)


@pytest.mark.parametrize(
    ("message", "priority", "level"),
    [
        ('time="x" level=warning msg="y"', 3, "warning"),
        ('time="x" level=warn msg="y"', 6, "warning"),
        ('time="x" level=trace msg="y"', 6, "trace"),
        ("E1124 00:01:46.107136 15 x.go:1] y", 6, "error"),
        ("I1124 00:01:46.107136 15 x.go:1] y", 3, "info"),
        ("WARN[0003] y", 6, "warning"),
        ("PANI[0003] y", 6, "fatal"),
        ("panic: runtime error", 6, "fatal"),
        ("[rootlesskit:parent] error: failed to setup UID/GID map", 6, "fatal"),
        ("[rootlesskit:child ] error: parsing message from fd 3: EOF", 6, "fatal"),
        ('I1124 00:01:46.107136 15 x.go:1] "read" line="level=fatal msg=x"', 6, "info"),
        ("a Pod wrote level=error msg=x", 6, "info"),
        ("Failed with result 'exit-code'.", 4, "warning"),
        ("plain", None, "info"),
        ("plain", 99, "info"),
    ],
)
def test_a_line_has_the_level_that_it_names(message: str, priority: int | None, level: str) -> None:
    assert level == lines.parse(message, "k3s", priority).level


def test_lines_that_differ_only_in_time_are_equal_when_folded() -> None:
    first, second = (f"E1123 21:36:2{second}.006508      21 x.go:114] same" for second in (3, 4))

    assert lines.folded(first) == lines.folded(second)
    assert lines.folded('time="1" level=info msg="same"') == lines.folded(
        'time="2" level=info msg="same"'
    )
    assert lines.folded("a") != lines.folded("b")


@given(st.text(max_size=300), st.none() | st.text(max_size=20), st.none() | st.integers())
def test_every_text_has_a_level_and_a_component(
    message: str, identifier: str | None, priority: int | None
) -> None:
    found = lines.parse(message, identifier, priority)

    assert found.level in lines.LEVELS
    assert found.component in lines.COMPONENTS
    lines.folded(message)


@pytest.mark.parametrize(
    "message", ["E1123 " * 200_000, 'time="' + "x" * 999_999, "level=" * 200_000]
)
def test_a_long_line_is_read_quickly(message: str) -> None:
    begun = time.process_time()
    lines.parse(message, "k3s", 6)
    lines.folded(message)
    assert time.process_time() - begun < PATIENCE
