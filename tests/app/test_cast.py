from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from agora_app.models import people_store
from agora_app.models.cast import CastModel
from agora_app.models.people_store import PeopleStore
from agora_app.models.shelves import shipped_packs
from core.avatar.portraits import KnownPerson
from core.errors import InputError, PackError
from tests.app.fake_workshop import FakeIdentity, FakeWorkshop

ANNA = str(int.from_bytes(hashlib.sha256(b"anna").digest()[:4], "big"))


@pytest.fixture
def workshop():
    return FakeWorkshop(ready=("7", "8", "6", "42", "12", "100"))


@pytest.fixture
def packs():
    """Workshops of packs by the name of their file."""
    return {"people.agora": FakeWorkshop(ready=("0", "1", "2"), names=("0", "1", "2"), title="Three people"),
            "trained.agora": FakeWorkshop(ready=("0", "7"), title="Trained"),
            "broken.agora": FakeWorkshop(error=PackError("broken.agora is damaged", "fetch it again"))}


@pytest.fixture
def make_cast(qtbot, session, store, workshop, packs):
    made = []

    def make(shipped=(), **settings):
        store.change("identity", **settings)
        seconds = SimpleNamespace(now=100.0)
        cast = CastModel(session, store, workshop, make_workshop=lambda path: packs[Path(path).name], shipped=shipped,
                         clock=lambda: seconds.now)
        cast.seconds, cast.told = seconds, []
        cast.failed.connect(lambda what, hint: cast.told.append((what, hint)))
        made.append(cast)
        return cast

    yield make
    for cast in made:
        cast.close()


@pytest.fixture
def cast(make_cast):
    cast = make_cast()
    cast.choose("7")
    return cast


def on_stage(session) -> list[str]:
    return [identity.name.removeprefix("seed ") for identity in session.last("set_cast")[0].identities]


def test_people_at_hand_are_on_stage_at_once(qtbot, cast, session, store, workshop):
    with qtbot.waitSignal(cast.cast_changed):
        cast.choose("42")
    assert on_stage(session) == ["42"]
    assert session.last("set_cast")[0].pack is workshop.pack
    assert (cast.person, cast.people_on_stage, store.settings.identity.person) == ("42", ("42",), "42")


def test_the_old_person_stays_while_a_new_one_is_built(qtbot, cast, session, workshop):
    with qtbot.waitSignal(cast.building) as signal:
        cast.choose("1000")
    assert signal.args == ["1000"]
    assert (cast.person, cast.building_person, on_stage(session)) == ("7", "1000", ["7"])
    with qtbot.waitSignal(cast.cast_changed):
        workshop.finish("1000")
    assert (cast.person, cast.building_person, on_stage(session)) == ("1000", "", ["1000"])


def test_a_newer_choice_replaces_one_that_is_being_built(qtbot, cast, session, workshop):
    cast.choose("1000")
    old = workshop.wishes["1000"]
    cast.choose("2000")
    assert old.cancelled()
    cast.choose("42")
    assert (cast.person, on_stage(session)) == ("42", ["42"])
    qtbot.wait(1)
    assert cast.person == "42"
    assert [call for call in session.calls if call[0] == "set_cast"][-1][1][0].identities[0].name == "seed 42"
    assert cast.undo_stack.count() == 1


def test_an_answer_that_comes_too_late_changes_nothing(qtbot, cast, session, workshop):
    cast.choose("1000")
    late = workshop.wishes.pop("1000")  # under way in the child: it cannot be given up any more
    cast.choose("42")
    late.set_result(FakeIdentity("seed 1000", ()))
    qtbot.wait(1)
    assert (cast.person, on_stage(session)) == ("42", ["42"])


def test_somebody_who_cannot_be_built(qtbot, cast, session, workshop):
    cast.choose("1000")
    with qtbot.waitSignals([cast.build_failed, cast.failed]):
        workshop.finish("1000", InputError("no such person", "try another"))
    assert cast.told == [("no such person", "try another")]
    assert (cast.person, cast.wanted.first, cast.undo_stack.count()) == ("7", "7", 0)


def test_nonsense_is_explained_and_changes_nothing(cast, session):
    calls = len(session.calls)
    cast.choose("nobody")
    assert "not a whole number" in cast.told[0][0]
    assert len(session.calls) == calls


