"""Failures of user namespaces and of the ids in them."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import (
    SYSCTL_FILE,
    Failure,
    Weight,
    administrator,
    sign,
    sysctl,
    user,
)

_IDS = administrator(
    "assign the user 65536 ids in /etc/subuid and /etc/subgid that no other user has",
    "k3s-rootless check subid",
)

FAILURES = (
    Failure(
        "userns-forbidden",
        "K3s is not allowed to create a user namespace: {why}",
        "AppArmor (Ubuntu 23.10 and later), the container around K3s, seccomp or the kernel"
        " forbids it; rootlesskit 1.1, which K3s links, does not report which",
        administrator("check what forbids user namespaces", "k3s-rootless check userns"),
        (
            sign(
                "fork/exec /proc/self/exe",
                r"failed to start the child: fork/exec /proc/self/exe: (?P<why>operation not"
                r" permitted|permission denied)",
            ),
        ),
        check="userns",
    ),
    Failure(
        "userns-max",
        "no more user namespaces can be created",
        "user.max_user_namespaces is 0 or used up; `no space left on device` does not refer to a"
        " disk",
        sysctl(SYSCTL_FILE, "user.max_user_namespaces=28633"),
        (
            sign(
                "/proc/self/exe: no space left",
                r"failed to start the child: fork/exec /proc/self/exe: no space left on device",
            ),
            sign(
                "/proc/sys/user/max_user_namespaces",
                r"/proc/sys/user/max_user_namespaces(=\d+ may be low| needs to be set)",
                "few or no user namespaces can be created",
                weight=Weight.SURVIVED,
            ),
        ),
        check="userns.max",
    ),
    Failure(
        "userns-sysctl",
        "kernel.unprivileged_userns_clone is {got}, not 1",
        "the kernels of some distributions have this switch; K3s reads it first, and exits if it"
        " is not 1",
        sysctl(SYSCTL_FILE, "kernel.unprivileged_userns_clone=1"),
        (
            sign(
                "unprivileged_userns_clone",
                r'expected sysctl value "kernel\.unprivileged_userns_clone" to be "\d+", got'
                r' "(?P<got>\d+)"',
            ),
        ),
        check="userns.sysctl",
    ),
    Failure(
        "ip-forward",
        "net.ipv4.ip_forward is {got}, not 1",
        "K3s reads this sysctl in the network namespace of the host, and exits if it is not 1"
        " (K3s #2420)",
        sysctl(SYSCTL_FILE, "net.ipv4.ip_forward=1"),
        (
            sign(
                "ipv4.ip_forward",
                r'expected sysctl value "net\.ipv4\.ip_forward" to be "\d+", got "(?P<got>\d+)"',
            ),
            sign(
                "ipv4/ip_forward",
                r"can't create /proc/sys/net/ipv4/ip_forward: Read-only file system",
                "net.ipv4.ip_forward is off, and Pods cannot set it",
                weight=Weight.SURVIVED,
            ),
        ),
        check="sysctl.ip_forward",
    ),
    Failure(
        "idmap-missing",
        "{program} was not found in the unit's PATH",
        "K3s does not include this program, because it needs root privileges",
        administrator(
            "install the package with newuidmap and newgidmap (uidmap or shadow-utils)",
            "k3s-rootless check uidmap",
        ),
        (
            sign(
                "executable file not found in $PATH",
                r"failed to setup UID/GID map: (?P<program>new[ug]idmap) .{0,600}?executable file"
                r" not found in \$PATH",
            ),
        ),
        check="uidmap.{program}",
    ),
    Failure(
        "idmap-powerless",
        "{program} is not privileged to map ids",
        "its setuid bit or file capability is missing (copied image, restored backup), its file"
        " system is mounted nosuid, or K3s already runs in a user namespace",
        administrator(
            "restore the privileges of newuidmap and newgidmap", "k3s-rootless check uidmap"
        ),
        (
            sign(
                "idmap: ",
                r"(?P<program>new[ug]idmap): (Could not set caps|write to [ug]id_map failed:"
                r" Operation not permitted)",
            ),
        ),
        check="uidmap.{program}",
    ),
    Failure(
        "subid-missing",
        "no {kind} range for {user} (uid {uid})",
        "users of a directory service and service users get no ranges when they are created",
        _IDS,
        (
            sign(
                " ranges found for user ",
                r"No (?P<kind>sub[ug]id) ranges found for user (?P<uid>\d+)"
                r' \("(?P<user>[^"]{0,100})',
            ),
            sign(
                "no matching entries in passwd file",
                r"failed to compute uid\S{0,9} map: no matching entries in passwd file",
                "the user is not in the user database",
                check="subid",
            ),
            sign(
                "Cannot parse subuid/gid information",
                r"Cannot parse subuid/gid information: Format not correct for (?P<file>\S{1,200})"
                r" file",
                "{file} is malformed",
                check="subid",
            ),
        ),
        check="subid.{kind}",
    ),
    Failure(
        "subid-overlap",
        "the ranges of subordinate ids overlap, and the kernel maps no id twice",
        "the same ids are listed twice for this user, by name and by uid, or a range contains the"
        " user's own id (rootlesskit #229)",
        administrator(
            "delete the row that repeats ids in /etc/subuid and /etc/subgid",
            "k3s-rootless check subid",
        ),
        (
            sign(
                "id_map failed: Invalid argument",
                r"write to (?P<kind>[ug])id_map failed: Invalid argument",
            ),
        ),
        check="subid.sub{kind}id",
    ),
    Failure(
        "subid-unreadable",
        "new{kind}idmap failed without an error message",
        "the program opens /etc/subuid and /etc/subgid without following links; one of them is a"
        " symlink or cannot be read (rootlesskit #259)",
        administrator(
            "replace both files with regular files that all users can read",
            "ls -l /etc/subuid /etc/subgid",
            'for name in subuid subgid; do sudo install -m 644 "$(readlink -f /etc/$name)"'
            " /etc/$name.new && sudo mv /etc/$name.new /etc/$name; done",
        ),
        (
            sign(
                " failed: : exit status 1",
                r"failed to setup UID/GID map: new(?P<kind>[ug])idmap .{0,600}? failed: : exit"
                r" status 1",
            ),
        ),
        check="subid.sub{kind}id",
    ),
    Failure(
        "subid-few",
        "an image or a directory needs more ids than the user has",
        "ids outside the user's ranges do not exist in the user namespace; 65536 ids are enough"
        " for usual images",
        administrator(
            "extend the user's ranges and restart K3s; if a range starts at another id, stored"
            " image layers become unreadable",
            "k3s-rootless check subid",
        ),
        (
            sign(
                "failed to Lchown ",
                r"failed to Lchown .{0,300}? for UID \d{1,10}, GID \d{1,10}\b.{0,300}?invalid"
                r" argument",
            ),
            sign(
                "increasing the number of subordinate IDs",
                r"try increasing the number of subordinate IDs",
            ),
            sign(
                "potentially insufficient",
                r"potentially insufficient UIDs or GIDs available in user namespace",
            ),
        ),
        weight=Weight.SURVIVED,
        check="subid",
    ),
    Failure(
        "hidepid",
        "/proc seems to hide the processes of other users (hidepid)",
        "a program that changed its credentials is then invisible to the program that manages it",
        administrator(
            "mount /proc with hidepid=0, or exempt a group of the user with gid=",
            "sudo mount -o remount,hidepid=0 /proc",
        ),
        (
            sign("setting up uid map: ", r"setting up uid map: Operation not permitted"),
            sign(
                "error while starting unit",
                r'error while starting unit "\S{1,200}?\.scope" with properties',
                weight=Weight.SURVIVED,
            ),
        ),
        check="host.hidepid",
    ),
    Failure(
        "nested-userns",
        "a Pod requested a user namespace of its own (hostUsers: false)",
        "the ids of a nested namespace must be within the ranges of the namespace of K3s (K3s"
        " #12918)",
        user("remove hostUsers: false from the Pod"),
        (
            sign(
                "start noop process",
                r"failed to start noop process for unshare: fork/exec /proc/self/exe: operation not"
                r" permitted",
            ),
        ),
        weight=Weight.SURVIVED,
    ),
)
