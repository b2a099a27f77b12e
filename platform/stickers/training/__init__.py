"""Recipes, objectives and the loops that train teachers, students and distilled students."""
