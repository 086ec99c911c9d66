"""Tests of changes of registries.yaml: comments and other entries stay."""

from __future__ import annotations

import pytest

from k3s_rootless.edited_yaml import NotEditable
from k3s_rootless.node.registries import content, edits
from k3s_rootless.node.registries.edits import Edit
from k3s_rootless.node.registries.facts import Credentials

TEXT = """# by hand
mirrors:
  docker.io:   # Docker Hub
    endpoint:
      - "https://mirror.example"
# passwords
configs:
  mirror.example:
    auth:
      username: alice
      password: old
    x-own: kept
"""


def setting(name: str, **given: object) -> tuple[Edit, ...]:
    default = {
        "addresses": (),
        "rewrites": None,
        "credentials": None,
        "files": None,
        "verify": None,
    }
    return edits.of_setting(name, **{**default, **given})  # type: ignore[arg-type]


def test_a_password_is_replaced_and_never_shown() -> None:
    listed = setting("mirror.example", credentials=Credentials("alice", "new"))

    assert TEXT.replace("password: old", "password: new") == (
        edits.applied(TEXT.encode(), listed).decode()
    )
    assert "new" not in str(listed) + " ".join(one.text for one in listed)


def test_the_credentials_of_docker_hub_have_the_name_of_its_server() -> None:
    listed = setting("docker.io", credentials=Credentials("a", "b"))

    found = content.read(edits.applied(b"", listed))

    assert {"registry-1.docker.io"} == set(found.configs)


def test_all_settings_are_read_back() -> None:
    listed = setting(
        "r.example:5000",
        addresses=("https://a.example", "http://b.example"),
        rewrites={"^x/(.*)": "y/$1"},
        credentials=Credentials("yes", "0123"),
        files={"ca_file": "/ca.pem"},
        verify=False,
    )

    found = content.read(edits.applied(TEXT.encode(), listed))

    mirror, config = found.mirrors["r.example:5000"], found.configs["r.example:5000"]
    assert ("https://a.example", "http://b.example") == mirror.endpoints
    assert {"^x/(.*)": "y/$1"} == mirror.rewrites
    assert Credentials("yes", "0123") == config.credentials
    assert ("/ca.pem", True) == (config.tls.authority, config.tls.skip_verify)


def test_verification_is_turned_on_by_removing_the_key() -> None:
    off = edits.applied(TEXT.encode(), setting("a.example", verify=False))

    assert TEXT == edits.applied(off, setting("a.example", verify=True)).decode()


def test_what_is_removed_takes_its_settings_along() -> None:
    listed = edits.of_removal(content.read(TEXT.encode()), "docker.io")
    new = edits.applied(TEXT.encode(), listed).decode()

    assert "mirrors" not in new
    assert new.startswith("# by hand\n")
    assert "# passwords\nconfigs:\n" in new
    assert () == edits.of_removal(content.read(TEXT.encode()), "ghcr.io")


def test_a_change_that_is_there_already_leaves_the_file_as_it_is() -> None:
    odd = TEXT.replace("  docker.io:   # Docker", '  "docker.io"  :   # Docker')
    listed = setting("docker.io", addresses=("https://mirror.example",))

    assert odd.encode() == edits.applied(odd.encode(), listed)


@pytest.mark.parametrize("text", ["a: [", "a: &x 1\nb: *x\n"])
def test_a_text_that_cannot_be_changed_is_refused(text: str) -> None:
    with pytest.raises(NotEditable):
        edits.applied(text.encode(), setting("a", addresses=("b",)))
