from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s.features import UNIT_PATH, UnitVariant
from k3s_rootless.k3s.options import OPTIONS
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import configuration
from k3s_rootless.service.drop_ins.limits import LIMITS, doubtful, too_low
from k3s_rootless.service.facts import UnitSettings, UnitState
from k3s_rootless.service.unit.seal import Author, author
from k3s_rootless.service.unit.text import render

WORDS = ('"/usr/local/bin/k3s"', "server", "--rootless", "--snapshotter=fuse-overlayfs")
VALUES = {
    "snapshotter": st.sampled_from([("native",), ("overlayfs",)]),
    "node-label": (
        st.lists(st.sampled_from(["a=b", "example.com/x=", "y=Z_.9"]), min_size=1, unique=True).map(
            tuple
        )
    ),
    "node-taint": st.just(("a=b:NoSchedule", "c:NoExecute")),
    "disable": st.just(("traefik", "servicelb")),
    "https-listen-port": st.integers(1024, 6000).map(lambda port: (str(port),)),
    "cluster-init": st.sampled_from([("true",), ("false",)]),
    "secrets-encryption": st.just(("true",)),
    "secrets-encryption-provider": st.sampled_from([("aescbc",), ("secretbox",)]),
    "prefer-bundled-bin": st.just(("true",)),
    "default-runtime": st.sampled_from([("crun",), ("nvidia",)]),
    "log": st.just(("/home/alice/k3s log.txt",)),
    "alsologtostderr": st.just(("true",)),
    "disable-agent": st.just(("false",)),
    "selinux": st.just(("false",)),
    "tls-san": st.just(("k3s.example", "192.0.2.1")),
    "data-dir": st.sampled_from([("/srv/k3s",), ("/home/é/100% mine; # x",), ("/a/ [Service]",)]),
    "CPUQuota": (
        st.integers(100, 100_000).map(
            lambda part: (f"{part // 100}.{part % 100:02}".rstrip("0").rstrip(".") + "%",)
        )
    ),
    "CPUWeight": st.integers(1, 10_000).map(lambda weight: (str(weight),)),
    "MemoryMax": st.sampled_from([("4G",), ("1536M",), ("1073741825",)]),
    "MemoryHigh": st.just(("1T",)),
}
CONFIGURATIONS = st.fixed_dictionaries({}, optional=VALUES)


def settings(
    version: str = "v1.36.1+k3s1", variant: UnitVariant = UnitVariant.FUSE_OVERLAYFS
) -> UnitSettings:
    return UnitSettings(version, variant.value, "/usr/local/bin/k3s", UNIT_PATH)


def directives(text: str, section: str) -> list[str]:
    lines, found = text.splitlines(), []
    for line in lines[lines.index(section) + 1 :]:
        if line.startswith("["):
            break
        found += [line] if line else []
    return found


def test_the_drop_in_contains_each_setting_twice() -> None:
    text = configuration.render(
        {"snapshotter": ("native",), "MemoryMax": ("4G",), "disable": ("traefik", "servicelb")},
        WORDS,
    )

    assert text is not None
    assert author(text) is Author.OURS
    assert [
        "snapshotter=native",
        "disable=traefik",
        "disable=servicelb",
        "MemoryMax=4G",
    ] == directives(text, "[X-K3sRootless]")
    assert [
        "MemoryMax=4G",
        "ExecStart=",
        (
            'ExecStart="/usr/local/bin/k3s" server --rootless "--snapshotter=native"'
            ' "--disable=traefik" "--disable=servicelb"'
        ),
    ] == directives(text, "[Service]")


def test_limits_alone_do_not_change_the_command() -> None:
    text = configuration.render({"CPUQuota": ("50%",)}, ())

    assert text is not None
    assert "ExecStart" not in text


def test_without_settings_there_is_no_drop_in() -> None:
    assert configuration.render({}, WORDS) is None


@given(CONFIGURATIONS)
def test_rendered_settings_are_parsed_back(configured: dict[str, tuple[str, ...]]) -> None:
    assert set(VALUES) == {*OPTIONS, *LIMITS}
    assert configured == configuration.parse(configuration.render(configured, WORDS) or "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "ExecStart=/usr/local/bin/k3s server --rootless",
            ("/usr/local/bin/k3s", "server", "--rootless"),
        ),
        (render(settings()), WORDS),
        ('ExecStart="/a b/k3s" server \\\n    --rootless', ('"/a b/k3s"', "server", "--rootless")),
        (
            "ExecStart=/old\r\nExecStart=\r\n ExecStart = %h/bin/k3s server 'x y'\r\n",
            ("%h/bin/k3s", "server", "'x y'"),
        ),
        ("ExecStart=/a\\x20b/k3s", ("/a\\x20b/k3s",)),
        ("[Service]\n", ()),
        ("# ExecStart=/no\nExecStartPre=/no\n", ()),
    ],
    ids=["shipped", "ours", "folded", "CRLF, specifier, quotes", "escape", "none", "others"],
)
def test_the_command_of_a_unit_is_read_unchanged(line: str, expected: tuple[str, ...]) -> None:
    assert expected == configuration.command_words(f"[Service]\n{line}")


