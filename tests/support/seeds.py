"""Secrets of many kinds, and the places of a careless host that contain them.

No secret may appear in a bundle. `{home}` in a text is replaced by the home directory. None of the
secrets is or was valid anywhere.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True)
class Seed:
    """One kind of secret; `secrets` are searched for.

    They are in lines of the journal, in a drop-in, in files, and in Services.
    """

    kind: str
    secrets: tuple[str, ...]
    journal: tuple[str, ...] = ()
    drop_in: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    manager: dict[str, str] = field(default_factory=dict)


def encoded(text: str) -> str:
    """Return a text in base64."""
    return base64.b64encode(text.encode()).decode()


DATA = "{home}/.rancher/k3s"
_BODY = "MHcCAQEEIJ8kq0Zs3v5nT1xY7uRwQ2mLb9cVfGhKdPeOaSiUyXt4oAoGCCqGSM49"
_BODY_2 = "AwEHoUQDQgAEp3vXk1ZyW8sLr6TqMnBj0UoIhGfDcEaVxYzRtQwKmNbPlJ7u2S5d"
_SSH = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2"
_CERTIFICATE = "MIIBdzCCAR2gAwIBAgIBADAKBggqhkjOPQQDAjAjMSEwHwYDVQQDDBhrM3Mtc2Vy"
_K10 = "K10" + "5e8b1c9d7f" * 6 + "a0b1"
_AGENT = "agent-Vh7wQz2Lk9"
_ODD = 'qu"ote\\back <té&l> 7Zp'
_HEADER = "eyJhbGciOiJSUzI1NiIsImtpZCI6IlE5dyJ9"
_JWT = f"{_HEADER}.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0.c2lnbmF0dXJlLW9mLW5vYm9keQ"
_KUBECONFIG_KEY = encoded(
    f"-----BEGIN EC PRIVATE KEY-----\n{_BODY[::-1]}\n{_BODY_2[::-1]}\n-----END EC PRIVATE"
    " KEY-----\n"
)

SEEDS = (
    Seed(
        "server token",
        (_K10 + "::server:9a8b7c6d5e4f30112233", "9a8b7c6d5e4f30112233"),
        (
            f"joining with {_K10}::server:9a8b7c6d5e4f30112233 now",
            "rejected 9a8b7c6d5e4f30112233 of the node",
        ),
        files={f"{DATA}/server/node-token": f"{_K10}::server:9a8b7c6d5e4f30112233\n"},
    ),
    Seed(
        "agent token",
        (_AGENT,),
        (f"comparing {_AGENT} of the agent",),
        files={f"{DATA}/server/agent-token": f"{_AGENT}\n"},
    ),
    Seed(
        "node password",
        ("3f9a77c1d2e45b608192a3b4c5d6e7f8",),
        ("node password 3f9a77c1d2e45b608192a3b4c5d6e7f8 differs",),
        files={f"{DATA}/agent/etc/rancher/node/password": "3f9a77c1d2e45b608192a3b4c5d6e7f8\n"},
    ),
    Seed(
        "password file of K3s",
        ("pw-Ufg83jdKs02",),
        ("user admin with pw-Ufg83jdKs02",),
        files={f"{DATA}/server/cred/passwd": "pw-Ufg83jdKs02,node,node,k3s:agent\n"},
    ),
    Seed(
        "encryption key",
        ("c2VjcmV0LWtleS1mb3ItYWVzY2JjLTMyYnl0ZXM=",),
        ("aescbc with c2VjcmV0LWtleS1mb3ItYWVzY2JjLTMyYnl0ZXM=",),
        files={
            f"{DATA}/server/cred/encryption-config.json": json.dumps(
                {
                    "resources": [
                        {
                            "resources": ["secrets"],
                            "providers": [
                                {
                                    "aescbc": {
                                        "keys": [
                                            {
                                                "name": "k",
                                                "secret": (
                                                    "c2VjcmV0LWtleS1mb3ItYWVzY2JjLTMyYnl0ZXM="
                                                ),
                                            }
                                        ]
                                    }
                                }
                            ],
                        }
                    ]
                }
            )
        },
    ),
    Seed(
        "ipsec psk",
        ("psk-71fe0a93bb",),
        ("flannel uses psk-71fe0a93bb",),
        files={f"{DATA}/server/cred/ipsec.psk": "psk-71fe0a93bb"},
    ),
    Seed(
        "registry password",
        ("Reg!stry-Pa55",),
        ("pull failed for Reg!stry-Pa55",),
        files={
            f"{DATA}/etc/rancher/k3s/registries.yaml": (
                'configs:\n  "r.example":\n    auth:\n      username: u\n'
                f"      password: Reg!stry-Pa55\n      auth: {encoded('bob:An0ther-pw')}\n     "
                " identity_token: idt-5521-xyzzy\n"
            )
        },
    ),
    Seed(
        "registry auth in base64",
        (encoded("bob:An0ther-pw"), "An0ther-pw"),
        (f"auth {encoded('bob:An0ther-pw')} for bob, An0ther-pw",),
    ),
    Seed(
        "registry password in containerd's configuration",
        ("C0ntainerd-pw-61", "Dr0p-in-pw-62", "Header-pw-63"),
        ("401 for C0ntainerd-pw-61", "401 for Dr0p-in-pw-62", "401 for Header-pw-63"),
        files={
            f"{DATA}/agent/etc/containerd/config.toml": '  password = "C0ntainerd-pw-61"\n',
            f"{DATA}/agent/etc/containerd/config-v3.toml.d/10-mine.toml": (
                '  password = "Dr0p-in-pw-62"\n'
            ),
            f"{DATA}/agent/etc/containerd/certs.d/r.example/hosts.toml": (
                '  Authorization = ["Header-pw-63"]\n'
            ),
        },
    ),
    Seed(
        "configuration file by flag",
        ("By-flag-71-token", "By-dropin-72-token"),
        ("said By-flag-71-token", "said By-dropin-72-token"),
        ("Environment=K3S_CONFIG_FILE={home}/k3s-mine.yaml",),
        files={
            "{home}/k3s-mine.yaml": "agent-token: By-flag-71-token\n",
            "{home}/k3s-mine.yaml.d/10-more.yaml": "token: >-\n  By-dropin-72-token\n",
        },
    ),
    Seed(
        "proxy without a scheme",
        ("pr0xy-bare-81",),
        ("CONNECT with pr0xy-bare-81",),
        ("Environment=HTTPS_PROXY=me:pr0xy-bare-81@proxy.example:3128",),
    ),
    Seed(
        "proxy with a quote in its password",
        ("pr0xy'quote-82",),
        ("CONNECT with pr0xy'quote-82",),
        ("Environment=HTTP_PROXY=http://me:pr0xy\\'quote-82@proxy.example:3128",),
    ),
    Seed(
        "names of many forms",
        ("form-91-value", "form-92-value", "form-93-value"),
        (
            "My_PassWord=form-91-value",
            "\x1b[36mDB_PASSWORD2\x1b[0m=form-92-value",
            "<password>form-93-value</password>",
        ),
    ),
    Seed("identity token", ("idt-5521-xyzzy",), ("exchanged idt-5521-xyzzy",)),
    Seed(
        "key of a kubeconfig",
        (_KUBECONFIG_KEY, _BODY[::-1]),
        (
            f"read {_KUBECONFIG_KEY[:90]}",
            f"and {_BODY[::-1][:50]} of it",
            f"client-key-data: {_KUBECONFIG_KEY}",
        ),
        files={f"{DATA}/etc/rancher/k3s/config.yaml": f"client-key-data: {_KUBECONFIG_KEY}\n"},
    ),
    Seed(
        "token by environment",
        ("t0ken-By-Env-4711",),
        ("unknown bearer t0ken-By-Env-4711",),
        ("Environment=K3S_TOKEN=t0ken-By-Env-4711",),
    ),
    Seed(
        "secret with spaces",
        ("two words 99 secret", "99 secret"),
        ("it said: two words 99 secret!",),
        ('Environment="MY_PASSWORD=two words 99 secret"',),
    ),
    Seed(
        "secret on folded lines",
        ("folded-Part-One", "and-Part-Two"),
        (),
        ('Environment="FOLDED_SECRET=folded-Part-One\\', 'and-Part-Two"'),
    ),
    Seed(
        "secret with odd characters",
        (_ODD,),
        (
            f"said {_ODD} aloud",
            f"said {json.dumps(_ODD)} aloud",
            f"level=info msg={json.dumps(json.dumps({'field': _ODD}))}",
            f"GET /?q={quote(_ODD, safe='')}",
        ),
        ("Environment='ODD_SECRET=" + _ODD.replace("\\", "\\\\") + "'",),
    ),
    Seed(
        "agent token by flag",
        ("flag-Agent-0815",),
        ("running with --agent-token=flag-Agent-0815", "and --agent-token flag-Agent-0815"),
    ),
    Seed(
        "token by flag",
        ("flag-Token-0816",),
        ('args ["server","--token","flag-Token-0816"]', "k3s agent -t flag-Token-0816"),
    ),
    Seed(
        "datastore by flag",
        ("Dsn-pw-1", "mysqluser"),
        (
            "--datastore-endpoint mysql://mysqluser:Dsn-pw-1@tcp(db:3306)/k3s",
            "open mysqluser:Dsn-pw-1@tcp(db:3306)/k3s: refused",
        ),
    ),
    Seed(
        "datastore by environment",
        ("Pg-p4ss-77",),
        ("dial postgres://k3s:Pg-p4ss-77@db/k3s",),
        ('Environment="K3S_DATASTORE_ENDPOINT=postgres://k3s:Pg-p4ss-77@db:5432/k3s"',),
    ),
    Seed(
        "proxy of the unit",
        ("pr0xy-Unit-pw",),
        ("proxyconnect pr0xy-Unit-pw: refused",),
        ("Environment=HTTPS_PROXY=http://me:pr0xy-Unit-pw@proxy.example:3128",),
    ),
    Seed(
        "proxy of the manager",
        ("pr0xy-Mgr-pw",),
        ("CONNECT via http://me:pr0xy-Mgr-pw@proxy.example:3128/",),
        manager={"HTTP_PROXY": "http://me:pr0xy-Mgr-pw@proxy.example:3128"},
    ),
    Seed(
        "variable of the manager",
        ("mgr-Val-2231",),
        ("env has mgr-Val-2231",),
        manager={"GITEA_API_KEY": "mgr-Val-2231"},
    ),
    Seed(
        "file of variables",
        ("from-File-8812",),
        ("now with from-File-8812",),
        ("EnvironmentFile=-{home}/k3s.env",),
        files={"{home}/k3s.env": "WEBHOOK_SECRET=from-File-8812\n"},
    ),
    Seed(
        "credential of systemd", ("cred-In-Unit-61",), (), ("SetCredential=mine:cred-In-Unit-61",)
    ),
    Seed("JWT", (_JWT, _HEADER), (f"token review of {_JWT}", f"and in part {_JWT[:60]}")),
    Seed(
        "bearer",
        ("9f8e7d6c5b4a39281706", "plainlowercasetoken"),
        (
            "Authorization: Bearer 9f8e7d6c5b4a39281706",
            'curl -H "Authorization: Bearer plainlowercasetoken" https://x',
            'headers {"Authorization":["Bearer plainlowercasetoken"]}',
        ),
    ),
    Seed(
        "basic",
        (encoded("root:toor-77"), "toor-77"),
        (f"Authorization: Basic {encoded('root:toor-77')}", "curl -u root:toor-77 https://x"),
    ),
    Seed(
        "cookie",
        ("sess-0c00k1e",),
        (
            "Cookie: a=1; session=sess-0c00k1e; b=2",
            '{"Set-Cookie":["session=sess-0c00k1e; Path=/"]}',
        ),
    ),
    Seed(
        "key in lines",
        (_BODY, _BODY_2),
        ("-----BEGIN EC PRIVATE KEY-----", _BODY, _BODY_2, "-----END EC PRIVATE KEY-----"),
    ),
    Seed(
        "key in one line",
        (_SSH,),
        (
            (
                f"key: -----BEGIN OPENSSH PRIVATE KEY-----\\n{_SSH}\\n-----END OPENSSH PRIVATE"
                " KEY----- read"
            ),
        ),
    ),
    Seed(
        "key without an end",
        (_BODY_2[:40],),
        ("-----BEGIN RSA PRIVATE KEY-----", _BODY_2[:40], "and then something else"),
    ),
    Seed(
        "certificate",
        (_CERTIFICATE,),
        ("-----BEGIN CERTIFICATE-----", f"    {_CERTIFICATE}", "    -----END CERTIFICATE-----"),
    ),
    Seed(
        "certificate data",
        (encoded(f"-----BEGIN CERTIFICATE-----\n{_CERTIFICATE}")[:70],),
        (
            (
                "certificate-authority-data:"
                f" {encoded(f'-----BEGIN CERTIFICATE-----{chr(10)}{_CERTIFICATE}')}"
            ),
        ),
    ),
    Seed(
        "AWS",
        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"),
        (
            "using AKIAIOSFODNN7EXAMPLE",
            "aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
        ),
    ),
    Seed(
        "GitHub",
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a",),
        ("clone https://ghp_16C7e42F292c6912E7710c838347Ae178B4a@github.example/x",),
    ),
    Seed("GitLab", ("glpat-20characterslong-",), ("with glpat-20characterslong- as key",)),
    Seed(
        "Slack",
        ("xoxb-123456789012-abcdefGHIJKL",),
        ("posting with xoxb-123456789012-abcdefGHIJKL",),
    ),
    Seed(
        "Google",
        ("AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",),
        ("maps AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",),
    ),
    Seed(
        "password hash",
        ("$2y$10$N9qo8uLOickgx2ZMRZoMye",),
        ("htpasswd admin:$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",),
    ),
    Seed("bootstrap token", ("abcdef.0123456789abcdef",), ("join with abcdef.0123456789abcdef",)),
    Seed(
        "docker config",
        (encoded("push:er-Pw-9"),),
        (f'{{"auths":{{"r":{{"auth":"{encoded("push:er-Pw-9")}"}}}}}}',),
    ),
    Seed(
        "JSON in a message",
        ("inner-Pw-31",),
        (
            'level=info msg="got {\\"user\\":\\"x\\",\\"password\\":\\"inner-Pw-31\\"}"',
            'msg="{\\"apply\\":\\"{\\\\\\"db_password\\\\\\":\\\\\\"inner-Pw-31\\\\\\"}\\"}"',
        ),
    ),
    Seed(
        "variable of a Pod",
        ("pod-Env-17",),
        (
            '{"name":"DB_PASSWORD","value":"pod-Env-17"}',
            '{\\"name\\":\\"DB_PASSWORD\\",\\"value\\":\\"pod-Env-17\\"}',
        ),
    ),
    Seed("API key", ("k-99a0b1c2",), ("X-Api-Key: k-99a0b1c2", "?api_key=k-99a0b1c2&x=1")),
    Seed("netrc", ("netrc-Pw-5",), ("machine r.example login bob password netrc-Pw-5",)),
    Seed(
        "signed address", ("Zm9vYmFyc2ln",), ("GET https://b.example/x?sv=1&sig=Zm9vYmFyc2ln&y=2",)
    ),
    Seed(
        "blob",
        ("Q2xpZW50U2VjcmV0OjEyMzQ1Njc4OTBhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ek" * 2,),
        ("data " + "Q2xpZW50U2VjcmV0OjEyMzQ1Njc4OTBhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ek" * 2,),
    ),
    Seed(
        "encoded token",
        (),
        (
            *tuple(f"blob {encoded('x' * before + _AGENT + 'yz')}" for before in range(3)),
            f"hex {_AGENT.encode().hex()}",
            f"url {quote('%' + _AGENT, safe='')}",
            f"twice {encoded(encoded(_AGENT))}",
        ),
    ),
)
JOURNAL = tuple(line for seed in SEEDS for line in seed.journal)
SECRETS = tuple((seed.kind, secret) for seed in SEEDS for secret in seed.secrets)
