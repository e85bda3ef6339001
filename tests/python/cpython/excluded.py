"""The tests of test.test_asyncio that transportd's loop does not run, each with its reason.

There are two good reasons: the test looks into the stock loop instead of at what it does, or it makes something of this
process fail or answer that a loop with its sockets elsewhere does not ask. `run.py --stale` finds entries that are no
longer needed.
"""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Exclusion:
    """Tests, by their ids (MODULE.CLASS.METHOD, with the wildcards of fnmatch), and why they are not run."""

    reason: str
    tests: tuple[str, ...]
    since: tuple[int, int] = (3, 11)  # The version of CPython whose test it is first.
    # Without the stock loop's parts that the test replaces it calls hosts outside: never run, not even by --stale.
    calls_outside: bool = False
    # It would pass when the machine is quick: never run, either.
    is_race: bool = False


BASE = "test_base_events.BaseEventLoopWithSelectorTests."

EXCLUDED = (
    Exclusion(
        "Replaces the module socket inside asyncio.base_events and counts what create_server() made of it; the "
        "listening sockets are made elsewhere.",
        ("test_events.*EventLoopTests.test_create_server_multiple_hosts_ipv[46]",),
    ),
    Exclusion(
        "Replaces the module socket inside asyncio.base_events: its socket(), bind() or setblocking() fails, or lacks "
        "SO_REUSEPORT, and the loop must report that and close the mock. The socket is made elsewhere.",
        (
            BASE + "test_create_server_nosoreuseport",
            BASE + "test_create_server_soreuseport_only_defined",
            BASE + "test_create_server_cant_bind",
            BASE + "test_create_datagram_endpoint_nosoreuseport",
            BASE + "test_create_datagram_endpoint_socket_err",
            BASE + "test_create_datagram_endpoint_setblk_err",
            BASE + "test_create_datagram_endpoint_cant_bind",
            BASE + "test_create_datagram_endpoint_no_addrinfo",
        ),
    ),
    Exclusion(
        "Replaces the module socket inside asyncio.base_events and asserts the arguments of its socket(), bind() or "
        "connect(); the real ones are called elsewhere.",
        (
            BASE + "test_create_connection_ip_addr",
            BASE + "test_create_connection_ipv6_scope",
            BASE + "test_create_connection_no_inet_pton",
            BASE + "test_create_connection_service_name",
            BASE + "test_create_datagram_endpoint_ip_addr",
        ),
        calls_outside=True,
    ),
    Exclusion(
        "Makes the stock loop's step sock_connect() fail, or socket() that it calls before, and expects that error for "
        "addresses of the internet, which are never called; the connection is made elsewhere, and would be tried.",
        (
            BASE + "test_create_connection_connect_err",
            BASE + "test_create_connection_multiple",
            BASE + "test_create_connection_multiple_errors",
            BASE + "test_create_connection_multiple_errors_local_addr",
            BASE + "test_create_connection_timeout",
            BASE + "test_create_connection_ssl_server_hostname_default",
        ),
        calls_outside=True,
    ),
    Exclusion(
        "Makes the stock loop's step sock_connect() fail and expects that error for an address that can be connected "
        "to; the connection is made elsewhere.",
        (BASE + "test_create_datagram_endpoint_connect_err",),
    ),
    Exclusion(
        "Replaces socket.getnameinfo() of this process; the service's resolver is asked.",
        (BASE + "test_getnameinfo",),
    ),
    Exclusion(
        "Replaces the module socket inside asyncio.base_events, whose getaddrinfo() must be asked for a Bluetooth "
        "address; the service's resolver is asked.",
        (BASE + "test_create_connection_bluetooth",),
    ),
    Exclusion(
        "Reads the stock datagram transport's attribute _sock.",
        (BASE + "test_create_datagram_endpoint_sock_unix",),
    ),
    Exclusion(
        "Replaces the module socket inside asyncio.unix_events: its bind() fails, and the mock must be closed. The "
        "socket is made elsewhere.",
        ("test_unix_events.SelectorEventLoopUnixSocketTests.test_create_unix_server_bind_error",),
    ),
    Exclusion(
        "Replaces loop.connect_read_pipe(), with which the stock subprocess transport makes its pipe transports, to "
        "watch pause_reading() of one; the child's pipes are elsewhere, and are not made with it.",
        ("test_subprocess.Subprocess*WatcherTests.test_pause_reading",),
    ),
    Exclusion(
        "Replaces subprocess.Popen of this process by one that fails; the child is started elsewhere.",
        (
            "test_subprocess.Subprocess*WatcherTests.test_popen_error",
            "test_subprocess.Subprocess*WatcherTests.test_popen_error_with_stdin_pipe",
        ),
    ),
    Exclusion(
        "Sets a child watcher that is not active and expects that no child can be started; a child that is elsewhere "
        "needs none.",
        ("test_subprocess.GenericWatcherTests.test_create_subprocess_fails_with_inactive_watcher",),
    ),
    Exclusion(
        "Gives the child a descriptor of this process (pass_fds), of a pipe made here; a child that is elsewhere has "
        "none of them.",
        (
            "test_streams.StreamTests.test_read_all_from_pipe_reader",
            # In Debian 12's 3.11.2 it needs none.
            *(
                ["test_subprocess.Subprocess*WatcherTests.test_stdin_broken_pipe"]
                if sys.version_info > (3, 11, 3)
                else []
            ),
        ),
    ),
    Exclusion(
        "Duplicates the descriptor of a listening socket, which is elsewhere.",
        ("test_events.*EventLoopTests.test_create_server_trsock",),
        since=(3, 12),
    ),
    Exclusion(
        "Expects connection_lost within two turns after TLS has written its last record; that record's way to the "
        "service and back takes longer. life_test.py sees that the context is let go of behind connection_lost.",
        ("test_ssl.TestSSL.test_create_connection_memory_leak",),
        is_race=True,
    ),
)
