"""The settings of k3s-rootless itself, which no unit has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from k3s_rootless import own_settings
from k3s_rootless.binaries import urls
from k3s_rootless.binaries.facts import DOWNLOADS_VARIABLE
from k3s_rootless.errors import UsageError
from k3s_rootless.k3s.origin import Origin, Source, Value
from k3s_rootless.operations.configuration.setting import Setting
from k3s_rootless.operations.context import WAITING

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context

_NOT_VALID = "(not a URL that can be used)"


def settings(context: Context) -> list[Setting]:
    """Return the settings, each with its value and origin. Raises RootlessError."""
    configured = own_settings.read(context.paths.settings)
    return [
        _setting(context, name, what, configured.get(name))
        for name, what in own_settings.NAMES.items()
    ]


def change(context: Context, changes: Mapping[str, Sequence[str]]) -> bool:
    """Set settings to one value each, or to none; return whether anything changed.

    Raises UsageError for a value that cannot be used, RootlessError.
    """
    checked = {name: _checked(name, values) for name, values in changes.items()}
    return own_settings.change(context.paths.settings, checked, lambda: context.notice(WAITING))


def _checked(name: str, values: Sequence[str]) -> str | None:
    if not values:
        return None
    if len(values) > 1:
        raise UsageError(f"cannot set {name} to {len(values)} values: it accepts only one")
    return urls.checked_base(values[0], name)


def _setting(context: Context, name: str, what: str, configured: str | None) -> Setting:
    set_to: tuple[str, ...] = ()
    place = "default"
    if configured is not None:
        set_to, place = (_shown(configured),), "config"
    given = context.environ.get(DOWNLOADS_VARIABLE)
    if given:
        given = _shown(given)
        origin = Origin(Source.ENVIRONMENT, variable=DOWNLOADS_VARIABLE, place="this shell")
        source = Value(name, given, origin)
        return Setting(name, (given,), Source.ENVIRONMENT.value, what, set_to, (source,), own=True)
    return Setting(name, set_to, place, what, set_to, own=True)


def _shown(url: str) -> str:
    """Return a URL if it can be used; another one can contain a password."""
    try:
        return urls.checked_base(url, own_settings.MIRROR)
    except UsageError:
        return _NOT_VALID
