"""What judges payments: streaming features, models, rules, and the evidence of each decision."""
