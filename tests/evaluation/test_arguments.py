"""Options for the files of every family."""

import argparse

from lib.evaluation.arguments import add_locations, locations_in
from lib.models import FAMILIES


def test_each_family_s_files_have_an_option():
    parser = argparse.ArgumentParser()
    add_locations(parser)
    assert locations_in(parser.parse_args([])) == {}
    assert locations_in(parser.parse_args(["--bert", "folder"])) == {"bert": "folder"}
    told = " ".join(parser.format_help().split())
    assert "needs only a config and a vocabulary" in told
    assert "default: the file that the checkpoint names, beside it" in told
    searching = argparse.ArgumentParser()
    add_locations(searching, searchable=True)
    assert "--vocab" not in searching.format_help()  # pairs have no vectors
    assert locations_in(searching.parse_args(["--bert", "folder"])) == {"bert": "folder"}


def test_families_say_whether_their_models_score_pairs():
    from lib.models.clip.model import DualEncoder
    from lib.models.cmsei.model import CMSEI
    from lib.models.lhsc.model import LHSC
    from lib.models.threeshnet.model import ThreeSHNet

    models = {"clip": DualEncoder, "threeshnet": ThreeSHNet, "cmsei": CMSEI, "lhsc": LHSC}
    assert {name: f.pairwise for name, f in FAMILIES.items()} == {
        name: model.pairwise for name, model in models.items()
    }
