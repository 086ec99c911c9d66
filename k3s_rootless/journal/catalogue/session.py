"""Failures of the session, systemd and the journal: what happens around K3s."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import (
    RESTART,
    Failure,
    Weight,
    administrator,
    drop_in,
    sign,
    user,
)

FAILURES = (
    Failure(
        "no-session",
        "the user manager cannot be reached: {why}",
        "su, sudo and cron make no session, and minimal systems lack the bus of the user",
        user(
            "log in directly (ssh, a console, machinectl shell); where there is no bus, have"
            " dbus-user-session installed",
            "k3s-rootless check session systemd",
        ),
        (
            sign(
                "Failed to connect to ",
                r"Failed to connect to (bus|user scope bus via local transport): "
                r"(?P<why>No such file or directory|No medium found|Permission denied|No such"
                r" device or "
                r"address|Connection refused"
                r"|\$DBUS_SESSION_BUS_ADDRESS and \$XDG_RUNTIME_DIR not defined)",
            ),
        ),
        check="systemd.user",
    ),
    Failure(
        "linger-off",
        "K3s ends with the last login: lingering is off",
        "systemd stops the user manager, and all it runs, when the last session of the user ends",
        user("let the user manager stay", "loginctl enable-linger"),
        (
            sign("Stopping User Manager", r"Stopping User Manager for UID \d+"),
            sign("Stopping k3s (Rootless)", r"Stopping k3s \(Rootless\)", weight=Weight.NOTE),
            sign("lingering is not enabled", r"systemd lingering is not enabled"),
        ),
        weight=Weight.SURVIVED,
        check="session.linger",
    ),
    Failure(
        "linger-refused",
        "lingering could not be enabled: {why}",
        "polkit is missing or says no, or logind's directory cannot be written",
        administrator("enable it as root", 'sudo loginctl enable-linger "$USER"'),
        (sign("Could not enable linger", r"Could not enable linger: (?P<why>.{1,200})"),),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "exec-failed",
        "systemd cannot run {path}",
        "ExecStart names a program that is not there, or that this user may not run",
        user(
            "write the unit anew, with the path of the k3s that is there; where a drop-in names"
            " another, take that out first",
            "k3s-rootless check k3s",
            "k3s-rootless up",
        ),
        (
            sign(
                " executable ",
                r"(Failed to locate|Unable to locate) executable '?(?P<path>[^\s:']{1,400})'?:",
            ),
            sign(
                "Failed at step EXEC",
                r"Failed at step EXEC spawning (?P<path>\S{1,400}): (?P<why>.{1,100})",
                "systemd cannot run {path}: {why}",
            ),
            sign("203/EXEC", r"status=203/EXEC", "systemd cannot run the program of the unit"),
        ),
        check="k3s.binary",
    ),
    Failure(
        "reload-needed",
        "the unit changed on disk, and systemd runs the old one",
        "systemd reads units again only when told to",
        user("tell it, and start K3s anew", "systemctl --user daemon-reload", RESTART),
        (sign("changed on disk", r"changed on disk\. Run 'systemctl --user daemon-reload'"),),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "restart-limit",
        "K3s died again and again, and systemd gave up",
        "three deaths within 60 s are its limit; why K3s died is said by its own lines",
        user(
            "mend the cause, then start again",
            "k3s-rootless diagnose --since -10min",
            "k3s-rootless up",
        ),
        (
            sign("repeated too quickly", r"Start request repeated too quickly"),
            sign("Failed with result", r"Failed with result 'start-limit-hit'"),
            # One death is no loop: K3s v1.21 ends in this way each time that it is stopped.
            sign(
                "Failed with result",
                r"Failed with result '(exit-code|signal|timeout|oom-kill|core-dump)'",
                "systemd calls the end of K3s a failure",
            ),
            sign(
                "Scheduled restart job",
                r"Scheduled restart job, restart counter is at \d+",
                "K3s died, and systemd starts it again",
            ),
        ),
        weight=Weight.NOTE,
    ),
    Failure(
        "not-ready-yet",
        "something asked K3s before it was ready",
        "the unit is of Type=simple: systemd calls it started long before its API answers",
        user("wait until it is ready", "k3s-rootless up"),
        (
            sign(
                "The connection to the server",
                r"The connection to the server (?!localhost:8080)\S{1,200} was refused",
            ),
            sign(
                "k3s is up and running",
                r'level=info msg="k3s is up and running"',
                weight=Weight.BENIGN,
            ),
        ),
        weight=Weight.NOTE,
    ),
    Failure(
        "journal-hidden",
        "the journal shows this user nothing",
        "journald keeps files of each user's own only on disk, and only for uids of people",
        administrator(
            "keep the journal on disk, or let the user read all of it (from the next login on)",
            "sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
            'sudo usermod -aG systemd-journal "$USER"',
        ),
        (
            sign(
                "No journal files were ",
                r"No journal files were (found|opened due to insufficient permissions)",
            ),
            sign("-- No entries --", r"^-- No entries --$"),
            sign("currently not seeing", r"You are currently not seeing messages from"),
        ),
        weight=Weight.NOTE,
        check="session.journal",
    ),
    Failure(
        "killed-by-memory",
        "K3s was killed: the memory ran out",
        "systemd-oomd or the kernel ended it under memory pressure; idle it needs 500 to 800 MiB",
        administrator(
            "if the unit has a MemoryMax=, raise that limit; otherwise give the host more memory or"
            " swap, or K3s less to do (k3s-rootless config set disable traefik metrics-server)",
            *drop_in("ManagedOOMPreference=avoid"),
            RESTART,
        ),
        (
            sign("systemd-oomd killed", r"systemd-oomd killed \d+ process"),
            sign(
                "Memory pressure for",
                r"Memory pressure for \S{0,200}?user@\d+\.service",
                weight=Weight.SURVIVED,
            ),
            # systemd also writes this line for a Pod at its own limit; journal.diagnosis checks
            # whether K3s died at the same time.
            sign(
                "by the OOM killer",
                r"has been killed by the OOM killer",
                "the kernel killed a process of K3s or of a Pod: the memory ran out",
                weight=Weight.SURVIVED,
            ),
        ),
    ),
    Failure(
        "unit-memory-limit",
        "the memory limit of K3s's unit is too low: {limit}",
        "the kernel kills a process of the unit when the unit reaches its limit; K3s needs 500 to"
        " 800 MiB without any Pod, however much memory the host has",
        user("raise the limit", "k3s-rootless config set MemoryMax 2G", RESTART),
        (),
        told_by="killed-by-memory",
    ),
    Failure(
        "killed",
        "K3s was killed with SIGKILL, and nothing shows who did it",
        "a person or a program sent SIGKILL, or the kernel did when the memory ran out, which its"
        " own log says",
        user(
            "look for `Out of memory` in the kernel's log, which an administrator can read, and"
            " start K3s again",
            "journalctl --dmesg --grep='Out of memory' --lines=5",
            "k3s-rootless up",
        ),
        (sign("code=killed", r"code=killed, status=9/KILL"),),
    ),
    Failure(
        "left-behind",
        "processes of K3s outlived its stop",
        "a stop that takes too long ends with SIGKILL; what stays keeps its ports",
        user(
            "end all that is left of the unit", "systemctl --user kill -s KILL k3s-rootless.service"
        ),
        (
            sign("remains running after", r"remains running after unit stop+ed"),
            sign("with signal SIGKILL", r"Killing process \d+ \([^)]{1,64}\) with signal SIGKILL"),
            sign("timed out. Killing", r"State '\S{1,64}' timed out\. Killing"),
        ),
        weight=Weight.NOTE,
    ),
)
