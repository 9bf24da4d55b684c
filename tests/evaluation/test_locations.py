"""Options for the files of every family."""

import argparse

from lib.evaluation.locations import add_locations, locations_in


def test_each_family_s_files_have_an_option():
    parser = argparse.ArgumentParser()
    add_locations(parser)
    assert locations_in(parser.parse_args([])) == {}
    assert locations_in(parser.parse_args(["--bert", "folder"])) == {"bert": "folder"}
    told = " ".join(parser.format_help().split())
    assert "needs only a config and a vocabulary" in told
    assert "else the file that a released checkpoint names, beside it" in told
