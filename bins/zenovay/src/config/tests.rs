use std::ffi::OsString;

use zenovay_domain::Plan;

use super::*;

fn load(file: Option<&str>, environment: &[(&str, &str)], server: ServerFlags) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("z.toml");
    std::fs::write(&path, file.unwrap_or("")).unwrap();
    let common = CommonFlags { config: Some(path), ..CommonFlags::default() };
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let text = |error: ConfigError| error.to_string().replace(directory.path().to_str().unwrap(), "");
    Config::load(&common, &server, environment).map_err(text)
}

fn origin(config: &Config, name: &str) -> String {
    let origin = &config.effective().iter().find(|value| value.name == name).unwrap().origin;
    origin.to_string().split('/').next().unwrap().to_owned()
}

#[test]
fn unknown_keys_are_named_with_the_file() {
    for (text, key) in [
        ("listne = 1", "`listne`; did you mean `listen`?"),
        ("colour = 1", "`colour`"),
        ("[plans.gold]\nwebsites = 1", "`plans.gold`"),
        ("[plans.pro]\nrequests = 1", "`plans.pro.requests`"),
        ("[plans.pro]\nretention_day = 1", "`plans.pro.retention_day`; did you mean `plans.pro.retention_days`?"),
        ("[server]\nlisten = \"127.0.0.1:1\"", "`server`"),
    ] {
        let error = load(Some(text), &[], ServerFlags::default()).unwrap_err();
        assert_eq!(error, format!("configuration file /z.toml: unknown setting {key}"));
    }
}

#[test]
fn broken_files_are_named_with_the_line() {
    let error = load(Some("seal_rows = 1\nlisten = \n"), &[], ServerFlags::default()).unwrap_err();
    assert!(error.starts_with("configuration file /z.toml: line 2: "), "{error}");
    assert!(!error.contains('\n'), "{error}");
    let common = CommonFlags { config: Some("/nonexistent/z.toml".into()), ..CommonFlags::default() };
    let error = Config::load(&common, &ServerFlags::default(), []).unwrap_err().to_string();
    assert!(error.starts_with("configuration file /nonexistent/z.toml: "), "{error}");
}

#[test]
fn wrong_values_name_the_setting_and_where_it_was_written() {
    for (file, name) in [
        ("seal_rows = \"300\"", "seal_rows"),
        ("seal_rows = 0", "seal_rows"),
        ("seal_rows = -5", "seal_rows"),
        ("listen = 8080", "listen"),
        ("listen = \"localhost\"", "listen"),
        ("trusted_proxies = \"10.0.0.0/8\"", "trusted_proxies"),
        ("trusted_proxies = [\"10.0.0.0/33\"]", "trusted_proxies"),
        ("public_url = \"https://example.com/path\"", "public_url"),
        ("public_url = \"ftp://example.com\"", "public_url"),
        ("log_level = \"loud\"", "log_level"),
        ("database_url = \"mysql://db/z\"", "database_url"),
        ("data_dir = \"\"", "data_dir"),
        ("plans = 3", "plans"),
        ("[plans.pro]\nrequests_per_minute = \"unlimited\"", "plans.pro.requests_per_minute"),
        ("[plans.pro]\nwebsites = -1", "plans.pro.websites"),
        ("[plans.pro]\nretention_days = 0", "plans.pro.retention_days"),
        ("[plans.pro]\nmembers = 5000000000", "plans.pro.members"),
    ] {
        let error = load(Some(file), &[], ServerFlags::default()).unwrap_err();
        assert!(error.starts_with(&format!("setting `{name}` (file /z.toml): ")), "{file}: {error}");
    }
    let error = load(None, &[("ZENOVAY_SEAL_ROWS", "many")], ServerFlags::default()).unwrap_err();
    assert!(error.starts_with("setting `seal_rows` (environment ZENOVAY_SEAL_ROWS): "), "{error}");
    let flags = ServerFlags { listen: Some("nowhere".to_owned()), ..ServerFlags::default() };
    let error = load(None, &[], flags).unwrap_err();
    assert!(error.starts_with("setting `listen` (flag --listen): "), "{error}");
}

#[test]
fn what_a_value_must_be_is_said_in_plain_words() {
    for (file, rule) in [
        ("log_level = 3", "must be a string"),
        ("seal_rows = \"300\"", "must be a number, without quotes"),
        ("seal_rows = 0", "must be a whole number from 1 to 262144"),
        ("trusted_proxies = \"10.0.0.0/8\"", "must be a list of strings, such as [\"10.0.0.0/8\"]"),
        ("trusted_proxies = [7]", "must be a list of strings, such as [\"10.0.0.0/8\"]"),
        ("trusted_proxies = [\"here\"]", "`here` is not an IP address or CIDR range, such as 10.0.0.0/8"),
    ] {
        let error = load(Some(file), &[], ServerFlags::default()).unwrap_err();
        assert!(error.ends_with(&format!("(file /z.toml): {rule}")), "{file}: {error}");
    }
}

