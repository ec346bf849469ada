"""Settings: checked whole at start, every mistake named at once, no secret ever shown."""

import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from gateway.domain.routes import OpenPath, Protected, Undesignated, UnknownHost
from gateway.domain.targets import canonical_target
from gateway.errors import SettingsInvalid
from gateway.settings import (
    SECTIONS,
    EventSettings,
    KeySettings,
    LedgerSettings,
    ProxySettings,
    ServerSettings,
    Settings,
    load_settings,
)

SECRET = "s3cr3t-p4ssw0rd"

EVENT = """
[events.summer]
hosts = ["Booking.Example:443", "www.booking.example"]
home_host = "Booking.Example:443"
paths = ["/book", "/konzert-%C3%BC"]
open = ["/healthz", "GET,HEAD /assets/"]
finish = ["POST /checkout/"]
origins = ["https://example.org", "http://localhost:3000"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(text, "utf-8")
    return path


def load(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    return load_settings(write(folder, text), {} if environ is None else environ)


def mistakes_of(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsInvalid) as invalid:
        load(folder, text, environ)
    assert str(invalid.value) == "\n".join(invalid.value.mistakes)
    return invalid.value.mistakes


def test_an_empty_file_means_the_defaults(folder: Path) -> None:
    settings = load(folder, "")
    assert settings.server == ServerSettings()
    assert settings.proxy == ProxySettings()
    assert settings.events == {}
    assert settings.log_level == "info"


def test_by_default_nobody_is_trusted_and_nothing_listens_to_the_outside() -> None:
    server = ServerSettings()
    assert server.trusted_proxies == ()
    assert server.forward_auth_peers == ()
    assert (server.host, server.admin_host) == ("127.0.0.1", "127.0.0.1")
    assert ProxySettings().open_hosts == ()
    assert Settings().routes().routes == ()


def test_a_whole_file_is_read(folder: Path) -> None:
    settings = load(
        folder,
        """
log_level = "debug"
[server]
host = "0.0.0.0"
port = 0
admin_port = 0
workers = 4
trusted_proxies = ["10.0.0.0/8", "::1"]
forward_auth_peers = ["192.0.2.7"]
scheme = "https"
http = "h11"
[keys]
issuer = "tickets"
[ledger]
url = "rediss://user:pass@ledger.example:6380/1"
timeout_s = 0.5
poll_s = 1
[proxy]
backend = "https://backend.example:8443"
keep_host = false
open_hosts = ["Static.Example"]
"""
        + EVENT,
    )
    assert settings.server.workers == 4
    assert settings.trusted_networks() == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert settings.forward_auth_networks() == (ip_network("192.0.2.7/32"),)
    assert settings.ledger.timeout_s == 0.5
    assert settings.ledger.poll_s == 1.0
    assert settings.proxy.keep_host is False
    assert settings.log_level == "debug"


def test_an_event_of_the_file_becomes_a_route(folder: Path) -> None:
    settings = load(folder, '[proxy]\nopen_hosts = ["static.example"]\n' + EVENT)
    table = settings.routes()
    (route,) = table.routes
    assert route.hosts == ("booking.example", "www.booking.example")
    assert route.home_host == "booking.example"
    assert route.origins == {"https://example.org", "http://localhost:3000"}

    def designate(host: str, path: bytes) -> object:
        return type(table.designate(host, "GET", canonical_target(path)))

    assert designate("booking.example", b"/book/1") is Protected
    assert designate("booking.example", b"/KONZERT-%C3%9C") is Protected
    assert designate("www.booking.example", b"/assets/x.css") is OpenPath
    assert designate("static.example", b"/x") is Undesignated
    assert designate("evil.example", b"/x") is UnknownHost
    assert route.is_finish("POST", canonical_target(b"/checkout/pay"))


def test_every_mistake_is_named_at_once(folder: Path) -> None:
    text = """
