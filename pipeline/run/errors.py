"""The one exception that is the user's to read."""


class InputError(ValueError):
    """What the user gave cannot be used. The message is one line: fact, place, remedy; the stage exits with 2."""

    exit_code = 2
