"""The workstation's commands, one file each; ``edge_asd.cli`` mounts them."""
