"""Makes every picture of the documentation: `python docs/make_pictures.py` (about a minute).

Nothing is trained: where a network would stand, the exact denoiser of the training digits does.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from unmist import DATA, Mixture, Noise, Points, noised, open_data, schedules, solvers
from unmist.codecs.pixels import Pixels
from unmist.core.plan import ancestral, descend
from unmist.core.spacing import EvenLogSnr, EvenTime, Karras
from unmist.core.walk import final, started, walk
from unmist.run.picture import as_image, strip
from unmist.workflows.look_noise import labelled, noise_row
from unmist.workflows.look_schedules import curve_of, drawn_curves

PICTURES = Path(__file__).parent / "pictures"
LARGEST = 150_000  # bytes


def saved(name: str, picture: np.ndarray | Image.Image) -> None:
    """As a PNG of 64 colours, whole."""
    if isinstance(picture, np.ndarray):
        colours = picture.repeat(3, 0) if len(picture) == 1 else picture
        picture = Image.fromarray(np.ascontiguousarray(colours.transpose(1, 2, 0)))
    out = BytesIO()
    small = picture.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    small.save(out, "PNG", optimize=True)
    assert out.tell() < LARGEST, f"{name}: {out.tell()} bytes"
    (PICTURES / name).write_bytes(out.getvalue())
    print(f"{name}  {picture.size[0]}x{picture.size[1]}  {out.tell() // 1000} kB")


def drawn(figure: Figure) -> Image.Image:
    """A figure of matplotlib as a picture."""
    out = BytesIO()
    figure.savefig(out, format="png")
    return Image.open(out)


def blank(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def noising() -> None:
    """Chapter 1: one digit under three schedules."""
    data = open_data("digits")
    digit = data.values[data.held[200]]
    rows = [
        labelled(noise_row(digit, schedules[name](), steps=8))
        for name in ("linear", "cosine", "flow")
    ]
    saved("noising.png", np.concatenate(rows, axis=1))


def forward() -> None:
    """Chapter 2: a mixture, its samples as the level rises, and the exact density."""
    mixture = Mixture(
        torch.tensor([0.5, 0.5], dtype=torch.float64),
        torch.tensor([[-1.2], [0.8]]),
        torch.tensor([[[0.01]], [[0.09]]]),
    )
    places = torch.linspace(-3.5, 3.5, 400, dtype=torch.float64)[:, None]
    figure = blank(9, 2.4)
    times = (0.02, 0.2, 0.4, 0.6, 0.95)
    for axis, t in zip(figure.subplots(1, len(times)), times, strict=True):
        level = schedules["cosine"]()(t)
        samples = mixture.sample(4000, level)[:, 0].numpy()
        axis.hist(samples, 70, range=(-3.5, 3.5), density=True, color="0.75")
        axis.plot(places[:, 0], mixture.log_prob(places, level).exp(), color="C0", linewidth=1.5)
        axis.set_title(f"log-SNR {float(level.log_snr):.1f}", fontsize=9)
        axis.set_yticks([])
    saved("forward.png", drawn(figure))


def encoded() -> tuple[Pixels, torch.Tensor, torch.Tensor]:
    """The codec, and training and held-out digits in model space."""
    data = open_data("digits")
    codec = Pixels.measure(data.values[data.train])
    train, held = (
        codec.encode(torch.from_numpy(data.values[rows])) for rows in (data.train, data.held)
    )
    return codec, train, held


def asked() -> None:
    """Chapter 3: what a network is given, and what it should answer."""
    codec, train, held = encoded()
    exact, x0 = Points(train), held[200:201]
    frames = []
    for t in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95):
        level = schedules["cosine"]()(t)
        x = noised(x0, level, Noise(4, "asked", (0,))(x0, 0))
        shown = x / float(torch.hypot(level.alpha, level.sigma))
        frames.append(codec.decode(torch.cat([shown, exact(x, level)])).numpy())
    saved("asked.png", strip(frames, zoom=4, gap=4))


def film() -> None:
    """Chapter 5: samples on their way: x above, the exact mean below."""
    codec, train, _ = encoded()
    schedule = schedules["cosine"]()
    plan = ancestral(descend(EvenLogSnr(0.05, 40.0)(schedule, 10)), 0.5)
    noise = Noise(8, "film", tuple(range(3)))
    x = started(torch.zeros(3, 1, 28, 28), plan, noise)
    columns = [(x / float(torch.hypot(plan.start.alpha, plan.start.sigma)), torch.zeros_like(x))]
    for state in walk(Points(train), x, plan, solvers["euler"](), noise):
        assert state.mean is not None
        size = float(torch.hypot(state.level.alpha, state.level.sigma))
        columns.append((state.x / size, state.mean))
    frames = [
        codec.decode(torch.stack([x, mean], 1).flatten(0, 1)).numpy() for x, mean in columns[1::2]
    ]
    saved("film.png", strip(frames, zoom=3, gap=3))


def solved(
    mixture: Mixture, solver: str, order: int | None, steps: int
) -> tuple[torch.Tensor, int]:
    """The end points of 256 starts, and the calls."""
    part = solvers[solver]() if order is None else solvers[solver](order)
    plan = descend(Karras(low=0.01, high=50.0)(schedules["cosine"](), steps), DATA)
    noise = Noise(1, "starts", tuple(range(256)))
    x = started(torch.zeros(256, 2, dtype=torch.float64), plan, noise)
    state = final(walk(mixture, x, plan, part, noise))
    return state.x, state.calls


def errors() -> None:
    """Chapter 5: the error of the solvers by network evaluations."""
    mixture = Mixture(
        torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
        torch.tensor([[1.2, 0.4], [-1.0, 0.8], [-0.1, -1.3]]),
        torch.eye(2).expand(3, 2, 2) * 0.05,
    )
    truth, _ = solved(mixture, "multistep", 3, 1500)
    figure = blank(6.4, 4)
    axis = figure.subplots()
    for name, solver, order in (
        ("Euler = DDIM", "euler", None),
        ("Heun", "heun", None),
        ("DPM-Solver++ 2M", "multistep", 2),
        ("DPM-Solver++ 3M", "multistep", 3),
        ("UniPC 2", "unipc", 2),
    ):
        points = [solved(mixture, solver, order, n) for n in (4, 6, 8, 12, 16, 24, 32, 48, 64)]
        rows = [(calls, float((x - truth).square().mean().sqrt())) for x, calls in points]
        axis.loglog(*zip(*rows, strict=True), ".-", label=name)
    axis.set_xlabel("network evaluations")
    axis.set_ylabel("RMS distance to the exact solution")
    ticks = [4, 8, 16, 32, 64, 128]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=9)
    saved("solvers.png", drawn(figure))


def curves() -> None:
    """Chapter 9: the schedules with a plan's steps on them."""
    names = ("linear", "cosine", "sigmoid", "flow", "exploding")
    found = {name: curve_of(name, schedules[name](), EvenTime(), 12) for name in names}
    saved("schedules.png", as_image(drawn_curves(found)).resize((1056, 740)))


def main() -> None:
    """All of them."""
    PICTURES.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    makers: tuple[Callable[[], None], ...] = (noising, forward, asked, film, errors, curves)
    for make in makers:
        make()


if __name__ == "__main__":
    main()
