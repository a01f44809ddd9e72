"""What `unmist look` prints of runs and plans."""

import json
from dataclasses import fields

from unmist.cli.look import _run_lines
from unmist.cli.main import main
from unmist.core.default import default_spacing
from unmist.core.schedules import Flow
from unmist.workflows.look_run import RunLook


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
