"""The values: which foundations, data and steps each teacher, student and distillation has."""
