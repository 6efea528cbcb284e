"""SparkRelease: progressive delivery as a Kubernetes object.

The floors, from the bottom up: ``api`` (the words), ``decide`` (what should happen, pure), ``ports`` (what
the outside world must offer), ``adapters`` (how it is offered), ``engine`` (when things happen), and on top
``kopf_app`` (the operator process) and ``cli`` (the kubectl plugin). Lower floors know nothing of upper
ones; import-linter holds them to it.
"""

__version__ = "0.1.0"