@pytest.mark.parametrize(
    ("words", "configured", "expected"),
    [
        (
            ("k3s", "--snapshotter", "overlayfs", "--debug"),
            {"snapshotter": ("native",)},
            "k3s --debug --snapshotter=native",
        ),
        (
            ("k3s", '"--snapshotter=a"', "--debug"),
            {"snapshotter": ("native",)},
            "k3s --debug --snapshotter=native",
        ),
        (("k3s", "--selinux", "--debug"), {"selinux": ("false",)}, "k3s --debug --selinux=false"),
        (("k3s", "-d", "/x", "--debug"), {"data-dir": ("/y",)}, "k3s --debug --data-dir=/y"),
        (("k3s", "--node-label=x=y"), {"node-label": ("a=b",)}, "k3s --node-label=a=b"),
        (
            ("k3s", "--data-dir", "/x"),
            {"CPUWeight": ("5",), "disable": ("x",)},
            "k3s --data-dir /x --disable=x",
        ),
    ],
)
def test_configured_flags_replace_those_of_the_unit(
    words: tuple[str, ...], configured: dict[str, tuple[str, ...]], expected: str
) -> None:
    text = configuration.render(configured, words) or ""

    assert expected == directives(text, "[Service]")[-1].removeprefix("ExecStart=").replace('"', "")


def test_the_settings_of_systemd_are_compared_with_the_configured_ones() -> None:
    state = UnitState(
        UNIT,
        "loaded",
        "inactive",
        "dead",
        argv=(
            "/k3s",
            "server",
            "--disable=a,b",
            "-d",
            "/x",
            "--selinux",
            "--snapshotter",
            "native",
        ),
        limits={"CPUQuotaPerSecUSec": 1_500_000, "MemoryMax": 4 * 2**30, "CPUWeight": None},
    )
    same = {
        "disable": ("a", "b"),
        "data-dir": ("/x",),
        "selinux": ("true",),
        "snapshotter": ("native",),
        "CPUQuota": ("150%",),
    }

    assert configuration.differs(same | {"MemoryMax": ("4G",)}, state) is None
    assert "snapshotter is native instead of overlayfs" == configuration.differs(
        {"snapshotter": ("overlayfs",)}, state
    )
    assert "CPUWeight is not set instead of 5" == configuration.differs(
        {"CPUWeight": ("5",)}, state
    )
    assert "cluster-init is not set instead of true" == configuration.differs(
        {"cluster-init": ("true",)}, state
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("CPUQuota", "150%", "150%"),
        ("CPUQuota", "12.5%", "12.5%"),
        ("CPUQuota", "012.50%", "12.5%"),
        ("CPUWeight", "050", "50"),
        ("MemoryMax", "4096M", "4G"),
        ("MemoryMax", "1073741825", "1073741825"),
        ("MemoryHigh", "1024K", "1M"),
    ],
)
def test_a_limit_has_the_form_in_which_it_is_read_back(name: str, text: str, expected: str) -> None:
    assert expected == configuration.canonical(LIMITS[name], text)
    assert expected == configuration.canonical(LIMITS[name], expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            ("CPUQuota", text)
            for text in ("150", "0%", "0.5%", "-5%", "1.234%", "infinity", "\u0665%")
        ),
        *(("CPUWeight", text) for text in ("0", "10001", "idle", "1.5")),
        *(
            ("MemoryMax", text)
            for text in ("0", "4GB", "4g", "50%", "-1", "infinity", "1K", "9" * 15 + "T", "")
        ),
    ],
)
def test_a_limit_that_systemd_does_not_accept_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        configuration.canonical(LIMITS[name], text)


@pytest.mark.parametrize("variant", UnitVariant)
def test_systemd_accepts_unit_and_drop_in(tmp_path: Path, variant: UnitVariant) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze to ask")
    binary = tmp_path / "bin" / "k3s"
    binary.parent.mkdir()
    binary.touch(mode=0o755)
    text = render(UnitSettings("v1.36.1+k3s1", variant.value, str(binary), UNIT_PATH))
    configured = {
        "snapshotter": ("native",),
        "node-label": ("a=b", "example.com/x="),
        "data-dir": ("/home/é/100% mine; # x",),
        "cluster-init": ("true",),
        "CPUQuota": ("12.5%",),
        "CPUWeight": ("50",),
        "MemoryMax": ("4G",),
        "MemoryHigh": ("1073741825",),
    }
    (tmp_path / UNIT).write_text(text)
    drop_in = tmp_path / f"{UNIT}.d" / "50-k3s-rootless-config.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(configuration.render(configured, configuration.command_words(text)) or "")

    assert (0, "") == verified(analyze, tmp_path)
    drop_in.write_text(drop_in.read_text().replace("CPUWeight=50", "CPUWeight=many"))
    # Before systemd 254, the message contains only the value.
    assert "many" in verified(analyze, tmp_path)[1], "systemd-analyze reads the drop-in"


def verified(analyze: str, directory: Path) -> tuple[int, str]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "XDG_RUNTIME_DIR": str(directory)}
    done = subprocess.run(
        [analyze, "--user", "verify", "--man=no", "--recursive-errors=yes", str(directory / UNIT)],
        env=environ | {"SYSTEMD_UNIT_PATH": f"{directory}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MemoryMax", "200M", (True, True)),
        ("MemoryMax", "201M", (False, True)),
        ("MemoryMax", "799M", (False, True)),
        ("MemoryMax", "800M", (False, False)),
        ("MemoryHigh", "1M", (False, True)),
        ("CPUWeight", "1", (False, False)),
    ],
)
def test_the_minimum_of_each_limit(name: str, value: str, expected: tuple[bool, bool]) -> None:
    limit = LIMITS[name]
    size = limit.read(value)

    assert expected == (too_low(limit, size) is not None, doubtful(limit, size) is not None)
