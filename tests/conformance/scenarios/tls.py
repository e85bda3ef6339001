import functools
import ipaddress
import os
import socket
import ssl

from stage import errno_name, scenario
from tls_end import certificates, client_context, server_context


def certificate_text(certificate):
    if not certificate:
        return str(certificate) if certificate is None else "unverified"
    names = [",".join("=".join(part) for name in certificate[which] for part in name) for which in ("subject", "issuer")]
    # CPython writes all of an IPv6 address; the service has its usual form.
    others = ",".join(
        f"{kind}:{ipaddress.ip_address(name) if kind == 'IP Address' else name}"
        for kind, name in certificate.get("subjectAltName", ())
    )
    return f"[{names[0]}] of [{names[1]}] {others} version {certificate['version']}"


def note_tls(protocol):
    transport = protocol.transport
    tls = transport.get_extra_info("ssl_object")
    cipher = "/".join(str(part) for part in transport.get_extra_info("cipher"))
    protocol.note(f"{tls.version()} {cipher} compression={transport.get_extra_info('compression')}")
    protocol.note(f"alpn {tls.selected_alpn_protocol()}")
    protocol.note(f"session_reused {tls.session_reused}")
    protocol.note(f"peercert {certificate_text(transport.get_extra_info('peercert'))}")


async def link(s, protocol, terms, **options):
    """As Stage.pair, with other terms on either side."""
    listener = s.listener("peer")
    accepting = s.start_accept(listener, "peer", lambda peer: peer.start_tls(terms))
    options.setdefault("ssl", client_context())
    options.setdefault("server_hostname", "localhost")
    await s.connect(protocol, s.port_of(listener), **options)
    return await accepting


async def refuse(s, terms, **options):
    """A connection that fails in the handshake; what the peer hears of it is not traced."""
    client = s.protocol("client")
    listener = s.listener("peer")

    def work(peer):
        peer._trace = type(peer._trace)()
        peer.start_tls(terms)

    accepting = s.start_accept(listener, "peer", work)
    options.setdefault("ssl", client_context())
    options.setdefault("server_hostname", "localhost")
    try:
        await s.loop.create_connection(lambda: client, s.host, s.port_of(listener), **options)
    except ssl.SSLCertVerificationError as error:
        client.note(f"create_connection {errno_name(error)} {error.verify_code}")
    except OSError as error:
        client.note(f"create_connection {errno_name(error)}")
    await accepting


async def meet(s, work, **options):
    """A connection to a peer that does not speak TLS but does `work`."""
    client = s.protocol("client")
    listener = s.listener("peer")
    accepting = s.start_accept(listener, "peer", work)
    await s.connect(client, s.port_of(listener), ssl=client_context(), server_hostname="localhost", **options)
    await accepting


async def start_tls(protocol, context, **options):
    try:
        loop = protocol.stage.loop
        protocol.transport = await loop.start_tls(protocol.transport, protocol, context, **options)
        protocol.note("start_tls returns")
    except OSError as error:
        protocol.note(f"start_tls {errno_name(error)}")


async def end(s, protocol):
    protocol.transport.close()
    await s.until_lost(protocol)


@scenario
async def tls_extra_info(s):
    client, _ = await s.pair()
    note_tls(client)
    await end(s, client)


@scenario
async def tls_extra_info_of_a_server_transport(s):
    server = await s.serve()
    await s.dial(s.port_of_server(server))
    await s.until(lambda: s.is_made("server1"))
    note_tls(s.protocol_named("server1"))
    server.close()
    await end(s, s.protocol_named("server1"))


@scenario
async def tls_client_certificate(s):
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates().root.chain)
    server = await s.serve(ssl=context)
    terms = client_context()
    terms.load_cert_chain(certificates().localhost.chain, certificates().localhost.key)
    peer = await s.dial(s.port_of_server(server), plain=True)
    await s.run(lambda: peer.start_tls(terms, False, "localhost"))
    await s.until(lambda: s.is_made("server1"))
    note_tls(s.protocol_named("server1"))
    server.close()
    await end(s, s.protocol_named("server1"))


@scenario
async def tls_of_version_1_2(s):
    terms = server_context()
    terms.maximum_version = ssl.TLSVersion.TLSv1_2
    client = s.protocol("client")
    await link(s, client, terms)
    note_tls(client)
    await end(s, client)


@scenario
async def tls_unverified(s):
    context = client_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = s.protocol("client")
    await link(s, client, server_context(certificates().self_signed), ssl=context)
    note_tls(client)
    await end(s, client)


