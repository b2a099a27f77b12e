"""What a person can mend. Every other exception is a bug and keeps its traceback."""


class UserError(ValueError):
    """A mistake of the user's, in one clear sentence: the file, field or row, what is wrong and what is accepted.

    Commands show the sentence alone and exit with code 1; services answer 400 with it. It is a `ValueError` so that
    libraries which call us, such as pydantic and tyro, treat it as one.
    """
