"""project.toml: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.errors import UsageError
from napari_wsss.project import Project
from napari_wsss.project.settings import FILE, FORMAT, Settings, parse_classes, read_settings, to_toml, write_settings
from napari_wsss.types import Class, Classes

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(str.strip)
values = st.one_of(st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False), text)


@st.composite
def all_settings(draw) -> Settings:
    found = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    colours = st.from_regex(r"\A#[0-9a-f]{6}\Z")
    items = tuple(
        Class(n, name, draw(colours), tuple(draw(st.lists(text, max_size=3)))) for n, name in enumerate(found, 1)
    )
    low = draw(st.floats(0, 49))
    return Settings(
        Classes(items),
        rgb_channels=draw(st.none() | st.tuples(*[st.integers(0, 9)] * 3)),
        display_channels=draw(st.none() | st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple)),
        percentiles=(low, draw(st.floats(50, 100))),
        encoder=draw(st.none() | text),
        use=draw(st.dictionaries(st.sampled_from(["cam", "pseudo", "refine"]), text, max_size=3)),
        params={m: v for m, v in draw(st.dictionaries(text, st.dictionaries(text, values), max_size=3)).items() if v},
        cache_gb=draw(st.floats(0, 1e6)),
        point_radius=draw(st.integers(0, 100)),
        seed=draw(st.integers(0, 2**62)),
    )


@settings(deadline=None, max_examples=50)
@given(all_settings())
def test_what_is_written_is_read_back(tmp_path_factory, wanted: Settings) -> None:
    folder = tmp_path_factory.getbasetemp() / "settings"
    folder.mkdir(exist_ok=True)
    write_settings(folder, wanted)
    assert read_settings(folder) == wanted
    assert to_toml(read_settings(folder)) == to_toml(wanted)


def test_the_file_explains_itself_and_is_toml(project) -> None:
    written = (project.folder / FILE).read_text(encoding="utf-8")
    assert written.startswith("# A napari-wsss project")
    table = tomllib.loads(written)
    assert table["format"] == FORMAT
    assert [c["name"] for c in table["classes"]] == ["background", "cell", "nucleus"]
    assert table["classes"][1]["colour"] == "#ff0000"


def test_classes_get_ids_and_distinct_colours() -> None:
    classes = parse_classes(["background", *(f"c{n}" for n in range(40))])
    assert [c.id for c in classes] == list(range(1, 42))
    assert len({c.colour for c in classes}) == 41


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["a", "a"], "'a' occurs twice"),
        (["a#12"], "#12"),
        ([""], "no name"),
        ([], "at least one class"),
    ],
)
def test_wrong_classes_are_named(wrong: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        parse_classes(wrong)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("seed = 0", "sed = 0", "unknown setting 'sed'"),
        ("seed = 0", "seed = 'x'", "seed"),
        ("percentiles = [1.0, 99.0]", "percentiles = [99, 1]", "percentiles"),
        ("percentiles = [1.0, 99.0]", "percentiles = ['a', 'b']", "project.toml"),
        (f"format = {FORMAT}", "", f"no line 'format = {FORMAT}'"),
        ("seed = 0", "seed = ", "not valid TOML"),
        ('name = "cell"', 'nam = "cell"', "name"),
        ('name = "cell"', "name = 3", "3 is not a text"),
    ],
)
def test_a_wrong_line_is_named(project, old: str, new: str, named: str) -> None:
    file = project.folder / FILE
    written = file.read_text(encoding="utf-8")
    assert old in written
    file.write_text(written.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=named):
        Project.open(project.folder)


def test_settings_are_saved_and_ids_keep_their_meaning(project) -> None:
    classes = project.classes
    added = Class(4, "debris", "#00ff00", ("dirt",))
    renamed = Classes((*classes.items[:2], replace(classes[3], name="nucleolus"), added))
    wanted = replace(project.settings, classes=renamed, use={"cam": "gradcam"}, params={"gradcam": {"layers": 3}})
    project.save_settings(wanted)
    with Project.open(project.folder) as again:
        assert again.settings == project.settings
        assert again.classes[4].phrases == ("dirt",)
    with pytest.raises(UsageError, match="cannot be removed"):
        project.save_settings(replace(project.settings, classes=Classes(renamed.items[:3])))
    swapped = Classes((replace(renamed[2], id=1), replace(renamed[1], id=2), *renamed.items[2:]))
    with pytest.raises(UsageError, match="cannot change its place"):
        project.save_settings(replace(project.settings, classes=swapped))
