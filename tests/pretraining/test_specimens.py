"""What is trained on: only what may be shipped, never what is held out, the same after a way through the disk."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss.drawing.scene import Scene
from napari_wsss.errors import UsageError
from napari_wsss.pretraining import bank
from napari_wsss.pretraining.mixture import HELD_OUT, STAINED, is_held_out, weights_of
from napari_wsss.pretraining.specimens import SHIPPABLE, Specimen, drawn, families, is_stained, real, specimen
from tests.pretraining.toy_scenes import coloured


def write_set(root, name: str, pictures: dict[str, np.ndarray], instances: bool) -> None:
    """Each picture with two squares: of ids 1 and 2 of one class."""
    mask = np.ones((60, 60), np.uint8)
    mask[5:15, 5:15] = mask[30:50, 30:50] = 2
    ids = np.where(mask == 2, 1, 0).astype(np.uint16)
    ids[30:50, 30:50] = 2
    for part in ("images", "masks", *(["instances"] if instances else [])):
        (root / name / part).mkdir(parents=True)
    for stem, picture in pictures.items():
        Picture.fromarray(picture).save(root / name / "images" / f"{stem}.png")
        Picture.fromarray(mask).save(root / name / "masks" / f"{stem}.png")
        if instances:
            Picture.fromarray(ids).save(root / name / "instances" / f"{stem}.png")
    (root / name / "train.txt").write_text("\n".join(pictures) + "\n")


def noise(seed: int, colours: bool) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 255, (60, 60, 3 if colours else 1), np.uint8)
    return values if colours else np.repeat(values, 3, 2)


# --------------------------------------------------------------------------- what may be shipped


@pytest.mark.parametrize("name", ["em_vnc", "osm_buildings", "pets", "camvid", "unknown"])
def test_a_set_whose_licence_does_not_allow_it_is_refused(tmp_path, name: str) -> None:
    write_set(tmp_path, name, {"a": noise(0, False)}, instances=False)
    with pytest.raises(UsageError, match=f"{name}: weights trained on it may not be shipped"):
        list(real(tmp_path, (name,)))


def test_every_set_that_is_trained_on_names_a_licence_that_allows_it() -> None:
    assert set(SHIPPABLE.values()) <= {"CC0", "public domain", "MIT"}


def test_a_set_that_is_not_there_is_one_line(tmp_path) -> None:
    with pytest.raises(UsageError, match="--data"):
        list(real(tmp_path, ("nuclei_fluo",)))


def test_instances_are_objects_and_else_the_regions_of_each_class(tmp_path) -> None:
    write_set(tmp_path, "nuclei_fluo", {"a": noise(0, False)}, instances=True)
    write_set(tmp_path, "dubai_landcover", {"b": noise(1, True)}, instances=False)
    nuclei, land = real(tmp_path, ("nuclei_fluo", "dubai_landcover"))
    assert (nuclei.family, nuclei.name) == ("nuclei_fluo", "a")
    assert nuclei.picture.dtype == np.uint8
    assert nuclei.table[:, 4].tolist() == [100, 400]
    assert nuclei.table[:, 2:4].tolist() == [[9.5, 9.5], [39.5, 39.5]]
    assert sorted(land.table[:, 4].tolist()) == [100, 400, 3100]  # the ground is a region, too
    assert len(np.unique(land.objects[0])) == 3


def test_stained_tissue_can_be_left_out(tmp_path) -> None:
    write_set(tmp_path, "nuclei_more", {"grey": noise(0, False), "stained": noise(1, True)}, instances=True)
    assert [s.name for s in real(tmp_path, ("nuclei_more",))] == ["grey", "stained"]
    assert [s.name for s in real(tmp_path, ("nuclei_more",), stained=False)] == ["grey"]
    assert is_stained(noise(1, True))
    assert not is_stained(noise(0, False))
    assert set(STAINED) <= set(families())


def test_held_out_pictures_are_one_in_seven_by_name_and_only_of_real_sets() -> None:
    toy = coloured()

    def of(family: str, name: str) -> Specimen:
        return Specimen(family, name, toy.picture, toy.objects, toy.table)

    for family in HELD_OUT:
        kept = [is_held_out(of(family, str(i))) for i in range(700)]
        assert 60 < sum(kept) < 140
        assert kept == [is_held_out(of(family, str(i))) for i in range(700)]
    assert not any(is_held_out(of("nuclei_more", str(i))) for i in range(50))
    assert not any(is_held_out(of("fluorescent nuclei", str(i))) for i in range(50))


def test_every_family_has_a_weight_and_rooms_keep_their_share() -> None:
    every = {*families(), *SHIPPABLE, "free"}
    weights = weights_of(every)
    assert set(weights) == every
    assert all(w > 0 for w in weights.values())
    fewer = weights_of(every - {"animals", "glands"})
    drawn_of = lambda found: sum(w for name, w in found.items() if name in families())  # noqa: E731
    assert drawn_of(fewer) == pytest.approx(drawn_of(weights))


# --------------------------------------------------------------------------- specimens on disk


def test_small_objects_are_left_out_and_a_picture_without_any_is_none() -> None:
    ids = np.zeros((40, 40), np.uint16)
    ids[0, :29] = 1
    picture = np.zeros((40, 40, 3), np.float32)
    assert specimen("toy", "small", Scene(picture, (ids,))) is None
    ids[10:20, 10:20] = 7
    made = specimen("toy", "one", Scene(picture, (ids * 0, ids)))
    assert made is not None
    assert made.table.tolist() == [[1, 7, 14.5, 14.5, 100, 1600]]


def test_drawn_scenes_take_turns_and_are_their_seeds() -> None:
    names = ("fluorescent nuclei", "rods")
    first, again = (list(drawn(names, 4, 2, (64, 64))) for _ in range(2))
    assert [s.name for s in first] == ["fluorescent nuclei-4", "rods-5"]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(first, again))


def test_a_bank_gives_back_what_was_written(tmp_path) -> None:
    toy = coloured()
    two = Specimen("other", "two maps", toy.picture[::-1], (toy.objects[0], toy.objects[0][::-1]), toy.table)
    assert bank.write(iter([toy, two]), tmp_path / "bank") == 2
    read = {s.name: s for s in bank.read(tmp_path / "bank")}
    assert set(read) == {"coloured", "two maps"}
    for made in (toy, two):
        same = read[made.name]
        assert same.family == made.family
        assert np.array_equal(same.picture, made.picture)
        assert np.array_equal(same.table, made.table)
        assert len(same.objects) == len(made.objects)
        assert all(np.array_equal(a, b) for a, b in zip(same.objects, made.objects))


def test_an_empty_bank_names_the_command(tmp_path) -> None:
    with pytest.raises(UsageError, match="pretraining draw"):
        bank.read(tmp_path)


def test_a_bank_is_read_without_running_anything(tmp_path) -> None:
    np.savez(tmp_path / "toy@evil.npz", picture=np.array([{"a": 1}], dtype=object), table=np.zeros((1, 6)))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        bank.read(tmp_path)
