#!/usr/bin/python3
"""Writes address_table.inc: addresses with what Python's ipaddress says of them, for address_class_test.cc.

usage: make_address_table.py > address_table.inc

Python knows no SELF, METADATA or embedded IPv4 but mapped, 6to4 and Teredo; the rest is computed here from the text of
AddressClass in policy.proto, apart from the C++ and in another way: by networks and not by bits.
"""

import ipaddress
import random

METADATA = [
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
]  # fmt: skip
METADATA_ADDRESSES = {ipaddress.ip_address(text) for text in METADATA}


def networks(*texts: str):
    return [ipaddress.ip_network(text) for text in texts]


PRIVATE = networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")
CGNAT = networks("100.64.0.0/10")
EMBEDDING = networks("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
# Newer than some versions of ipaddress, whose is_private is the registries' rest.
RESERVED = networks("0.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4", "2001::/23", "3fff::/20")
UNICAST = ipaddress.ip_network("2000::/3")
REACHABLE = networks(
    "192.0.0.9/32", "192.0.0.10/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32",
    "2001:4:112::/48", "2001:20::/28", "2001:30::/28",
)  # fmt: skip


def is_in(address, all_networks) -> bool:
    return any(address.version == network.version and address in network for network in all_networks)


def v4_at(address, first_bit: int) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address((int(address) >> (96 - first_bit)) & 0xFFFFFFFF)


def v4_around(address, first_bit: int) -> ipaddress.IPv4Address:
    """RFC 6052: bits 64 to 71 are skipped."""
    bits = f"{int(address):0128b}"
    return ipaddress.IPv4Address(int((bits[first_bit:64] + bits[72:])[:32], 2))


def embedded(address) -> list:
    if address.version == 4:
        return []
    found = []
    if is_in(address, networks("64:ff9b::/96", "::ffff:0:0:0/96")) or (
        is_in(address, networks("::/96")) and int(address) > 1
    ):
        found.append(v4_at(address, 96))
    if is_in(address, networks("64:ff9b:1::/48")):
        found += [v4_around(address, 48), v4_around(address, 56), v4_around(address, 64), v4_at(address, 96)]
    if address.sixtofour:
        found.append(address.sixtofour)
    if address.teredo:
        found += address.teredo
    if (int(address) >> 32) & 0xFDFFFFFF == 0x00005EFE:
        found.append(v4_at(address, 96))
    return found


def class_of(address) -> str:
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    isatap = address.version == 6 and (int(address) >> 32) & 0xFDFFFFFF == 0x00005EFE
    tests = (
        ("Metadata", any(one in METADATA_ADDRESSES for one in (address, *embedded(address)))),
        ("Wildcard", address.is_unspecified),
        ("Loopback", address.is_loopback),
        ("LinkLocal", address.is_link_local),
        ("Private", is_in(address, PRIVATE)),
        ("Cgnat", is_in(address, CGNAT)),
        ("Multicast", address.is_multicast),
        ("Broadcast", int(address) == 0xFFFFFFFF and address.version == 4),
        ("V4Embedded", is_in(address, EMBEDDING) or isatap),
        ("Global", is_in(address, REACHABLE)),
        ("Reserved", is_in(address, RESERVED) or address.is_private or address.is_reserved),
        ("Reserved", address.version == 6 and address not in UNICAST),
        ("Global", True),
    )
    return next(name for name, is_it in tests if is_it)


def edges(network) -> list:
    first, last = int(network.network_address), int(network.broadcast_address)
    kind = type(network.network_address)
    return [kind(value) for value in (first - 1, first, first + 1, last - 1, last, last + 1) if 0 <= value < 2**network.max_prefixlen]


def sample() -> list:
    generator = random.Random(6)  # The table stays the same.
    all_networks = PRIVATE + CGNAT + EMBEDDING + RESERVED + REACHABLE + networks(
        "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "fe80::/10", "ff00::/8", "2001:db8::/32", "::ffff:0:0/96", "2000::/3", "::1/128",
    )  # fmt: skip
    found = [address for network in all_networks for address in edges(network)]
    v4 = [ipaddress.IPv4Address(generator.getrandbits(32)) for _ in range(150)]
    v4_texts = [text for text in METADATA if "." in text] + ["127.0.0.1", "10.1.2.3", "8.8.8.8", "0.0.0.0"]
    v4 += [ipaddress.IPv4Address(text) for text in v4_texts]
    found += v4 + [ipaddress.IPv6Address(generator.getrandbits(128)) for _ in range(50)]
    found += [ipaddress.IPv6Address(0x2000 << 112 | generator.getrandbits(125)) for _ in range(50)]
    found += [ipaddress.ip_address(text) for text in METADATA]
    for one in v4[-len(v4_texts) :] + v4[:10]:
        number = int(one)
        high, low = number >> 16, number & 0xFFFF
        for base in ("64:ff9b::", "::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b:1::", "fe80::5efe:0:0", "2001:db9::200:5efe:0:0"):
            found.append(ipaddress.IPv6Address(int(ipaddress.IPv6Address(base)) | number))
        local = int(ipaddress.IPv6Address("64:ff9b:1::"))
        found.append(ipaddress.IPv6Address(local | high << 64 | low << 40))
        found.append(ipaddress.IPv6Address(local | (number >> 24) << 64 | (number & 0xFFFFFF) << 32))
        found.append(ipaddress.IPv6Address(local | number << 24))
        found.append(ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1))
        found.append(ipaddress.IPv6Address(0x20010000 << 96 | number << 64 | 0x1234))
        found.append(ipaddress.IPv6Address(0x20010000 << 96 | 0x01020304 << 64 | number ^ 0xFFFFFFFF))
    return list(dict.fromkeys(found))


def main() -> None:
    print("// Made by make_address_table.py.")
    for address in sample():
        print(f'{{"{address}", AddressClass::k{class_of(address)}}},')


if __name__ == "__main__":
    main()
