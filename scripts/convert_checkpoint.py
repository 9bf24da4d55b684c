"""Turns a released checkpoint into ours, or ours into a released one; the direction is found.

python scripts/convert_checkpoint.py released/model_best.pth runs/released/model_best.pth
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.arguments import new_parser, path_arg
from lib.checkpoint import load_checkpoint, load_tokenizer, save_checkpoint
from lib.errors import exit_on_error
from lib.evaluation.arguments import add_locations, locations_in
from lib.files import atomic_write
from lib.models import family_of
from lib.outputs import check_outputs, new_file
from lib.released_checkpoint import released_files, save_released


def convert(
    source: Path, target: Path, locations: dict[str, str], root: str | Path = "data"
) -> str:
    """Write ``target``, and what belongs beside it, and say what they are; ``locations`` as in
    :class:`lib.evaluation.opened.Target`, ``root`` as :func:`load_tokenizer` has it."""
    check_outputs([(target, new_file)], [source])
    checkpoint = load_checkpoint(source).relocated(locations)
    model = checkpoint.config.model
    title = family_of(model).title(model)
    if checkpoint.is_released:
        if checkpoint.tokenizer:  # a part of the model that the file leaves to others
            tokenizer = load_tokenizer(checkpoint, source, root).state()
            checkpoint = replace(
                checkpoint.relocated(dict.fromkeys(locations)), tokenizer=tokenizer
            )
        save_checkpoint(target, checkpoint)
        return f"{target}: our format, {title}, from a released file"
    beside = {target.parent / name: text for name, text in released_files(checkpoint).items()}
    missing = {path: text for path, text in beside.items() if not _holds(path, text)}
    check_outputs([(path, new_file) for path in missing], [source])
    save_released(target, checkpoint)
    for path, text in missing.items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return "\n".join(
        [
            f"{target}: the release's format, {title}, from ours",
            *(f"{path}: belongs to it" for path in beside),
        ]
    )


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument("source", type=path_arg, help="a checkpoint of either format")
    parser.add_argument("target", type=path_arg, help="the file to write, in the other format")
    parser.add_argument(
        "--data_path",
        type=path_arg,
        default="data",
        help="holds vocab/, the vocabularies of released LHSC checkpoints",
    )
    add_locations(parser)
    args = parser.parse_args()
    with exit_on_error():
        print(convert(args.source, args.target, locations_in(args), args.data_path))


if __name__ == "__main__":
    main()
