"""How good samples are: distances, diversity, copies, each with what real pictures would get."""
