//! From an address to a country, and to region and city when the database has them.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use maxminddb::Reader;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use zenovay_domain::Timestamp;

#[cfg(feature = "countries")]
use crate::data;
use crate::recent::Recent;

#[cfg(feature = "countries")]
static COUNTRIES: &[u8] = include_bytes!("../data/countries.mmdb.zst");

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeoError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a MaxMind DB with countries.
    #[error("{path} is not a usable .mmdb file")]
    Format {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Where an address is. Strings are empty when unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Location {
    /// ISO 3166-1 alpha-2, upper case.
    pub country: String,
    /// The region's English name, or its code.
    pub region: String,
    /// The city's English name.
    pub city: String,
}

/// A geo database in memory. Lookups keep no address.
///
/// ```
/// use zenovay_ingest::GeoDatabase;
///
/// // Or `GeoDatabase::embedded()`, or `GeoDatabase::open` for any other MaxMind DB.
/// let nowhere = GeoDatabase::none();
/// assert_eq!(nowhere.lookup("8.8.8.8".parse()?).country, "");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct GeoDatabase {
    /// `None` where no address has a country.
    reader: Option<Reader<Vec<u8>>>,
    /// Records read lately, by where they are in the database: a country has one record for all of its networks.
    locations: Recent<Location>,
    /// Where networks are that were asked for lately.
    networks: Box<[Mutex<Located>]>,
}

/// A network, and where it is.
struct Located {
    network: Network,
    location: Arc<Location>,
}

/// Networks remembered: as many as have visitors at one time on a busy server, in 64 KB.
const NETWORKS: usize = 4_096;

/// So many bits of an address are remembered: a record that is for more of them is asked for anew.
const REMEMBERED_BITS_V4: u8 = 24;
const REMEMBERED_BITS_V6: u8 = 48;

/// The first 24 bits of an IPv4 address or 48 of an IPv6 address, and above them which it is. 0 is none.
type Network = u64;

fn network(address: IpAddr) -> Network {
    match address {
        IpAddr::V4(address) => 4 << 48 | u64::from(address.to_bits() >> (32 - REMEMBERED_BITS_V4)),
        IpAddr::V6(address) => 6 << 48 | u64::try_from(address.to_bits() >> (128 - REMEMBERED_BITS_V6)).unwrap_or(0),
    }
}

/// Four times as many as there are countries, and enough for the cities that a website's visitors live in.
const LOCATIONS: usize = 1_024;

impl GeoDatabase {
    /// A database that knows nothing: no address has a country.
    pub fn none() -> Self {
        Self::with_reader(None)
    }

    fn with_reader(reader: Option<Reader<Vec<u8>>>) -> Self {
        let nowhere = Arc::<Location>::default();
        let networks =
            (0..NETWORKS).map(|_| Mutex::new(Located { network: 0, location: Arc::clone(&nowhere) })).collect();
        Self { reader, locations: Recent::new(LOCATIONS), networks }
    }

    /// The embedded database where this build has it, else none.
    pub(crate) fn of_this_build() -> Result<Self, GeoError> {
        #[cfg(feature = "countries")]
        let database = Self::embedded();
        #[cfg(not(feature = "countries"))]
        let database = Ok(Self::none());
        database
    }

    /// DB-IP Country Lite as published in June 2026. Pages that show countries from it link to <https://db-ip.com> with the
    /// words "IP Geolocation by DB-IP".
    ///
    /// # Errors
    /// When the data built into the program are damaged.
    #[cfg(feature = "countries")]
    pub fn embedded() -> Result<Self, GeoError> {
        let name = "the embedded database";
        let bytes = data::unpack(COUNTRIES).map_err(|source| GeoError::Io { path: name.to_owned(), source })?;
        Self::from_bytes(bytes, name)
    }

