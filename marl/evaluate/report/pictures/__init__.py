"""The report's pictures, a module a section: `draw.draw_all` makes them all.

How a figure is made and saved is `marl.evaluate.report.drawing`'s; numbers come from `content`.
"""
