"""Checks the recordings of a data set: counts, sounds, leaks, wrong labels, confounds, and what to do first.

Every clip is read as in training, so all statements are about the second that the network hears: the first second, or
the one that is cut from a longer recording, with its channels averaged, at 16 kHz.

- sounds: what is heard of one clip, and what is wrong with it alone.
- sketches, leaks: the same recording in two splits or under two words, also if it was encoded or cut another way.
- labels: clips that a trained network contradicts.
- confounds: words that differ from the others by how they were recorded, not by what was said.
- advice: what to do first. suspects: the clips to listen to.
- report, checking: all of it together.
"""

from kws.speech.checks.checking import check as check
from kws.speech.checks.report import Report as Report
from kws.speech.checks.report import TaskCounts as TaskCounts
