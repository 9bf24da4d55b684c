"""Training batches from memory-mapped 36 x 2048 float32 regions: samples/s of the loader alone.

python benchmarks/loader.py [--images 2000] [--workers 4]

A sample is a picture with its segmentation arrays, regions dropped, and an augmented caption. The
files are read once before, so that the page cache has them.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import from_one, machine, median_rate
from benchmarks.splits import settings, write_bert, write_split
from lib.arguments import new_parser
from lib.data.captions import tokenise
from lib.data.dataset import TrainingPairs, epoch_batches, training_loader
from lib.data.split import open_split
from lib.errors import exit_on_error
from lib.models.common.bert import BertTokenizer


def main() -> None:
    parser = new_parser(__doc__)
    parser.add_argument(
        "--images", type=from_one, default=2000, help="pictures of the split that is made"
    )
    parser.add_argument("--workers", type=int, default=4, help="processes that load")
    parser.add_argument("--batch_size", type=from_one, default=256, help="pairs in a batch")
    parser.add_argument(
        "--repeats", type=from_one, default=5, help="measurements; their median counts"
    )
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_split(root, "train", args.images)
        config = settings(root, write_bert(root / "bert", layers=1))
        split = open_split(config, "train")
        captions = tokenise(split.captions, BertTokenizer(config.model.bert))
        pairs = TrainingPairs(split, captions, config)
        rates = []
        for epoch in range(args.repeats + 1):
            batches = epoch_batches(len(captions), args.batch_size, 0, epoch)
            started = time.perf_counter()
            for _ in training_loader(pairs, epoch, batches, args.workers, pin=False):
                pass
            rates.append(sum(map(len, batches)) / (time.perf_counter() - started))
        rate = median_rate(rates[1:])
        print(f"| loader, {args.workers} workers, batch {args.batch_size} | {rate} samples/s |")


if __name__ == "__main__":
    with exit_on_error():
        main()
