"""The network's stages by PyTorch's own operations, on any device."""

import copy

import torch
from torch import Tensor

from restore.model.inference.engine import CPU_TILE_PX
from restore.model.network import Network, NetworkSettings
from restore.runtime.precision import autocast

_GPU_SHARE = 0.5


class PyTorchEngine:
    """PyTorch's own operations, on any device."""

    def __init__(
        self, network: Network, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self.settings, self.device = network.settings, device
        self._dtype = dtype
        self._network = copy.deepcopy(network).to(device).eval()
        self._network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def run(self, name: str, *maps: Tensor) -> Tensor:
        """The output of one stage."""
        with torch.inference_mode(), autocast(self.device, self._dtype):
            laid_out = (plane.contiguous(memory_format=torch.channels_last) for plane in maps)
            return self._network.stage(name, *laid_out)

    def tile_px(self, longest_px: int) -> int:
        """On a GPU as large as half of its free memory allows; otherwise the CPU's tile side."""
        if self.device.type != "cuda":
            return CPU_TILE_PX
        free, _ = torch.cuda.mem_get_info(self.device)
        free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        side = int((_GPU_SHARE * free / bytes_per_px(self.settings, self._dtype)) ** 0.5)
        return longest_px if side >= longest_px else max(CPU_TILE_PX, side // 64 * 64)

    def forget(self) -> None:
        """Empty the cache of CUDA memory."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def bytes_per_px(settings: NetworkSettings, dtype: torch.dtype) -> int:
    """Memory that PyTorch needs per pixel (at the finest sampling) of a tile of the stage that
    needs most.

    For waunet that stage is up1, which has 4 output pixels per input pixel: its 16f wide maps, the
    adjacent maps and a convolution's workspace exist at the same time, 36f by PyTorch's own
    account. The maps of unet's down1 and up1 have a quarter of the image's pixels; five sets of f
    maps exist at the same time.
    """
    maps = 40 if settings.name == "waunet" else 6
    return maps * settings.filters * dtype.itemsize // 4
