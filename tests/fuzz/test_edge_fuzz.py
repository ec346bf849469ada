"""Whole requests at the edge, in this process: nobody gets in but by a pass or an open path."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.fuzzing import fuzzed
from tests.support.oracles.edge import OLD_GENERATION, OTHER_EVENT, request_at_the_edge
from tests.support.oracles.requests import HOST
from tests.support.oracles.tokens import HELD_TOKEN, OTHER_TOKEN, PLACE_TOKEN, other_form_of

METHODS = st.sampled_from(
    [
        "GET",
        "GET",
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "PROPFIND",
        "get",
        "G T",
        "",
    ]
)
PATHS = st.one_of(
    st.sampled_from(
        [b"/", b"/book", b"/book/1", b"/assets/a.css", b"/assets/", b"/assets", b"/a/assets/"]
    ),
    st.lists(
        st.sampled_from(
            [
                b"/",
                b"assets",
                b"book",
                b"..",
                b".",
                b"%2e",
                b"%2f",
                b"%5c",
                b";",
                b"\\",
                b"//",
                b"%25",
                b"A",
                b"?",
                b"#",
                b"%00",
                b"%EF%BC%8F",
                b"%C3%A9",
                b"\xff",
                b"queue",
                b"auth",
                b"x.css",
                b" ",
            ]
        ),
        max_size=8,
    ).map(lambda pieces: b"/" + b"".join(pieces)),
)
TOKENS = st.sampled_from(
    [
        HELD_TOKEN,
        HELD_TOKEN,
        other_form_of(HELD_TOKEN),
        PLACE_TOKEN,
        OTHER_TOKEN,
        OTHER_EVENT,
        OLD_GENERATION,
        HELD_TOKEN[:-1],
        HELD_TOKEN + b"=",
        HELD_TOKEN.swapcase(),
        b"",
        b"x.y.z",
        HELD_TOKEN[::-1],
    ]
)
CARRIERS = st.one_of(
    st.tuples(st.just(b"queue-token"), TOKENS),
    st.tuples(st.just(b"authorization"), TOKENS.map(lambda token: b"Bearer " + token)),
    st.tuples(
        st.just(b"cookie"),
        st.tuples(
            st.sampled_from(
                [b"pass-sale=", b"queue-sale=", b"__Host-pass-sale=", b"a=b; pass-sale=", b"x="]
            ),
            TOKENS,
        ).map(b"".join),
    ),
    st.tuples(
        st.sampled_from(
            [
                b"queue_token",
                b"queue-event",
                b"queue-position",
                b"queue_visitor",
                b"x-forwarded-uri",
                b"x-original-url",
                b"x-forwarded-host",
                b"x-http-method-override",
                b"user-agent",
                b"accept",
                b"sec-fetch-mode",
                b"origin",
                b"access-control-request-method",
                b"queue.event",
            ]
        ),
        st.sampled_from(
            [b"/assets/x", b"sale", b"1", b"kube-probe/1", b"text/html", b"navigate", b"GET"]
        ),
    ),
)
HOSTS = st.sampled_from(
    [[HOST]] * 8
    + [[], [HOST, HOST], ["evil.example"], [HOST + "."], [HOST.upper() + ":80"], [HOST + "/assets"]]
)


# Most requests are sound but for what they carry: else few would ever be judged by that.
SOUND = st.tuples(
    st.just("GET"), st.sampled_from([b"/book", b"/assets/a.css"]), st.just(b""), st.just([HOST])
)
ANY = st.tuples(
    METHODS, PATHS, st.sampled_from([b"", b"a=1", b"x=\xff", b"token=" + HELD_TOKEN]), HOSTS
)


@fuzzed
@given(SOUND | ANY, st.lists(CARRIERS, max_size=3))
def test_nobody_gets_in_but_by_a_pass_or_an_open_path(
    asked: tuple[str, bytes, bytes, list[str]], carriers: list[tuple[bytes, bytes]]
) -> None:
    method, path, query, hosts = asked
    headers = [(b"host", name.encode()) for name in hosts]
    request_at_the_edge(method, path, query, headers + carriers)
