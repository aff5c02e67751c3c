"""The evaluation report: one self-contained HTML page, the same as Markdown, its numbers as JSON.

`inputs` is what it is made from; `content` turns that into numbers and sentences, section by
section (`groups`, `verdict`, `tables`, `certainty`, `money`, `validity`, `sources`); `pictures`
draws with `drawing`; `page` lays out. Nothing here evaluates a policy: the numbers come from
`marl.evaluate`.
"""
