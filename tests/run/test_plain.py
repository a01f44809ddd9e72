"""Recipes: what is written comes back equal; what is wrong is refused with its path."""

import tomllib
from dataclasses import dataclass, field, replace
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds
from unmist.run.plain import from_plain, migrated, set_path, to_plain
from unmist.run.toml import parse_toml, parse_value, read_toml, toml_text


class Curve(Protocol):
    def __call__(self, t: float) -> float: ...


class Net(Protocol):
    def build(self) -> object: ...


curves: Kinds = Kinds("schedule")
nets: Kinds = Kinds("network")
FAMILIES = {Curve: curves, Net: nets}


@curves("cosine")
@dataclass(frozen=True)
class Cosine:
    s: float = 0.008


@curves("shifted")
@dataclass(frozen=True)
class Shifted:
    base: Curve
    factor: float = 1.0

    def __post_init__(self):
        if self.factor <= 0:
            raise BadInput(f"shift {self.factor}", mend="a factor above 0")


@nets("unet")
@dataclass(frozen=True, kw_only=True)
class UNet:
    width: int = 64
    levels: tuple[int, ...] = (1, 2, 4)
    name: str = "a net"
    window: tuple[float, float] = (0.0, 1.0)
    cache: object = field(default=None, metadata={"plain": False})


@dataclass(frozen=True)
class Budget:
    seconds: float = 600.0
    tries: int | None = None


@dataclass(frozen=True)
class Recipe:
    schedule: Curve
    network: Net = field(default=UNet(width=48))
    budget: Budget = field(default=Budget(seconds=5.0))
    steps: int = 1000
    flip: bool = False
    extra: tuple[Curve, ...] = ()
    named: dict[str, Net] = field(default_factory=dict)


FULL = Recipe(
    schedule=Shifted(Cosine(0.01), factor=3.0),
    network=UNet(width=96, levels=(), name='quote " \\ \n \x7f é'),
    budget=Budget(tries=2),
    extra=(Cosine(), Shifted(Cosine(1e-20), 1e22)),
    named={"a b": UNet(width=1)},
)


def read(table):
    return from_plain(table, Recipe, FAMILIES)


@pytest.mark.parametrize("recipe", [FULL, Recipe(Cosine())])
def test_there_and_back(recipe):
    """Fails if a setting is lost or changed as a table or through TOML."""
    table = to_plain(recipe, FAMILIES)
    assert read(table) == recipe
    assert read(tomllib.loads(toml_text(table))) == recipe


def test_every_default_is_written():
    """Fails if a recipe on disk would change its meaning when a default changes."""
    assert toml_text(to_plain(Recipe(Cosine()), FAMILIES)) == (
        "steps = 1000\nflip = false\nextra = []\n"
        '\n[schedule]\nkind = "cosine"\ns = 0.008\n'
        '\n[network]\nkind = "unet"\nwidth = 48\nlevels = [1, 2, 4]\nname = "a net"\n'
        "window = [0.0, 1.0]\n\n[budget]\nseconds = 5.0\n\n[named]\n"
    )


def test_a_table_without_kind_alters_the_default():
    """Fails if what is left out comes from the class where the recipe has its own default."""
    found = read(
        {"schedule": {"kind": "cosine"}, "network": {"levels": [3]}, "budget": {"tries": 1}}
    )
    assert found.network == UNet(width=48, levels=(3,))
    assert found.budget == Budget(5.0, 1)
    assert read({"schedule": {"kind": "cosine"}, "network": {"kind": "unet"}}).network == UNet()


