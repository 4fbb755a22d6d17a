//! A bounded queue that is fair to the hosts that wait in it, whatever the number of requests of each.
//!
//! Requests are grouped by host (an address) and hosts by network. Networks take turns, and within a network its hosts
//! do, so that a network that holds many addresses gets no more than one that holds a single one. Where the queue is
//! full, a newcomer displaces the newest request of the host that has most waiting, if that makes the shares more equal;
//! otherwise the newcomer is refused.
//!
//! The queue is plain data without a lock: [`super::turn_queue`] owns it and locks it.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many requests may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Requests that wait at one time.
    pub total: usize,
    /// Requests of one host that wait at one time.
    pub per_host: usize,
}

/// Whose share of the queue a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Host {
    /// An IPv4 address, or the first 64 bits of an IPv6 address: the least that a network gives to one customer.
    Address(IpAddr),
    /// The holder of one API key.
    Key([u8; 6]),
    /// The system did not report an address.
    Unknown,
}

/// What hosts are grouped by: the first 24 bits of an IPv4 address, the first 48 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(Host);

impl Host {
    pub fn from_address(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) => Host::Address(prefix_v6(address, 64).into()),
            Some(address) => Host::Address(address),
            None => Host::Unknown,
        }
    }

    fn network(self) -> Network {
        Network(match self {
            Host::Address(IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Host::Address(Ipv4Addr::new(a, b, c, 0).into())
            }
            Host::Address(IpAddr::V6(address)) => Host::Address(prefix_v6(address, 48).into()),
            other => other,
        })
    }
}

fn prefix_v6(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

/// Why a request may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Its host has as many waiting as one may have.
    Host,
    /// The queue is full, and no host has more waiting than the newcomer's would have.
    Queue,
}

/// A request was added.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entered<T> {
    pub id: u64,
    /// The request that was removed to make room for this one.
    pub displaced: Option<T>,
}

struct Waiting<T> {
    id: u64,
    request: T,
}

type Requests<T> = VecDeque<Waiting<T>>;

/// Members that take turns. A member is in it exactly while it has a request waiting.
struct Rotation<K, V> {
    /// Each key of `members` once; the front is served next.
    order: VecDeque<K>,
    members: HashMap<K, V>,
}

impl<K, V> Default for Rotation<K, V> {
    fn default() -> Self {
        Rotation {
            order: VecDeque::new(),
            members: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Rotation<K, V> {
    fn member(&mut self, key: K) -> &mut V {
        self.members.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            V::default()
        })
    }

    /// Takes from the member whose turn it is; `take` also returns whether the member has nothing left.
    fn next<T>(&mut self, take: impl FnOnce(&mut V) -> (Option<T>, bool)) -> Option<T> {
        let key = self.order.pop_front()?;
        let (taken, empty) = take(self.members.get_mut(&key)?);
        // A served member goes to the back of the order, or leaves it.
        if empty {
            self.members.remove(&key);
        } else {
            self.order.push_back(key);
        }
        taken
    }

    fn remove(&mut self, key: K) {
        self.members.remove(&key);
        self.order.retain(|other| *other != key);
    }
}

struct Hosts<T> {
    rotation: Rotation<Host, Requests<T>>,
    waiting: usize,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Hosts {
            rotation: Rotation::default(),
            waiting: 0,
        }
    }
}

pub(super) struct FairQueue<T> {
    networks: Rotation<Network, Hosts<T>>,
    /// The sum of all `Hosts::waiting`.
    waiting: usize,
    /// Identifies requests, so that one that is abandoned is removed and no other.
    next_id: u64,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        FairQueue {
            networks: Rotation::default(),
            waiting: 0,
            next_id: 0,
        }
    }
}

impl<T> FairQueue<T> {
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// How many hosts have a request waiting.
    pub fn hosts(&self) -> usize {
        let networks = self.networks.members.values();
        networks.map(|hosts| hosts.rotation.members.len()).sum()
    }

    /// Adds a request behind the others of its host.
    pub fn enter(
        &mut self,
        host: Host,
        request: T,
        bounds: Bounds,
    ) -> Result<Entered<T>, (T, Full)> {
        if self.waiting_of(host) >= bounds.per_host {
            return Err((request, Full::Host));
        }
        // Displacing comes before adding, so that the queue never exceeds its bound.
        let displaced = if self.waiting < bounds.total {
            None
        } else {
            match self.largest_beyond(host) {
                Some(largest) => self.drop_newest(largest),
                None => return Err((request, Full::Queue)),
            }
        };
        let id = self.next_id;
        self.next_id += 1;
        let hosts = self.networks.member(host.network());
        hosts.waiting += 1;
        let requests = hosts.rotation.member(host);
        requests.push_back(Waiting { id, request });
        self.waiting += 1;
        Ok(Entered { id, displaced })
    }

