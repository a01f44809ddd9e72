"""What is wished of a model, by the names of its conditions: read, refused, made a `Cond`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.conditions.family import Condition, Reader
from unmist.conditions.image import Image
from unmist.conditions.small import Small
from unmist.core.condition import Cond
from unmist.data.fit import fitted, with_channels
from unmist.data.picture import decoded, quiet
from unmist.data.reading import Reading
from unmist.guidance.guide import Wish
from unmist.run.given import cond_of, readings
from unmist.run.guide import CLASSIFIER
from unmist.run.model import Model

__all__ = ["Asking", "Wish", "asking", "doubts", "named", "own_wish", "pictures", "wished"]

MOST = 1 << 28  # bytes of a picture file


@dataclass(frozen=True, eq=False)
class Asking:
    """The conditions of samples by their numbers: sample i has value i of each list, in turn."""

    model: Model
    plain: dict[str, tuple[Reader, Sequence]]

    def __call__(self, ids: Sequence[int]) -> Cond | None:
        """The conditions of these samples; None where nothing is wished."""
        if not self.plain:
            return None
        rows = {
            name: (reader, [values[number % len(values)] for number in ids])
            for name, (reader, values) in self.plain.items()
        }
        return cond_of(rows, self.model.device)


def wished(model: Model, wish: Mapping[str, Wish] | None) -> dict[str, tuple[str, ...]]:
    """The wish as texts by name. Nothing said: what each condition draws in turn (all classes).

    Raises BadInput for a name or a value that the model cannot follow, saying what it can.
    """
    known = model.recipe.conditions
    if wish is None:
        return {name: part.turn() for name, part in known.items() if part.turn()}
    found = {}
    for name, value in wish.items():
        if name not in known:
            raise BadInput(
                f"this model follows no '{name[:40]}'", where="wish", mend=_instead(model, name)
            )
        texts = tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)
        for text in filter(None, texts):
            known[name].wish(text)
        if any(texts):
            found[name] = texts
    return found


def _instead(model: Model, name: str) -> str:
    """What to wish where the model does not follow what was."""
    if name == "label" and (model.folder / CLASSIFIER).is_file():
        return "its classifier knows classes: --set guide.classifier=2, say"
    known = list(model.recipe.conditions)
    return did_you_mean(name, known) if known else "ask without: it follows nothing"


def asking(model: Model, wish: Mapping[str, Wish] | None) -> Asking:
    """The conditions of a wish. Raises BadInput as `wished` does."""
    plain = {}
    for name, texts in wished(model, wish).items():
        part = model.recipe.conditions[name]
        found = [_plain(model, part, text) if text else None for text in texts]
        plain[name] = part.reader(readings()), found
    return Asking(model, plain)


def _plain(model: Model, part: Condition, text: str) -> object:
    """What a wish means; of a picture its pixels, fitted as those of the training data."""
    meant = part.wish(text)
    if not isinstance(part, Image | Small):
        return meant
    data, shape = model.recipe.data, model.shape
    if len(shape) != 3:
        raise BadInput(f"no picture fits beside {shape}", where="wish")
    fit = Reading(fit=data.fit, background=data.background)
    content = _content(text)
    try:
        with quiet():
            found = decoded(content, fit).pixels
    except BadInput as fault:
        raise BadInput(fault.what, where=text[:80], mend=fault.mend) from None
    pixels = fitted(found, (shape[1], shape[2]), fit)
    return with_channels(pixels, part.channels).transpose(2, 0, 1)


def _content(name: str) -> bytes:
    try:
        return files.read_bytes(Path(name), most=MOST, links=True)
    except BadInput as fault:
        raise BadInput(fault.what, where=name[:80], mend=fault.mend) from None


def pictures(model: Model, wish: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Of the files that a wish names their SHA-256. Raises BadInput where one cannot be read."""
    known = model.recipe.conditions
    names = {text for name, texts in wish.items() if isinstance(known.get(name), Image | Small)
             for text in texts if text}  # fmt: skip
    return {name: files.digest(_content(name)) for name in sorted(names)}


def doubts(model: Model, wish: Mapping[str, Wish] | None) -> list[str]:
    """What of a wish may not come out as meant, a sentence each."""
    known = model.recipe.conditions
    pairs = [(name, text) for name, texts in wished(model, wish).items() for text in texts if text]
    found = [(name, known[name].doubt(text)) for name, text in pairs]
    return list(dict.fromkeys(f"{name}: {doubt}" for name, doubt in found if doubt))


def with_value(cond: Cond | None, name: str, value: Tensor) -> Cond:
    """The conditions with one more, given in every row: value (b, ...) on the network's device."""
    before = cond or Cond({})
    keep = torch.ones(len(value), dtype=torch.bool, device=value.device)
    return Cond({**before.values, name: value}, {**before.keep, name: keep})


def own_wish(wish: Mapping[str, Sequence[str]], number: int) -> dict[str, str]:
    """What sample `number` has of a wish."""
    return {name: texts[number % len(texts)] for name, texts in wish.items()}


def named(model: Model, kind: type, flag: str) -> str:
    """The name of the model's only condition of a kind, which a flag means. Raises BadInput."""
    known = model.recipe.conditions
    names = [name for name, part in known.items() if isinstance(part, kind)]
    if len(names) != 1:
        mend = f"it follows {', '.join(known)}; say --want name=value"
        raise BadInput(
            f"this model has {len(names) or 'no'} such condition{'s' * (len(names) > 1)}",
            where=flag,
            mend=mend if known else "leave it out: the model follows nothing",
        )
    return names[0]
