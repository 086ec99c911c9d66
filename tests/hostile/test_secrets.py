"""Tests that the redactor hides every secret in every context, and keeps harmless text."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from k3s_rootless.operations.declared_secrets import declared
from k3s_rootless.support import secret_files
from k3s_rootless.support.facts import Names
from k3s_rootless.support.redaction import addresses, known_secrets, names
from k3s_rootless.support.redaction.redact import Redactor
from k3s_rootless.unit_file import quoted
from tests.support.search import Haystack

pytestmark = pytest.mark.thorough

EXAMPLES = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
WORD = LETTERS + "-._~!$*+"
"""Characters that need no quotes anywhere."""
PUNCTUATION = WORD + "\"'@:/?#,;(){}[]=&|<>^`é日"
ANYTHING = PUNCTUATION + " \\%\t"
NAMES = (
    *(
        "My_PassWord",
        "DB_PASSWORD2",
        "GITHUBTOKEN",
        "PGPASS",
        "DB_PW",
        "FOO_KEY",
        "K3S_TOKEN",
        "clientSecret",
        "PASSWORD_1",
    ),
    *(
        "dbPassWord",
        "MYSQL_PWD",
        "RESTIC_PASSPHRASE",
        "api-key",
        "AWS_SECRET_ACCESS_KEY",
        "GH_PAT",
        "SMTP_PASS",
        "JOIN_KEYS",
    ),
)
PROXIES = ("HTTPS_PROXY", "http_proxy", "CONTAINERD_HTTP_PROXY", "ALL_PROXY", "httpsProxy")
Carrier = Callable[[str, str], str]


def secrets(alphabet: str) -> st.SearchStrategy[str]:
    """Generate secrets that do not occur by chance; both ends are letters."""
    return st.text(alphabet, min_size=6, max_size=24).map(lambda middle: f"Zq7{middle}Xw9")


def leaks(text: str, secret: str) -> list[str]:
    """Return the parts of a secret in a text: the whole in any form, or an unchanged part."""
    found = Haystack(text)
    parts = {part for part in re.split(r"[\s\"'@:/,]+", secret) if len(part) > 3}
    return sorted(
        {part for part in parts if part in found.text}
        | ({secret} if found.holds(secret) else set())
    )


def go_quoted(text: str) -> str:
    """Quote as Go's strconv.Quote does, for the characters in these tests."""
    short = {"\n": "\\n", "\t": "\\t", "\x1b": "\\x1b", '"': '\\"', "\\": "\\\\"}
    return f'"{"".join(short.get(char, char) for char in text)}"'


