//! English names of countries.

pub use zenovay_stats::country_name;
