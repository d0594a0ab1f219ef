"""The studies, one folder each: training, analysis, figures and report."""
