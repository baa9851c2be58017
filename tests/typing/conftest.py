"""The programs are read by type checkers alone: half of them are wrong."""

collect_ignore_glob = ["programs/*"]
