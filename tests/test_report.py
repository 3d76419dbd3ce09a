"""The report: one valid file, everything in it, nothing fetched, nothing unescaped."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.errors import Cancelled
from napari_wsss.evaluation import Case, SeedCase, evaluate, evaluate_seeds
from napari_wsss.report import MethodUsed, Report, ReportImage, write_report
from napari_wsss.report.row import row_of
from napari_wsss.types import Cam, Class, Classes, Mask, PixelSize, Point, Provenance, Tags, WeakLabels

CLASSES = Classes((Class(1, "background", "#202020"), Class(2, "a <script>", "#e41a1c")))
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Checks that tags close in order; gathers pictures, text and links."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.links, self.text, self.ids = [], [], [], [], set()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        self.sources += [found["src"]] if "src" in found else []
        self.links += [found["href"]] if "href" in found else []
        assert tag != "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert not page.open
    page.text = " ".join(page.text)
    return page


def image(name="slide/a.png", **more):
    rng = np.random.default_rng(0)
    truth = np.ones((40, 60), np.uint16)
    truth[10:30, 10:40] = 2
    pseudo = np.where(rng.random(truth.shape) < 0.2, 0, truth).astype(np.uint16)
    scores = (truth == 2).astype(np.float32)[None]
    rgb = rng.integers(0, 255, (40, 60, 3)).astype(np.uint8)
    given = {
        "hints": WeakLabels(Tags(frozenset({2}), frozenset({1})), (Point(20, 20, 2),)),
        "cam": lambda: Cam(scores, (2,), np.ones(1, np.float32), pseudo),
        "pseudo": lambda: pseudo,
        "mask": lambda: Mask(truth, (truth == 2).astype(np.uint32)),
        "provenance": (Provenance("method", "agmm", "2026-01-02", {"passes": 8}, "net@12", ("cam",), "0.1"),),
        "pixel_size": PixelSize(0.5, 0.5, "um"),
    }
    return ReportImage(name, lambda: rgb, **(given | more))


def report(*images):
    cases = [Case(i.name, i.mask().labels, i.pseudo()) for i in images]
    figures = {"pseudo": evaluate(cases, CLASSES).as_json()} if cases else {}
    methods = (MethodUsed("pseudo", "agmm", "", {"passes": 8}),)
    return Report(
        "Nuclei & <more>", CLASSES, images, "9.8.7", {"device": "cpu", "encoder": "filters"}, methods, figures
    )


def test_one_file_with_all_in_it(tmp_path):
    write_report(report(image(), image("b.png", accepted="2026-02-03")), tmp_path / "out" / "report.html")
    page = read(tmp_path / "out" / "report.html")
    for wanted in ("9.8.7", "device", "cpu", "filters", "passes=8", "Nuclei & <more>", "slide/a.png", "a <script>",
                   "no background", "accepted 2026-02-03", "not accepted", "net@12", "mIoU", "µm²"):  # fmt: skip
        assert wanted in page.text, wanted
    assert len(page.sources) == 10
    for source in page.sources:
        kind, _, data = source.partition(",")
        assert kind == "data:image/jpeg;base64"
        with Picture.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert picture.size == (480, 320)
    assert {link[1:] for link in page.links} <= page.ids
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "http" not in text
    assert "prefers-color-scheme: dark" in text
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]


def test_figures_are_those_given(tmp_path):
    only = image()
    write_report(report(only), tmp_path / "r.html")
    figures = evaluate([Case("x", only.mask().labels, only.pseudo())], CLASSES)
    text = read(tmp_path / "r.html").text
    for value in (figures.miou, figures.accuracy, figures.coverage, figures.iou["background"]):
        assert f"{value:.3f}" in text


def test_seed_figures_stand_under_the_same_columns(tmp_path):
    only = image()
    seeds = evaluate_seeds([SeedCase("x", only.mask().labels, only.cam().scores, (2,))], CLASSES).as_json()
    write_report(dataclasses.replace(report(only), figures={"cam": seeds}), tmp_path / "r.html")
    text = read(tmp_path / "r.html").text
    assert "cam, threshold 0.40" in text
    assert f"cam, threshold {seeds['best_threshold']:.2f}, chosen by the truth" in text


def test_areas_add_up(tmp_path):
    write_report(report(image(), image("b.png", pixel_size=PixelSize(2, 3, "m"))), tmp_path / "r.html")
    text = re.sub(r"\s+", " ", read(tmp_path / "r.html").text)
    # 600 pixels of the class an image: 600 · 6 m² and 600 · 0.25 µm²
    assert "a <script> 1,200 25.0% 3,600 150" in text


def test_missing_stages_are_left_out_and_truth_is_compared():
    def names(one):
        return [shown.caption for shown in row_of(one, CLASSES).pictures]

    assert names(image()) == [
        "Image and hints", "Activation maps", "Pseudo-labels", "Refined mask", "Changed by refinement",
    ]  # fmt: skip
    assert names(ReportImage("x", image().rgb)) == ["Image"]
    assert names(image(cam=lambda: None, mask=lambda: None)) == ["Image and hints", "Pseudo-labels"]
    truth = image().mask().labels.copy()
    truth[0] = 0  # not known there: no error
    row = row_of(image(truth=lambda: truth), CLASSES)
    assert row.pictures[-1].caption == "Against the truth"
    assert "0.0%" in row.pictures[-1].meaning


def test_names_are_escaped(tmp_path):
    write_report(report(image("<i>&x.png", notes=("<b>bold",))), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<i>" not in text
    assert "<b>bold" not in text
    assert "<i>&x.png" in read(tmp_path / "r.html").text


def test_empty_report_and_equal_bytes(tmp_path):
    write_report(report(), tmp_path / "empty.html")
    assert "Nuclei" in read(tmp_path / "empty.html").text
    for name in ("one.html", "two.html"):
        write_report(report(image()), tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_cancel_leaves_the_old_report(tmp_path):
    (tmp_path / "r.html").write_text("old")

    def stop(done, total, what):
        raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        write_report(report(image()), tmp_path / "r.html", stop)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("r.html", "old")]
