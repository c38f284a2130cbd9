"""Frozen values: `@frozen` gives what `@dataclass(frozen=True)` gives, without its price at every start.

dataclasses imports inspect (10 ms) and compiles the methods of each class (0.7 ms a class). hive's commands, its
supervisor and each run start anew every time, so that was half of their start-up. Here the methods are shared and read
the fields' names when they are called. To everybody else these are dataclasses: `dataclasses.replace`, `asdict` and
`fields` work on them, and type checkers know them.
"""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False  # as in typing, which takes a tenth of a small run's start to import
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_):
        return lambda decorator: decorator


class _Factory:
    """A default that is made anew for each value."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], T]) -> T:
    """The default of a field that may not be shared: `params: dict[str, Any] = field(default_factory=dict)`."""
    factory: Any = _Factory(default_factory)
    return factory  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make a class of annotated fields a frozen value: constructor, repr, equality and hash by field, no assignment."""
    own = vars(cls)
    names = tuple(own.get("__annotations__", ()))
    defaults = {name: own[name] for name in names if name in own}
    for name, default in defaults.items():
        if isinstance(default, _Factory):
            delattr(cls, name)
    added = {
        "__match_args__": names,
        "_names": frozenset(names),
        "_defaults": defaults,
        "__dataclass_fields__": _Fields(),
        **_METHODS,
    }
    for name, value in added.items():
        setattr(cls, name, value)
    return cls


def asdict(value: Any) -> dict[str, Any]:
    """A frozen value as plain dicts and lists, the values in its fields included."""
    return {name: _plain(getattr(value, name)) for name in value.__match_args__}


def replace(value: T, /, **changes: Any) -> T:
    """A copy of a frozen value with some fields changed."""
    names: tuple[str, ...] = value.__match_args__  # type: ignore[attr-defined]
    return type(value)(**{name: getattr(value, name) for name in names} | changes)


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, type(None))):
        return value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return asdict(value) if hasattr(value, "__match_args__") else value


def _init(self: Any, *values: Any, **named: Any) -> None:
    cls = type(self)
    names, defaults, state = cls.__match_args__, cls._defaults, vars(self)
    if not values and named.keys() == cls._names:  # as from a row or a document: nothing to look up
        state.update(named)
        return
    if len(values) > len(names):
        raise TypeError(f"{cls.__name__} has {len(names)} fields, {len(values)} values were given")
    state.update(zip(names, values, strict=False))
    for name in names[len(values) :]:
        if name in named:
            state[name] = named.pop(name)
        elif name in defaults:
            default = defaults[name]
            state[name] = default.make() if isinstance(default, _Factory) else default
        else:
            raise TypeError(f"{cls.__name__} lacks its field {name!r}")
    for name in named:
        raise TypeError(f"{cls.__name__} has no field {name!r}, or was given it twice")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__match_args__])


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({fields})"


def _equal(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse(self: Any, name: str, value: Any = None) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot change field {name!r}")


_METHODS = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _equal,
    "__hash__": _hash,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}


class _Fields:
    """What makes dataclasses recognise a class, made when somebody asks for it."""

    def __get__(self, instance: object, owner: type) -> dict[str, Any]:
        import dataclasses

        members: dict[str, Any] = {"__annotations__": dict(vars(owner)["__annotations__"])}
        for name, default in vars(owner)["_defaults"].items():
            made = isinstance(default, _Factory)
            members[name] = dataclasses.field(default_factory=default.make) if made else default
        twin: Any = dataclasses.dataclass(frozen=True)(type(owner.__name__, (), members))
        found: dict[str, Any] = twin.__dataclass_fields__
        type.__setattr__(owner, "__dataclass_fields__", found)
        return found