@scenario
async def tls_alpn_of_a_client(s):
    for number, protocols in enumerate((["http/1.1"], ["spdy/3"])):
        terms = server_context()
        terms.set_alpn_protocols(protocols)
        context = client_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        client = s.protocol(f"client{number}")
        listener = s.listener(f"peer{number}")
        accepting = s.start_accept(listener, f"peer{number}", functools.partial(lambda t, peer: peer.start_tls(t), terms))
        await s.connect(client, s.port_of(listener), ssl=context, server_hostname="localhost")
        await accepting
        note_tls(client)
        await end(s, client)


@scenario
async def tls_alpn_of_a_server(s):
    context = server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = await s.serve(ssl=context)
    terms = client_context()
    terms.set_alpn_protocols(["http/1.1", "h2"])
    peer = await s.dial(s.port_of_server(server), plain=True)
    await s.run(lambda: peer.start_tls(terms, False, "localhost"))
    await s.until(lambda: s.is_made("server1"))
    note_tls(s.protocol_named("server1"))
    server.close()
    await end(s, s.protocol_named("server1"))


@scenario
async def tls_asks_for_the_server_by_name(s):
    trace = s.new_trace("asked")
    for number, name in enumerate(("localhost", "127.0.0.1")):
        terms = server_context()
        terms.sni_callback = lambda _, asked, __: trace.add(f"for {asked}")
        client = s.protocol(f"client{number}")
        listener = s.listener(f"peer{number}")
        accepting = s.start_accept(listener, f"peer{number}", functools.partial(lambda t, peer: peer.start_tls(t), terms))
        await s.connect(client, s.port_of(listener), ssl=client_context(), server_hostname=name)
        await accepting
        await end(s, client)


@scenario
async def tls_checks_the_host_when_no_name_is_given(s):
    client = s.protocol("client")
    listener = s.listener("peer")
    accepting = s.start_accept(listener, "peer", lambda peer: peer.start_tls(server_context()))
    await s.connect(client, s.port_of(listener), ssl=client_context())
    await accepting
    await end(s, client)


@scenario
async def tls_wrong_host_name(s):
    await refuse(s, server_context(), server_hostname="elsewhere.example")


@scenario
async def tls_self_signed(s):
    await refuse(s, server_context(certificates().self_signed))


@scenario
async def tls_expired(s):
    await refuse(s, server_context(certificates().expired))


@scenario
async def tls_unknown_root(s):
    await refuse(s, server_context(), ssl=client_context(certificates().self_signed))


@scenario
async def tls_alert_in_the_handshake(s):
    terms = server_context()
    terms.maximum_version = ssl.TLSVersion.TLSv1_2
    context = client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    await refuse(s, terms, ssl=context)


@scenario
async def tls_alert_after_the_handshake(s):
    terms = server_context()
    terms.verify_mode = ssl.CERT_REQUIRED
    client = s.protocol("client")
    await link(s, client, terms)
    await s.until(lambda: client.lost)


@scenario
async def tls_garbage_in_the_handshake(s):
    await meet(s, lambda peer: (peer.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), peer.drain()))


@scenario
async def tls_peer_ends_in_the_handshake(s):
    await meet(s, lambda peer: (peer.skip(100), peer.cut(), peer.drain()))


@scenario
async def tls_peer_stops_in_the_handshake(s):
    await meet(s, lambda peer: peer.drain(), ssl_handshake_timeout=0.05)


@scenario
async def tls_cancelled_in_the_handshake(s):
    client = s.protocol("client")
    listener = s.listener("peer")
    begun = s.loop.create_future()

    def work(peer):
        peer.skip(100)
        s.loop.call_soon_threadsafe(begun.set_result, None)
        peer.drain()

    accepting = s.start_accept(listener, "peer", work)
    options = {"ssl": client_context(), "server_hostname": "localhost"}
    connecting = s.loop.create_task(s.connect(client, s.port_of(listener), **options))
    await begun
    connecting.cancel()
    await connecting
    await accepting


@scenario
async def tls_key_of_another_certificate(s):
    trace = s.new_trace("server")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            certificates().localhost.chain, certificates().self_signed.key
        )
    except ssl.SSLError as error:
        trace.add(f"create_server {error.reason}")


@scenario
async def tls_close_notify_is_an_eof(s):
    client, peer = await s.pair()
    await s.run(lambda: (peer.send(b"last words"), peer.shutdown(), peer.recv_all()))
    await s.until_lost(client)


@scenario
async def tls_fin_without_close_notify_is_an_eof_too(s):
    client, peer = await s.pair()
    await s.run(lambda: (peer.send(b"cut sh"), peer.cut(), peer.recv_all()))
    await s.until_lost(client)


@scenario
async def tls_corrupt_record(s):
    client, peer = await s.pair()
    await s.run(lambda: (peer.send(b"good"), peer.send_raw(b"\x17\x03\x03\x00\x20" + b"g" * 32), peer.drain()))
    await s.until(lambda: client.lost)


