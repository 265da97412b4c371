//! The socket of a connection, which neither diesel nor libpq tells: how to find it, and how to end what waits on it.

use super::address::Ends;
/// The sockets of this process at one moment, before a connection is opened.
pub(super) use system::{Socket, Sockets};

#[cfg(target_os = "linux")]
mod system {
    use std::collections::BTreeMap;
    use std::io;
    use std::os::fd::RawFd;
    use std::path::Path;

    use super::Ends;
    use nix::sys::socket::{Shutdown, SockaddrStorage, getpeername, getsockname, shutdown};

    /// A socket of this process: its descriptor, and the inode by which it is known from another one that got the descriptor later.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Socket {
        descriptor: RawFd,
        inode: u64,
    }

    #[derive(Debug)]
    pub(crate) struct Sockets(BTreeMap<u64, RawFd>);

    impl Sockets {
        pub(crate) fn now() -> io::Result<Self> {
            let mut found = BTreeMap::new();
            for entry in std::fs::read_dir("/proc/self/fd")? {
                let name = entry?.file_name();
                let descriptor = name.to_str().and_then(|name| name.parse::<RawFd>().ok());
                if let Some((descriptor, inode)) = descriptor.and_then(|fd| Some((fd, inode_of(fd)?))) {
                    found.insert(inode, descriptor);
                }
            }
            Ok(Self(found))
        }

        /// The sockets to a PostgreSQL server at one of `ends` that were opened since this moment.
        pub(crate) fn opened_since(&self, ends: &Ends) -> io::Result<Vec<Socket>> {
            // What a listener of this process accepted has its port: a client may choose one that looks like the server's.
            let local: Vec<u16> = self
                .0
                .values()
                .filter_map(|&descriptor| Some(port(&getsockname(descriptor).ok()?)))
                .flatten()
                .collect();
            let is_one = |descriptor: RawFd| -> Option<bool> {
                let (own, peer) = (getsockname(descriptor).ok()?, getpeername::<SockaddrStorage>(descriptor).ok()?);
                if let Some(unix) = peer.as_unix_addr() {
                    let abstract_name = || unix.as_abstract().and_then(|name| std::str::from_utf8(name).ok());
                    let path = unix.path().and_then(Path::to_str).or_else(abstract_name);
                    return path.map(|path| ends.may_be_local(path));
                }
                let (own, peer) = (port(&own)?, port(&peer)?);
                Some(!local.contains(&own) && (ends.ports.is_empty() || ends.ports.contains(&peer)))
            };
            let now = Self::now()?.0.into_iter().filter(|(inode, _)| !self.0.contains_key(inode));
            let found = now.filter(|&(_, descriptor)| is_one(descriptor) == Some(true));
            Ok(found.map(|(inode, descriptor)| Socket { descriptor, inode }).collect())
        }
    }

    impl Socket {
        /// Ends the connection, if it is there still: whoever waits for what comes on it is told that nothing will.
        pub(crate) fn end(self) {
            if inode_of(self.descriptor) == Some(self.inode) {
                // It fails when the other side was quicker.
                let _ = shutdown(self.descriptor, Shutdown::Both);
            }
        }
    }

    fn inode_of(descriptor: RawFd) -> Option<u64> {
        let link = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    fn port(address: &SockaddrStorage) -> Option<u16> {
        let of_4 = address.as_sockaddr_in().map(|address| address.port());
        of_4.or_else(|| address.as_sockaddr_in6().map(|address| address.port()))
    }

    #[cfg(test)]
    mod tests {
        #![allow(clippy::unwrap_used, reason = "a test fails loudly")]

        use std::io::Read;
        use std::net::{TcpListener, TcpStream};
        use std::os::fd::AsRawFd;
        use std::os::unix::net::{UnixListener, UnixStream};

        use super::*;

        /// Sabotage: take every new socket, those that were accepted, or those to other ports.
        #[test]
        fn only_a_new_connection_to_the_server_is_found_and_ended() {
            let dir = tempfile::tempdir().unwrap();
            let (server, other) =
                (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
            let unix = UnixListener::bind(dir.path().join(".s.PGSQL.5432")).unwrap();
            let other_unix = UnixListener::bind(dir.path().join("other")).unwrap();
            let [at, elsewhere] = [&server, &other].map(|listener| listener.local_addr().unwrap());
            let before = TcpStream::connect(at).unwrap();
            let sockets = Sockets::now().unwrap();
            let mut wanted = TcpStream::connect(at).unwrap();
            let (_accepted, another) = (server.accept().unwrap(), TcpStream::connect(elsewhere).unwrap());
            let ends = |ports: &[u16]| Ends { hosts: Vec::new(), ports: ports.to_vec() };
            let found = sockets.opened_since(&ends(&[at.port()])).unwrap();
            let descriptors = |found: &[Socket]| found.iter().map(|socket| socket.descriptor).collect::<Vec<_>>();
            assert_eq!(descriptors(&found), [wanted.as_raw_fd()]);
            assert!(descriptors(&sockets.opened_since(&ends(&[])).unwrap()).contains(&another.as_raw_fd()));
            let sockets = Sockets::now().unwrap();
            let by_path = UnixStream::connect(dir.path().join(".s.PGSQL.5432")).unwrap();
            let _elsewhere = UnixStream::connect(dir.path().join("other")).unwrap();
            let _accepted_here = (unix.accept().unwrap(), other_unix.accept().unwrap());
            let local = sockets.opened_since(&ends(&[at.port()])).unwrap();
            assert_eq!(descriptors(&local), [by_path.as_raw_fd()]);
            let remote = Ends { hosts: vec!["localhost".to_owned()], ..ends(&[at.port()]) };
            assert_eq!(sockets.opened_since(&remote).unwrap(), []);
            found[0].end();
            assert_eq!(wanted.read(&mut [0]).unwrap(), 0, "who waits is told");
            // Another one that got the descriptor is let be.
            let taken = Socket { inode: found[0].inode, descriptor: before.as_raw_fd() };
            taken.end();
            assert!(before.peer_addr().is_ok() && Sockets::now().unwrap().0.len() > 4);
            before.set_nonblocking(true).unwrap();
            assert!((&before).read(&mut [0]).is_err(), "it is open");
        }
    }
}

/// Nothing tells the sockets of a process there: questions wait for as long as the server makes them.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    use super::Ends;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Socket;

    #[derive(Debug)]
    pub(crate) struct Sockets;

    impl Sockets {
        pub(crate) fn now() -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn opened_since(&self, _ends: &Ends) -> io::Result<Vec<Socket>> {
            Ok(vec![Socket])
        }
    }

    impl Socket {
        pub(crate) fn end(self) {}
    }
}
