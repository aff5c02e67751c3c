"""How it runs: definitions, IO manager, jobs, schedules, profiles.

Stays empty of code: it is imported early, by every `dagster` command.
"""
