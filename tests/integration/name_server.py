"""A name server (RFC 1035) that says what a test wants, another thing each time if need be."""

import contextlib
import ipaddress
import socket
import struct
import threading
from typing import Self

_TYPES = {"A": 1, "AAAA": 28}
_CNAME = 5


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _record(name: str, kind: int, data: bytes) -> bytes:
    ttl = 0
    return _encoded(name) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


class NameServer:
    """Over UDP, until its block ends. Who asks for what it was not told of hears that there is no such name."""

    def __init__(self, address: str):
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], list[list[str]]] = {}
        self._aliases: dict[str, str] = {}
        self._silent: set[str] = set()
        self._queries: list[tuple[str, int]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def tell(self, name: str, *answers: list[str]) -> None:
        """Each answer once, the last one from then on. Addresses of both families may be mixed: each goes to who asks."""
        with self._lock:
            self._silent.discard(name)
            for kind, version in (("A", 4), ("AAAA", 6)):
                self._answers[name, kind] = [
                    [address for address in answer if ipaddress.ip_address(address).version == version]
                    for answer in answers
                ]

    def alias(self, name: str, target: str) -> None:
        """A CNAME record; may lead to another one."""
        with self._lock:
            self._aliases[name] = target

    def silence(self, name: str) -> None:
        """Who asks for it waits for as long as he likes, until it is told."""
        with self._lock:
            self._silent.add(name)

    def queries(self) -> list[tuple[str, int]]:
        """All names that were asked for since this was called last, with the type of the record."""
        with self._lock:
            queries, self._queries = self._queries, []
            return queries

    def _serve(self) -> None:
        while True:
            try:
                query, client = self._socket.recvfrom(4096)
            except OSError:
                return
            if not query:
                return  # Shut down.
            answer = self._answer(query)
            if answer is None:
                continue
            with contextlib.suppress(OSError):
                self._socket.sendto(answer, client)

    def _answer(self, query: bytes) -> bytes | None:
        labels, position = [], 12
        while query[position]:
            labels.append(query[position + 1 : position + 1 + query[position]].decode("latin1").lower())
            position += 1 + query[position]
        (kind,) = struct.unpack("!H", query[position + 1 : position + 3])
        question = query[12 : position + 5]
        name = ".".join(labels)
        with self._lock:
            self._queries.append((name, kind))
            if name in self._silent:
                return None
            records = self._records(name, kind)
        no_such_name = 3
        flags = 0x8580 | (no_such_name if records is None else 0)
        records = records or []
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)

    def _records(self, name: str, kind: int) -> list[bytes] | None:
        records = []
        while name in self._aliases:
            records.append(_record(name, _CNAME, _encoded(self._aliases[name])))
            name = self._aliases[name]
        if not any(known == name for known, _ in self._answers):
            return records or None
        for text, number in _TYPES.items():
            if number != kind:
                continue
            answers = self._answers[name, text]
            addresses = answers[0] if len(answers) == 1 else answers.pop(0)
            records += [_record(name, number, ipaddress.ip_address(address).packed) for address in addresses]
        return records
