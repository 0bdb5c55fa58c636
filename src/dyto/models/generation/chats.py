"""Chat formats: how a conversation is written for a family. Several families may share one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chat:
    """How a conversation is written for a model.

    Attributes:
        name: Name of the format; its prompt templates in `dyto.prompts` are named after it.
        before: Text before the video.
        video: The mark `<image>`, which the video replaces, and the text between it and the user's words.
        after: Text after the user's words, up to the answer.
    """

    name: str
    before: str
    video: str
    after: str


INTERNVL = Chat("internvl", "<|im_start|>user\n", "<image>\n", "<|im_end|>\n<|im_start|>assistant\n")
ONEVISION = Chat("onevision", "<|im_start|>user ", "<image>\n", "<|im_end|><|im_start|>assistant\n")
SMOLVLM = Chat("smolvlm", "<|im_start|>User:", "<image>\n\n", "<end_of_utterance>\nAssistant:")
IDEFICS3 = Chat("idefics3", "User:", "<image>", "<end_of_utterance>\nAssistant:")
VIPLLAVA = Chat(
    "vipllava",
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions.###Human: ",
    "<image>\n",
    "###Assistant:",
)
GEMMA = Chat("gemma", "<start_of_turn>user", "<image>\n\n", "<end_of_turn>\n<start_of_turn>model\n")
GEMMA4 = Chat("gemma4", "<|turn>user\n", "<image>", "<turn|>\n<|turn>model\n")
QWEN25 = Chat(
    "qwen2.5",
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
    "<image>",
    "<|im_end|>\n<|im_start|>assistant\n",
)
GLM = Chat("glm", "[gMASK]<sop><|user|>\n", "<image>", "/nothink<|assistant|>\n<think></think>\n")
QWEN3 = Chat("qwen3", "<|im_start|>user\n", "<image>", "<|im_end|>\n<|im_start|>assistant\n")
QWEN35 = Chat("qwen3.5", "<|im_start|>user\n", "<image>", "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")

OTHER_CHATS: dict[str, Chat] = {"glm46v": GLM, "glm4v": GLM, "glm4v_moe": GLM}
"""Chat formats of model types without a row in `dyto.models.families`, which `dyto.models.adapters.generic` reads.

A model type that gets a row of its own leaves this table and the next.
"""

OTHER_MARKS: dict[str, tuple[str, str]] = {
    "aya_vision": ("<|START_OF_IMG|>TILE_GLOBAL", "<|END_OF_IMG|>"),
    "gemma3n": ("\n\n<start_of_image>", "<end_of_image>\n\n"),
    "molmo2": ("<low_res_im_start>", "<im_end>"),
}
"""Text that the processors of these model types write before and after a picture, if it is more than the marks that
their configs name."""
