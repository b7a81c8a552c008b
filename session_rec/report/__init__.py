"""Reports on models: numbers by slice, calibration, slates, speed and examples, in one page."""

from session_rec.report.report import SCHEMA_VERSION, TABLES, Report

__all__ = ["Report", "SCHEMA_VERSION", "TABLES"]
