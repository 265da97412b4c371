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

/// Codes that geo databases give to places without one: those that ISO 3166-1 leaves to its users, and two for regions.
static OF_OTHERS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let between = |first: char, letters: std::ops::RangeInclusive<char>| letters.map(move |c| format!("{first}{c}"));
    let codes =
        between('Q', 'M'..='Z').chain(between('X', 'A'..='Z')).chain(["AA", "AP", "EU", "ZZ"].map(str::to_owned));
    codes.filter(|code| country_name(code) == code).collect()
});

/// All that the country of a visit can be, by code and English name: every country, codes without a country that geo databases have, which
/// are their own names, and the missing one, which is empty in both.
pub fn places() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_others = OF_OTHERS.iter().map(|code| (code.as_str(), code.as_str()));
    countries().chain(of_others).chain([("", "")])
}

/// Every country: its code and its English name.
pub(crate) fn countries() -> impl Iterator<Item = (&'static str, &'static str)> {
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

    #[test]
    fn a_place_is_there_once_under_the_name_of_its_rows() {
        let mut codes: Vec<&str> = places().map(|(code, _)| code).collect();
        assert!(places().all(|(code, name)| country_name(code) == name));
        assert!(["", "DE", "XK", "XX", "ZZ", "QZ", "EU"].iter().all(|code| codes.contains(code)));
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
