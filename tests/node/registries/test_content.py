"""Tests of what K3s reads from registries.yaml, and of the problems in it with their lines."""

from __future__ import annotations

import base64
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s.version import parse
from k3s_rootless.node.registries import content
from k3s_rootless.node.registries.facts import Config, Credentials, Mirror, Problem, Tls

WHOLE = """mirrors:
  docker.io:
    endpoint:
      - https://mirror.example:5000
      - http://10.0.0.1
    rewrite:
      "^library/(.*)": "hub/$1"
  "*":
    endpoint: [https://all.example/v2/cache]
configs:
  mirror.example:5000:
    auth:
      username: alice
      password: 0123
    tls:
      ca_file: /home/alice/ca.pem
      insecure_skip_verify: Yes
  10.0.0.1:
    auth:
      auth: YWxpY2U6cGFzczp3b3Jk
  token.example:
    auth: {identity_token: abc}
"""


def problems(text: str) -> list[tuple[int | None, str, bool]]:
    return [(one.line, one.text, one.fatal) for one in content.read(text.encode()).problems]


def test_a_whole_file_is_read_as_k3s_reads_it() -> None:
    found = content.read(WHOLE.encode())

    assert () == found.problems
    assert {
        "docker.io": Mirror(
            ("https://mirror.example:5000", "http://10.0.0.1"), {"^library/(.*)": "hub/$1"}
        ),
        "*": Mirror(("https://all.example/v2/cache",)),
    } == found.mirrors
    assert {
        "mirror.example:5000": Config(
            Credentials("alice", "0123"), Tls("/home/alice/ca.pem", skip_verify=True)
        ),
        "10.0.0.1": Config(Credentials("alice", "pass:word")),
        "token.example": Config(Credentials(identity="abc")),
    } == found.configs
    assert ("docker.io", "*", "mirror.example:5000", "10.0.0.1", "token.example") == found.names


@pytest.mark.parametrize(
    "text", ["", "\n# nothing\n", "---\n", "mirrors:\nconfigs: ~\n", "{}", "\ufeffmirrors: {}\n"]
)
def test_a_file_without_entries_has_no_problem(text: str) -> None:
    found = content.read(text.encode())

    assert ((), {}) == (found.problems, found.mirrors)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("mirors:\n  a: {}\n", 1, "unknown key `mirors`; the nearest known key is `mirrors`"),
        ("mirrors:\n  a:\n    endpoints: [b]\n", 3, "`endpoints`; the nearest known key is `end"),
        ("configs:\n  a:\n    auth:\n      user: b\n", 4, "unknown key `user`"),
        ("configs:\n  a:\n    auth:\n      token: b\n", 4, "unknown key `token`"),
        ("configs:\n  a:\n    tls:\n      insecure: true\n", 4, "unknown key `insecure`"),
        ("configs:\n  a:\n    x: 1\n", 3, "known keys here are auth, tls"),
        (
            "mirrors:\n  a:\n    endpoint:\n    - ftp://b\n",
            4,
            "its scheme is neither http nor https",
        ),
        ("mirrors:\n  a:\n    endpoint:\n    - https://b:99999\n", 4, "its port is not a number"),
        ("mirrors:\n  a:\n    endpoint:\n    - 'https://'\n", 4, "it has no host"),
        ("mirrors:\n  a:\n    endpoint:\n    - https://u:secret@b\n", 4, "`https://***@b`"),
        ("mirrors:\n  a:\n    endpoint: [b, b]\n", 3, "it occurs twice"),
        ("mirrors:\n  https://a: {}\n", 2, "`https://a` is an address; the key must be HOST"),
        ("configs:\n  a/b: {}\n", 2, "the key must be HOST[:PORT]"),
        ("configs:\n  'a b': {}\n", 2, "`a b` is not HOST[:PORT]"),
        ("configs:\n  index.docker.io: {}\n", 2, "use docker.io"),
        ("configs:\n  a:\n    auth: {auth: '%%'}\n", 3, "the base64 text of USER:PASSWORD"),
        ("configs:\n  a:\n    auth: {username: b}\n", 3, "the password is missing"),
        ("configs:\n  a:\n    auth: {password: secret}\n", 3, "the user name is missing"),
        ("configs:\n  a:\n    tls: {cert_file: /b}\n", 3, "`cert_file` and `key_file` need each"),
        ("configs:\n  a:\n    tls: {ca_file: ca.pem}\n", 3, "`ca_file` must be an absolute path"),
        ("auths:\n  a: {username: b, password: c}\n", 1, "containerd ignores `auths`"),
        ("mirrors:\n  a: {}\nmirrors:\n  b: {}\n", 3, "`mirrors` occurs again"),
    ],
)
def test_what_k3s_ignores_is_named_with_its_line(text: str, line: int, words: str) -> None:
    found = problems(text)

    assert [line] == [one[0] for one in found]
    assert words in found[0][1]
    assert not found[0][2]
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("mirrors: [a]\n", 1, "`mirrors` must be a mapping"),
        ("mirrors:\n  a: secret\n", 2, "`mirrors.a` must be a mapping"),
        ("\nmirrors:\n  a:\n    endpoint: https://b\n", 4, "`mirrors.a.endpoint` must be a list"),
        ("configs:\n  a:\n    auth: secret\n", 3, "`configs.a.auth` must be a mapping"),
        ("configs:\n  a:\n    auth:\n      password: [secret]\n", 4, "must be a text"),
        ("configs:\n  a:\n    tls: {insecure_skip_verify: 1}\n", 3, "must be true or false"),
        ("- secret\n", 1, "the file must be a mapping"),
        ("secret", 1, "the file must be a mapping"),
        ("a: [\n", 2, "it is not valid YAML"),
        ("a: &x 1\nb: *x\n", None, "it contains YAML aliases"),
        ("a: 1\n---\nb: 1\n", 2, "it is not valid YAML"),
    ],
)
def test_what_prevents_k3s_from_becoming_ready(text: str, line: int | None, words: str) -> None:
    found = content.read(text.encode())

    assert [(line, True)] == [(one.line, one.fatal) for one in found.problems]
    assert words in found.problems[0].text
    assert ({}, {}) == (found.mirrors, found.configs)
    assert "secret" not in str(found)


