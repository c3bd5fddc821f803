"""Container logs through the Docker Engine's API, every line exactly once. Start at `source.py`.

    source ──▶ inventory           which containers are watched, by the Engine's events and lists
       │
       └────▶ watched_logs ──▶ log_reader         a thread for each container
                                   │
       api, connection ──▶ wire ──▶ line_joiner ──▶ cursor ──▶ docker_log ──▶ the intake
       bytes                frames   whole lines    unread lines   batches and stored cursors

- `starting` opens the logs of containers before they are listed.
- `completeness` finds the lines that Docker left out of what it sent; `damage` reads past a damaged part.
- `long_logs` opens a long log at its end (`tails`), and `finished` reads what stopped containers left.
- `list_pace` says how often containers are listed.
- `endings` says why a connection to a log ends and what happens next; `freezes` notices that the process was frozen.
- `shapes` checks that an answer is one of the Engine's.
- `images` tells the labels of containers from those of their images.
- `quirks` has the workarounds for faults of Docker before 23.
- `reports` publishes how reading goes, under the name that a container has at the moment.
- `factory` makes the source from the settings.
"""
