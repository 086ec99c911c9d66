from __future__ import annotations

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from k3s_rootless.templates import loader, rendering


def test_text_is_not_escaped_and_keeps_its_last_newline() -> None:
    template = "{% if more %}\n  {{ value }}\n{% endif %}\n"

    assert "  <a & 'b'>\n" == rendering.text(template, more=True, value="<a & 'b'>")


def test_a_value_that_is_missing_in_a_text_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'value' is undefined"):
        rendering.text("{{ value }}")


def test_html_escapes_values_and_shows_what_is_unprintable() -> None:
    assert "<p>&lt;b&gt;\ufffd\ufffd\n</p>" == rendering.html(
        "<p>{{ value }}</p>", value="<b>\x1b\u202e\n"
    )


def test_a_value_that_is_missing_in_html_is_empty() -> None:
    assert "[]" == rendering.html("[{{ document.part.value }}]", document={})


def test_what_a_macro_made_is_not_escaped_twice() -> None:
    made = Markup("<b>\x07</b>")

    assert made is rendering.visible(made)
    assert "\ufffd" == rendering.visible("\x07")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("units", "k3s-rootless.service.j2"),
        ("units", "administrator.sh.j2"),
        ("templates", "page.html.j2"),
    ],
)
def test_each_template_is_read(folder: str, name: str) -> None:
    assert "{{" in loader.read(folder, name)
