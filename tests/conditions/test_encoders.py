"""Published text encoders, tiny and random: read whole, kept to the bit, refused when altered."""

import pytest
import torch

from unmist.base.faults import BadInput
from unmist.conditions.encoded import EncodedTexts
from unmist.conditions.encoders import opened
from unmist.conditions.family import Column
from unmist.conditions.text import Text

CAPTIONS = ["a red cat", "two blue dogs on a red cat", "", "cat"]
WORDS = ["a", "red", "blue", "two", "cat", "dogs", "on"]


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["<pad>", "<s>", "<end>", "<unk>", *WORDS])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<s>", 1), ("<end>", 2)]
    made.post_processor = processors.TemplateProcessing(single="<s> $A <end>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="<end>",
        unk_token="<unk>", model_max_length=12,
    )  # fmt: skip


def clip():
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=16, hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=10, projection_dim=8, eos_token_id=2,
        bos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return CLIPTextModel(config)


def t5():
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    return T5EncoderModel(config)


def bert():
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=16, hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=10,
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=False)


KINDS = {"clip": clip, "t5": t5, "bert": bert}


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("encoders") / request.param
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        KINDS[request.param]().save_pretrained(place)
    tokenizer().save_pretrained(place)
    return place


def test_what_it_answers_is_the_network_s(folder):
    """Fails if padding, company or half precision change the tokens, or the whole is not CLIP's
    pooled vector, of others the mean of their tokens."""
    encoder = opened(str(folder))
    found = encoder(CAPTIONS, 8)
    assert [len(one) for one in found] == [6, 10 - 1, 3, 4]
    for text, one in zip(CAPTIONS, found, strict=True):
        ready = encoder.tokenizer([text], truncation=True, max_length=8, return_tensors="pt")
        with torch.no_grad():
            alone = encoder.net(**{key: ready[key] for key in ("input_ids", "attention_mask")})
        tokens = alone.last_hidden_state[0]
        whole = alone.pooler_output[0] if folder.name == "clip" else tokens.mean(0)
        torch.testing.assert_close(one[1:].float(), tokens, rtol=2e-3, atol=2e-3)
        torch.testing.assert_close(one[0].float(), whole, rtol=2e-3, atol=2e-3)
    assert torch.equal(encoder(CAPTIONS[::-1], 8)[0], found[3])


def test_the_condition_is_settled_and_follows_it(folder, tmp_path):
    """Fails if lengths or widths are not the encoder's, a text it cannot read whole is cut in
    silence, or what is kept comes back otherwise, or is read again."""
    text = Text(encoder=str(folder), width=6).settled(Column(CAPTIONS))
    assert (text.hidden, text.length, len(text.identity)) == (8, 9, 16)
    with pytest.raises(BadInput, match="has 12 tokens; the model reads 1 … 9"):
        text.wish("a a a a a a a a a a")
    first = text.reader(tmp_path)
    value, keep = first(CAPTIONS)
    assert keep.tolist() == [True, True, False, True]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    again = EncodedTexts("no such encoder", text.identity, text.length, tmp_path)
    for one, other in zip(again(CAPTIONS)[0], value, strict=True):
        assert torch.equal(one, other)
    signals = text.build((1, 4, 4), 0)(value, keep, torch.zeros(4, 1, 4, 4))
    assert signals.vector.shape == (4, 6)
    assert signals.tokens.values.shape == (4, 10, 6)
    assert signals.tokens.mask.sum(1).tolist() == [6, 10, 0, 4]


def test_not_kept_is_not_given(folder):
    """Fails if a text that is not kept differs in a bit from none, even where it is not finite."""
    text = Text(encoder=str(folder), width=6).settled(Column(CAPTIONS))
    net, x = text.build((1, 4, 4), 0), torch.zeros(2, 1, 4, 4)
    value, _ = text.reader()(CAPTIONS[:2])
    value.values[0] = torch.nan
    keep = torch.tensor([False, True])
    found, nothing = net(value, keep, x), net(None, keep & False, x)
    assert torch.equal(found.vector[0], nothing.vector[0])
    assert torch.equal(found.tokens.values[0], nothing.tokens.values[0])
    assert not found.tokens.mask[0].any()
    assert not torch.equal(found.vector[1], nothing.vector[1])


def test_damaged_readings_are_read_again(folder, tmp_path):
    """Fails if a file that was cut short stops a run or is believed."""
    text = Text(encoder=str(folder), width=6).settled(Column(CAPTIONS))
    value, _ = text.reader(tmp_path)(CAPTIONS)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    for one, other in zip(text.reader(tmp_path)(CAPTIONS)[0], value, strict=True):
        assert torch.equal(one, other)


def test_another_encoder_is_refused(folder, tmp_path):
    """Fails if weights that were exchanged are followed, or drawn at random where they lack."""
    import shutil

    from safetensors.torch import load_file, save_file

    place = tmp_path / folder.name
    shutil.copytree(folder, place)
    text = Text(encoder=str(place), width=6).settled(Column(CAPTIONS))
    weights = load_file(place / "model.safetensors")
    name = next(key for key in sorted(weights) if weights[key].ndim == 2)
    save_file({**weights, name: weights[name] + 1}, place / "model.safetensors", {"format": "pt"})
    opened.cache_clear()
    with pytest.raises(BadInput, match="another than the model learned with"):
        text.reader()(["a red cat"])
    del weights[name]
    save_file(weights, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match="is missing"):
        opened(str(place))
    with pytest.raises(BadInput, match="no such text encoder"):
        opened("nowhere at all")
    assert opened(str(folder)).width == 8
