"""systemd's own exit statuses (systemd.exec(5), "Process Exit Codes"; v247 to v262).

With such a status, no part of K3s has run yet.
"""

from __future__ import annotations

# The setting of the unit, or of a drop-in, that systemd could not apply.
STEPS = {
    200: ("CHDIR", "cannot enter the working directory of the unit"),
    201: ("NICE", "cannot set Nice="),
    202: ("FDS", "cannot close or pass file descriptors"),
    203: ("EXEC", "cannot run the program of the unit"),
    204: ("MEMORY", "does not have enough memory for the unit"),
    205: (
        "LIMITS",
        "cannot set a Limit…= of the unit, or is not allowed to raise it to this value",
    ),
    206: ("OOM_ADJUST", "cannot set OOMScoreAdjust=, which a user can only raise"),
    207: ("SIGNAL_MASK", "cannot set the signal mask"),
    208: ("STDIN", "cannot open StandardInput="),
    209: ("STDOUT", "cannot open StandardOutput="),
    210: ("CHROOT", "cannot enter RootDirectory="),
    211: ("IOPRIO", "cannot set IOSchedulingClass= or IOSchedulingPriority="),
    212: ("TIMERSLACK", "cannot set TimerSlackNSec="),
    213: ("SECUREBITS", "cannot set SecureBits="),
    214: ("SETSCHEDULER", "cannot set CPUSchedulingPolicy= or its priority"),
    215: ("CPUAFFINITY", "cannot set CPUAffinity="),
    216: ("GROUP", "cannot change the group, which is not possible in a user unit"),
    217: ("USER", "cannot change the user, which is not possible in a user unit"),
    218: ("CAPABILITIES", "cannot set capabilities, which is not possible in a user unit"),
    219: ("CGROUP", "cannot create the cgroup of the unit"),
    220: ("SETSID", "cannot create a session"),
    221: ("CONFIRM", "did not start the unit, because it was declined at the console"),
    222: ("STDERR", "cannot open StandardError="),
    224: ("PAM", "cannot open PAMName=, which is not possible in a user unit"),
    225: ("NETWORK", "cannot create the network namespace of the unit"),
    226: ("NAMESPACE", "cannot create mounts or namespaces that the unit requests"),
    227: ("NO_NEW_PRIVILEGES", "cannot set NoNewPrivileges="),
    228: ("SECCOMP", "cannot set a filter of system calls"),
    229: ("SELINUX_CONTEXT", "cannot set SELinuxContext="),
    230: ("PERSONALITY", "cannot set Personality="),
    231: ("APPARMOR", "cannot set AppArmorProfile="),
    232: ("ADDRESS_FAMILIES", "cannot set RestrictAddressFamilies="),
    233: ("RUNTIME_DIRECTORY", "cannot create RuntimeDirectory="),
    235: ("CHOWN", "cannot change the owner of a socket"),
    236: ("SMACK_PROCESS_LABEL", "cannot set SmackProcessLabel="),
    237: ("KEYRING", "cannot create the kernel keyring of the unit"),
    238: ("STATE_DIRECTORY", "cannot create StateDirectory="),
    239: ("CACHE_DIRECTORY", "cannot create CacheDirectory="),
    240: ("LOGS_DIRECTORY", "cannot create LogsDirectory="),
    241: ("CONFIGURATION_DIRECTORY", "cannot create ConfigurationDirectory="),
    242: ("NUMA_POLICY", "cannot set NUMAPolicy="),
    243: ("CREDENTIALS", "cannot read a credential of the unit"),
    244: ("BPF", "cannot set RestrictFileSystems= or another BPF program"),
    245: ("KSM", "cannot set MemoryKSM="),
}


def identifier(status: int) -> str:
    """Return the id of the cause behind a status; 203 has the id of the catalogue."""
    if status == 203:
        return "exec-failed"
    return f"exit-{STEPS[status][0].lower().replace('_', '-')}"


def title(status: int) -> str:
    """Return what systemd could not do, with the name that `systemctl status` prints."""
    name, failure = STEPS[status]
    return f"systemd {failure} ({status}/{name})"
