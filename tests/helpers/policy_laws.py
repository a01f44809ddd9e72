"""What a policy must do, of any module that is one: the real one, or a mutant of it."""

from dataclasses import FrozenInstanceError, fields

from unmist.run.plain import from_plain, to_plain

SHA = "0123456789abcdef" * 4


def laws(policy):
    defaults(policy)
    limits(policy)
    refusals(policy)
    leaving_out(policy)
    frozen(policy)
    table(policy)


def defaults(policy):
    usual = policy.Policy()
    assert usual.name == "default"
    assert [rule.limit.detector for rule in usual.detectors] == ["nudity", "copied", "words"]
    assert usual.marks == policy.MARKS
    assert set(policy.MARKS) <= {"credentials", "watermark"}
    assert "credentials" in policy.MARKS
    assert usual.settings is True
    assert usual.left_out == ()
    assert policy.Words().words == policy.Words().patterns == ()


def limits(policy):
    wanted = [
        ("nudity", "opennsfw-864bb37b", 0.2, 20.0),
        ("copied", "nearest-1", 0.99, 20.0),
        ("words", "words-1", 0.5, 2.0),
    ]
    made = policy.Policy().limits
    assert [(one.detector, one.version, one.above, one.seconds) for one in made] == wanted
    for kind in (policy.Nudity, policy.Copied, policy.Words):
        limit = kind(above=0.3, seconds=4.0).limit
        assert (limit.above, limit.seconds, limit.version) == (0.3, 4.0, kind.version)
    own = policy.Own(name="mine", version="v7", above=0.4)
    assert own.limit == type(own.limit)("mine", "v7", 0.4, 20.0)
    net = network(policy)
    assert net.limit == type(own.limit)("cats", f"sha256-{SHA}", 0.6, 20.0)
    assert (net.size, net.layout, net.column) == ((224, 224), "bchw", 0)
    assert (net.mean, net.spread) == ((0.0,), (255.0,))


def network(policy, **settings):
    return policy.Network(**{"name": "cats", "file": "f", "sha256": SHA, "above": 0.6, **settings})


def fault(make, what, where="", mend=""):
    try:
        make()
    except Exception as found:
        said = (found.what, found.where, found.mend)
        assert said == (what, where, mend), said
    else:
        raise AssertionError(f"nobody minds: {what}")


def refusals(policy):
    wrong = "sha256 is 64 hexadecimal digits"
    for digest in ("", SHA[1:], SHA + "0", SHA.upper(), "g" * 64):
        fault(lambda d=digest: network(policy, sha256=d), wrong, "cats", "sha256sum FILE")
    fault(lambda: network(policy, layout="x" * 30), f"layout '{'x' * 20}'", "cats", "bchw or bhwc")
    assert network(policy, layout="bhwc").layout == "bhwc"
    for settings in ({"size": (0, 5)}, {"size": (5, 0)}, {"size": (4097, 5)}, {"column": -1}):
        fault(
            lambda s=settings: network(policy, **s), "size is 1 to 4096, column 0 or more", "cats"
        )
    network(policy, size=(1, 4096), column=1, mean=(0.1, 0.2, 0.3), spread=(1.0, 2.0, 3.0))
    wrong = "mean and spread are one number or three, no spread 0"
    for settings in ({"mean": ()}, {"mean": (1.0, 2.0)}, {"spread": (1.0,) * 4},
                     {"spread": (0.0,)}, {"spread": (1.0, 0.0, 1.0)}):  # fmt: skip
        fault(lambda s=settings: network(policy, **s), wrong, "cats")
    for pattern in ("(", "x{999999999999999999999}", "(" * 50):
        try:
            policy.Words(patterns=("fine", pattern))
        except Exception as found:
            assert found.what.startswith(f"'{pattern[:40]}' is no regular expression (")
            assert found.what.endswith(")")
            assert found.where == "words.patterns"
        else:
            raise AssertionError(pattern)
    assert policy.Words(patterns=("a+", "b")).patterns == ("a+", "b")
    names = ", ".join(policy.MARKS)
    mend = f"known: {names}"
    fault(lambda: policy.Policy(marks=("?" * 50,)), f"no mark called '{'?' * 40}'", "policy.marks",
          mend)  # fmt: skip
    fault(lambda: policy.Policy(detectors=()), "it asks no detector, so nothing can pass",
          "policy.detectors", "name at least one")  # fmt: skip
    twice = (policy.Words(), policy.Words(above=0.1))
    fault(lambda: policy.Policy(detectors=twice), "two are called words", "policy.detectors")
    own = policy.Own(name=policy.MARKS[0], version="1", above=0.5)
    fault(lambda: policy.Policy(detectors=(own,)), f"two are called {policy.MARKS[0]}",
          "policy.detectors")  # fmt: skip
    assert policy.Policy(marks=()).marks == ()


def leaving_out(policy):
    usual = policy.Policy()
    less = usual.without(("words", "credentials"))
    assert [rule.limit.detector for rule in less.detectors] == ["nudity", "copied"]
    assert less.marks == tuple(mark for mark in policy.MARKS if mark != "credentials")
    assert less.left_out == ("credentials", "words")
    assert less.without(("nudity",)).left_out == ("credentials", "nudity", "words")
    assert usual.without(()) == usual
    known = ", ".join(["nudity", "copied", "words", *policy.MARKS])
    fault(lambda: usual.without(("q" * 50,)), f"the policy has no '{'q' * 40}'", "--without",
          f"known: {known}")  # fmt: skip
    fault(lambda: usual.without(("nudity", "copied", "words")),
          "it asks no detector, so nothing can pass", "policy.detectors",
          "name at least one")  # fmt: skip


def frozen(policy):
    own = policy.Own(name="mine", version="v7", above=0.4)
    kinds = (policy.Policy(), policy.Nudity(), policy.Copied(), policy.Words(), network(policy))
    for part in (*kinds, own):
        try:
            setattr(part, fields(part)[0].name, 1)
        except FrozenInstanceError:
            continue
        raise AssertionError(f"{part} can be altered")


def table(policy):
    """As TOML gives it: what was chosen is read, what was left out is not written."""
    families = {policy.Rule: policy.rules}
    own = policy.Own(name="mine", version="v7", above=0.4)
    kinds = (policy.Nudity(above=0.5), policy.Copied(), policy.Words(words=("a",)), own)
    whole = policy.Policy("mine", (*kinds, network(policy)), ()).without(("words",))
    plain = to_plain(whole, families)
    names = ["nudity", "copied", "own", "onnx"]
    assert [rule["kind"] for rule in plain["detectors"]] == names
    assert "left_out" not in plain
    read = from_plain(plain, policy.Policy, families, "policy")
    assert (read.detectors, read.marks) == (whole.detectors, whole.marks)
    kinds = [policy.rules.family, *policy.rules.names()]
    assert kinds == ["detector", "nudity", "copied", "words", "onnx", "own"]
