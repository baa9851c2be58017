"""The command `oakum`, and what the programs that it runs need.

`oakum train NAME` runs a recipe: an ordinary program of the folder `examples/` that
defines a class `Config` of options and a function `main(config)`. A recipe ends with
`launch(main, Config)`, so that `python examples/NAME.py` does the same.
"""

from ._launch import launch as launch
from ._main import main as main
from ._plots import plot_curves as plot_curves
from ._plots import plot_mistakes as plot_mistakes

__all__ = ["launch", "main", "plot_curves", "plot_mistakes"]
