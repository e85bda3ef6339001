"""How a stream transport writes and ends: close, abort, write_eof, watermarks, what connection_lost is told."""

from __future__ import annotations

import array
import asyncio
import socket
from typing import Any

import pytest

from differential import OpenRecorder, Recorder, Same, World, fill, read_all, read_exactly, reset, soon

BIG = bytes(range(256)) * 40_000


# write


def test_everything_arrives_in_order(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.write(b"bytes ")
        reused = bytearray(b"bytearray ")
        transport.write(reused)
        transport.write(memoryview(reused)[:4])
        reused[:] = b"something else"
        transport.write(b"")
        transport.writelines([b" a", bytearray(b"b"), memoryview(b"c")])
        transport.writelines(piece for piece in (b"d", b"e"))
        transport.writelines([])
        transport.writelines([b"", b"f"])
        transport.write(BIG)
        transport.close()
        world.log("peer", "read", await read_all(peer))
        await protocol.lost()

    assert same(main)["peer"] == [("read", b"bytes bytearray byte abcdef" + BIG)]


@pytest.mark.parametrize(
    "data", ["text", None, 5, [1], array.array("b", b"abc")], ids=["str", "None", "int", "list", "array"]
)
def test_write_takes_bytes_alone(same: Same, data: Any) -> None:
    async def main(world: World) -> None:
        transport, protocol, _ = await world.connect()
        for state in ("open", "after write_eof", "lost"):
            try:
                transport.write(data)
            except TypeError as error:
                world.log("client", state, error)
            if state == "open":
                transport.write_eof()
            else:
                transport.abort()
                await protocol.lost()

    same(main)


def test_writes_after_the_loss_are_dropped_and_warned_of(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, _ = await world.connect()
        transport.abort()
        for number in range(8):
            transport.write(b"lost")
            transport.write(b"")
            world.log("logger", "written", number)
        await protocol.lost()
        transport.write(b"lost")
        world.log("client", "after", transport.get_write_buffer_size(), transport.is_closing())

    events = same(main)["logger"]
    assert events.index(("WARNING", "socket.send() raised exception.")) == 4


def test_close_with_nothing_buffered_drops_what_follows(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.write(b"first")
        world.log("peer", "read", await read_exactly(peer, 5))
        await world.settle()
        transport.close()
        transport.write(b"dropped")
        world.log("peer", "read", await read_all(peer))
        await protocol.lost()

    same(main)


def test_what_is_written_during_the_flush_is_flushed(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        await fill(world, transport, protocol)
        transport.write(BIG)
        transport.close()
        transport.write(b"the tail")
        received = await read_all(peer)
        assert isinstance(received, bytes)
        world.log("peer", "read", received[-len(BIG) - 8 :])
        await protocol.lost()

    same(main)


# close and abort


@pytest.mark.parametrize("size", [0, 1, 100_000, 10_000_000])
def test_close_flushes(same: Same, size: int) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.write(BIG[:size])
        world.log("client", "close", transport.close(), transport.close(), transport.is_closing())
        world.log("peer", "read", await read_all(peer))
        await protocol.lost()
        world.events["client"] = [event for event in world.events["client"] if event[0] not in ("pause", "resume")]

    events = same(main)
    assert events["client"][-1] == ("lost", None)
    assert events["peer"] == [("read", BIG[:size])]


def test_callbacks_during_the_flush(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        await fill(world, transport, protocol)
        transport.close()
        peer.sendall(b"not read any more")
        await world.settle()
        world.log("client", "peer reads")
        await read_all(peer)
        await protocol.lost()

    assert same(main)["client"] == [("made",), ("paused for good",), ("peer reads",), ("resume",), ("lost", None)]


@pytest.mark.parametrize("piece_bytes", [1 << 20, 1 << 17])
def test_an_error_during_the_flush_is_told(same: Same, piece_bytes: int) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        await fill(world, transport, protocol, piece_bytes)
        transport.close()
        await world.settle()
        reset(peer)
        await protocol.lost()

    assert same(main)["client"][-1] == ("lost", ("ConnectionResetError", 104, "[Errno 104] Connection reset by peer"))


@pytest.mark.parametrize("piece_bytes", [1 << 20, 1 << 17])
def test_an_error_while_something_is_buffered(same: Same, piece_bytes: int) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        await fill(world, transport, protocol, piece_bytes)
        reset(peer)
        await protocol.lost()
        world.log("client", "after", transport.get_write_buffer_size())

    same(main)


def test_connection_lost_is_never_called_inside_close(same: Same) -> None:
    async def main(world: World) -> None:
        for method in ("close", "abort"):
            transport, protocol, _ = await world.connect()
            getattr(transport, method)()
            world.log("client", f"after {method}")
            world.loop.call_soon(world.log, "client", "next turn")
            await protocol.lost()

    same(main)


def test_abort_drops_what_is_buffered_and_sends_a_fin(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        size = await fill(world, transport, protocol)
        transport.abort()
        transport.abort()
        transport.close()
        world.log("client", "aborted", transport.is_closing(), transport.get_write_buffer_size())
        await protocol.lost()
        received = await read_all(peer)
        assert isinstance(received, bytes)
        world.log("peer", "read", len(received) > 0, size > 0)

    same(main)


def test_abort_during_the_flush(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        await fill(world, transport, protocol)
        transport.close()
        await world.settle()
        transport.abort()
        await protocol.lost()
        world.log("peer", "read", isinstance(await read_all(peer), bytes))

    same(main)


def test_abort_with_unread_data_is_a_reset(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        transport.pause_reading()
        await world.settle()
        peer.sendall(b"never read")
        await world.settle()
        transport.abort()
        await protocol.lost()
        world.log("peer", "read", await read_all(peer))

    same(main)


# write_eof


def test_write_eof(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect(lambda: OpenRecorder(world))
        world.log("client", "can", transport.can_write_eof())
        transport.write(b"all")
        world.log("client", "write_eof", transport.write_eof(), transport.write_eof(), transport.is_closing())
        for data in (b"more", b""):
            with pytest.raises(RuntimeError) as caught:
                transport.write(data)
            world.log("client", "write", caught.value)
        with pytest.raises(RuntimeError) as caught:
            transport.writelines([])
        world.log("client", "writelines", caught.value)
        world.log("peer", "read", await read_all(peer))
        peer.sendall(b"reading goes on")
        await protocol.until_data(15)
        peer.close()
        await protocol.until_event("eof")
        transport.close()
        transport.write_eof()
        await protocol.lost()

    same(main)


def test_write_eof_after_much(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        await fill(world, transport, protocol)
        transport.write(BIG)
        transport.write_eof()
        peer.sendall(b"meanwhile")
        await protocol.until_data(9)
        received = await read_all(peer)
        assert isinstance(received, bytes)
        world.log("peer", "read", received[-len(BIG) :])
        await protocol.until_event("resume")
        world.log("client", "still open", transport.is_closing(), transport.is_reading())
        transport.close()
        await protocol.lost()

    same(main)


def test_write_eof_then_close(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        await fill(world, transport, protocol)
        transport.write_eof()
        transport.close()
        received = await read_all(peer)
        assert isinstance(received, bytes)
        world.log("peer", "read", len(received) > 0)
        await protocol.lost()
        with pytest.raises(RuntimeError) as caught:
            transport.write(b"x")
        world.log("client", "write", caught.value)

    same(main)


def test_write_eof_after_close_does_nothing(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, _ = await world.connect()
        transport.close()
        transport.write_eof()
        transport.write(b"dropped")
        await protocol.lost()
        transport.write_eof()

    same(main)


# Watermarks


def test_limits(same: Same) -> None:
    async def main(world: World) -> None:
        transport, _, _ = await world.connect()
        world.log("client", "limits", transport.get_write_buffer_limits())
        for arguments in ({"high": 100}, {"low": 100}, {"high": 0}, {"low": 0}, {}, {"high": 7, "low": 7}):
            transport.set_write_buffer_limits(**arguments)
            world.log("client", "limits", arguments, transport.get_write_buffer_limits())
        for high, low in ((1, 2), (1, -1), (-1, None), (None, -1)):
            with pytest.raises(ValueError, match="must be") as caught:
                transport.set_write_buffer_limits(high, low)
            world.log("client", "limits", caught.value, transport.get_write_buffer_limits())
        transport.abort()

    same(main)


def test_pause_is_strictly_above_high_and_resume_at_low(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        size = await fill(world, transport, protocol)
        # Paused by limits of 0. Not resumed until the buffer shrinks, whatever the limits become.
        transport.set_write_buffer_limits(high=size + 100, low=size)
        await world.settle()
        world.log("client", "peer reads")
        await read_until_resumed(world, peer)
        await fill_up_to(world, transport, size)
        world.log("client", "at high")
        transport.set_write_buffer_limits(high=size, low=1)
        world.log("client", "over high")
        transport.write(b"x")
        world.log("client", "paused")
        transport.write(b"x")
        transport.set_write_buffer_limits(high=0)
        transport.set_write_buffer_limits(high=1 << 30, low=1 << 29)
        await world.settle()
        world.log("client", "aborted")
        transport.abort()
        await protocol.lost()

    same(main)


async def read_until_resumed(world: World, peer: socket.socket) -> None:
    while ("resume",) not in world.events["client"]:
        await read_exactly(peer, 1 << 16)
        await world.settle()


async def fill_up_to(world: World, transport: Any, size: int) -> None:
    """Writes until exactly `size` bytes are buffered, and the kernel takes nothing more."""
    while True:
        await world.settle()
        missing = size - transport.get_write_buffer_size()
        if missing == 0:
            return
        assert missing > 0
        transport.write(bytes(missing))


def test_pause_comes_inside_write(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        size = await fill(world, transport, protocol)
        transport.set_write_buffer_limits(high=size, low=size - 1)
        await read_until_resumed(world, peer)
        await fill_up_to(world, transport, size)
        world.log("client", "before")
        transport.write(b"x")
        world.log("client", "after")
        transport.abort()
        await protocol.lost()

    assert ("before",) in same(main)["client"]


def test_setting_limits_may_pause(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        size = await fill(world, transport, protocol)
        transport.set_write_buffer_limits(high=10 * size, low=size - 1)
        await read_until_resumed(world, peer)
        await fill_up_to(world, transport, size)
        world.log("client", "equal")
        transport.set_write_buffer_limits(high=size)
        world.log("client", "less")
        transport.set_write_buffer_limits(high=size - 1)
        world.log("client", "set")
        transport.abort()
        await protocol.lost()

    assert same(main)["client"][-5:-1] == [("equal",), ("less",), ("pause",), ("set",)]


def test_pause_and_resume_alternate(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        for _ in range(100):
            transport.write(BIG[:200_000])
        reading = world.loop.run_in_executor(None, _discard, peer)
        for _ in range(100):
            transport.write(BIG[:200_000])
            await asyncio.sleep(0)
        transport.close()
        await protocol.lost()
        size = await reading
        changes = [event[0] for event in world.events["client"] if event[0] in ("pause", "resume")]
        alternates = changes == ["pause", "resume"] * (len(changes) // 2)
        world.events["client"] = [("alternates", alternates, bool(changes)), ("size", size)]

    assert same(main)["client"] == [("alternates", True, True), ("size", 40_000_000)]


def _discard(peer: socket.socket) -> int:
    size = 0
    while piece := peer.recv(1 << 16):
        size += len(piece)
    return size


def test_the_buffer_empties_and_resume_writing_says_how_far(same: Same) -> None:
    class Telling(Recorder):
        def resume_writing(self) -> None:
            low, _ = self.transport.get_write_buffer_limits()
            self.log("resume", self.transport.get_write_buffer_size() <= low)

    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect(lambda: Telling(world))
        await fill(world, transport, protocol)
        transport.set_write_buffer_limits(high=100_000, low=30_000)
        reading = world.loop.run_in_executor(None, _discard, peer)
        await protocol.until_event("resume")
        while transport.get_write_buffer_size():
            await world.settle()
        world.log("client", "empty")
        transport.close()
        await protocol.lost()
        await reading

    same(main)


@pytest.mark.parametrize("action", ["write", "close", "abort", "set_protocol"])
def test_resume_writing_may_call_anything(same: Same, action: str) -> None:
    async def main(world: World) -> None:
        class Acting(Recorder):
            def resume_writing(self) -> None:
                super().resume_writing()
                if not self.is_filled:
                    return
                self.is_filled = False
                if action == "write":
                    self.transport.write(b"again")
                    self.transport.close()
                elif action == "set_protocol":
                    self.transport.set_protocol(second)
                    self.transport.close()
                else:
                    getattr(self.transport, action)()

        second = Recorder(world, "second")
        transport, protocol, peer = await world.connect(lambda: Acting(world))
        await fill(world, transport, protocol)
        received = await read_all(peer)
        assert isinstance(received, bytes)
        world.log("peer", "read", received[-5:])
        await (second if action == "set_protocol" else protocol).lost()
        events = world.events["client"]
        del events[events.index(("resume",)) + 1 : -1]
        world.events.pop("handler", None)  # The stock loop calls connection_lost twice; the second fails inside.

    same(main)


@pytest.mark.parametrize("callback", ["pause_writing", "resume_writing"])
def test_an_exception_of_pause_and_resume_writing(same: Same, callback: str) -> None:
    class Failing(Recorder):
        def pause_writing(self) -> None:
            super().pause_writing()
            if callback == "pause_writing":
                raise ZeroDivisionError("mine")

        def resume_writing(self) -> None:
            super().resume_writing()
            if callback == "resume_writing":
                raise ZeroDivisionError("mine")

    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect(lambda: Failing(world))
        await fill(world, transport, protocol)
        reading = world.loop.run_in_executor(None, _discard, peer)
        await protocol.until_event("resume")
        transport.close()
        await protocol.lost()
        await reading
        world.events["handler"] = world.events["handler"][:1]

    same(main)


# Streams


def test_drain_waits_for_the_peer(same: Same) -> None:
    async def main(world: World) -> None:
        _, writer = await asyncio.open_connection(*world.listener.getsockname())
        peer = await world.accept()
        await writer.drain()
        while not writer.transport.get_write_buffer_size():
            writer.write(bytes(1 << 20))
            await world.settle()
        writer.write(BIG)
        drains = [asyncio.create_task(writer.drain()) for _ in range(2)]
        await world.settle()
        world.log("drain", "waits", [drain.done() for drain in drains])
        reading = world.loop.run_in_executor(None, _discard, peer)
        await soon(asyncio.gather(*drains))
        world.log("drain", "returned", writer.transport.get_write_buffer_size() <= 16384)
        writer.close()
        await soon(writer.wait_closed())
        await reading
        with pytest.raises(ConnectionResetError) as caught:
            await writer.drain()
        world.log("drain", "raised", caught.value)

    same(main)


def test_drain_and_wait_closed_of_a_reset_connection(same: Same) -> None:
    async def main(world: World) -> None:
        reader, writer = await asyncio.open_connection(*world.listener.getsockname())
        peer = await world.accept()
        while not writer.transport.get_write_buffer_size():
            writer.write(bytes(1 << 20))
            await world.settle()
        writer.write(BIG)
        drain = asyncio.create_task(writer.drain())
        await world.settle()
        reset(peer)
        for name, awaitable in (("drain", drain), ("read", reader.read()), ("closed", writer.wait_closed())):
            try:
                world.log("stream", name, await soon(awaitable))
            except ConnectionError as error:
                world.log("stream", name, error)

    same(main)


def test_a_stream_that_is_slow_to_read(same: Same) -> None:
    async def main(world: World) -> None:
        reader, writer = await asyncio.open_connection(*world.listener.getsockname(), limit=1000)
        peer = await world.accept()
        sending = world.loop.run_in_executor(None, peer.sendall, BIG[:1_000_000])
        await world.settle()
        world.log("stream", "paused", writer.transport.is_reading())  # type: ignore[attr-defined]
        world.log("stream", "read", await soon(reader.readexactly(1_000_000)))
        await sending
        peer.close()
        world.log("stream", "end", await soon(reader.read()), reader.at_eof())
        writer.close()
        await soon(writer.wait_closed())

    same(main)
