"""Recognising actions in video through the attention of a CNN trained on Web images."""
