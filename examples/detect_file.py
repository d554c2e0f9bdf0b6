"""Prints the word in a WAV file of 16 kHz and 16 bits.

Use: python detect_file.py MODEL.onnx FILE.wav
MODEL.onnx is from `kws export RUN --out MODEL.onnx`. Needs numpy and onnxruntime.
"""

import sys
import wave

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
words = session.get_modelmeta().custom_metadata_map["words"].split(",")

with wave.open(sys.argv[2]) as file:
    if (file.getframerate(), file.getsampwidth()) != (16_000, 2):
        sys.exit(f"{sys.argv[2]} must have 16 bits at 16 kHz; sox {sys.argv[2]} -r 16000 -b 16 new.wav makes it so")
    pcm = np.frombuffer(file.readframes(16_000), "<i2").reshape(-1, file.getnchannels())
audio = np.zeros((1, 16_000), np.float32)  # one second is heard; a shorter clip is followed by silence
audio[0, : len(pcm)] = pcm.mean(axis=1, dtype=np.float32) / 32768

probabilities = session.run(["probabilities"], {"audio": audio})[0][0]
print(words[probabilities.argmax()], f"{probabilities.max():.4f}")
