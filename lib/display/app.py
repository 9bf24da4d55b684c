"""The explorer's JSON API and its page (FastAPI; an extra)."""

import io
import threading
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse, Response
from PIL import Image
from torch import Tensor

from lib.data.pictures import PictureError, PictureFolder, picture_size
from lib.display.gallery import Gallery
from lib.display.guard import guard
from lib.display.labels import label_picture, legend

MOST_QUERY, MOST_RESULTS = 1000, 200  # characters of a sentence, and results of a request
MOST_DECODED = 2  # pictures at once
SIDE = 900  # pixels of the longer side of a picture that is sent
PAGE = Path(__file__).with_name("page.html")
RunNumber = Annotated[int, Query(ge=0, description="which run, by its place in /runs")]
Count = Annotated[int, Query(ge=1, le=MOST_RESULTS, description="how many results")]
Sentence = Annotated[str, Query(max_length=MOST_QUERY, description="a sentence")]


def build_app(
    galleries: Sequence[Gallery], pictures: PictureFolder | None, hosts: Sequence[str]
) -> FastAPI:
    """The page and its API for runs on one split; ``pictures`` are shown if they are given, and
    requests are answered that name one of ``hosts`` alone."""
    app = FastAPI(
        title="Explorer",
        description="What models retrieve, and what they look at.",
        docs_url=None,  # FastAPI's own page loads scripts from elsewhere
        redoc_url=None,
    )
    page = PAGE.read_text(encoding="utf-8")
    guard(app, hosts, page)
    first = galleries[0]
    decoding = threading.BoundedSemaphore(MOST_DECODED)

    def gallery_of(run: int) -> Gallery:
        if run >= len(galleries):
            several = f"are {len(galleries)} runs" if len(galleries) > 1 else "is 1 run"
            raise HTTPException(404, f"there {several}, counted from 0")
        return galleries[run]

    def number_of(gallery: Gallery, image_id: str) -> int:
        if image_id not in gallery.number:
            raise HTTPException(404, "no such picture")
        return gallery.number[image_id]

    def path_of(image_id: str) -> Path | None:
        try:
            return None if pictures is None else pictures.find(image_id)
        except PictureError:
            return None

    def size_of(image_id: str) -> tuple[int, int] | None:
        path = path_of(image_id)
        try:
            return None if path is None else picture_size(path)
        except PictureError:
            return None

    def name_of(image_id: str) -> str | None:
        path = path_of(image_id)
        return None if path is None else path.name

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def index() -> str:
        return page

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    def docs() -> str:
        return _docs(app.openapi())

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/runs")
    def runs() -> list[dict[str, Any]]:
        """The runs that are served, in their order."""
        return [
            {
                "run": str(gallery.run),
                "title": gallery.title,
                "dataset": gallery.target.dataset,
                "split": gallery.target.split,
                "pictures": len(gallery.split.image_ids),
                "sentences": len(gallery.split.captions),
                "examples": gallery.split.captions[:: max(1, len(gallery.split.captions) // 4)][:4],
            }
            for gallery in galleries
        ]

    @app.get("/search")
    def search(query: Sentence, run: RunNumber = 0, k: Count = 24) -> dict[str, Any]:
        """The pictures that fit a sentence best, and how long that took in milliseconds."""
        gallery = gallery_of(run)
        started = time.perf_counter()
        best = gallery.best(_sentence(query), k)
        milliseconds = 1e3 * (time.perf_counter() - started)
        ids = gallery.split.image_ids
        found = [
            {"id": ids[i], "file": name_of(ids[i]), "score": _plain(score), "rank": rank}
            for rank, (i, score) in enumerate(best, 1)
        ]
        return {"query": query, "milliseconds": round(milliseconds, 1), "pictures": found}

    @app.get("/picture/{image_id}")
    def picture(image_id: str, run: RunNumber = 0, k: Count = 10) -> dict[str, Any]:
        """A picture's best sentences, and its own ones with their ranks."""
        gallery = gallery_of(run)
        image = number_of(gallery, image_id)
        scores = gallery.sentences(image)
        order = np.argsort(-scores, kind="stable")
        ranks = np.empty_like(order)
        ranks[order] = np.arange(1, len(order) + 1)
        own = gallery.own(image)

        def told(number: int) -> dict[str, Any]:
            text, right = gallery.split.captions[number], number in own
            rank, score = int(ranks[number]), _plain(scores[number])
            return {"text": text, "score": score, "rank": rank, "right": right}

        labels = gallery.split.arrays.get("seg_map")
        return {
            "id": image_id,
            "file": name_of(image_id),
            "size": size_of(image_id),
            "sentences": [told(int(i)) for i in order[:k]],
            "own": [told(i) for i in own],
            "labels": None if labels is None else legend(labels[image]),
        }

    @app.get("/explain/{image_id}")
    def explain(
        image_id: str,
        run: RunNumber = 0,
        sentence: Annotated[str | None, Query(max_length=MOST_QUERY)] = None,
        region: Annotated[int, Query(ge=0, description="whose maps are sent")] = 0,
    ) -> dict[str, Any]:
        """What the model looks at in a picture and, with a sentence, in their pair: values of
        regions, of places, of words, words with regions, shares by part, and one region's maps.
        Boxes are left, top, right, bottom, as shares of the picture's sides."""
        gallery = gallery_of(run)
        image = number_of(gallery, image_id)
        text = None if sentence is None else _sentence(sentence)
        shown = gallery.explain(image, text, size_of(image_id))
        maps = shown.maps
        count = int(maps.mask.sum())
        if region >= count:
            raise HTTPException(404, f"the picture has {count} regions, counted from 0")

        def plain(named: dict[str, Tensor], *end: int | slice) -> dict[str, Any]:
            where = (0, *end)
            return {name: _plain(values[where].numpy(force=True)) for name, values in named.items()}

        words = len(shown.pieces)
        return {
            "id": image_id,
            "score": None if shown.score is None else _plain(shown.score),
            "count": count,
            "boxes": None if shown.boxes is None else _plain(shown.boxes),
            "regions": plain(maps.regions, slice(count)),
            "maps": plain(maps.maps, region),
            "places": plain(maps.places),
            "parts": plain(maps.parts),
            "score_parts": plain(maps.score_parts),
            "pieces": shown.pieces,
            "words": plain(maps.words, slice(words)),
            "attention": plain(maps.attention, slice(words), slice(count)),
        }

    @app.get("/image/{image_id}", response_class=Response)
    def image(image_id: str) -> Response:
        """The picture, as JPEG of at most 900 pixels a side."""
        number_of(first, image_id)
        if pictures is None:
            raise HTTPException(404, "pictures are not served; start with --images FOLDER")
        try:
            with decoding:  # a large picture takes hundreds of megabytes
                shown = pictures.read(image_id)
                shown.thumbnail((SIDE, SIDE))
        except PictureError as error:
            raise HTTPException(404, f"the picture cannot be shown: {error}") from error
        return _picture(shown, "JPEG")

    @app.get("/labels/{image_id}", response_class=Response)
    def labels(image_id: str, run: RunNumber = 0) -> Response:
        """The panoptic label map as PNG, in the colours of the picture's legend."""
        gallery = gallery_of(run)
        number = number_of(gallery, image_id)
        array = gallery.split.arrays.get("seg_map")
        if array is None:
            raise HTTPException(404, "this model reads no label map")
        return _picture(label_picture(array[number]), "PNG")

    return app


def _sentence(text: str) -> str:
    """On one line."""
    return " ".join(text.split())


def _plain(values: Any) -> Any:
    """Numbers of JSON, to five digits behind the point."""
    return np.round(np.asarray(values, np.float64), 5).tolist()


def _picture(picture: Image.Image, kind: str) -> Response:
    content = io.BytesIO()
    picture.save(content, kind, **({"quality": 85} if kind == "JPEG" else {}))
    headers = {"Cache-Control": "max-age=600"}
    return Response(content.getvalue(), media_type=f"image/{kind.lower()}", headers=headers)


def _docs(schema: dict[str, Any]) -> str:
    """The API's page, from what FastAPI knows of it."""
    rows = []
    for path, methods in schema["paths"].items():
        for about in methods.values():
            arguments = "".join(
                f"<li><code>{escape(p['name'])}</code>{'' if p.get('required') else ' (optional)'} "
                f"{escape(p.get('description', ''))}</li>"
                for p in about.get("parameters", [])
            )
            told = escape(about.get("description", ""))
            rows.append(
                f"<h2><code>GET {escape(path)}</code></h2><p>{told}</p><ul>{arguments}</ul>"
            )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(schema['info']['title'])}"
        "</title><h1>The explorer's API</h1><p>As OpenAPI: <a href=/openapi.json>/openapi.json</a>"
        f"</p>{''.join(rows)}"
    )
