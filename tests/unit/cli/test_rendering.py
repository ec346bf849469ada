from gateway.cli.rendering import pairs, people, policy_text, release_text, table


def test_texts_stand_to_the_left_and_numbers_to_the_right() -> None:
    assert table(("EVENT", "N"), [("a", "5"), ("long-name", "1200"), ("c", "-")]).splitlines()[
        1:
    ] == ["a             5", "long-name  1200", "c             -"]


def test_a_row_without_a_value_is_left_out() -> None:
    assert pairs([("a", "1"), ("message", ""), ("long", "2")]) == "a     1\nlong  2"


def test_one_person_is_not_people() -> None:
    assert (people(0), people(1), people(2)) == ("0 people", "1 person", "2 people")


def test_rules_are_said_in_words() -> None:
    text = policy_text(
        {
            "window_s": 900,
            "session_s": 600,
            "max_sessions": 0,
            "headroom": 0,
            "late_for_s": -1,
            "extend_times": 1,
            "extend_s": 600,
            "finish_grace_s": 0,
            "token_life_s": 604_800,
            "opens_at": 1_893_456_000,
            "closes_at": 0,
            "one_place_per_sub": False,
            "voucher_required": True,
            "draw": False,
            "durability": "replicas",
            "replicas": 2,
        }
    )

    assert "max sessions       no limit" in text
    assert "late for           the token's life" in text
    assert "opens at           2030-01-01" in text
    assert "closes at          no time set" in text
    assert "voucher required   yes" in text
    assert "durability         replicas, 2" in text


def test_a_release_is_said_for_what_it_did() -> None:
    document = {
        "before": 3,
        "after": 5,
        "people": 2,
        "capped": True,
        "repeated": False,
        "dry_run": False,
    }

    assert release_text(document).startswith("Let in 2 people: the pointer went from 3 to 5.")
    assert "it asked for more" in release_text(document)
    assert release_text({**document, "dry_run": True}).startswith("Would let in 2 people")
    assert "Nothing moved now" in release_text({**document, "repeated": True})
    assert "nobody else is waiting" in release_text({**document, "after": 3, "people": 0})
