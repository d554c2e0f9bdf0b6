"""Prints words as they are heard, from one channel of 16 bits at 16 kHz; `kws export RUN --streaming` makes the model.

Use: arecord -q -t raw -f S16_LE -r 16000 | python detect_stream.py MODEL.onnx
"""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
words, thresholds = about["words"].split(","), json.loads(about["thresholds"])
least = np.array([thresholds.get(word, 2) for word in words], np.float32)  # "other" has none: it is never printed
states = {each.name: np.zeros(each.shape, np.float32) for each in session.get_inputs() if each.name != "audio"}
outputs = ["probabilities", *(f"{name}_out" for name in states)]
last, hop, free, ready = np.zeros((10, len(words)), np.float32), 0, 0, True
while len(pcm := sys.stdin.buffer.read(640)) == 640:  # 20 ms
    audio = np.frombuffer(pcm, "<i2").astype(np.float32)[None] / 32768
    probabilities, *new = session.run(outputs, {"audio": audio, **states})
    states, hop = dict(zip(states, new, strict=True)), hop + 1
    last = np.concatenate([last[1:], probabilities])  # averaged over 200 ms
    heard = np.where((mean := last.mean(axis=0)) >= least, mean, 0)
    if heard.any() and hop > free and ready:
        print(f"{hop * 0.02:.2f} s", words[heard.argmax()], f"{heard.max():.4f}", flush=True)
        free, ready = hop + 49, False  # nothing else for a second, and not before this is over
    ready = ready or not heard.any()
