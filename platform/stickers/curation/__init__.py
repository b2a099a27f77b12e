"""From a great heap of videos to collections worth training on: words, people, neighbours, richer captions."""
