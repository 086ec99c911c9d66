"""Tests that K3s gets the proxies of a shell, and that passwords stay in the drop-in."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from k3s_rootless.errors import UsageError
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.environment import change, import_proxy, proxy_hint
from k3s_rootless.service.drop_ins import environment as environment_drop_in
from tests.fakes.managed_host import ManagedHost

PROXY = "http://alice:s3cret@proxy.example:3128"
SHELL = {"https_proxy": PROXY, "NO_PROXY": ".example"}
OWN = "50-k3s-rootless-environment.conf"
EXCEPTIONS = ".example,127.0.0.0/8,10.41.0.0/16,10.42.0.0/16,10.43.0.0/16,.svc,.cluster.local"


def shell(host: ManagedHost, environ: Mapping[str, str] = SHELL) -> Context:
    return host.context_with(environ={**host.context.environ, **environ})


def written(host: ManagedHost) -> dict[str, str]:
    return environment_drop_in.read(host.files().get(OWN))


def test_the_proxies_of_the_shell_are_set_with_the_networks_of_the_cluster(
    host: ManagedHost,
) -> None:
    host.install()

    done = import_proxy.import_proxy(shell(host))

    assert {"HTTPS_PROXY": PROXY, "NO_PROXY": EXCEPTIONS} == written(host)
    assert 0o600 == (host.drop_ins / OWN).stat().st_mode & 0o777
    assert done.changed
    document = import_proxy.change_document(done)
    assert "s3cret" not in json.dumps(document) + "".join(host.notices)
    assert ["HTTPS_PROXY", "NO_PROXY"] == [row["name"] for row in document["variables"]]


def test_a_second_import_changes_nothing(host: ManagedHost) -> None:
    host.install()
    import_proxy.import_proxy(shell(host))

    assert not import_proxy.import_proxy(shell(host)).changed


def test_other_networks_and_exceptions_of_k3s_count(host: ManagedHost) -> None:
    host.install(
        "[Service]\nExecStart=/usr/local/bin/k3s server --rootless --cluster-cidr=10.52.0.0/16"
        " --service-cidr=10.53.0.0/16 --cluster-domain=c.example\n"
    )
    context = shell(host)
    change.set_variables(
        context, {"K3S_ROOTLESS_CIDR": "172.31.0.0/16", "NO_PROXY": "kept.example"}
    )

    import_proxy.import_proxy(context)

    assert (
        ".example,kept.example,127.0.0.0/8,172.31.0.0/16,10.52.0.0/16,10.53.0.0/16,.svc,.c.example"
        == written(host)["NO_PROXY"]
    )


def test_a_preview_hides_passwords_and_changes_nothing(host: ManagedHost) -> None:
    host.install()

    found = import_proxy.preview(shell(host))

    assert {
        "HTTPS_PROXY": "http://alice:***@proxy.example:3128",
        "NO_PROXY": EXCEPTIONS,
    } == found.values
    assert {} == host.files()
    assert import_proxy.preview_document(found)["dry_run"]


@pytest.mark.parametrize("environ", [{}, {"NO_PROXY": "x"}, {"HTTP_PROXY": ""}])
def test_a_shell_without_a_proxy_is_refused(host: ManagedHost, environ: Mapping[str, str]) -> None:
    host.install()

    with pytest.raises(UsageError, match="neither HTTP_PROXY nor HTTPS_PROXY"):
        import_proxy.import_proxy(shell(host, environ))

    assert {} == host.files()


def test_a_value_that_systemd_cannot_pass_on_is_refused_unprinted(host: ManagedHost) -> None:
    host.install()

    with pytest.raises(
        UsageError, match="cannot import HTTP_PROXY: it is not valid UTF-8"
    ) as found:
        import_proxy.import_proxy(shell(host, {"HTTP_PROXY": "http://u:s3cret\udcff@p"}))

    assert "s3cret" not in f"{found.value.message}{found.value.hint}"


def test_what_is_not_imported_or_not_usable_is_reported(host: ManagedHost) -> None:
    host.install()
    environ = {
        "HTTP_PROXY": "http://127.0.0.1:3128",
        "http_proxy": "http://other.example:3128",
        "ALL_PROXY": "socks5://proxy.example",
    }

    import_proxy.import_proxy(shell(host, environ))

    notices = "\n".join(host.notices)
    assert "ALL_PROXY is not imported" in notices
    assert "HTTP_PROXY and http_proxy differ in this shell; HTTP_PROXY is imported" in notices
    assert "127.0.0.1 is an address in K3s's namespace" in notices


def test_a_start_is_preceded_by_a_hint_until_the_proxy_is_imported(host: ManagedHost) -> None:
    host.install()
    context = shell(host)
    with context.manager() as manager:
        proxy_hint.report(host.context, manager)
        assert [] == host.notices
        proxy_hint.report(context, manager)
        hint = "to let K3s use it, run: k3s-rootless env import-proxy"
        assert [f"this shell uses a proxy (HTTPS_PROXY), and K3s does not; {hint}"] == host.notices
    import_proxy.import_proxy(context)
    host.events.clear()
    with context.manager() as manager:
        proxy_hint.report(context, manager)
    assert [] == host.notices


def test_without_a_unit_the_drop_in_counts(host: ManagedHost) -> None:
    context = shell(host)
    import_proxy.import_proxy(context)
    host.events.clear()

    with context.manager() as manager:
        proxy_hint.report(context, manager)

    assert [] == host.notices
