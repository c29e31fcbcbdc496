//! Makes a site and its history. The history is played forward, event by event, through the same edits
//! that tests use, so that everything the world records while it is edited is recorded here too.

mod calendar;
mod configure;
mod driver;
mod layout;
mod life;
mod people;
mod sprints;
mod words;
mod work;

pub(crate) use configure::configure;

use crate::world::World;

/// Plays the history up to the settings' `now`.
pub(crate) fn history(world: &mut World) {
    driver::Driver::new(world).run();
}