    /// The database in the file `path`: any MaxMind DB with countries, such as DB-IP, IPinfo or GeoLite2.
    ///
    /// # Errors
    /// When the file cannot be read or is not such a database.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| GeoError::Io { path: name.clone(), source })?;
        Self::from_bytes(bytes, &name)
    }

    /// The database in `bytes`, those of a file; `path` names it in errors.
    ///
    /// # Errors
    /// When they are not a MaxMind DB with countries.
    pub fn from_bytes(bytes: Vec<u8>, path: &str) -> Result<Self, GeoError> {
        let invalid = |source| GeoError::Format { path: path.to_owned(), source };
        let reader = Reader::from_source(bytes).map_err(|error| invalid(error.into()))?;
        let database = Self::with_reader(Some(reader));
        // A file of another kind, for example of networks' names, would silently give no country.
        let probes: [IpAddr; 4] = [[8, 8, 8, 8], [1, 1, 1, 1], [193, 0, 6, 139], [81, 2, 69, 160]].map(IpAddr::from);
        for probe in probes {
            database.try_lookup(probe).map_err(|error| invalid(error.into()))?;
        }
        if probes.iter().all(|&probe| database.lookup(probe).country.is_empty()) {
            return Err(invalid("it has no countries".into()));
        }
        Ok(database)
    }

    /// When the database was made, as it says itself; `None` where there is none, or it says nothing.
    pub fn built_at(&self) -> Option<Timestamp> {
        let seconds = self.reader.as_ref()?.metadata().build_epoch;
        let millis = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?.checked_mul(1_000)?;
        Some(Timestamp::from_millis(millis))
    }

    /// Where `address` is; empty strings when the database does not know or its record is damaged.
    pub fn lookup(&self, address: IpAddr) -> Arc<Location> {
        self.try_lookup(address.to_canonical()).unwrap_or_default()
    }

    fn try_lookup(&self, address: IpAddr) -> Result<Arc<Location>, maxminddb::MaxMindDbError> {
        let network = network(address);
        // The highest bits of a multiplicative hash: a place for each of 4,096.
        let recent = self.networks.get((network.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize);
        if let Some(known) = recent.map(|recent| recent.lock())
            && known.network == network
        {
            return Ok(Arc::clone(&known.location));
        }
        let knows = |reader: &&Reader<Vec<u8>>| address.is_ipv4() || reader.metadata().ip_version != 4;
        let Some(reader) = self.reader.as_ref().filter(knows) else { return Ok(Arc::default()) };
        let found = reader.lookup(address)?;
        let location = match found.offset() {
            None => Arc::default(),
            Some(offset) => {
                self.locations.get_or(&offset.to_le_bytes(), || -> Result<_, maxminddb::MaxMindDbError> {
                    let record = found.decode::<Record<'_>>()?;
                    Ok(Arc::new(record.map_or_else(Location::default, Location::from)))
                })?
            }
        };
        let is_shared = found.network().is_ok_and(|of_record| {
            let bits = if of_record.is_ipv4() { REMEMBERED_BITS_V4 } else { REMEMBERED_BITS_V6 };
            of_record.prefix() <= bits
        });
        if let Some(recent) = recent.filter(|_| is_shared) {
            *recent.lock() = Located { network, location: Arc::clone(&location) };
        }
        Ok(location)
    }
}

impl From<Record<'_>> for Location {
    fn from(record: Record<'_>) -> Self {
        let country = record.country_code.or(record.country.code).or(record.country.name).unwrap_or("");
        let valid = country.len() == 2 && country.bytes().all(|b| b.is_ascii_alphabetic());
        let first = record.subdivisions.first();
        let region = first.and_then(|region| region.name.or(region.code)).or(record.region.name).or(record.state1);
        Self {
            country: if valid { country.to_ascii_uppercase() } else { String::new() },
            region: clean(region),
            city: clean(record.city.name),
        }
    }
}

/// A record in any of the layouts that publishers use: nested as GeoIP2 and DB-IP, flat as IPinfo and ip-location-db.
#[derive(Deserialize, Default)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Record<'a> {
    #[serde(borrow)]
    country_code: Option<&'a str>,
    country: Named<'a>,
    subdivisions: Vec<Named<'a>>,
    region: Named<'a>,
    state1: Option<&'a str>,
    city: Named<'a>,
}

/// A string, or a map with `iso_code` and `names.en`.
#[derive(Default)]
struct Named<'a> {
    code: Option<&'a str>,
    name: Option<&'a str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Names<'a> {
    #[serde(borrow)]
    en: Option<&'a str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Named<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamedVisitor).map(|named| Self { code: named.code, name: named.name })
    }
}

struct NamedVisitor;

