"""Prints CMSEI's ablation from its runs, rSum of both versions and of their mean, in Markdown."""

import json
import sys
from pathlib import Path

ROWS = {  # folder -> title, and the paper's rSum on Flickr30K 1K (its Table 5, the mean alone)
    "full": ("CMSEI", 521.3),
    "no_vsg": ("without VSG, the spatial graph", 519.0),
    "no_vsrg": ("without VSRG, the relations", 514.8),
    "no_tg": ("without TG, the textual graph", 513.3),
    "no_llii": ("without LLII, local-local interaction", 496.2),
    "no_lgii": ("without LGII, local-global interaction", 515.8),
}


def rsum(path: Path) -> str:
    """Of a results.json, to one decimal."""
    if not path.is_file():
        sys.exit(f"error: {path} is not there; run scripts/ablation_cmsei_scenes.sh")
    return f"{json.loads(path.read_text())['results'][0]['rsum']:.1f}"


def main(folder: Path) -> None:
    print("| model | I-T | T-I | mean of both | the paper's, Flickr30K |")
    print("|---|---|---|---|---|")
    rows = [name for name in ROWS if (folder / name).is_dir()]
    if not rows:
        sys.exit(f"error: {folder} holds no finished row; run scripts/ablation_cmsei_scenes.sh")
    for name in rows:
        runs = (folder / f"{name}-i2t", folder / f"{name}-t2i", folder / name)
        cells = " | ".join(rsum(run / "results.json") for run in runs)
        title, published = ROWS[name]
        print(f"| {title} | {cells} | {published} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    main(Path(sys.argv[1]))
