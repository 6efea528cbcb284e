"""A release tried in a made-up world: seeded request streams, judged by the rules that judge real ones."""
