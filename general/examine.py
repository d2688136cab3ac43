"""Examines a general model on what it has never seen: no training, plain and calibrated on halves.

    python general/examine.py MODEL [--unseen PDB ...] [--left-out FOLDER] [--k2 STAR] [-o JSON]

The examination is that of ``benchmarks/quality.py`` (the barrel under four conditions, unseen
specimens, a real field), with phases flipped and not, and fields of specimens and conditions that
the training left out. Prints a Markdown table: gain in dB in each band and over all, bias,
unexplained share, and what is drawn into noise.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import machine  # noqa: E402
from fields_pool import LEFT_OUT, pdb_code  # noqa: E402
from network_choice import denoiser_of  # noqa: E402
from quality import decibels, percent  # noqa: E402
from quality_data import (  # noqa: E402
    CONDITIONS,
    PIXEL_SIZE_A,
    TRAINED_ON,
    UNSEEN_CONDITION,
    field_exam,
    parts_of,
)
from quality_methods import wiener_filtered  # noqa: E402
from quality_metrics import (  # noqa: E402
    Bands,
    Image,
    Score,
    Triple,
    band_name,
    score_by_halves,
    score_by_truth,
    with_whole,
)
from restore.image_tensors import read_tensor  # noqa: E402
from restore.micrograph import CTFParameters  # noqa: E402
from restore.model.calibration import calibrated as calibrate  # noqa: E402
from restore.model.calibration import without_lattice  # noqa: E402
from restore.model.network import ARCHITECTURES  # noqa: E402
from restore.model.own_calibration import cross_calibrated, own_weights  # noqa: E402
from restore.preprocessing import (  # noqa: E402
    Recipe,
    common_blank_pixels,
    prepare_masked,
)
from restore.simulation.assemblies import Particle, read_particle  # noqa: E402
from restore.simulation.detectors import DETECTORS  # noqa: E402
from restore.simulation.field import simulate_field  # noqa: E402
from restore.simulation.field_settings import FieldRanges, draw_field_settings  # noqa: E402
from restore.simulation.microscope import expose  # noqa: E402
from restore.simulation.settings import SimulationSettings  # noqa: E402
from restore.simulation.specimen import SpecimenTransform, load_specimen, transform  # noqa: E402

EXAM_BANDS = ((200.0, 20.0), (20.0, 9.0), (9.0, 4.5))

LEFT_OUT_OF_FIELDS = ("1ihm", "2cg9")
"""Those of the specimens that no training saw of which fields are simulated here; the others are
given as unseen models, for whole micrographs.
"""

STRIDE_PX = ARCHITECTURES["unet"].stride

Network = Callable[[Image], Image]


@dataclass(frozen=True)
class Question:
    """One micrograph, prepared: its images and the truth (or None), all in the grey values of the
    full sum.
    """

    group: str
    raw: Triple
    truth: Image | None
    pixel_size_yx_A: tuple[float, float]
    bands: Bands
    ctf: CTFParameters | None


@dataclass(frozen=True)
class Output:
    """What a method makes of a question's images, and of noise alone, where that was asked for."""

    images: Triple
    of_noise: Image | None = None

    @property
    def into_noise(self) -> float:
        """The variance of the output for noise alone, as a share of that for a half: the report's
        "output for noise alone".
        """
        return (
            math.nan
            if self.of_noise is None
            else float(self.of_noise.var() / self.images.even.var())
        )


@dataclass(frozen=True)
class Source:
    """Where a question's images come from, and how they are prepared and judged."""

    group: str
    pixel_size_A: float
    ctf: CTFParameters | None
    recipe: Recipe
    bands: Bands


def prepared_question(images: Sequence[Image], source: Source) -> Question:
    """The question that full sum, halves and (where there is one) truth make. Pixels without data
    are those of the images with noise.
    """
    blank = common_blank_pixels(images[:3])
    prepared = prepare_masked(images, source.pixel_size_A, source.ctf, source.recipe, blank)
    grey = [image.image * image.scale for image in prepared]
    truth = grey[3] if len(grey) > 3 else None
    pixels = prepared[0].grid.pixel_size_yx_A
    return Question(source.group, Triple(*grey[:3]), truth, pixels, source.bands, source.ctf)