def test_undo_and_redo(qtbot, cast, session):
    stack = cast.undo_stack
    assert not stack.canUndo()  # the first person is no change
    cast.choose("42")
    cast.seconds.now += 10
    cast.choose_second("12")
    cast.swap()
    assert [stack.text(i) for i in range(stack.count())] == ["seed 42", "compare with 12", "swap people"]
    assert on_stage(session) == ["12", "42"]
    seen = []
    while stack.canUndo():
        stack.undo()
        seen.append(on_stage(session))
    assert seen == [["42", "12"], ["42"], ["7"]]
    while stack.canRedo():
        stack.redo()
    assert on_stage(session) == ["12", "42"]
    assert stack.count() == 3


def test_undo_does_not_wait_for_people_who_have_been_forgotten(qtbot, cast, session, workshop):
    cast.choose("42")
    workshop.ready.discard("7")
    cast.undo_stack.undo()
    assert on_stage(session) == ["42"]
    with qtbot.waitSignal(cast.cast_changed):
        workshop.finish("7")
    assert on_stage(session) == ["7"]
    assert cast.undo_stack.canRedo()


def test_rapid_steps_are_one_entry_and_slow_ones_are_not(cast, workshop):
    workshop.ready |= {str(seed) for seed in range(20)}
    for _ in range(4):
        cast.next()
        cast.seconds.now += 0.4
    assert (cast.person, cast.undo_stack.count(), cast.undo_stack.undoText()) == ("11", 1, "seed 11")
    cast.seconds.now += 5
    cast.previous()
    assert (cast.person, cast.undo_stack.count()) == ("10", 2)
    cast.undo_stack.undo()
    cast.undo_stack.undo()
    assert cast.person == "7"


def test_steps_count_from_the_person_who_is_being_built(cast, workshop):
    workshop.ready = {"7"}
    cast.next()
    cast.next()
    assert cast.building_person == "9"
    cast.choose("7")
    cast.previous()
    assert cast.building_person == "6"


def test_steps_go_around_the_ends_of_all_seeds(cast, workshop):
    workshop.ready |= {"0", "4294967295"}
    cast.choose("0")
    cast.previous()
    assert cast.person == "4294967295"
    cast.next()
    assert cast.person == "0"


def test_steps_follow_the_list_of_the_gallery(cast):
    cast.set_order(("12", "7", "100"))
    cast.next()
    assert cast.person == "100"
    cast.next()
    assert cast.person == "12"
    cast.choose("42")
    cast.next()
    assert cast.person == "12"


def test_neighbours_and_favourites_are_made_ready(cast, workshop):
    cast.toggle_favourite("100")
    cast.choose("42")
    assert workshop.preloaded == ["43", "41", "100"]


def test_rolling_gives_a_seed_and_can_be_undone(cast, workshop):
    person = cast.roll()
    assert 0 <= int(person) < 1_000_000
    workshop.ready.add(person)
    cast.choose(person)
    cast.undo_stack.undo()
    assert cast.person == "7"


def test_comparing(cast, session, store):
    cast.set_compare("side-by-side")  # with nobody
    assert cast.people_on_stage == ("7",)
    cast.choose_second("12")
    assert (on_stage(session), store.settings.identity.compare) == (["7", "12"], "side-by-side")
    cast.set_compare("single")
    assert (on_stage(session), cast.second) == (["7"], "12")
    cast.set_compare("side-by-side")
    cast.choose("42")
    assert cast.people_on_stage == ("42", "12")
    cast.clear_second()
    assert (cast.people_on_stage, cast.second, store.settings.identity.second) == (("42",), "", "")
    with pytest.raises(ValueError, match="blink"):
        cast.set_compare("blink")


def test_mixing(cast, workshop):
    workshop.ready |= {"7+42@0.25", "7+42@0.75"}
    cast.mix("7", "42", 0.25)
    assert (cast.person, cast.undo_stack.undoText()) == ("7+42@0.25", "mix 7+42@0.25")
    cast.mix("42", "7", 0.25)
    assert cast.person == "7+42@0.75"
    for a, b in (("7", "7"), ("7+42@0.5", "3")):
        cast.mix(a, b, 0.5)
    assert [what for what, _ in cast.told] == ["A person cannot be mixed with themselves", "A mix cannot be mixed again"]


@pytest.mark.parametrize(("text", "person", "words"), [
    (" 42 ", "42", ""), ("42+7@0.25", "7+42@0.75", ""), ("Anna", ANNA, f"Anna → seed {ANNA}")])
