"""From a trained run to a bundle: graphs, quantization, banks, golden windows."""