LINES: dict[str, tuple[str, Carrier]] = {
    "a file of variables": (WORD + " @:/,;()=", lambda name, value: f"{name}={value}"),
    "a shell, in single quotes": (
        WORD + ' "@:/,;()=',
        lambda name, value: f"export {name}='{value}'",
    ),
    "a unit, in double quotes": (
        WORD + " '@:/,;()=",
        lambda name, value: f'Environment="A=1" "{name}={value}" "B=2"',
    ),
    "a unit, without quotes": (
        WORD + "@:/=",
        lambda name, value: f"Environment=A=1 {name}={value} B=2",
    ),
    "a flag": (WORD + "@:/=", lambda name, value: f"k3s server --{name} {value} --debug"),
    "a flag with its value": (
        WORD + "@:/=",
        lambda name, value: f"k3s server --{name}={value} --debug",
    ),
    "JSON": (
        PUNCTUATION + " \\",
        lambda name, value: json.dumps({"a": 1, name: value, "b": "c"}, ensure_ascii=False),
    ),
    "JSON in a list": (
        PUNCTUATION + " ",
        lambda name, value: json.dumps({name: ["first", value, "x"]}, ensure_ascii=False),
    ),
    "JSON in JSON": (
        WORD + '"@:/ ',
        lambda name, value: json.dumps({"m": json.dumps({name: value, "b": "c"})}),
    ),
    "a message of logrus": (
        WORD + "@:/",
        lambda name, value: f'level=info msg="using {name}={value}" node=x',
    ),
    "YAML": (WORD + "@/=()", lambda name, value: f"{name}: {value}"),
    "YAML, a plain scalar with blanks": (
        WORD + " @/=()'",
        lambda name, value: f"  {name}: {value}",
    ),
    "YAML, in double quotes": (
        PUNCTUATION + " \\",
        lambda name, value: f"{name}: {json.dumps(value, ensure_ascii=False)}",
    ),
    "YAML, in single quotes": (
        PUNCTUATION + " ",
        lambda name, value: "  - " + name + ": '" + value.replace("'", "''") + "'",
    ),
    "YAML, in a list": (WORD + " @/=()", lambda name, value: f"- {name}: {value}"),
    "YAML, a flow mapping": (
        WORD + " /@",
        lambda name, value: f"auth: {{username: bob, {name}: {value}}}",
    ),
    "YAML, a flow mapping that begins with it": (
        WORD + " /@",
        lambda name, value: f"auth: {{{name}: {value}, user: bob}}",
    ),
    "YAML, a block": (
        ANYTHING,
        lambda name, value: f"a:\n  {name}: |\n    {value}\n    second {value}\n  b: c",
    ),
    "YAML, a folded block": (
        ANYTHING,
        lambda name, value: f"{name}: >-\n    {value}\n\n    {value}\nb: c",
    ),
    "YAML, a block in a list": (
        ANYTHING,
        lambda name, value: f"- {name}: |2+\n    {value}\n- b: c",
    ),
    "YAML, on the next line": (
        WORD + " /@",
        lambda name, value: f"a:\n  {name}:\n    {value}\n  b: c",
    ),
    "YAML, over two lines": (WORD + " /@", lambda name, value: f"{name}: first\n  {value}\nb: c"),
    "YAML, between lines of others": (
        WORD + " /@",
        lambda name, value: f"{name}: |\nlevel=info msg=x\n  {value}\nb: c",
    ),
    "XML": (WORD + " \"'@:/", lambda name, value: f"<a><{name}>{value}</{name}></a>"),
    "XML with attributes": (
        WORD + " '@:/",
        lambda name, value: f'<{name} plain="yes">{value}</{name}>',
    ),
    "XML in JSON": (
        WORD + " @:/",
        lambda name, value: json.dumps(f"\\u003c{name}\\u003e{value}\\u003c/{name}\\u003e"),
    ),
    "TOML": (WORD + " '@:/", lambda name, value: f'  {name} = "{value}"'),
    "HCL and Ruby": (WORD + " @:/", lambda name, value: f'{{ x => 1, {name} => "{value}" }}'),
    "colours around the name": (WORD + "@:/", lambda name, value: f"\x1b[36m{name}\x1b[0m={value}"),
    "colours around name and sign": (
        WORD + "@:/",
        lambda name, value: f"\x1b[1;31m{name}\x1b[0m\x1b[2m: \x1b[0m{value}",
    ),
    "colours as Go writes them": (
        WORD + "@:/",
        lambda name, value: rf'msg="\x1b[36m{name}\x1b[0m={value} and"',
    ),
    "colours as JSON writes them": (
        WORD + "@:/",
        lambda name, value: json.dumps(f"\x1b[36m{name}\x1b[0m={value} and"),
    ),
    "the environment of a Pod": (
        WORD + " @:/",
        lambda name, value: json.dumps([{"name": name, "value": value}]),
    ),
}


@pytest.mark.parametrize("carrier", LINES)
@EXAMPLES
@given(st.data())
def test_a_value_with_the_name_of_a_secret_is_hidden(carrier: str, data: st.DataObject) -> None:
    alphabet, write = LINES[carrier]
    secret = data.draw(secrets(alphabet))

    for name in NAMES:
        text = write(name, secret)
        assert leaks(text, secret), "the search finds it where nothing is hidden"
        assert [] == leaks(Redactor().text(text), secret), text
        assert [] == leaks(Redactor().unit(text), secret), text