colour = "red"
log_level = "loud"
[server]
port = 99999
admin_port = "8081"
workers = 0
scheme = "gopher"
http = "uvicorn"
colour = "red"
trusted_proxies = ["10.0.0.0/8", "proxy.example", "10.0.0.1/8"]
forward_auth_peers = [1]
[keys]
dir = 5
issuer = ""
[ledger]
url = "postgres://ledger.example"
timeout_s = 0
poll_s = nan
[proxy]
backend = "backend.example"
keep_host = "no"
open_hosts = ["*.example"]
[queue]
size = 5
[events.summer]
hosts = []
paths = ["book"]
open = ["get /x", "/a;b"]
finish = ["GET, POST /pay"]
origins = ["example.org"]
home_host = "elsewhere.example"
colour = "red"
[events.winter]
hosts = ["a/b"]
paths = "/x"
[events.Spring]
hosts = ["spring.example"]
[events.autumn]
paths = ["/autumn"]
"""
    mistakes = mistakes_of(folder, text, {"GATEWAY_SERVER__COLOUR": "red", "GATEWAY_X__Y": "1"})
    begins = [
        "[colour]: ",
        "log_level: ",
        "[server] port: ",
        "[server] admin_port: ",
        "[server] workers: ",
        "[server] scheme: ",
        "[server] http: ",
        "[server] colour: ",
        "[server] trusted_proxies: 'proxy.example'",
        "[server] trusted_proxies: '10.0.0.1/8'",
        "[server] forward_auth_peers: ",
        "[keys] dir: ",
        "[keys] issuer: ",
        "[ledger] url: ",
        "[ledger] timeout_s: ",
        "[ledger] poll_s: ",
        "[proxy] backend: ",
        "[proxy] keep_host: ",
        "[proxy] open_hosts: ",
        "[queue]: ",
        "[events.summer] hosts: ",
        "[events.summer] paths: 'book'",
        "[events.summer] open: 'get /x'",
        "[events.summer] open: '/a;b'",
        "[events.summer] finish: ",
        "[events.summer] origins: ",
        "[events.summer] home_host: ",
        "[events.summer] colour: ",
        "[events.winter] hosts: ",
        "[events.winter] paths: ",
        "[events.Spring]: ",
        "[events.autumn] hosts: ",
        "GATEWAY_SERVER__COLOUR: ",
        "GATEWAY_X__Y: ",
    ]
    for begin in begins:
        assert [m for m in mistakes if m.startswith(begin)], f"not named: {begin}"
    assert len(mistakes) == len(begins)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("server = 5", "[server]: must be a table"),
        ("events = 5", "[events]: must be a table of events"),
        ("[events]\nsummer = 5", "[events.summer]: must be a table"),
        ("[[ledger]]", "[ledger]: must be a table"),
        ("log_level = 5", "log_level: 5 is not one of"),
        ("[server]\nport = true", "[server] port: Expected `int`, got `bool`"),
        ("[server]\nport = 8081", "[server] admin_port: must not be the port"),
        ("[proxy]\nbackend = 'ftp://b'", "[proxy] backend: must be http://host:port"),
        ("[proxy]\nhealth_path = 'healthz'", "[proxy] health_path: must be a path"),
        ("[proxy]\nhealth_path = '/a b'", "[proxy] health_path: must be a path"),
        ("[proxy]\nbackend = 'http://'", "[proxy] backend: must be http://host:port"),
        ("[proxy]\nbackend = 'http://[::1'", "[proxy] backend: must be http://host:port"),
        ("[proxy]\nbackend = 'http://b:99999'", "[proxy] backend: must be http://host:port"),
        ("[proxy]\nbackend = 'http://b:http'", "[proxy] backend: must be http://host:port"),
        ("[proxy]\nbackend = 'http://b/path'", "[proxy] backend: names a host and a port only"),
        ("[proxy]\nbackend = 'http://b?x'", "[proxy] backend: names a host and a port only"),
        ("[proxy]\nbackend = 'http://u:p@b'", "[proxy] backend: names a host and a port only"),
        ("[keys]\njwks = ''", "[keys] jwks: Expected `str` of length >= 1"),
        ("[keys]\ndir = ''", "[keys] dir: Expected `str` of length >= 1"),
        ("[ledger]\ndata_dir = ''", "[ledger] data_dir: Expected `str` of length >= 1"),
    ],
)
def test_a_mistake_says_where_it_is_and_what_would_be_right(
    folder: Path, text: str, mistake: str
) -> None:
    assert mistakes_of(folder, text)[0].startswith(mistake)


def test_an_issuer_is_no_longer_than_a_token_s_claim_may_be(folder: Path) -> None:
    assert load(folder, f"[keys]\nissuer = '{'i' * 256}'").keys.issuer
    assert mistakes_of(folder, f"[keys]\nissuer = '{'i' * 257}'")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "-1", "86401", "'5'", "true"])
def test_a_length_of_time_is_a_positive_number_of_seconds_up_to_a_day(
    folder: Path, value: str
) -> None:
    assert mistakes_of(folder, f"[ledger]\ntimeout_s = {value}")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "*",
        "null",
        "example.org",
        "//example.org",
        "https://",
        "https://example.org/",
        "https://example.org/path",
        "https://example.org?x",
        "https://user@example.org",
        "https://Example.org",
        "HTTPS://example.org",
        "https://[::1",
        "https://example.org:port",
        "https://example.org:99999",
        "ftp://example.org",
        "https://example.org\\n",
    ],
)
def test_an_origin_that_no_browser_sends_is_a_mistake(folder: Path, origin: str) -> None:
    text = f'[events.a]\nhosts = ["a.example"]\norigins = ["{origin}"]'
    (only,) = mistakes_of(folder, text)
    assert only.startswith("[events.a] origins: ")


def test_an_event_on_every_host_cannot_have_the_asterisk_as_its_home(folder: Path) -> None:
    (only,) = mistakes_of(folder, '[events.a]\nhosts = ["*"]\nhome_host = "*"')
    assert only == "[events.a] home_host: must be one host"


@pytest.mark.parametrize(
    "text",
    [
        '[events.a]\nhosts = ["x.example"]\n[events.b]\nhosts = ["X.example."]',
        '[events.a]\nhosts = ["x.example"]\npaths = ["/p"]\n'
        '[events.b]\nhosts = ["x.example"]\npaths = ["/P/"]',
    ],
)
def test_two_events_that_claim_the_same_are_a_mistake(folder: Path, text: str) -> None:
    (only,) = mistakes_of(folder, text)
    assert only.startswith("[events]: events 'a' and 'b' both claim")


@pytest.mark.parametrize("paths", [[], ["/book"]])
def test_an_open_slash_is_the_front_page_alone(folder: Path, paths: list[str]) -> None:
    text = f"[events.sale]\nhosts = ['a.example']\npaths = {paths}\nopen = ['GET,HEAD /']\n"
    table = load(folder, text).routes()
    assert isinstance(table.designate("a.example", "GET", canonical_target(b"/")), OpenPath)
    assert isinstance(table.designate("a.example", "GET", canonical_target(b"/x")), Protected)


@pytest.mark.parametrize("path", ["/Auth", "/queue/", "auth", "/login"])
def test_only_a_path_of_ours_can_be_passed_through(folder: Path, path: str) -> None:
    with pytest.raises(SettingsInvalid, match="is no path of ours"):
        load(folder, f"[server]\npass_through = ['{path}']\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"port = ", "is not TOML"),
        (b"[server]\nport = 1\nport = 2", "is not TOML"),
        (b"[server]\n[server]", "is not TOML"),
        (b"x = " + b"9" * 5000, "is not TOML"),
        (b"x = '\xff'", "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    folder: Path, text: bytes, why: str
) -> None:
    path = folder / "gateway.toml"
    path.write_bytes(text)
    with pytest.raises(SettingsInvalid, match=f"{re.escape(str(path))}: {why}"):
        load_settings(path, {})


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"none\.toml: cannot be read: No such file"):
        load_settings(folder / "none.toml", {})
    with pytest.raises(SettingsInvalid, match="cannot be read: Is a directory"):
        load_settings(folder, {})


def test_the_environment_names_the_file(folder: Path) -> None:
    path = write(folder, "log_level = 'error'")
    settings = load_settings(None, {"GATEWAY_CONFIG": str(path)})
    assert settings.log_level == "error"
    assert settings.keys.dir == str(folder / "keys")


def test_the_argument_wins_over_the_environment_s_file(folder: Path) -> None:
    path = write(folder, "log_level = 'error'")
    assert load_settings(path, {"GATEWAY_CONFIG": "none.toml"}).log_level == "error"


def test_a_file_in_the_working_folder_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "log_level = 'error'")
    monkeypatch.chdir(folder)
    settings = load_settings(None, {})
    assert settings.log_level == "error"
    assert settings.keys.dir == "keys"


def test_without_any_file_the_defaults_hold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    assert load_settings(None, {"GATEWAY_CONFIG": ""}) == Settings()
    assert load_settings(None).server.host


def test_the_environment_wins_over_the_file(folder: Path) -> None:
    settings = load(
        folder,
        "[server]\nport = 1\nworkers = 2\n[proxy]\nkeep_host = true",
        {
            "GATEWAY_SERVER__PORT": "9000",
            "GATEWAY_PROXY__KEEP_HOST": "false",
            "GATEWAY_LEDGER__TIMEOUT_S": "0.25",
            "GATEWAY_LEDGER__URL": "redis://ledger.example",
            "GATEWAY_SERVER__TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "GATEWAY_LOG_LEVEL": "warning",
            "GATEWAY_KEYS__ISSUER": "5",
        },
    )
    assert settings.server.port == 9000
    assert settings.server.workers == 2
    assert settings.proxy.keep_host is False
    assert settings.ledger.timeout_s == 0.25
    assert settings.ledger.url == "redis://ledger.example"
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.log_level == "warning"
    assert settings.keys.issuer == "5"


def test_an_empty_variable_is_an_empty_list_or_an_absent_path(folder: Path) -> None:
    # As `VARIABLE=${UNSET}` in a container's settings makes it.
    environ = {"GATEWAY_SERVER__TRUSTED_PROXIES": "", "GATEWAY_KEYS__JWKS": ""}
    settings = load(folder, "[server]\ntrusted_proxies = ['10.0.0.1']", environ)
    assert settings.server.trusted_proxies == ()
    assert settings.keys.jwks is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_SERVER__PORT", "http"),
        ("GATEWAY_SERVER__PORT", ""),
        ("GATEWAY_SERVER__PORT", "8080.5"),
        ("GATEWAY_SERVER__PORT", "70000"),
        ("GATEWAY_PROXY__KEEP_HOST", "perhaps"),
        ("GATEWAY_LEDGER__TIMEOUT_S", "nan"),
        ("GATEWAY_KEYS__DIR", ""),
    ],
)
def test_a_variable_is_checked_like_the_file(folder: Path, name: str, value: str) -> None:
    assert mistakes_of(folder, "", {name: value})


@pytest.mark.parametrize(
    "name",
    [
        "GATEWAY_SERVER__PRT",
        "GATEWAY_SERVER__",
        "GATEWAY___PORT",
        "GATEWAY_SEVER__PORT",
        "GATEWAY_EVENTS__SUMMER",
        "GATEWAY_SERVER__PORT__X",
    ],
)
def test_a_variable_that_sets_nothing_is_a_mistake(folder: Path, name: str) -> None:
    (only,) = mistakes_of(folder, "", {name: SECRET})
    assert only.startswith(f"{name}: there is no s")
    assert SECRET not in only


def test_other_programs_variables_may_share_the_prefix(folder: Path) -> None:
    # Kubernetes puts these into every container beside a service named "gateway".
    environ = {
        "GATEWAY_PORT": "tcp://10.0.0.1:80",
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "MY_GATEWAY_SERVER__PORT": "1",
    }
    assert load(folder, "", environ).server.port == 8080


def test_relative_paths_count_from_the_file_s_own_folder(folder: Path) -> None:
    settings = load(
        folder,
        "[keys]\ndir = 'ring'\njwks = '../public.json'\nsub_secret = '/run/secret'\n"
        "[ledger]\ndata_dir = 'data'",
        {"GATEWAY_KEYS__VOUCHER_JWKS": "site.json"},
    )
    assert settings.keys.dir == str(folder / "ring")
    assert settings.keys.jwks == str(folder / "../public.json")
    assert settings.keys.voucher_jwks == str(folder / "site.json")
    assert settings.keys.sub_secret == "/run/secret"
    assert settings.ledger.data_dir == str(folder / "data")


def test_paths_that_are_not_set_stay_unset(folder: Path) -> None:
    keys = load(folder, "").keys
    assert (keys.jwks, keys.voucher_jwks, keys.sub_secret) == (None, None, None)


SECRET_URLS = [
    f"redis://:{SECRET}@ledger.example",
    f"rediss://user:{SECRET}@ledger.example:6380/1",
    f"unix:///run/ledger.sock?password={SECRET}",
    f"redis://ledger.example?username=u&password={SECRET}",
]


@pytest.mark.parametrize("url", SECRET_URLS)
def test_the_ledger_s_password_is_never_shown(folder: Path, url: str) -> None:
    settings = load(folder, f'[ledger]\nurl = "{url}"')
    assert settings.ledger.url == url
    for shown in (repr(settings), str(settings), repr(settings.ledger), f"{settings.ledger}"):
        assert SECRET not in shown
        assert "LedgerSettings(" in shown


def test_an_embedded_ledger_is_told_apart_by_its_representation() -> None:
    assert repr(LedgerSettings(url="redis://h")) != repr(LedgerSettings())


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://:{SECRET}@ledger.example",
        f"redis://:{SECRET}@[::1",
        f"redis://:{SECRET}/x@ledger.example",
        f"redis://:{SECRET}#x@ledger.example",
        f"redis://:{SECRET}@ledger.example:port",
        f"redis://:{SECRET}@ledger.example:99999",
        f"redis://:{SECRET}\u2100@ledger.example",
        f":{SECRET}@ledger.example",
        SECRET,
    ],
)
def test_a_mistaken_ledger_url_is_named_and_not_quoted(folder: Path, url: str) -> None:
    for text, environ in (
        (f'[ledger]\nurl = "{url}"', {}),
        ("", {"GATEWAY_LEDGER__URL": url}),
        (f'[server]\nport = "x"\n[ledger]\nurl = "{url}"', {}),
    ):
        mistakes = mistakes_of(folder, text, environ)
        assert any(mistake.startswith("[ledger] url: ") for mistake in mistakes)
        assert not any(SECRET in mistake for mistake in mistakes)


def test_no_secret_is_quoted_from_a_file_that_is_not_toml(folder: Path) -> None:
    for text in (
        f"[ledger]\nurl = redis://:{SECRET}@h",
        f'[ledger]\nurl = "redis://:{SECRET}@h',
        f"[ledger]\nurl = \"redis://:{SECRET}@h'\n",
        f'[ledger]\nurl = "redis://:{SECRET}\\q@h"',
        f'[ledger]\nurl = "a"\nurl = "{SECRET}"',
    ):
        assert SECRET not in "".join(mistakes_of(folder, text))


def test_a_url_of_the_wrong_type_is_not_quoted(folder: Path) -> None:
    for text in (f"[ledger]\nurl = ['{SECRET}']", f"[ledger]\nurl = {{x = '{SECRET}'}}"):
        assert SECRET not in "".join(mistakes_of(folder, text))


def test_the_settings_cannot_be_changed_once_read(folder: Path) -> None:
    settings = load(folder, EVENT)
    for frozen in (settings, settings.server, settings.keys, settings.events["summer"]):
        for name in frozen.__struct_fields__:
            with pytest.raises(AttributeError, match="immutable"):
                setattr(frozen, name, None)


def test_every_section_has_its_defaults() -> None:
    for name, section in SECTIONS.items():
        assert isinstance(getattr(Settings(), name), section)
        section()
    assert SECTIONS.keys() | {"events", "log_level"} == set(Settings.__struct_fields__)


def test_the_defaults_pass_their_own_checks(folder: Path) -> None:
    for section in (ServerSettings, KeySettings, LedgerSettings, ProxySettings):
        msgspec.convert(msgspec.structs.asdict(section()), section)
    assert EventSettings(hosts=("a",)).paths == ()
