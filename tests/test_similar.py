"""`ca4 query --similar`: changed copies of a photograph find their original."""

import json

import pytest
from PIL import Image, ImageEnhance
from support import MODEL, PHOTOS, run, running, when_stored

# One of a kind each: no second photograph of the same thing among them.
ORIGINALS = ["astronaut.png", "brick.png", "camera.png", "chelsea.png", "china.jpg", "coffee.png", "coins.png"]
ORIGINALS += ["flower.jpg", "grass.png", "hubble_deep_field.jpg", "moon.png", "rocket.jpg"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The originals, produced into a store."""
    folder = tmp_path_factory.mktemp("similar")
    with running("up", folder / "data") as server:
        flags = ["--endpoint", server.url, "--model", MODEL, "--journal", folder / "journal"]
        result = run("produce", *(PHOTOS / o for o in ORIGINALS), *flags, "--id-template", "{name}")
        assert result.returncode == 0, result.stderr
        when_stored(folder / "data", ORIGINALS)
    return folder / "data"


def neighbours(store, what, *flags):
    flags = ["--format", "ndjson", "--model-file", MODEL, *flags]
    result = run("query", "--data-dir", store, "--similar", what, *flags)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def cropped(image):
    width, height = image.size
    return image.crop((width // 10, height // 10, width * 9 // 10, height * 9 // 10))


CHANGES = {
    "a smaller JPEG of low quality": ("jpg", {"quality": 40}, lambda i: i.resize((i.width // 2, i.height // 2))),
    "a crop as PNG": ("png", {}, cropped),
    "a mirrored WebP": ("webp", {"quality": 80}, lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "a darker PNG": ("png", {}, lambda i: ImageEnhance.Brightness(i).enhance(0.8)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("original", ["astronaut.png", "chelsea.png", "china.jpg", "coffee.png", "rocket.jpg"])
def test_a_changed_copy_finds_its_original_first(store, tmp_path, original, change):
    ending, options, apply = CHANGES[change]
    copy = tmp_path / f"copy.{ending}"
    with Image.open(PHOTOS / original) as image:
        apply(image.convert("RGB")).save(copy, **options)
    found = neighbours(store, copy, "-k", "3")
    assert len(found) == 3
    assert found[0]["metadata_id"] == original
    cosines = [d["cosine"] for d in found]
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[0] > cosines[1]


def test_an_image_is_its_own_nearest_neighbour(store):
    first, *_ = neighbours(store, PHOTOS / "chelsea.png", "-k", "2")
    assert first["metadata_id"] == "chelsea.png"
    assert first["cosine"] == pytest.approx(1, abs=1e-4)


def test_a_stored_document_finds_others_but_not_itself(store):
    found = neighbours(store, "chelsea.png", "-k", "100")
    assert {d["metadata_id"] for d in found} == set(ORIGINALS) - {"chelsea.png"}


def test_cosines_are_those_of_the_stored_embeddings(store):
    import numpy

    result = run("query", "--data-dir", store, "--format", "ndjson", "--limit", "0", "--with-embedding")
    vectors = {d["metadata_id"]: numpy.array(d["embedding"]) for d in map(json.loads, result.stdout.splitlines())}
    query = vectors["coffee.png"]
    for found in neighbours(store, "coffee.png", "-k", "100"):
        other = vectors[found["metadata_id"]]
        expected = query @ other / numpy.linalg.norm(query) / numpy.linalg.norm(other)
        assert found["cosine"] == pytest.approx(expected, abs=1e-5)


def test_a_filter_narrows_the_search(store):
    assert neighbours(store, "chelsea.png", "--pipeline", "nobody") == []


def test_people_get_a_table(store, ca4):
    result = ca4("query", "--data-dir", store, "--similar", "chelsea.png", "-k", "2")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 3


def test_another_dimension_is_told_and_not_taken_for_an_empty_store(store, ca4):
    flags = ["--model-file", MODEL, "--model-output", "logits"]
    result = ca4("query", "--data-dir", store, "--similar", PHOTOS / "chelsea.png", *flags)
    assert (result.returncode, result.stderr) == (0, "no other document that is asked for has this one's dimension\n")


def test_neither_a_file_nor_an_id_is_told(store, ca4):
    result = ca4("query", "--data-dir", store, "--similar", "nothing.png")
    assert result.returncode == 1
    assert "nothing.png" in result.stderr
