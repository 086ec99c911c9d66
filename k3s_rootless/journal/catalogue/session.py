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
        "the systemd user manager cannot be reached: {why}",
        "su, sudo and cron do not open a login session, and minimal systems have no D-Bus user bus",
        user(
            "log in directly (ssh, a console or machinectl shell); if the user bus is missing,"
            " ask an administrator to install dbus-user-session",
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
        "K3s stops at logout: lingering is off",
        "when the last session of a user ends, systemd stops the user manager and all its services",
        user(
            "enable lingering, which keeps the user manager running after logout",
            "loginctl enable-linger",
        ),
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
        "lingering cannot be enabled: {why}",
        "polkit is not installed or denies the request, or systemd-logind cannot write its state"
        " directory",
        administrator("enable lingering as root", 'sudo loginctl enable-linger "$USER"'),
        (sign("Could not enable linger", r"Could not enable linger: (?P<why>.{1,200})"),),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "exec-failed",
        "systemd cannot run {path}",
        "ExecStart= names a program that does not exist or that this user cannot execute",
        user(
            "rewrite the unit with the path of the installed k3s; if a drop-in sets another path,"
            " remove that setting first",
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
        "the unit file changed on disk, but systemd still uses the old version",
        "after a change of a unit file, systemd reads it again only on `daemon-reload`",
        user(
            "let systemd reload the unit files, then restart K3s",
            "systemctl --user daemon-reload",
            RESTART,
        ),
        (sign("changed on disk", r"changed on disk\. Run 'systemctl --user daemon-reload'"),),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "restart-limit",
        "K3s exited repeatedly, and systemd no longer restarts it",
        "the unit allows three starts within 60 s; the log lines of K3s show why it exited",
        user(
            "find the cause with the first command and fix it, then start K3s again",
            "k3s-rootless diagnose --since -10min",
            "k3s-rootless up",
        ),
        (
            sign("repeated too quickly", r"Start request repeated too quickly"),
            sign("Failed with result", r"Failed with result 'start-limit-hit'"),
            # One failure is no loop: K3s v1.21 ends in this way each time that it is stopped.
            sign(
                "Failed with result",
                r"Failed with result '(exit-code|signal|timeout|oom-kill|core-dump)'",
                "systemd reports that K3s failed",
            ),
            sign(
                "Scheduled restart job",
                r"Scheduled restart job, restart counter is at \d+",
                "K3s exited, and systemd restarts it",
            ),
        ),
        weight=Weight.NOTE,
    ),
    Failure(
        "not-ready-yet",
        "a client connected before K3s was ready",
        "the unit has Type=simple: systemd reports it as started long before the API server"
        " answers",
        user("wait until K3s is ready", "k3s-rootless up"),
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
        "this user cannot read the journal",
        "journald stores a separate journal for each user only on disk, and only for users that"
        " are not system users",
        administrator(
            "store the journal on disk, or give the user access to the whole journal (takes"
            " effect at the next login)",
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
        "K3s was killed: out of memory",
        "systemd-oomd or the kernel killed it under memory pressure; without Pods, K3s needs 500"
        " to 800 MiB",
        administrator(
            "if the unit sets MemoryMax=, raise this limit; otherwise give the host more memory"
            " or swap, or reduce the load of K3s (k3s-rootless config set disable traefik"
            " metrics-server)",
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
            # whether K3s exited at the same time.
            sign(
                "by the OOM killer",
                r"has been killed by the OOM killer",
                "the kernel killed a process of K3s or of a Pod: out of memory",
                weight=Weight.SURVIVED,
            ),
        ),
        exhausted=True,
    ),
    Failure(
        "unit-memory-limit",
        "the memory limit of the K3s unit is too low: {limit}",
        "the kernel kills a process of the unit when the unit reaches its limit; without Pods,"
        " K3s needs 500 to 800 MiB, however much memory the host has",
        user("raise the limit", "k3s-rootless config set MemoryMax 2G", RESTART),
        (),
        same_lines_as="killed-by-memory",
    ),
    Failure(
        "killed",
        "K3s was killed with SIGKILL, and the sender is unknown",
        "a user or a program sent SIGKILL, or the kernel did because memory ran out, which the"
        " kernel log shows",
        user(
            "search the kernel log for `Out of memory` (as an administrator), then start K3s again",
            "journalctl --dmesg --grep='Out of memory' --lines=5",
            "k3s-rootless up",
        ),
        (sign("code=killed", r"code=killed, status=9/KILL"),),
    ),
    Failure(
        "left-behind",
        "processes of K3s kept running after the unit was stopped",
        "systemd sends SIGKILL if a stop takes too long; processes that remain keep their ports",
        user(
            "kill the remaining processes of the unit",
            "systemctl --user kill -s KILL k3s-rootless.service",
        ),
        (
            sign("remains running after", r"remains running after unit stop+ed"),
            sign("with signal SIGKILL", r"Killing process \d+ \([^)]{1,64}\) with signal SIGKILL"),
            sign("timed out. Killing", r"State '\S{1,64}' timed out\. Killing"),
        ),
        weight=Weight.NOTE,
    ),
)