@pytest.mark.parametrize("name", NAMES)
@EXAMPLES
@given(secret=secrets(ANYTHING))
def test_a_document_hides_values_by_their_names(name: str, secret: str) -> None:
    document = {
        "x": {name: secret},
        "env": [{"name": name, "value": secret}],
        "argv": [f"--{name}", secret],
    }

    assert [] == leaks(json.dumps(Redactor().document(document)), secret)


ADDRESSES: dict[str, tuple[str, Carrier]] = {
    "a unit": (WORD + "\"':/@,;=", lambda name, value: f"Environment={name}=u:{value}@proxy:3128"),
    "a unit, with a scheme": (
        WORD + "\"':/@,;=",
        lambda name, value: f"Environment={name}=http://u:{value}@proxy:3128",
    ),
    "a unit, in double quotes": (
        WORD + " ':/@,;=",
        lambda name, value: f'Environment="{name}=u:{value}@proxy:3128"',
    ),
    "a unit, in single quotes": (
        WORD + ' ":/@,;=',
        lambda name, value: f"Environment='{name}=http://u:{value}@proxy'",
    ),
    "a file of variables": (
        WORD + " \"':/@,;=",
        lambda name, value: f"{name}=u:{value}@proxy:3128",
    ),
    "JSON": (
        PUNCTUATION + " \\",
        lambda name, value: json.dumps({name: f"u:{value}@proxy"}, ensure_ascii=False),
    ),
    "YAML": (WORD + " \"':/@,;=", lambda name, value: f"{name}: u:{value}@proxy:3128"),
    "XML": (WORD + " \"':@,;=", lambda name, value: f"<{name}>u:{value}@proxy:3128</{name}>"),
    "the environment of a Pod": (
        WORD + " '@:/",
        lambda name, value: json.dumps([{"name": name, "value": f"u:{value}@h"}]),
    ),
    "a message": (
        WORD + ":,;=",
        lambda _, value: f"proxyconnect tcp: u:{value}@proxy:3128 refused",
    ),
    "a message, with a scheme": (
        WORD + ":/@,;=<>",
        lambda _, value: f"dial http://u:{value}@proxy:3128: refused",
    ),
    "a message, with a quote": (
        WORD + ":/@,;=",
        lambda _, value: f"dial http://u:{value}\"p'{value}@proxy: refused",
    ),
    "a message in quotes": (
        WORD + ":;=",
        lambda _, value: f'msg="parse \\"http://u:{value}@proxy:3128\\": invalid"',
    ),
    "curl": (WORD + ":,;=@/", lambda _, value: f"curl -u admin:{value} https://x"),
    "curl, in one word": (WORD + ":,;=@/", lambda _, value: f"curl -sS -uadmin:{value} https://x"),
    "curl, among other options": (
        WORD + ":,;=@/",
        lambda _, value: f"curl -sSfu admin:{value} https://x",
    ),
    "curl, in double quotes": (
        WORD + " ':,;=@/",
        lambda _, value: f'curl -u "admin:{value}" https://x',
    ),
    "curl, in single quotes": (
        WORD + ' ":,;=@/',
        lambda _, value: f"curl --user 'admin:{value}' https://x",
    ),
    "curl, long": (WORD + ":,;=@/", lambda _, value: f"curl --user admin:{value} https://x"),
    "curl, long with a sign": (
        WORD + ":,;=@/",
        lambda _, value: f"curl --proxy-user=admin:{value} https://x",
    ),
    "curl, as an argument list": (
        WORD + ":,;=@/ ",
        lambda _, value: json.dumps(["curl", "-u", f"admin:{value}", "https://x"]),
    ),
    "podman login": (WORD + ":,;=@/", lambda _, value: f"podman login -u bob -p {value} r.example"),
}


