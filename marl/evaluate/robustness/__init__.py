"""What becomes of policies when the world is not as it was: perturbations, curves, recovery.

`perturbations` says which there are; `demand`, `trouble` and `senses` what they change; `clouds`
and `stage` make environments of them; `cells` plays them; `recovery`, `frame`, `pictures` and
`told` say what came out. The command is `python -m marl.evaluate.robustness`.
"""
