"""Log files: plain, Docker's json-file and kubelet's CRI files."""
