"""OpenTelemetry traces, for who asks for them: an extra, imported only where `[tracing]` is set.

Names and attributes are closed sets: methods, routes, events, outcomes. A token, a position, a visitor, an
address or a query never gets into a span, nor does the text of an exception.
"""
