"""From torch to the int8 streaming model that ships: graphs, quantisation, parity, calibration."""
