"""Ways to write a path and a host that some server takes for the protected page, and some rule does not."""

from typing import NamedTuple

from gateway.doctor.wire import Fields, Origin


class Spelling(NamedTuple):
    """One way to ask for the page.

    Attributes:
        note: What is odd about it.
        hosts: The Host fields; None for the right one.
    """

    note: str
    target: str
    hosts: tuple[str, ...] | None = None
    version: str = "1.1"
    fields: Fields = ()


def spellings_of(target: str) -> list[Spelling]:
    """Return odd spellings of the path; every one is to be turned back, as the page itself is."""
    path, _, query = target.partition("?")
    tail = f"?{query}" if query else ""
    found = {spelled + tail: note for note, spelled in _spelled(path)}
    return [Spelling(note, spelled) for spelled, note in found.items() if spelled != target]


def _spelled(path: str) -> list[tuple[str, str]]:
    head, _, last = path.rpartition("/")
    first, slash, rest = path[1:].partition("/")
    spelled = [
        ("two slashes in front", "/" + path),
        ("a dot segment in front", "/." + path),
        ("up and down again", "/doctor/.." + path),
        ("an encoded dot segment", "/%2e" + path),
        ("encoded up and down again", "/doctor/%2e%2e" + path),
        ("an encoded slash in front", "/%2f" + path[1:]),
        ("a backslash in front", "/\\" + path[1:]),
        ("an encoded backslash", "/doctor%5c.." + path),
        ("a parameter on a dot segment", "/..;" + path),
        ("a fragment in the target", path + "#/doctor"),
        ("an encoded end of text", path + "%00"),
        ("an encoded space at the end", path + "%20"),
        ("an overlong slash", "/doctor%c0%af.." + path),
        ("a file's ending behind a parameter", path + ";doctor.css"),
    ]
    if path == "/":
        return spelled
    spelled += [
        ("upper case", path.upper()),
        ("an encoded letter", f"/%{ord(path[1]):02x}{path[2:]}"),
        ("a letter encoded twice", f"/%25{ord(path[1]):02x}{path[2:]}"),
        ("a parameter", path + ";doctor=1"),
        ("a parameter in the middle", f"/{first};doctor=1{slash}{rest}"),
        ("a file's ending", path.rstrip("/") + "/doctor.css"),
        ("a dot at the end", path.rstrip("/") + "/."),
        ("a slash more at the end", path + "/"),
    ]
    if head:
        spelled += [
            ("an encoded slash", f"{head}%2f{last}"),
            ("two slashes", f"{head}//{last}"),
            ("a dot segment", f"{head}/./{last}"),
        ]
    return spelled


def other_forms(origin: Origin, target: str) -> list[Spelling]:
    """Return other forms of the request itself, and of its host."""
    right = origin.authority
    port = right.removeprefix(origin.host)
    forms = [
        Spelling("HTTP/1.0", target, version="1.0"),
        Spelling("HTTP/1.0 without Host", target, (), "1.0"),
        Spelling("an absolute target", f"{origin.scheme}://{right}{target}"),
        Spelling("an absolute target of another host", f"{origin.scheme}://doctor.invalid{target}"),
        Spelling("an absolute target over another Host", f"{origin}{target}", ("doctor.invalid",)),
        Spelling("a host that nobody has", target, ("doctor.invalid",)),
        Spelling("two hosts", target, (right, "doctor.invalid")),
        Spelling("the host in capitals", target, (right.upper(),)),
    ]
    if not origin.host.replace(".", "").isdigit() and ":" not in origin.host:
        forms.append(Spelling("a dot behind the host", target, (f"{origin.host}.{port}",)))
    return forms


def forged(event: str, target: str, elsewhere: str) -> list[Spelling]:
    """Return requests with fields that only a proxy or the gateway may set."""
    fields = {
        "Queue-Position, -Event and -Visitor": [
            ("Queue-Position", "1"),
            ("Queue-Event", event),
            ("Queue-Visitor", "doctor"),
            ("Queue-Status", "admitted"),
        ],
        "Queue fields in other spellings": [
            ("Queue_Position", "1"),
            ("Queue.Visitor", "doctor"),
            ("QUEUE_STATUS", "admitted"),
        ],
        "X-Original-*": [
            ("X-Original-URI", elsewhere),
            ("X-Original-Host", "doctor.invalid"),
            ("X-Original-Method", "OPTIONS"),
        ],
        "X-Original-URL and X-Rewrite-URL": [
            ("X-Original-URL", elsewhere),
            ("X-Rewrite-URL", elsewhere),
        ],
        "X-Forwarded-*": [
            ("X-Forwarded-Uri", elsewhere),
            ("X-Forwarded-Host", "doctor.invalid"),
            ("X-Forwarded-Method", "OPTIONS"),
        ],
        "fields named by Connection": [
            ("Connection", "close, X-Original-URI, X-Forwarded-Uri, Cookie")
        ],
    }
    return [Spelling(note, target, fields=pairs) for note, pairs in fields.items()]
