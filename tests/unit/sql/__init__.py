"""Tests of the statements in sql/: macros, views and ready questions on known answers."""