BASE = {"schedule": {"kind": "cosine"}}
WRONG = {
    "no such part": (
        {"schedule": {"kind": "cosin"}},
        "recipe.schedule.kind: no schedule called 'cosin'; did you mean 'cosine'?",
    ),
    "no such setting": (
        {**BASE, "network": {"wdith": 3}},
        "recipe.network.wdith: not a setting of UNet; did you mean 'width'?",
    ),
    "no such room": (
        {**BASE, "netwrk": {}},
        "recipe.netwrk: not a setting of Recipe; did you mean",
    ),
    "derived": ({**BASE, "network": {"cache": 3}}, "recipe.network.cache: not a setting of UNet"),
    "float for int": ({**BASE, "steps": 0.5}, "recipe.steps: Expected int, got float"),
    "text for int": ({**BASE, "steps": "10"}, "recipe.steps: Expected int, got str"),
    "bool for int": ({**BASE, "steps": True}, "recipe.steps: Expected int, got bool"),
    "yes for bool": ({**BASE, "flip": "yes"}, "recipe.flip: Expected bool, got str"),
    "text for float": (
        {**BASE, "budget": {"seconds": "1e-4"}},
        "recipe.budget.seconds: Expected float",
    ),
    "in a list": (
        {**BASE, "network": {"levels": [1, "x"]}},
        "recipe.network.levels[1]: Expected int",
    ),
    "list length": (
        {**BASE, "network": {"window": [1.0]}},
        "recipe.network.window: Expected array of",
    ),
    "not a list": (
        {**BASE, "network": {"levels": 1}},
        "recipe.network.levels: Expected array, got int",
    ),
    "NaN": (
        {"schedule": {"kind": "cosine", "s": float("nan")}},
        "recipe.schedule.s: NaN and infinity",
    ),
    "infinity": (
        {**BASE, "network": {"window": [0.0, float("inf")]}},
        "recipe.network.window: NaN and",
    ),
    "value for a table": ({"schedule": "cosine"}, "recipe.schedule: Expected a table, got str"),
    "value for a plain table": ({**BASE, "budget": 3}, "recipe.budget: Expected a table, got int"),
    "value for tables": ({**BASE, "extra": 3}, "recipe.extra: Expected a list of tables, got int"),
    "in tables": (
        {**BASE, "extra": [{"kind": "x"}]},
        "recipe.extra[0].kind: no schedule called 'x'",
    ),
    "in named": (
        {**BASE, "named": {"a": {"kind": "unet", "width": ""}}},
        "recipe.named.a.width: Exp",
    ),
    "kind no text": ({"schedule": {"kind": 3}}, "recipe.schedule.kind: Expected str, got int"),
    "kind missing": (
        {"schedule": {}},
        "recipe.schedule.kind: which schedule is not said; known: cos",
    ),
    "missing": ({}, "recipe.schedule: is not given; Recipe needs it"),
    "missing inside": (
        {"schedule": {"kind": "shifted"}},
        "recipe.schedule.base: is not given; Shif",
    ),
    "refused by the part": (
        {"schedule": {"kind": "shifted", "base": {"kind": "cosine"}, "factor": -1.0}},
        "recipe.schedule: shift -1.0; a factor above 0",
    ),
    "no table at all": ([], "recipe: Expected a table, got list"),
    "a class path": (
        {"schedule": {"kind": "os.system"}},
        "recipe.schedule.kind: no schedule called",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_recipes(name):
    """Fails if a wrong key or value passes, is cast, or is not named with its path in one line."""
    table, words = WRONG[name]
    with pytest.raises(BadInput) as caught:
        read(table)
    assert str(caught.value).startswith(words)


def test_nesting_has_an_end():
    """Fails if a part within a part within a part … exhausts the stack."""
    table = {"kind": "cosine"}
    for _ in range(200):
        table = {"kind": "shifted", "base": table}
    with pytest.raises(BadInput, match="nested more than 16 deep"):
        read({"schedule": table})


SETS = [
    ("network.width", "96", replace(FULL, network=replace(FULL.network, width=96))),
    ("network.levels", "1,2", replace(FULL, network=replace(FULL.network, levels=(1, 2)))),
    ("network.levels", "[7]", replace(FULL, network=replace(FULL.network, levels=(7,)))),
    (
        "network.name",
        "plain words",
        replace(FULL, network=replace(FULL.network, name="plain words")),
    ),
    ("network.name", '"96"', replace(FULL, network=replace(FULL.network, name="96"))),
    ("schedule", "cosine", replace(FULL, schedule=Cosine())),
    ("schedule.kind", "cosine", replace(FULL, schedule=Cosine())),
    ("schedule.kind", "shifted", FULL),
    ("schedule.base.s", "2e-3", replace(FULL, schedule=Shifted(Cosine(0.002), 3.0))),
    ("flip", "true", replace(FULL, flip=True)),
    ("budget.tries", "9", replace(FULL, budget=Budget(tries=9))),
]


@pytest.mark.parametrize(("path", "text", "wanted"), SETS)
def test_set(path, text, wanted):
    """Fails if --set puts another value, leaves another part's settings or alters its input."""
    table = to_plain(FULL, FAMILIES)
    assert read(set_path(table, path, parse_value(text))) == wanted
    assert table == to_plain(FULL, FAMILIES)


def test_set_is_checked():
    """Fails if a mistyped path is taken for a new setting."""
    table = to_plain(FULL, FAMILIES)
    for path, words in [
        ("network.wdith", "recipe.network.wdith: not a setting of UNet; did you mean 'width'"),
        ("netwrok.width", "recipe.netwrok: not a setting of Recipe; did you mean 'network'"),
        ("steps.x", "--set steps.x: "),
        ("steps.x.y", "--set steps.x.y: steps is a value, not a table"),
        ("", "--set : an empty name"),
        ("network.", "--set"),
    ]:
        with pytest.raises(BadInput) as caught:
            read(set_path(table, path, 3))
        assert str(caught.value).startswith(words) or path in ("network.", "steps.x")


def test_migrations_run_in_order():
    """Fails if a step is skipped, repeated, or a future format is guessed at."""
    steps = {1: lambda t: {**t, "b": t["a"]}, 2: lambda t: {**t, "c": t["b"] + 1}}
    assert migrated({"format": 1, "a": 1}, 3, steps) == {"a": 1, "b": 1, "c": 2}
    assert migrated({"format": 2, "b": 5}, 3, steps) == {"b": 5, "c": 6}
    assert migrated({"b": 5}, 3, steps) == {"b": 5}
    for bad in (4, 0, -1):
        with pytest.raises(BadInput, match=r"recipe\.format: "):
            migrated({"format": bad}, 3, steps)
    with pytest.raises(BadInput, match="Expected int"):
        migrated({"format": "1"}, 3, steps)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = (
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=12,
    ),
    max_size=5,
)


@given(TREES)
def test_toml_there_and_back(table):
    """Fails if any tree of values is written so that a standard reader finds another."""
    assert tomllib.loads(toml_text(table)) == table


def test_long_lists_of_numbers_pass():
    """Fails if the guard against dotted keys refuses a table of betas."""
    table = {"betas": [index / 7 for index in range(1000)]}
    assert parse_toml(toml_text(table).encode(), where="x") == table


@given(st.text(max_size=40))
def test_any_text_is_a_value(text):
    """Fails if --set text can raise, or can smuggle a second key in."""
    parse_value(text)
    assert parse_value("1\ny = 2") == "1\ny = 2"


BROKEN = {
    "not TOML": (b"steps: 3", "is not TOML"),
    "a key twice": (b"a = 1\na = 2", "is not TOML"),
    "UTF-16": ("a = 1".encode("utf-16"), "is not UTF-8"),
    "too big": (b"#" * ((1 << 20) + 1), "more than 1048576"),
    "nested lists": (b"a = " + b"[" * 100_000, "nested too deeply|is not TOML"),
    "nested tables": (b"[" + b"a." * 100_000 + b"a]", "more than 40 dots in a line"),
    "a dotted key": (b"1." * 100_000 + b"1 = 1", "more than 40 dots in a line"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_toml(name, tmp_path):
    """Fails if a file that is no TOML, or too much of it, ends in anything but its one line."""
    content, words = BROKEN[name]
    (tmp_path / "recipe.toml").write_bytes(content)
    with pytest.raises(BadInput, match=words) as caught:
        read_toml(tmp_path / "recipe.toml")
    assert caught.value.where.endswith("recipe.toml")
