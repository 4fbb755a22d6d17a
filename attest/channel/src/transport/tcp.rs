//! TCP connections to a host name with several addresses (RFC 8305, "Happy Eyeballs").
//!
//! Addresses of both families are tried in turn, the next one 250 ms after the last or as soon as
//! an attempt fails; the first connection that opens is used and the other attempts are dropped.
//! All attempts share one deadline. An address that failed, or that was slower than another one by
//! more than that pause, is remembered for a minute and tried last, so that a dead address costs
//! one request its pause and not every request.
//!
//! How names are resolved is an argument ([`Resolve`]): a confined process cannot use the system's resolver.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::lock::lock;
use resolver::LookupError;

/// Pause between the starts of two attempts (RFC 8305 §5: 250 ms is recommended).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How long a failed address is tried last.
const FAILURE_MEMORY: Duration = Duration::from_secs(60);

/// Failed addresses remembered at one time; beyond that, the one that expires first is removed.
const MAX_FAILED: usize = 1024;

/// Addresses of one name that are tried; further ones are ignored.
const MAX_ADDRESSES: usize = 32;

pub type Resolving<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, LookupError>> + Send + 'a>>;

/// Finds the addresses of a host name. The order is the resolver's preference.
pub trait Resolve: Send + Sync + 'static {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// The resolver of this workspace's programs: the separate process that [`resolver`] starts.
#[derive(Clone, Copy, Debug, Default)]
struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(resolver::lookup(host, port))
    }
}

/// Why no TCP connection could be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    #[error("the host name does not resolve: {0}")]
    Resolve(#[from] LookupError),
    #[error("resolving the host name took too long")]
    ResolveTimeout,
    /// The name has addresses, but the caller allows none of them.
    #[error("none of the host's addresses is allowed")]
    NoneAllowed,
    /// Every address failed; this is the first failure other than "network unreachable", if any.
    #[error("cannot connect: {0}")]
    Connect(io::ErrorKind),
    #[error("connecting took too long")]
    ConnectTimeout,
}

/// An open connection and the address it leads to.
#[derive(Debug)]
pub struct Dialed {
    pub stream: TcpStream,
    pub address: SocketAddr,
}

/// Opens TCP connections. Every upstream of a process shares one, so that each learns from the dead addresses
/// that another found.
pub struct TcpDialer {
    resolver: Arc<dyn Resolve>,
    /// Held for map operations only, never across an await.
    failed: Mutex<HashMap<SocketAddr, Instant>>,
}

impl Default for TcpDialer {
    fn default() -> Self {
        Self::new(Arc::new(SystemResolver))
    }
}

impl TcpDialer {
    pub fn new(resolver: Arc<dyn Resolve>) -> Self {
        TcpDialer {
            resolver,
            failed: Mutex::new(HashMap::new()),
        }
    }

    /// A connection to one of the host's addresses that `allowed` accepts, opened before `deadline`.
    pub async fn dial(
        &self,
        host: &str,
        port: u16,
        allowed: impl Fn(&SocketAddr) -> bool,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        // The deadline covers the name too: a slow name server must not add to the time for connecting.
        let found = timeout_at(deadline, self.resolver.resolve(host, port))
            .await
            .map_err(|_| DialError::ResolveTimeout)??;
        if found.is_empty() {
            return Err(DialError::Resolve(LookupError::NoAddress));
        }
        let mut candidates: Vec<SocketAddr> = found.into_iter().filter(&allowed).collect();
        if candidates.is_empty() {
            return Err(DialError::NoneAllowed);
        }
        candidates = interleaved(candidates);
        candidates.truncate(MAX_ADDRESSES);
        self.move_failed_last(&mut candidates, Instant::now());
        self.race(candidates, deadline).await
    }

    /// Makes later calls try `address` last: it accepted a connection and did not serve it.
    pub fn note_failure(&self, address: SocketAddr) {
        self.remember(address, Instant::now());
    }

