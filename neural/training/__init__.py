"""How codecs are trained."""