def test_typed_people(cast, text, person, words):
    assert cast.choose_typed(text) == (True, words)
    assert cast.wanted.first == person


@pytest.mark.parametrize("text", ["", "-3", "99999999999", "7+42@5"])
def test_typed_nonsense_tells_the_rule(cast, text):
    known, words = cast.choose_typed(text)
    assert not known
    assert words
    assert cast.wanted.first == "7"


# ------------------------------------------------------------------------------------------------------------------- packs


def test_a_pack_is_opened_and_its_first_person_comes(qtbot, cast, packs, store, session, tmp_path):
    cast.choose_second("12")
    path = tmp_path / "people.agora"
    with qtbot.waitSignal(cast.cast_changed):
        cast.open_pack(path)
    assert [shelf.title for shelf in cast.shelves.all()] == ["Studio", "Three people"]
    assert (cast.person, cast.second, cast.shelf.title) == ("0", "", "Three people")
    assert session.last("set_cast")[0].pack is packs["people.agora"].pack
    assert store.settings.identity.packs == (str(path),)
    cast.previous()
    assert cast.person == "2"
    assert cast.choose_typed("anna")[0] is False  # a pack has no seeds for words
    cast.choose("9")
    assert "nobody called 9" in cast.told[-1][0]
    cast.mix("0", "1", 0.5)
    assert "cannot be mixed" in cast.told[-1][0]
    while cast.undo_stack.canUndo():
        cast.undo_stack.undo()
    assert (cast.person, cast.shelf.key) == ("7", "")


def test_a_bad_pack_is_told_and_leaves_no_tab(qtbot, cast, store, packs, tmp_path):
    with qtbot.waitSignal(cast.failed):
        cast.open_pack(tmp_path / "broken.agora")
    assert cast.told == [("broken.agora is damaged", "fetch it again")]
    assert len(cast.shelves.all()) == 1
    assert packs["broken.agora"].closed
    assert (cast.person, store.settings.identity.packs) == ("7", ())


def test_the_start_with_a_pack_and_two_people(qtbot, make_cast, session, tmp_path):
    path = str(tmp_path / "people.agora")
    cast = make_cast(packs=(path,), pack=path, person="1", second="2", compare="side-by-side")
    cast.choose("1")
    qtbot.waitUntil(lambda: cast.shelf.ready)
    assert on_stage(session) == ["1", "2"]
    assert not cast.undo_stack.canUndo()


def test_the_start_with_a_pack_that_is_gone(qtbot, make_cast, session, store, packs, tmp_path):
    path = str(tmp_path / "broken.agora")
    cast = make_cast(packs=(path,), pack=path, person="1")
    cast.choose("1")
    packs["broken.agora"].finish("1", packs["broken.agora"].error)  # everybody waiting for the pack hears of it
    qtbot.waitUntil(lambda: cast.person == "7" and bool(cast.told))
    assert cast.told == [("broken.agora is damaged", "fetch it again")]
    assert (store.settings.identity.pack, store.settings.identity.packs, on_stage(session)) == ("", (), ["7"])


def test_closing_a_pack_brings_the_studio_back(qtbot, cast, packs, store, tmp_path):
    with qtbot.waitSignal(cast.cast_changed):
        cast.open_pack(tmp_path / "people.agora")
    cast.close_pack(cast.shelf.key)
    assert packs["people.agora"].closed
    assert (cast.person, cast.shelf.key, store.settings.identity.packs) == ("7", "", ())
    assert not cast.undo_stack.canUndo()


# ------------------------------------------------------------------------------------------------------ favourites and notes


def test_favourites_and_notes_survive_a_restart(make_cast, cast):
    cast.toggle_favourite()
    cast.toggle_favourite("42")
    cast.toggle_favourite("12")
    cast.toggle_favourite("42")
    cast.set_note("12", " for the demo ")
    cast.choose("100")
    cast.close()
    again = make_cast()
    again.choose("7")
    assert again.favourites == ("7", "12")
    assert again.is_favourite("12")
    assert again.note("12") == "for the demo"
    assert again.recent_of(None) == ("7", "100")


