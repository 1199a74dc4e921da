"""Every public name has a docstring, and its example runs."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import amply_sdk
from amply_sdk import AsyncClient, Client, Sandbox

MODULES = [
    importlib.import_module(f"amply_sdk.{found.name}")
    for found in pkgutil.iter_modules(amply_sdk.__path__)
    if found.name != "_native"
] + [amply_sdk]

PUBLIC = {name: getattr(amply_sdk, name) for name in amply_sdk.__all__ if name != "__version__"}
FINDER = doctest.DocTestFinder(exclude_empty=True)
EXAMPLES = {
    example.name: example
    # A public class says that it is of the package, so that it is not found in the module that it is written in.
    for examples in (
        *(FINDER.find(module) for module in MODULES),
        *(FINDER.find(found, f"amply_sdk.{name}", module=False) for name, found in PUBLIC.items()),
    )
    for example in examples
    if example.examples
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_gives_what_it_says(name: str) -> None:
    loop = asyncio.new_event_loop()
    with Sandbox() as sandbox, sandbox.client() as client:
        aclient = AsyncClient(api_key=sandbox.user_key, base_url=sandbox.url)
        example = EXAMPLES[name]
        example.globs.update(vars(amply_sdk), sandbox=sandbox, client=client, aclient=aclient, run=loop.run_until_complete)
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        assert runner.run(example, out=said.append).failed == 0, "".join(said)
        loop.run_until_complete(aclient.close())
    loop.close()


def test_both_clients_have_an_example_for_each_of_their_calls() -> None:
    calls = {name for name, found in vars(Client).items() if inspect.isfunction(found) and not name.startswith("_")}
    without = {name for name in calls if f"amply_sdk.Client.{name}" not in EXAMPLES}
    assert without == {"close"}
    without = {name for name in calls if f"amply_sdk.AsyncClient.{name}" not in EXAMPLES}
    assert without == {"close"}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented_with_an_example(name: str) -> None:
    found = PUBLIC[name]
    assert found.__doc__
    assert f"amply_sdk.{name}" in EXAMPLES
    if inspect.isclass(found):
        parts = {part: getattr(found, part) for part in vars(found) if not part.startswith("_")}
        undocumented = [
            part for part, value in parts.items()
            if (callable(value) or isinstance(value, property)) and not inspect.getdoc(value)
        ]  # fmt: skip
        assert undocumented == []


PAGES = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{page}:{number}")
    for page in ("README.md", "docs/agents.md", "docs/python.md")
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text(), re.M | re.S), 1)
]
SHARED: dict[str, Any] = {}


@pytest.mark.parametrize("block", BLOCKS)
def test_the_guides_run(block: str) -> None:
    if not block.startswith(">>>"):
        exec(compile(block, "README.md", "exec"), {})
        return
    # The blocks of a guide are read one after another.
    example = doctest.DocTestParser().get_doctest(block, SHARED, "python.md", None, None)
    said: list[str] = []
    assert doctest.DocTestRunner().run(example, out=said.append, clear_globs=False).failed == 0, "".join(said)
    SHARED.update(example.globs)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_says_that_it_is_of_the_package(name: str) -> None:
    # Pickles and tracebacks then hold no name of a file that may be another one in the next release.
    assert PUBLIC[name].__module__ == "amply_sdk"
