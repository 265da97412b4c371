//! What can go wrong.

use clickhouse::error::Error as ClientError;
use hyper_util::client::legacy::Error as NetworkError;
use zenovay_query::{Cause, QueryError};

use crate::SharedError;

/// Why the servers of ClickHouse cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// What was configured cannot be: it names the member of [`Config`](crate::Config).
    #[error("{field} {problem}")]
    Config {
        /// The member.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The database has changes that this program does not know: a newer one made them.
    #[error("the schema on {server} is newer than this program: it has {version}")]
    SchemaTooNew {
        /// Which server, as it was configured.
        server: String,
        /// The first change that is not known.
        version: String,
    },
    /// Events move into the database, and no server may use it before all of them are there.
    #[error(
        "events are moving into the database {database}, and no server may use it before they are there: name another one, or remove it when that \
         move was given up"
    )]
    Moving {
        /// Which database.
        database: String,
    },
    /// A server could not be asked, or did not do what it was asked.
    #[error("{server} could not be prepared")]
    Server {
        /// Which, as it was configured.
        server: String,
        /// Why.
        #[source]
        source: ServerError,
    },
    /// What all nodes share cannot be used.
    #[error("what the nodes share cannot be used")]
    Shared(#[from] SharedError),
    /// The spool cannot be used.
    #[error("the spool cannot be used")]
    Spool(#[source] zenovay_events::OpenError),
    /// It cannot be written in the spool where erasures begin.
    #[error("the spool cannot be written")]
    Noted(#[source] zenovay_events::engine::SpoolError),
    /// A thread could not be started.
    #[error("the threads of the store could not be started")]
    Threads(#[source] std::io::Error),
}

impl OpenError {
    /// Whether it may pass by itself: a server was not reached, or could not reach another one.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Server { source, .. } => source.code.is_none_or(|code| codes::PASSING.contains(&code)),
            Self::Config { .. }
            | Self::SchemaTooNew { .. }
            | Self::Moving { .. }
            | Self::Shared(_)
            | Self::Spool(_)
            | Self::Noted(_)
            | Self::Threads(_) => false,
        }
    }
}

/// What a server said, or why it said nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ServerError {
    /// The number of the error, as the documentation of ClickHouse lists them; `None` when no server answered.
    pub code: Option<u32>,
    /// The words of the server or of the client.
    pub message: String,
    /// Whether a server may have got what it was asked for.
    pub was_sent: bool,
}

impl ServerError {
    pub(crate) fn silent(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), was_sent: true }
    }

    /// The same as what it means for a question.
    pub(crate) fn into_query_error(self) -> QueryError {
        match self.code {
            Some(codes::TIMEOUT_EXCEEDED | codes::TOO_SLOW) => QueryError::TimeExceeded,
            Some(codes::MEMORY_LIMIT_EXCEEDED) => QueryError::MemoryExceeded,
            Some(codes::QUERY_WAS_CANCELLED) => QueryError::Cancelled,
            _ => QueryError::unavailable(Cause::new(self.message.clone(), self)),
        }
    }
}

/// Numbers of errors of ClickHouse.
mod codes {
    pub(super) const TIMEOUT_EXCEEDED: u32 = 159;
    pub(super) const TOO_SLOW: u32 = 160;
    pub(super) const MEMORY_LIMIT_EXCEEDED: u32 = 241;
    pub(super) const QUERY_WAS_CANCELLED: u32 = 394;
    /// Too busy, without connections or memory, or without the other servers and Keeper.
    pub(super) const PASSING: [u32; 10] =
        [TIMEOUT_EXCEEDED, TOO_SLOW, 202, 209, 210, MEMORY_LIMIT_EXCEEDED, 242, 279, 319, 999];
}

impl From<ClientError> for ServerError {
    fn from(error: ClientError) -> Self {
        let mut message = error.to_string();
        // What the client says of the network is "network error: client error (Connect)"; why is further down.
        let mut next = std::error::Error::source(&error);
        while let Some(source) = next {
            let said = source.to_string();
            if !message.contains(&said) {
                message = format!("{message}: {said}");
            }
            next = source.source();
        }
        let code = match &error {
            ClientError::BadResponse(text) => code_in(text),
            _ => None,
        };
        let was_sent = match &error {
            ClientError::Network(network) => {
                !network.downcast_ref::<NetworkError>().is_some_and(NetworkError::is_connect)
            }
            _ => true,
        };
        Self { code, message, was_sent }
    }
}

/// The number in `Code: 241. DB::Exception: …`.
fn code_in(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sabotage: take every error for an outage.
    #[test]
    fn what_a_server_says_means_something_for_the_question() {
        let said = |text: &str| ServerError::from(ClientError::BadResponse(text.to_owned())).into_query_error();
        assert_eq!(said("Code: 159. DB::Exception: Timeout exceeded: elapsed 5 s"), QueryError::TimeExceeded);
        assert_eq!(said("Code: 241. DB::Exception: Memory limit"), QueryError::MemoryExceeded);
        assert_eq!(said("Code: 394. DB::Exception: Query was cancelled"), QueryError::Cancelled);
        let other = said("Code: 279. DB::Exception: All connection tries failed");
        assert!(matches!(&other, QueryError::Unavailable(cause) if cause.to_string().contains("279")), "{other:?}");
        assert!(matches!(said(""), QueryError::Unavailable(_)));
    }
}