@pytest.mark.parametrize("carrier", ADDRESSES)
@EXAMPLES
@given(st.data())
def test_the_password_of_an_address_is_hidden(carrier: str, data: st.DataObject) -> None:
    alphabet, write = ADDRESSES[carrier]
    secret = data.draw(secrets(alphabet))

    for name in PROXIES:
        text = write(name, secret)
        assert leaks(text, secret)
        assert [] == leaks(Redactor().text(text), secret), text
        assert [] == leaks(Redactor().unit(text), secret), text


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("scheme", ["", "http://", "socks5h://"])
@EXAMPLES
@given(secret=secrets(ANYTHING + "\n\x1b"))
@example(secret="Zq700'\x1b\x1b[Xw9")  # noqa: S106 (not a real one)
def test_each_output_hides_the_password_of_a_proxy(name: str, scheme: str, secret: str) -> None:
    """The outputs are `env list`, `env get`, `unit show`, `unit diff` and a bundle.

    `unit show`, `unit diff` and the bundle print what `env set` wrote; the bundle also has
    documents.
    """
    value = f"{scheme}bob:{secret}@proxy:3128"
    written = f"[Service]\nEnvironment={quoted(f'{name}={value}')}\n"

    assert [] == leaks(addresses.hidden(value), secret)
    assert [] == leaks(Redactor(declared([written])).unit(written), secret)
    assert [] == leaks(json.dumps(Redactor().document({"unit": {name: value}})), secret)
    knowing = Redactor(known_secrets.from_environment({name: value}))
    assert [] == leaks(knowing.text(f"printed {json.dumps(secret)}, {go_quoted(value)}"), secret)


@EXAMPLES
@given(secrets(WORD + " "), secrets(WORD))
def test_a_secret_on_folded_lines_of_a_unit_is_hidden_line_by_line(first: str, second: str) -> None:
    text = (
        f'[Service]\nEnvironment="MY_SECRET={first}\\\n{second}"\nExecStart=/usr/bin/k3s server\n'
    )

    lines = Redactor(declared([text])).unit_lines(text)

    assert len(text.split("\n")) == len(lines)
    assert [] == leaks("\n".join(lines), first) + leaks("\n".join(lines), second)
    assert "ExecStart=/usr/bin/k3s server" in lines


FILES: dict[str, Carrier] = {
    "agent/etc/containerd/config.toml": lambda name, value: (
        f'[plugins."io.containerd.grpc.v1.cri".registry.configs."r.example".auth]\n  {name} ='
        f" {json.dumps(value)}\n"
    ),
    "agent/etc/containerd/config.toml.tmpl": lambda name, value: f"{name} = {json.dumps(value)}\n",
    "agent/etc/containerd/config-v3.toml.tmpl": lambda name, value: (
        f"{name} = {json.dumps(value)}\n"
    ),
    "agent/etc/containerd/config-v3.toml.d/10-mine.toml": lambda name, value: (
        f"{name} = {json.dumps(value)}\n"
    ),
    "agent/etc/containerd/certs.d/r.example/hosts.toml": lambda name, value: (
        f'[host."https://r.example".header]\n  {name} = {json.dumps(value)}\n'
    ),
    "etc/rancher/k3s/registries.yaml": lambda name, value: (
        f"configs:\n  r.example:\n    auth:\n      {name}: {json.dumps(value)}\n"
    ),
    "etc/rancher/k3s/config.yaml": lambda name, value: (
        f"debug: true\n{name}: {json.dumps(value)}\n"
    ),
    "etc/rancher/k3s/config.yaml.d/10-mine.yaml": lambda name, value: f"{name}: |-\n  {value}\n",
    "elsewhere.yaml": lambda name, value: f"{name}: {json.dumps(value)}\n",
    "elsewhere.yaml.d/20-mine.yml": lambda name, value: f"{name}: >-\n  {value}\n",
}
SEEN: tuple[Callable[[str], str], ...] = (
    str,
    json.dumps,
    lambda value: json.dumps(json.dumps(value)),
    lambda value: quote(value, safe=""),
    lambda value: value.encode().hex(),
    *(
        lambda value, before=before: base64.b64encode(
            b"." * before + value.encode() + b"!!"
        ).decode()
        for before in range(3)
    ),
)