def exam_questions(chosen: argparse.Namespace, folder: Path) -> list[Question]:
    """The questions of the product's own exam, with phases flipped and not."""
    plans = [("seen", TRAINED_ON, one, 100 + n) for n, one in enumerate(CONDITIONS)]
    plans += [
        (path.stem, str(path), UNSEEN_CONDITION, 200 + n) for n, path in enumerate(chosen.unseen)
    ]
    questions: list[Question] = []
    ready: dict[str, SpecimenTransform] = {}
    for group, name, condition, seed in plans:
        ready[name] = ready.get(name) or transform(load_specimen(name, PIXEL_SIZE_A))
        settings = SimulationSettings(
            specimen=name,
            size_px=(chosen.size, chosen.size),
            pixel_size_A=PIXEL_SIZE_A,
            dose_e_per_A2=condition.dose_e_per_A2,
            defocus_um=condition.defocus_um,
            seed=seed,
        )
        shot = expose(settings, ready[name], 0)
        images = [torch.from_numpy(one) for one in (shot.full, shot.even, shot.odd, shot.truth)]
        source = Source(group, PIXEL_SIZE_A, shot.ctf, Recipe(4.5), EXAM_BANDS)
        questions += flipped_and_not(images, source)
    if chosen.k2 is not None:
        exam = field_exam(folder, chosen.k2)
        (shot,) = exam.shots
        images = [read_tensor(path) for _, path in parts_of(shot.micrograph)]
        micrograph = shot.micrograph
        source = Source("field", micrograph.pixel_size_A, micrograph.ctf, exam.recipe, exam.bands)
        questions += flipped_and_not(images, source)
    return questions


def flipped_and_not(images: Sequence[Image], source: Source) -> list[Question]:
    """The same images twice: with phases flipped, and as they are."""
    plain = replace(source, group=f"{source.group}, not flipped")
    plain = replace(plain, recipe=replace(source.recipe, phase_flip=False))
    return [prepared_question(images, one) for one in (source, plain)]


def require_left_out(folder: Path) -> None:
    """SystemExit where a specimen is missing of which fields are to be simulated."""
    present = {pdb_code(path.name) for path in folder.iterdir()}
    missing = [code for code in LEFT_OUT_OF_FIELDS if code not in present]
    if missing:
        sys.exit(
            f"{folder} holds no model of {', '.join(missing)}; wanted are files whose names begin "
            f"with the PDB codes {', '.join(LEFT_OUT_OF_FIELDS)}"
        )


def left_out_questions(folder: Path, fields: int) -> list[Question]:
    """Fields of two specimens, of a dose and of a detector that the training never saw."""
    everything = FieldRanges(
        max_resolution_A=(4.5, 9.0),
        without_doses_e_per_A2=(0.0, 0.0),
        without_detectors=(),
        film_share=0.0,
        crystals_share=0.0,
        border_share=0.0,
        beam_edge_share=0.0,
        particles_share=(0.2, 0.8),
        unflipped_share=0.0,
    )
    particles = [read_particle(path) for path in sorted(folder.iterdir())]
    known = [one for one in particles if pdb_code(one.name) not in LEFT_OUT]
    plans: list[tuple[str, list[Particle], FieldRanges]] = [
        (f"left out: {code}", [replace_chains(one)], everything)
        for one in particles
        if (code := pdb_code(one.name)) in LEFT_OUT_OF_FIELDS
    ]
    dose = replace(everything, dose_e_per_A2=(20.0, 25.0))
    others = tuple(one.name for one in DETECTORS if one.name != "Falcon 2 integrating")
    detector = replace(everything, without_detectors=others)
    plans += [("left out: 20–25 e/Å²", known, dose), ("left out: Falcon 2", known, detector)]
    questions: list[Question] = []
    for number, (group, some, ranges) in enumerate(plans):
        for index in range(fields):
            drawn = replace(
                draw_field_settings(ranges, 512, 900 + number, index), content="particles"
            )
            field = simulate_field(drawn, some)
            resolution_A = drawn.max_resolution_A
            bands = ((200.0, 20.0), (20.0, 2 * resolution_A), (2 * resolution_A, resolution_A))
            images = [field.full, field.even, field.odd, field.truth]
            source = Source(group, resolution_A / 2, field.ctf, Recipe(resolution_A), bands)
            questions.append(prepared_question(images, source))
    return questions


def replace_chains(particle: Particle) -> Particle:
    """The particle without its chains: nothing but the whole can then be put into a field."""
    return replace(particle, chains=())


