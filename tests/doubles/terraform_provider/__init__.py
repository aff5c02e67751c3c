"""A local stand-in for Terraform's `google` provider, served from a filesystem mirror.

It checks arguments, types, blocks and references of google 6.50 and behaves over
plan, apply, refresh and destroy as a provider must. It never talks to Google, so it cannot prove
that Google would accept a request.
"""
