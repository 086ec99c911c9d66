"""Render templates with jinja2, as plain text or as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def text(template: str, **values: object) -> str:
    """Return the text of a template for a program other than a browser.

    Nothing is escaped: each value must already follow the rules of its target format. Raises
    jinja2's UndefinedError for a missing value.
    """
    return _text_environment().from_string(template).render(values)


def html(template: str, **values: object) -> str:
    """Return the HTML of a template, with values escaped and unprintable characters replaced.

    A missing value is empty, and so are its attributes.
    """
    return _html_environment().from_string(template).render(values)


def visible(value: object) -> object:
    """Replace characters that a browser would not show: control characters and reordering marks."""
    if hasattr(value, "__html__"):
        # The result of a macro of the template; no value from outside has this attribute.
        return value
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\ufffd" for char in str(value)
    )


def _text_environment() -> Environment:
    # Imported here because jinja2 takes 37 ms to load, and most commands render nothing.
    from jinja2 import Environment, StrictUndefined

    return Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (no HTML)
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _html_environment() -> Environment:
    # Imported here for the same reason as above.
    from jinja2 import ChainableUndefined, Environment

    return Environment(
        undefined=ChainableUndefined,
        autoescape=True,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=("jinja2.ext.loopcontrols",),
    )
