//! Mail to people: links that work once, over SMTP. Text alone, without anything that strangers wrote.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::causes::with_causes;
use crate::config::Config;

/// How long a server of mail may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why mail cannot be sent with the settings that there are.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A setting that mail needs is missing.
    #[error("smtp_url is set, and needs {0} beside it")]
    Needs(&'static str),
    /// The sender is not an address.
    #[error("mail_from must be an address, such as stats@example.com")]
    From,
    /// The URL of the server of mail cannot be used.
    #[error("smtp_url: {0}")]
    Url(#[source] lettre::transport::smtp::Error),
}

/// Sends mail.
pub struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// Where browsers reach the server, without a slash at the end.
    url: String,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").finish_non_exhaustive()
    }
}

impl Mail {
    /// What `config` says of mail; `None` when it says nothing.
    ///
    /// # Errors
    /// [`MailError`].
    pub fn new(config: &Config) -> Result<Option<Self>, MailError> {
        let Some(smtp) = &config.smtp_url else { return Ok(None) };
        // Never from a request: whoever asks for a link must not choose where it leads.
        let url = config.public_url.as_ref().ok_or(MailError::Needs("public_url"))?;
        let from = config.mail_from.as_deref().ok_or(MailError::Needs("mail_from"))?;
        Self::over(smtp.expose(), from, url.as_str()).map(Some)
    }

    /// Mail from the address `from` over the server at `smtp`, with links to `url`.
    ///
    /// # Errors
    /// [`MailError`].
    pub fn over(smtp: &str, from: &str, url: &str) -> Result<Self, MailError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp).map_err(MailError::Url)?;
        let from = from.parse().map_err(|_not_one| MailError::From)?;
        let transport = transport.timeout(Some(TIMEOUT)).build();
        Ok(Self { transport, from, url: url.trim_end_matches('/').to_owned() })
    }

    /// Sends the link by which somebody sets a new password.
    pub async fn reset(&self, to: &str, path: &str) {
        let text = format!(
            "Hello,\n\nsomebody asked to reset the password of this address at {url}.\n\n\
             Was it you? Then choose a new password here:\n\n  {url}{path}\n\n\
             The link works once, for one hour.\n\n\
             Was it not you? Then there is nothing to do: your password stays as it is.\n",
            url = self.url
        );
        self.send(to, "Choose a new password", text).await;
    }

    /// Sends the link by which somebody joins a team.
    pub async fn invitation(&self, to: &str, path: &str) {
        let text = format!(
            "Hello,\n\nyou are invited to a workspace at {url}, where zenovay counts the visits of websites.\n\n\
             See who invites you, and join, here:\n\n  {url}{path}\n\n\
             The link works once, for seven days. You need no account yet: the page makes one for you.\n\n\
             Do you not know what this is about? Then there is nothing to do.\n",
            url = self.url
        );
        self.send(to, "You are invited to a workspace", text).await;
    }

    /// Tells an owner that the workspace `name` has used `percent` of the `limit` events that its plan includes in the month.
    /// Whether it was sent.
    pub async fn quota(&self, to: &str, name: &str, percent: u8, limit: u64) -> bool {
        let (subject, what) = match percent {
            100.. => {
                ("All events of the month are used", "Events are not stored any more until the next month begins.")
            }
            _ => (
                "Most events of the month are used",
                "When all are used, events are not stored until the next month begins.",
            ),
        };
        let text = format!(
            "The workspace \"{name}\" at {url} has used {percent} % of the {limit} events that its plan includes in a \
             month.\n\n{what}\n\nSee the use, and the plans:\n\n{url}/settings/usage\n",
            url = self.url
        );
        self.send(to, subject, text).await
    }

    /// Tells somebody who runs the server of an alert. Whether it was sent.
    pub async fn alert(&self, to: &str, subject: &str, text: &str) -> bool {
        self.send(to, subject, text.to_owned()).await
    }

    /// Whether the server takes a connection and the password. Nothing is sent.
    ///
    /// # Errors
    /// Why not, as the server or the network says it.
    pub async fn check(&self) -> Result<(), String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("it ends the connection".to_owned()),
            Err(error) => Err(with_causes(&error)),
        }
    }

    /// Whether it was sent. What goes wrong is in the log, without the address.
    async fn send(&self, to: &str, subject: &str, text: String) -> bool {
        let Ok(to) = to.parse::<Mailbox>() else {
            tracing::warn!("an address of an account is none that mail can be sent to");
            return false;
        };
        let message = Message::builder().from(self.from.clone()).to(to).subject(subject);
        let sent = match message.header(ContentType::TEXT_PLAIN).body(text) {
            Ok(message) => self.transport.send(message).await.map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        sent.inspect_err(|error| tracing::error!(error, subject, "a mail was not sent")).is_ok()
    }
}