@scenario
async def tls_eof_cannot_be_kept_open(s):
    client, peer = await s.pair(eof=lambda p: True)
    await s.run(lambda: (peer.shutdown(), peer.recv_all()))
    await s.until_lost(client)


@scenario
async def tls_write_after_close_is_dropped(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(b"before")
    client.transport.close()
    client.transport.write(b"after")
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def tls_data_after_close_is_an_error(s):
    client, peer = await s.pair()
    client.transport.close()
    await s.settle()
    await s.run(lambda: (peer.send(b"too late"), peer.drain()))
    await s.until(lambda: client.lost)


@scenario
async def tls_close_that_is_not_answered(s):
    client = s.protocol("client")
    listener = s.listener("peer")
    accepting = s.start_accept(listener, "peer", lambda peer: peer.start_tls(server_context()))
    options = {"ssl": client_context(), "server_hostname": "localhost", "ssl_shutdown_timeout": 0.05}
    await s.connect(client, s.port_of(listener), **options)
    await accepting
    client.transport.close()
    await s.until(lambda: client.lost)


@scenario
async def tls_write_buffer_limits(s):
    client, _ = await s.pair()
    client.note_limits()
    client.try_set_limits(high=1000)
    client.note_limits()
    client.try_set_limits()
    client.note_limits()
    await end(s, client)


@scenario
async def start_tls_of_a_client(s):
    client, peer = await s.plain_pair()
    client.transport.write(b"STARTTLS")
    await s.run(lambda: (peer.recv(8), peer.send(b"go")))
    await s.until(lambda: client.received_bytes == 2)
    shaking = s.start(lambda: peer.start_tls(server_context()))
    await start_tls(client, client_context(), server_hostname="localhost")
    await shaking
    note_tls(client)
    client.note_limits()
    client.transport.write(b"secret")
    await s.run(lambda: (peer.recv(6), peer.send(b"answer")))
    await s.until(lambda: client.received_bytes == 8)
    client.note_state()
    await end(s, client)


@scenario
async def start_tls_of_a_server(s):
    server = await s.serve(ssl=None)
    peer = await s.dial(s.port_of_server(server), plain=True)
    await s.until(lambda: s.is_made("server1"))
    server1 = s.protocol_named("server1")
    shaking = s.start(lambda: peer.start_tls(client_context(), False, "localhost"))
    await start_tls(server1, server_context(), server_side=True)
    await shaking
    note_tls(server1)
    await s.run(lambda: peer.send(b"secret"))
    await s.until(lambda: server1.received_bytes == 6)
    server.close()
    await end(s, server1)


@scenario
async def start_tls_that_fails(s):
    client, peer = await s.plain_pair()

    def work():
        peer.skip(100)
        peer.send_raw(b"500 what?\r\n")
        peer.drain()

    talking = s.start(work)
    await start_tls(client, client_context(), server_hostname="localhost")
    await talking
    client.lost = True


@scenario
async def start_tls_over_tls(s):
    client, peer = await s.pair()
    client.transport.write(b"outer")
    await s.run(lambda: peer.recv(5))
    shaking = s.start(lambda: peer.start_tls(server_context()))
    await start_tls(client, client_context(), server_hostname="localhost")
    await shaking
    note_tls(client)
    client.transport.write(b"inner")
    await s.run(lambda: (peer.recv(5), peer.send(b"answer")))
    await s.until(lambda: client.received_bytes == 6)
    client.transport.abort()
    await s.until(lambda: client.lost)
    await s.run(peer.drain)


@scenario
async def tls_over_unix_sockets(s):
    path = s.path_of("socket")
    s._paths[path] = "socket"
    server = await s.loop.create_unix_server(s.factory(data=lambda p, data: p.transport.write(data)), path, ssl=server_context())
    client = s.protocol("client")
    await s.loop.create_unix_connection(lambda: client, path, ssl=client_context(), server_hostname="localhost")
    client.note("create_connection returns")
    note_tls(client)
    client.transport.write(b"hello")
    await s.until(lambda: client.received_bytes == 5)
    client.transport.close()
    await s.until(lambda: client.lost and s.protocol_named("server1").lost)
    server.close()
    os.unlink(path)


@scenario
async def tls_of_existing_sockets(s):
    first, second = socket.socketpair()
    server, client = s.protocol("accepted"), s.protocol("client")
    accepting = s.loop.create_task(s.loop.connect_accepted_socket(lambda: server, first, ssl=server_context()))
    await s.loop.create_unix_connection(lambda: client, sock=second, ssl=client_context(), server_hostname="localhost")
    await accepting
    await s.until(lambda: server.made)
    note_tls(client)
    note_tls(server)
    server.transport.write(b"welcome")
    await s.until(lambda: client.received_bytes == 7)
    client.transport.close()
    await s.until(lambda: client.lost and server.lost)
