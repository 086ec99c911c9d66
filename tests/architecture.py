"""The rules of docs/explanation/architecture.md, read from the syntax tree; each gives what breaks
it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "k3s_rootless"
SUBJECTS = ("preflight", "service", "ports", "journal", "cluster", "support")
LEAVES = (
    "errors",
    "paths",
    "finding",
    "measure",
    "observation",
    "mountinfo",
    "notification",
    "templates",
    "command",
    "durable",
    "printable",
    "rest",
    "release",
    "trust",
)
OWNERS = {
    "click": ("cli",),
    "dbus_next": ("service/bus.py",),
    "http": ("rest.py",),
    "jinja2": ("preflight/script.py", "service/unit.py", "support/page.py"),
    "pydantic": ("ports/envelope.py",),
    "pyroute2": ("linux/sockets.py",),
    "rich": ("cli/progress.py", "cli/report.py", "cli/screen.py"),
    "subprocess": ("command.py",),
    "yaml": ("cluster/kubeconfig.py", "ports/manifests.py", "k3s/config_yaml.py"),
}
JUDGES = (
    "preflight/checks.py",
    "preflight/cluster.py",
    "preflight/configuration.py",
    "preflight/drop_ins.py",
    "preflight/origins.py",
    "preflight/unit_limits.py",
    "preflight/nixos.py",
    "preflight/profile.py",
    "preflight/script.py",
    "preflight/identity.py",
    "preflight/judgement.py",
    "preflight/k3s_remedies.py",
    "preflight/kernel.py",
    "preflight/namespaces.py",
    "preflight/network.py",
    "preflight/programs.py",
    "preflight/remedies.py",
    "preflight/storage.py",
    "preflight/surroundings.py",
    "preflight/sysctls.py",
    "preflight/system.py",
    "service/phases.py",
    "service/authorship.py",
    "service/configuration.py",
    "service/differences.py",
    "service/dropin.py",
    "service/limits.py",
    "service/assignments.py",
    "service/environment.py",
    "service/environment_drop_in.py",
    "service/expansion.py",
    "service/golang.py",
    "service/gourl.py",
    "service/outage.py",
    "service/plan.py",
    "service/precedence.py",
    "service/proxies.py",
    "service/steps.py",
    "service/readiness.py",
    "service/pending.py",
    "service/standing.py",
    "service/removal.py",
    "service/rotation.py",
    "service/shipped.py",
    "service/unit.py",
    "ports/advice.py",
    "ports/exposure.py",
    "ports/prediction.py",
    "ports/questions.py",
    "ports/reasons.py",
    "ports/rivals.py",
    "ports/sight.py",
    "ports/starting.py",
    "ports/urls.py",
    "ports/wanted.py",
    "cluster/heartbeat.py",
    "journal/diagnosis.py",
    "journal/exits.py",
    "support/addresses.py",
    "support/anonymity.py",
    "support/assigned.py",
    "support/blocks.py",
    "support/disguises.py",
    "support/drawing.py",
    "support/learning.py",
    "support/milestones.py",
    "support/names.py",
    "support/page.py",
    "support/patterns.py",
    "support/redaction.py",
    "journal/limits.py",
    "journal/lines.py",
    "journal/loops.py",
    "journal/panics.py",
    "journal/recognition.py",
    "journal/verdict.py",
    "journal/catalogue/__init__.py",
    "journal/catalogue/cgroups.py",
    "journal/catalogue/configuration.py",
    "journal/catalogue/entry.py",
    "journal/catalogue/identity.py",
    "journal/catalogue/network.py",
    "journal/catalogue/ports.py",
    "journal/catalogue/runtime.py",
    "journal/catalogue/session.py",
    "journal/catalogue/storage.py",
)
READERS = (
    "preflight/config_probes.py",
    "preflight/confinement.py",
    "preflight/datastore.py",
    "preflight/devices.py",
    "preflight/kernel_probes.py",
    "preflight/network_probes.py",
    "preflight/probes.py",
    "preflight/session_probes.py",
    "preflight/storage_probes.py",
    "preflight/trial.py",
    "service/bus.py",
    "service/config_files.py",
    "service/conversation.py",
    "service/data_directory.py",
    "service/delegation.py",
    "service/environment_files.py",
    "service/files.py",
    "service/glance.py",
    "service/leftovers.py",
    "service/login.py",
    "service/process.py",
    "service/properties.py",
    "service/system_manager.py",
    "service/signals.py",
    "service/start_record.py",
    "service/systemd.py",
    "service/usage.py",
    "linux/control_group.py",
    "linux/addresses.py",
    "linux/namespaces.py",
    "ports/envelope.py",
    "json_fields.py",
    "ports/holders.py",
    "ports/manifests.py",
    "ports/probe.py",
    "rootlesskit/client.py",
    "linux/networks.py",
    "ports/services.py",
    "linux/sockets.py",
    "ports/wire.py",
    "journal/containerd.py",
    "journal/exported.py",
    "journal/reader.py",
    "cluster/api.py",
    "cluster/certificates.py",
    "cluster/kubeconfig.py",
    "cluster/access.py",
    "cluster/own_file.py",
    "cluster/written.py",
    "cluster/packaged.py",
    "support/host.py",
    "support/known.py",
)
IMPURE = frozenset(
    {
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
    }
)
LONGEST_MODULE = 355
LONGEST_FUNCTION = 66


def modules(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Give each module of the package below `root`, by its path inside the package."""
    for path in sorted((root / PACKAGE).rglob("*.py")):
        yield str(path.relative_to(root / PACKAGE)), ast.parse(path.read_text("utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    """Give the dotted names that run-time imports name, wherever they stand; what only type
    checkers see is left out.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imports(node)


def inner(name: str) -> tuple[str, ...] | None:
    """Give the parts of a name inside of our package, or None for a foreign one."""
    parts = tuple(name.split("."))
    return parts[1:] if parts[0] == PACKAGE and len(parts) > 1 else None


def broken_owners(root: Path) -> list[str]:
    """Each outside library has one home."""
    return [
        f"{module} imports {library}, whose home is {', '.join(homes)}"
        for module, tree in modules(root)
        for library, homes in OWNERS.items()
        if any(name.split(".")[0] == library for name in imports(tree))
        and not module.startswith(homes)
    ]


def broken_direction(root: Path) -> list[str]:
    """The shell imports subjects, subjects import leaves, and subjects never import each other."""
    found = []
    for module, tree in modules(root):
        here = module.split("/")[0].removesuffix(".py")
        allowed = {*LEAVES, here} if here in SUBJECTS else set(LEAVES)
        if here in {"cli", "__main__", "__init__"}:
            continue
        for name in imports(tree):
            parts = inner(name)
            if parts and parts[0] not in allowed:
                found.append(f"{module} imports {name}")
    return found


def broken_roles(root: Path) -> list[str]:
    """Inside a subject, readers and judges import facts and their own kind, never each other."""
    found = []
    for kind, others in ((JUDGES, READERS), (READERS, JUDGES)):
        forbidden = {other.removesuffix(".py").replace("/", ".") for other in others}
        for module, tree in modules(root):
            if module in kind:
                names = {".".join((inner(name) or ())[:2]) for name in imports(tree)}
                found += [f"{module} imports {name}" for name in sorted(names & forbidden)]
    return found


def broken_purity(root: Path) -> list[str]:
    """Judges look at nothing: what they judge is handed to them."""
    return [
        f"{module} imports {name}"
        for module, tree in modules(root)
        if module in JUDGES
        for name in imports(tree)
        if name.split(".")[0] in IMPURE
    ]


def broken_size(root: Path) -> list[str]:
    """A module is one subject, a function one thought."""
    found = []
    for path in sorted((root / PACKAGE).rglob("*.py")):
        lines = len(path.read_text("utf-8").splitlines())
        if lines > LONGEST_MODULE:
            found.append(f"{path.name} has {lines} lines")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    found.append(f"{path.name}: {node.name} has {length} lines")
    return found


def broken_printing(root: Path) -> list[str]:
    """Only cli/report.py prints, and cli/stream.py what has no end (and click itself, for its own
    errors).
    """
    found = []
    for module, tree in modules(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and module not in {
                "cli/report.py",
                "cli/stream.py",
                "cli/__init__.py",
            }:
                called = ast.unparse(node.func)
                if called in {
                    "print",
                    "click.echo",
                    "click.secho",
                    "sys.stdout.write",
                    "sys.stderr.write",
                }:
                    found.append(f"{module} calls {called}")
    return found


def broken_cycles(root: Path) -> list[str]:
    """No module imports, through others, itself."""
    known = {
        module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for module, _ in modules(root)
    }
    edges: dict[str, set[str]] = {}
    for module, tree in modules(root):
        here = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        edges[here] = {
            target
            for name in _top_level(tree)
            if (target := _module(name, known)) and target != here
        }
    return [
        f"{start} imports itself through {edge}"
        for start in edges
        for edge in edges[start]
        if start in _reach(edge, edges)
    ]


def _top_level(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(ast.Module([node], []))


def _module(name: str, known: set[str]) -> str | None:
    parts = inner(name) or ()
    candidates = (".".join(parts), ".".join(parts[:-1]))
    return next((one for one in candidates if one in known), None)


def _reach(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            todo += edges.get(here, ())
    return seen
