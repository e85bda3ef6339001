"""How a stream transport reads: order of callbacks, pause_reading, EOF, buffered protocols, set_protocol."""

from __future__ import annotations

import array
import asyncio
import ctypes
import mmap
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from differential import LEFT_OPEN, OpenRecorder, Recorder, Same, World, read_all, reset

PATTERN = bytes(range(256)) * 4096


def test_callbacks_in_order(same: Same) -> None:
    async def main(world: World) -> None:
        def factory() -> Recorder:
            world.log("client", "factory")
            return Recorder(world)

        transport, protocol, peer = await world.connect(factory)
        world.log("client", "returned", transport is protocol.transport, transport.get_protocol() is protocol)
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost()
        world.log("client", "after", transport.is_closing(), transport.is_reading())

    events = same(main)["client"]
    assert [event[0] for event in events] == ["factory", "made", "returned", "data", "eof", "lost", "after"]


def test_data_that_waits_is_received_after_create_connection_returns(same: Same) -> None:
    async def main(world: World) -> None:
        def factory() -> Recorder:
            # The loop stands still here, with the connection open: all of this is there before it goes on.
            world.listener.setblocking(True)
            peer, _ = world.listener.accept()
            world.own(peer).sendall(b"early")
            peer.shutdown(socket.SHUT_WR)
            return Recorder(world)

        _, protocol = await world.loop.create_connection(factory, *world.listener.getsockname())
        world.log("client", "returned")
        await protocol.lost()

    same(main)


def test_a_server_s_protocol_hears_in_order(same: Same) -> None:
    async def main(world: World) -> None:
        made: asyncio.Future[Recorder] = world.loop.create_future()

        def factory() -> Recorder:
            protocol = Recorder(world, "server")
            protocol.log("factory")
            world.loop.call_soon(made.set_result, protocol)
            return protocol

        server = await world.loop.create_server(factory, "127.0.0.1", 0)
        peer = await world.dial(server.sockets[0].getsockname())
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        await (await made).lost()
        server.close()

    same(main)


def test_large_data(same: Same) -> None:
    async def main(world: World) -> None:
        _, protocol, peer = await world.connect()
        await asyncio.to_thread(peer.sendall, PATTERN * 8)
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost()

    same(main)


# pause_reading


