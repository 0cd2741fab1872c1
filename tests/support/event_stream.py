"""Lines of a streamed answer.

httpx's own end at every separator that Unicode knows, and the text of a model may hold those.
"""

from collections.abc import AsyncIterator, Iterator

import httpx


def lines_of(answer: httpx.Response) -> Iterator[str]:
    """Each as soon as it is complete, without its end."""
    rest = ""
    for piece in answer.iter_text():
        *lines, rest = (rest + piece).split("\n")
        yield from lines


async def lines_of_async(answer: httpx.Response) -> AsyncIterator[str]:
    """The same, of an answer to an asynchronous client."""
    rest = ""
    async for piece in answer.aiter_text():
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield line
