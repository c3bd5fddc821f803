"""Logs in files: those that jails name by path, and containers' logs as kubelet and Docker keep them.

    factories       makes the sources from the settings
        |
    source          Files: the paths of the jails' `logpath`
    container_logs  ContainerLogs: kubelet's or Docker's logs (layouts says where, log_watcher and inotify when to read)
        |
    follower        follows one log through its files, for both
        |
    segments        how one file is read; rotated_path and container_folder find a log's files
    decoder         what stands in them: plain lines; cri_lines and json_file for containers
    cursor          how far a log was read, as it is stored
    reporter        the state of one log, for listeners and problems

`kubernetes` asks the cluster's API about pods and writes the answers into `cluster`, from which the layout reads.
"""
