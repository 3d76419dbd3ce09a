"""The knowledge base of visual attributes, and a person's own file."""

from __future__ import annotations

import re

import pytest

from napari_wsss.errors import WsssError
from napari_wsss.models.knowledge import load_knowledge

VOC = (
    "aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,dining table,dog,horse,motorbike,person,potted plant,"
    "sheep,sofa,train,tv monitor"
)
STREET = "sky building pole road pavement tree sign fence car pedestrian bicyclist"


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_it_is_as_large_as_promised():
    base = load_knowledge()
    science = [n for n, a in base.classes.items() if a.domain in ("microscopy", "aerial")]
    assert len(science) >= 60
    for name in (*science, *VOC.split(","), *STREET.split()):
        known = base.of(name)
        assert not known.note, name
        assert len(set(known.phrases)) >= 8, name


def test_every_phrase_is_said_of_one_class_only_and_no_name_is_ambiguous():
    base = load_knowledge()
    phrases = [p for a in base.classes.values() for p in a.phrases]
    assert len(phrases) == len(set(phrases))
    names = [n.lower() for a in base.classes.values() for n in (a.name, *a.synonyms)]
    assert sorted(n for n in set(names) if names.count(n) > 1) == []
    for phrase in phrases:
        assert len(phrase.split()) >= 2, phrase
        assert phrase == phrase.strip(), phrase
        assert not phrase.endswith("."), phrase


def test_phrases_say_what_is_there_never_what_is_not():
    """CLIP reads "no foam" as foam; what a class is confused with has a field of its own."""
    for attributes in load_knowledge().classes.values():
        for phrase in attributes.phrases:
            assert not re.search(r"\b(no|not|never|without|unlike|hardly|neither|nothing)\b", phrase), phrase


def test_what_a_class_is_confused_with_competes_unless_it_is_a_class_too():
    base = load_knowledge()
    road = base.of("road")
    assert "river" in road.confused_with
    assert "river" in base.background({"aerial"}, taken=["road"], confused=road.confused_with)
    assert "river" not in base.background({"aerial"}, taken=["road", "river"], confused=road.confused_with)
    for known in base.classes.values():
        assert {known.name, *known.synonyms}.isdisjoint(known.confused_with), known.name


def test_phrases_do_not_merely_name_their_class():
    for attributes in load_knowledge().classes.values():
        naming = [p for p in attributes.phrases if re.search(rf"\b{re.escape(attributes.name)}\b", p)]
        assert not naming, naming


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ("nuclei", "nucleus"),
        ("cell nucleus", "nucleus"),
        ("Deep_Water", "deep water"),
        ("tvmonitor", "tv monitor"),
        ("glia_extracellular", "glia extracellular"),
        ("BUILDINGS", "building"),
        ("oil-tank", "storage tank"),
    ],
)
def test_a_class_is_found_by_synonym_case_underscore_and_plural(asked, known):
    base = load_knowledge()
    assert base.of(asked).phrases == base.of(known).phrases
    assert base.of(asked).name == asked
    assert not base.of(asked).note


def test_a_class_that_is_not_known_is_its_name_and_says_so():
    found = load_knowledge().of("grey_goo")
    assert found.phrases == ("grey goo",)
    assert "grey_goo" in found.note
    assert "\n" not in found.note


def test_an_own_file_adds_and_replaces(tmp_path):
    path = write(
        tmp_path,
        '[classes.nuclei]\nphrases = ["a red ring"]\n\n'
        '[classes.cat]\nreplace = true\nphrases = ["one tail"]\nsynonyms = ["moggy"]\n\n'
        '[classes.zorb]\nphrases = ["a glass ball"]\ndomain = "microscopy"\n\n'
        '[background]\nmicroscopy = ["zorb dust"]\n',
    )
    base, mine = load_knowledge(), load_knowledge(path)
    assert mine.of("nucleus").phrases == (*base.of("nucleus").phrases, "a red ring")
    assert mine.of("moggy").phrases == ("one tail",)
    assert mine.of("zorb").phrases == ("a glass ball",)
    assert "zorb dust" in mine.background({"microscopy"})
    assert load_knowledge().of("cat").phrases == base.of("cat").phrases  # the built-in base is untouched


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[classes.a]\nphrases = [\n'x',\n'y'\n[b]\n", 5, "not TOML"),
        ("[classes.a]\nphrases = ['x']\n[classes.b]\ncolour = 'red'\n", 4, "colour"),
        ("[classes.a]\n\nphrases = 'x'\n", 3, "phrases"),
        ("[classes.a]\nphrases = ['x', 3]\n", 2, "phrases"),
        ("[class.a]\nphrases = ['x']\n", 1, "class"),
        ("# mine\n[background]\naerial = 'field'\n", 3, "aerial"),
        ("[classes]\na = 'x'\n", 2, "'a'"),
    ],
)
def test_what_is_wrong_with_an_own_file_is_one_line_with_its_number(tmp_path, text, line, says):
    path = write(tmp_path, text)
    with pytest.raises(WsssError, match=rf"line {line}: .*{says}") as error:
        load_knowledge(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_not_text_is_one_line(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent.toml", tmp_path / "bytes.toml"):
        with pytest.raises(WsssError, match="cannot be read"):
            load_knowledge(path)


def test_background_words_never_name_a_class_of_the_project():
    base = load_knowledge()
    words = base.background({"aerial"}, taken=["building", "rooftop", "roof", "trees and grass", "water"])
    assert {"grass", "tree", "roof", "water"}.isdisjoint(words)
    assert "sand" in words
    assert base.background({"aerial"}, given=["moss", "tree"], own=["fog"], taken=["tree"]) == ("fog", "moss")
    assert base.background(()) == base.background({"photograph"})
