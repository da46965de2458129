"""Give up, for good, everything that learners' code must not have. Runs in the child, before any of that code."""
import contextlib
import ctypes
import errno
import functools
import os
import resource

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
SET_SECCOMP, MODE_FILTER, INSTRUCTION = 22, 2, 8  # of prctl; bytes
NOSUID, NODEV, NOEXEC, PRIVATE_ALL = 2, 4, 8, (1 << 18) | (1 << 14)
DENIED = (
    "unshare setns mount umount2 pivot_root chroot ptrace process_vm_readv process_vm_writev keyctl add_key "
    "request_key bpf userfaultfd perf_event_open io_uring_setup open_by_handle_at kexec_load "
    "shmget shmat msgget semget mq_open memfd_create memfd_secret"  # memory that no limit of a process counts
).split()
ALONE = ("clone", "clone3", "fork", "vfork")  # refused as the process limit refuses, which spares root
libc = ctypes.CDLL(None, use_errno=True)
try:
    seccomp: ctypes.CDLL | None = ctypes.CDLL("libseccomp.so.2", use_errno=True)
except OSError:
    seccomp = None


def check(code: int) -> None:
    """Raise the error of a failed system call."""
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(kind: str, target: str, flags: int, options: str = "") -> None:
    """Mount a fresh file system of a kind on a folder."""
    check(libc.mount(kind.encode(), target.encode(), kind.encode(), flags, options.encode()))


def confine(order: dict) -> None:
    """Apply an order's limits; in tier T1 also leave behind file systems, network, user and system calls."""
    os.umask(0o077)
    os.setsid()  # else kill(0, …) would reach the zygote's process group, also from another PID namespace
    if order["tier"] == "T0":
        limit(order)
        os.chdir(order["folder"])
        return
    check(libc.unshare(NEWNS | NEWIPC | NEWNET))
    check(libc.mount(None, b"/", None, PRIVATE_ALL, None))
    mount("tmpfs", "/tmp", NOSUID | NODEV, f"size={order['disk']},nr_inodes=4096,mode=1777")
    mount("tmpfs", "/dev/shm", NOSUID | NODEV, f"size={order['disk']},nr_inodes=256,mode=1777")
    mount("proc", "/proc", NOSUID | NODEV | NOEXEC)
    limit(order)
    os.chdir("/tmp")
    if order["uid"] is None:  # no root outside: an empty user namespace, then no capabilities
        check(libc.unshare(NEWUSER))
        check(libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()))
    else:  # a user of its own: RLIMIT_NPROC counts by user and spares root
        os.setgroups([])
        os.setresgid(*[order["uid"]] * 3)
        os.setresuid(*[order["uid"]] * 3)
    filter_calls()


def limit(order: dict) -> None:
    """Set the limits that every Unix has; what a system lacks it skips."""
    used = 0
    with contextlib.suppress(OSError), open("/proc/self/statm", "rb", buffering=0) as file:
        used = int(file.read(64).split()[0]) * resource.getpagesize()
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"1000")  # where memory runs out, the child goes and not its zygote
    limits = {"CORE": 0, "FSIZE": order["disk"], "NOFILE": 64, "CPU": order["cpu"], "NPROC": 1}
    if used:
        limits["AS"] = used + order["memory"]
    for name, value in limits.items():
        with contextlib.suppress(ValueError, OSError, AttributeError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


class Program(ctypes.Structure):
    """A filter of system calls as the kernel takes it: how many instructions there are, and where."""

    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]  # noqa: RUF012


@functools.cache
def program() -> Program | None:
    """The filter of system calls, made once for all children; None without libseccomp."""
    if seccomp is None:
        return None
    seccomp.seccomp_init.restype = ctypes.c_void_p
    allow, refuse = 0x7FFF0000, 0x00050000
    rules = ctypes.c_void_p(seccomp.seccomp_init(allow))
    for name in (*DENIED, *ALONE):
        code = errno.EAGAIN if name in ALONE else errno.EPERM
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:
            check(seccomp.seccomp_rule_add(rules, refuse | code, number, 0))
    reader, writer = os.pipe()
    with open(reader, "rb") as file:
        check(seccomp.seccomp_export_bpf(rules, writer))
        os.close(writer)
        text = file.read()
    made = Program(len(text) // INSTRUCTION)
    made.text = ctypes.create_string_buffer(text, len(text))  # kept as long as the program is
    made.code = ctypes.addressof(made.text)
    return made


def filter_calls() -> None:
    """Refuse the system calls that widen the attack surface of the kernel; bubblewrap has set no_new_privs."""
    if made := program():
        check(libc.prctl(SET_SECCOMP, MODE_FILTER, ctypes.byref(made), 0, 0))
