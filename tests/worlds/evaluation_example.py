"""A made-up evaluation as ``restore evaluate`` leaves it: its JSON, and a folder of pictures."""

import json
import math

import numpy as np
from PIL import Image

RINGS = 64
FREQUENCY_PER_A = [(index + 1) / RINGS / 4.5 for index in range(RINGS)]

_NUMBERS = {
    "var_signal": 0.05, "var_noise_raw": 0.95, "var_noise_denoised": 0.004, "var_bias": 0.012,
    "var_invented": 0.001, "noise_share": 0.004, "noise_share_wiener": 0.02,
    "hallucinated_share": 0.02, "hallucinated_share_wiener": 0.0, "gain_wiener": 0.4,
    "bias_share_wiener": 0.4, "invented_share_wiener": 0.3,
    "snr_raw_full": 0.105, "snr_denoised_full": 25.0, "gain": 0.62, "bias_share": 0.24,
    "invented_share": 0.08,
    "signal_to_error_raw": 0.053, "signal_to_error_lowpass": 1.4, "signal_to_error_wiener": 2.2,
    "signal_to_error_denoised": 3.1, "advantage_over_wiener": 1.41, "correlation_raw": 0.22,
    "correlation_lowpass": 0.58,
    "correlation_wiener": 0.71, "correlation_denoised": 0.83, "lowpass_A": 21.0,
}  # fmt: skip


def number(value, spread=0.06):
    """A number with an interval of this half width, as a share of it."""
    return {"value": value, "low": value * (1 - spread), "high": value * (1 + spread)}


def curve(values, spread=0.1):
    """A curve with intervals that widen towards fine resolution."""
    wide = [abs(value) * spread * (1 + 4 * index / RINGS) for index, value in enumerate(values)]
    return {
        "value": values,
        "low": [value - width for value, width in zip(values, wide, strict=True)],
        "high": [value + width for value, width in zip(values, wide, strict=True)],
    }


def curves(tilt=1.0):
    """All curves of a group: a signal that fades, noise that does not, and a network that follows
    the signal.
    """
    snr = [tilt * 2.5 * math.exp(-frequency / 0.035) + 0.0004 for frequency in FREQUENCY_PER_A]
    wiener = [ratio / (1 + ratio) for ratio in snr]
    gain = [min(1.0, 1.5 * weight) for weight in wiener]
    return {
        "signal_to_error_raw": curve(snr),
        "signal_to_error_wiener": curve([1 + ratio for ratio in snr]),
        "signal_to_error_denoised": curve([1 + 2.5 * ratio for ratio in snr]),
        "snr_raw": curve(snr),
        "snr_denoised": curve([60 * ratio for ratio in snr]),
        "gain": curve(gain),
        "advantage_over_wiener": curve([1.4] * len(snr)),
        "wiener_filter": curve(wiener),
        "bias_share": curve([(1 - value) ** 2 + 0.02 for value in gain]),
        "invented_share": curve([0.1 + 0.5 * (1 - value) for value in gain]),
        "frc_raw": curve(wiener),
        "frc_denoised": curve([weight / (0.05 + weight) for weight in wiener]),
        "power_raw": curve([(1 + ratio) / RINGS for ratio in snr]),
        "power_denoised": curve([(ratio + 0.01) * ratio / RINGS for ratio in snr]),
        "power_noise_only_raw": curve([1 / RINGS] * RINGS),
        "power_noise_only_denoised": curve([0.05 * ratio * ratio / RINGS for ratio in snr]),
        "unpaired_raw": curve([0.004 * math.sin(index) for index in range(RINGS)]),
        "unpaired_denoised": curve([0.01 * math.cos(index) for index in range(RINGS)]),
    }


def group(name="held out", micrographs=4, tilt=1.0):
    """One group of an evaluation."""
    numbers = {key: number(value) for key, value in _NUMBERS.items()}
    resampled = "micrographs" if micrographs > 3 else "patches"
    return {
        "name": name,
        "micrographs": micrographs,
        "resampled": resampled,
        "numbers": numbers,
        "curves": curves(tilt),
    }


