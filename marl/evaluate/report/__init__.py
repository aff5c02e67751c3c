"""The evaluation report: one self-contained HTML page, the same as Markdown, its numbers as JSON.

`content` turns frames into numbers and sentences, `figures` draws, `page` and `markdown` lay out.
Nothing here evaluates a policy: the numbers come from `marl.evaluate`.
"""
