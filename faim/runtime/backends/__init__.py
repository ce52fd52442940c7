"""What runs the networks: torch itself, or exported graphs in ONNX Runtime, OpenVINO, TensorRT."""