def test_a_text_in_another_encoding_is_refused() -> None:
    assert content.read("mirrors: é".encode("latin-1")).problems[0].fatal


def test_several_problems_are_sorted_by_line() -> None:
    text = "configs:\n  a:\n    tsl: {}\n    auth: {usr: b}\nmirors: {}\n"

    assert [3, 4, 5] == [line for line, _, _ in problems(text)]


@pytest.mark.parametrize(
    ("release", "count"),
    [("v1.32.6+k3s1", 1), ("v1.32.7+k3s1", 0), ("v1.33.2+k3s1", 1), ("v1.36.3+k3s1", 0)],
)
def test_old_releases_know_docker_hub_by_the_name_of_its_server_only(
    release: str, count: int
) -> None:
    text = b"configs:\n  docker.io:\n    auth: {username: a, password: b}\n"

    found = content.read(text, parse(release)).problems

    assert count == len(found)
    assert all(isinstance(one, Problem) and "registry-1.docker.io" in one.text for one in found)


_WORDS = st.sampled_from(
    ("mirrors", "configs", "auths", "auth", "tls", "endpoint", "rewrite", "password", "a.b:5", "*")
)
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(string.printable, max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(_WORDS, _TREES))
def test_any_document_is_read_without_an_exception(document: dict[str, object]) -> None:
    found = content.read(json.dumps(document).encode())

    assert found.problems or not set(document) - {"mirrors", "configs", "auths"}


@given(st.binary(max_size=60))
def test_any_bytes_are_read_without_an_exception(text: bytes) -> None:
    content.read(text)


@given(st.text(string.ascii_letters + ":=@ ", min_size=1, max_size=10))
def test_auth_is_the_base64_text_of_user_and_password(password: str) -> None:
    text = base64.b64encode(f"alice:{password}".encode()).decode()

    found = content.read(f"configs:\n  a:\n    auth: {{auth: {text}}}\n".encode())

    assert Credentials("alice", password) == found.configs["a"].credentials
