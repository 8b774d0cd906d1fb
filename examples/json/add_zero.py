"""Reads numbers, adds 0 to each, and gives them back. mguard hands over the arguments and takes the result as JSON."""


def solve(numbers):
    return [n + 0 for n in numbers]
