"""The six examples of asyncio's page, each embedded and remote: the same output, in every combination."""

import contextlib
import itertools
import os
import socket
import subprocess
import threading

import harness

FOLDER = os.environ["TRANSPORTD_EXAMPLES"]


class Program:
    """An example, and what it has printed."""

    def __init__(self, test, name: str, *arguments: str):
        self.process = subprocess.Popen(
            [os.path.join(FOLDER, name), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        test.addCleanup(self.process.stdout.close)
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)

    def line(self) -> str:
        return self.process.stdout.readline().rstrip("\n")

    def lines_to_the_end(self) -> list[str]:
        lines = self.process.stdout.read().splitlines()
        if self.process.wait(harness.TIMEOUT) != 0:
            raise AssertionError(f"ended with {self.process.returncode}: {lines}")
        return lines


def pump(source: socket.socket, sink: socket.socket) -> None:
    """To the end of what comes, however it ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


class ExamplesTest(harness.ServiceTestCase):
    def places(self):
        return {"embedded": [], "remote": [f"--target={self.service.target}"]}

    def each_place(self):
        for place, target in self.places().items():
            with self.subTest(place):
                yield target

    def each_pair(self):
        """Where the server is, and where the client."""
        for (server, server_target), (client, client_target) in itertools.product(self.places().items(), repeat=2):
            with self.subTest(server=server, client=client):
                yield server_target, client_target

    def test_tcp_echo(self):
        for server_target, client_target in self.each_pair():
            server = Program(self, "tcp_echo_server", *server_target, "127.0.0.1", "0")
            serving, port = server.line().rsplit(":", 1)
            self.assertEqual(serving, "Serving on 127.0.0.1")
            client = Program(self, "tcp_echo_client", *client_target, "127.0.0.1", port)
            self.assertEqual(
                client.lines_to_the_end(),
                ["Data sent: 'Hello World!'", "Data received: 'Hello World!'", "The server closed the connection"],
            )
            self.assertEqual(
                [server.line() for _ in range(4)],
                [
                    "Connection from 127.0.0.1",
                    "Data received: 'Hello World!'",
                    "Send: 'Hello World!'",
                    "Close the client socket",
                ],
            )
            server.process.terminate()
            server.process.wait()

    def test_udp_echo(self):
        for server_target, client_target in self.each_pair():
            server = Program(self, "udp_echo_server", *server_target, "127.0.0.1", "0")
            serving, port = server.line().rsplit(":", 1)
            self.assertEqual(serving, "Serving on 127.0.0.1")
            client = Program(self, "udp_echo_client", *client_target, "127.0.0.1", port)
            self.assertEqual(
                client.lines_to_the_end(),
                ["Send: Hello World!", "Received: Hello World!", "Close the socket", "Connection closed"],
            )
            self.assertEqual(
                [server.line() for _ in range(2)],
                ["Received 'Hello World!' from 127.0.0.1", "Send 'Hello World!' to 127.0.0.1"],
            )
            server.process.terminate()
            server.process.wait()

    def test_existing_socket(self):
        for target in self.each_place():
            self.assertEqual(Program(self, "existing_socket", *target).lines_to_the_end(), ["Received: abc"])

    def test_subprocess(self):
        for target in self.each_place():
            told = Program(self, "subprocess", *target, "date", "-u", "-d", "@0", "+%F").lines_to_the_end()
            self.assertEqual(told, ["Current date: 1970-01-01"])

    def test_a_connection_that_ends_at_once_is_tried_again(self):
        """ConnectRemoteEventLoop's second try: the first connection ends before a byte came."""
        front = self.listener()
        dropped = threading.Event()

        def serve():
            front.accept()[0].close()
            dropped.set()
            client, service = front.accept()[0], socket.create_connection(self.service.address)
            with client, service:
                back = threading.Thread(target=pump, args=(service, client))
                back.start()
                pump(client, service)
                back.join()

        server = threading.Thread(target=serve)
        server.start()
        target = f"--target=127.0.0.1:{front.getsockname()[1]}"
        self.assertEqual(Program(self, "existing_socket", target).lines_to_the_end(), ["Received: abc"])
        server.join()
        self.assertTrue(dropped.is_set())

    def test_errors_are_told(self):
        for target in self.each_place():
            program = subprocess.run(
                [os.path.join(FOLDER, "subprocess"), *target, "/nonexistent/program"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=harness.TIMEOUT,
            )
            self.assertEqual(program.returncode, 1)
            self.assertEqual(program.stderr, "exec /nonexistent/program: No such file or directory\n")


if __name__ == "__main__":
    harness.main()
