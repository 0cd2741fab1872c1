"""Where the two matrices of a module lie in a GGUF file, and what llama.cpp's converter did to them."""

from dataclasses import dataclass

from lora_runtime.adapters.header import Shape


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """What the header says of one tensor."""

    shape: Shape
    """As torch has it: the dimension that is contiguous comes last."""
    type: str
    """Element type as the library names it: F32, BF16, Q8_0."""
    start: int
    """Of its bytes in the file."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GGUFPair:
    """Both matrices of one module."""

    name: str
    """Of the tensor that they adapt, such as `blk.0.attn_q.weight`."""
    a: StoredTensor
    b: StoredTensor
    heads: int
    """So many heads are interleaved in the rows of B; 0 when its rows are in order."""

    def key(self, matrix: str) -> str:
        """Name of a tensor in the file; `matrix` is `A` or `B`."""
        return f"{self.name}.lora_{matrix.lower()}"
