//! The one list of checks, and of all that they may find: what it is, how bad it is, and what to do about it. The documentation is
//! compared with it.

use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::http::values::one_of;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// All is well.
    Ok,
    /// It could not be looked at.
    NotChecked,
    /// Something to know, which may be meant so.
    Note,
    /// Something that will be a fault, or is one for some.
    Warning,
    /// Something does not work.
    Fault,
}

impl Finding {
    const NAMES: [&'static str; 5] = ["ok", "not_checked", "note", "warning", "fault"];

    /// The name on the wire and for people.
    pub const fn as_str(self) -> &'static str {
        let [ok, not_checked, note, warning, fault] = Self::NAMES;
        match self {
            Self::Ok => ok,
            Self::NotChecked => not_checked,
            Self::Note => note,
            Self::Warning => warning,
            Self::Fault => fault,
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PartialSchema for Finding {
    fn schema() -> RefOr<Schema> {
        one_of(
            "`ok`; `not_checked`: it could not be looked at; `note`: something to know, which may be meant so; `warning`: something that \
             will be a fault, or is one for some; `fault`: something does not work",
            Self::NAMES,
        )
    }
}

impl ToSchema for Finding {}

macro_rules! catalog {
    ($($check:ident $name:literal, $group:literal, $about:literal {
        $($problem:ident $problem_name:literal, $finding:ident, $when:literal => $remedy:literal;)*
    })*) => {
        /// A check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Check {
            $(#[doc = $about] $check,)*
        }

        impl Check {
            /// Every check, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$(Self::$check,)*];

            /// Its name, which does not change.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$check => $name,)* }
            }

            /// What it belongs to.
            pub const fn group(self) -> &'static str {
                match self { $(Self::$check => $group,)* }
            }

            /// What it looks at.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$check => $about,)* }
            }
        }

        /// Something that a check may find.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Problem {
            $($(#[doc = $when] $problem,)*)*
        }

        impl Problem {
            /// All of them, those of a check together.
            pub const ALL: &'static [Self] = &[$($(Self::$problem,)*)*];

            /// Its name, which does not change.
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$problem => $problem_name,)*)* }
            }

            /// The check that finds it.
            pub const fn check(self) -> Check {
                match self { $($(Self::$problem => Check::$check,)*)* }
            }

            /// How bad it is.
            pub const fn finding(self) -> Finding {
                match self { $($(Self::$problem => Finding::$finding,)*)* }
            }

            /// What it is.
            pub const fn when(self) -> &'static str {
                match self { $($(Self::$problem => $when,)*)* }
            }

            /// What to do about it.
            pub const fn remedy(self) -> &'static str {
                match self { $($(Self::$problem => $remedy,)*)* }
            }
        }
    };
}

