"""spartito turns any song or MIDI into a piano score, in the style you want."""

__version__ = "0.1.0"
