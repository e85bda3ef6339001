#!/usr/bin/python3
"""Calls and words that have one right place in this project, or none.

A line may say why it is the exception: `// lint: allow NAME: reason` on the line itself or the line above.
"""

import re
from dataclasses import dataclass, field

import lint

SOURCES = ("transports/", "server/", "clients/cpp/", "proto/", "tests/")
PRODUCT = ("transports/", "server/", "clients/cpp/", "proto/")


def call(names: str) -> str:
    """A call of a free function (`f(` or `::f(`), not of a member or of a function in a namespace."""
    return rf"(?:(?<![\w.>:\])])::|(?<![\w.>:~]))(?:{names})\s*\("


@dataclass(frozen=True)
class Rule:
    """`pattern` must not occur; with `unless`, only where the call's arguments lack that word."""

    name: str
    pattern: str
    reason: str
    below: tuple[str, ...] = SOURCES
    suffixes: tuple[str, ...] = lint.CPP_SUFFIXES
    places: tuple[str, ...] = ()
    unless: str = ""
    scope: str = "code"  # "code": neither comments nor literals; "strings": no comments; "text": everything


def born_cloexec(function: str, flag: str) -> Rule:
    reason = f"every file descriptor is born close-on-exec: pass {flag}"
    return Rule(f"cloexec-{function}", call(function), reason, unless=flag)


RULES = (
    Rule("close", call("close"), "file descriptors are closed by UniqueFd", places=("transports/base/unique_fd.cc",)),
    born_cloexec("socket", "SOCK_CLOEXEC"),
    born_cloexec("socketpair", "SOCK_CLOEXEC"),
    born_cloexec("accept4", "SOCK_CLOEXEC"),
    born_cloexec("pipe2", "O_CLOEXEC"),
    born_cloexec("open", "O_CLOEXEC"),
    born_cloexec("openat", "O_CLOEXEC"),
    born_cloexec("dup3", "O_CLOEXEC"),
    born_cloexec("eventfd", "EFD_CLOEXEC"),
    born_cloexec("epoll_create1", "EPOLL_CLOEXEC"),
    born_cloexec("timerfd_create", "TFD_CLOEXEC"),
    born_cloexec("signalfd", "SFD_CLOEXEC"),
    born_cloexec("memfd_create", "MFD_CLOEXEC"),
    Rule(
        "cloexec-never",
        call("accept|pipe|dup|creat|epoll_create"),
        "it cannot make a close-on-exec descriptor: accept4, pipe2, dup3 or F_DUPFD_CLOEXEC, open, epoll_create1",
    ),
    Rule(
        "sleep",
        r"\b(?:sleep_for|sleep_until|usleep|nanosleep|SleepFor)\b|" + call("sleep"),
        "wait for the event, or move the fake clock",
    ),
    Rule("sleep-python", r"\btime\.sleep\b", "wait for the event", suffixes=(".py",), below=("tests/", "clients/")),
    Rule(
        "clock",
        r"\b(?:steady_clock|high_resolution_clock)\s*::\s*now\b|" + call("time|gettimeofday|clock_gettime"),
        "ask the injected Clock",
        places=("transports/base/clock.cc", "transports/base/logging.cc"),
    ),
    Rule(
        "date",
        r"\bsystem_clock\s*::\s*now\b",
        "a date is for people to read; time is measured with the injected Clock",
        below=("transports/", "tests/"),
    ),
    Rule(
        "mutex",
        r"\bstd::(?:recursive_|shared_|timed_)?(?:mutex|lock_guard|scoped_lock|unique_lock|condition_variable\w*)\b",
        "transportd::Mutex is the annotated one",
        places=("transports/base/mutex.h", "transports/base/mutex.cc"),
    ),
    Rule(
        "absl-mutex",
        r"\babsl::(?:Mutex|MutexLock|ReaderMutexLock|WriterMutexLock|CondVar|Notification|BlockingCounter)\b",
        "ThreadSanitizer cannot see into the packaged Abseil: transportd::Mutex",
    ),
    Rule(
        "fork",
        call("fork|vfork|system|popen"),
        "a process is started in transports/subprocess only",
        places=("transports/subprocess/",),
    ),
    Rule(
        "rand",
        call("rand|srand|drand48") + r"|\bstd::s?rand\b",
        "use a seeded generator of <random>, or getrandom(2) for secrets",
    ),
    Rule(
        "using-namespace",
        r"\busing\s+namespace\s+(?!std::(?:literals::)?(?:chrono|string|string_view)_literals\b)",
        "name what is used",
    ),
    Rule("assert", call("assert"), "CHECK for broken invariants, a Status for everything else"),
    # Out of memory is what operator new would throw.
    Rule("throw", r"\bthrow\b(?!\s+std::bad_alloc\(\))", "errors are absl::Status"),
    Rule("delete-this", r"\bdelete\s+this\b", "objects die by EventLoop::DeferredDelete"),
    Rule(
        "strerror", call("strerror|perror") + r"|\bstd::(?:strerror|perror)\b", "errno goes through base's status table"
    ),
    Rule(
        "print",
        r"\b(?:printf|fprintf|vprintf|vfprintf|puts|fputs)\s*\(|\bstd::(?:cout|cerr|clog)\b",
        "return a Status, and log once at the edge",
        below=("transports/", "server/", "proto/", "clients/cpp/remote"),
        places=(
            "transports/base/logging.cc",
            "transports/base/check.h",
            "transports/api/error.cc",
            "transports/examples/",
            "server/main.cc",
            "server/flags.cc",
        ),
    ),
    Rule(
        "fixed-port",
        r"""--listen=(?:\[[^\]\s"]*\]|\d[^\s"]*):[1-9]|\bhtons\(\s*[1-9]|sin6?_port\s*=\s*[1-9]"""
        r"""|\.bind\(\s*\(\s*["'][^"']*["']\s*,\s*[1-9]""",
        "let the kernel pick: port 0",
        below=("tests/",),
        suffixes=(".cc", ".h", ".py", ".sh"),
        scope="strings",
    ),
    Rule(
        "fixed-port",
        r"(?:127\.0\.0\.1|localhost|\[::1?\]|0\.0\.0\.0):[1-9]\d*",
        "let the kernel pick: port 0",
        below=("tests/integration/", "tests/conformance/"),
        suffixes=(".cc", ".h", ".py", ".sh"),
        scope="strings",
    ),
    Rule(
        "todo",
        r"\bTODO\b(?!\((?:soon|perf|test|security|cleanup)\): \S)|\b(?:FIXME|XXX|HACK)\b",
        "TODO(soon|perf|test|security|cleanup): what",
        scope="text",
    ),
    Rule("nolint", r"\bNOLINT(?:NEXTLINE|BEGIN)?\b(?!\([\w.,*-]+\): \S)", "NOLINT(check): reason", scope="text"),
)


