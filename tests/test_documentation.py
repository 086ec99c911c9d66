"""Tests that the documentation matches the code in both directions.

`python -m tests.test_documentation` generates the page of commands.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from k3s_rootless import errors, schemas
from k3s_rootless.cli import shell
from k3s_rootless.cli.pass_through import FAILED, PassThrough
from k3s_rootless.finding import Finding, Verdict
from k3s_rootless.preflight.checks.checklist import CHECKS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CLI_PAGE = DOCS / "reference/cli.md"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield the name, as users type it, and the object of each command."""
    context = click.Context(shell, info_name="k3s-rootless")
    yield "k3s-rootless", shell
    for name in shell.list_commands(context):
        command = shell.get_command(context, name)
        assert command
        yield f"k3s-rootless {name}", command
        inside = (
            command.commands.values()
            if isinstance(command, click.Group)
            else getattr(command, "subcommands", ())
        )
        yield from ((f"k3s-rootless {name} {inner.name}", inner) for inner in inside)


def cli_page() -> str:
    """Return the page of commands, built from their help texts."""
    parts = ["# Commands\n\nThis page is generated from the `--help` of the commands.\n"]
    for name, command in commands():
        context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
        context.help_option_names = ["-h", "--help"]
        # click keeps the option of the first context that a test has made for this command.
        command._help_option = None  # noqa: SLF001
        parts.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def test_the_page_of_commands_matches_the_help() -> None:
    written = CLI_PAGE.read_text("utf-8")

    assert cli_page() == written, "regenerate it: python -m tests.test_documentation"


def test_the_list_of_commands_shows_their_summaries() -> None:
    page = CLI_PAGE.read_text("utf-8")

    for name, command in commands():
        if command is not shell:
            assert re.search(
                rf"^  {name.split()[-1]} +{re.escape(command.get_short_help_str(200))}$",
                page,
                re.MULTILINE,
            )


def test_each_summary_is_short_and_has_no_full_stop() -> None:
    summaries = [one.get_short_help_str(200) for _, one in commands() if one is not shell]

    assert [] == [one for one in summaries if len(one) >= 60 or one.endswith(".")]


def test_each_exit_code_in_the_help_is_documented() -> None:
    page = (DOCS / "reference/exit-codes.md").read_text("utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    explained = {code for _, command in commands() for code in getattr(command, "exit_codes", ())}

    assert explained
    assert explained <= listed


def test_each_check_has_its_paragraph_and_each_paragraph_its_check() -> None:
    headings = re.findall(
        r"^## (\S+)$", (DOCS / "reference/checks.md").read_text("utf-8"), re.MULTILINE
    )

    assert [check.id for check in CHECKS] == headings


def test_each_paragraph_of_a_check_has_its_severity_and_its_title() -> None:
    page = (DOCS / "reference/checks.md").read_text("utf-8")

    documented = re.findall(r"^## (\S+)\n\n\*([a-z]+)\* · (.+)\n\n\S", page, re.MULTILINE)

    assert [(check.id, check.severity.value, check.title) for check in CHECKS] == documented


def test_the_link_of_each_finding_leads_to_its_paragraph() -> None:
    """GitHub makes anchors of headings: lower case, and only hyphens and underscores are kept."""
    page = (DOCS / "reference/checks.md").read_text("utf-8")
    anchors = {
        re.sub(r"[^a-z0-9_-]", "", heading)
        for heading in re.findall(r"^## (\S+)$", page, re.MULTILINE)
    }

    for check in CHECKS:
        link = Finding(check.id, check.title, Verdict.PASS, "").anchor
        assert link == f"docs/reference/checks.md#{link.partition('#')[2]}"
        assert link.partition("#")[2] in anchors


def test_a_check_has_a_unique_id_and_a_title() -> None:
    assert len(CHECKS) == len({check.id for check in CHECKS})
    assert all(
        re.fullmatch(r"[a-z0-9]+(\.[a-z0-9_]+)+", check.id) and check.title for check in CHECKS
    )


def test_each_exit_code_is_documented() -> None:
    page = (DOCS / "reference/exit-codes.md").read_text("utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RootlessError)
    }

    assert raised | {0, FAILED, 130} == listed


def test_each_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"`k3s-rootless ([a-z0-9]+)", (ROOT / "README.md").read_text("utf-8")))

    assert {name.split()[1] for name, _ in commands() if name != "k3s-rootless"} == named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))

    assert [] == [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_to_a_heading_finds_it(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text("utf-8"))

    assert [] == [
        (target, anchor)
        for target, anchor in targets
        if (found := page.parent / target if target else page).suffix == ".md"
        and anchor not in anchors(found)
    ]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_in_a_page_is_one(page: Path) -> None:
    """Pages mention only commands and options that exist."""
    known = dict(commands())
    text = page.read_text("utf-8")
    for line in re.findall(r"k3s-rootless ([a-z0-9]+(?: [^`\n#|]*)?)", text):
        arguments = line.partition(" -- ")[0].split()
        command = known.get(f"k3s-rootless {' '.join(arguments[:2])}") or known.get(
            f"k3s-rootless {arguments[0]}"
        )
        options = [one for one in arguments[1:] if re.fullmatch(r"--[a-z-]+|-[a-z]", one)]
        if command and not isinstance(command, PassThrough):
            have = {
                name
                for parameter in command.params
                for name in (*parameter.opts, *parameter.secondary_opts)
            }
            assert set(options) <= have | {"--help"}, line


def test_the_schemas_of_the_json_page_are_those_of_the_commands() -> None:
    page = (DOCS / "reference/json.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `(k3s-rootless/[a-z-]+/v\d+)`", page, re.MULTILINE))
    printed = {
        schemas.name("-".join(name.split()[1:]))
        for name, command in commands()
        if any("--json" in one.opts for one in command.params)
    }

    assert printed == listed


def test_each_command_that_a_hint_or_a_remedy_names_exists() -> None:
    """Users can run the commands that hints and remedies name."""
    names = {name.split()[-1] for name, _ in commands()}
    pasted = re.compile(r"(?:^|`|: |\\$ )k3s-rootless ([a-z0-9]+)")
    mentioned = {
        (path.name, name)
        for path in (ROOT / "k3s_rootless").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for name in pasted.findall(node.value)
    }

    assert set() == {(where, name) for where, name in mentioned if name not in names}


def test_each_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        name
        for page in PAGES
        for name in re.findall(
            r"(?:`|^)make ([a-z]+)(?:`| +#)", page.read_text("utf-8"), re.MULTILINE
        )
    }

    assert named <= targets


if __name__ == "__main__":
    CLI_PAGE.write_text(cli_page(), "utf-8")