    /// The request whose turn it is.
    pub fn next(&mut self) -> Option<T> {
        let taken = self.networks.next(|hosts| {
            let taken = hosts.rotation.next(|requests| {
                let taken = requests.pop_front();
                (taken, requests.is_empty())
            });
            // Counted in the same step in which a request leaves: `largest_beyond` compares these numbers.
            hosts.waiting -= usize::from(taken.is_some());
            (taken, hosts.waiting == 0)
        })?;
        self.waiting -= 1;
        Some(taken.request)
    }

    /// Removes a request whose client stopped waiting; `None` if it was served or displaced before.
    pub fn leave(&mut self, host: Host, id: u64) -> Option<T> {
        let requests = self.requests_mut(host)?;
        let position = requests.iter().position(|waiting| waiting.id == id)?;
        let waiting = requests.remove(position)?;
        self.account_for_removal(host);
        Some(waiting.request)
    }

    fn waiting_of(&self, host: Host) -> usize {
        let hosts = self.networks.members.get(&host.network());
        let requests = hosts.and_then(|hosts| hosts.rotation.members.get(&host));
        requests.map_or(0, VecDeque::len)
    }

    fn requests_mut(&mut self, host: Host) -> Option<&mut Requests<T>> {
        let hosts = self.networks.members.get_mut(&host.network())?;
        hosts.rotation.members.get_mut(&host)
    }

    /// The host with most waiting in the network with most waiting, if exchanging one of its requests for one of
    /// `newcomer` makes the shares more equal.
    fn largest_beyond(&self, newcomer: Host) -> Option<Host> {
        let networks = &self.networks.members;
        let (network, hosts) = networks.iter().max_by_key(|(_, hosts)| hosts.waiting)?;
        let own = networks.get(&newcomer.network());
        let own_waiting = own.map_or(0, |hosts| hosts.waiting);
        // In another network, networks are compared; in the same one, or one as large, hosts are.
        let hosts = if own_waiting + 1 < hosts.waiting && *network != newcomer.network() {
            return largest_host(hosts).map(|(host, _)| host);
        } else {
            own?
        };
        let (host, waiting) = largest_host(hosts)?;
        (self.waiting_of(newcomer) + 1 < waiting).then_some(host)
    }

    fn drop_newest(&mut self, host: Host) -> Option<T> {
        let newest = self.requests_mut(host)?.pop_back()?;
        self.account_for_removal(host);
        Some(newest.request)
    }

    /// Updates counts and rotations after one request of `host` was removed out of turn.
    fn account_for_removal(&mut self, host: Host) {
        self.waiting -= 1;
        let network = host.network();
        let Some(hosts) = self.networks.members.get_mut(&network) else {
            return;
        };
        hosts.waiting -= 1;
        if hosts
            .rotation
            .members
            .get(&host)
            .is_some_and(VecDeque::is_empty)
        {
            hosts.rotation.remove(host);
        }
        if hosts.waiting == 0 {
            self.networks.remove(network);
        }
    }
}

