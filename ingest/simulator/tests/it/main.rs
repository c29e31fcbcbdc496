//! Tests of the simulator as others use it.

mod client;
mod cloud;
mod rates;
mod world;
