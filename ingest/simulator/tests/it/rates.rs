//! The generated history stays near what is published about real sprints.

use simulator::rates::{measured, table};

#[test]
fn rates_are_near_the_published_ones() {
    for seed in 1..6 {
        let world = crate::world::world(seed);
        let outside: Vec<_> = measured(&world)
            .into_iter()
            .filter(|rate| !rate.within_tolerance())
            .collect();
        assert!(outside.is_empty(), "seed {seed}\n{}", table(&world));
    }
}
