"""Rules of docs/explanation/architecture.md, checked on the syntax trees of the package.

Each rule returns its violations. Imports inside functions count too. Imports under `TYPE_CHECKING`
do not count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

PACKAGE = "k3s_rootless"
LAYERS = ("leaves", "subjects", "operations", "cli")
"""Layers from lowest to highest: a module imports only from its own layer and lower layers."""
SUBJECTS = (
    "preflight",
    "service",
    "ports",
    "journal",
    "cluster",
    "node",
    "binaries",
    "support",
    "backup",
)
SHELL = ("cli", "__main__")
OWNERS = {
    "backports": ("node/images/archive.py",),
    "click": ("cli/",),
    "cryptography": ("cluster/certificates/",),
    "dbus_next": ("service/systemd/bus.py",),
    "http": ("rest.py", "web_request.py"),
    "isal": ("backup/archive.py",),
    "jinja2": ("templates/rendering.py",),
    "pydantic": ("ports/sources/envelope.py", "node/registries/model.py"),
    "pyroute2": ("linux/sockets.py", "linux/nflog.py"),
    "rich": ("cli/display/",),
    "ruamel": ("edited_yaml.py",),
    "subprocess": ("command.py",),
    "urllib3": ("binaries/",),
    "yaml": ("yaml_file.py",),
}
"""Home of each third-party library, as path prefixes inside the package."""
JUDGES = (
    "preflight/checks/",
    "preflight/remedies/",
    "service/unit/",
    "service/drop_ins/",
    "service/environment/",
    "service/plan/",
    "operations/readiness/missing.py",
    "operations/readiness/phases.py",
    "operations/readiness/wait.py",
    "ports/rules/",
    "journal/catalogue/",
    "journal/diagnosis.py",
    "journal/exits.py",
    "journal/limits.py",
    "journal/lines.py",
    "journal/loops.py",
    "journal/panics.py",
    "journal/recognition.py",
    "journal/verdict.py",
    "cluster/certificates/authorities.py",
    "cluster/certificates/due.py",
    "cluster/certificates/fields.py",
    "cluster/certificates/renewal.py",
    "cluster/heartbeat.py",
    "cluster/kubeconfig/edited_text.py",
    "cluster/kubeconfig/edits.py",
    "cluster/kubeconfig/entries.py",
    "cluster/kubeconfig/k3s_form.py",
    "cluster/kubeconfig/merging.py",
    "cluster/policies/log_rules.py",
    "cluster/policies/selection.py",
    "binaries/architectures.py",
    "binaries/checksums.py",
    "binaries/pruning.py",
    "binaries/tags.py",
    "binaries/urls.py",
    "support/redaction/",
    "node/invocation.py",
    "node/subcommands.py",
    "node/images/importing.py",
    "node/images/listing.py",
    "node/images/references.py",
    "node/containerd/forms.py",
    "node/containerd/settings.py",
    "node/registries/challenge.py",
    "node/registries/content.py",
    "node/registries/edits.py",
    "node/registries/endpoints.py",
    "node/registries/model.py",
    "node/registries/proxies.py",
    "node/registries/yaml_lines.py",
    "operations/readiness/milestones.py",
    "operations/status/model.py",
    "operations/status/pending.py",
    "operations/diagnose/answer.py",
    "operations/policies/judgement.py",
    "support/page.py",
    "backup/manifest.py",
    "backup/contents.py",
    "backup/moving.py",
    "backup/persistent_volumes.py",
    "backup/judgement.py",
    "backup/slots.py",
    "backup/age.py",
    "backup/rotation.py",
    "backup/written.py",
    "backup/volumes/headers.py",
    "backup/volumes/members.py",
    "backup/volumes/order.py",
)
READERS = (
    "linux/",
    "rootlesskit/",
    "preflight/probes/",
    "service/systemd/",
    "service/observe/",
    "ports/sources/",
    "operations/status/parts.py",
    "operations/status/questions.py",
    "journal/sources/",
    "cluster/access.py",
    "cluster/api.py",
    "cluster/certificates/files.py",
    "cluster/certificates/validity.py",
    "cluster/certificates/staged.py",
    "cluster/kubeconfig/connection.py",
    "cluster/kubeconfig/files.py",
    "cluster/kubeconfig/precedence.py",
    "cluster/kubeconfig/read.py",
    "cluster/node_marks.py",
    "cluster/own_file.py",
    "cluster/packaged.py",
    "cluster/server_names.py",
    "cluster/bootstrap_tokens.py",
    "cluster/pods.py",
    "cluster/policies/read.py",
    "node/images/archive.py",
    "node/containerd/files.py",
    "node/registries/loopback.py",
    "node/registries/requesting.py",
    "binaries/channels.py",
    "binaries/extractions.py",
    "binaries/forge.py",
    "binaries/https.py",
    "binaries/installed.py",
    "support/host.py",
    "support/secret_files.py",
    "backup/bolt.py",
    "backup/etcd.py",
    "backup/files.py",
    "backup/verify.py",
    "backup/volumes/sources.py",
)
PERFORMERS = (
    "service/act/",
    "cluster/ending.py",
    "cluster/supervisor.py",
    "node/entry.py",
    "node/inside.py",
    "node/containerd/validation.py",
    "node/registries/probe.py",
    "binaries/download.py",
    "binaries/part.py",
    "binaries/store.py",
    "cluster/kubeconfig/copies.py",
    "cluster/kubeconfig/lock.py",
    "support/archive.py",
    "backup/archive.py",
    "backup/database.py",
    "backup/datastores.py",
    "backup/etcd_files.py",
    "backup/objects.py",
    "backup/staging.py",
    "backup/record.py",
    "backup/record_file.py",
    "backup/copies.py",
    "backup/beside.py",
    "backup/new_content.py",
    "backup/replacement.py",
    "backup/scheduled_run.py",
    "backup/volumes/in_namespace.py",
    "backup/volumes/packing.py",
    "backup/volumes/unpacking.py",
)
RECORDS = ("facts.py", "records.py", "names.py", "__init__.py")
IMPURE = frozenset(
    (
        "os",
        "pathlib",
        "socket",
        "time",
        "asyncio",
        "subprocess",
        "http",
        "shutil",
        "tempfile",
        "threading",
    )
)
PRINTING = frozenset({"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"})
PRINTERS = ("cli/display/report.py", "cli/display/stream.py", "cli/__init__.py")


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield the path inside the package and the syntax tree of each module below `root`."""
    for path in sorted((root / PACKAGE).rglob("*.py")):
        yield str(path.relative_to(root / PACKAGE)), _parsed(path.read_text("utf-8"))


