DROP TABLE folded_strings;
