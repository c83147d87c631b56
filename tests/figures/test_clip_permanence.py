"""What the figure of the starved clip says, in its numbers."""

from importlib import import_module

import pytest

from rdp.perception import LOSSES


@pytest.fixture(scope="module")
def table():
    return import_module("figures.clip_permanence").compute()


def test_joint_realism_keeps_the_error_of_a_starved_frame_in_pixels(table):
    for panel in ("measured", "predicted"):
        part = table[table.panel == panel].pivot(index="frame", columns="series", values="value")
        assert (part.loc[1] < 23).all()
        for plf in ("MMSE", "FMD", "SA"):
            assert (part[plf][1:] > 32).all()
        assert (part["JD"] < 28).all()
        assert part["JD"][16] > part["JD"][2] + 2  # it fades


def test_pictures_are_those_of_every_loss(table):
    stream, pictures = import_module("figures.clip_permanence")._pictures()
    assert list(pictures) == ["source", *LOSSES]
    assert len({frames.shape for frames in pictures.values()}) == 1
    for frames in pictures.values():
        assert ((frames >= 0) & (frames <= 255)).all()
    first = table[(table.panel == "measured") & (table.frame == 1)].bits_per_pixel
    assert (first == stream.frame_bits[0] / pictures["source"][0].size).all()