def arguments(text: str, offset: int) -> str:
    """The text between the parenthesis that ends at `offset` and its partner."""
    depth = 1
    for end in range(offset, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return text[offset:end]
    return text[offset:]


# A declaration or definition of a function of that name is no call of it.
DECLARATION = re.compile(r"(?:\b(?:void|int|bool|auto|ssize_t|Status|StatusOr<[^;{}()]*>|UniqueFd)\s+)$")


def check_text(name: str, text: str) -> list[lint.Finding]:
    views = dict.fromkeys(("text", "code", "strings"), text)
    if name.endswith(lint.CPP_SUFFIXES):
        views["code"] = lint.without_comments(text)
        views["strings"] = lint.without_comments(text, keep_strings=True)
    lines = text.splitlines()
    findings = []
    for rule in RULES:
        if (
            not name.endswith(rule.suffixes)
            or not name.startswith(rule.below)
            or name.startswith(rule.places or ("\0",))
        ):
            continue
        view = views[rule.scope]
        for match in re.finditer(rule.pattern, view):
            if rule.unless and re.search(rf"\b{rule.unless}\b", arguments(view, match.end())):
                continue
            if DECLARATION.search(view, max(0, match.start() - 80), match.start()):
                continue
            line = lint.line_of(view, match.start())
            if any(re.search(rf"lint: allow {rule.name}: \S", near) for near in lines[max(0, line - 2) : line]):
                continue
            findings.append(lint.Finding(name, line, f"[{rule.name}] `{match[0].strip()}`: {rule.reason}"))
    return findings


def check() -> list[lint.Finding]:
    findings = []
    for name in lint.files_with((".h", ".cc", ".py", ".sh"), SOURCES + ("clients/",)):
        if not name.startswith("tests/lint/"):
            findings += check_text(name, lint.read(name))
    return findings


# Per rule: text that must be reported, and text that must not.
SAMPLES = {
    "close": ("void F() { ::close(fd); }", "stream.close(); // close(fd)\nrequest.mutable_close();"),
    "cloexec-socket": (
        "int fd = socket(AF_INET, SOCK_STREAM, 0);",
        "int fd = ::socket(AF_INET,\n SOCK_STREAM | SOCK_CLOEXEC, 0);",
    ),
    "cloexec-socketpair": (
        "socketpair(AF_UNIX, SOCK_STREAM, 0, fds);",
        "socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);",
    ),
    "cloexec-accept4": (
        "::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK);",
        "accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);",
    ),
    "cloexec-pipe2": ("pipe2(fds, 0);", "pipe2(fds, O_CLOEXEC);"),
    "cloexec-open": ('::open("/x", O_RDONLY);', 'open(path(), O_RDONLY | O_CLOEXEC); file.open("x");'),
    "cloexec-openat": ("openat(dir, name, 0);", "openat(dir, name, O_CLOEXEC);"),
    "cloexec-dup3": ("dup3(a, b, 0);", "dup3(a, b, O_CLOEXEC);"),
    "cloexec-eventfd": ("eventfd(0, EFD_NONBLOCK);", "eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);"),
    "cloexec-epoll_create1": ("epoll_create1(0);", "epoll_create1(EPOLL_CLOEXEC);"),
    "cloexec-timerfd_create": ("timerfd_create(CLOCK_MONOTONIC, 0);", "timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);"),
    "cloexec-signalfd": ("signalfd(-1, &mask, 0);", "signalfd(-1, &mask, SFD_CLOEXEC);"),
    "cloexec-memfd_create": ('memfd_create("x", 0);', 'memfd_create("x", MFD_CLOEXEC);'),
    "cloexec-never": ("int copy = dup(fd);", "queue.accept(x); // dup(fd)"),
    "sleep": ("std::this_thread::sleep_for(1ms);", "// sleep_for\nloop.Sleep();"),
    "clock": ("auto now = std::chrono::steady_clock::now();", "auto now = clock_.Now(); x.time();"),
    "date": ("now = std::chrono::system_clock::now();", "std::chrono::system_clock::time_point open_time;"),
    "mutex": ("std::mutex mutex_;", "Mutex mutex_;"),
    "absl-mutex": ("absl::Mutex mutex_;", "transportd::Mutex mutex_;"),
    "fork": ("pid_t pid = ::fork();", "process.fork();"),
    "rand": ("int x = rand();", "generator.rand(); operand(x);"),
    "using-namespace": ("using namespace std;", "using namespace std::chrono_literals;"),
    "assert": ("assert(x);", "static_assert(x);"),
    "throw": ("throw 1;", "// never throw\nrethrow();"),
    "delete-this": ("delete this;", "thing.reset();"),
    "strerror": ("Log(strerror(errno));", "Log(ErrnoName(errno));"),
    "print": ('fprintf(stderr, "x");', 'snprintf(buffer, 3, "x"); absl::StrFormat("printf(");'),
    "todo": ("// TODO: later", "// TODO(perf): one copy less"),
    "nolint": ("int x;  // NOLINT", "int x;  // NOLINT(bugprone-foo): the kernel's own name"),
}
OTHER_SAMPLES = (
    ("fixed-port", "tests/unit/tcp/sample.cc", "address.sin_port = htons(8080);", "address.sin_port = htons(0);"),
    ("fixed-port", "tests/integration/sample.cc", 'Connect("127.0.0.1:8080");', 'Connect("127.0.0.1:0"); // [::1]:80'),
    ("fixed-port", "tests/integration/sample.py", 's.bind(("127.0.0.1", 8080))', 's.bind(("127.0.0.1", 0))'),
    ("sleep-python", "tests/integration/sample.py", "time.sleep(1)", "event.wait(1)"),
)


def self_test() -> None:
    samples = [(rule, "transports/tcp/sample.cc", *texts) for rule, texts in SAMPLES.items()]
    samples += OTHER_SAMPLES
    for rule, name, bad, good in samples:
        reported = {finding.message.split("]")[0][1:] for finding in check_text(name, bad)}
        assert rule in reported, f"{rule} does not report: {bad}"
        assert not check_text(name, good), f"reported without reason: {check_text(name, good)[0]}"
        allowed = f"// lint: allow {rule}: sample\n{bad}"
        assert rule not in {f.message.split("]")[0][1:] for f in check_text(name, allowed)}, f"{rule} cannot be allowed"
    untested = {rule.name for rule in RULES} - {rule for rule, *_ in samples}
    assert not untested, f"rules without a sample: {untested}"


if __name__ == "__main__":
    lint.run(check, self_test)
