"""What everybody is told: the public document, the same bytes for all, when something changes."""

import json

import pytest

from gateway.ports import StateChange
from tests.integration.push.conftest import Converse, Watch
from tests.integration.push.gateways import PushingGateway
from tests.integration.push.readers import TIMEOUT_S, rest_of
from tests.support.contract import CONTRACT
from tests.support.eventually import eventually
from tests.support.staging import OpenStage, Stage


def test_a_stream_begins_with_the_document(stage: Stage, watch: Watch) -> None:
    stream = watch()
    assert stream.head.status == 200
    told = stream.head.headers
    assert told["content-type"] == "text/event-stream"
    assert told["cache-control"] == "no-store"
    assert told["x-accel-buffering"] == "no"
    assert told["access-control-allow-origin"] == "*"
    assert "content-encoding" not in told
    assert "set-cookie" not in told
    frame = stream.frame()
    assert frame.data == stage.visitor().call("").body
    CONTRACT.check_schema("Pointer", frame.json())


def test_a_release_is_told_to_streams_and_sockets(
    stage: Stage, watch: Watch, converse: Converse
) -> None:
    stage.waiting()
    stream, socket = watch(), converse()
    assert stream.frame().json()["served_up_to"] == 0
    assert json.loads(socket.recv(TIMEOUT_S))["served_up_to"] == 0
    stage.release()
    assert stream.frame().json()["served_up_to"] == 1
    assert json.loads(socket.recv(TIMEOUT_S))["served_up_to"] == 1


def test_everybody_is_told_the_same_bytes(stage: Stage, watch: Watch, converse: Converse) -> None:
    stage.waiting()
    streams = [watch(), watch(version="1.0"), watch(host=stage.host), watch(known="1-other")]
    sockets = [converse(), converse(host=stage.host), converse(origin="https://elsewhere.example")]
    for stream in streams:
        stream.frame()
    for socket in sockets:
        socket.recv(TIMEOUT_S)
    stage.release()
    told = [stream.frame() for stream in streams]
    heard = [socket.recv(TIMEOUT_S) for socket in sockets]
    assert len({frame.data for frame in told} | {text.encode() for text in heard}) == 1
    assert len({frame.id for frame in told}) == 1
    assert told[0].data == stage.visitor().call("").body


def test_watching_leaves_nothing_in_the_ledger(
    stage: Stage, watch: Watch, converse: Converse
) -> None:
    before = set(stage.operator.server.command("KEYS", "*"))
    stream, socket = watch(), converse()
    stream.frame()
    socket.recv(TIMEOUT_S)
    assert set(stage.operator.server.command("KEYS", "*")) == before


def test_a_burst_of_releases_is_a_few_frames(
    stage: Stage, watch: Watch, converse: Converse
) -> None:
    for _ in range(30):
        stage.waiting()
    stream, socket = watch(), converse()
    stream.frame()
    socket.recv(TIMEOUT_S)
    for _ in range(30):
        stage.operator.release(stage.event)
    frames = stream.until(30)
    heard = [json.loads(socket.recv(TIMEOUT_S))["served_up_to"] for _ in frames]
    pointers = [frame.json()["served_up_to"] for frame in frames]
    assert pointers == sorted(set(pointers)) == heard
    assert len(frames) < 15


def test_joins_alone_are_told_at_leisure(stage: Stage, watch: Watch) -> None:
    stream = watch()
    stream.frame()
    stage.waiting()
    eventually(lambda: stage.visitor().call("").json()["issued"] == 1)
    # The pace of these tests has hours of leisure.
    assert stream.is_silent()
    # Who comes now is told the newest there is.
    assert watch().frame().json()["issued"] == 1


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (StateChange.PAUSE, "paused"),
        (StateChange.CLOSE, "closed"),
        (StateChange.BYPASS, "bypass"),
    ],
)
def test_a_change_of_state_is_told_with_the_operators_words(
    stage: Stage, watch: Watch, converse: Converse, change: StateChange, state: str
) -> None:
    stream, socket = watch(), converse()
    stream.frame()
    socket.recv(TIMEOUT_S)
    stage.change(change, message="two\nlines: back soon\r\n\r\ndata: no")
    told, heard = stream.frame().json(), json.loads(socket.recv(TIMEOUT_S))
    assert told == heard
    assert (told["state"], told["message"]) == (state, "two\nlines: back soon\r\n\r\ndata: no")


def test_a_lost_state_is_told(stage: Stage, watch: Watch) -> None:
    stream = watch()
    stream.frame()
    stage.lose()
    assert stream.frame().json()["state"] == "suspended"


def test_a_deleted_event_is_told_and_ends_the_streams(
    stage: Stage, watch: Watch, converse: Converse
) -> None:
    stream, socket = watch(), converse()
    stream.frame()
    socket.recv(TIMEOUT_S)
    stage.delete()
    last = stream.frame()
    assert last.json()["state"] == "deleted"
    assert [event.name for event in stream.rest()] == [""]
    assert stream.whole
    assert json.loads(socket.recv(TIMEOUT_S))["state"] == "deleted"
    assert rest_of(socket)[:2] == ([], 1000)
    # Whoever has not heard yet is told, too; whoever has is told to ask no more.
    late = watch()
    assert late.frame() == last
    assert late.next() is None
    told = watch(known=last.id)
    assert (told.head.status, told.rest()) == (204, [])
    late_socket = converse()
    assert json.loads(late_socket.recv(TIMEOUT_S))["state"] == "deleted"
    assert rest_of(late_socket)[:2] == ([], 1000)


def test_who_is_gone_is_forgotten(
    stage: Stage, gateway: PushingGateway, watch: Watch, converse: Converse
) -> None:
    eventually(lambda: gateway.open_streams == 0)
    streams, sockets = [watch() for _ in range(5)], [converse() for _ in range(5)]
    for stream in streams:
        stream.frame()
    for socket in sockets:
        socket.recv(TIMEOUT_S)
    assert gateway.open_streams == 10
    assert gateway.metric("push_streams", kind="sse") == 5
    assert gateway.metric("push_streams", kind="websocket") == 5
    for stream in streams:
        stream.close()
    for socket in sockets:
        socket.close()
    eventually(lambda: gateway.open_streams == 0)
    assert gateway.metric("push_streams", kind="sse") == 0
    assert gateway.metric("push_streams", kind="websocket") == 0
    assert gateway.hubs._hubs == {}


def test_frames_are_counted(stage: Stage, gateway: PushingGateway, watch: Watch) -> None:
    before = gateway.metric("push_frames_total", kind="sse", outcome="sent")
    stage.waiting()
    streams = [watch() for _ in range(3)]
    for stream in streams:
        stream.frame()
    stage.release()
    for stream in streams:
        stream.until(1)
    eventually(
        lambda: gateway.metric("push_frames_total", kind="sse", outcome="sent") >= before + 3
    )


def test_two_events_are_told_apart(stage: Stage, open_stage: OpenStage, watch: Watch) -> None:
    other = open_stage()
    stage.waiting()
    ours, theirs = watch(), watch(other)
    ours.frame()
    theirs.frame()
    stage.release()
    assert ours.frame().json()["event"] == stage.event
    assert theirs.is_silent()
