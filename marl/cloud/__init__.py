"""The simulated cloud: catalogue, parameters, weather, dynamics, reward, observations.

Pure functions of tensors. No Gymnasium or PettingZoo here: the faces are in `marl.envs`.
"""