@cache
def _parsed(text: str) -> ast.Module:
    """Return the syntax tree of a module, cached because several rules read the same modules."""
    return ast.parse(text)


@cache
def imports(tree: ast.Module) -> tuple[str, ...]:
    """Return the dotted names of all imports that run, including those inside functions."""
    return tuple(_imports(tree))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _imports(node)


def layer(module: str) -> int:
    """Return the layer of a path inside the package, as an index of LAYERS."""
    top = module.split("/", maxsplit=1)[0].removesuffix(".py")
    if top in SHELL:
        return LAYERS.index("cli")
    if top == "operations":
        return LAYERS.index("operations")
    return LAYERS.index("subjects" if top in SUBJECTS else "leaves")


def edges(root: Path) -> dict[str, set[str]]:
    """Return the modules that each module imports, as paths inside the package."""
    trees = dict(modules(root))
    found = {}
    for module, tree in trees.items():
        targets = {target for name in imports(tree) if (target := _module(name, trees))}
        found[module] = targets - {module}
    return found


def broken_owners(root: Path) -> list[str]:
    """Return imports of a third-party library outside its home."""
    found = []
    for module, tree in modules(root):
        used = {name.split(".")[0] for name in imports(tree)}
        found += [
            f"{module} imports {library}, whose home is {OWNERS[library][0]}"
            for library in sorted(used & OWNERS.keys())
            if not module.startswith(OWNERS[library])
        ]
    return found


def broken_direction(root: Path) -> list[str]:
    """Return imports of a higher layer, and imports between different subjects."""
    found = []
    for module, targets in edges(root).items():
        for target in sorted(targets):
            above = layer(target) > layer(module)
            subjects = layer(target) == layer(module) == LAYERS.index("subjects")
            if above or (subjects and module.split("/")[0] != target.split("/")[0]):
                found.append(f"{module} imports {target}")
    return found


def broken_roles(root: Path) -> list[str]:
    """Return imports of readers or performers in judges, and of performers in readers."""
    found = []
    for module, targets in edges(root).items():
        if module.startswith(PERFORMERS):
            continue
        forbidden = (*READERS, *PERFORMERS) if module.startswith(JUDGES) else PERFORMERS
        if not module.startswith((*JUDGES, *READERS)):
            continue
        found += [
            f"{module} imports {target}"
            for target in sorted(targets)
            if target.startswith(forbidden) and not target.endswith(RECORDS)
        ]
    return found


