//! English names of countries, from `data/countries.tsv`: the public-domain `iso3166.tab` of the IANA time zone
//! database, with names of daily use where it has a bracketed form, and `XK`, which geo databases use for Kosovo.

use std::sync::LazyLock;

/// Lines of code, tab, name; sorted by code.
const TABLE: &str = include_str!("../data/countries.tsv");

/// Code and name of each line.
static NAMES: LazyLock<Vec<(&str, &str)>> =
    LazyLock::new(|| TABLE.lines().filter_map(|line| line.split_once('\t')).collect());

/// The English name of the country with the ISO 3166-1 alpha-2 `code`. An unknown code is its own name.
pub fn country_name(code: &str) -> &str {
    match NAMES.binary_search_by_key(&code, |&(known, _)| known) {
        Ok(position) => NAMES[position].1,
        Err(_) => code,
    }
}

/// Every country: its code and its English name.
pub fn countries() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMES.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        assert_eq!(TABLE.lines().count(), NAMES.len(), "a tab in every line");
        let codes: Vec<&str> = NAMES.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), 250);
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "sorted and each once");
        assert!(codes.iter().all(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())));
    }

    #[test]
    fn names_are_those_people_use() {
        assert_eq!(country_name("DE"), "Germany");
        assert_eq!(country_name("GB"), "United Kingdom");
        assert_eq!(country_name("ZZ"), "ZZ");
    }
}
