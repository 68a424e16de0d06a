"""Constants of the moving averages of the weights (`ema_decay`), which both backends share."""

PREFIX = "average."
"""Before an array's name, among the arrays of the optimizer."""

FIRST, LATER = 1.0, 10.0
"""The decay of step n, from 1, is the smaller of `ema_decay` and (FIRST + n) / (LATER + n), as in TensorFlow.

So the averages soon forget the first weights, also in a short run.
"""
