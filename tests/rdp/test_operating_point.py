"""Operating points survive the way to disk and back, and refuse what they cannot vouch for."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdp import JD, GaussMarkov, OperatingPoint, load_points, save_points
from rdp.operating_point import KINDS, SCHEMA, SCHEMA_VERSION, environment
from rdp.perception import LOSSES

NUMBERS = st.floats(0, 1e300) | st.just(math.inf)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@st.composite
def points(draw):
    frames = draw(st.integers(1, 4))
    per_frame = st.lists(NUMBERS, min_size=frames, max_size=frames)
    perception = draw(st.none() | per_frame)
    names = ["rate", "distortion"] + ["perception"] * (perception is not None)
    interval = st.lists(st.tuples(NUMBERS, NUMBERS).map(sorted), min_size=frames, max_size=frames)
    source = st.just(GaussMarkov.stationary(0.7, frames, sigma=3.0)) | st.just("digits")
    text = st.text(min_size=1)
    return OperatingPoint(
        label=draw(text),
        plf=draw(st.sampled_from(LOSSES)),
        rate=draw(per_frame),
        distortion=draw(per_frame),
        perception=perception,
        metric=draw(text),
        kind=draw(st.sampled_from(KINDS)),
        units=draw(text),
        source=draw(st.none() | source),
        seed=draw(st.none() | st.integers(0, 2**70)),
        samples=draw(st.none() | st.integers(0, 10**9)),
        intervals=draw(st.dictionaries(st.sampled_from(names), interval)),
        confidence=draw(st.floats(0.01, 0.99)),
        commit=draw(st.none() | text),
        versions=draw(st.dictionaries(st.text(), text)),
        provenance=draw(st.dictionaries(st.text(), JSON_VALUES)),
    )


@given(st.lists(points(), max_size=3))
def test_points_come_back_as_they_were(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("points") / "points.json"
    save_points(path, written)
    read = load_points(path)
    assert [point.to_json() for point in read] == [point.to_json() for point in written]
    for old, new in zip(written, read, strict=True):
        np.testing.assert_array_equal(new.rate, old.rate)
        np.testing.assert_array_equal(new.distortion, old.distortion)
        assert type(new.source) is type(old.source)
    assert [file.name for file in path.parent.iterdir()] == ["points.json"]


def test_the_file_is_strict_json(tmp_path):
    path = tmp_path / "points.json"
    save_points(path, [OperatingPoint("x", "MMSE", [math.inf], [0.0])])

    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert (content["schema"], content["version"]) == (SCHEMA, SCHEMA_VERSION)


GOOD = {"label": "codec", "plf": "JD", "rate": [1.0, 2.0], "distortion": [0.5, 0.25]}

BAD_FIELDS = {
    "label": ["", None, 3],
    "plf": ["JDD", None, ["JD"]],
    "rate": [
        [1.0, -2.0],
        [1.0, math.nan],
        [],
        1.0,
        [[1.0, 2.0]],
        "fast",
        None,
        [1.0, None],
        [10**400, 1],
    ],
    "distortion": [[0.5], [0.5, math.nan], [0.5, -1.0], {"a": 1}],
    "perception": [[0.5], [math.nan, 0.0], [-1.0, 0.0]],
    "metric": ["", None],
    "kind": ["guessed", None],
    "units": ["", 1],
    "source": ["", {"sigma": [1.0]}, {"sigma": [1.0], "rho": []}, 7],
    "seed": [-1, 1.5, True, "1"],
    "samples": [-1, math.nan, "many"],
    "intervals": [
        {"rate": [[0.0, 1.0]]},
        {"rate": [[1.0, 0.0], [0.0, 1.0]]},
        {"rate": [[0.0, math.nan], [0.0, 1.0]]},
        {"speed": [[0.0, 1.0], [0.0, 1.0]]},
        {"perception": [[0.0, 1.0], [0.0, 1.0]]},
        [],
    ],
    "confidence": [0.0, 1.0, math.nan, "high"],
    "commit": [3, ""],
    "versions": [{"numpy": 2}, ["numpy"]],
    "provenance": [["list"], 3],
    "speed": [3.0],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_FIELDS.items() for value in values]
)
def test_a_malformed_field_is_named_with_its_file_and_point(tmp_path, name, value):
    path = tmp_path / "points.json"
    content = {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "points": [GOOD, {**GOOD, name: value}],
    }
    path.write_text(json.dumps(content))  # NaN as Python writes it
    with pytest.raises(ValueError, match=rf"points\.json: point 1: {name}"):
        load_points(path)


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_field_is_named(name):
    with pytest.raises(ValueError, match=f"{name}: missing"):
        OperatingPoint.from_json({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, None, "1", True, 1.0])
def test_an_unknown_schema_version_is_refused(tmp_path, version):
    path = tmp_path / "points.json"
    path.write_text(json.dumps({"schema": SCHEMA, "version": version, "points": []}))
    with pytest.raises(ValueError, match=f"version: expected {SCHEMA_VERSION}, got"):
        load_points(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"points": []}',
        "[" * 100_000,
        "1" * 5000,
        "\udcff",
        json.dumps({"schema": SCHEMA, "version": SCHEMA_VERSION}),
        json.dumps({"schema": SCHEMA, "version": SCHEMA_VERSION, "points": [3]}),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_such_file_is_refused(tmp_path, text):
    path = tmp_path / "points.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"points\.json: "):
        load_points(path)


def test_a_message_about_a_long_value_is_short(tmp_path):
    path = tmp_path / "points.json"
    save_points(path, [OperatingPoint("a", "MMSE", rate=[1.0], distortion=[0.3])])
    for bad in ('"\\n' + "a" * 10_000 + '"', '["\\u001b[31m' + "a" * 10_000 + '"]'):
        path.write_text(path.read_text().replace("[\n    0.3\n   ]", bad))
        with pytest.raises(ValueError, match=r"point 0: distortion: expected numbers") as caught:
            load_points(path)
        assert len(str(caught.value)) < 700
        assert str(caught.value).isprintable()
        path.write_text(path.read_text().replace(bad, "[\n    0.3\n   ]"))


def test_provenance_must_be_plain_data():
    with pytest.raises(ValueError, match="provenance: expected what JSON can hold"):
        OperatingPoint(**GOOD, provenance={"model": object()})
    with pytest.raises(ValueError, match="provenance: expected what JSON can hold"):
        OperatingPoint(**GOOD, provenance={"loss": math.nan})


def test_a_failed_save_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "points.json"
    save_points(path, [OperatingPoint(**GOOD)])
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        save_points(path, [OperatingPoint(**GOOD), "not a point"])
    assert path.read_bytes() == before


def test_arrays_are_frozen():
    point = OperatingPoint(**GOOD)
    with pytest.raises(ValueError, match="read-only"):
        point.rate[0] = 0.0


def test_environment_fills_fields_of_a_point():
    point = OperatingPoint(**GOOD, **environment(["numpy", "scipy"]))
    assert point.versions["numpy"] == np.__version__


@pytest.mark.parametrize("plf", [JD(0.1), "JD", "jd"])
def test_the_loss_may_be_written_in_any_way(plf):
    point = OperatingPoint("codec", plf, rate=[1.0], distortion=[0.5])
    assert point.plf == "JD"
    assert OperatingPoint("codec", None, rate=[1.0], distortion=[0.5]).plf == "MMSE"
