"""Turns a released checkpoint into ours, or ours into a released one; the direction is found.

python scripts/convert_checkpoint.py released/model_best.pth runs/released/model_best.pth
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import path_arg
from lib.checkpoint import load_checkpoint, save_checkpoint, save_released
from lib.errors import exit_on_error
from lib.models import family_of
from lib.outputs import check_outputs, new_file


def convert(source: Path, target: Path) -> str:
    """Write ``target`` and say what it is."""
    check_outputs([(target, new_file)], [source])
    checkpoint = load_checkpoint(source)
    model = checkpoint.config.model
    title = family_of(model).title(model)
    if checkpoint.is_released:
        save_checkpoint(target, checkpoint)
        return f"{target}: our format, {title}, from a released file"
    save_released(target, checkpoint)
    return f"{target}: the release's format, {title}, from ours"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=path_arg)
    parser.add_argument("target", type=path_arg)
    args = parser.parse_args()
    with exit_on_error():
        print(convert(args.source, args.target))


if __name__ == "__main__":
    main()
