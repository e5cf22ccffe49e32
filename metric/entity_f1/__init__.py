"""Strict entity F1: published alone as a metric Space, importable here as `metric.entity_f1`."""
