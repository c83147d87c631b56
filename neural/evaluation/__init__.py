"""How trained codecs are measured."""
