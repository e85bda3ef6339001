"""transportctl as one end of a connection, real programs as the other: every byte, every exit status."""

import base64
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading

import harness
from client import StreamSession
from harness import LOOPBACK, free_port, pattern, read_all, read_exactly
from transportd.v1 import pipe_pb2
from transportctl_case import FAILED, NO_SERVICE, TIMED_OUT, USAGE, TransportctlTestCase

class DrainingTest(TransportctlTestCase):
    FLAGS = ("--drain-timeout=20s",)

    def test_a_service_that_stops_is_told_of(self):
        listener = self.listener()
        process = self.transportctl("connect", f"127.0.0.1:{listener.getsockname()[1]}")
        peer = self.accept(listener)
        peer.sendall(b"x")
        self.assertEqual(process.stdout.read(1), b"x")  # It is connected.
        self.service.process.send_signal(signal.SIGTERM)
        said = process.stderr.readline().decode()
        self.assertRegex(said, r"^transportctl: the service stops: it ends this in (20|19.*)s at the latest\n$")
        peer.close()
        process.stdin.close()
        self.assertEqual(process.wait(harness.TIMEOUT), 0)
        self.assertEqual(self.service.process.wait(harness.TIMEOUT), 0)
        self.service.expect_ended()


class ConnectTest(TransportctlTestCase):
    def test_bytes_both_ways_and_half_close(self):
        for family in (4, 6):
            with self.subTest(family=family):
                listener = self.listener(family)
                port = listener.getsockname()[1]
                host = f"[{LOOPBACK[6]}]" if family == 6 else LOOPBACK[4]
                there, back = pattern(3 << 20, 1), pattern(3 << 20, 2)
                process = self.transportctl("connect", f"{host}:{port}")
                peer = self.accept(listener)
                feeder = threading.Thread(target=self.feed, args=(process.stdin, there), daemon=True)
                feeder.start()
                # All of it and the EOF come before the answer begins.
                self.assertTrue(read_all(peer) == there)
                sender = threading.Thread(target=self.send, args=(peer, back), daemon=True)
                sender.start()
                self.assertTrue(process.stdout.read() == back)
                self.assertEqual(process.wait(harness.TIMEOUT), 0)
                feeder.join()
                sender.join()

    @staticmethod
    def feed(stdin, data: bytes) -> None:
        stdin.write(data)
        stdin.close()

    @staticmethod
    def send(peer: socket.socket, data: bytes) -> None:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)

    def test_to_nc(self):
        # nc cannot pick a port and say which: the test takes one for it, and tries again when it was taken meanwhile.
        for _ in range(5):
            port = free_port()
            nc = self.program(
                "nc", "-N", "-l", "127.0.0.1", port,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            there, back = pattern(1 << 20, 1), pattern(1 << 20, 2)
            threading.Thread(target=self.feed, args=(nc.stdin, back), daemon=True).start()
            harness.eventually(lambda: self.is_listening(port) or nc.poll() is not None, "nc listens")
            if nc.poll() is None:
                break
        read = []
        reader = threading.Thread(target=lambda: read.append(nc.stdout.read()), daemon=True)
        reader.start()
        status, out, err = self.run_to_end("connect", f"127.0.0.1:{port}", data=there)
        self.assertEqual(status, 0, err)
        self.assertTrue(out == back)
        reader.join(harness.TIMEOUT)
        self.assertTrue(read == [there])

    @staticmethod
    def is_listening(port: int) -> bool:
        with open("/proc/net/tcp", encoding="ascii") as table:
            return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in table)

    def test_json_prints_each_callback(self):
        listener = self.listener()
        process = self.transportctl("connect", "--json", f"127.0.0.1:{listener.getsockname()[1]}")
        peer = self.accept(listener)
        peer.sendall(b"hello\0\xff")
        peer.shutdown(socket.SHUT_WR)
        out, err = process.communicate(b"", timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, 0, err)
        events = [json.loads(line) for line in out.splitlines()]
        names = [event["callback"] for event in events]
        self.assertEqual(names, ["connection_made", "data_received", "eof_received", "connection_lost"])
        port = listener.getsockname()[1]
        self.assertEqual(events[0]["args"]["peername"], f"127.0.0.1:{port}")
        self.assertEqual(base64.b64decode(events[1]["args"]["data"]), b"hello\0\xff")
        self.assertEqual((events[3]["args"]["cause"], events[3]["args"]["received_bytes"]), ("EOF", 7))

    def test_exit_statuses(self):
        port = free_port()
        status, out, err = self.run_to_end("connect", f"127.0.0.1:{port}")
        self.assertEqual((status, out), (FAILED, b""))
        self.assertIn("ECONNREFUSED", err)
        status, _, err = self.run_to_end("connect", "nonexistent.invalid:80")
        self.assertEqual(status, FAILED)
        self.assertIn("EAI_", err)
        for words in ((), ("connect",), ("connect", "host"), ("connect", "host:70000"), ("conect", "a:1"), ("--bad",)):
            status, out, err = self.run_to_end(*words)
            self.assertEqual((status, out), (USAGE, b""), words)
            self.assertTrue(err)
        status, _, err = self.run_to_end("--timeout", "5s", "connect", f"127.0.0.1:{port}", target=f"127.0.0.1:{port}")
        self.assertEqual(status, NO_SERVICE, err)
        full = self.full_listener()
        status, _, err = self.run_to_end("--timeout", "300ms", "connect", f"127.0.0.1:{full.getsockname()[1]}")
        self.assertEqual(status, TIMED_OUT, err)

    def test_without_a_command_help_is_named_once(self):
        self.assertEqual(self.run_to_end()[2].count("--help"), 1)

    def test_help_of_a_command(self):
        status, overview, err = self.run_to_end("--help")
        self.assertEqual((status, err), (0, ""))
        for words in (("exec", "--help"), ("help", "exec"), ("exec", "-i", "-h")):
            status, out, err = self.run_to_end(*words)
            self.assertEqual((status, err), (0, ""))
            self.assertTrue(out.startswith(b"usage: transportctl [OPTION]... exec [--] PROGRAM [ARGUMENT]...\n"), out)
            self.assertIn(b"Exit status of exec", out)
            self.assertLess(len(out), len(overview) / 2)

    def test_a_token_that_no_header_can_have(self):
        commands = (
            ("connect", "127.0.0.1:0"), ("listen", "127.0.0.1:0"), ("udp", "127.0.0.1:0"), ("exec", "true"),
            ("sessions",), ("transports",), ("health",), ("version",),
        )  # fmt: skip
        for words in commands:
            for token, what in (("secret\n", "ends with a line break"), ("secreté", "byte 7 of it is not")):
                with self.subTest(words, token=token):
                    status, out, err = self.run_to_end(*words, environment={"TRANSPORTD_TOKEN": token})
                    self.assertEqual((status, out), (USAGE, b""), err)
                    self.assertIn("(INVALID_TOKEN)", err)
                    self.assertIn(what, err)
                    self.assertNotIn("secret", err)
        status, _, err = self.run_to_end("--token", "abc\n", "health")
        self.assertEqual(status, USAGE, err)

    def test_input_that_cannot_be_read_is_no_end(self):
        for redirection in ("</", "<&-"):
            with self.subTest(redirection):
                listener = self.listener()
                process = self.program(
                    "sh", "-c", f'exec "$@" {redirection}', "sh", os.environ["TRANSPORTCTL_BIN"],
                    "--target", self.service.target, "connect", f"127.0.0.1:{listener.getsockname()[1]}",
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                )  # fmt: skip
                peer = self.accept(listener)
                with self.assertRaises(ConnectionResetError):
                    read_all(peer)
                _, err = process.communicate(timeout=harness.TIMEOUT)
                self.assertEqual(process.returncode, FAILED, err)
                self.assertIn(b"standard input", err)

    def test_a_reset_is_told(self):
        listener = self.listener()
        process = self.transportctl("connect", f"127.0.0.1:{listener.getsockname()[1]}")
        peer = self.accept(listener)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        _, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, FAILED, err)
        self.assertIn(b"RESET", err)

    def test_a_lost_service_is_told(self):
        service = harness.Service()
        self.addCleanup(service.process.wait)
        listener = self.listener()
        process = self.transportctl("connect", f"127.0.0.1:{listener.getsockname()[1]}", target=service.target)
        self.accept(listener)
        service.process.kill()
        _, err = process.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(process.returncode, NO_SERVICE, err)
        service.process.wait()
        service.remove_folder()


