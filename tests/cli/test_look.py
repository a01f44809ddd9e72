"""What `unmist look` prints of runs and plans."""

import json
from dataclasses import fields

from matplotlib.figure import Figure
from PIL import Image

from unmist.base import files
from unmist.cli.look import _run_lines
from unmist.cli.main import main
from unmist.core.default import default_spacing
from unmist.core.schedules import Flow
from unmist.run.model import WEIGHTS
from unmist.run.picture import read_settings
from unmist.run.story import Held
from unmist.workflows.look_run import RunLook, _by_level


def test_a_loss_that_was_never_measured_is_said_to_be_so():
    # fails if a run with too few held-out pictures shows `nan ± nan`
    given = dict.fromkeys((field.name for field in fields(RunLook)), None)
    given |= {"loss": 0.5, "held": float("nan"), "recipe": {}}
    given |= {"notices": (), "alarms": (), "scores": {}}
    lines = list(_run_lines(RunLook(**given)))
    assert "loss 0.5000, held out not measured" in lines
    assert not any("nan" in line for line in lines)


def test_the_marked_plan_is_the_one_that_sampling_uses(tmp_path, capsys):
    # fails if the dots are those of another spacing than the default
    assert main(["look", "schedules", "flow", "--to", str(tmp_path / "s.png"), "--json"]) == 0
    stops = json.loads(capsys.readouterr().out)["schedules"]["flow"]["stops"]
    wanted = default_spacing()(Flow(), 12)
    assert [stop["sigma"] for stop in stops] == wanted.sigma.tolist()


def told_by(path):
    """The settings of a picture, and the line that other tools read."""
    with Image.open(path) as image:
        return read_settings(path), image.info["parameters"]


def test_every_picture_of_look_carries_its_settings(model, tmp_path):
    # fails if a picture is written past the writer of settings, or does not name its model
    Image.new("L", (9, 9), 99).save(tmp_path / "grey.png")
    places = {name: tmp_path / f"{name}.png" for name in ("noise", "schedules", "digits")}
    plan = ["--steps", "5", "--spacing", "karras"]
    assert main(["look", "noise", str(tmp_path / "grey.png"), "--to", str(places["noise"])]) == 0
    assert main(["look", "schedules", "flow", *plan, "--to", str(places["schedules"])]) == 0
    assert main(["look", "digits", "--to", str(places["digits"])]) == 0
    assert main(["look", str(model), "--to", str(tmp_path / "run")]) == 0
    found, _ = told_by(places["noise"])
    assert (found["kind"], found["schedule"], found["seed"]) == ("noise", "cosine", 0)
    found, line = told_by(places["schedules"])
    assert (found["schedules"], found["sampling"]["steps"]) == (["flow"], 5)
    assert line.startswith("Steps: 5, Schedule type: karras, ")
    found, line = told_by(places["digits"])
    assert found["fingerprint"] == json.loads((model / "about.json").read_text())["fingerprint"]
    assert line.startswith("Size: 28x28, ")
    for name in ("strip", "curves"):
        found, line = told_by(tmp_path / "run" / f"{name}.png")
        assert (found["kind"], found["model"], found["seen"]) == (name, model.name, 256)
        assert found["hash"] == files.digest(model / WEIGHTS)
        assert line.startswith(f"Model hash: {found['hash'][:10]}, Model: {model.name}, ")
    assert told_by(tmp_path / "run" / "strip.png")[0]["looks"] == [256]
    assert told_by(model / "looks" / "000000256.png")[1].startswith(f"Model: {model.name}, ")


def test_a_run_without_held_out_losses_says_so_in_its_panel():
    # fails if an axis stands empty, or words stand over a loss that was measured
    empty, full = Figure().subplots(1, 2)
    _by_level((), empty)
    _by_level([(32, Held(0.5, 0.1, (-1.0, 0.0, 1.0), (0.4, 0.6)))], full)
    assert [text.get_text() for text in empty.texts] == ["not measured"]
    assert not empty.axison
    assert (len(full.texts), len(full.lines)) == (0, 1)


def test_what_has_no_number_in_json_is_told_as_text(tmp_path, capsys):
    # fails if the two ends, both null as numbers, cannot be told apart
    Image.new("L", (9, 9), 99).save(tmp_path / "grey.png")
    where = ["--to", str(tmp_path / "out.png"), "--json"]
    assert main(["look", "noise", str(tmp_path / "grey.png"), "--steps", "3", *where]) == 0
    first, middle, last = json.loads(capsys.readouterr().out)["figures"]
    assert (first["log_snr"], last["log_snr"]) == (None, None)
    assert (first["log_snr_text"], last["log_snr_text"]) == ("inf", "-inf")
    assert float(middle["log_snr_text"]) == middle["log_snr"]
    assert main(["look", "schedules", "flow", *where]) == 0
    stops = json.loads(capsys.readouterr().out)["schedules"]["flow"]["stops"]
    assert (stops[0]["log_snr"], stops[0]["log_snr_text"]) == (None, "-inf")


def test_rates_are_drawn_and_said(tmp_path, capsys):
    # fails if the suggestion is not what is drawn and printed, or few updates are let through
    place = tmp_path / "rates.png"
    small = ["--set", "network.width=8", "--set", "network.levels=[1,2]", "--to", str(place)]
    small += ["--set", "network.blocks=[1,1]", "--set", "network.attention=[]"]
    assert main(["look", "rates", "digits", "--updates", "50", "--json", *small]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chosen"] == told["least"] / 4
    assert 1e-5 < told["chosen"] < 0.1
    assert [round(one["rate"], 9) for one in told["tried"][:2]] == [1e-5, 1.2649e-5]
    assert read_settings(place)["kind"] == "rates"
    assert main(["look", "rates", "digits", "--updates", "9", *small]) == 2
    assert "--updates: 9 updates; 50 or more" in capsys.readouterr().err
