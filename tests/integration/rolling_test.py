"""A rolling replacement in miniature: instances behind one balanced name, one drained while all are busy.

The name is gRPC's list of addresses, balanced by the client as a headless Service's is, with health checks, which is what
deploy/README.md recommends (Kubernetes, "Rolling").
"""

import json
import signal
import threading
from dataclasses import dataclass, field

import grpc
import harness
from client import ServiceError, StreamSession, open_channel
from harness import Service
from transportd.v1 import event_loop_pb2, event_loop_pb2_grpc, types_pb2

WORKERS = 6
BLOCK = harness.pattern(64 * 1024)

SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "readiness"},
}


def balanced_channel(targets: list[str]) -> grpc.Channel:
    options = [
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    return grpc.insecure_channel("ipv4:" + ",".join(targets), options)


@dataclass
class Life:
    """Of one session: where it was, and how it ended."""

    instance: str
    heard_draining: bool = False
    blocks: int = 0
    status: object = None


@dataclass
class Worker:
    """Echoes blocks through whichever instance it gets; moves on, in order, when that drains."""

    channel: grpc.Channel
    address: tuple[str, int]
    stop: threading.Event
    lives: list[Life] = field(default_factory=list)
    refused: int = 0
    error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.live()
        except BaseException as error:  # Shown by the test.
            self.error = error

    def live(self) -> None:
        try:
            session = StreamSession("", channel=self.channel)
        except ServiceError as error:
            # Between the instance's first refusal and the health check that tells of it.
            if error.reason != "SERVICE_STOPPING":
                raise
            self.refused += 1
            return
        with session:
            life = Life(session.opened.instance_target)
            self.lives.append(life)
            transport = session.connect(self.address)
            seen = session.seen(transport)
            while not self.stop.is_set() and session.draining is None:
                seen.data.clear()
                session.write(transport, BLOCK)
                session.wait_data(transport, BLOCK)
                life.blocks += 1
            life.heard_draining = session.draining is not None
        life.status = session.status


def echo(listener) -> None:
    def serve(peer) -> None:
        with peer:
            while data := peer.recv(65536):
                peer.sendall(data)

    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(peer,), daemon=True).start()


def wait_until_balanced(channel: grpc.Channel, targets: set[str]) -> None:
    """The first calls go to whichever instance is ready first."""
    loop = event_loop_pb2_grpc.EventLoopStub(channel)
    seen = set()

    def all_seen() -> bool:
        request = event_loop_pb2.OpenSessionRequest(open={"revision": 1})
        opened = loop.OpenSession(request, timeout=harness.TIMEOUT, wait_for_ready=True).opened
        seen.add(opened.instance_target)
        with open_channel(opened.instance_target) as own:
            request = event_loop_pb2.CloseSessionRequest(session_id=opened.session_id)
            event_loop_pb2_grpc.EventLoopStub(own).CloseSession(request, timeout=harness.TIMEOUT)
        return seen == targets

    harness.eventually(all_seen, "calls go to every instance")


class RollingTest(harness.ServiceTestCase):
    def start_service(self) -> Service:
        return Service("--drain-timeout=60s", listen="127.0.0.1:0")

    def instances_in_use(self, workers: list[Worker]) -> set[str]:
        return {worker.lives[-1].instance for worker in workers if worker.lives and worker.lives[-1].blocks}

    def test_no_session_ends_unannounced_and_new_ones_land_elsewhere(self):
        old, new = self.service, self.start_service()
        self.addCleanup(new.stop)
        listener = self.listener()
        threading.Thread(target=echo, args=(listener,), daemon=True).start()
        stop = threading.Event()
        channels = [balanced_channel([old.target, new.target]) for _ in range(2)]
        for channel in channels:
            wait_until_balanced(channel, {old.target, new.target})
        workers = [Worker(channels[i % 2], listener.getsockname(), stop) for i in range(WORKERS)]
        threads = [threading.Thread(target=worker.run) for worker in workers]
        try:
            for thread in threads:
                thread.start()
            harness.eventually(
                lambda: self.instances_in_use(workers) == {old.target, new.target}, "both instances are used"
            )
            before = {id(worker): sum(life.blocks for life in worker.lives) for worker in workers}
            old.process.send_signal(signal.SIGTERM)
            self.assertEqual(old.process.wait(harness.TIMEOUT), 0)  # With its last session, long before 60 s.
            old.expect_ended()
            harness.eventually(
                lambda: all(
                    worker.error or (worker.lives[-1].instance == new.target and worker.lives[-1].blocks > 2)
                    for worker in workers
                ),
                "all work on the other instance",
            )
            after = {id(worker): sum(life.blocks for life in worker.lives) for worker in workers}
        finally:
            stop.set()
            for thread in threads:
                thread.join(harness.TIMEOUT)
            for channel in channels:
                channel.close()
        for worker in workers:
            self.assertIsNone(worker.error)
            self.assertGreater(after[id(worker)], before[id(worker)])
            for life in worker.lives:
                self.assertEqual(life.status, "OK", life)
                if life.instance == old.target:
                    self.assertTrue(life.heard_draining, life)
        self.assertTrue(any(life.instance == old.target for worker in workers for life in worker.lives))

    def test_who_does_not_move_is_ended_at_the_deadline_and_was_told(self):
        service = Service("--drain-timeout=1s", listen="127.0.0.1:0")
        self.addCleanup(service.stop)
        listener = self.listener()
        session = self.enter(StreamSession(service.target))
        transport = session.connect(listener.getsockname())
        service.process.send_signal(signal.SIGTERM)
        session.wait(lambda: session.draining is not None, "draining")
        lost = session.wait_lost(transport)
        self.assertEqual(lost.cause, types_pb2.END_CAUSE_SERVICE_STOPPING)
        self.assertEqual(session.wait_ended().code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(service.process.wait(harness.TIMEOUT), 0)
        service.expect_ended()


if __name__ == "__main__":
    harness.main()
