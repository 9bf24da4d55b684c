"""ECCV Caption, CxC and PMRP: against the package, a plain loop, and CxC's own rule."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from eccv_caption import Metrics

from lib.errors import InputError
from lib.evaluation import benchmarks
from lib.evaluation.benchmarks import open_benchmarks
from lib.evaluation.protocols import evaluate
from lib.evaluation.records import Origin, read_record, single_record, write_record
from lib.evaluation.report import format_table
from lib.evaluation.results_table import compare
from lib.evaluation.table_formats import to_csv, to_latex, to_markdown, to_paper, to_text

N = 12  # images of the small world; image i is 100 + i, its captions 1000 + 10 i + 0..4


def ids():
    return [str(100 + i) for i in range(N)]


def own(i):
    return [1000 + 10 * i + j for j in range(5)]


@pytest.fixture
def small(monkeypatch):
    """A package of twelve images, some of whose captions belong to others too."""
    coco = {"i2t": {100 + i: own(i) for i in range(N)}, "t2i": {}}
    more = {"i2t": {}, "t2i": {}}
    generator = np.random.default_rng(0)
    for i in range(N):
        for caption in own(i):
            coco["t2i"][caption] = [100 + i]
    for i in range(0, N, 2):
        others = generator.choice(N, 3, replace=False).tolist()
        more["i2t"][100 + i] = [*own(i)[:3], *(own(o)[1] for o in others), 77]  # 77: in no gallery
        more["t2i"][own(i)[0]] = [100 + i, *(100 + o for o in others if o != i)]
    package = SimpleNamespace(coco_gts=coco, cxc_gts=coco, eccv_gts=more)
    monkeypatch.setattr(benchmarks, "_package", lambda: package)
    monkeypatch.setattr(benchmarks, "IMAGES", N)
    return package


def scores_of(seed):
    return np.random.default_rng(seed).standard_normal((N, 5 * N)).astype(np.float32)


def plain(scores, captions, package):
    """The figures by full rankings of ids, one query after the other."""
    images = [int(i) for i in ids()]
    sides = []
    for matrix, queries, gallery, side in (
        (scores, images, captions, "i2t"),
        (scores.T, captions, images, "t2i"),
    ):
        found = []
        for query, right in package.eccv_gts[side].items():
            order = [gallery[j] for j in np.argsort(-matrix[queries.index(query)])]
            r = len(set(right))
            hits = [item in right for item in order[:r]]
            average = sum(
                sum(hits[: k + 1]) / (k + 1) for k in range(r) if k < len(hits) and hits[k]
            )
            found.append((100 * average / r, 100 * sum(hits) / r, 100 * (order[0] in right)))
        sides.append(np.mean(found, axis=0))
    return sides


@pytest.mark.parametrize("shuffled", [False, True])
def test_equal_to_a_plain_loop(small, tmp_path, shuffled):
    captions = [caption for i in range(N) for caption in (own(i)[::-1] if shuffled else own(i))]
    path = None
    if shuffled:  # the file says which caption is which
        path = tmp_path / "testall_sentids.txt"
        path.write_text("".join(f"{caption}\n" for caption in captions))
    opened = open_benchmarks(["eccv", "cxc"], "coco", "testall", ids(), path)
    assert len(opened.notes) == (not shuffled)
    scores = scores_of(1)
    cxc, eccv = opened.evaluate(scores)
    expected = plain(scores, captions, small)
    p, m = eccv.precision, eccv.metrics
    np.testing.assert_allclose((p.i2t_map_at_r, p.i2t_r_precision, m.i2t.r1), expected[0])
    np.testing.assert_allclose((p.t2i_map_at_r, p.t2i_r_precision, m.t2i.r1), expected[1])
    assert cxc.precision is None and cxc.benchmark == "cxc"


def rate(path, first, second, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[first, second, "agg_score", "sampling_method"], *rows])


def test_pictures_among_pictures_and_captions_among_captions(small, tmp_path):
    def picture(i):
        return f"COCO_val2014_{100 + i:012d}.jpg"

    def caption(number):
        return f"COCO_val2014:sentid:{number}"

    rate(
        tmp_path / "sis_test.csv",
        "image1",
        "image2",
        [(picture(0), picture(3), 3.0, "i2i_csim"), (picture(5), picture(6), 2.99, "i2i_csim")],
    )
    rate(tmp_path / "sts_test.csv", "caption1", "caption2",
         [(caption(own(0)[0]), caption(own(4)[2]), 4.5, "c2c_isim"),
          (caption(own(1)[0]), caption(own(1)[1]), 1.0, "c2c_cocaption"),
          (caption(5), caption(6), 5.0, "elsewhere")])  # fmt: skip
    opened = open_benchmarks(["cxc"], "coco", "testall", ids(), None, tmp_path)
    generator = np.random.default_rng(5)
    images, captions = generator.standard_normal((N, 8)), generator.standard_normal((5 * N, 8))
    _, found = opened.evaluate(scores_of(0), (images, captions))
    right = [{j for j in range(5 * N) if j // 5 == i // 5 and j != i} for i in range(5 * N)]
    right[0].add(22)
    right[22].add(0)
    right[5].remove(6)
    right[6].remove(5)
    first = []
    for i in range(5 * N):
        order = [j for j in np.argsort(-(captions @ captions[i])) if j != i]
        first.append(min(order.index(j) for j in right[i]))
    assert found.metrics.t2i.r5 == pytest.approx(100 * np.mean(np.array(first) < 5))
    assert found.metrics.t2i.mean_rank == pytest.approx(np.mean(first) + 1)
    places = []
    for one, other in ((0, 3), (3, 0)):  # the only pictures with an answer
        order = [j for j in np.argsort(-(images @ images[one])) if j != one]
        places.append(order.index(other))
    assert places[0] != places[1]
    assert found.metrics.i2t.mean_rank == pytest.approx(np.mean(places) + 1)
    assert len(opened.evaluate(scores_of(0))) == 1  # without vectors
    assert "need vectors" in opened.left_out(None)[0] and opened.left_out((images, captions)) == []


def test_plausible_matches_are_read_from_their_files(small, tmp_path):
    for name, side in (("pm_image_to_caption", "i2t"), ("pm_caption_to_image", "t2i")):
        (tmp_path / f"{name}.json").write_text(json.dumps(small.eccv_gts[side]))
    both = open_benchmarks(["pmrp", "eccv"], "coco", "testall", ids(), None, tmp_path)
    eccv, pmrp = both.evaluate(scores_of(2))
    assert pmrp.precision == eccv.precision and pmrp.name == "PMRP"
    (tmp_path / "pm_image_to_caption.json").write_text('{"1": [2]}')
    with pytest.raises(InputError, match="its PMRP tells nothing of the split's images"):
        open_benchmarks(["pmrp"], "coco", "testall", ids(), None, tmp_path)
    (tmp_path / "pm_caption_to_image.json").write_text('{"1": 3}')
    with pytest.raises(InputError, match=r"pm_caption_to_image\.json: is not a JSON object of ids"):
        open_benchmarks(["pmrp"], "coco", "testall", ids(), None, tmp_path)


def test_what_does_not_belong_is_refused(small, tmp_path):
    def refused(message, names=("cxc",), dataset="coco", images=None, captions=None, files=None):
        about = (dataset, "testall", ids() if images is None else images, captions, files)
        with pytest.raises(InputError, match=message):
            open_benchmarks(names, *about)

    refused("are of coco's testall, and this is f30k", dataset="f30k")
    refused("the split holds 11 images", images=ids()[:-1])
    refused("and 7 is none of them", images=["7", *ids()[1:]])
    refused("and a.jpg is none of them", images=["a.jpg", *ids()[1:]])
    refused("pmrp needs --benchmark_files", names=("pmrp",))
    refused("holds neither sis_test.csv nor sts_test.csv", files=tmp_path)
    refused("no such folder", files=tmp_path / "none")
    refused("is for cxc and pmrp, not for eccv alone", names=("eccv",), files=tmp_path)
    path = tmp_path / "sentids.txt"
    path.write_text("1 2 3")
    refused("holds 3 ids, expected five for each of 12", captions=path)
    path.write_text("1 2 x")
    refused("is not a list of caption ids", captions=path)
    wrong = [caption for i in range(N) for caption in own(N - 1 - i)]
    path.write_text("\n".join(map(str, wrong)))
    refused("gives image 100 the captions .* are its lines in the split's order", captions=path)
    (tmp_path / "sis_test.csv").write_text("image1,image2,agg_score\nx,y,z\n")
    (tmp_path / "sts_test.csv").write_text("")
    refused(r"sis_test\.csv: is not a file of CxC's ratings", files=tmp_path)
    (tmp_path / "sis_test.csv").write_text("a" * 200_000)
    refused(r"sis_test\.csv: is not a file of CxC's ratings", files=tmp_path)
    with pytest.raises(InputError, match="needs image ids"):
        open_benchmarks(["cxc"], "coco", "testall", None)


def test_results_are_printed_kept_and_tabled(small, tmp_path):
    opened = open_benchmarks(["eccv", "cxc"], "coco", "testall", ids())
    results = opened.evaluate(scores_of(4))
    origin = Origin("c.pth", "3SHNet", "region", "coco", 0, 1)
    printed = format_table(origin, "coco", "testall", results)
    assert "mAP@R   R-P   R@1   R@5  R@10" in printed
    assert max(map(len, printed.splitlines())) <= 100
    write_record(tmp_path / "r.json", single_record(origin, "coco", "testall", results))
    record = read_record(tmp_path / "r.json")
    assert record.results == results
    tables, _ = compare([record])
    assert [table.title for table in tables] == ["coco CxC", "coco ECCV Caption"]
    figure = f"{results[1].precision.t2i_map_at_r:.1f}"
    for form in (to_text, to_markdown, to_latex, to_paper):
        text = form(tables[1])
        assert "mAP@R" in text and figure in text
        assert "mAP@R" not in form(tables[0])
    header, *rows = csv.reader(to_csv(tables).splitlines())
    place = header.index("t2i mAP@R")
    assert [row[place] for row in rows] == ["", repr(results[1].precision.t2i_map_at_r)]
    assert len({len(row) for row in (header, *rows)}) == 1


def test_a_run_is_a_row_with_all_that_was_ever_asked_of_it(small):
    scores = scores_of(5)

    def trained(seed, **more):
        config = {"train": {"lr": 1.0} | more, "run": {"seed": seed}}
        return Origin("c.pth", "3SHNet", "region", "coco", seed, 1, config)

    origin = trained(0)
    protocols = evaluate(scores[:10, :50], "coco", "testall")
    plain = single_record(origin, "coco", "testall", protocols)
    opened = open_benchmarks(["cxc"], "coco", "testall", ids())
    more = replace(plain, results=[*protocols, *opened.evaluate(scores)])
    for records in ([plain, more], [more, plain]):
        tables, _ = compare(records)
        assert [len(table.rows) for table in tables] == [1, 1, 1]
        assert tables[-1].title == "coco CxC"
    # An ensemble's member brings what the run's own record lacks.
    member = replace(more.members[0], results=more.results)
    both = replace(more, members=[member, replace(member, origin=trained(1))])
    tables, _ = compare([plain, both])
    assert len(tables[-1].rows) == 2 and tables[-1].rows[0].seeds == "0, 1"
    # Seeds of an earlier version, which knew fewer settings, are seeds of one row.
    now = trained(1, loss="triplet")
    other = replace(plain, members=[replace(plain.members[0], origin=now)])
    tables, _ = compare([plain, other])
    assert tables[0].rows[0].seeds == "0, 1"


def test_the_package_agrees_with_itself_on_who_is_there():
    """What the module says of the package: its order of captions, and captions of no gallery."""
    package = Metrics()
    order = package.coco_ids.reshape(-1, 5).tolist()
    images = [package.coco_gts["t2i"][five[0]][0] for five in order]
    assert all(
        five == sorted(package.coco_gts["i2t"][i]) for five, i in zip(order, images, strict=True)
    )
    known = set(package.coco_ids.tolist())
    assert any(c not in known for right in package.eccv_gts["i2t"].values() for c in right)
    opened = open_benchmarks(["eccv", "cxc"], "coco", "testall", list(map(str, images)))
    assert [len(b.i2t) for b in opened.of_scores] == [5000, 1261]
    assert [len(b.t2i) for b in opened.of_scores] == [24972, 1332]


@pytest.mark.slow
def test_equal_to_the_package_on_random_scores():
    """All 5,000 images and 25,000 captions, from full rankings."""
    package = Metrics()
    captions = package.coco_ids
    images = np.array([package.coco_gts["t2i"][int(c)][0] for c in captions[::5]])
    generator = np.random.default_rng(0)
    pictures = generator.standard_normal((5000, 32)).astype(np.float32)
    noise = generator.standard_normal((25000, 32)).astype(np.float32)
    scores = pictures @ (0.5 * np.repeat(pictures, 5, axis=0) + noise).T
    opened = open_benchmarks(["eccv", "cxc"], "coco", "testall", [str(i) for i in images])
    cxc, eccv = opened.evaluate(scores)
    i2t = {int(images[i]): captions[np.argsort(-scores[i])] for i in range(5000)}
    t2i = {int(captions[j]): images[np.argsort(-scores[:, j])] for j in range(25000)}
    wanted = ("eccv_r1", "eccv_map_at_r", "eccv_rprecision", "cxc_recalls")
    theirs = package.compute_all_metrics(i2t, t2i, target_metrics=wanted, Ks=(1, 5, 10))
    for side, direction in (("i2t", eccv.metrics.i2t), ("t2i", eccv.metrics.t2i)):
        figures = {
            "eccv_r1": direction.r1,
            "eccv_map_at_r": getattr(eccv.precision, f"{side}_map_at_r"),
            "eccv_rprecision": getattr(eccv.precision, f"{side}_r_precision"),
        }
        recalls = getattr(cxc.metrics, side)
        figures |= {f"cxc_r{k}": getattr(recalls, f"r{k}") for k in (1, 5, 10)}
        for name, figure in figures.items():
            print(f"{name} {side}: {figure:.4f}, the package {100 * theirs[name][side]:.4f}")
            assert figure == pytest.approx(100 * theirs[name][side], abs=1e-9)
