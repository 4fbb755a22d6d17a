use super::*;

const LONG: Duration = Duration::from_secs(60);

fn peer(last: u8) -> Peer {
    Peer::from_address([192, 0, 2, last].into())
}

fn connections(authenticated: usize, unauthenticated: usize) -> Connections {
    Connections::new(ConnectionLimits {
        authenticated,
        unauthenticated,
    })
}

/// Which of these were evicted.
async fn evicted(slots: &[&ConnectionSlot]) -> Vec<usize> {
    let mut found = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        let evicted = tokio::time::timeout(Duration::from_millis(1), slot.evicted());
        if evicted.await.is_ok() {
            found.push(index);
        }
    }
    found
}

#[tokio::test]
async fn evicts_the_earliest_stage_first_and_the_oldest_within_it() {
    let all = connections(9, 9);
    let [a, b, c, d] = [1, 1, 1, 1].map(|last| all.enter(peer(last)));
    a.set_stage(Stage::Open);
    b.set_stage(Stage::Handshake);
    let slots = [&a, &b, &c, &d];
    for expected in [2, 3, 1, 0] {
        assert!(all.evict_one());
        assert_eq!(evicted(&slots).await, [expected]);
    }
    assert!(!all.evict_one());
}

#[tokio::test]
async fn evicts_a_connection_of_the_peer_that_has_most() {
    let all = connections(9, 9);
    let old = all.enter(peer(1));
    let many = [2, 2, 2].map(|last| all.enter(peer(last)));
    many[0].set_stage(Stage::Open);
    assert!(all.evict_one());
    assert_eq!(evicted(&[&old, &many[0], &many[1], &many[2]]).await, [2]);
}

#[tokio::test]
async fn a_new_connection_is_not_evicted_in_its_grace_period() {
    let all = connections(9, 1);
    let young = all.enter(peer(1));
    assert!(!all.0.table().evict(Instant::now(), Stage::grace_period));
    assert!(all.wait_for_room().await);
    assert_eq!(evicted(&[&young]).await, [0]);
}

#[tokio::test]
async fn a_later_stage_is_not_evicted_instead_of_a_connection_in_its_grace_period() {
    let all = connections(9, 2);
    let speaking = all.enter(peer(1));
    speaking.set_stage(Stage::Open);
    let silent = all.enter(peer(1));
    let spared = |stage| match stage {
        Stage::Silent => LONG,
        _ => Duration::ZERO,
    };
    assert!(!all.0.table().evict(Instant::now(), spared));
    assert_eq!(evicted(&[&speaking, &silent]).await, [0; 0]);
    drop(silent);
    assert!(all.0.table().evict(Instant::now(), spared));
    assert_eq!(evicted(&[&speaking]).await, [0]);
}

#[tokio::test]
async fn an_authenticated_connection_is_not_evicted() {
    let all = connections(1, 1);
    let slot = all.enter(peer(1));
    assert_eq!(slot.authenticated(), Ok(()));
    assert!(!all.wait_for_room().await, "there was room");
    let other = all.enter(peer(1));
    assert!(all.evict_one());
    assert!(!all.evict_one());
    assert_eq!(evicted(&[&slot, &other]).await, [1]);
}

#[tokio::test]
async fn a_connection_without_an_authenticated_slot_stays_open() {
    let all = connections(1, 9);
    let [first, second] = [1, 2].map(|last| all.enter(peer(last)));
    assert_eq!(first.authenticated(), Ok(()));
    assert_eq!(second.authenticated(), Err(NoSlot));
    assert_eq!(evicted(&[&first, &second]).await, [0; 0]);
    drop(first);
    assert_eq!(second.authenticated(), Ok(()));
}

#[tokio::test]
async fn an_invalid_credential_makes_a_connection_evictable_again() {
    let all = connections(1, 9);
    let [first, second] = [1, 2].map(|last| all.enter(peer(last)));
    assert_eq!(first.authenticated(), Ok(()));
    first.not_authenticated();
    assert_eq!(second.authenticated(), Ok(()));
    assert!(all.evict_one());
    assert_eq!(evicted(&[&first, &second]).await, [0]);
}

#[tokio::test]
async fn a_dropped_slot_makes_room_and_lets_a_drain_end() {
    let all = connections(1, 1);
    let slot = all.enter(peer(1));
    drop(slot);
    assert!(!all.wait_for_room().await, "there was room");
    let slot = all.enter(peer(1));
    let waiting = tokio::spawn({
        let all = all.clone();
        async move { all.drain(LONG).await }
    });
    drop(slot);
    assert_eq!(waiting.await.expect("drained"), 0);
}

#[tokio::test]
async fn counts_connections_that_have_not_ended_in_time() {
    let all = connections(1, 9);
    let slots = [1, 2].map(|last| all.enter(peer(last)));
    assert_eq!(slots[0].authenticated(), Ok(()));
    // Its task has not ended yet.
    assert!(all.evict_one());
    assert_eq!(all.drain(Duration::from_millis(10)).await, 2);
}
