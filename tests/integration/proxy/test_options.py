"""What the options change: whose word is believed, which Host the backend sees, TLS, who is told what."""

import datetime
import ssl
import threading
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import Scope

from gateway.domain.peers import Peers
from gateway.edge.options import ProxyOptions
from tests.integration.proxy.fronts import Front
from tests.integration.proxy.stub import Conversation, StubBackend, answering
from tests.integration.proxy.wire import HeaderList, ask, request

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

LOOPBACK = Peers(trusted=(ip_network("127.0.0.0/8"),))

TOLD: HeaderList = [
    (b"x-forwarded-for", b"203.0.113.9"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"tickets.example"),
    (b"x-forwarded-port", b"443"),
    (b"x-forwarded-prefix", b"/shop"),
    (b"x-real-ip", b"203.0.113.9"),
    (b"forwarded", b"for=203.0.113.9;proto=https"),
    (b"x-original-url", b"/admin"),
    (b"x-rewrite-url", b"/admin"),
    (b"x_forwarded_for", b"203.0.113.9"),
    (b"x.forwarded.proto", b"https"),
]


def seen_by_backend(options: ProxyOptions, backend: StubBackend) -> list[tuple[bytes, bytes]]:
    """Return the forwarding fields that reach the backend with a request that brings its own."""
    with Front(options) as front:
        assert ask(front.port, request(headers=TOLD)).status == 200
    lines = backend.heads[-1].split(b"\r\n")[1:-2]
    fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    return [field for field in fields if field[0] != b"host"]


def test_a_visitors_word_about_itself_is_not_passed_on() -> None:
    with StubBackend(answering(OK)) as backend:
        assert seen_by_backend(ProxyOptions(backend=backend.url), backend) == [
            (b"x-forwarded-for", b"127.0.0.1"),
            (b"x-forwarded-proto", b"http"),
            (b"x-forwarded-host", b"site.example"),
            (b"forwarded", b"for=127.0.0.1;proto=http;host=site.example"),
        ]


def test_a_trusted_proxys_word_is_passed_on_and_ours_added() -> None:
    with StubBackend(answering(OK)) as backend:
        fields = seen_by_backend(ProxyOptions(backend=backend.url, peers=LOOPBACK), backend)
    assert fields == [
        (b"x-forwarded-port", b"443"),
        (b"x-forwarded-prefix", b"/shop"),
        (b"x-real-ip", b"203.0.113.9"),
        (b"x-forwarded-for", b"203.0.113.9, 127.0.0.1"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"tickets.example"),
        (b"forwarded", b"for=203.0.113.9;proto=https, for=127.0.0.1;proto=https;host=site.example"),
    ]


@pytest.mark.parametrize("keep_host", [True, False])
def test_the_backend_sees_the_visitors_host_or_its_own(keep_host: bool) -> None:
    with StubBackend(answering(OK)) as backend:
        options = ProxyOptions(backend=backend.url, keep_host=keep_host)
        with Front(options) as front:
            ask(front.port, request(host="site.example:8443"))
        head = backend.heads[0]
        host = "site.example:8443" if keep_host else f"127.0.0.1:{backend.port}"
        assert f"\r\nhost: {host}\r\n".encode() in head.lower()
        assert head.lower().count(b"\r\nhost:") == 1
        assert b"\r\nx-forwarded-host: site.example:8443\r\n" in head


SAYING = (
    b"HTTP/1.1 200 OK\r\nQueue-Session: extend=600\r\nQueue-Position: 1\r\nQueue_Event: x\r\n"
    b"X-Other: 1\r\ncontent-length: 2\r\n\r\nok"
)


def test_what_the_backend_says_of_the_session_is_heard_and_goes_no_further() -> None:
    heard: list[tuple[str, bytes]] = []

    def listen(scope: Scope, value: bytes) -> None:
        heard.append((scope["path"], value))

    with StubBackend(answering(SAYING)) as backend:
        options = ProxyOptions(backend=backend.url, on_session_header=listen)
        with Front(options) as front:
            answer = ask(front.port, request("/book"))
    assert heard == [("/book", b"extend=600")]
    assert answer.headers == [(b"x-other", b"1"), (b"content-length", b"2")]


def test_without_a_listener_it_is_left_for_the_middleware_around_the_proxy() -> None:
    with (
        StubBackend(answering(SAYING)) as backend,
        Front(ProxyOptions(backend=backend.url)) as front,
    ):
        answer = ask(front.port, request())
    assert answer.value(b"queue-session") == b"extend=600"
    assert answer.values(b"queue-position") == answer.values(b"queue_event") == []


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that it signs itself, in one PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "backend")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "backend.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_backend(certificate: Path) -> StubBackend:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return StubBackend(answering(OK), tls=context)


def test_a_backend_with_a_certificate_that_is_vouched_for_is_reached_over_tls(
    tls_backend: StubBackend, certificate: Path
) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    with tls_backend as backend, Front(ProxyOptions(backend=backend.url, tls=trusting)) as front:
        # The certificate is the backend's, the Host the visitor's.
        assert ask(front.port, request(host="site.example")).body == b"ok"
    assert b"host: site.example\r\n" in backend.heads[0].lower()


def test_a_backend_that_nobody_vouches_for_gets_nothing(tls_backend: StubBackend) -> None:
    with tls_backend as backend, Front(ProxyOptions(backend=backend.url)) as front:
        assert ask(front.port, request()).status == 502
    assert backend.heads == []


# Load.


def test_more_visitors_than_connections_wait_their_turn() -> None:
    gate = threading.Event()

    async def script(talk: Conversation) -> None:
        while True:
            await talk.read_head()
            await talk.send(OK)

    answers: list[int] = []

    def visit(port: int) -> None:
        gate.wait()
        for _ in range(10):
            answers.append(ask(port, request()).status)

    with StubBackend(script) as backend:
        with Front(ProxyOptions(backend=backend.url, connections=3)) as front:
            visitors = [threading.Thread(target=visit, args=[front.port]) for _ in range(12)]
            for visitor in visitors:
                visitor.start()
            gate.set()
            for visitor in visitors:
                visitor.join(20)
        assert backend.connections <= 3
    assert answers == [200] * 120
