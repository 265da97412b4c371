//! The suite of counts, on two nodes that share them.

use std::sync::LazyLock;

use zenovay_limits::counts_tests;

use super::*;
use crate::{Fallback, RedisCounts};

/// Connections are made once; counts of each case have names of their own.
static NODES: LazyLock<[Redis; 2]> = LazyLock::new(|| [(); 2].map(|()| node(&SERVER, "", &Arc::default())));

fn write(n: &u64, bytes: &mut Vec<u8>) {
    bytes.extend(n.to_be_bytes());
}

mod by_share {
    use super::*;

    counts_tests!(
        {
            let name = prefix();
            NODES.iter().map(|node| RedisCounts::<u64>::of_ids(node, &name, Fallback::Share, write)).collect::<Vec<_>>()
        },
        |n: u64| n
    );
}

/// With what exact counts ask besides: since when is counted, and what is held back for others.
mod exactly {
    use super::*;

    static EXACT_NODES: LazyLock<[Redis; 2]> = LazyLock::new(|| {
        let info: String = answer(&SERVER, &["INFO", "server"]);
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap();
        let () = answer(&SERVER, &["SET", "exact:epoch", &format!("{run} -9000000000000000")]);
        [(); 2].map(|()| node(&SERVER, "exact:", &Arc::default()))
    });

    counts_tests!(
        {
            let name = prefix();
            let counts = |node| RedisCounts::<u64>::of_ids(node, &name, Fallback::Exact, write);
            EXACT_NODES.iter().map(counts).collect::<Vec<_>>()
        },
        |n: u64| n
    );
}
