"""Score a checkpoint, ours or a released one:
python eval.py --checkpoint P --data_path data --dataset coco"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from lib.checkpoint import load_checkpoint, load_weights
from lib.data.captions import load_tokenizer, tokenise
from lib.data.features import open_split
from lib.device import resolve_device
from lib.errors import InputError
from lib.evaluation.encode import encode_split
from lib.evaluation.protocols import DEFAULT_SPLITS, check_split, evaluate
from lib.evaluation.report import format_table, results_as_dict
from lib.evaluation.results import save_embeddings, save_results
from lib.files import check_writable, replacing
from lib.models import build_model
from lib.models.text import load_bert


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line, or ``words`` instead of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, help="model_best.pth of either format")
    parser.add_argument("--data_path", required=True, help="holds <dataset>_precomp/")
    parser.add_argument("--dataset", required=True, choices=DEFAULT_SPLITS)
    parser.add_argument("--split", help="default: testall for coco, else test")
    parser.add_argument("--features_folder", help="of one file per image; '' for *_ims.npy")
    parser.add_argument("--bert", help="hub name or folder; needs only a config and a vocabulary")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--save_results", metavar="F.npz", help="the score matrix and its ids")
    parser.add_argument("--save_embeddings", metavar="F.npz")
    parser.add_argument("--json", metavar="F", help="the table's figures as JSON")
    args = parser.parse_args(words)
    args.split = args.split or DEFAULT_SPLITS[args.dataset]
    if args.batch_size < 1 or args.workers < 0:
        parser.error("--batch_size must be at least 1, --workers at least 0")
    return args


def run(args: argparse.Namespace) -> None:
    """Encode once, score, print, save."""
    check_split(args.dataset, args.split)
    for path in filter(None, (args.save_results, args.save_embeddings, args.json)):
        check_writable(path)
    device = resolve_device(args.device)
    checkpoint = load_checkpoint(args.checkpoint)
    config = checkpoint.config
    data = replace(config.data, root=args.data_path, dataset=args.dataset)
    config = replace(config, data=data)
    if args.features_folder is not None:
        features = replace(config.features, folder=args.features_folder or None)
        config = replace(config, features=features)
    split = open_split(config, args.split)
    check_split(args.dataset, args.split, len(split.image_ids))
    name = args.bert or config.model.bert
    tokenizer = load_tokenizer(name)
    bert = load_bert(name, pretrained=False)
    model = build_model(config.model, bert)
    load_weights(model, checkpoint, args.checkpoint)
    captions = tokenise(split.captions, tokenizer, bert.config)
    for warning in captions.warnings(split.name):
        print(f"note: {warning}", file=sys.stderr)
    model = model.to(device)
    embeddings = encode_split(
        model, split, captions, args.batch_size, args.workers, precision=args.precision
    )
    scores = embeddings.scores(model)
    results = evaluate(scores, args.dataset, args.split)
    title = config.model.title
    print(f"{args.checkpoint}: {title} on {args.dataset}, {len(split.image_ids):,} images")
    print(f"features: {split.features.describe()}")
    print(format_table(title, args.dataset, args.split, results))
    ids = split.image_ids
    if args.save_results:
        save_results(args.save_results, scores, ids, args.dataset, args.split, args.checkpoint)
    if args.save_embeddings:
        images, texts = embeddings.images.numpy(), embeddings.captions.numpy()
        save_embeddings(args.save_embeddings, images, texts, ids)
    if args.json:
        named = {"checkpoint": args.checkpoint, "dataset": args.dataset, "split": args.split}
        with replacing(Path(args.json)) as temporary:
            plain = named | {"model": title, "results": results_as_dict(results)}
            temporary.write_text(json.dumps(plain, indent=1) + "\n")


if __name__ == "__main__":
    try:
        run(parse())
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
