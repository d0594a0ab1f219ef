"""The studies: what is trained, how it is analysed, drawn and reported; one folder each."""
