"""The names that models go by in tables: an ablation never passes for the whole model."""

from itertools import combinations, product

import pytest

from lib.evaluation.ensemble import ensemble_features, ensemble_model, is_hybrid
from lib.evaluation.published import comparable_rows
from lib.evaluation.records import Origin
from lib.models import FAMILIES, family_of
from lib.models.cmsei.config import Config as Cmsei
from lib.models.lhsc.config import Config as Lhsc
from lib.models.threeshnet.config import Config as ThreeSHNet

PARTS = {  # switch of CMSEI -> its name in the paper
    "use_spatial_graph": "VSG",
    "use_semantic_graph": "VSRG",
    "use_text_graph": "TG",
    "use_local_interaction": "LLII",
    "use_global_interaction": "LGII",
}


def title(config):
    return family_of(config).title(config)


def origin(config=None, features="region", **more):
    config = ThreeSHNet() if config is None else config
    whole = family_of(config).whole(config)
    return Origin("p.pth", title(config), features, "f30k", whole=whole, **more)


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, "3SHNet"),
        ({"vsem": False}, "3SHNet without VSeM"),
        ({"vspm": False}, "3SHNet without VSpM"),
        ({"vsem": False, "vspm": False}, "3SHNet without VSeM and VSpM"),
        ({"segmentation": False}, "VSE-infinity"),
        ({"embed_size": 512, "bert_lr_scale": 1.0}, "3SHNet"),  # a size is no ablation
    ],
)
def test_threeshnet(switches, expected):
    assert title(ThreeSHNet(**switches)) == expected
    assert family_of(ThreeSHNet(**switches)).whole(ThreeSHNet(**switches)) is None


@pytest.mark.parametrize(("direction", "version"), [("i2t", "I-T"), ("t2i", "T-I")])
@pytest.mark.parametrize("off", [c for n in range(6) for c in combinations(PARTS, n)])
def test_cmsei(direction, version, off):
    config = Cmsei(direction=direction, **dict.fromkeys(off, False))
    removed = f" without {' and '.join(PARTS[name] for name in off)}" if off else ""
    assert title(config) == f"CMSEI {version}{removed}"
    whole = family_of(config).whole(config)
    assert (whole.title, whole.part, set(whole.parts)) == (f"CMSEI{removed}", version, VERSIONS)


VERSIONS = {"I-T", "T-I"}


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, "LHSC"),
        ({"graph_layers": 3}, "LHSC of 3 graph layers"),
        ({"graph_layers": 1}, "LHSC of 1 graph layer"),
        ({"use_word_attention": False}, "LHSC without word attention"),
        ({"use_global": False}, "LHSC without the global part"),
        ({"use_filter": False}, "LHSC without the filter"),
        ({"bert": "bert-base-uncased", "graph_layers": 2, "use_filter": False},
         "LHSC on BERT of 2 graph layers without the filter"),
        ({"padding": "released", "regions": 24}, "LHSC"),  # how it is trained is no ablation
    ],
)  # fmt: skip
def test_lhsc(switches, expected):
    assert title(Lhsc(**switches)) == expected
    assert family_of(Lhsc(**switches)).whole(Lhsc(**switches)) is None


def test_no_two_models_share_a_title():
    titles = [title(ThreeSHNet(vsem=a, vspm=b)) for a, b in product((True, False), repeat=2)]
    titles.append(title(ThreeSHNet(segmentation=False)))
    switches = [
        dict(zip(PARTS, values, strict=True)) for values in product((True, False), repeat=5)
    ]
    titles += [title(Cmsei(direction=d, **s)) for d in ("i2t", "t2i") for s in switches]
    parts = ("use_word_attention", "use_global", "use_filter")
    for depth, bert, *values in product((1, 2, 3, 4), (None, "b"), *[(True, False)] * 3):
        switched = dict(zip(parts, values, strict=True))
        if bert is not None and not switched["use_word_attention"]:
            continue  # it has none anyway
        titles.append(title(Lhsc(graph_layers=depth, bert=bert, **switched)))
    assert len(set(titles)) == len(titles)


def test_every_family_has_a_title_of_its_own():
    assert len({title(f.Config()) for f in FAMILIES.values()}) == len(FAMILIES)


def test_versions_of_one_model_go_by_its_name():
    one, other = origin(Cmsei(direction="i2t")), origin(Cmsei(direction="t2i"))
    assert ensemble_model([one, other]) == ensemble_model([other, one]) == "CMSEI"
    assert ensemble_features([one, other]) == "region"
    assert ensemble_model([one, one]) == "CMSEI I-T"  # one version twice is not the model
    assert ensemble_features([one, one]) == "2 x region"
    assert ensemble_model([one, other, one]) == "CMSEI I-T and CMSEI T-I"
    ablated = origin(Cmsei(direction="t2i", use_text_graph=False))
    assert ensemble_model([one, ablated]) == "CMSEI I-T and CMSEI T-I without TG"
    both = [origin(Cmsei(direction=d, use_text_graph=False)) for d in ("i2t", "t2i")]
    assert ensemble_model(both) == "CMSEI without TG"


def test_ensembles_of_several_models():
    region, grid, plain = origin(), origin(features="grid"), origin(ThreeSHNet(segmentation=False))
    assert ensemble_model([region, grid]) == "3SHNet"
    assert ensemble_features([grid, region]) == "region + grid"
    assert ensemble_features([grid, region, grid]) == "region + 2 x grid"
    assert ensemble_model([region, plain]) == "3SHNet and VSE-infinity"
    assert ensemble_model([plain, region, plain]) == "VSE-infinity and 3SHNet"
    assert is_hybrid([region, grid]) and is_hybrid([grid, region, plain])
    assert not is_hybrid([region, plain]) and not is_hybrid([grid])


@pytest.mark.parametrize("switch", ["vsem", "vspm"])
def test_an_ablation_has_no_published_row(switch):
    about = ("single", "f30k", "test", 1000)
    assert comparable_rows(title(ThreeSHNet()), "region", *about)
    assert not comparable_rows(title(ThreeSHNet(**{switch: False})), "region", *about)