def outputs(question: Question, network: Network) -> dict[str, Output]:
    """What each method makes of a question, by the method's name."""
    noise = noise_of(question)
    output = Output(
        Triple(*(scaled(network, image) for image in vars(question.raw).values())),
        scaled(network, noise),
    )
    return {
        "Wiener": Output(wiener_filtered(question.raw, question.pixel_size_yx_A)),
        "general": output,
        "general, calibrated": calibrated(question, output),
    }


def noise_of(question: Question) -> Image:
    """The noise of the halves without their signal, as strong as in a half."""
    return (question.raw.even - question.raw.odd) / math.sqrt(2)


def calibrated(question: Question, output: Output) -> Output:
    """The output calibrated by the micrograph's own halves, as restore's commands do it."""
    pixels, raw = question.pixel_size_yx_A, question.raw
    assert output.of_noise is not None
    images = (output.images.full, output.images.even, output.images.odd, output.of_noise)
    full, even, odd, of_noise = (without_lattice(image, STRIDE_PX) for image in images)
    halves = torch.stack([raw.even, raw.odd, even])
    weights = own_weights(halves, None, pixels, parameters=question.ctf)
    crossed = cross_calibrated(
        [even, odd, of_noise],
        [raw.even, raw.odd, noise_of(question)],
        None,
        pixels,
        parameters=question.ctf,
    )
    if weights is None or crossed is None:
        return Output(Triple(full, even, odd), of_noise)
    full = calibrate(weights.full, weights.width_per_A, full, raw.full, pixels)
    return Output(Triple(full, *crossed[:2]), crossed[2])


def scaled(network: Network, image: Image) -> Image:
    """The network's output in the grey values of its input, which it sees with unit deviation."""
    scale = image.std()
    return network(image / scale) * scale


def score(question: Question, denoised: Triple) -> Score:
    """By the truth, or where there is none by the halves."""
    arguments = (question.raw, denoised, question.pixel_size_yx_A, question.bands)
    if question.truth is None:
        return score_by_halves(*arguments)
    return score_by_truth(question.truth, *arguments)


def table(
    questions: Sequence[Question], network: Network
) -> tuple[list[str], list[dict[str, object]]]:
    """The Markdown table, and all numbers in it."""
    lines = ["| test | method | coarse | middle | fine | all | bias | unexplained | into noise |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    record: list[dict[str, object]] = []
    for group in dict.fromkeys(question.group for question in questions):
        inside = [question for question in questions if question.group == group]
        done = [outputs(question, network) for question in inside]
        for name in done[0]:
            scores = [
                score(question, one[name].images)
                for question, one in zip(inside, done, strict=True)
            ]
            noise = fmean(one[name].into_noise for one in done)
            gains = [
                [one.gain_dB[band_name(band)] for band in with_whole(question.bands)]
                for one, question in zip(scores, inside, strict=True)
            ]
            numbers = np.array(gains).mean(axis=0)
            bias, unexplained = (
                fmean(getattr(one, kind) for one in scores) for kind in ("bias", "unexplained")
            )
            cells = [decibels([gain]) for gain in numbers]
            cells += [percent([share]) for share in (bias, unexplained, noise)]
            lines.append(f"| {group} | {name} | " + " | ".join(cells) + " |")
            record.append({"test": group, "method": name, "gain_dB": numbers.tolist(), "bias": bias,
                           "unexplained": unexplained,
                           "into_noise": noise if math.isfinite(noise) else None})  # fmt: skip
    return lines, record


def main() -> None:
    """Simulate, examine, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--unseen", type=Path, nargs="*", default=[], help="models or maps to test on"
    )
    parser.add_argument(
        "--left-out", type=Path, help="folder of the specimens of the training and those left out"
    )
    parser.add_argument(
        "--fields", type=int, default=6, help="for each specimen or condition left out"
    )
    parser.add_argument("--k2", type=Path, help="STAR file of one real field with halves")
    parser.add_argument(
        "--size",
        type=int,
        default=1152,
        help="side of a simulated test micrograph, pixels of 1.5 Å",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    if chosen.left_out:
        require_left_out(chosen.left_out)
    torch.set_num_threads(chosen.threads)
    print(machine.describe() + "\n")
    network = denoiser_of(chosen.model)
    with tempfile.TemporaryDirectory() as name:
        questions = exam_questions(chosen, Path(name))
    if chosen.left_out:
        questions += left_out_questions(chosen.left_out, chosen.fields)
    lines, record = table(questions, network)
    print("\n".join(lines))
    if chosen.output:
        chosen.output.write_text(
            json.dumps({"machine": machine.describe(), "scores": record}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