catalog! {
    Server "server", "Server", "Whether a server runs on the data directory, answers, and can store events." {
        NoServer "no_server", Fault, "no server runs on the data directory"
            => "Start it, with `systemctl start zenovay` or `zenovay serve`; its log says why it ended.";
        NoAnswer "no_answer", Fault, "a server holds the data directory, and does not answer this command"
            => "Restart it: it hangs, starts or stops just now, or is of an earlier version.";
        NotWritable "not_writable", Fault, "events cannot be stored"
            => "Make space on the disk: then it goes on by itself. Where there is space, look for what is wrong in the server's log, and restart it.";
        SpoolFull "spool_full", Fault, "as much waits for ClickHouse as `spool_bytes` allows, and events are refused"
            => "Bring ClickHouse back, see `segments`: what waits is delivered, and events are taken again at once. Where the disk has room, raise `spool_bytes` and restart.";
        MetadataUnreadable "metadata_unreadable", Fault, "the metadata cannot be read"
            => "Is the disk full? Then make space, and start the server again. Otherwise put a copy of `zenovay.db` back; `zenovay check` says whether it is whole. In PostgreSQL: look whether its server runs, and lets this machine in.";
    }
    ProxyHeaders "proxy_headers", "Events that arrive", "Whether the addresses of visitors come through the proxy, in the last 1,024 hits." {
        ProxyNotTrusted "proxy_not_trusted", Fault, "half of the hits or more have `X-Forwarded-For`, and come from an address that `trusted_proxies` does not list"
            => "List the address that your proxy connects from in `trusted_proxies` and restart: until then every visitor has the address of the proxy.";
        ProxyOtherHeader "proxy_other_header", Warning, "half of the hits or more name the visitor in a header that is not read: `Forwarded`, `X-Real-IP` or `CF-Connecting-IP`"
            => "Have the proxy set `X-Forwarded-For`, as the files in docs/deploy do, and list its address in `trusted_proxies`.";
        ProxySaysNothing "proxy_says_nothing", Warning, "half of the hits or more come from a trusted proxy without `X-Forwarded-For`"
            => "Have the proxy set `X-Forwarded-For`, as the files in docs/deploy do.";
        ProxyUnused "proxy_unused", Warning, "`trusted_proxies` is set, and no hit comes from there"
            => "Write the address that the proxy really connects from in `trusted_proxies`, or take the setting out when there is no proxy.";
        EverybodyTrusted "everybody_trusted", Warning, "`trusted_proxies` lists every address"
            => "List the addresses of your proxies alone: as it is, anybody chooses the address that they have here.";
    }
    VisitorAddresses "visitor_addresses", "Events that arrive", "Whether visitors have addresses of their own, in the last 1,024 hits." {
        OneAddress "one_address", Warning, "all hits have one address, and come from several browsers"
            => "Have the proxy pass on `X-Forwarded-For` and list it in `trusted_proxies`; for a container without one, use the host's network, or switch the user-land proxy off.";
    }
    RefusedHosts "refused_hosts", "Events that arrive", "The hosts whose events were refused in the last 24 hours, since the start of the server." {
        HostRefused "host_refused", Warning, "a tenth of the hits or more came from pages on hosts that are not among the domains of the website"
            => "Let the host in, on the website's Install page or by `zenovay website set ID allowed_domains=…`; or put the tag of its own website into its pages.";
        OtherHostRefused "other_host_refused", Note, "some hits came from pages on hosts that are not among the domains of the website"
            => "When the host is yours, let it in, on the website's Install page or by `zenovay website set ID allowed_domains=…`. Otherwise somebody shows a copy of your page; nothing is to be done.";
        LocalHostRefused "local_host_refused", Note, "events came from pages on local hosts, which the website does not let in"
            => "When you try the website out on your machine, `zenovay website set ID allow_localhost=true`.";
    }
    RefusedEvents "refused_events", "Events that arrive", "What was refused or left out for other reasons, since the start of the server." {
        EventsLost "events_lost", Warning, "events were refused because the disk was full or too slow, or for want of memory"
            => "Look at `disk` here and for the first error in the server's log; give the server a faster disk, or fewer events.";
        UnknownCode "unknown_code", Warning, "ten hits or more, and a hundredth of all, had a tracking code that no website has"
            => "Look for pages with the tag of a website that was deleted or is of another server; `zenovay website show ID` prints the right one.";
        RateLimited "rate_limited", Warning, "of twenty hits or more a tenth was refused because an address sent too many"
            => "When many visitors share an address, look at `proxy_headers` and `visitor_addresses`; otherwise raise `tracking_requests_per_10s`.";
        MostRefused "most_refused", Warning, "of twenty hits or more, more than half were refused"
            => "The header `X-Zenovay-Outcome` of the answers says why, and so does their body; docs/operations.md explains each reason.";
        QuotaUsedUp "quota_used_up", Warning, "events were left out because the plan of the team includes no more this month"
            => "Give the team a larger plan, by `zenovay team set-plan`, or raise the number in `[plans.…]`.";
    }
    Bots "bots", "Events that arrive", "The hits that were left out as those of bots, since the start of the server." {
        ManyBots "many_bots", Note, "of twenty hits or more, more than half were left out as those of bots"
            => "`zenovay website bots ID` tells which; your own monitor or tests are let through by `zenovay website set ID allowed_bots=…`.";
    }
    Websites "websites", "Events that arrive", "When each website had its last event." {
        NoWebsite "no_website", Note, "there is no website"
            => "Add one, in the web application or by `zenovay website create`.";
        NoEvents "no_events", Note, "a website never had an event"
            => "Check the tag on a page of it: `zenovay doctor https://…`.";
        Silent "silent", Note, "a website had events, and none for two days"
            => "Check the tag on a page of it: `zenovay doctor https://…`.";
        Paused "paused", Note, "a website is paused: its events are left out"
            => "When that is not meant so, `zenovay website set ID is_active=true`.";
    }
    Segments "segments", "What is stored", "Whether files of events are whole." {
        SegmentDamaged "segment_damaged", Fault, "a file of events is damaged or gone"
            => "Put a copy of it back, from a backup, and restart. Without one, stop the server and run `zenovay repair`.";
        ClickHouseAway "clickhouse_away", Fault, "ClickHouse cannot be reached, or does not take what it is sent: questions have no answer"
            => "Look whether its servers run and let this machine in: the server's log has what they say, and `zenovay doctor --events` looks at each. What waits is delivered when they do.";
    }
    Merges "merges", "What is stored", "Whether files of events are merged as they come." {
        MergesBehind "merges_behind", Warning, "there are more than 100 files of events, and one for each million of rows"
            => "Look for `merging failed` in the server's log; make space on the disk. Questions are slow until the files are merged.";
        EventsMoving "events_moving", Note, "a move of events to ClickHouse was begun, and no file is merged until it has ended"
            => "Run `zenovay move-events` again, with `--finish` when the server is stopped, or give the move up: `zenovay move-events --cancel`.";
    }
    Backup "backup", "What is stored", "When the last backup was made in `backup_dir`, and whether it is whole." {
        BackupNotSet "backup_not_set", Note, "`backup_dir` is not set: the server makes no backups"
            => "Set `backup_dir` to a directory on another disk or to `s3://BUCKET/PREFIX`, or run `zenovay backup DIR` by a timer.";
        BackupUnreadable "backup_unreadable", Fault, "`backup_dir` cannot be read"
            => "Make the directory readable and writable for the user of the server, or mount its disk. Of a bucket, look at `backup_bucket_…`.";
        BackupMissing "backup_missing", Warning, "there is no finished backup"
            => "Is the disk of the backups mounted? If it is, run `zenovay backup`: it says what is in the way.";
        BackupBroken "backup_broken", Warning, "the newest backup cannot be read"
            => "Run `zenovay backup` for a new one, and look at the disk that it is on. `zenovay backup --list` names those that can be restored.";
        BackupOld "backup_old", Warning, "the last backup is older than two intervals of `backup_schedule`"
            => "Run `zenovay backup`: it says what is in the way.";
        BackupDamaged "backup_damaged", Warning, "files were damaged when the last backup was made"
            => "Mend them first, see `segments`; the backups before this one are kept. `zenovay restore --verify DIR` says what is in it.";
        BackupFailed "backup_failed", Warning, "the last try to make a backup failed"
            => "Run `zenovay backup`: it says what is in the way. Where permission is denied, give the directory of backups to the user of the server, with all that is in it: `chown -R`.";
        BackupUnfinished "backup_unfinished", Warning, "a backup was begun and never finished"
            => "Run `zenovay backup`: it takes over what is there, and says what is in the way.";
        BackupSameDisk "backup_same_disk", Note, "`backup_dir` is on the disk of the data directory"
            => "Set `backup_dir` to a directory on another disk, or to `s3://BUCKET/PREFIX`: with this one both are lost.";
    }
    Clock "clock", "Machine", "Whether the clock is believed." {
        ClockWrong "clock_wrong", Fault, "the clock is not believed: nothing is removed by it"
            => "Set the clock, and keep it by `timedatectl set-ntp true`: the doubt ends at once. When it is right already, do nothing: it is believed after six hours.";
    }
    Disk "disk", "Machine", "The space on the disk of the data directory." {
        DiskFull "disk_full", Fault, "less than a fiftieth of the disk is free"
            => "Make space, or move the data directory to a larger disk: events are refused when it is full.";
        DiskLow "disk_low", Warning, "less than a tenth of the disk is free"
            => "Make space, or move the data directory to a larger disk, before it is full.";
    }
    Inodes "inodes", "Machine", "The files that the disk of the data directory may still have." {
        InodesUsedUp "inodes_used_up", Fault, "less than a fiftieth of the files that the disk may have is left"
            => "Remove files from that disk, however small they are, or move the data directory to another one.";
        InodesLow "inodes_low", Warning, "less than a tenth of the files that the disk may have is left"
            => "Remove files from that disk, however small they are, or move the data directory to another one.";
    }
    OpenFiles "open_files", "Machine", "How many files and connections the server may have open." {
        OpenFilesUsedUp "open_files_used_up", Fault, "nine tenths of them are open"
            => "Raise the limit, by `LimitNOFILE=` in the systemd unit or `ulimit -n`, and restart; look for who holds so many connections.";
        OpenFilesFew "open_files_few", Warning, "the limit leaves fewer than 500 connections for each core"
            => "Raise the limit, by `LimitNOFILE=` in the systemd unit or `ulimit -n`, and restart.";
    }
    Dns "dns", "Beyond the machine", "Whether the names of hosts in the settings have addresses." {
        NameUnknown "name_unknown", Fault, "a name in the settings has no address"
            => "Correct the name, or the name server of the machine (`/etc/resolv.conf`): `getent hosts NAME` has to print an address.";
    }
    Mail "mail", "Beyond the machine", "Whether the server of mail takes a connection and the password." {
        MailNotSet "mail_not_set", Note, "`smtp_url` is not set: nobody is mailed, and whoever runs the server hands links out"
            => "Set `smtp_url`, `mail_from` and `public_url` when invitations and new passwords shall be mailed.";
        MailFails "mail_fails", Fault, "the server of mail does not answer, or refuses"
            => "Correct `smtp_url` (scheme, port, user, password) and see that the machine may connect there.";
        MailInPlain "mail_in_plain", Warning, "the password of `smtp_url` goes over the network without TLS, where others may read it"
            => "Write `smtps://…`, or `smtp://…?tls=required` when the server of mail begins in plain; then choose another password.";
    }
    Alerts "alerts", "Beyond the machine", "Whether somebody is told when the disk, backups, events or the clock are not well." {
        AlertsNotSet "alerts_not_set", Note, "neither `smtp_url` nor `alert_webhook_url` is set: alerts are in the log alone"
            => "Set one of them and restart; `zenovay alert test` tries it.";
        AlertsFail "alerts_fail", Fault, "alerts cannot be delivered"
            => "Correct `alert_webhook_url` or `smtp_url`, see that the machine may connect there, and restart; `zenovay alert test` tries it.";
    }
    Countries "countries", "Data that age", "How old the database of countries is." {
        CountriesUnusable "countries_unusable", Fault, "the file of `geo_database` cannot be used"
            => "Put a database in MaxMind's format with countries there, or take `geo_database` out: one is built in.";
        CountriesOld "countries_old", Warning, "the database of countries is older than a year"
            => "Set `geo_database` to a newer file in MaxMind's format, or upgrade zenovay, which has a newer one.";
    }
    Agents "agents", "Data that age", "How old the lists of browsers and bots are, which are built in." {
        AgentsOld "agents_old", Warning, "the lists of browsers and bots are older than a year"
            => "Upgrade zenovay: they come with it.";
    }
    Configuration "configuration", "Configuration", "Whether each setting does something." {
        FileUnreadable "file_unreadable", Fault, "the configuration file cannot be used any more: the server would not start again"
            => "Correct the file, or put it back; `zenovay config` says what is wrong with it.";
        FileChanged "file_changed", Warning, "settings in the configuration file were changed since the server started"
            => "Restart the server: it reads the file when it starts.";
        SettingUnused "setting_unused", Warning, "something is set that has no effect"
            => "Correct or complete it, or take it out; `zenovay config` prints every setting and where its value comes from.";
        SettingOverridden "setting_overridden", Note, "the file sets something that a flag or a variable sets otherwise"
            => "Take it out of the file, or take the flag or variable away.";
    }
    Tag "tag", "A page", "Whether a page has the tag of a website that lets its host in." {
        PageRefused "page_refused", Warning, "the address is not that of a page on the public internet, which alone is fetched"
            => "Name a page by its public address, such as `https://example.com/`: https alone, no port, no address of a machine.";
        PageUnreachable "page_unreachable", Warning, "the page cannot be fetched"
            => "Open the page in a browser and name the address that it shows in the end; the host may also refuse visitors that are programs.";
        TagMissing "tag_missing", Fault, "the page has no tag"
            => "Put the tag into the head of the page; `zenovay website show ID` prints it. When a tag manager or the page's own script adds it, look at `websites` instead.";
        TagWrongCode "tag_wrong_code", Fault, "the tag has a code that no website has"
            => "Put the tag of the website into the page; `zenovay website show ID` prints it.";
        TagWrongHost "tag_wrong_host", Fault, "the website of the tag does not let the host of the page in"
            => "Let the host in, by `zenovay website set ID allowed_domains=…`, or put the tag of the right website into the page.";
        TagPaused "tag_paused", Warning, "the website of the tag is paused"
            => "`zenovay website set ID is_active=true`.";
        TagTwice "tag_twice", Warning, "the page has more than one tag"
            => "Leave the right one of them: only the first counts.";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_of_one_thing_and_every_word_is_a_sentence() {
        let checks: HashSet<&str> = Check::ALL.iter().map(|check| check.name()).collect();
        let problems: HashSet<&str> = Problem::ALL.iter().map(|problem| problem.name()).collect();
        assert_eq!((checks.len(), problems.len()), (Check::ALL.len(), Problem::ALL.len()));
        for problem in Problem::ALL {
            assert!(problem.remedy().ends_with('.') && !problem.when().ends_with('.'), "{problem:?}");
            assert!(problem.finding() >= Finding::Note, "{problem:?}");
        }
        assert!(Check::ALL.iter().all(|check| check.about().ends_with('.')));
    }

    #[test]
    fn checks_of_a_group_stand_together() {
        let mut groups: Vec<&str> = Check::ALL.iter().map(|check| check.group()).collect();
        groups.dedup();
        assert_eq!(groups.iter().collect::<HashSet<_>>().len(), groups.len(), "{groups:?}");
    }
}
