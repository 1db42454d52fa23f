"""What an answer and a model folder have to tell, in words and pictures."""
