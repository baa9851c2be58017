"""Metrics under the name by which programs know them: `nnx.metrics.Average`."""

from ._metrics import Accuracy as Accuracy
from ._metrics import Average as Average
from ._metrics import Metric as Metric
from ._metrics import MetricState as MetricState
from ._metrics import MultiMetric as MultiMetric
from ._metrics import Statistics as Statistics
from ._metrics import Welford as Welford
