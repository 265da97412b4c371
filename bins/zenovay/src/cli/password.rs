//! Where the command line takes passwords from: a terminal, without showing what is typed, or stdin. Never an argument:
//! those stand in the list of processes and in the history of the shell.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zenovay_auth::{PASSWORD_MAX_BYTES, PasswordHash, hash_password};

use super::output::Failure;

/// Asks for a password, twice on a terminal, or reads it from stdin when `from_stdin` says so; and hashes it.
pub(super) fn read_new(from_stdin: bool) -> Result<PasswordHash, Failure> {
    let stdin = io::stdin();
    let password = if stdin.is_terminal() {
        let first = prompt("Password (12 characters or more): ")?;
        if prompt("The same again: ")? != first {
            return Err(Failure::new("the two passwords differ"));
        }
        first
    } else if from_stdin {
        read_all(stdin.lock())?
    } else {
        return Err(Failure::usage("stdin is not a terminal: give --password-stdin and write the password to stdin"));
    };
    hash_password(&password).map_err(Failure::new)
}

/// Everything up to the end of the input, without one line end.
fn read_all(input: impl Read) -> Result<String, Failure> {
    let mut password = String::new();
    let limit = PASSWORD_MAX_BYTES as u64 + 3;
    input.take(limit).read_to_string(&mut password).map_err(|_| Failure::new("the password on stdin is not UTF-8"))?;
    password.truncate(without_line_end(&password).len());
    Ok(password)
}

fn without_line_end(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// One line from the terminal, which does not show it.
fn prompt(question: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new(format_args!("the terminal cannot be used: {error}"));
    let _silent = Silent::start().map_err(failed)?;
    let mut terminal = io::stderr();
    terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush()).map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().take(PASSWORD_MAX_BYTES as u64 + 3).read_line(&mut line).map_err(failed)?;
    // The line end that was typed was not shown either.
    terminal.write_all(b"\n").map_err(failed)?;
    Ok(without_line_end(&line).to_owned())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent {
    before: Termios,
}

impl Silent {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Nothing is left to do when the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_cut_off() {
        for (input, password) in
            [("secret", "secret"), ("secret\n", "secret"), ("secret\r\n", "secret"), ("a \n\n", "a \n")]
        {
            assert_eq!(read_all(input.as_bytes()).unwrap(), password);
        }
        assert!(read_all(&b"\xff\xfe"[..]).is_err());
    }
}
