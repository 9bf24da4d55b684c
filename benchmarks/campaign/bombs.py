"""Small files that ask for much time or memory, or bring code."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.campaign.programs import folders
from benchmarks.campaign.server import Case
from benchmarks.campaign.world import Shared

BOMB_SECONDS, BOMB_MEGABYTES = 2.0, 500.0


def bomb_cases(shared: Shared) -> Iterator[Case]:
    """Small files that ask for much time or memory."""
    deep = b"a: " + b"[" * 50_000
    aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    limits = {"most_seconds": BOMB_SECONDS, "most_megabytes": BOMB_MEGABYTES}
    for name, text in (("nested", deep), ("aliases", aliases.encode())):

        def config(folder: Path, text: bytes = text) -> list[str]:
            (folder / "c.yaml").write_bytes(text)
            return ["train.py", "--config", str(folder / "c.yaml"), "--settings"]

        yield Case(f"YAML {name}", config, **limits)
    headers = {
        "negative": "(-5, 4, 16)", "overflowing": "(4611686018427387904, 4, 16)",
        "boolean": "(True, 4, 16)", "10^12 entries": "(1000000000000, 4, 16)", "text": "('a',)",
        "nested": "(" * 3000, "none": "None", "float": "(12.0, 4, 16)",
    }  # fmt: skip
    for kind, shape in headers.items():
        for stem in ("ims", "segmentations"):

            def array(folder: Path, shape: str = shape, stem: str = stem) -> list[str]:
                shutil.copytree(shared.data, folder / "scenes_precomp")
                header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n"
                path = folder / "scenes_precomp" / f"test_{stem}.npy"
                length = len(header).to_bytes(2, "little")
                path.write_bytes(b"\x93NUMPY\x01\x00" + length + header.encode() + bytes(4096))
                words = shared.evaluate(shared.checkpoint)
                words[words.index("--data_path") + 1] = str(folder)
                return words

            yield Case(f".npy header {kind} {stem}", array, **limits)

    def stride(folder: Path) -> list[str]:
        import torch

        raw = torch.load(shared.checkpoint, weights_only=True)
        first = next(iter(raw["model"]))
        raw["model"][first] = torch.zeros(1).expand(10**12)
        torch.save(raw, folder / "c.pth")
        return shared.evaluate(folder / "c.pth")

    yield Case("a tensor of stride 0", stride, **limits)

    def layers(folder: Path) -> list[str]:
        import torch

        text = {"module.bert.encoder.layer.999999999.attention.self.query.weight": torch.zeros(1)}
        image = {"module.fc.weight": torch.zeros(1024, 2048)}
        torch.save({"model": [image, text], "opt": None, "epoch": 1}, folder / "c.pth")
        return shared.evaluate(folder / "c.pth")

    yield Case("a released state of layer 999999999", layers, **limits)

    def header(folder: Path) -> list[str]:
        (folder / "r.safetensors").write_bytes((10**12).to_bytes(8, "little") + b"{}")
        path = str(folder / "r.safetensors")
        return ["eval_ensemble.py", path, str(shared.run / "results.safetensors")]

    yield Case("a safetensors header of 10^12 bytes", header, **limits)

    def picture(folder: Path) -> list[str]:
        import struct
        import zlib

        def chunk(kind: bytes, content: bytes) -> bytes:
            crc = struct.pack(">I", zlib.crc32(kind + content))
            return struct.pack(">I", len(content)) + kind + content + crc

        size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
        shutil.copytree(shared.data / "images", folder / "images")
        name = (shared.data / "test_ids.txt").read_text().split()[0]
        (folder / "images" / f"{name}.png").write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")
        )
        folders(folder, shared)
        return ["scripts/extract_grid.py", "--data", str(folder / "data"), "--images",
                str(folder / "images"), "--weights", "random", "--shortest", "32", "--longest",
                "32", "--device", "cpu", "--workers", "0"]  # fmt: skip

    yield Case("a picture of 3,600,000,000 pixels", picture, most_megabytes=2000)

    def foreign(folder: Path) -> list[str]:
        shutil.copytree(shared.bert, folder / "bert")
        path = folder / "bert" / "config.json"
        content = json.loads(path.read_text()) | {
            "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}, "model_type": "evil",
        }  # fmt: skip
        path.write_text(json.dumps(content))
        burst = folder / "burst"
        (folder / "bert" / "evil.py").write_text(f"open({str(burst)!r}, 'w')\nclass Evil: pass\n")
        return shared.evaluate(shared.checkpoint, "--bert", folder / "bert")

    yield Case("a BERT with code of its own", foreign)