#[test]
fn other_databases_are_refused_with_a_hint() {
    for url in ["mysql://u:secret@h/d", "secret://h/d", "secret", "postgres://u:secret@h:port/d"] {
        let error = load(None, &[("ZENOVAY_DATABASE_URL", url)], ServerFlags::default()).unwrap_err();
        assert!(error.contains("database_url"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = Some("seal_rows = 300\ncache_bytes = 4096\nkeep_alive_seconds = 7\n");
    let environment = [("ZENOVAY_SEAL_ROWS", "200"), ("ZENOVAY_CACHE_BYTES", "8_192")];
    let flags = ServerFlags { seal_rows: Some("100".to_owned()), ..ServerFlags::default() };
    let config = load(file, &environment, flags).unwrap();
    assert_eq!((config.seal_rows.get(), origin(&config, "seal_rows").as_str()), (100, "flag --seal-rows"));
    assert_eq!(
        (config.cache_bytes() as u64, origin(&config, "cache_bytes").as_str()),
        (8_192, "environment ZENOVAY_CACHE_BYTES")
    );
    assert_eq!((config.keep_alive_seconds.get(), origin(&config, "keep_alive_seconds").as_str()), (7, "file "));
    assert_eq!((config.query_timeout_seconds.get(), origin(&config, "listen").as_str()), (30, "default"));
}

#[test]
fn a_value_that_is_not_used_may_be_wrong_but_a_key_may_not() {
    // The flag decides; but a file with a key that is not a setting is a mistake whatever the flags say.
    let flags = ServerFlags { seal_rows: Some("1".to_owned()), ..ServerFlags::default() };
    assert!(load(Some("seal_row = 1"), &[], flags).is_err());
}

#[test]
fn plans_are_overridden_number_by_number() {
    let file =
        "[plans.free]\nrequests_per_minute = 10\nwebsites = \"unlimited\"\n[plans.pro]\nrequests_per_month = 5\n";
    let config = load(Some(file), &[], ServerFlags::default()).unwrap();
    assert_eq!(config.plans.limits(Plan::Free).requests_per_minute, 10);
    assert_eq!(config.plans.limits(Plan::Free).websites, None);
    assert_eq!(config.plans.limits(Plan::Free).members, Some(2));
    assert_eq!(config.plans.limits(Plan::Pro).requests_per_month, 5);
    assert_eq!(config.plans.limits(Plan::Pro).requests_per_minute, 30);
    assert_eq!(origin(&config, "plans.free.websites"), "file ");
    assert_eq!(origin(&config, "plans.free.members"), "default");
}

#[test]
fn lists_and_addresses_are_read_from_every_place() {
    let config = load(Some("trusted_proxies = [\"10.0.0.0/8\", \"::1\"]"), &[], ServerFlags::default()).unwrap();
    assert_eq!(config.trusted_proxies.len(), 2);
    let flags = ServerFlags { trusted_proxies: Some("192.0.2.1, 10.0.0.0/8".to_owned()), ..ServerFlags::default() };
    let config = load(None, &[], flags).unwrap();
    assert_eq!(config.trusted_proxies[0].to_string(), "192.0.2.1/32");
}

/// Sabotage: look at the variables of settings alone.
#[test]
fn a_misspelt_variable_is_an_error_that_names_the_setting() {
    for (variable, meant) in [
        ("ZENOVAY_TRUSTED_PROXY", "ZENOVAY_TRUSTED_PROXIES"),
        ("ZENOVAY_TRUSTED_PROXYS", "ZENOVAY_TRUSTED_PROXIES"),
        ("ZENOVAY_LISTNE", "ZENOVAY_LISTEN"),
        ("ZENOVAY_DATADIR", "ZENOVAY_DATA_DIR"),
        ("ZENOVAY_PUBLIC_URI", "ZENOVAY_PUBLIC_URL"),
        ("ZENOVAY_CONFG", "ZENOVAY_CONFIG"),
        ("ZENOVAY_listen", "ZENOVAY_LISTEN"),
    ] {
        let error = load(None, &[(variable, "x")], ServerFlags::default()).unwrap_err();
        assert_eq!(error, format!("environment variable {variable} is not a setting; did you mean {meant}?"));
    }
}

#[test]
fn variables_of_others_are_ignored_and_the_rest_is_told() {
    let others = [
        "ZENOVAY_API_KEY",
        "ZENOVAY_SERVER",
        "ZENOVAY_WEBSITE",
        "ZENOVAY_RELEASE",
        "ZENOVAY_SERVICE_HOST",
        "ZENOVAY_SERVICE_PORT_HTTP",
        "ZENOVAY_PORT",
        "ZENOVAY_PORT_8080_TCP",
    ];
    let environment: Vec<_> =
        others.into_iter().chain(["ZENOVAY_REGION", "OTHER_LISTNE"]).map(|name| (name, "tcp://10.0.0.1")).collect();
    let config = load(None, &environment, ServerFlags::default()).unwrap();
    assert_eq!(config.unknown_variables, ["ZENOVAY_REGION"]);
}

#[test]
fn the_metadata_is_in_the_data_directory_unless_a_url_says_otherwise() {
    assert_eq!(load(None, &[], ServerFlags::default()).unwrap().database_path(), Some("data/zenovay.db".into()));
    let config = load(None, &[("ZENOVAY_DATABASE_URL", "sqlite:///srv/meta.db")], ServerFlags::default()).unwrap();
    assert_eq!(config.database_path(), Some("/srv/meta.db".into()));
}
