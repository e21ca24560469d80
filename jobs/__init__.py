"""Personalake: from a shop's logs to customer segments and recommendations worth sending."""
