"""Any ONNX file as a detector, run only if it is the file that the policy names by its hash."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.functional import interpolate

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.guard.detector import Finding, Seen
from unmist.guard.policy import Network

__all__ = ["OnnxNetwork", "opened_session", "shown"]


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A rule and the file's content; the session is made where the pictures are seen.

    Raises BadInput where the content has another hash.
    """

    rule: Network
    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if files.digest(self.content) != self.rule.sha256:
            raise BadInput(
                "is not the file whose sha256 the policy gives",
                where=self.rule.file,
                mend="give the file it was written for, or its new sha256",
            )

    @property
    def name(self) -> str:
        """As in the policy."""
        return self.rule.name

    @property
    def version(self) -> str:
        """The digest of what is really run."""
        return f"sha256-{files.digest(self.content)}"

    def __call__(self, pictures: Sequence[Seen]) -> list[Finding]:
        """The chosen number of the network's first output, one a picture."""
        session = opened_session(self.content, self.rule.file)
        name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
        findings = []
        for picture in pictures:
            said = np.asarray(session.run([output], {name: shown(picture.pixels, self.rule)})[0])
            findings.append(Finding(float(said.reshape(-1)[self.rule.column])))
        return findings


def shown(pixels: np.ndarray, rule: Network) -> np.ndarray:
    """uint8 (1 or 3, h, w) as the network wants it: float32 (1, 3, *size) or (1, *size, 3)."""
    x = torch.from_numpy(pixels.copy()).expand(3, -1, -1)[None]
    x = interpolate(x, rule.size, mode="bilinear", antialias=True, align_corners=False).float()
    mean, spread = (torch.tensor(part).view(1, -1, 1, 1) for part in (rule.mean, rule.spread))
    x = (x - mean) / spread
    return (x if rule.layout == "bchw" else x.permute(0, 2, 3, 1)).contiguous().numpy()


def opened_session(content: bytes, where: object):  # noqa: ANN201 - onnxruntime has no types
    """An onnxruntime session of one thread. Raises BadInput without onnxruntime, or if unreadable.

    The file's own tables are data: a network outside the standard operators is not run.
    """
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        mend = "pip install 'unmist[features]'"
        raise BadInput("a network in ONNX needs onnxruntime", where=where, mend=mend) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own for each kind of damage
        raise BadInput(f"is no ONNX file ({type(error).__name__})", where=where) from error
