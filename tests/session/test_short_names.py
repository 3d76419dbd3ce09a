"""Names in a narrow list tell images apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_wsss.session.listing import short_names


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["plate_well_003cee89.png", "plate_well_06c779.png"], ["003cee89", "06c779"]),
        (["day 1/experiment-a-0001.tif", "day 2/experiment-a-0002.tif"], ["0001", "0002"]),
        (["experiment_1.tif", "experiment_1_mask.png"], ["1.tif", "1_mask.png"]),
        (["0.png", "1.png"], ["0.png", "1.png"]),
        (["a_long_name_alone.png"], ["a_long_name_alone.png"]),
        (["something_very_long", "something_very_long_more"], ["long", "long_more"]),
        ([], []),
    ],
)
def test_what_all_names_share_is_left_out_of_long_ones(names, shown):
    assert list(short_names(names).values()) == shown


@given(st.lists(st.text("ab_.-/", min_size=1, max_size=20), unique=True))
def test_files_stay_told_apart_and_none_is_nameless(names):
    short = short_names(names)
    files = {n: n.rsplit("/", 1)[-1] for n in names}
    assert list(short) == names
    assert len(set(short.values())) == len(set(files.values()))
    assert all(short[n] or not files[n] for n in names)