def broken_purity(root: Path) -> list[str]:
    """Return imports of IMPURE modules in judges, which only work on facts that they receive."""
    return [
        f"{module} imports {name}"
        for module, tree in modules(root)
        if module.startswith(JUDGES)
        for name in imports(tree)
        if name.split(".")[0] in IMPURE
    ]


def broken_membership(root: Path) -> list[str]:
    """Return modules of subjects without a role, and folders with fewer than three entries.

    Modules, templates and folders count as entries.
    """
    found = []
    held: dict[str, set[str]] = {}
    for module, _ in modules(root):
        folder, _, name = module.rpartition("/")
        held.setdefault(folder, set()).update({name} - {"__init__.py"})
        above, _, last = folder.rpartition("/")
        held.setdefault(above, set()).add(last)
        known = module.startswith((*JUDGES, *READERS, *PERFORMERS)) or name in RECORDS
        if layer(module) == LAYERS.index("subjects") and not known:
            found.append(f"{module} has no role")
    for path in (root / PACKAGE / "templates").glob("*.j2"):
        held["templates"].add(path.name)
    return found + [f"{folder} holds {len(one)}" for folder, one in held.items() if len(one) < 3]


def broken_printing(root: Path) -> list[str]:
    """Return print calls outside the modules that are allowed to print."""
    return [
        f"{module} calls {ast.unparse(node.func)}"
        for module, tree in modules(root)
        if module not in PRINTERS
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTING
    ]


def circles(root: Path) -> list[tuple[str, ...]]:
    """Return the groups of modules that import each other in a cycle."""
    graph = edges(root)
    reached = {module: _reached(graph, module) for module in graph}
    found = {
        tuple(sorted(one for one in reached[module] if module in reached[one]))
        for module in graph
        if module in reached[module]
    }
    return sorted(found)


def broken_cycles(root: Path) -> list[str]:
    """Return the import cycles, including those through imports inside functions."""
    return [f"{', '.join(circle)} import each other" for circle in circles(root)]


def broken_laziness(root: Path) -> list[str]:
    """Return imports inside functions that have no comment with a reason, outside cli.

    An import inside a function must save time, and the comment above says in which case. `preload`
    is exempt: this function imports modules while another process works.
    """
    found = []
    for module, tree in modules(root):
        if layer(module) == LAYERS.index("cli"):
            continue
        text = (root / PACKAGE / module).read_text("utf-8").splitlines()
        found += [
            f"{module}:{node.lineno} imports in a function without a reason"
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            and function.name != "preload"
            for node in _own(function)
            if isinstance(node, ast.Import | ast.ImportFrom)
            and not _is_explained(text, node.lineno)
        ]
    return found


def _is_explained(text: list[str], line: int) -> bool:
    """Return whether a comment is directly above a block of imports."""
    above = line - 2
    while text[above].lstrip().startswith(("import ", "from ")):
        above -= 1
    return text[above].lstrip().startswith("#")


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Return every module that can be reached from `start`."""
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += graph[module]
    return seen


def _module(name: str, known: Iterable[str]) -> str | None:
    """Return the path inside the package of an imported module; None for other modules."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return None
    for end in range(len(parts), 0, -1):
        path = "/".join(parts[1:end])
        for one in (f"{path}.py", f"{path}/__init__.py".lstrip("/")):
            if one in known:
                return one
    return None


def complex_share(root: Path) -> float:
    """Return the percentage of functions with a cyclomatic complexity over 10."""
    functions = [
        node
        for _, tree in modules(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return 100 * sum(_complexity(node) > 10 for node in functions) / len(functions)


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without the nodes of nested functions."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield node
        yield from _own(node)


def _complexity(function: ast.AST) -> int:
    """Return the cyclomatic complexity (McCabe) of a function."""
    branches = (
        ast.If
        | ast.For
        | ast.AsyncFor
        | ast.While
        | ast.ExceptHandler
        | ast.IfExp
        | ast.comprehension
    )
    count = 1
    for node in _own(function):
        count += isinstance(node, branches)
        count += len(node.values) - 1 if isinstance(node, ast.BoolOp) else 0
        count += len(node.cases) if isinstance(node, ast.Match) else 0
    return count
