"""Factor analysis."""

import warnings

import numpy as np

from skstruct.datasets import make_factor_model
from skstruct.factor_analysis import (
    ConfirmatoryFactorAnalysis,
    CorrelationThresholding,
    ExploratoryFactorAnalysis,
    correlation_threshold_path,
)


class Path:
    """All thresholds at once."""

    params = [1000, 4000]
    param_names = ("n_features",)

    def setup(self, n_features):
        data = make_factor_model(
            300,
            n_factors=n_features // 20,
            items_per_factor=20,
            factor_corr=0.0,
            random_state=0,
        )
        self.R = np.corrcoef(data.X, rowvar=False)
        correlation_threshold_path(self.R[:50, :50], 10)

    def time_path(self, n_features):
        correlation_threshold_path(self.R, 100)

    def peakmem_path(self, n_features):
        correlation_threshold_path(self.R, 100)


class Fit:
    """The three estimators on one planted model."""

    params = ([(500, 4), (2000, 20)],)
    param_names = ("shape",)
    timeout = 120

    def setup(self, shape):
        warnings.simplefilter("ignore")
        n, d = shape
        self.data = make_factor_model(n, n_factors=d, random_state=0)
        self.cfa = ConfirmatoryFactorAnalysis(self.data.support)
        self.efa = ExploratoryFactorAnalysis(d, random_state=0)
        self.ct = CorrelationThresholding(thresholds=30)
        for model in (self.cfa, self.efa, self.ct):
            model.fit(self.data.X)

    def time_confirmatory(self, shape):
        self.cfa.fit(self.data.X)

    def time_standard_errors(self, shape):
        self.cfa.standard_errors()

    def time_exploratory(self, shape):
        self.efa.fit(self.data.X)

    def time_thresholding(self, shape):
        self.ct.fit(self.data.X)

    def track_right_loadings(self, shape):
        found = {tuple(column) for column in self.ct.support_.T}
        return len(found & {tuple(column) for column in self.data.support.T})
