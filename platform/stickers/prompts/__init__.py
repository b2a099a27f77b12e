"""What is drawn: tables of prompts and pictures, a language model, a text-to-image model, sorting into buckets."""
