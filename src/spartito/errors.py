"""What can go wrong, in a musician's words.

Every error a user can cause is a `SpartitoError`: its message says what was given, what is accepted and what
to do. The command line prints the message and exits non-zero; anything else that escapes is a bug.
"""

__all__ = [
    "AudioError",
    "DeviceError",
    "MissingExtraError",
    "ModelError",
    "NotesError",
    "OutputError",
    "ParameterError",
    "SpartitoError",
]


class SpartitoError(Exception):
    """Base of all errors that a user can cause and mend."""


class AudioError(SpartitoError):
    """A recording cannot be read, or holds nothing to work on."""


class NotesError(SpartitoError):
    """A MIDI, CSV or label file cannot be read, or holds no notes where notes are needed."""


class ParameterError(SpartitoError, ValueError):
    """An option lies outside its domain."""


class OutputError(SpartitoError):
    """A result cannot be written where it was asked for."""


class ModelError(SpartitoError):
    """Weights are missing, damaged, or of another layout."""


class DeviceError(SpartitoError):
    """The device asked for is not there."""


class MissingExtraError(SpartitoError, ImportError):
    """An optional package is needed; names the extra that brings it."""

    def __init__(self, package: str, *, extra: str, purpose: str):
        super().__init__(f"{purpose} needs {package}: install it with  pip install 'spartito[{extra}]'")
        self.package, self.extra = package, extra
