"""TLS with the service, and who calls: by arguments, by the environment, and each way in which that fails."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import harness
import pytest
import transportd
from transportd import _diagnosis, _target
from transportd._target import is_loopback, parse_target
from transportd._target_tls import target_tls

from certificates import Authority
from http2_peer import settings

TOKEN, OTHER_TOKEN = "transportd_of_the_test", "transportd_after_it"
ID = "spiffe://example.org/ns/lab/sa/test"
POLICY = f"""
version: "v1"
role {{ name: "lab" connect {{ name: "here" protocols: TCP to {{ classes: LOOPBACK any_port: true }} }} }}
binding {{ role: "lab" principals: "ci" principals: "{ID}" }}
"""
Environ = Callable[..., None]


@dataclass(frozen=True)
class Files:
    """Of a service and of those who call it."""

    folder: Path
    ca: Authority
    other: Authority
    server: tuple[Path, Path]
    client: tuple[Path, Path]

    def flags(self) -> list[str]:
        digests = [hashlib.sha256(token.encode()).hexdigest() for token in (TOKEN, OTHER_TOKEN)]
        tokens = "".join(f'token {{ principal: "ci" sha256: "{digest}" }} ' for digest in digests)
        (self.folder / "identities").write_text(f'version: "v1" {tokens}')
        return [f"--identities={self.folder}/identities", *self.flags_without_tokens()]

    def flags_without_tokens(self) -> list[str]:
        (self.folder / "policy").write_text(POLICY)
        return [
            f"--policy={self.folder}/policy",
            "--listen=127.0.0.1:0",
            f"--tls-certificate={self.server[0]}",
            f"--tls-key={self.server[1]}",
            f"--tls-client-ca={self.ca.path}",
            "--audit-log=off",
            "--refuse-after-failures=false",
        ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    ca = Authority.make(folder, "ca")
    return Files(
        folder,
        ca,
        Authority.make(folder, "other"),
        ca.sign("server", f"IP:127.0.0.1,DNS:{NAME}"),
        ca.sign("client", f"URI:{ID}"),
    )


NAME = "service.test"


@pytest.fixture(scope="module")
def guarded(files: Files) -> Iterator[harness.Service]:
    """With TLS, client certificates and tokens; the second target is a Unix socket that stands for `ci`."""
    service = harness.Service(*files.flags(), f"--listen=unix:{files.folder}/socket,principal=ci", dev=False)
    yield service
    service.stop()


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> Environ:
    """Sets variables, without TRANSPORTD_; there are no others. A second look at the service has time."""
    monkeypatch.setattr(_diagnosis, "_LONGEST_SECONDS", 30.0)
    for name in ("TARGET", "TOKEN", "TOKEN_FILE", *(f"TARGET_{part}" for part in ("CA", "NAME", "CERTIFICATE", "KEY"))):
        monkeypatch.delenv(f"TRANSPORTD_{name}", raising=False)

    def set_variables(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"TRANSPORTD_{name}", str(value))

    return set_variables


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Nobody must call it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def target_of(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def check(target: str, **options: Any) -> None:
    """The service lets the caller in, and connects for it."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as peer:
            _, writer = await asyncio.open_connection(*peer.getsockname())
            writer.close()
            await writer.wait_closed()

    transportd.run(main(), target=target, **options)


def fails(kind: type[Exception], target: str, *texts: str, reason: str = "", **options: Any) -> None:
    with pytest.raises(kind) as caught:
        transportd.EventLoop(target, **options).close()
    assert type(caught.value) is kind
    for text in texts:
        assert text in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert getattr(caught.value, "reason", "") == reason


# What works


def test_a_client_certificate(guarded: harness.Service, files: Files, environ: Environ) -> None:
    context = ssl.create_default_context(cafile=files.ca.path)
    context.load_cert_chain(*files.client)
    check(guarded.target, ssl=context)
    environ(TARGET_CA=files.ca.path, TARGET_CERTIFICATE=files.client[0], TARGET_KEY=files.client[1])
    check(guarded.target)
    check(f"ipv4:{guarded.target.removeprefix('ipv4:')}")


