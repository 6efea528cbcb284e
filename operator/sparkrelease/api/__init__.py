"""The words of the domain: models of the custom resources, conditions and reasons."""
