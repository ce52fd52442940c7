"""What runs exported graphs (ONNX Runtime, OpenVINO, TensorRT), and what exported files hold."""
