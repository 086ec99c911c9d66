from __future__ import annotations

from pathlib import Path

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.service.observe import environment_files


def write(path: Path, text: str = "A=1\n", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_named_files_are_read_in_order(tmp_path: Path) -> None:
    first, second = write(tmp_path / "b.env", "A=b\n"), write(tmp_path / "a.env", "A=a\n")

    found = environment_files.named([(str(first), False), (str(tmp_path / "*.env"), True)])

    assert [(one.path, one.text) for one in found] == [
        (first, "A=b\n"),
        (second, "A=a\n"),
        (first, "A=b\n"),
    ]


def test_a_missing_file_is_reported_only_if_it_is_required(tmp_path: Path) -> None:
    paths = (str(tmp_path / "none"), str(tmp_path / "none*"))

    assert () == environment_files.named([(path, True) for path in paths])
    found = environment_files.named([(path, False) for path in paths])
    assert [one.problem for one in found] == [
        f"`{path}` does not exist, and the unit does not start without it" for path in paths
    ]


def test_a_path_that_is_not_a_file_is_a_problem(tmp_path: Path) -> None:
    (found,) = environment_files.named([(str(tmp_path), False)])

    assert found.text is None
    assert "is a directory" in found.problem
    assert () == environment_files.named([(str(tmp_path), True)])


def test_environment_d_is_read_by_name_and_the_users_file_replaces_others(tmp_path: Path) -> None:
    users = write(tmp_path / "config/environment.d/50-a.conf")
    write(tmp_path / "etc/environment.d/50-a.conf")
    late = write(tmp_path / "usr/lib/environment.d/99-z.conf")
    early = write(tmp_path / "run/environment.d/10-b.conf")
    write(tmp_path / "etc/environment.d/README")

    found = environment_files.environment_d(tmp_path / "config", tmp_path)

    assert [one.path for one in found] == [early, users, late]


def test_environment_d_is_expanded_by_systemds_own_program(tmp_path: Path) -> None:
    place = "usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"
    assert isinstance(environment_files.generated({}, tmp_path), Unknown)
    program = write(tmp_path / place, '#!/bin/sh\necho "A=$B/x"\necho C=1=2\n', 0o755)

    assert environment_files.generated({"B": "b"}, tmp_path) == Known(
        {"A": "b/x", "C": "1=2"}, str(program)
    )
    write(program, "#!/bin/sh\necho no >&2; exit 3\n", 0o755)
    assert environment_files.generated({}, tmp_path) == Unknown(f"{program} failed: no")
