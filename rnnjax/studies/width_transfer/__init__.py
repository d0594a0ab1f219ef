"""Best and critical learning rates against width under several width rules."""
