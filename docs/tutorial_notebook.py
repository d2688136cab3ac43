# %% [markdown]
# # restore in a notebook
#
# This notebook simulates a few micrographs, trains a network on their halves, denoises one of them,
# and measures what the network did. It takes about a minute on two CPU cores. Such a short training
# does not give a good model; `minutes=30` instead of `steps=40` does.
#
# Convert this file with `jupytext --to notebook tutorial_notebook.py`, or open it as a notebook in
# JupyterLab with jupytext installed.

# %%
import matplotlib.pyplot as plt
import numpy as np

import restore

# %% [markdown]
# ## Simulate
#
# Three micrographs of a barrel-shaped protein, each with the sums of its even and odd frames. The
# noise-free images, which a microscope never gives you, are saved beside them.

# %%
settings = restore.SimulationSettings(micrographs=3, size_px=(512, 512), pixel_size_A=3.0)
star = restore.simulate("session", settings, overwrite=True)
micrographs = restore.read_micrographs(star, halves=True).micrographs
micrographs[0]

# %% [markdown]
# ## Train
#
# Training is one call. The network sees only the halves, here up to a resolution of 12 Å. A
# callback receives the losses after each step; the commands use it for their progress bar.

# %%
losses = []


def keep(progress):
    """Keep the losses of each epoch; those before the first step have no training loss."""
    if "train_loss" in progress.epoch and progress.epoch not in losses:
        losses.append(progress.epoch)


model = restore.train(
    star,
    {"batch_size": 2, "patch_px": 64},
    steps=40,
    recipe=restore.Recipe(max_resolution_A=12),
    model_prefix="tutorial",
    overwrite=True,
    progress=keep,
)

# %%
figure, axes = plt.subplots()
axes.plot([row["step"] for row in losses], [row["train_loss"] for row in losses], label="training")
axes.set_xlabel("step")
axes.set_ylabel("loss")
axes.legend()
# %% [markdown]
# ## Denoise
#
# The denoised image has the shape, the grey values and the type of the input.

# %%
micrograph = micrographs[0]
image = restore.read_image(micrograph.image)
denoised = restore.denoise(image, model, ctf=micrograph.ctf)
restore.write_image("denoised.mrc", denoised)

# %% [markdown]
# For comparison, the truth is prepared like the raw image, because the output has its phases
# flipped and nothing finer than 12 Å.

# %%
truth_file = str(micrograph.image).replace("_DW", "_TRUTH")
truth = restore.prepare(restore.read_image(truth_file), model, ctf=micrograph.ctf).image
raw = restore.prepare(image, model, ctf=micrograph.ctf).image
flipped = restore.Recipe(max_resolution_A=12, phase_flip=False)
seen = restore.prepare(denoised, flipped).image

figure, panels = plt.subplots(1, 3, figsize=(12, 4))
for panel, (title, picture) in zip(
    panels, {"raw": raw, "denoised": seen, "truth": truth}.items(), strict=True
):
    low, high = np.percentile(picture, (1, 99))
    panel.imshow(picture, cmap="gray", vmin=low, vmax=high)
    panel.set_title(title)
    panel.axis("off")


# %%
def correlation(first, second):
    """The correlation coefficient of two images."""
    return float(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1])


print(f"correlation with the truth: raw {correlation(raw, truth):.3f}, "
      f"denoised {correlation(seen, truth):.3f}")  # fmt: skip

# %% [markdown]
# ## Evaluate
#
# The evaluation does not need the truth: it compares each denoised half with the *other* raw half,
# which the network did not see.

# %%
evaluated = restore.evaluate(star, "Models/tutorial.safetensors")
print("\n".join(evaluated.evaluation.summary))

# %%
group = evaluated.evaluation.groups[0]
print(group.name, sorted(group.curves))

# %% [markdown]
# The whole evaluation as one HTML page, which can be opened offline and sent by mail:

# %%
restore.write_report("evaluation")
