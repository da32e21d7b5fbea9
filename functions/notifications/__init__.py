"""Notifications: what a buyer is told of his orders, in his inbox and by mail, once a change."""
