"""The contract between workstation and device: manifest, files, golden windows."""