def test_pause_reading_holds_data(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.pause_reading()
        transport.pause_reading()
        world.log("client", "paused", transport.is_reading())
        peer.sendall(b"held")
        await world.settle()
        transport.resume_reading()
        transport.resume_reading()
        world.log("client", "resumed", transport.is_reading())
        await protocol.until_data(4)
        transport.close()
        world.log("client", "closed", transport.is_reading())
        await protocol.lost()

    same(main)


def test_pause_reading_holds_eof(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.pause_reading()
        await world.settle()
        peer.sendall(b"held")
        peer.shutdown(socket.SHUT_WR)
        await world.settle()
        world.log("client", "resume")
        transport.resume_reading()
        await protocol.lost()

    same(main)


def test_pause_reading_holds_a_reset(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.pause_reading()
        await world.settle()
        reset(peer)
        await world.settle()
        world.log("client", "resume", transport.is_closing())
        transport.resume_reading()
        await protocol.lost()

    assert same(main)["client"][-1] == ("lost", ("ConnectionResetError", 104, "[Errno 104] Connection reset by peer"))


def test_a_write_error_ends_what_is_paused(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.pause_reading()
        await world.settle()
        reset(peer)
        await world.settle()
        transport.write(b"nobody")
        await protocol.lost()

    same(main)


@pytest.mark.parametrize("method", ["close", "abort"])
def test_close_drops_what_is_paused(same: Same, method: str) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.pause_reading()
        peer.sendall(b"held")
        await world.settle()
        getattr(transport, method)()
        transport.resume_reading()
        await protocol.lost()
        transport.pause_reading()
        transport.resume_reading()
        world.log("client", "after", transport.is_reading())

    same(main)


@pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="asyncio goes on reading, which is a bug")
def test_pause_reading_in_connection_made(same: Same) -> None:
    class Pausing(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()

    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect(lambda: Pausing(world))
        peer.sendall(b"held")
        await world.settle()
        world.log("client", "resume")
        transport.resume_reading()
        await protocol.until_data(4)
        transport.abort()
        await protocol.lost()

    same(main)


def test_pause_reading_in_data_received(same: Same) -> None:
    class Pausing(Recorder):
        count = 0

        def data_received(self, data: bytes) -> None:
            self.count += 1
            self.received += data
            self.has_new.set()
            self.transport.pause_reading()

    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect(lambda: Pausing(world))
        sending = world.loop.run_in_executor(None, peer.sendall, PATTERN * 4)
        while len(protocol.received) < 4 * len(PATTERN):
            count = protocol.count
            await world.settle()
            assert protocol.count <= count + 1
            transport.resume_reading()
        await sending
        world.log("client", "received", bytes(protocol.received))
        transport.abort()
        await protocol.lost()

    same(main)


def test_pause_and_resume_in_one_turn_lose_nothing(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        sending = world.loop.run_in_executor(None, peer.sendall, PATTERN)
        while len(protocol.received) < len(PATTERN):
            transport.pause_reading()
            transport.resume_reading()
            for _ in range(3):  # asyncio's own reads nothing when this is done in each turn.
                await asyncio.sleep(0)
        await sending
        transport.abort()
        await protocol.lost()

    same(main)


def test_a_paused_reader_slows_its_peer(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.pause_reading()
        await world.settle()
        peer.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while sent < 256 << 20:
                sent += peer.send(bytes(1 << 20))
                await world.settle()
        world.log("client", "slowed", sent < 64 << 20)
        transport.resume_reading()
        await protocol.until(lambda: len(protocol.received) == sent)
        world.events["client"].pop()
        transport.abort()
        await protocol.lost()

    same(main)


# EOF


@pytest.mark.parametrize("keep_open", [None, False, 0, ""])
def test_eof_closes(same: Same, keep_open: Any) -> None:
    class Answering(Recorder):
        def eof_received(self) -> Any:
            self.transport.write(b"last words")
            return super().eof_received()

    async def main(world: World) -> None:
        _, protocol, peer = await world.connect(lambda: Answering(world))
        protocol.keep_open = keep_open
        peer.shutdown(socket.SHUT_WR)
        world.log("peer", "read", await read_all(peer))
        await protocol.lost()

    same(main)


@pytest.mark.parametrize("keep_open", [True, 1, "yes"])
def test_eof_may_keep_open_for_writing(same: Same, keep_open: Any) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        protocol.keep_open = keep_open
        peer.sendall(b"all")
        peer.shutdown(socket.SHUT_WR)
        await protocol.until_event("eof")
        world.log("client", "after EOF", transport.is_reading(), transport.is_closing())
        await world.settle()
        transport.write(b"still")
        transport.close()
        world.log("peer", "read", await read_all(peer))
        await protocol.lost()

    same(main)


def test_a_half_closed_connection_whose_peer_is_gone_breaks_when_written(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect(lambda: OpenRecorder(world))
        peer.close()
        await protocol.until_event("eof")
        transport.write(b"answered by an RST")
        await world.settle()
        world.log("client", "noticed nothing", transport.is_closing())
        transport.write(b"fails")
        await protocol.lost()

    assert same(main)["client"][-1] == ("lost", ("BrokenPipeError", 32, "[Errno 32] Broken pipe"))


def test_a_reset_is_told(same: Same) -> None:
    async def main(world: World) -> None:
        _, protocol, peer = await world.connect()
        reset(peer)
        await protocol.lost()

    same(main)


# Calls inside callbacks


@pytest.mark.parametrize("callback", ["connection_made", "data_received", "eof_received"])
@pytest.mark.parametrize("method", ["close", "abort"])
def test_it_may_end_inside_any_callback(same: Same, callback: str, method: str) -> None:
    class Ending(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.end("connection_made")

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.end("data_received")

        def eof_received(self) -> Any:
            super().eof_received()
            self.end("eof_received")
            return True

        def end(self, where: str) -> None:
            if where == callback:
                getattr(self.transport, method)()
                self.log("ended", self.transport.is_closing())

    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect(lambda: Ending(world))
        world.log("client", "returned", transport is protocol.transport)
        if callback != "connection_made":
            peer.sendall(b"x")
        if callback == "eof_received":
            peer.shutdown(socket.SHUT_WR)
        await protocol.lost()
        world.log("peer", "read", await read_all(peer))

    same(main)


# Exceptions


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), OSError(5, "mine")], ids=["ordinary", "OSError"])
@pytest.mark.parametrize("callback", ["connection_made", "data_received", "eof_received", "connection_lost"])
def test_an_exception_in_a_callback(same: Same, callback: str, error: Exception) -> None:
    async def main(world: World) -> None:
        class Failing(Recorder):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                self.fail("connection_made")

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.fail("data_received")

            def eof_received(self) -> Any:
                super().eof_received()
                self.fail("eof_received")

            def connection_lost(self, exc: Exception | None) -> None:
                world.log("client", "the very exception", exc is error)
                super().connection_lost(exc)
                self.fail("connection_lost")

            def fail(self, where: str) -> None:
                if where == callback:
                    raise error

        transport, protocol, peer = await world.connect(lambda: Failing(world))
        world.log("client", "returned", transport.is_closing())
        peer.sendall(b"x")
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost()
        world.log("peer", "read", await read_all(peer))

    same(main)


@LEFT_OPEN
def test_an_exception_of_a_protocol_factory(same: Same) -> None:
    async def main(world: World) -> None:
        def factory() -> Recorder:
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            await world.loop.create_connection(factory, *world.listener.getsockname())
        world.log("peer", "read", await read_all(await world.accept()))

    same(main)


@LEFT_OPEN
@pytest.mark.parametrize("debug", [False, True])
def test_an_exception_of_a_server_s_protocol_factory(same: Same, debug: bool) -> None:
    async def main(world: World) -> None:
        called = asyncio.Event()

        def factory() -> Recorder:
            called.set()
            raise ZeroDivisionError("mine")

        server = await world.loop.create_server(factory, "127.0.0.1", 0)
        peer = await world.dial(server.sockets[0].getsockname())
        await called.wait()
        await world.settle()
        if not debug:  # The stock loop then forgets to close the connection.
            world.log("peer", "read", await read_all(peer))
        server.close()

    assert ("handler" in same(main, debug=debug)) == debug


# Buffered protocols


class BufferedRecorder(Recorder, asyncio.BufferedProtocol):
    """`buffer_size`: of what get_buffer returns."""

    buffer_size = 100

    def get_buffer(self, sizehint: int) -> Any:
        self.buffer = bytearray(self.buffer_size)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= self.buffer_size
        Recorder.data_received(self, bytes(self.buffer[:nbytes]))


@pytest.mark.parametrize("size", [1, 100, 65536, 1 << 20])
def test_a_buffered_protocol(same: Same, size: int) -> None:
    async def main(world: World) -> None:
        _, protocol, peer = await world.connect(lambda: BufferedRecorder(world))
        protocol.buffer_size = size
        await asyncio.to_thread(peer.sendall, PATTERN[: 50 * min(size, 10_000)])
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost()

    same(main)


def test_a_buffered_protocol_may_give_any_writable_buffer(same: Same) -> None:
    class Views(BufferedRecorder):
        def get_buffer(self, sizehint: int) -> Any:
            self.buffer = bytearray(64)
            return memoryview(self.buffer)[:10]

    async def main(world: World) -> None:
        _, protocol, peer = await world.connect(lambda: Views(world))
        peer.sendall(PATTERN[:1000])
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost()

    same(main)


BUFFERS: dict[str, Callable[[], Any]] = {
    "array of bytes": lambda: array.array("B", bytes(64)),
    "array of signed bytes": lambda: array.array("b", bytes(64)),
    "array of int": lambda: array.array("I", [0] * 16),
    "array of double": lambda: array.array("d", [0.0] * 8),
    "string buffer": lambda: ctypes.create_string_buffer(64),
    "C array": lambda: (ctypes.c_ubyte * 64)(),
    "signed view": lambda: memoryview(bytearray(64)).cast("b"),
    "view of characters": lambda: memoryview(bytearray(64)).cast("c"),
    "view of int": lambda: memoryview(bytearray(64)).cast("I"),
    "view of rows": lambda: memoryview(bytearray(64)).cast("B", (8, 8)),
    "file": lambda: mmap.mmap(-1, 64),
    "bytearray": lambda: bytearray(64),
    "read-only": lambda: bytes(64),
    "view with gaps": lambda: memoryview(bytearray(64))[::2],
    "list": lambda: [0] * 64,
}


@pytest.mark.parametrize("kind", BUFFERS)
def test_kinds_of_buffers(same: Same, kind: str) -> None:
    class Typed(BufferedRecorder):
        def get_buffer(self, sizehint: int) -> Any:
            self.typed = BUFFERS[kind]()
            return self.typed

        def buffer_updated(self, nbytes: int) -> None:
            Recorder.data_received(self, memoryview(self.typed).tobytes()[:nbytes])

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(type(exc)() if isinstance(exc, (TypeError, BufferError)) else exc)

    async def main(world: World) -> None:
        context: list[dict[str, Any]] = []
        world.loop.set_exception_handler(lambda _, one: context.append(one))
        _, protocol, peer = await world.connect(lambda: Typed(world))
        peer.sendall(PATTERN[:1000])
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost()
        for one in context:
            world.log("handler", "called", one["message"], type(one["exception"]))

    same(main)


@pytest.mark.parametrize("mistake", ["get_buffer raises", "get_buffer is empty", "buffer_updated raises"])
def test_mistakes_of_a_buffered_protocol(same: Same, mistake: str) -> None:
    class Mistaken(BufferedRecorder):
        def get_buffer(self, sizehint: int) -> Any:
            if mistake == "get_buffer raises":
                raise ZeroDivisionError("mine")
            return bytearray() if mistake == "get_buffer is empty" else super().get_buffer(sizehint)

        def buffer_updated(self, nbytes: int) -> None:
            if mistake == "buffer_updated raises":
                raise ZeroDivisionError("mine")
            super().buffer_updated(nbytes)

    async def main(world: World) -> None:
        _, protocol, peer = await world.connect(lambda: Mistaken(world))
        peer.sendall(b"x")
        await protocol.lost()

    same(main)


def test_a_buffered_protocol_may_pause_between_pieces(same: Same) -> None:
    class Pausing(BufferedRecorder):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.transport.pause_reading()
            self.world.loop.call_soon(self.transport.resume_reading)

    async def main(world: World) -> None:
        _, protocol, peer = await world.connect(lambda: Pausing(world))
        peer.sendall(PATTERN[:10_000])
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost()

    same(main)


# set_protocol


def test_set_protocol_concerns_the_next_callback(same: Same) -> None:
    async def main(world: World) -> None:
        transport, first, peer = await world.connect(lambda: Recorder(world, "first"))
        second = Recorder(world, "second")
        peer.sendall(b"1")
        await first.until_data(1)
        transport.set_protocol(second)
        world.log("second", "set", transport.get_protocol() is second)
        peer.sendall(b"2")
        peer.shutdown(socket.SHUT_WR)
        await second.lost()

    same(main)


@pytest.mark.parametrize("first_kind", [Recorder, BufferedRecorder])
@pytest.mark.parametrize("second_kind", [Recorder, BufferedRecorder])
def test_set_protocol_between_the_kinds(same: Same, first_kind: type[Recorder], second_kind: type[Recorder]) -> None:
    async def main(world: World) -> None:
        transport, first, peer = await world.connect(lambda: first_kind(world, "first"))
        peer.sendall(b"1")
        await first.until_data(1)
        second = second_kind(world, "second")
        transport.set_protocol(second)
        peer.sendall(PATTERN[:1000])
        await second.until_data(1000)
        transport.set_protocol(first)
        peer.sendall(b"3")
        peer.shutdown(socket.SHUT_WR)
        await first.lost()

    same(main)


def test_set_protocol_while_data_is_held(same: Same) -> None:
    async def main(world: World) -> None:
        transport, _, peer = await world.connect(lambda: Recorder(world, "first"))
        transport.pause_reading()
        peer.sendall(b"held")
        await world.settle()
        second = BufferedRecorder(world, "second")
        transport.set_protocol(second)
        transport.resume_reading()
        peer.shutdown(socket.SHUT_WR)
        await second.lost()

    same(main)


def test_set_protocol_inside_data_received(same: Same) -> None:
    class Handing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            second = Recorder(self.world, "second")
            self.transport.set_protocol(second)
            self.second.set_result(second)  # type: ignore[attr-defined]

    async def main(world: World) -> None:
        transport, first, peer = await world.connect(lambda: Handing(world, "first"))
        first.second = world.loop.create_future()
        peer.sendall(b"1")
        second = await first.second
        transport.write(b"?")
        peer.sendall(b"2")
        peer.shutdown(socket.SHUT_WR)
        await second.lost()

    same(main)
