"""Prints the ablation's table from its runs: mean and spread of rSum over seeds, in Markdown."""

import json
import statistics
import sys
from pathlib import Path

ROWS = {
    "full": "3SHNet",
    "no_vsem": "without VSeM",
    "no_vspm": "without VSpM",
    "no_branches": "without both branches",
    "no_segmentation": "without any segmentation (VSE-infinity)",
}


def main(folder: Path) -> None:
    print("| model | rSum, mean | standard deviation | per seed |")
    print("|---|---|---|---|")
    for name, title in ROWS.items():
        files = sorted(folder.glob(f"{name}-*/results.json"))
        sums = [json.loads(file.read_text())["results"][0]["rsum"] for file in files]
        if not sums:
            sys.exit(
                f"error: {folder} holds no {name}-*/results.json; run scripts/ablation_scenes.sh"
            )
        spread = f"{statistics.stdev(sums):.1f}" if len(sums) > 1 else "-"
        each = ", ".join(f"{value:.1f}" for value in sums)
        print(f"| {title} | {statistics.mean(sums):.1f} | {spread} | {each} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    main(Path(sys.argv[1]))
