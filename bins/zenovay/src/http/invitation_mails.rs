//! How many invitations are mailed: a team, whoever invites, and the address that is invited each have an hour's number, so that
//! nobody makes this server send mail to strangers. Counted by each process, whichever route or tool invites.

use zenovay_domain::{KeyId, TeamId, Timestamp, UserId};
use zenovay_limits::{Decision, Limiter, Rule};

use crate::http::address_limit::unix_time;
use crate::http::audit::AuditActor;
use crate::telemetry::Limit;

/// What the counts take, in bytes.
const COUNTS_BYTES: usize = 4 << 20;

/// Of whom mails are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Counted {
    Team(TeamId),
    Person(UserId),
    Key(KeyId),
    Address(String),
}

impl Counted {
    /// The most in any hour.
    const fn per_hour(&self) -> u32 {
        match self {
            Self::Team(_) => 60,
            Self::Person(_) | Self::Key(_) => 30,
            Self::Address(_) => 3,
        }
    }

    fn rule(&self) -> Rule {
        Rule::per_hour(self.per_hour()).sliding()
    }

    /// Of whom it is, for people.
    const fn words(&self) -> &'static str {
        match self {
            Self::Team(_) => "A workspace may mail",
            Self::Person(_) => "You may mail",
            Self::Key(_) => "A key may mail",
            Self::Address(_) => "One address may be mailed",
        }
    }
}

/// Why an invitation is not mailed, and not made.
#[derive(Debug)]
pub struct TooManyInvitations {
    /// What may be done how often.
    pub words: String,
    /// When there is room again.
    pub decision: Decision,
}

/// The counts.
#[derive(Debug)]
pub struct InvitationMails(Limiter<Counted>);

impl Default for InvitationMails {
    fn default() -> Self {
        // Each of whom they are counted has a rule of its own.
        Self(Limiter::new(Rule::per_hour(0)).max_bytes(COUNTS_BYTES))
    }
}

impl InvitationMails {
    fn counted(team: TeamId, inviter: &AuditActor, to: &str) -> Vec<Counted> {
        let who = inviter.user.map(Counted::Person).or(inviter.key.map(Counted::Key));
        who.into_iter().chain([Counted::Team(team), Counted::Address(to.to_lowercase())]).collect()
    }

    /// Counts a mail to `to` at `now`, which has room everywhere or is counted nowhere.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn charge(
        &self,
        team: TeamId,
        inviter: &AuditActor,
        to: &str,
        now: Timestamp,
    ) -> Result<(), TooManyInvitations> {
        let all = Self::counted(team, inviter, to);
        for (number, counted) in all.iter().enumerate() {
            if let Err(refused) = self.0.check_rule_at(counted, counted.rule(), unix_time(now)) {
                self.take_back(&all[..number], now);
                Limit::InvitationMails.refused();
                let words = format!("{} {} invitations an hour", counted.words(), counted.per_hour());
                return Err(TooManyInvitations { words, decision: refused.decision() });
            }
        }
        Ok(())
    }

    /// Takes back a mail that was counted and is not sent.
    pub fn refund(&self, team: TeamId, inviter: &AuditActor, to: &str, now: Timestamp) {
        self.take_back(&Self::counted(team, inviter, to), now);
    }

    fn take_back(&self, counted: &[Counted], now: Timestamp) {
        for counted in counted {
            self.0.counts().take_back(counted, &[counted.rule()], unix_time(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_781_352_000_000);
    const HOUR_MS: i64 = 3_600_000;

    fn ann() -> AuditActor {
        AuditActor { user: Some(UserId::from_random_bytes([1; 16])), key: None, words: "ann@example.com".to_owned() }
    }

    fn key(n: u8) -> AuditActor {
        AuditActor { user: None, key: Some(KeyId::from_random_bytes([n; 16])), words: "a key".to_owned() }
    }

    /// Sabotage: count one of the three alone, or what was refused.
    #[test]
    fn each_of_three_has_an_hours_number() {
        let mails = InvitationMails::default();
        let team = |n| TeamId::from_random_bytes([n; 16]);
        let refusal = |charged: Result<(), TooManyInvitations>| charged.unwrap_err().words;
        for _ in 0..3 {
            mails.charge(team(1), &ann(), "Eve@Example.com", NOW).unwrap();
        }
        let again = || mails.charge(team(2), &key(1), "eve@example.com", NOW);
        assert_eq!(refusal(again()), "One address may be mailed 3 invitations an hour");
        // What is refused is counted nowhere, so the key has all its thirty.
        for number in 0..30 {
            mails.charge(team(2), &key(1), &format!("{number}@example.com"), NOW).unwrap();
        }
        assert_eq!(
            refusal(mails.charge(team(3), &key(1), "a@example.com", NOW)),
            "A key may mail 30 invitations an hour"
        );
        for number in 0..27 {
            mails.charge(team(1), &ann(), &format!("{number}@a.example"), NOW).unwrap();
        }
        assert_eq!(refusal(mails.charge(team(3), &ann(), "a@example.com", NOW)), "You may mail 30 invitations an hour");
        for number in 0..30 {
            mails.charge(team(1), &key(2), &format!("{number}@b.example"), NOW).unwrap();
        }
        let full = mails.charge(team(1), &key(3), "a@example.com", NOW).unwrap_err();
        assert_eq!(full.words, "A workspace may mail 60 invitations an hour");
        assert!((1..=3_800).contains(&full.decision.retry_after_s()), "{:?}", full.decision);
        mails.refund(team(1), &key(2), "0@b.example", NOW);
        mails.charge(team(1), &key(3), "a@example.com", NOW).unwrap();
        mails.charge(team(1), &ann(), "eve@example.com", NOW.plus_millis(2 * HOUR_MS)).unwrap();
    }
}
