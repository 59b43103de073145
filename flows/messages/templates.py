"""The words of messages, from deployments/messages.yaml: which channels get a kind of message, and what it says.

A line of a text that names a fact which a message does not have is left out, so nothing reads "Z′ of  is ".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from flows.declared import FOLDER, ROOT
from flows.messages.escaping import ESCAPES
from flows.messages.message import FACTS, Message
from imaging.errors import ConfigurationError

FILE = "messages.yaml"


class KindOfMessage(BaseModel):
    """One kind in the file: the channels that get it, whether with a picture, its subject and its text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[str, ...] = tuple(ESCAPES)
    picture: bool = False
    subject: str = Field(min_length=1)
    text: str = ""


@dataclass(frozen=True)
class Words:
    """A message in the words of a channel: its subject, and its text by lines."""

    subject: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """Subject and lines below one another."""
        return "\n".join([self.subject, *self.lines])


def read_templates(root: Path = ROOT) -> dict[str, KindOfMessage]:
    """Read the words of every kind of message.

    Parameters
    ----------
    root
        The folder that holds ``deployments/``.

    Raises
    ------
    ConfigurationError
        If the file is at fault, with every fault.
    """
    place = f"{FOLDER}/{FILE}"
    try:
        said = yaml.safe_load((root / FOLDER / FILE).read_text(encoding="utf-8"))
        kinds = TypeAdapter(dict[str, KindOfMessage]).validate_python(said)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{place} is not there; put it back from the sources") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{place} is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        problems = tuple(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(f"{place} is at fault:", problems) from error
    if problems := [problem for kind, each in kinds.items() for problem in _find_faults(kind, each)]:
        raise ConfigurationError(f"{place} is at fault:", tuple(problems))
    return kinds


def _find_faults(kind: str, said: KindOfMessage) -> list[str]:
    if kind not in FACTS:
        return [f"{kind} is no kind of message; there are {', '.join(FACTS)}"]
    problems = [
        f"{kind}.channels: {name} is none of {', '.join(ESCAPES)}" for name in said.channels if name not in ESCAPES
    ]
    for field in ("subject", "text"):
        template = Template(getattr(said, field))
        if not template.is_valid():
            problems.append(f"{kind}.{field}: $ must stand before a name, or be written $$")
        unknown = [name for name in template.get_identifiers() if name not in FACTS[kind]]
        problems += [f"{kind}.{field}: ${name} is none of its facts {', '.join(FACTS[kind])}" for name in unknown]
    return problems


def word(said: KindOfMessage, message: Message, escape: Callable[[str], str]) -> Words:
    """Put a message into the words of a channel.

    Parameters
    ----------
    said
        The words of its kind.
    message
        What is told.
    escape
        Makes a fact harmless in that channel.
    """
    facts = {name: escape(message.facts.get(name, "")) for name in FACTS[message.kind]}
    subject = " ".join(Template(said.subject).substitute(facts).split())
    lines = (_line(line, facts) for line in said.text.splitlines())
    return Words(subject, tuple(line for line in lines if line))


def _line(line: str, facts: Mapping[str, Any]) -> str:
    template = Template(line.strip())
    return "" if any(not facts[name] for name in template.get_identifiers()) else template.substitute(facts)
