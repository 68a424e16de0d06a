"""The room making: each source of labels, each mistake, and that nothing is left of what was not finished."""
