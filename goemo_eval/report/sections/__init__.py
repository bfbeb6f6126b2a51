"""The page's sections: one question each, its answer first."""
