"""The torch toolchain that makes encoders: data, augmentation, models, losses, trainer, evaluation.

Uses the same native fbank as `edge`: one front end, one truth.
"""