class ListenTest(TransportctlTestCase):
    def test_bytes_both_ways_with_socat(self):
        there, back = pattern(1 << 20, 1), pattern(1 << 20, 2)
        process = self.transportctl("listen", "127.0.0.1:0")
        host, port = self.listening_on(process)
        socat = self.program(
            "socat", "-t", harness.TIMEOUT, "-", f"TCP4:{host}:{port}", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        feeders = [
            threading.Thread(target=ConnectTest.feed, args=(program.stdin, data), daemon=True)
            for program, data in ((socat, there), (process, back))
        ]
        got = []
        reader = threading.Thread(target=lambda: got.append(socat.stdout.read()), daemon=True)
        for thread in (*feeders, reader):
            thread.start()
        self.assertTrue(process.stdout.read() == there)
        self.assertEqual(process.wait(harness.TIMEOUT), 0)
        reader.join(harness.TIMEOUT)
        self.assertTrue(got == [back])
        self.assertEqual(socat.wait(harness.TIMEOUT), 0)

    def test_echo_to_nc(self):
        for host in ("127.0.0.1", "[::1]"):
            with self.subTest(host=host):
                process = self.transportctl("listen", "--echo", f"{host}:0")
                address = self.listening_on(process)
                data = pattern(2 << 20)
                nc = self.program("nc", "-N", *address, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                out, _ = nc.communicate(data, timeout=harness.TIMEOUT)
                self.assertTrue(out == data)
                self.assertEqual(process.wait(harness.TIMEOUT), 0)

    def test_curl_reads_what_standard_input_says(self):
        process = self.transportctl("listen", "127.0.0.1:0")
        host, port = self.listening_on(process)
        body = pattern(500_000)
        curl = self.program(
            "curl", "-sS", "--noproxy", "*", "--max-time", harness.TIMEOUT, f"http://{host}:{port}/x",
            stdout=subprocess.PIPE,
        )  # fmt: skip
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        feeder = threading.Thread(target=ConnectTest.feed, args=(process.stdin, head + body), daemon=True)
        feeder.start()
        out, _ = curl.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(curl.returncode, 0)
        self.assertEqual(hashlib.sha256(out).digest(), hashlib.sha256(body).digest())
        self.assertTrue(process.stdout.read().startswith(b"GET /x HTTP/1.1\r\n"))
        self.assertEqual(process.wait(harness.TIMEOUT), 0)

    def test_keep_serves_one_after_the_other_and_all_at_once(self):
        process = self.transportctl("listen", "--echo", "--keep", "127.0.0.1:0")
        address = self.listening_on(process)
        peers = [self.dial(address) for _ in range(10)]
        for index, peer in enumerate(peers):
            peer.sendall(b"%04d" % index)
        for index, peer in enumerate(peers):
            self.assertEqual(read_exactly(peer, 4), b"%04d" % index)
            peer.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(peer), b"")
        self.assertIsNone(process.poll())

    def test_a_port_in_use(self):
        taken = self.listener()
        status, out, err = self.run_to_end("listen", f"127.0.0.1:{taken.getsockname()[1]}")
        self.assertEqual((status, out), (FAILED, b""))
        self.assertIn("EADDRINUSE", err)


class UnixTest(TransportctlTestCase):
    """unix:PATH and unix:@NAME."""

    def test_connect_to_socat(self):
        path = self.folder() / "socket"
        socat = self.program("socat", f"UNIX-LISTEN:{path}", "EXEC:tac", stdin=subprocess.DEVNULL)
        harness.eventually(path.exists, "socat is there")
        # tac answers when its input has ended.
        status, out, err = self.run_to_end("connect", f"unix:{path}", data=b"a\nb\n")
        self.assertEqual((status, out), (0, b"b\na\n"), err)
        self.assertEqual(socat.wait(harness.TIMEOUT), 0)

    def test_listen_for_socat(self):
        path = self.folder() / "socket"
        for address, socat_address in (
            (f"unix:{path}", f"UNIX-CONNECT:{path}"),
            (f"unix:@{path}", f"ABSTRACT-CONNECT:{path}"),
        ):
            with self.subTest(address):
                process = self.transportctl("listen", address)
                self.assertEqual(process.stderr.readline().decode(), f"listening on {address}\n")
                there, back = pattern(1 << 20, 1), pattern(1 << 20, 2)
                feeder = threading.Thread(target=ConnectTest.feed, args=(process.stdin, back), daemon=True)
                got = []
                reader = threading.Thread(target=lambda: got.append(process.stdout.read()), daemon=True)
                feeder.start()
                reader.start()
                socat = self.program(
                    "socat", "-t", harness.TIMEOUT, "-", socat_address, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
                out, _ = socat.communicate(there, timeout=harness.TIMEOUT)
                self.assertTrue(out == back)
                reader.join(harness.TIMEOUT)
                self.assertTrue(got == [there])
                self.assertEqual(process.wait(harness.TIMEOUT), 0)
                self.assertFalse(path.exists())

    def test_connect_to_an_abstract_name(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("")  # The kernel picks a name.
            listener.listen()
            listener.settimeout(harness.TIMEOUT)
            process = self.transportctl("connect", "unix:@" + listener.getsockname()[1:].decode())
            peer = self.accept(listener)
            peer.sendall(b"hello")
            peer.shutdown(socket.SHUT_WR)
            self.assertEqual(process.communicate(b"", timeout=harness.TIMEOUT)[0], b"hello")
            self.assertEqual(process.returncode, 0)

    def test_what_is_wrong(self):
        folder = self.folder()
        status, _, err = self.run_to_end("connect", f"unix:{folder}/nobody")
        self.assertEqual(status, FAILED)
        self.assertIn("ENOENT", err)
        for words in (
            ("connect", "unix:"),
            ("connect", "-6", "unix:/x"),
            ("connect", "--happy-eyeballs", "1s", "unix:/x"),
            ("connect", "--source", "127.0.0.1:0", "unix:/x"),
            ("connect", "unix:/" + "x" * 108),
        ):
            status, _, err = self.run_to_end(*words)
            self.assertEqual(status, USAGE, words)
            self.assertTrue(err)


class LookTest(TransportctlTestCase):
    """sessions, transports, health, version."""

    def test_what_is_open(self):
        listener = self.listener()
        with StreamSession(self.service.target, client_name="the one to see") as session:
            session.connect(listener.getsockname())
            peer = self.accept(listener)
            status, out, err = self.run_to_end("sessions")
            self.assertEqual(status, 0, err)
            self.assertIn(b"the one to see", out)
            self.assertRegex(out, rb" \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ")
            self.assertIn(session.opened.session_id[:8].encode(), out)
            status, out, err = self.run_to_end("transports", "--session", session.opened.session_id[:8])
            self.assertEqual(status, 0, err)
            self.assertIn(str(peer.getsockname()[1]).encode(), out)
            status, out, err = self.run_to_end("transports", "--json")
            self.assertEqual(status, 0, err)
            for line in out.splitlines():
                json.loads(line)
            self.assertIn(str(peer.getsockname()[1]).encode(), out)

    def test_what_each_transport_is(self):
        fifo = self.folder() / "fifo\n"
        os.mkfifo(fifo)
        cat = self.transportctl("exec", "-i", "cat")
        cat.stdin.write(b"x")
        cat.stdin.flush()
        self.assertEqual(cat.stdout.read(1), b"x")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, StreamSession(self.service.target) as session:
            peer.bind(("127.0.0.1", 0))
            address = "127.0.0.1:{}".format(peer.getsockname()[1])
            udp = self.transportctl("-v", "udp", address)
            self.assertIn(b"connection_made", udp.stderr.readline())
            session.call(pipe_pb2.ConnectReadPipeRequest(source={"path": os.fsencode(fifo)}))
            status, out, err = self.run_to_end("transports")
            self.assertEqual(status, 0, err)
            self.assertNotIn("(unspecified)", out.decode())
            rows = [re.split(" {2,}", line) for line in out.decode().splitlines()[1:]]
            found = {(kind, local, remote) for _, _, kind, local, remote, *_ in rows}
            (subprocess_id,) = (row[1] for row in rows if row[2] == "subprocess")
            pid = next(local for kind, local, _ in found if kind == "subprocess")
            self.assertEqual(os.readlink("/proc/{}/exe".format(pid.removeprefix("pid "))).rsplit("/", 1)[1], "cat")
            for fd in range(3):
                self.assertIn(("pipe", "-", f"fd {fd} of subprocess {subprocess_id}"), found)
            self.assertIn(("pipe", str(fifo).replace("\n", "\\n"), "-"), found)
            self.assertIn(address, [remote for kind, _, remote in found if kind == "datagram"])
        for process in (cat, udp):
            process.stdin.close()
            process.kill()
            process.wait()

    def test_health_and_version(self):
        self.assertEqual(self.run_to_end("health")[0], 0)
        status, out, _ = self.run_to_end("version")
        self.assertEqual(status, 0)
        self.assertRegex(out, rb"\d+\.\d+\.\d+")
        nowhere = f"127.0.0.1:{free_port()}"
        status, out, err = self.run_to_end("--version", target=nowhere)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, rb"^transportctl \d+\.\d+\.\d+\n$")
        self.assertNotEqual(self.run_to_end("--timeout", "2s", "health", target=f"127.0.0.1:{free_port()}")[0], 0)

    def test_a_service_that_does_not_answer_is_named(self):
        silent = self.listener()
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        for words, call in ((("sessions",), "ListSessions"), (("connect", target), "Session")):
            status, _, err = self.run_to_end("--timeout", "300ms", *words, target=target)
            self.assertEqual(status, TIMED_OUT, err)
            self.assertIn(f"no answer from {target} within 300ms to {call}", err)


if __name__ == "__main__":
    harness.main()
