"""Tests that a token is replaced in a text, and nothing else."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s import token
from k3s_rootless.operations.token import edits
from k3s_rootless.operations.token.places import AGENT, SERVER, Form, Place

OLD, NEW = "old-token-0123456789", "new-token-9876543210"
FULL = f"K10{'ab' * 32}::server:{OLD}"
_CHARACTERS = string.ascii_letters + string.digits + "_~-"


def place(form: Form, text: str = OLD, flag: str = SERVER) -> Place:
    return Place(flag, form, Path("/file"), text)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        (Form.CONFIG_FILE, f"token: {OLD}\n", f"token: {NEW}\n"),
        (Form.CONFIG_FILE, f'a: 1\n"t" : "{OLD}" # x\n', f'a: 1\n"t" : "{NEW}" # x\n'),
        (
            Form.CONFIG_FILE,
            f"token: {OLD}\nnode-name: {OLD}\n",
            f"token: {NEW}\nnode-name: {OLD}\n",
        ),
        (Form.CONFIG_FILE, f"# token: {OLD}\ntoken: {OLD}", f"# token: {OLD}\ntoken: {NEW}"),
        (Form.CONFIG_FILE, f"token:\n  {OLD}\n", None),
        (Form.CONFIG_FILE, f"token: [{OLD}]\n", None),
        (Form.CONFIG_FILE, f"{{token: {OLD}}}\n", None),
        (
            Form.UNIT,
            f"[Service]\nEnvironment=K3S_TOKEN={OLD} A=1\n",
            f"[Service]\nEnvironment=K3S_TOKEN={NEW} A=1\n",
        ),
        (
            Form.UNIT,
            f'[Service]\nEnvironment="K3S_TOKEN={OLD}"\n',
            f'[Service]\nEnvironment="K3S_TOKEN={NEW}"\n',
        ),
        (
            Form.UNIT,
            f"[Service]\nExecStart=/k3s server -t {OLD} --debug\n",
            f"[Service]\nExecStart=/k3s server -t {NEW} --debug\n",
        ),
        (
            Form.UNIT,
            f"[Service]\nExecStart=/k3s server \\\n  --token={OLD}\n",
            f"[Service]\nExecStart=/k3s server \\\n  --token={NEW}\n",
        ),
        (Form.UNIT, f"[Service]\nExecStart=/k3s server --agent-token={OLD}\n", None),
        (
            Form.UNIT,
            f"[Service]\nExecStartPre=/x --token={OLD}\nExecStart=/k3s server --token={OLD}\n",
            None,
        ),
        (Form.UNIT, "[Service]\nExecStart=/k3s server --token=\\x6fld-token-0123456789\n", None),
        (Form.ENVIRONMENT_FILE, f"# x\nK3S_TOKEN={OLD}\nB=2\n", f"# x\nK3S_TOKEN={NEW}\nB=2\n"),
        (Form.ENVIRONMENT_FILE, f"K3S_TOKEN = '{OLD}'\n", f"K3S_TOKEN = '{NEW}'\n"),
        (Form.ENVIRONMENT_FILE, f"K3S_TOKEN={OLD}x\n", None),
        (Form.ENVIRONMENT_FILE, f"MY_K3S_TOKEN={OLD}\n", None),
        (Form.TOKEN_FILE, f"{OLD}\n", f"{NEW}\n"),
        (Form.TOKEN_FILE, f"{OLD}\nmore\n", None),
    ],
)
def test_only_the_token_changes(form: Form, text: str, expected: str | None) -> None:
    assert expected == edits.replaced(place(form), text, NEW)


def test_a_whole_token_is_replaced_by_the_new_password() -> None:
    text = f"[Service]\nEnvironment=K3S_TOKEN={FULL}\n"

    found = edits.replaced(place(Form.UNIT, FULL), text, NEW)

    assert f"[Service]\nEnvironment=K3S_TOKEN={NEW}\n" == found


def test_the_token_for_agents_is_another_flag() -> None:
    text = f"token: {OLD}\nagent-token: {OLD}\n"

    assert f"token: {OLD}\nagent-token: {NEW}\n" == edits.replaced(
        place(Form.CONFIG_FILE, flag=AGENT), text, NEW
    )
    assert f"token: {NEW}\nagent-token: {OLD}\n" == edits.replaced(
        place(Form.CONFIG_FILE), text, NEW
    )


@given(
    st.text(_CHARACTERS, min_size=16, max_size=40).filter(lambda text: not token.refusal(text)),
    st.text(_CHARACTERS, min_size=16, max_size=40).filter(lambda text: not token.refusal(text)),
    st.sampled_from(
        [
            (Form.CONFIG_FILE, "debug: true\ntoken: {}\nnode-name: a\n"),
            (Form.CONFIG_FILE, "token: '{}'\n"),
            (Form.UNIT, "[Service]\nEnvironment=A=1 K3S_TOKEN={}\nExecStart=/k3s server\n"),
            (Form.UNIT, "[Service]\nExecStart=/k3s server '--token={}' --debug\n"),
            (Form.ENVIRONMENT_FILE, 'A=1\nK3S_TOKEN="{}"\n'),
        ]
    ),
)
def test_any_token_that_is_accepted_can_be_replaced(
    old: str, new: str, written: tuple[Form, str]
) -> None:
    form, text = written

    assert text.format(new) == edits.replaced(place(form, old), text.format(old), new)
