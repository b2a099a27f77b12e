"""What teachers make: the plan, its maker, the archive of finished clips, audits, progress and budgets."""
