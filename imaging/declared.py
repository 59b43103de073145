"""The base of everything declared in experiment.yaml, and its faults in words.

Values come as text (``imaging.plain_yaml``); pydantic converts them to the declared types. Each fault becomes one
sentence: the place, what must stand there, what came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from imaging.plain_yaml import Place, spell_place
from imaging.sentences import shorten

Fault = tuple[Place, str]
"""A place in the file and what is wrong there."""

MOST_SAID = 1_500
"""Characters of a sentence about what somebody wrote: keys that nobody knows may be of any length."""


class Declared(BaseModel):
    """A mapping of experiment.yaml: only known keys, a key without a value counts as absent, frozen once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in known_keys(cls)}


def one_or_many(value: Any) -> Any:
    """Read a single value as a list of one."""
    return value if isinstance(value, list | tuple | dict) else (value,)


Texts = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
"""A list of texts; a single text stands for a list of one."""


def known_keys(model: type[BaseModel]) -> list[str]:
    """Keys of a mapping as users write them: the first alias where a field has one."""
    keys = []
    for name, field in model.model_fields.items():
        choices = getattr(field.validation_alias, "choices", None)
        keys.append(str(choices[0]) if choices else name)
    return keys


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """End of a sentence about an unknown word: the nearest known one, or all of them."""
    names = list(known)
    folded = {name.casefold(): name for name in reversed(names)}
    close = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"did you mean {folded[close[0]]!r}?" if close else f"known here: {', '.join(names)}"


def spell_faults(faults: Iterable[Fault], lines: Mapping[Place, int]) -> list[str]:
    """Faults as ``place: sentence (line n)`` in the file's order; a missing value has the line of what lacks it."""
    numbered = []
    for place, sentence in faults:
        known = next((place[:n] for n in range(len(place), -1, -1) if place[:n] in lines), None)
        line = lines[known] if known is not None else 0
        numbered.append((line, f"{spell_place(place) or 'the file'}: {sentence}" + (f" (line {line})" if line else "")))
    return [shorten(text, MOST_SAID) for _, text in sorted(numbered, key=lambda item: item[0])]


def explain_faults(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Every fault that pydantic found, but for defaults that could not be made because of another fault."""
    return [
        (fault["loc"], _sentence(fault, model))
        for fault in error.errors(include_url=False)
        if fault["type"] != "default_factory_not_called"
    ]


def _sentence(fault: Any, model: type[BaseModel]) -> str:
    kind, given, limits = fault["type"], fault["input"], fault.get("ctx", {})
    got = f"got {_short(given)}"
    if kind == "missing":
        return f"is missing: {_description(model, fault['loc'])}"
    if kind == "extra_forbidden":
        return f"is not known; {did_you_mean(str(fault['loc'][-1]), known_keys(_model_at(model, fault['loc'][:-1])))}"
    if kind == "literal_error":
        return _literal_sentence(limits["expected"].replace("'", ""), given)
    if kind == "value_error":
        return str(limits["error"])
    if kind in _BOUNDS:
        word, name = _BOUNDS[kind]
        return f"must be {word} {limits[name]:g}, {got}"
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "string_too_long":
        return f"must have at most {limits['max_length']} characters"
    for part, must in _KINDS.items():
        if part in kind:
            return f"must be {must}, {got}"
    return f"{fault['msg'][:1].lower()}{fault['msg'][1:]}, {got}"


_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_KINDS = {
    "int_": "a whole number",
    "float_": "a number",
    "finite_number": "a finite number",
    "bool_": "yes or no",
    "string_": "a text",
    "tuple_": "a list (- one entry per line, or [a, b])",
    "list_": "a list (- one entry per line, or [a, b])",
    "model_": "a mapping (name: value)",
    "dict_": "a mapping (name: value)",
}


def _literal_sentence(expected: str, given: Any) -> str:
    words = expected.replace(" or ", ", ").split(", ")
    close = get_close_matches(given.casefold(), words, n=1, cutoff=0.6) if isinstance(given, str) else []
    return f"must be {expected}, got {_short(given)}" + (f"; did you mean {close[0]!r}?" if close else "")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _description(model: type[BaseModel], place: Place) -> str:
    return _model_at(model, place[:-1]).model_fields[str(place[-1])].description or "give a value"


def model_at(model: type[BaseModel], path: Iterable[str]) -> type[BaseModel] | None:
    """The mapping's model at a path of keys below another; ``None`` where there is no mapping."""
    found: type[BaseModel] | None = model
    for step in path:
        field = found.model_fields.get(step) if found else None
        found = _model_in(field.annotation) if field else None
    return found


def _model_at(model: type[BaseModel], place: Place) -> type[BaseModel]:
    """The mapping's model at a place below another."""
    for step in place:
        if isinstance(step, str):
            model = _model_in(model.model_fields[step].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside ``Model``, ``Model | None`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
