"""What a report doubts, though all shapes fit: values, configs, attention.

May import: what the report is made of (`_plan`, `_places`, `_report`), and `files/`.
"""