impl<'de> Visitor<'de> for NamedVisitor {
    type Value = Named<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name, or a map with iso_code and names")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Named<'de>, E> {
        Ok(Named { code: None, name: Some(name) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Named<'de>, A::Error> {
        let mut named = Named::default();
        while let Some(member) = members.next_key::<&str>()? {
            match member {
                "iso_code" => named.code = Some(members.next_value()?),
                "names" => named.name = members.next_value::<Names<'de>>()?.en,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(named)
    }
}

fn clean(name: Option<&str>) -> String {
    name.unwrap_or("").chars().filter(|c| !c.is_control()).take(100).collect()
}

impl std::fmt::Debug for GeoDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.reader.as_ref().map_or("none", |reader| &reader.metadata().database_type);
        write!(f, "GeoDatabase({kind})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::{LazyLock, OnceLock};

    fn embedded() -> &'static GeoDatabase {
        static DATABASE: OnceLock<GeoDatabase> = OnceLock::new();
        DATABASE.get_or_init(|| GeoDatabase::embedded().unwrap())
    }

    #[test]
    fn the_embedded_database_knows_countries() {
        for (address, country) in [
            ("8.8.8.8", "US"),
            ("::ffff:8.8.8.8", "US"),
            ("193.0.6.139", "NL"),
            ("2001:67c:2e8:22::c100:68b", "NL"),
            ("127.0.0.1", ""),
            ("10.0.0.1", ""),
            ("::1", ""),
        ] {
            assert_eq!(embedded().lookup(address.parse().unwrap()).country, country, "{address}");
        }
        let published = "2026-05-01T00:00:00Z".parse().unwrap();
        assert!(embedded().built_at().unwrap() > published);
        assert_eq!(GeoDatabase::none().built_at(), None);
    }

    #[test]
    fn a_database_that_knows_nothing_gives_no_country() {
        assert_eq!(*GeoDatabase::none().lookup([8, 8, 8, 8].into()), Location::default());
    }

    #[test]
    fn files_that_are_no_database_are_refused_by_name() {
        let dir = std::env::temp_dir();
        let missing = GeoDatabase::open(&dir.join("zenovay-no-such.mmdb")).unwrap_err().to_string();
        assert!(missing.contains("zenovay-no-such.mmdb"), "{missing}");
        let error = GeoDatabase::from_bytes(b"not a database".to_vec(), "places.mmdb").unwrap_err().to_string();
        assert_eq!(error, "places.mmdb is not a usable .mmdb file");
        let whole = data::unpack(COUNTRIES).unwrap();
        assert!(GeoDatabase::from_bytes(whole[..whole.len() / 2].to_vec(), "half.mmdb").is_err());
    }

    proptest! {
        /// What is remembered beside what is looked up.
        #[test]
        fn the_record_of_an_address_is_the_one_that_the_reader_finds(
            bits in prop_oneof![any::<u128>(), (0x2001u128..0x2c10, any::<u128>()).prop_map(|(top, rest)| top << 112 | rest >> 16), (0x2002u128 << 112)..(0x2003u128 << 112), 0u128..1 << 34],
            v4 in any::<u32>(),
        ) {
            for address in [IpAddr::V6(bits.into()), IpAddr::V4(v4.into())] {
                let record: Option<Record<'_>> = embedded().reader.as_ref().unwrap().lookup(address).unwrap().decode().unwrap();
                let expected = record.map(Location::from).unwrap_or_default();
                for time in ["first", "second"] {
                    prop_assert_eq!(&*embedded().try_lookup(address).unwrap(), &expected, "{} {} time", address, time);
                }
            }
        }

        /// A file of an operator may be damaged, or made by somebody else.
        #[test]
        fn a_damaged_database_is_refused_or_answers(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), at_the_end in any::<bool>(),
            cut in prop::option::of(any::<prop::sample::Index>()), bits in any::<u128>(), v4 in any::<u32>(),
        ) {
            static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| data::unpack(COUNTRIES).unwrap());
            let mut bytes = WHOLE.clone();
            // What the file says of itself stands at its end.
            let from = if at_the_end { bytes.len() - 2_000 } else { 0 };
            for (place, byte) in changes {
                let place = from + place.index(bytes.len() - from);
                bytes[place] = byte;
            }
            if let Some(cut) = cut {
                bytes.drain(..cut.index(bytes.len()));
            }
            if let Ok(database) = GeoDatabase::from_bytes(bytes, "damaged.mmdb") {
                for address in [IpAddr::V6(bits.into()), IpAddr::V4(v4.into()), [8, 8, 8, 8].into()] {
                    let _location = database.lookup(address);
                }
            }
        }

        #[test]
        fn any_address_has_a_country_of_two_letters_or_none(bits in any::<u128>(), v4 in any::<u32>()) {
            for address in [IpAddr::V6(bits.into()), IpAddr::V4(v4.into())] {
                prop_assert!(matches!(embedded().lookup(address).country.len(), 0 | 2));
            }
        }
    }
}
