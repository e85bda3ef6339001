"""Who sits at every address and sees every packet: for tests of what must not be sent. Only in own_network's namespace."""

import contextlib
import ipaddress
import selectors
import socket
import ssl
import struct
import threading
from dataclasses import dataclass
from typing import Self

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_STATISTICS = 263, 6  # packet(7)
_TCP, _UDP = 6, 17


@dataclass(frozen=True)
class Packet:
    """The header of an IP packet; ports are 0 where the protocol has none."""

    protocol: int
    source: str
    source_port: int
    destination: str
    destination_port: int


def _parse(packet: bytes) -> Packet | None:
    if not packet:
        return None
    version = packet[0] >> 4
    if version == 4:
        header, protocol = (packet[0] & 15) * 4, packet[9]
        source, destination = packet[12:16], packet[16:20]
    elif version == 6:
        header, protocol = 40, packet[6]
        source, destination = packet[8:24], packet[24:40]
    else:
        return None
    ports = struct.unpack("!HH", packet[header : header + 4]) if protocol in (_TCP, _UDP) else (0, 0)
    return Packet(
        protocol, str(ipaddress.ip_address(source)), ports[0], str(ipaddress.ip_address(destination)), ports[1]
    )


class Witness:
    """Every IP packet of the namespace from its making on: the kernel gives each away before send(2) returns."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()

    def packets(self) -> set[Packet]:
        """Those since this was called last."""
        seen = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                seen.add(_parse(self._socket.recv(1 << 16)))
        statistics = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        dropped = struct.unpack("II", statistics)[1]
        if dropped:
            raise AssertionError(f"the witness missed {dropped} packets")
        return seen - {None}


class Canary:
    """Listens at every address, on a port each for TCP, TLS and UDP. A stream is told at which address it has arrived
    (in one line), then its bytes come back; a datagram is answered with the same line."""

    def __init__(self, tls: ssl.SSLContext | None = None):
        self._tls = tls
        self._selector = selectors.DefaultSelector()
        self._sockets: set[socket.socket] = set()
        self._wake, self._woken = socket.socketpair()
        self._watch(self._woken, self._stop)
        self.port = self._listen(self._accept)
        self.tls_port = self._listen(self._accept_tls)
        self.udp_port = self._bind_udp()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for each in [*self._sockets, self._wake]:
            each.close()
        self._selector.close()

    def _watch(self, watched: socket.socket, action) -> None:
        self._sockets.add(watched)
        self._selector.register(watched, selectors.EVENT_READ, action)

    def _listen(self, action) -> int:
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
        listener.setblocking(False)
        self._watch(listener, action)
        return listener.getsockname()[1]

    def _bind_udp(self) -> int:
        endpoint = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        endpoint.bind(("::", 0))
        endpoint.setblocking(False)
        self._watch(endpoint, self._answer)
        return endpoint.getsockname()[1]

    def _serve(self) -> None:
        self._serving = True
        while self._serving:
            for key, _ in self._selector.select():
                key.data(key.fileobj)

    def _stop(self, _) -> None:
        self._serving = False

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._greet(listener.accept()[0])

    def _accept_tls(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer = listener.accept()[0]
            peer.settimeout(10)
            self._greet(self._tls.wrap_socket(peer, server_side=True))

    def _greet(self, peer: socket.socket) -> None:
        self._watch(peer, self._echo)
        peer.sendall(arrival(peer.getsockname()[0]))

    def _echo(self, peer: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = peer.recv(1 << 16)
            peer.sendall(data)
        if not data:
            self._selector.unregister(peer)
            self._sockets.discard(peer)
            peer.close()

    def _answer(self, endpoint: socket.socket) -> None:
        with contextlib.suppress(OSError):
            _, ancillary, _, peer = endpoint.recvmsg(1 << 16, socket.CMSG_SPACE(20))
            information = next(data for _, kind, data in ancillary if kind == socket.IPV6_PKTINFO)
            answer = arrival(str(ipaddress.IPv6Address(information[:16])))
            # From the address that it was sent to; ipv6(7), IPV6_PKTINFO.
            endpoint.sendmsg([answer], [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, information)], 0, peer)


def arrival(address: str) -> bytes:
    """What is told to who arrives there."""
    parsed = ipaddress.IPv6Address(address.partition("%")[0]) if ":" in address else ipaddress.IPv4Address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return f"{mapped or parsed}\n".encode()
