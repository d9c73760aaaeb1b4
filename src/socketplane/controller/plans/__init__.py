"""What requests do to the intent: functions of a `Draft`, without I/O. Each is idempotent and says what is wrong.

A plan runs inside the writer, and may run again on newer content; it raises a SocketPlaneError to refuse.
"""
