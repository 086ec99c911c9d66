"""A kubeconfig in exactly the form that K3s writes, read and written without PyYAML.

K3s writes its kubeconfig with client-go (its pkg/clientaccess, v1.21 to v1.36). So all these files
have the same form: keys in order, two spaces, base64 of PEM that begins with dashes, one object of
each kind. Loading PyYAML and parsing those 3 KiB twice takes 40 % of the time of click and
dbus-next (callgrind, November 2026). A file that differs by one byte is left to PyYAML.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.cluster.kubeconfig.facts import Entries

_PLAIN = re.compile(r"k3s[a-z0-9-]*", re.ASCII)
"""Names that YAML reads as strings without quotes."""
_PEM = rb"LS0tLS1[A-Za-z0-9+/]+={0,2}"
_FORM = re.compile(
    rb"apiVersion: v1\n"
    rb"clusters:\n"
    rb"- cluster:\n"
    rb"    certificate-authority-data: (?P<authority>" + _PEM + rb")\n"
    rb"    server: (?P<server>https://[A-Za-z0-9.-]+:[0-9]{1,5})\n"
    rb"  name: default\n"
    rb"contexts:\n"
    rb"- context:\n"
    rb"    cluster: default\n"
    rb"    user: default\n"
    rb"  name: default\n"
    rb"current-context: default\n"
    rb"kind: Config\n"
    rb"(?:preferences: \{\}\n)?"
    rb"users:\n"
    rb"- name: default\n"
    rb"  user:\n"
    rb"    client-certificate-data: (?P<certificate>" + _PEM + rb")\n"
    rb"    client-key-data: (?P<key>" + _PEM + rb")\n"
)


def render(entries: Entries) -> str:
    """Return a kubeconfig with these entries alone, in the form that K3s writes."""
    name = entries.name
    if not _PLAIN.fullmatch(name):
        # A JSON string is a YAML string as well.
        name = json.dumps(name, ensure_ascii=False)
    return (
        "apiVersion: v1\n"
        "clusters:\n"
        "- cluster:\n"
        f"    certificate-authority-data: {entries.authority}\n"
        f"    server: {entries.server}\n"
        f"  name: {name}\n"
        "contexts:\n"
        "- context:\n"
        f"    cluster: {name}\n"
        f"    user: {name}\n"
        f"  name: {name}\n"
        f"current-context: {name}\n"
        "kind: Config\n"
        "users:\n"
        f"- name: {name}\n"
        "  user:\n"
        f"    client-certificate-data: {entries.certificate}\n"
        f"    client-key-data: {entries.key}\n"
    )


def document(content: bytes) -> dict[str, Any] | None:
    """Return the document that PyYAML would return, as far as a connection needs it.

    None if the content does not have this form.
    """
    found = _FORM.fullmatch(content)
    if found is None:
        return None
    fields = {name: value.decode("ascii") for name, value in found.groupdict().items()}
    return {
        "clusters": [
            {
                "name": "default",
                "cluster": {
                    "certificate-authority-data": fields["authority"],
                    "server": fields["server"],
                },
            }
        ],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "current-context": "default",
        "users": [
            {
                "name": "default",
                "user": {
                    "client-certificate-data": fields["certificate"],
                    "client-key-data": fields["key"],
                },
            }
        ],
    }
