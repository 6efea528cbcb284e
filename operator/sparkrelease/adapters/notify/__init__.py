"""Messages to people and programs outside of Kubernetes: Slack, Microsoft Teams, any webhook.

`notifier` has the queues, `post` sends one message, and each kind of target has a module with the form of its messages.
"""

from sparkrelease.adapters.notify.notifier import WebhookNotifier

__all__ = ["WebhookNotifier"]