    fn remember(&self, address: SocketAddr, now: Instant) {
        let mut failed = self.failed();
        failed.retain(|_, until| *until > now);
        if failed.len() >= MAX_FAILED
            && !failed.contains_key(&address)
            && let Some(oldest) = failed.iter().min_by_key(|(_, until)| **until)
        {
            let oldest = *oldest.0;
            failed.remove(&oldest);
        }
        failed.insert(address, now + FAILURE_MEMORY);
    }

    /// Attempts in the given order, one more every [`ATTEMPT_DELAY`], until one of them opens.
    async fn race(
        &self,
        candidates: Vec<SocketAddr>,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        let mut candidates = candidates.into_iter();
        let mut race = Race::default();
        // When the next attempt starts. An attempt that fails moves it to now.
        let mut next_start = Instant::now();
        let mut failure: Option<io::ErrorKind> = None;
        loop {
            if race.is_empty() || Instant::now() >= next_start {
                match candidates.next() {
                    Some(address) => race.start(address),
                    None if race.is_empty() => {
                        let kind = failure.unwrap_or(io::ErrorKind::NotFound);
                        return Err(DialError::Connect(kind));
                    }
                    None => {}
                }
                next_start = Instant::now() + ATTEMPT_DELAY;
            }
            tokio::select! {
                // Biased: an attempt that has just succeeded wins over starting another, and over the deadline.
                biased;
                ended = race.next() => match ended {
                    Some((address, Ok(stream))) => {
                        // `race` is dropped on return, which closes the sockets of all other attempts.
                        self.failed().remove(&address);
                        for slow in race.slower_than(ATTEMPT_DELAY) {
                            self.note_failure(slow);
                        }
                        return Ok(Dialed { stream, address });
                    }
                    Some((address, Err(kind))) => {
                        self.note_failure(address);
                        failure = Some(more_specific(failure, kind));
                        next_start = Instant::now();
                    }
                    None => {}
                },
                () = sleep_until(next_start) => {}
                () = sleep_until(deadline) => {
                    for slow in race.slower_than(Duration::ZERO) {
                        self.note_failure(slow);
                    }
                    return Err(DialError::ConnectTimeout);
                }
            }
        }
    }

    /// Moves the addresses that failed recently behind the others; the sort is stable, so the order is kept otherwise.
    fn move_failed_last(&self, candidates: &mut [SocketAddr], now: Instant) {
        let mut failed = self.failed();
        candidates.sort_by_key(|address| match failed.entry(*address) {
            Entry::Occupied(entry) if *entry.get() > now => true,
            Entry::Occupied(entry) => {
                entry.remove();
                false
            }
            Entry::Vacant(_) => false,
        });
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<SocketAddr, Instant>> {
        lock(&self.failed)
    }
}

/// The attempts under way. Dropping the value aborts them, which closes their sockets.
#[derive(Default)]
struct Race {
    attempts: JoinSet<(SocketAddr, io::Result<TcpStream>)>,
    started_at: HashMap<SocketAddr, Instant>,
}

impl Race {
    fn start(&mut self, address: SocketAddr) {
        self.started_at.insert(address, Instant::now());
        self.attempts
            .spawn(async move { (address, TcpStream::connect(address).await) });
    }

    fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// The attempt that ends next; pending forever if there is none, so that `select!` waits for the other branches.
    async fn next(&mut self) -> Option<(SocketAddr, Result<TcpStream, io::ErrorKind>)> {
        match self.attempts.join_next().await {
            Some(Ok((address, outcome))) => {
                self.started_at.remove(&address);
                Some((address, outcome.map_err(|error| error.kind())))
            }
            // An attempt that panicked: the others continue.
            Some(Err(_)) => None,
            None => std::future::pending().await,
        }
    }

