"""Methods by kind and name, their one line, and their parameters."""

from __future__ import annotations

import ast
import dataclasses
import typing
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from napari_wsss import registry
from napari_wsss.errors import UsageError

EVERY = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


def test_the_methods_that_the_product_promises_are_there():
    promised = {
        "encoders": {"filters", "open_clip", "backbone", "sam"},
        "cams": {"head", "gradcam", "clip_es", "excel"},
        "label_models": {"agmm", "pooled"},
        "refiners": {"sam", "par", "random_walker", "walker"},
        "exporters": {"png", "coco", "voc", "yolo", "geojson", "geotiff", "ome_zarr", "napari"},
    }
    for kind, names in promised.items():
        assert names <= set(registry.names(kind))


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_method_is_one_class_with_documented_frozen_parameters(kind, name):
    method = registry.load(kind, name)
    assert registry.module_of(kind, name) == method.__module__
    params = method.Params
    assert dataclasses.is_dataclass(params)
    assert params.__dataclass_params__.frozen
    doc = f"{method.__doc__} {params.__doc__}"
    hints = typing.get_type_hints(params)
    for field in dataclasses.fields(params):
        assert field.default is not dataclasses.MISSING, field.name
        kinds = hints[field.name]
        assert kinds in (bool, int, float, str) or typing.get_origin(kinds) is Literal, field.name
        assert field.name in doc, f"{kind}/{name}: {field.name} is not documented"
    assert registry.parameters(method, {}, name) == params()


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_method_has_one_line_that_says_what_it_does(kind, name):
    line = registry.summary(kind, name)
    assert 20 < len(line) <= 120
    assert line.endswith(".")


def test_every_file_of_a_kind_is_a_method_and_ends_with_its_name():
    for kind, name in EVERY:
        spec = Path(registry.__file__).parent / kind / f"{name}.py"
        last = ast.parse(spec.read_text(encoding="utf-8")).body[-1]
        assert isinstance(last, ast.Assign), spec
        assert ast.unparse(last.targets[0]) == "METHOD", spec


def test_an_unknown_method_lists_those_that_are_there():
    with pytest.raises(UsageError, match=r"no label model named 'oracle'; there are: .*pooled"):
        registry.load("label_models", "oracle")


@dataclasses.dataclass(frozen=True)
class Params:
    depth: int = 1
    share: float = 0.5
    on: bool = False
    name: str = "a"
    size: Literal["small", "large"] = "small"

    def __post_init__(self):
        if self.depth < 1:
            raise ValueError("depth must be at least 1")


METHOD = SimpleNamespace(Params=Params)


def test_texts_become_what_the_parameters_are():
    given = {"depth": "3", "share": "0.25", "on": "yes", "name": "b", "size": "large"}
    assert registry.parameters(METHOD, given, "cam") == Params(3, 0.25, True, "b", "large")
    assert registry.parameters(METHOD, {"on": "0"}, "cam").on is False
    assert registry.parameters(METHOD, {"on": True, "depth": 2}, "cam") == Params(2, on=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"height": 3}, r"cam has no parameter 'height'; it has: depth, name"),
        ({"depth": "deep"}, r"cam\.depth: 'deep' is not a int"),
        ({"depth": "1.5"}, r"cam\.depth"),
        ({"on": "perhaps"}, r"cam\.on: 'perhaps' is neither true nor false"),
        ({"size": "huge"}, r"cam\.size: 'huge' is not one of small, large"),
        ({"depth": 0}, r"cam: depth must be at least 1"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(given, said):
    with pytest.raises(UsageError, match=said):
        registry.parameters(METHOD, given, "cam")
