//! The listening side on real sockets.

mod harness;
mod serving;
