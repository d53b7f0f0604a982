"""Exit codes of all scripts.

0 success · 1 the CNN, the storage, a step or a trial failed, or a store is incomplete · 2 user error: nothing was done,
or a training cannot continue (non-finite loss, full storage, damaged checkpoints) and its last good checkpoints
remain · 3 too many videos failed · 4 a training has learnt nothing: its report gives the reason, and its output is
written · 130 interrupted.
"""

EXIT_USAGE = 2
EXIT_FAILED_VIDEOS = 3
EXIT_UNTRAINED = 4
EXIT_INTERRUPTED = 130
