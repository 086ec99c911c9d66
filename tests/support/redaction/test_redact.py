"""Tests that every secret is hidden, in every form and from every source.

Other text stays readable.
"""

from __future__ import annotations

import base64
import json
import re
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k3s_rootless.support.facts import Names, SecretFiles
from k3s_rootless.support.redaction import encodings, known_secrets, names
from k3s_rootless.support.redaction.redact import Redactor
from tests.support.search import Haystack, forms
from tests.support.seeds import JOURNAL, SECRETS, SEEDS

TEXTS = [
    text
    for seed in SEEDS
    for path, text in seed.files.items()
    if path.endswith((".yaml", ".env", ".toml"))
]
TOKENS = [
    text
    for seed in SEEDS
    for path, text in seed.files.items()
    if path.endswith(("token", "password", "psk"))
]
DROP_IN = "\n".join(line for seed in SEEDS for line in seed.drop_in)
KEPT = SecretFiles(
    tuple(TOKENS),
    tuple(TEXTS),
    next(text for seed in SEEDS for path, text in seed.files.items() if path.endswith("passwd")),
    next(text for seed in SEEDS for path, text in seed.files.items() if path.endswith(".json")),
)
secrets = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")),
    min_size=8,
    max_size=60,
)
anything = st.text(st.characters(), max_size=300)


def known() -> set[str]:
    """Return the known secrets of a bundle of the seeded host."""
    unit = {
        "ODD_SECRET": SECRETS_BY_KIND["secret with odd characters"][0],
        "MY_PASSWORD": "two words 99 secret",
    }
    manager = {name: value for seed in SEEDS for name, value in seed.manager.items()}
    return {
        *known_secrets.from_files(KEPT),
        *known_secrets.from_environment(unit | manager),
        *known_secrets.from_text(DROP_IN),
    }


SECRETS_BY_KIND = {seed.kind: seed.secrets for seed in SEEDS}


@pytest.fixture(scope="module")
def redacted() -> Haystack:
    redactor = Redactor(known())
    return Haystack(redactor.text("\n".join(JOURNAL)) + "\n" + redactor.unit(DROP_IN))


def test_the_search_finds_all_forty_kinds_in_an_unredacted_text() -> None:
    """This proves that the search finds secrets."""
    bare = Haystack("\n".join(JOURNAL) + "\n" + DROP_IN)

    assert len({seed.kind for seed in SEEDS}) >= 40
    assert [] == [kind for kind, secret in SECRETS if not bare.holds(secret) and "odd" not in kind]


@pytest.mark.parametrize(
    ("kind", "secret"),
    SECRETS,
    ids=[f"{kind}-{number}" for number, (kind, _) in enumerate(SECRETS)],
)
def test_all_seeded_secrets_are_redacted(redacted: Haystack, kind: str, secret: str) -> None:
    assert not redacted.holds(secret), kind


@pytest.mark.parametrize(
    "line",
    [
        'time="2026-11-24T00:01:45Z" level=info msg="Starting k3s v1.33.4+k3s1 (13c4c319)"',
        'level=info msg="Server node token is available at /home/alice/.rancher/k3s/server/token"',
        'level=info msg="Bound parent port :10080 to child namespace port 80"',
        'level=fatal msg="failed to find memory cgroup (v2)"',
        "bootstrap data already found and encrypted with different token",
        (
            "failed to normalize server token; must be in format"
            " K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>"
        ),
        (
            "Running kube-apiserver --anonymous-auth=false --authorization-mode=Node,RBAC"
            " --bind-address=127.0.0.1"
            " --service-account-key-file=/home/alice/.rancher/k3s/server/tls/service.key"
            " --secure-port=6444"
        ),
        (
            "pulled docker.io/rancher/mirrored-pause@sha256:"
            "74c4244427b7312c5b901fe0f67cbc53683d06f4f24c6faee65d4182bf0fa893"
        ),
        "container f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f exited",
        "dial tcp 127.0.0.1:6443: connect: connection refused",
        "https://10.41.0.100:6443/apis/apps/v1?limit=500&resourceVersion=0",
        "K3S_TOKEN_FILE=/run/secrets/token PWD=/home/alice",
        "/home/alice/Projects/K3sRootless/Data/2026/Cluster1/Some/Other/Directory/With/Many/Parts",
        (
            'E1124 00:01:45.000000 1 kubelet.go:1 "Failed"'
            ' pod="kube-system/coredns-6799fbcd5-x2k9z" uid="ab-12"'
        ),
    ],
)
def test_ordinary_text_is_not_redacted(line: str) -> None:
    assert line == Redactor().line(line)


def test_redaction_of_a_pem_block_stops_at_its_end() -> None:
    text = (
        "before\n-----BEGIN RSA PRIVATE KEY-----\nAAAA\nanother program, in between\nBBBB\n-----END"
        " RSA PRIVATE KEY-----\nafter"
    )

    assert [
        "before",
        "[redacted:pem]",
        "[redacted:pem]",
        "another program, in between",
        "[redacted:pem]",
        "[redacted:pem]",
        "after",
    ] == Redactor().text(text).split("\n")


