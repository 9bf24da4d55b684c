"""BERT's tokenizer and weights from a folder."""

import shutil

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, RobertaConfig

from lib.data.captions import tokenise
from lib.errors import InputError
from lib.models.common.bert import BertTokenizer, load_bert
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
