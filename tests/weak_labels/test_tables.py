"""tags.csv, points.csv and boxes.csv: round trips, and every wrong row named."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_wsss.errors import WsssError
from napari_wsss.types import Box, Point, Tags
from napari_wsss.weak_labels import read_boxes, read_points, read_tags

READERS = {
    "tags": (read_tags, "image,tag", "a,nucleus"),
    "points": (read_points, "image,y,x,class", "a,1,2,nucleus"),
    "boxes": (read_boxes, "image,y0,x0,y1,x1,class", "a,1,2,3,4,nucleus"),
}
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def outcome(read, otherwise):
    """The message of a refusal, or ``otherwise`` where it was read; anything else fails the test."""
    try:
        read()
    except WsssError as error:
        return str(error)
    return otherwise


def written(folder, text, name="labels.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_tags(tmp_path, images, classes):
    path = written(tmp_path, "image,tag\na.png,nucleus\na,!debris\nb,!*\nsub/c,background\n")
    read = read_tags(path, images, classes)
    assert read.by_image["a.png"].tags == Tags(frozenset({2}), frozenset({3}))
    assert read.by_image["b.tif"].tags == Tags(complete=True)
    assert read.by_image["sub/c.png"].tags == Tags(frozenset({1}))
    assert read.left_out == 0


def test_points_of_planes(tmp_path, images, classes):
    path = written(
        tmp_path, "image,y,x,class,z,t\nstack.tif,1,2,nucleus,0,1\nstack.tif,3.6,4,debris,1,1\na,5,6,debris,,\n"
    )
    read = read_points(path, images, classes)
    assert read.by_image["stack.tif@t1z0"].marks == (Point(1, 2, 2),)
    assert read.by_image["stack.tif@t1z1"].marks == (Point(4, 4, 3),)
    assert read.by_image["a.png"].marks == (Point(5, 6, 3),)


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a", "b.tif"]), st.integers(0, 19), st.integers(0, 29), st.integers(1, 3)),
        max_size=20,
    )
)
@shared
def test_points_round_trip(tmp_path, images, classes, rows):
    text = io.StringIO()
    csv.writer(text).writerows([("image", "y", "x", "class"), *((n, y, x, classes[k].name) for n, y, x, k in rows)])
    read = read_points(written(tmp_path, text.getvalue()), images, classes)
    for name, full in (("a", "a.png"), ("b.tif", "b.tif")):
        expected = tuple(Point(y, x, k) for n, y, x, k in rows if n == name)
        assert (read.by_image[full].marks if full in read.by_image else ()) == expected


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 19), st.integers(0, 29), st.integers(1, 3), st.booleans(), st.integers(1, 30)),
        min_size=1,
        max_size=20,
    )
)
@shared
def test_boxes_round_trip(tmp_path, images, classes, rows):
    marks = tuple(Box(y, x, min(20, y + s), min(30, x + s), k, fill) for y, x, k, fill, s in rows)
    lines = [f"a,{b.y0},{b.x0},{b.y1},{b.x1},{classes[b.class_id].name},{int(b.fill)}" for b in marks]
    path = written(tmp_path, "\r\n".join(["image,y0,x0,y1,x1,class,fill", *lines]))
    assert read_boxes(path, images, classes).by_image["a.png"].marks == marks


def test_byte_order_mark_crlf_quotes_and_blank_lines(tmp_path, images, classes):
    path = written(tmp_path, b'\xef\xbb\xbfimage,y,x,class\r\n\r\n"a.png", 3 ,4,"nucleus"\r\n')
    assert read_points(path, images, classes).by_image["a.png"].marks == (Point(3, 4, 2),)


def test_a_digest_follows_content_and_kind(tmp_path, images, classes):
    one = written(tmp_path, "image,y,x,class\na,1,1,nucleus\n", "one.csv")
    copy = written(tmp_path, "image,y,x,class\na,1,1,nucleus\n", "copy.csv")
    other = written(tmp_path, "image,y,x,class\na,1,2,nucleus\n", "other.csv")
    digests = [read_points(p, images, classes).digest for p in (one, copy, other)]
    assert digests[0] == digests[1] != digests[2]


WRONG = [
    ("tags", "nowhere,nucleus", "no image named 'nowhere'"),
    ("tags", "a,cell", "unknown class 'cell'"),
    ("tags", "a,!cell", "unknown class 'cell'"),
    ("tags", "a,!nucleus", "both present and absent"),
    ("tags", "a", "1 cells where the header has 2"),
    ("points", "a,20,2,nucleus", "outside"),
    ("points", "a,2,-1,nucleus", "outside"),
    ("points", "a,two,2,nucleus", "not a number"),
    ("points", "a,nan,2,nucleus", "not a number"),
    ("points", "a,1e999,2,nucleus", "not a number"),
    ("points", "a,1_0,2,nucleus", "not a number"),
    ("points", "a,٣,2,nucleus", "not a number"),
    ("points", "a,,2,nucleus", "not a number"),
    ("points", "a,1,2,nucleus,9", "5 cells where the header has 4"),
    ("points", "stack.tif,1,2,nucleus", "no image named"),
    ("boxes", "a,1,2,1,4,nucleus", "empty"),
    ("boxes", "a,1,2,21,4,nucleus", "outside"),
    ("boxes", "a,-1,2,3,4,nucleus", "outside"),
    ("boxes", "a,1,2,3,4,", "unknown class ''"),
]


@pytest.mark.parametrize(("kind", "row", "reason"), WRONG)
def test_a_wrong_row_names_file_line_and_reason(tmp_path, images, classes, kind, row, reason):
    read, header, good = READERS[kind]
    path = written(tmp_path, f"{header}\n{good}\n{row}\n")
    with pytest.raises(WsssError) as error:
        read(path, images, classes)
    assert "labels.csv line 3: " in str(error.value)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    skipped = read(path, images, classes, skip_bad_rows=True)
    assert skipped.left_out == 1
    assert list(skipped.by_image) == ["a.png"]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("header", ["", "image", "y,x,class,image2", "image,tag,tag", "image,y,x,class,colour"])
@pytest.mark.parametrize("skip", [False, True])
def test_a_wrong_header_says_what_it_must_be(tmp_path, images, classes, kind, header, skip):
    with pytest.raises(WsssError, match=r"labels.csv line 1: the header is .* it must be image"):
        READERS[kind][0](written(tmp_path, f"{header}\n"), images, classes, skip_bad_rows=skip)


def test_what_is_not_utf8_names_the_line(tmp_path, images, classes):
    with pytest.raises(WsssError, match="line 3: not UTF-8"):
        read_tags(written(tmp_path, b"image,tag\na,nucleus\na,\xff\xfe\n"), images, classes)


def test_a_missing_file_is_named(tmp_path, images, classes):
    with pytest.raises(WsssError, match=r"none\.csv"):
        read_tags(tmp_path / "none.csv", images, classes)


@pytest.mark.parametrize("fill", ["2", "yes", "-1"])
def test_fill_is_0_or_1(tmp_path, images, classes, fill):
    with pytest.raises(WsssError, match="neither 0 nor 1"):
        read_boxes(written(tmp_path, f"image,y0,x0,y1,x1,class,fill\na,1,1,2,2,debris,{fill}\n"), images, classes)


@given(
    data=st.binary(max_size=120) | st.text(max_size=120).map(str.encode),
    kind=st.sampled_from(sorted(READERS)),
    head=st.booleans(),
)
@shared
def test_fuzzed_files_end_in_labels_or_one_clear_line(tmp_path, images, classes, data, kind, head):
    read, header, good = READERS[kind]
    path = written(tmp_path, f"{header}\n{good}\n".encode() + data if head else data)
    assert "labels.csv" in outcome(lambda: read(path, images, classes), "labels.csv")


cells = st.sampled_from(
    ["a", "nucleus", "1", "", "-3", "9" * 5000, "inf", '"', "0x10", "1.5", "!nucleus", "!*", "\0", "é"]
)


@given(row=st.lists(cells, min_size=1, max_size=7), kind=st.sampled_from(sorted(READERS)))
@shared
def test_fuzzed_rows_are_taken_or_counted(tmp_path, images, classes, row, kind):
    read, header, good = READERS[kind]
    path = written(tmp_path, f"{header}\n{good}\n{','.join(row)}\n")

    def attempt():
        assert read(path, images, classes, skip_bad_rows=True).left_out in (0, 1)

    assert "not CSV" in outcome(attempt, "not CSV")
