"""A page's scripts under names with their hash."""

from gateway.hashed_files import linked_scripts

SOURCES = {
    "room.js": b'import { a } from "./place.js";\n/** @type {import("./place.js").A} */\n'
    b'import("./draw.js");\n',
    "place.js": b"export const a = 1;\n",
    "draw.js": b'import { a } from "./place.js";\n',
    "other.js": b"",
}


def test_what_is_imported_is_named_by_its_hash_and_loaded_when_it_is_needed() -> None:
    scripts = linked_scripts("room", SOURCES, "room.js")
    (place,), (draw,) = scripts.modules, scripts.later
    assert scripts.all == (scripts.entry, place, draw)
    text = scripts.entry.prepared.plain.body.decode()
    assert f'from "./{place.name}"' in text
    assert f'import("./{draw.name}")' in text
    assert f'"./{place.name}"' in draw.prepared.plain.body.decode()


def test_a_name_changes_with_what_is_imported() -> None:
    before, after = (
        linked_scripts("room", SOURCES | {"place.js": body}, "room.js")
        for body in (b"export const a = 1;\n", b"export const a = 2;\n")
    )
    assert before.entry.name != after.entry.name
    assert before.later[0].name != after.later[0].name
