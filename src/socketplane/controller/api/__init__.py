"""The REST API: thin routes over plans. `socketplane.wire` describes the calls."""