def micrograph(index, role="trained on", pictures=True):
    """One micrograph; every thirteenth is strange."""
    shade = 1 + 0.2 * math.sin(index)
    strange = index % 13 == 5
    stem = f"previews/{index:04d}"
    previews = {
        "raw": f"{stem}_raw.jpg", "denoised": f"{stem}_denoised.jpg",
        "support": f"{stem}_support.png",
        "width_px": 64, "height_px": 48, "pixel_size_A": 40.0,
    }  # fmt: skip
    return {
        "name": f"Micrographs/mic_{index:04d}_DW.mrc", "row": index, "role": role,
        "hot_pixels": (7 * index) % 11,
        "numbers": {key: number(value * shade) for key, value in _NUMBERS.items()},
        "outlier": 4.2 + index / 100 if strange else abs(math.sin(3 * index)),
        "remarks": ["Much less signal than the others."] if strange else [],
        "defocus_A": 9000 + 150 * index, "previews": previews if pictures else None,
    }  # fmt: skip


def model(epochs=20):
    """A model's record, with its history."""
    history = [
        {"epoch": epoch, "step": 500 * epoch, "train_loss": 0.95 + 0.05 / epoch,
         "held_out_loss": 0.951 + 0.04 / epoch,
         "perfect_loss": 0.949}
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    training = {"steps": 10000, "seconds": 5400.0, "history": history, "best": history[-1]}
    return {
        "name": "waunet",
        "parameters": 2383826,
        "training": training | {"trained_on": ["a"] * 9, "held_out": ["b"]},
    }


def evaluation(micrographs=12, held_out=4, pictures=True):
    """The whole JSON."""
    roles = ["held out" if index < held_out else "trained on" for index in range(micrographs)]
    groups = [group("held out", held_out)] if held_out else []
    groups += [group("trained on", micrographs - held_out, 1.1)] if micrographs > held_out else []
    card = {
        "program": "restore",
        "version": "0.2.0",
        "command": "restore evaluate -m all.star -p m.safetensors",
    }
    inputs = {"micrographs": "session/all.star", "model": "Models/m.safetensors", "denoised": None}
    return {
        "format_version": 1,
        "provenance": card | {"time": "2026-05-04T12:00:00+00:00", "settings": {"seed": 0},
                              "inputs": inputs},
        "recipe": {"max_resolution_A": 4.5, "phase_flip": True, "highpass_A": 200.0},
        "model": model(),
        "method": {"patch_px": 256, "rings": RINGS, "confidence": 0.9, "resamples": 1000,
                   "window": "Hann",
                   "support_window_A": 300.0},
        "frequency_per_A": FREQUENCY_PER_A,
        "groups": [*groups, group("all", micrographs)],
        "micrographs": [micrograph(index, role, pictures) for index, role in enumerate(roles)],
        "warnings": ["Only four micrographs were held out."],
        "summary": ["The denoised halves beat the Wiener filter: signal-to-error 3.1 against 2.2.",
                    "More words."],
    }  # fmt: skip


def write(folder, card, size=(64, 48)):
    """Write the JSON and the pictures that it names; grey noise for raw, a ramp for denoised."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for row in card["micrographs"]:
        if row["previews"] is None:
            continue
        raw, denoised, support = (
            folder / row["previews"][kind] for kind in ("raw", "denoised", "support")
        )
        raw.parent.mkdir(exist_ok=True)
        grey = generator.integers(0, 256, size[::-1], dtype=np.uint8)
        Image.fromarray(grey).save(raw, quality=72)
        Image.fromarray(grey // 4 + 96).save(denoised, quality=72)
        overlay = np.zeros((*size[::-1], 4), dtype=np.uint8)
        overlay[: size[1] // 2] = (86, 180, 233, 150)
        Image.fromarray(overlay).save(support)
    (folder / "evaluation.json").write_text(json.dumps(card), encoding="utf-8")
    return folder
