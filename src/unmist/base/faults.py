"""What went wrong, said in one line: where, what, the mend."""

__all__ = ["BadInput", "Busy", "CannotWrite", "Diverged", "Fault"]


class Fault(Exception):
    """A refusal a person can act on. Printed as `where: what; mend`; `code` is the exit code."""

    code = 1

    def __init__(self, what: str, *, where: object = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, str(where), mend
        super().__init__(what)

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        line = f"{line}; {self.mend}" if self.mend else line
        return " ".join(line.split())


class BadInput(Fault, ValueError):
    """Something the user gave cannot be used: a flag, a recipe, a picture, a checkpoint."""

    code = 2


class CannotWrite(Fault):
    """The disk is full, read-only or closed to us; what stood there before still stands."""

    code = 74


class Busy(Fault):
    """Another process works in the same run folder."""

    code = 75


class Diverged(Fault):
    """Training gave up after rolling back as often as it may."""

    code = 70
