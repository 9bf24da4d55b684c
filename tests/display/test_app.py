"""The explorer's API: what it answers, and what it does not let itself be talked into."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from lib.display.app import MOST_QUERY, build_app

HOSTS = ("testserver", "127.0.0.1", "::1")


@pytest.fixture(scope="module")
def client(galleries, pictures):
    return TestClient(build_app(galleries, pictures, HOSTS))


def test_search_ranks_pictures(client, galleries):
    query = galleries[0].split.captions[4]
    for run, gallery in enumerate(galleries):
        found = client.get("/search", params={"query": query, "run": run, "k": 4}).json()
        scores = gallery.search(query)
        assert found["query"] == query
        assert found["milliseconds"] > 0
        ids = [one["id"] for one in found["pictures"]]
        assert ids == [gallery.split.image_ids[i] for i in np.argsort(-scores, kind="stable")[:4]]
        assert [one["rank"] for one in found["pictures"]] == [1, 2, 3, 4]
        assert found["pictures"][0]["file"] == ids[0] + ".png"
        assert found["pictures"][0]["score"] == pytest.approx(scores.max(), abs=1e-5)


def test_a_picture_s_sentences(client, galleries):
    gallery = galleries[0]
    image_id = gallery.split.image_ids[2]
    found = client.get(f"/picture/{image_id}", params={"k": 200}).json()
    scores = gallery.sentences(2)
    ranked = [one["score"] for one in found["sentences"]]
    assert ranked == sorted(ranked, reverse=True)
    assert [one["text"] for one in found["own"]] == gallery.split.captions[10:15]
    assert sum(one["right"] for one in found["sentences"]) == 5
    for number, one in zip(range(10, 15), found["own"], strict=True):
        assert one["rank"] == 1 + (scores > scores[number]).sum()
    assert found["size"] == [224, 224]
    assert sum(share for _, _, share in found["labels"]) == pytest.approx(1)
    assert client.get(f"/picture/{image_id}", params={"run": 1}).json()["labels"] is None


def test_what_the_models_looked_at(client, galleries):
    image_id, sentence = galleries[0].split.image_ids[5], galleries[0].split.captions[25]
    about = {"sentence": sentence, "region": 3}
    found = client.get(f"/explain/{image_id}", params=about).json()
    assert found["count"] == len(found["boxes"]) == 6
    assert sum(found["score_parts"].values()) == pytest.approx(found["score"], abs=1e-3)
    maps = np.array(found["maps"]["VSpM: attention"])
    assert maps.shape == (16, 16)
    assert maps.sum() == pytest.approx(1, abs=5e-3)
    other = client.get(f"/explain/{image_id}", params={**about, "region": 1}).json()
    assert other["maps"] != found["maps"]
    assert other["regions"] == found["regions"]
    assert all(len(values) == 6 for values in found["regions"].values())
    assert all(len(values) == len(found["pieces"]) for values in found["words"].values())
    assert found["pieces"][0] == "[CLS]"
    pairs = client.get(f"/explain/{image_id}", params={**about, "run": 1}).json()
    attention = np.array(pairs["attention"]["words to regions"])
    assert attention.shape == (len(pairs["pieces"]), 6)
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-4)
    alone = client.get(f"/explain/{image_id}").json()
    assert alone["score"] is None
    assert alone["pieces"] == []


def test_pictures_and_label_maps(client, galleries):
    image_id = galleries[0].split.image_ids[0]
    for path, kind, size in (("image", "JPEG", (224, 224)), ("labels", "PNG", (16, 16))):
        answer = client.get(f"/{path}/{image_id}")
        assert answer.headers["content-type"] == f"image/{kind.lower()}"
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert (picture.format, picture.size) == (kind, size)
    assert client.get(f"/labels/{image_id}", params={"run": 1}).status_code == 404


@pytest.mark.parametrize(
    "image_id",
    ["../pictures", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "....//x", "none", "%00", "é"],
)
@pytest.mark.parametrize("path", ["image", "labels", "picture", "explain"])
def test_no_file_but_a_split_s_pictures(client, path, image_id):
    answer = client.get(f"/{path}/{image_id}")
    assert answer.status_code == 404
    assert b"root:" not in answer.content


def test_no_picture_of_another_split(client, world):
    image_id = (world / "scenes_precomp" / "train_ids.txt").read_text().split()[0]
    assert (world / "scenes_precomp" / "images" / f"{image_id}.png").is_file()
    assert client.get(f"/image/{image_id}").status_code == 404


@pytest.mark.parametrize(
    ("path", "about", "status"),
    [
        ("search", {}, 422),
        ("search", {"query": ""}, 422),
        ("search", {"query": " \t\n "}, 422),
        ("search", {"query": "x" * (MOST_QUERY + 1)}, 422),
        ("search", {"query": "a", "k": 0}, 422),
        ("search", {"query": "a", "k": 10**9}, 422),
        ("search", {"query": "a", "k": "many"}, 422),
        ("search", {"query": "a", "run": 2}, 404),
        ("search", {"query": "a", "run": -1}, 422),
        ("explain/ID", {"region": 6}, 404),
        ("explain/ID", {"region": -1}, 422),
        ("explain/ID", {"sentence": "x" * (MOST_QUERY + 1)}, 422),
        ("explain/ID", {"sentence": ""}, 422),
        ("nothing", {}, 404),
    ],
)
def test_requests_that_make_no_sense(client, galleries, path, about, status):
    path = path.replace("ID", galleries[0].split.image_ids[0])
    answer = client.get(f"/{path}", params=about)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert "xxx" not in answer.text  # what was sent is not sent back


QUERIES = (
    "<script>alert(1)</script>", "日本語 ", "😀" * 300, "a " * 500, "\x00\x1f", "'; DROP TABLE",
    "[CLS] [SEP] [PAD]", "...",
)  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_any_sentence_is_a_sentence(client, query):
    for run in (0, 1):
        answer = client.get("/search", params={"query": query, "run": run})
        assert answer.status_code == 200, answer.text
        scores = [one["score"] for one in answer.json()["pictures"]]
        assert scores == sorted(scores, reverse=True)
        json.loads(answer.text)


def test_bytes_that_are_no_text_are_replaced(client):
    assert client.get("/search?query=%ff%fe").json()["query"] == "\ufffd\ufffd"


def test_many_at_once_get_what_one_gets(client, galleries):
    queries = galleries[0].split.captions[:12]
    about = [{"query": query, "run": run} for query in queries for run in (0, 1)]
    alone = [client.get("/search", params=one).json()["pictures"] for one in about]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda one: client.get("/search", params=one).json(), about))
    assert [one["pictures"] for one in together] == alone


def test_the_api_is_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/runs", "/search", "/picture/{image_id}", "/explain/{image_id}", "/image/{image_id}",
        "/labels/{image_id}",
    }  # fmt: skip
    page = client.get("/docs").text
    for path, methods in paths.items():
        assert path in page
        assert methods["get"]["description"]


def test_without_pictures(galleries):
    client = TestClient(build_app(galleries[:1], None, HOSTS))
    image_id = galleries[0].split.image_ids[0]
    found = client.get(f"/picture/{image_id}").json()
    assert (found["file"], found["size"]) == (None, None)
    answer = client.get(f"/image/{quote(image_id)}")
    assert answer.status_code == 404
    assert "--images FOLDER" in answer.json()["detail"]
    assert len(client.get(f"/explain/{image_id}").json()["boxes"]) == 6
