"""What a model can be asked for, one kind a file; `conditions.family.conditions` knows them."""
