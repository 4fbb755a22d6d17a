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

/// Which of these lost its place.
async fn lost(places: &[&Place]) -> Vec<usize> {
    let mut lost = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let evicted = tokio::time::timeout(Duration::from_millis(1), place.evicted());
        if evicted.await.is_ok() {
            lost.push(index);
        }
    }
    lost
}

#[tokio::test]
async fn the_connection_that_got_least_far_goes_first_and_among_equals_the_oldest() {
    let all = connections(9, 9);
    let [a, b, c, d] = [1, 1, 1, 1].map(|last| all.enter(peer(last)));
    a.reached(Stage::Open);
    b.reached(Stage::Handshake);
    let places = [&a, &b, &c, &d];
    for expected in [2, 3, 1, 0] {
        assert!(all.evict_one());
        assert_eq!(lost(&places).await, [expected]);
    }
    assert!(!all.evict_one());
}

#[tokio::test]
async fn the_peer_with_most_connections_pays() {
    let all = connections(9, 9);
    let old = all.enter(peer(1));
    let many = [2, 2, 2].map(|last| all.enter(peer(last)));
    many[0].reached(Stage::Open);
    assert!(all.evict_one());
    assert_eq!(lost(&[&old, &many[0], &many[1], &many[2]]).await, [2]);
}

#[tokio::test]
async fn a_connection_that_has_just_come_is_spared_for_a_moment() {
    let all = connections(9, 1);
    let young = all.enter(peer(1));
    assert!(!all.0.table().evict(Instant::now(), Stage::spared));
    assert!(all.room().await);
    assert_eq!(lost(&[&young]).await, [0]);
}

#[tokio::test]
async fn while_the_silent_are_spared_none_that_speaks_pays_in_their_stead() {
    let all = connections(9, 2);
    let speaking = all.enter(peer(1));
    speaking.reached(Stage::Open);
    let silent = all.enter(peer(1));
    let spared = |stage| match stage {
        Stage::Silent => LONG,
        _ => Duration::ZERO,
    };
    assert!(!all.0.table().evict(Instant::now(), spared));
    assert_eq!(lost(&[&speaking, &silent]).await, [0; 0]);
    drop(silent);
    assert!(all.0.table().evict(Instant::now(), spared));
    assert_eq!(lost(&[&speaking]).await, [0]);
}

#[tokio::test]
async fn an_authenticated_connection_keeps_its_place() {
    let all = connections(1, 1);
    let place = all.enter(peer(1));
    assert_eq!(place.authenticated(), Ok(()));
    assert!(!all.room().await, "there was room");
    let other = all.enter(peer(1));
    assert!(all.evict_one());
    assert!(!all.evict_one());
    assert_eq!(lost(&[&place, &other]).await, [1]);
}

#[tokio::test]
async fn without_a_place_for_it_a_connection_is_not_authenticated_and_stays() {
    let all = connections(1, 9);
    let [first, second] = [1, 2].map(|last| all.enter(peer(last)));
    assert_eq!(first.authenticated(), Ok(()));
    assert_eq!(second.authenticated(), Err(NoPlace));
    assert_eq!(lost(&[&first, &second]).await, [0; 0]);
    drop(first);
    assert_eq!(second.authenticated(), Ok(()));
}

#[tokio::test]
async fn a_credential_that_is_not_valid_any_more_takes_the_place_away() {
    let all = connections(1, 9);
    let [first, second] = [1, 2].map(|last| all.enter(peer(last)));
    assert_eq!(first.authenticated(), Ok(()));
    first.not_authenticated();
    assert_eq!(second.authenticated(), Ok(()));
    assert!(all.evict_one());
    assert_eq!(lost(&[&first, &second]).await, [0]);
}

#[tokio::test]
async fn a_place_that_is_given_back_is_free() {
    let all = connections(1, 1);
    let place = all.enter(peer(1));
    drop(place);
    assert!(!all.room().await, "there was room");
    let place = all.enter(peer(1));
    let waiting = tokio::spawn({
        let all = all.clone();
        async move { all.drain(LONG).await }
    });
    drop(place);
    assert_eq!(waiting.await.expect("drained"), 0);
}

#[tokio::test]
async fn what_has_not_ended_in_time_is_counted() {
    let all = connections(1, 9);
    let places = [1, 2].map(|last| all.enter(peer(last)));
    assert_eq!(places[0].authenticated(), Ok(()));
    // Its task has not ended yet.
    assert!(all.evict_one());
    assert_eq!(all.drain(Duration::from_millis(10)).await, 2);
}
