"""Renders templates with jinja2, as plain text or as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def text(template: str, **values: object) -> str:
    """Return the text of a template for other programs than a browser.

    Nothing is escaped: each value already follows the rules of the format that it is put into.
    Raises jinja2's UndefinedError for a value that is missing.
    """
    return _text_environment().from_string(template).render(values)


def html(template: str, **values: object) -> str:
    """Return the HTML of a template, with each value escaped, and unprintable characters replaced.

    A value that is missing is empty, as is every part of it.
    """
    return _html_environment().from_string(template).render(values)


def visible(value: object) -> object:
    """Replace what a browser would not show as it stands: control characters, and marks that
    reorder text.
    """
    if hasattr(value, "__html__"):
        # What a macro of the template made; no value from outside has it.
        return value
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\ufffd" for char in str(value)
    )


def _text_environment() -> Environment:
    # Here, since jinja2 takes 37 ms to load, and most commands render nothing.
    from jinja2 import Environment, StrictUndefined

    return Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (no HTML)
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _html_environment() -> Environment:
    # Here as above.
    from jinja2 import ChainableUndefined, Environment

    return Environment(
        undefined=ChainableUndefined,
        autoescape=True,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=("jinja2.ext.loopcontrols",),
    )