def test_values_in_documents_are_redacted_by_their_names() -> None:
    document = {
        "K3S_TOKEN": "short",
        "argv": ["server", "--token", "x1", "--debug"],
        "env": [{"name": "DB_PASSWORD", "value": "abc"}, {"name": "LEVEL", "value": "5"}],
        "pin": 1234,
        "ready": True,
        "K3S_TOKEN_FILE": "/run/token",
    }

    assert {
        "K3S_TOKEN": "[redacted:token]",
        "argv": ["server", "--token", "[redacted:token]", "--debug"],
        "env": [
            {"name": "DB_PASSWORD", "value": "[redacted:password]"},
            {"name": "LEVEL", "value": "5"},
        ],
        "pin": "[redacted:pin]",
        "ready": True,
        "K3S_TOKEN_FILE": "/run/token",
    } == Redactor().document(document)


@given(secrets, anything, anything)
def test_a_known_secret_is_redacted_everywhere(secret: str, before: str, behind: str) -> None:
    raw = secret.encode()
    shown = [
        secret,
        json.dumps(secret),
        quote(secret, safe=""),
        raw.hex(),
        *(base64.b64encode(bytes(number) + raw + b"!").decode() for number in range(3)),
    ]
    redacted = Redactor([secret]).text("\n".join(f"{before} {one} {behind}" for one in shown))

    # A secret can have the same text as the mark that replaces it.
    left = re.sub(r"\[redacted:[a-z0-9-]+\]", "\n", redacted)
    assert [] == [form for form in forms(secret) if form in left]


@given(anything)
def test_no_text_fails_and_the_number_of_lines_is_kept(text: str) -> None:
    redacted = Redactor(
        ["known-secret"],
        Names("alice", "Alice Example", "host.example.org", "/home/alice", ("192.0.2.7",)),
    ).text(text)

    assert text.count("\n") == redacted.count("\n")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_accepted(raw: bytes) -> None:
    for errors in ("replace", "surrogateescape"):
        Redactor(["known-secret"]).text(raw.decode("utf-8", errors)).encode("utf-8", "replace")


@given(anything)
@settings(max_examples=200)
def test_redaction_is_idempotent(text: str) -> None:
    once = Redactor().text(text)

    assert once == Redactor().text(once)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "=",
        ":",
        "://",
        "\\",
        '\\"',
        '"',
        "token",
        "token=",
        "token:",
        "--token ",
        "-----BEGIN ",
        "-----END ",
        "@",
        "a:b@",
        "K10",
        "eyJ",
        "LS0tLS1",
        "$2y$",
        "bearer ",
        "basic ",
        "A1b",
        "abcdef.",
        'password \\"',
        '"name":"',
        " -u ",
        "://a:",
        '{"value',
        "%41",
    ],
)
def test_time_is_linear_in_the_length(piece: str) -> None:
    """A line that makes a search slow takes time in proportion to its length only."""

    def seconds(length: int) -> float:
        line = (piece * (length // len(piece) + 1))[:length]
        best = 9.0
        for _ in range(2):
            begun = time.process_time()
            Redactor(["a-known-secret", "x" * 300]).text(line)
            best = min(best, time.process_time() - begun)
        return best

    short, long = seconds(20_000), seconds(200_000)

    # For ten times the length. The factor 40 leaves room for a busy machine; quadratic time would
    # be 100.
    assert long < max(40 * short, 0.15), (short, long)


def test_parts_of_a_long_secret_are_redacted() -> None:
    """A journal splits long lines."""
    secret = base64.b64encode(bytes(range(256)) * 4).decode()

    assert secret[100:170] not in Redactor([secret]).text(f"cut: {secret[100:170]}")


def test_short_values_are_not_redacted_everywhere() -> None:
    assert "a server is a server" == Redactor(["a"]).text("a server is a server")
    assert all(len(one) >= encodings.SHORTEST for one in encodings.literals(["abc", "abcdef"]))


@pytest.mark.parametrize(
    "name",
    [
        "K3S_TOKEN",
        "agent-token",
        "clientSecret",
        "X-Auth-Token",
        "DB_PASS",
        "apiKey",
        "AWS_SECRET_ACCESS_KEY",
        "client-key-data",
        "_authToken",
        "Authorization",
        "K3S_DATASTORE_ENDPOINT",
        "ssh_private_key",
    ],
)
def test_names_that_indicate_a_secret(name: str) -> None:
    assert names.secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "TOKEN_TTL",
        "secretName",
        "anonymous-auth-mode",
        "KEY",
        "monkey",
        "compass",
        "bypass",
        "author",
        "endpoint",
        "data",
        "token-controller",
        "passed",
    ],
)
def test_names_that_do_not_indicate_a_secret(name: str) -> None:
    assert not names.secret(name)


def test_names_of_the_host_get_the_same_replacement_everywhere() -> None:
    who = Names(
        "alice",
        "Alice Example",
        "box.corp.example",
        "/srv/people/alice",
        ("192.0.2.7", "2001:db8::7"),
    )
    redactor = Redactor((), who)

    assert (
        "/home/some-user/.kube some-user@some-host malice [host-address-1]:6443 192.0.2.70"
        " [host-address-2] some-host"
        == redactor.line(
            "/srv/people/alice/.kube alice@box malice 192.0.2.7:6443 192.0.2.70 2001:db8::7"
            " box.corp.example"
        )
    )
