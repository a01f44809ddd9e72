"""`unmist publish` and `unmist verify` as people and programs call them."""

import json

import pytest

from unmist.cli.main import main


@pytest.fixture
def pictures(model, tmp_path, monkeypatch):
    """Four samples of the tiny model, and a folder of keys of its own."""
    monkeypatch.setenv("UNMIST_KEYS", str(tmp_path / "keys"))
    to = tmp_path / "samples"
    assert main(["sample", str(model), "--count", "4", "--to", str(to)]) == 0
    return to


LIGHT = ["--without", "nudity", "--without", "credentials", "--without", "watermark"]


def test_samples_of_a_run_are_published_and_known(pictures, model, said, tmp_path):
    """Fails if the way from sampling to a verified picture is broken, or a line is no line."""
    words = ["publish", str(pictures), "--to", str(tmp_path / "out"), "--model", str(model), *LIGHT]
    code, out, err = said(*words)
    assert code in (0, 3)
    assert len(out.splitlines()) >= 4
    assert "note: nudity is left out; each picture's paper will say so" in err
    published = sorted((tmp_path / "out").glob("[!.]*.png"))
    assert published
    assert "grid.png" not in [path.name for path in published]
    code, out, _ = said("verify", str(published[0]))
    assert code == 0
    assert "to the byte" in out
    assert "  changed      no" in out.splitlines()
    code, out, _ = said("verify", "--ledger", str(tmp_path / "out"), "--json")
    assert (code, json.loads(out)["faults"]) == (0, [])


def test_refusals_have_their_code_and_reasons(pictures, said, tmp_path):
    """Fails if a program cannot tell a refusal from a success, or a person why."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'name = "strict"\nmarks = []\n\n[[detectors]]\nkind = "words"\nwords = ["digits"]\n'
    )
    first = sorted(pictures.glob("*.png"))[0]
    words = ["publish", str(first), "--to", str(tmp_path / "out"), "--policy", str(policy)]
    code, out, _ = said(*words, "--json")
    assert (code, json.loads(out)["act"]) == (0, "published")
    policy.write_text(policy.read_text() + "above = 0.0\n")
    code, out, err = said(*words)
    assert (code, out) == (2, "")
    assert "above = 0.0; a number above 0" in err


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("detector = 1", "did you mean 'detectors'?"),
        ('[[detectors]]\nkind = "nudty"', "did you mean 'nudity'?"),
        ('[[detectors]]\nkind = "nudity"\nabove = "x"', "policy.toml.detectors[0].above"),
        ("detectors = []", "it asks no detector"),
        ("[[detectors]]", "detectors[0].kind"),
        ("name =", "is not TOML"),
        ('[[detectors]]\nkind = "nudity"\nabove = nan', "NaN"),
    ],
)
def test_a_policy_is_read_strictly(pictures, said, tmp_path, text, what):
    """Fails if a mistake in a policy is passed over, or told without its place."""
    (tmp_path / "policy.toml").write_text(text)
    words = ["publish", str(pictures), "--to", str(tmp_path / "out")]
    code, out, err = said(*words, "--policy", str(tmp_path / "policy.toml"))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert what in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["verify"], "give a picture, or --ledger"),
        (["verify", "nowhere.png"], "nowhere.png"),
        (["verify", "--ledger", "nowhere"], "no ledger is here"),
        (["publish", "nowhere", "--to", "out"], "no such picture"),
        (["publish", "--to", "out"], "no pictures"),
        (["publish", "x.png", "--to", "out", "--without", "nudty"], "did you mean 'nudity'?"),
        (["publish", "x.png", "--to", "out", "--sign-key", "k"], "belong together"),
    ],
)
def test_mistakes_are_one_line(said, words, what, tmp_path, monkeypatch):
    """Fails if a mistake ends in a trace, another code, or leaves something behind."""
    monkeypatch.chdir(tmp_path)
    code, out, err = said(*words)
    assert (code, out) == (2, "")
    assert what in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
