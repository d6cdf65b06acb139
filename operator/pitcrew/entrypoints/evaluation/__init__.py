"""The evaluation: labelled incidents are played through the loop's own steps, and what came of each is scored."""
