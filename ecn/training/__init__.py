"""Fit a model to a release: a plain loop on Lightning Fabric.

A run begins and ends in `run`; `loop` has the steps and epochs, `schedule` the learning rate, `state`
what is saved for `resume`, `logs` where numbers go, `devices` what trains together and how it is stopped.
"""
