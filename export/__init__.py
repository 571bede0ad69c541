"""From a torch checkpoint to the int8 streaming model that ships: ONNX graphs, int8, parity, card."""
