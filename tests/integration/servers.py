"""Real servers as peers, on loopback, each until its block ends. None of them can be told port 0, or say which port it got."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from harness import LOOPBACK, eventually, free_port, need, running


def make_certificate(folder: Path) -> None:
    """cert.pem and key.pem for localhost, signed by itself."""
    need("openssl")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost", "-days", "2",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip


def accepts(port: int, family: int = 4) -> bool:
    """A TCP connection is accepted."""
    try:
        socket.create_connection((LOOPBACK[family], port), 1).close()
    except OSError:
        return False
    return True


def is_bound(port: int, family: int = 4) -> bool:
    """A UDP socket is bound there."""
    with open("/proc/net/udp6" if family == 6 else "/proc/net/udp", encoding="ascii") as table:
        return any(line.split()[1].endswith(f":{port:04X}") for line in table)


@contextlib.contextmanager
def listening(
    command: Callable[..., list],
    count: int = 1,
    family: int = 4,
    is_up: Callable[[int, int], bool] = accepts,
    **options,
) -> Iterator[tuple[int, ...]]:
    """The program `command(port, …)`, on `count` free ports that it yields; on others when somebody took one before it."""

    def settled(process: subprocess.Popen, ports: tuple[int, ...]) -> bool:
        return process.poll() is not None or all(is_up(port, family) for port in ports)

    for _ in range(5):
        ports = tuple(free_port(family) for _ in range(count))
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with running(*command(*ports), **(quiet | options)) as process:
            eventually(partial(settled, process, ports), "the server is there")
            if process.poll() is None:
                yield ports
                return
    raise AssertionError("no port was free")


class Nginx:
    """Serves the files of a folder: plainly, on a Unix socket, and over TLS where it was given a certificate."""

    def __init__(self, port: int, tls_port: int, path: Path):
        self.port = port
        self.tls_port = tls_port
        self.path = path


@contextlib.contextmanager
def nginx(root: Path, family: int = 4, certificate: Path | None = None, key: Path | None = None) -> Iterator[Nginx]:
    need("nginx")
    host = "[::1]" if family == 6 else "127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="integration-") as name:
        folder = Path(name)

        def command(port: int, tls_port: int = 0) -> list:
            kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            temp_paths = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
            tls = f"listen {host}:{tls_port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
            (folder / "nginx.conf").write_text(
                f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
                "events { worker_connections 256; }\n"
                f"http {{\n  access_log off;\n{temp_paths}"
                f"  server {{ listen {host}:{port}; listen unix:{folder}/socket; {tls if certificate else ''}\n"
                f"    root {root}; sendfile on; client_max_body_size 0; }}\n}}\n"
            )
            return ["nginx", "-p", folder, "-c", folder / "nginx.conf"]

        with listening(command, 2 if certificate else 1, family) as (port, *tls_port):
            yield Nginx(port, *tls_port or [0], folder / "socket")


class Redis:
    """A redis-server: plain, on a Unix socket, and over TLS with the certificate that it signs itself."""

    def __init__(self, port: int, tls_port: int, folder: Path):
        self.port = port
        self.tls_port = tls_port
        self.path = folder / "socket"
        self.certificate = folder / "cert.pem"


@contextlib.contextmanager
def redis() -> Iterator[Redis]:
    need("redis-server")
    with tempfile.TemporaryDirectory(prefix="integration-") as name:
        folder = Path(name)
        make_certificate(folder)
        with listening(
            lambda port, tls_port: [
                "redis-server", "--bind", "127.0.0.1", "--port", port, "--tls-port", tls_port,
                "--tls-cert-file", folder / "cert.pem", "--tls-key-file", folder / "key.pem",
                "--tls-ca-cert-file", folder / "cert.pem", "--tls-auth-clients", "no",
                "--unixsocket", folder / "socket", "--save", "", "--dir", folder,
            ],
            2,
        ) as (port, tls_port):  # fmt: skip
            eventually((folder / "socket").exists, "redis has its Unix socket")
            yield Redis(port, tls_port, folder)


class Postgresql:
    """A PostgreSQL with the user "tester", who needs no password: TCP with or without TLS, and a Unix socket in `folder`."""

    def __init__(self, port: int, folder: Path):
        self.port = port
        self.folder = folder
        self.certificate = folder / "cert.pem"


@contextlib.contextmanager
def postgresql() -> Iterator[Postgresql]:
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not homes:
        raise unittest.SkipTest("postgresql is not installed")
    programs = homes[-1].parent
    # It does not run as root.
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    with tempfile.TemporaryDirectory(prefix="integration-") as name:
        folder = Path(name)
        make_certificate(folder)
        as_account = {"cwd": folder}
        if os.geteuid() == 0:
            as_account |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, account.pw_uid, account.pw_gid)
        subprocess.run(
            [programs / "initdb", "-D", "data", "-U", "tester", "--auth=trust", "--locale=C", "--no-sync"],
            check=True, capture_output=True, **as_account,
        )  # fmt: skip

        def command(port: int) -> list:
            settings = {
                "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off",
                "ssl": "on", "ssl_cert_file": folder / "cert.pem", "ssl_key_file": folder / "key.pem",
            }  # fmt: skip
            return [programs / "postgres", "-D", "data", *(f"--{key}={value}" for key, value in settings.items())]

        # It accepts connections before it can answer them.
        def is_ready(port: int, _: int) -> bool:
            asking = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            return subprocess.run(asking, check=False).returncode == 0

        # SIGINT: it ends whoever is connected, then itself.
        with listening(command, is_up=is_ready, end=signal.SIGINT, **as_account) as (port,):
            yield Postgresql(port, folder)


@contextlib.contextmanager
def dnsmasq(*options: str) -> Iterator[int]:
    """A name server, UDP and TCP; its port. It knows what the options tell it, as `--address=/example.test/192.0.2.7`."""
    # Daemons are not in everybody's PATH.
    program = shutil.which("dnsmasq", path=os.environ["PATH"] + ":/usr/sbin") or "dnsmasq"
    with listening(
        lambda port: [
            program, "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}",
            "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts", "--user=root",
            "--pid-file", *options,
        ],
        is_up=lambda port, family: is_bound(port, family) and accepts(port, family),
    ) as (port,):  # fmt: skip
        yield port


class Sshd:
    """An OpenSSH server into which the account that runs the test may log in with the key `user_key`."""

    def __init__(self, port: int, folder: Path):
        self.port = port
        self.host_key = folder / "host_key.pub"
        self.user_key = folder / "user_key"


@contextlib.contextmanager
def sshd() -> Iterator[Sshd]:
    need("ssh-keygen")
    # It wants to be called by its whole path.
    program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise unittest.SkipTest("sshd is not installed")
    if os.geteuid() == 0:
        # Its privilege separation wants this folder; the package's init script makes it at boot.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="integration-") as name:
        folder = Path(name)
        for key in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)

        def command(port: int) -> list:
            (folder / "configuration").write_text(
                f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n"
                f"AuthorizedKeysFile {folder}/user_key.pub\nStrictModes no\nPasswordAuthentication no\n"
                "MaxSessions 100\nSubsystem sftp internal-sftp\n"
            )
            return [program, "-D", "-e", "-f", folder / "configuration"]

        with listening(command) as (port,):
            yield Sshd(port, folder)