@pytest.mark.parametrize("root", ["data", "host"])
@pytest.mark.parametrize("name", FILES)
@EXAMPLES
@given(secret=secrets(WORD + '@:/ "éß'))
def test_a_secret_of_a_file_is_hidden_everywhere(
    root: str, name: str, secret: str, tmp_path: Path
) -> None:
    path = tmp_path / root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FILES[name]("password", secret))
    if root == "host" and not name.startswith("etc/"):
        return
    kept = secret_files.read(
        tmp_path / "data",
        tmp_path / "no-kubeconfig",
        configurations=[tmp_path / "data/elsewhere.yaml"],
        root=tmp_path / "host",
    )
    redactor = Redactor(known_secrets.from_files(kept))

    assert () == kept.problems
    for see in SEEN:
        shown = redactor.text(f"level=info msg=seen {see(secret)} there")
        assert not Haystack(shown).holds(secret), shown


HARMLESS = (
    (
        "MONKEY=banana KEYBOARD=us KEYMAP=de COMPASS=north BYPASS=1 PASSTHROUGH=yes"
        " TOKENIZER_PATH=/usr/share/tok"
    ),
    "tokenizer: wordpiece",
    "SECRETARY=alice passwordless: sure",
    "node-label: example.com/rack=7",
    (
        "k3s server --node-label example.com/rack=7 --node-label=disk=ssd --node-taint"
        " key=value:NoExecute --disable traefik"
    ),
    "topologyKey: kubernetes.io/hostname",
    "publicKey: ssh-ed25519 primary_key=17 sortKey=name objectKey=default/web",
    (
        'I1123 21:35:11.953595      21 garbagecollector.go:151] "Starting"'
        ' podKey="kube-system/coredns" keyboard=us'
    ),
    "I1127 07:06:39.567003      34 tokencleaner.go:117] Starting token cleaner controller",
    "W1123 21:35:42.665025      21 authorization.go:47] Authorization is disabled",
    (
        "Running kube-scheduler --authorization-kubeconfig=/home/a/cred/scheduler.kubeconfig"
        " --bind-address=127.0.0.1"
    ),
    (
        "Running kube-apiserver --kubelet-client-key=/home/a/tls/client-kube-apiserver.key"
        " --secure-port=6444"
    ),
    "nsenter -U --preserve-credentials -m -n --target 4711 k3s crictl ps",
    "0::/user.slice/user-1000.slice/user@1000.service/k3s-rootless.service",
    (
        "pulled docker.io/rancher/mirrored-pause:3.6@sha256:"
        "74c4244427b7312c5b901fe0f67cbc53683d06f4f24c6faee65d4182bf0fa893"
    ),
    "systemd-run --user --unit=x -p Delegate=yes true",
    "podman run --user 1000:1000 -u 0:0 image",
    "clone git@github.com:k3s-io/k3s and github.com/k3s-io/k3s@v1.33.4",
    (
        "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus"
        " SESSION_MANAGER=local/box:@/tmp/.ICE-unix/1"
    ),
    "HTTPS_PROXY=http://proxy.example:3128 NO_PROXY=10.41.0.0/16,.example,localhost",
    (
        "Environment=K3S_ROOTLESS_MTU=1400 K3S_ROOTLESS_CIDR=10.41.0.0/16"
        " K3S_ROOTLESS_PORT_DRIVER=builtin"
    ),
    "K3S_TOKEN_FILE=/run/secrets/token K3S_AGENT_TOKEN_FILE=~/token TLS_KEY=/etc/ssl/a.key",
    "--anonymous-auth=false --enable-admission-plugins=NodeRestriction --token-ttl 24h",
    "qps=100 burstTokens=500 max_tokens: 4096",
    'level=info msg="kube-controller-manager --use-service-account-credentials=true"',
    "mail bob@example.org, see https://docs.k3s.io/cli/token?lang=en",
    "<title>x</title> <name>y</name> usage: <token> or <password> at /path",
    "secretName: web-tls",
    "Reached target Basic System. Starting basic checks: passed, 3 of 3",
)