def test_shipped_packs_are_there_and_stay(qtbot, make_cast, packs, store, tmp_path, monkeypatch):
    monkeypatch.setattr("agora_app.models.shelves.resource", lambda name: tmp_path / name)
    assert shipped_packs() == ()
    folder = tmp_path / "packs"
    folder.mkdir()
    for name in ("trained.agora", "broken.agora", "notes.txt"):
        (folder / name).touch()
    shipped = shipped_packs()
    assert [path.name for path in shipped] == ["broken.agora", "trained.agora"]
    cast = make_cast(shipped, packs=(str(folder / "trained.agora"), str(tmp_path / "people.agora")))
    cast.choose("7")
    qtbot.waitUntil(lambda: len(cast.shelves.all()) == 3 and all(shelf.ready for shelf in cast.shelves.all()))
    assert [(shelf.title, shelf.shipped) for shelf in cast.shelves.all()] == [
        ("Studio", True), ("Trained", True), ("Three people", False)]
    assert cast.told == [("broken.agora is damaged", "fetch it again")]
    assert store.settings.identity.packs == (str(tmp_path / "people.agora"),)
    key = str(folder / "trained.agora")
    cast.choose("0", key)
    assert (cast.person, cast.shelf.key) == ("0", key)
    for closed in (key, "", str(tmp_path / "people.agora")):
        cast.close_pack(closed)
    assert [shelf.title for shelf in cast.shelves.all()] == ["Studio", "Trained"]
    assert (cast.person, cast.shelf.key, store.settings.identity.packs) == ("0", key, ())


def test_favourites_of_a_pack_are_its_own(qtbot, cast, tmp_path):
    cast.toggle_favourite("7")
    with qtbot.waitSignal(cast.cast_changed):
        cast.open_pack(tmp_path / "people.agora")
    assert cast.favourites == ()
    cast.toggle_favourite()
    assert cast.favourites == ("0",)
    assert cast.favourites_of("") == ("7",)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"version": 99}', b'{"version":1,"shelves":{"":{"favourites":"x"}}}',
                                     b"\xff\xfe"])
def test_a_damaged_store_is_put_aside_and_told(tmp_path, content):
    path = tmp_path / "people.json"
    path.write_bytes(content)
    people = PeopleStore(path)
    assert "people.json.bad" in people.problem
    assert (tmp_path / "people.json.bad").read_bytes() == content
    people.toggle_favourite("", "7")
    people.save()
    assert PeopleStore(path).favourites("") == ("7",)
    assert PeopleStore(path).problem == ""


def test_the_damage_is_told_when_somebody_listens(qtbot, make_cast):
    path = people_store.data_folder() / "people.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{")
    cast = make_cast()
    qtbot.waitUntil(lambda: bool(cast.told))
    assert "damaged" in cast.told[0][0]


def test_an_unwritable_folder_is_told(qtbot, cast, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(people_store, "write_atomically", refuse)
    cast.toggle_favourite("7")
    qtbot.waitUntil(lambda: bool(cast.told), timeout=5000)
    assert "No space left" in cast.told[0][0]


def test_recent_people_are_limited_and_newest_first():
    people = PeopleStore(Path("/nonexistent/people.json"))
    for seed in range(people_store.MOST_RECENT + 10):
        people.used("", str(seed))
    people.used("", "30")
    assert people.recent("")[:2] == ("30", str(people_store.MOST_RECENT + 9))
    assert len(people.recent("")) == people_store.MOST_RECENT


def test_search(qtbot, cast, workshop):
    workshop.known_people = (KnownPerson("1000", "seed 1000: ginger curly hair", ("curly", "ginger hair", "glasses")),
                             KnownPerson("7+42@0.5", "mix 7+42@0.5: black braids hair", ("braids", "black hair")))
    cast.choose("42")
    cast.choose("100")
    cast.set_note("12", "Grumpy neighbour")
    with qtbot.waitSignal(cast.finder.known_changed):
        cast.search("anything")
    assert cast.search("glasses") == ("100", "1000")
    assert cast.search("black braids") == ("42", "7+42@0.5")
    assert cast.search("GRUMPY") == ("12",)
    assert cast.search("42") == ("42", "7+42@0.5")
    assert cast.search("ginger beard") == ()
    assert cast.search("  ") == ()


def test_nothing_comes_after_the_end(qtbot, cast, workshop, session):
    cast.choose("1000")
    calls = len(session.calls)
    cast.close()
    cast.close()
    workshop.finish("1000")
    cast.choose("42")
    qtbot.wait(1)
    assert len(session.calls) == calls