fn largest_host<T>(hosts: &Hosts<T>) -> Option<(Host, usize)> {
    let members = hosts.rotation.members.iter();
    members
        .map(|(host, requests)| (*host, requests.len()))
        .max_by_key(|(_, waiting)| *waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Bounds = Bounds {
        total: 1000,
        per_host: 1000,
    };

    fn host(address: &str) -> Host {
        Host::from_address(Some(address.parse().expect("an address")))
    }

    fn drained(queue: &mut FairQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.next()).collect()
    }

    fn is_empty<T>(queue: &FairQueue<T>) -> bool {
        queue.len() == 0
            && queue.hosts() == 0
            && queue.networks.order.is_empty()
            && queue.networks.members.is_empty()
    }

    #[test]
    fn hosts_of_one_network_take_turns_whatever_their_number_of_requests() {
        let mut queue = FairQueue::default();
        for _ in 0..5 {
            queue.enter(host("192.0.2.1"), "flood", WIDE).expect("room");
        }
        queue
            .enter(host("192.0.2.2"), "verifier", WIDE)
            .expect("room");
        assert_eq!(queue.hosts(), 2);
        assert_eq!(drained(&mut queue)[..3], ["flood", "verifier", "flood"]);
        assert!(is_empty(&queue));
    }

    #[test]
    fn a_network_of_many_addresses_gets_no_more_than_one_address_elsewhere() {
        let mut queue = FairQueue::default();
        for last in 1..=100 {
            let flooder = host(&format!("192.0.2.{last}"));
            queue.enter(flooder, "flood", WIDE).expect("room");
        }
        for _ in 0..2 {
            queue
                .enter(host("198.51.100.1"), "verifier", WIDE)
                .expect("room");
        }
        let order = drained(&mut queue);
        assert_eq!(order[..4], ["flood", "verifier", "flood", "verifier"]);
        assert_eq!(order.len(), 102);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_host() {
        assert_eq!(host("2001:db8:1:2::1"), host("2001:db8:1:2:ffff::9"));
        assert_ne!(host("2001:db8:1:2::1"), host("2001:db8:1:3::1"));
        assert_eq!(
            host("2001:db8:1:2::1").network(),
            host("2001:db8:1:3::1").network()
        );
        assert_ne!(
            host("2001:db8:1::1").network(),
            host("2001:db8:2::1").network()
        );
        assert_eq!(host("::ffff:192.0.2.1"), host("192.0.2.1"));
        assert_ne!(host("192.0.2.1"), host("192.0.2.2"));
        assert_eq!(host("192.0.2.1").network(), host("192.0.2.2").network());
        assert_ne!(Host::Key([1; 6]).network(), Host::Key([2; 6]).network());
    }

    #[test]
    fn rejects_a_request_beyond_the_share_of_its_host() {
        let bounds = Bounds {
            total: 10,
            per_host: 2,
        };
        let mut queue = FairQueue::default();
        for _ in 0..2 {
            queue.enter(host("192.0.2.1"), "one", bounds).expect("room");
        }
        assert_eq!(
            queue.enter(host("192.0.2.1"), "one", bounds).err(),
            Some(("one", Full::Host))
        );
        assert!(queue.enter(host("192.0.2.2"), "two", bounds).is_ok());
    }

    #[test]
    fn a_full_queue_displaces_the_newest_request_of_the_largest_host() {
        let bounds = Bounds {
            total: 4,
            per_host: 4,
        };
        let mut queue = FairQueue::default();
        for name in ["a1", "a2", "a3"] {
            queue.enter(host("192.0.2.1"), name, bounds).expect("room");
        }
        queue.enter(host("192.0.2.2"), "b1", bounds).expect("room");
        let entered = queue.enter(host("192.0.2.3"), "c1", bounds);
        assert_eq!(entered.map(|entered| entered.displaced), Ok(Some("a3")));
        // Two, one, one: a newcomer with none still gains by displacing, then it is one for each.
        let entered = queue.enter(host("192.0.2.4"), "d1", bounds);
        assert_eq!(entered.map(|entered| entered.displaced), Ok(Some("a2")));
        for refused in ["192.0.2.1", "192.0.2.5"] {
            assert_eq!(
                queue.enter(host(refused), "more", bounds).err(),
                Some(("more", Full::Queue)),
                "{refused}"
            );
        }
        assert_eq!(queue.len(), 4);
        assert_eq!(drained(&mut queue), ["a1", "b1", "c1", "d1"]);
    }

    #[test]
    fn a_full_queue_displaces_a_request_of_the_largest_network() {
        let bounds = Bounds {
            total: 3,
            per_host: 3,
        };
        let mut queue = FairQueue::default();
        for last in 1..=3 {
            let flooder = host(&format!("192.0.2.{last}"));
            queue.enter(flooder, "flood", bounds).expect("room");
        }
        let entered = queue.enter(host("198.51.100.1"), "verifier", bounds);
        assert_eq!(entered.map(|entered| entered.displaced), Ok(Some("flood")));
        assert_eq!(drained(&mut queue), ["flood", "verifier", "flood"]);
    }

    #[test]
    fn a_removed_request_takes_no_turn_and_leaves_no_entry() {
        let mut queue = FairQueue::default();
        let one = queue.enter(host("192.0.2.1"), "one", WIDE).expect("room");
        let two = queue.enter(host("192.0.2.1"), "two", WIDE).expect("room");
        assert_eq!(queue.leave(host("192.0.2.1"), one.id), Some("one"));
        assert_eq!(queue.leave(host("192.0.2.1"), one.id), None, "twice");
        assert_eq!(
            queue.leave(host("192.0.2.9"), two.id),
            None,
            "of another host"
        );
        assert_eq!(queue.next(), Some("two"));
        assert_eq!(queue.leave(host("192.0.2.1"), two.id), None, "served");
        assert!(is_empty(&queue));
        let one = queue.enter(host("192.0.2.1"), "one", WIDE).expect("room");
        assert_eq!(queue.leave(host("192.0.2.1"), one.id), Some("one"));
        assert!(is_empty(&queue));
        assert_eq!(queue.next(), None);
    }
}