@pytest.mark.parametrize("line", HARMLESS)
def test_harmless_text_stays(line: str) -> None:
    redactor = Redactor()

    assert line == redactor.line(line)
    assert line == redactor.unit(line)
    assert not redactor.counts


def test_text_after_a_yaml_block_stays() -> None:
    text = "\n".join(
        (
            *(
                "token: |",
                "  abc",
                "",
                "node-label:",
                "  - rack=7",
                "auth:",
                "  - name: web",
                "    image: nginx",
            ),
            *("token: null", "  indented text", "secretRef:", "  name: x"),
        )
    )

    assert text.replace("  abc", "  [redacted:token]") == Redactor().text(text)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_secrets(name: str) -> None:
    assert names.secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "MONKEY",
        "KEYBOARD",
        "keymap",
        "KEY",
        "compass",
        "PASSTHROUGH",
        "pass-through",
        "bypass",
        "tokenizer",
        "TOKENIZER",
        "tokenization",
        "secretary",
        "passwordless",
        "node-label",
        "node-labels",
        "node-taint",
        "topologyKey",
        "publicKey",
        "primary_key",
        "podKey",
        "max_tokens",
        "TOKEN_TTL",
        "secretName",
        "author",
        "AUTHOR",
        "passed",
        "PATH",
        "endpoint",
        "data",
        "hotkey",
        "turkey",
        "HTTPS_PROXY",
        "tokenreviews",
        "SecretKeyRef",
    ],
)
def test_names_of_other_values(name: str) -> None:
    assert not names.secret(name)


ACCOUNTS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=4, max_size=10).map(
    lambda text: f"qz{text}"
)
ENCODED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in JSON": json.dumps,
    "in JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded in small letters": lambda text: re.sub(
        "%..", lambda found: found[0].lower(), quote(text, safe="")
    ),
    "percent-encoded but for slashes": quote,
    "in a unit's name": lambda text: "".join(_systemd(text.strip("/"))) + ".mount",
    "in capitals": str.upper,
}


def _systemd(path: str) -> Iterator[str]:
    for char in path:
        kept = char.isascii() and (char.isalnum() or char in "._")
        escaped = char if kept else "".join(f"\\x{byte:02x}" for byte in char.encode())
        yield "-" if char == "/" else escaped


@pytest.mark.parametrize("encoding", ENCODED)
@EXAMPLES
@given(ACCOUNTS, ACCOUNTS, ACCOUNTS, ACCOUNTS)
def test_no_name_of_user_or_host_is_left(
    encoding: str, account: str, realm: str, host: str, domain: str
) -> None:
    encode = ENCODED[encoding]
    who = Names(
        user=f"{realm.upper()}\\{account}",
        full_name="",
        host=f"{host}.eu.{domain}.example",
        home=f"/srv/büro {realm}/{account}",
        homes=(f"/mnt/link/{account}",),
        domains=(f"lab.{domain}.org",),
        aliases=(f"{host}-alias",),
        identifiers=("0123456789abcdef0123456789abcdef",),
    )
    shown = [
        f"{realm.upper()}\\{account}",
        f"{account}@{realm}",
        f"/srv/büro {realm}/{account}/.rancher/k3s",
        f"/home/x/{account}",
        f"/mnt/link/{account}/data",
        f"{host}.eu.{domain}.example",
        f"db.{domain}.example:5432",
        f"box.lab.{domain}.org",
        f"https://{host}-alias:6443/?u={account}",
        "machine 0123456789abcdef0123456789abcdef",
    ]

    for text in shown:
        left = Redactor((), who).text(f"before {encode(text)} behind").lower()
        assert not [
            name
            for name in (account, realm, host, domain, "0123456789abcdef0123456789abcdef")
            if name in left
        ], left
        assert "büro" not in left
        assert left.startswith("before ")
        assert left.endswith(" behind")