def test_certificate_and_key_in_one_file(
    guarded: harness.Service, files: Files, environ: Environ, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    both.write_text("é\n" + "".join(path.read_text() for path in reversed(files.client)))
    environ(TARGET_CA=files.ca.path, TARGET_CERTIFICATE=both)
    check(guarded.target)


def test_a_token(guarded: harness.Service, files: Files, environ: Environ) -> None:
    environ(TARGET_CA=files.ca.path)
    check(guarded.target, token=TOKEN)
    environ(TOKEN=TOKEN)
    check(guarded.target)
    # What a program says counts.
    fails(transportd.AuthenticationError, guarded.target, "token=…", token="", reason="NO_PRINCIPAL")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_token_file_is_read_for_each_session(
    guarded: harness.Service, files: Files, environ: Environ, tmp_path: Path, end: str
) -> None:
    path = tmp_path / "token"
    path.write_text("wrong" + end)
    environ(TARGET_CA=files.ca.path, TOKEN_FILE=path)
    fails(transportd.AuthenticationError, guarded.target, "not known", reason="INVALID_CREDENTIALS")
    for token in (TOKEN, OTHER_TOKEN):
        path.write_text(token + end)
        check(guarded.target)
    path.write_text("wrong" + end)
    fails(transportd.AuthenticationError, guarded.target, "not known", reason="INVALID_CREDENTIALS")
    # A program's own, whatever the environment has.
    environ(TOKEN="wrong")
    path.write_text(TOKEN)
    check(guarded.target, token_file=path)
    check(guarded.target, token=TOKEN)


def test_a_token_that_comes_through_a_pipe(guarded: harness.Service, files: Files, environ: Environ) -> None:
    """As a shell substitutes it: it can be read once."""
    reader, writer = os.pipe()
    os.write(writer, TOKEN.encode())
    os.close(writer)
    environ(TARGET_CA=files.ca.path)
    with open(reader, "rb"):
        check(guarded.target, token_file=f"/dev/fd/{reader}")


def test_a_unix_socket_has_no_tls(guarded: harness.Service, files: Files, environ: Environ) -> None:
    """What stands in the environment for TCP does not count for it, even when it is wrong."""
    environ(TARGET_CA=files.ca.path, TARGET_NAME="elsewhere.test", TARGET_KEY="/nowhere")
    check(guarded.targets[1])
    path = guarded.targets[1].removeprefix("unix:")
    context = ssl.create_default_context()
    fails(ValueError, f"unix:{path}", "a Unix socket has no TLS, and needs none: leave ssl=… away", ssl=context)
    fails(ValueError, f"unix:{path}", "server_hostname 'x': a name", "needs TLS", server_hostname="x")


def test_the_name_to_expect(guarded: harness.Service, files: Files, environ: Environ) -> None:
    target = f"localhost:{guarded.address[1]}"
    environ(TARGET_CA=files.ca.path, TOKEN=TOKEN)
    not_trusted = (
        transportd.ServiceUnavailableError,
        target,
        f"the certificate of the service at {target} does not name",
    )
    fails(*not_trusted, "localhost: the name to expect is server_hostname's", reason="SERVICE_NOT_TRUSTED")
    for name in (NAME, "127.0.0.1"):
        check(target, server_hostname=name)
    environ(TARGET_NAME=NAME)
    check(target)
    context = ssl.create_default_context(cafile=files.ca.path)
    check(target, ssl=context)
    fails(*not_trusted, "elsewhere.test", server_hostname="elsewhere.test", reason="SERVICE_NOT_TRUSTED")
    fails(*not_trusted, "192.0.2.1", server_hostname="192.0.2.1", ssl=context, reason="SERVICE_NOT_TRUSTED")


def test_what_is_trusted_need_be_no_root(guarded: harness.Service, files: Files, environ: Environ) -> None:
    """As gRPC has it: the service's own certificate, or an intermediate CA whose own CA is not there."""
    environ(TARGET_CA=files.server[0], TOKEN=TOKEN)
    check(guarded.target)
    between = files.ca.authority("between")
    service = harness.Service(*replace(files, server=between.sign("below", "IP:127.0.0.1")).flags(), dev=False)
    try:
        environ(TARGET_CA=between.path)
        check(service.target)
    finally:
        service.stop()


def test_false_is_no_tls_whatever_the_environment_says(
    service: harness.Service, files: Files, environ: Environ
) -> None:
    environ(TARGET_CA=files.ca.path)
    check(service.target, ssl=False)
    fails(
        transportd.ServiceUnavailableError,
        service.target,
        f"the service at {service.target} does not speak TLS: leave ssl=… and TRANSPORTD_TARGET_CA away",
        reason="SERVICE_WITHOUT_TLS",
    )


# What the service and its certificate say


def test_a_service_that_has_tls(guarded: harness.Service) -> None:
    texts = (f"the service at {guarded.target} speaks TLS: give ssl=…", "`system`, by TRANSPORTD_TARGET_CA")
    fails(transportd.ServiceUnavailableError, guarded.target, *texts, reason="SERVICE_WANTS_TLS")
    fails(transportd.ServiceUnavailableError, guarded.target, *texts, token=TOKEN, reason="SERVICE_WANTS_TLS")


def test_a_service_that_is_not_trusted(guarded: harness.Service, files: Files, environ: Environ) -> None:
    for ca, whose in (
        (files.other.path, f"of {files.other.path}: whom to trust is what ssl=… or TRANSPORTD_TARGET_CA says"),
        ("system", "that this machine trusts: whom to trust"),
    ):
        environ(TARGET_CA=ca, TOKEN=TOKEN)
        what = f"the certificate of the service at {guarded.target} is not signed by a CA {whose}"
        fails(transportd.ServiceUnavailableError, guarded.target, what, reason="SERVICE_NOT_TRUSTED")


@contextlib.contextmanager
def tls_server(context: ssl.SSLContext, talk: Callable[[ssl.SSLSocket], bool] = lambda secured: True) -> Iterator[str]:
    """Shakes hands with whoever comes, talks, and hangs up; its target. Nobody else may come when `talk` says False."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                    if not talk(secured):
                        server.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield target_of(server)
        finally:
            with contextlib.suppress(OSError):  # It was before.
                server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_service_whose_certificate_has_expired(files: Files, environ: Environ) -> None:
    """transportd itself does not start with one; one that runs on can have it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files.ca.sign("old-server", "IP:127.0.0.1", days=-1))
    environ(TARGET_CA=files.ca.path)
    with tls_server(context) as target:
        texts = ("has expired: the service needs another one (transportd --tls-certificate)", "clock is wrong")
        fails(transportd.ServiceUnavailableError, target, *texts, reason="SERVICE_NOT_TRUSTED")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_that_is_wanted(files: Files, environ: Environ, version: ssl.TLSVersion) -> None:
    """By another server than gRPC's: it says so with an alert, before the handshake is over or behind it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(*files.server)
    context.load_verify_locations(files.ca.path)
    context.verify_mode = ssl.CERT_REQUIRED
    certificate, key = files.other.sign(f"stranger-{version}", f"URI:{ID}")
    with tls_server(context) as target:
        environ(TARGET_CA=files.ca.path)
        if version is ssl.TLSVersion.TLSv1_3:  # An older one tells of a handshake that failed, which may be anything.
            what = f"the service at {target} wants a client certificate, and none was given"
            fails(transportd.AuthenticationError, target, what, reason="CLIENT_CERTIFICATE_REFUSED")
        environ(TARGET_CERTIFICATE=certificate, TARGET_KEY=key)
        what = f"the service at {target} did not take the client certificate of {certificate}: its CA must be"
        fails(transportd.AuthenticationError, target, what, reason="CLIENT_CERTIFICATE_REFUSED")
        environ(TARGET_CA="")
        texts = (f"the service at {target} speaks TLS: give ssl=",)
        fails(transportd.ServiceUnavailableError, target, *texts, reason="SERVICE_WANTS_TLS")


@pytest.mark.parametrize("then", ["speaks", "is silent", "is gone"])
def test_a_connection_that_ends_is_no_certificate_that_is_refused(
    files: Files, environ: Environ, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """It may be a restart, or a server that does not like the preface of HTTP/2."""
    if then == "is silent":  # All of it is waited for.
        monkeypatch.setattr(_diagnosis, "_LONGEST_SECONDS", 0.2)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files.server)
    count = 0

    def talk(secured: ssl.SSLSocket) -> bool:
        nonlocal count
        count += 1
        if count == 2 and then == "speaks":
            secured.sendall(settings())
        secured.recv(1)
        return then != "is gone"

    environ(TARGET_CA=files.ca.path)
    with tls_server(context, talk) as target:
        what = "before a gRPC service answered"
        fails(transportd.ServiceUnavailableError, target, "did not open a session", what)
    if then != "is silent":  # That one may be over before it has begun.
        assert count == (1 if then == "is gone" else 2)


def test_who_has_failed_too_often(files: Files, environ: Environ) -> None:
    """The service takes no connection of this address any more, for a while."""
    flags = [flag for flag in files.flags() if not flag.startswith("--refuse-after-failures")]
    service = harness.Service(*flags, dev=False)
    try:
        environ(TARGET_CA=files.ca.path, TOKEN="wrong")
        for _ in range(3):
            fails(transportd.AuthenticationError, service.target, "not known", reason="INVALID_CREDENTIALS")
        what = f"the service at {service.target} takes the connection and hangs up: it refuses an address for a while"
        hung_up = (transportd.ServiceUnavailableError, service.target, what, "after three failed authentications")
        fails(*hung_up, reason="SERVICE_HUNG_UP")
        fails(*hung_up, ssl=False, reason="SERVICE_HUNG_UP")
    finally:
        service.stop()


def test_a_client_certificate_that_is_missing(files: Files, environ: Environ) -> None:
    """Without identities for tokens there is no other way in."""
    service = harness.Service(*files.flags_without_tokens(), dev=False)
    refused = (transportd.AuthenticationError, service.target)
    try:
        environ(TARGET_CA=files.ca.path)
        texts = (f"the service at {service.target} wants a client certificate, and none was given", "load_cert_chain")
        fails(*refused, *texts, "TRANSPORTD_TARGET_CERTIFICATE", reason="CLIENT_CERTIFICATE_REFUSED")
        context = ssl.create_default_context(cafile=files.ca.path)
        what = "wants a client certificate, or another one than that of ssl=…"
        fails(*refused, what, ssl=context, reason="CLIENT_CERTIFICATE_REFUSED")
    finally:
        service.stop()


def test_a_client_certificate_that_is_not_taken(guarded: harness.Service, files: Files, environ: Environ) -> None:
    for (certificate, key), what in (
        (files.other.sign("stranger", f"URI:{ID}"), "its CA must be one that the service trusts"),
        (files.ca.sign("old-client", f"URI:{ID}", days=-1), "it expired on 2"),
    ):
        environ(TARGET_CA=files.ca.path, TARGET_CERTIFICATE=certificate, TARGET_KEY=key)
        text = f"the service at {guarded.target} did not take the client certificate of {certificate}: {what}"
        fails(transportd.AuthenticationError, guarded.target, text, reason="CLIENT_CERTIFICATE_REFUSED")


# What is wrong here: nobody is called


def test_files_and_variables_that_are_wrong(
    listener: socket.socket, files: Files, environ: Environ, tmp_path: Path
) -> None:
    target = target_of(listener)
    nowhere, empty, large = str(tmp_path / "nowhere"), tmp_path / "empty", tmp_path / "large"
    empty.write_text("")
    large.write_bytes(bytes((1 << 20) + 1))
    client, key = files.client
    environ(TARGET_KEY=key)
    fails(ValueError, target, "server_hostname 'x': a name of the service's certificate needs TLS", server_hostname="x")
    environ(TARGET_CA=nowhere)
    fails(FileNotFoundError, target, "TRANSPORTD_TARGET_CA: No such file or directory", nowhere)
    environ(TARGET_CA=tmp_path)
    fails(IsADirectoryError, target, "TRANSPORTD_TARGET_CA: Is a directory", str(tmp_path))
    for wrong in (empty, key):
        environ(TARGET_CA=wrong)
        fails(ValueError, target, "TRANSPORTD_TARGET_CA: there is no certificate in PEM form in", str(wrong))
    environ(TARGET_CA=large)
    fails(ValueError, target, "TRANSPORTD_TARGET_CA: ", str(large), "is longer than 1 MiB")
    environ(TARGET_CA=files.ca.path)
    fails(ValueError, target, "TRANSPORTD_TARGET_KEY names a key, and TRANSPORTD_TARGET_CERTIFICATE not its")
    environ(TARGET_CERTIFICATE=nowhere)
    fails(FileNotFoundError, target, "TRANSPORTD_TARGET_CERTIFICATE: No such file", nowhere)
    environ(TARGET_CERTIFICATE=key)
    fails(ValueError, target, "TRANSPORTD_TARGET_CERTIFICATE: there is no certificate in PEM form in", str(key))
    environ(TARGET_CERTIFICATE=client, TARGET_KEY="")
    hint = "if it is in a file of its own, TRANSPORTD_TARGET_KEY names that"
    fails(ValueError, target, "TRANSPORTD_TARGET_CERTIFICATE: there is no private key in PEM form in", hint)
    environ(TARGET_KEY=files.server[1])
    what = f"the private key in '{files.server[1]}' is not that of the certificate in '{client}'"
    fails(ValueError, target, f"TRANSPORTD_TARGET_KEY: {what}")
    environ(TARGET_KEY=client)
    fails(ValueError, target, "TRANSPORTD_TARGET_KEY: there is no private key in PEM form in", str(client))
    broken = tmp_path / "broken"
    broken.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    environ(TARGET_KEY=broken)
    fails(ValueError, target, f"TRANSPORTD_TARGET_CERTIFICATE: '{client}', or its key in '{broken}', cannot be read")


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(
    listener: socket.socket, files: Files, environ: Environ, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    files.ca._openssl("pkey", "-in", files.client[1], "-aes256", "-passout", "pass:secret", "-out", locked)
    environ(TARGET_CA=files.ca.path, TARGET_CERTIFICATE=files.client[0], TARGET_KEY=locked)
    what = f"TRANSPORTD_TARGET_KEY: the private key in '{locked}' has a passphrase, and must have none"
    fails(ValueError, target_of(listener), what)


def test_a_key_that_stands_beside_its_certificate_is_not_kept(files: Files, environ: Environ, tmp_path: Path) -> None:
    certificate, key = (path.read_text() for path in files.client)
    both = tmp_path / "both"
    both.write_text(key + certificate + files.ca.path.read_text())
    environ(TARGET_CA=files.ca.path, TARGET_CERTIFICATE=both)
    tls = target_tls(parse_target("127.0.0.1:1"), None, None)
    assert tls is not None
    assert tls.certificate == certificate.strip()
    assert "-----BEGIN" not in repr(tls)


def test_names_and_contexts_that_cannot_be(listener: socket.socket, files: Files, environ: Environ) -> None:
    target = target_of(listener)
    environ(TARGET_CA=files.ca.path)
    for name in ("", ".example.test", "x" * 64, "a\0b"):
        fails(ValueError, target, f"server_hostname {name!r}: no certificate can name that", server_hostname=name)
    environ(TARGET_NAME=".example.test")
    fails(ValueError, target, "TRANSPORTD_TARGET_NAME '.example.test': no certificate can name that")
    environ(TARGET_NAME="")
    fails(ValueError, target, "ssl: ", ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_token_files_that_are_wrong(listener: socket.socket, environ: Environ, tmp_path: Path) -> None:
    target = target_of(listener)
    path = tmp_path / "token"
    fails(FileNotFoundError, target, "token_file: No such file or directory", str(path), token_file=path)
    environ(TOKEN_FILE=path)
    fails(FileNotFoundError, target, "TRANSPORTD_TOKEN_FILE: No such file or directory", str(path))
    for content in ("", "\n\r\n"):
        path.write_text(content)
        fails(ValueError, target, f"TRANSPORTD_TOKEN_FILE: there is no token in '{path}': it is empty")
    for content, what in (
        ("a\nb", "a character at position 1"),
        ("\u00e9", "position 0"),
        ("a \n", "ends with a space"),
    ):
        path.write_text(content)
        fails(ValueError, target, f"TRANSPORTD_TOKEN_FILE: the token in '{path}'", what)
    environ(TOKEN=TOKEN)
    fails(ValueError, target, "TRANSPORTD_TOKEN and TRANSPORTD_TOKEN_FILE are both given: one of them must do")
    fails(ValueError, target, "token and token_file are both given", token=TOKEN, token_file=path)


# Tokens in plaintext


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1:1", True),
        ("ipv4:127.255.0.1:1", True),
        ("[::1]:1", True),
        ("ipv6:[::ffff:127.0.0.1]:1", True),
        ("localhost:1", True),
        ("dns:///LocalHost:1", True),
        ("service.localhost:1", True),
        ("unix:/run/x", True),
        ("unix-abstract:x", True),
        ("128.0.0.1:1", False),
        ("[::2]:1", False),
        ("[::ffff:128.0.0.1]:1", False),
        ("[::127.0.0.1]:1", False),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("notlocalhost:1", False),
        ("localhost.example:1", False),
        ("127.0.0.1.example:1", False),
        ("127.1:1", False),
        ("example.test:1", False),
    ],
)
def test_what_is_within_this_machine(host: str, is_local: bool) -> None:
    assert parse_target(host).is_local == is_local


def test_is_loopback_takes_numbers_only() -> None:
    assert not is_loopback("localhost")
    assert not is_loopback("")


@pytest.mark.parametrize("by", ["token", "token_file", "TOKEN", "TOKEN_FILE"])
@pytest.mark.parametrize("target", ["192.0.2.1:1", "service.test:1"])
def test_a_token_leaves_the_machine_by_tls_only(
    target: str, by: str, environ: Environ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        pytest.fail("somebody was called")

    monkeypatch.setattr(_target.Target, "connect", connect)
    (tmp_path / "token").write_text(TOKEN)
    value: Any = tmp_path / "token" if by.lower() == "token_file" else TOKEN
    options = {by: value} if by.islower() else {}
    if not options:
        environ(**{by: value})
    what = (
        f"target {target!r}: a token is sent by TLS only, unless the service is on this machine, and {target} would get"
    )
    fails(ValueError, target, what, "give ssl=…, or name a file", "TRANSPORTD_TARGET_CA", **options)


def test_a_local_name_that_means_another_machine_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolvers ask others for names below `localhost`."""
    heard: list[bytes] = []

    def serve() -> None:
        for is_last in (False, True):
            with server.accept()[0] as peer:
                heard.append(peer.recv(1 << 16))
                if is_last:
                    server.close()  # So that a second look does not wait.

    class Elsewhere(socket.socket):
        def getpeername(self) -> Any:
            return ("192.0.2.1", 1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        target = f"localhost:{server.getsockname()[1]}"
        monkeypatch.setattr(socket, "socket", Elsewhere)
        fails(ValueError, target, re.escape(target), "a token is sent by TLS only", "192.0.2.1 would get", token=TOKEN)
        # Without a token there is nothing to keep.
        with pytest.raises(transportd.ServiceUnavailableError):
            transportd.EventLoop(target)
        monkeypatch.undo()
        thread.join()
    assert heard[0] == b""
    assert heard[1] != b""
