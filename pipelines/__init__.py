"""How it runs: definitions, IO managers, jobs, schedules, profiles. Stays empty: it is imported early."""
