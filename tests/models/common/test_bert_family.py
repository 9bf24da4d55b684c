"""What families with a BERT share."""

from lib.models.common.bert_family import BertFamily
from lib.models.threeshnet.config import Config
from tests.support import succeed


def test_its_words_are_the_bert_s(bert_folder):
    tokenizer = BertFamily.tokenizer(None, Config(bert=str(bert_folder)))
    assert tokenizer.encode(["a dog"]) == [[1037, 3899]]
    assert set(BertFamily.locations) == {"bert"}


def test_settings_and_titles_need_no_torch():
    code = "import sys, lib.models.common.bert_family; assert 'torch' not in sys.modules"
    succeed("python", "-c", code)