    fn slower_than(&self, pause: Duration) -> Vec<SocketAddr> {
        let now = Instant::now();
        let slow = self.started_at.iter();
        slow.filter(|(_, started_at)| now.duration_since(**started_at) >= pause)
            .map(|(address, _)| *address)
            .collect()
    }
}

/// Alternates between the address families, beginning with the one that the resolver put first (RFC 8305 §4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let mut unique: Vec<SocketAddr> = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let total = unique.len();
    let (preferred, other): (Vec<_>, Vec<_>) = unique
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut mixed = Vec::with_capacity(total);
    while mixed.len() < total {
        mixed.extend(preferred.next());
        mixed.extend(other.next());
    }
    mixed
}

/// A machine without a route for one family reports that at once; the other family's failure is the useful one.
fn more_specific(before: Option<io::ErrorKind>, now: io::ErrorKind) -> io::ErrorKind {
    match before {
        None | Some(io::ErrorKind::NetworkUnreachable) => now,
        Some(kind) => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    struct Fixed(Vec<SocketAddr>);

    impl Resolve for Fixed {
        fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Resolving<'a> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    struct Missing;

    impl Resolve for Missing {
        fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Resolving<'a> {
            Box::pin(async { Err(LookupError::InvalidName) })
        }
    }

    struct Silent;

    impl Resolve for Silent {
        fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Resolving<'a> {
            Box::pin(std::future::pending())
        }
    }

    /// A listener whose queue is full: the kernel drops further SYNs, like a machine that is off.
    struct Blackhole {
        address: SocketAddr,
        _listener: TcpListener,
        _queued: JoinSet<io::Result<TcpStream>>,
    }

    impl Blackhole {
        async fn open() -> Self {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket
                .bind("127.0.0.1:0".parse().expect("an address"))
                .expect("a port");
            let listener = socket.listen(1).expect("a listener");
            let address = listener.local_addr().expect("an address");
            let mut queued = JoinSet::new();
            for _ in 0..4 {
                queued.spawn(TcpStream::connect(address));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            Blackhole {
                address,
                _listener: listener,
                _queued: queued,
            }
        }
    }

    async fn server() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    /// An address where nothing listens.
    async fn closed() -> SocketAddr {
        let (listener, address) = server().await;
        drop(listener);
        address
    }

    fn dialer(addresses: Vec<SocketAddr>) -> TcpDialer {
        TcpDialer::new(Arc::new(Fixed(addresses)))
    }

    fn within(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    async fn dial(dialer: &TcpDialer) -> Result<SocketAddr, DialError> {
        let dialed = dialer.dial("name.test", 1, |_| true, within(60)).await?;
        Ok(dialed.address)
    }

    fn addresses(text: &[&str]) -> Vec<SocketAddr> {
        text.iter()
            .map(|text| text.parse().expect("an address"))
            .collect()
    }

    #[tokio::test]
    async fn uses_the_second_address_when_the_first_drops_packets() {
        let (dead, (_listener, alive)) = (Blackhole::open().await, server().await);
        let dialer = dialer(vec![dead.address, alive]);
        assert_eq!(dial(&dialer).await, Ok(alive));
        // The dead address is remembered and tried last.
        let mut order = vec![dead.address, alive];
        dialer.move_failed_last(&mut order, Instant::now());
        assert_eq!(order, vec![alive, dead.address]);
    }

    #[tokio::test]
    async fn tries_the_next_address_after_a_refused_one_and_remembers_the_refused_one() {
        let (refused, (_listener, alive)) = (closed().await, server().await);
        let dialer = dialer(vec![refused, alive]);
        assert_eq!(dial(&dialer).await, Ok(alive));
        let mut order = vec![refused, alive];
        dialer.move_failed_last(&mut order, Instant::now());
        assert_eq!(order, vec![alive, refused]);
    }

    #[tokio::test]
    async fn an_address_that_connects_again_is_no_longer_tried_last() {
        let (_first, first) = server().await;
        let (_second, second) = server().await;
        let dialer = dialer(vec![first]);
        dialer.note_failure(first);
        assert_eq!(dial(&dialer).await, Ok(first), "the only one is still used");
        let mut order = vec![first, second];
        dialer.move_failed_last(&mut order, Instant::now());
        assert_eq!(order, vec![first, second]);
    }

    #[test]
    fn failures_expire_after_a_minute_and_their_number_is_bounded() {
        let dialer = dialer(Vec::new());
        let [first, second] = addresses(&["192.0.2.1:1", "192.0.2.2:1"])[..] else {
            unreachable!("two addresses");
        };
        let now = Instant::now();
        dialer.remember(first, now);
        let mut order = vec![first, second];
        dialer.move_failed_last(&mut order, now);
        assert_eq!(order, vec![second, first]);
        let mut order = vec![first, second];
        dialer.move_failed_last(&mut order, now + FAILURE_MEMORY);
        assert_eq!(order, vec![first, second]);
        for port in 1..=2 * MAX_FAILED {
            let port = u16::try_from(port).expect("a port");
            dialer.note_failure(SocketAddr::new(first.ip(), port));
        }
        assert_eq!(dialer.failed().len(), MAX_FAILED);
    }

    #[tokio::test]
    async fn each_kind_of_failure_has_its_error() {
        let refused = dialer(vec![closed().await, closed().await]);
        assert_eq!(
            dial(&refused).await,
            Err(DialError::Connect(io::ErrorKind::ConnectionRefused))
        );
        assert_eq!(
            dial(&TcpDialer::new(Arc::new(Missing))).await,
            Err(DialError::Resolve(LookupError::InvalidName))
        );
        assert_eq!(
            dial(&dialer(Vec::new())).await,
            Err(DialError::Resolve(LookupError::NoAddress))
        );
        let soon = Instant::now() + Duration::from_millis(50);
        let silent = TcpDialer::new(Arc::new(Silent));
        assert_eq!(
            silent.dial("name.test", 1, |_| true, soon).await.err(),
            Some(DialError::ResolveTimeout)
        );
        let (_listener, alive) = server().await;
        let none = dialer(vec![alive]);
        assert_eq!(
            none.dial("name.test", 1, |_| false, within(60)).await.err(),
            Some(DialError::NoneAllowed)
        );
    }

    #[tokio::test]
    async fn all_addresses_share_one_deadline() {
        let (one, two) = (Blackhole::open().await, Blackhole::open().await);
        let dialer = dialer(vec![one.address, two.address]);
        let soon = Instant::now() + Duration::from_millis(600);
        assert_eq!(
            dialer.dial("name.test", 1, |_| true, soon).await.err(),
            Some(DialError::ConnectTimeout)
        );
        assert_eq!(dialer.failed().len(), 2);
    }

    #[test]
    fn address_families_alternate_beginning_with_the_resolvers_first() {
        let found = addresses(&[
            "[2001:db8::1]:1",
            "[2001:db8::2]:1",
            "[2001:db8::3]:1",
            "192.0.2.1:1",
            "[2001:db8::1]:1",
        ]);
        let expected = addresses(&[
            "[2001:db8::1]:1",
            "192.0.2.1:1",
            "[2001:db8::2]:1",
            "[2001:db8::3]:1",
        ]);
        assert_eq!(interleaved(found), expected);
        let found = addresses(&["192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"]);
        let expected = addresses(&["192.0.2.1:1", "[2001:db8::1]:1", "192.0.2.2:1"]);
        assert_eq!(interleaved(found), expected);
    }

    #[test]
    fn reports_the_other_familys_failure_instead_of_a_missing_route() {
        use io::ErrorKind::{ConnectionRefused, NetworkUnreachable, TimedOut};
        assert_eq!(more_specific(None, NetworkUnreachable), NetworkUnreachable);
        assert_eq!(
            more_specific(Some(NetworkUnreachable), ConnectionRefused),
            ConnectionRefused
        );
        assert_eq!(
            more_specific(Some(ConnectionRefused), TimedOut),
            ConnectionRefused
        );
    }
}
